#include "block.h"

#include <limits.h>
#include <sched.h>

#include "fork.h"
#include "gil.h"
#include "stall.h"
#include "waitq.h"

atomic_u32 block_cancelled;

/* A wait that may last for ever looks for a circle once it has lasted this long:
   the thread that closed the circle is then asleep in it and finds it whole. */
#define CIRCLE_DELAY (100 * NS_PER_MS)

/* A wait that has lasted this long may be worth a word to its author (see stall.c). */
#define STALL_DELAY NS_PER_S

#define ROUSE_PAUSE (NS_PER_MS / 50)

void block_wake(struct object *object, int n)
{
  add_seq_cst(&object->turn, 1);
  wait_wake(&object->turn, n, false);
}

static uint32_t holder_of(struct self *me, void *handle, int64_t index)
{
  enum kind kind = handle_kind(handle);
  const struct kind_operations *operations = kind_operations[kind];
  if (!operations || !operations->holder)
    return 0;
  /* What we wait for ourselves is pinned already; and a free that waits for us, because
     we have been let go, must not be waited for. */
  if (load_relaxed(&me->pin[PIN_INNER]) == (uintptr_t)handle)
    return operations->holder(handle_object(handle), index);
  /* Pinned, for another thread's object may be freed meanwhile. The answer is a guess
     all the same, which in_circle() asks for twice. */
  struct object *object = handle_enter(me, PIN_LOOK, handle, kind);
  if (!object)
    return 0;
  uint32_t holder = operations->holder(object, index);
  handle_leave(me, PIN_LOOK);
  return holder;
}

/* One step from a blocked thread to the one it waits for; NULL where the chain
   ends: nobody holds it, the holder runs, or waits with a deadline. */
static struct self *waits_for(struct self *me, struct self *record, uint32_t *episode)
{
  *episode = load_acquire(&record->episode);
  if (!(*episode & 1) || load_acquire(&record->blocked_deadline) != WAIT_FOREVER)
    return NULL;
  uint32_t holder = holder_of(me, (void *)load_acquire(&record->blocked_handle), load_acquire(&record->blocked_index));
  return holder ? self_find(holder) : NULL;
}

/* Does the chain of holders lead from me back to me?

   Walked twice. If the second walk meets the same threads in the same episodes of
   blocking, then at the moment between the walks all of them were blocked for ever
   at once, each on what the next one held: for a blocked thread neither takes nor
   releases. A chain put together from different moments does not survive this. */
static bool in_circle(struct self *me)
{
  uint64_t sum[2] = {0, 0};
  for (int walk = 0; walk < 2; walk++) {
    struct self *r = me;
    uint32_t steps = 0;
    do {
      uint32_t episode;
      struct self *next = waits_for(me, r, &episode);
      if (!next || next == r || ++steps > THREADS_MAX)
        return false;
      sum[walk] = (sum[walk] ^ (uintptr_t)r ^ episode) * UINT64_C(0x9e3779b97f4a7c15);
      r = next;
    } while (r != me);
  }
  return sum[0] == sum[1];
}

uint32_t block_awaited(struct self *me, void *handle, int64_t index)
{
  return handle ? holder_of(me, handle, index) : (uint32_t)index;
}

static bool holder_is_dead(struct self *me, void *handle, int64_t index)
{
  uint32_t holder = block_awaited(me, handle, index);
  return holder && !self_find(holder);
}

/* Answers when the wait began. */
static int64_t announce(struct self *me, void *handle, int64_t index, atomic_u32 *word, int64_t deadline, int flags)
{
  int64_t since = clock_now();
  /* Release: who sees one of these sees the last episode's end (block_look()). */
  store_release(&me->blocked_handle, (uintptr_t)handle);
  store_release(&me->blocked_index, index);
  store_release(&me->blocked_word, (uintptr_t)word);
  store_release(&me->blocked_deadline, deadline);
  store_release(&me->blocked_flags, (uint32_t)flags);
  store_release(&me->blocked_since, since);
  /* seq_cst: before the looks at `block_cancelled` and at the holder. */
  add_seq_cst(&me->episode, 1);
  return since;
}

bool block_look(struct self *record, struct blocked *b)
{
  /* Acquire throughout: each look comes before the next, and the episode's second look,
     last, tells whether all were of one sleep. */
  b->episode = load_acquire(&record->episode);
  if (!(b->episode & 1))
    return false;
  b->handle = (void *)load_acquire(&record->blocked_handle);
  b->index = load_acquire(&record->blocked_index);
  b->word = (atomic_u32 *)load_acquire(&record->blocked_word);
  b->deadline = load_acquire(&record->blocked_deadline);
  b->flags = (int)load_acquire(&record->blocked_flags);
  b->since = load_acquire(&record->blocked_since);
  return load_acquire(&record->episode) == b->episode;
}

void block_rouse(struct self *record, const struct blocked *b)
{
  atomic_u32 never = 0;
  while (load_acquire(&record->episode) == b->episode) {
    wait_wake(b->word, INT_MAX, b->flags & BLOCK_SHARED);
    /* It may be between its last look and its sleep: once more, in a moment. */
    wait_on(&never, 0, clock_now() + ROUSE_PAUSE, false);
  }
}

/* In a circle, and not to be told: has the next thread in it look once more, which
   may have done so before we closed the circle. */
COLD static void tell_next(struct self *me, void *handle, int64_t index)
{
  struct self *next = self_find(holder_of(me, handle, index));
  struct blocked b;
  if (next && block_look(next, &b))
    block_rouse(next, &b);
}

static int64_t earliest(int64_t a, int64_t b, int64_t c)
{
  int64_t least = a < b ? a : b;
  return least < c ? least : c;
}

int block(struct self *me, void *handle, int64_t index, atomic_u32 *word, uint32_t expected,
          int64_t deadline, int flags)
{
  if (load_relaxed(&me->late_count)) /* they may be needed for a circle to show */
    waitq_wake_late(me);
  gil_release(me);
  bool may_be_gone = unlikely(load_relaxed(&self_last_count)); /* whom we wait for, unnoticed */
  if (may_be_gone)
    self_end_last();
  bool suspended = fork_suspend(); /* whoever is to wake us may need the guards */
  int64_t since = announce(me, handle, index, word, deadline, flags);
  bool always = flags & BLOCK_ALWAYS;
  bool may_circle = deadline == WAIT_FOREVER && handle && kind_operations[handle_kind(handle)]->holder;
  bool may_stall = (handle || flags & BLOCK_WORD) && stall_is_probed(); /* mere sleep ends */
  int64_t circle_at = may_circle || may_be_gone ? since + CIRCLE_DELAY : WAIT_FOREVER;
  int64_t stall_at = may_stall ? since + STALL_DELAY : WAIT_FOREVER;
  int result = ILK_OK;
  for (;;) {
    if (!always && load_seq_cst(&block_cancelled)) {
      result = ILK_ECANCELED;
      break;
    }
    if (holder_is_dead(me, handle, index))
      break; /* it may have exited before it could see that we wait */
    /* Not the sleep's task alone: a word that changes all the time ends each sleep before the
       system looks at the time. */
    if (since >= deadline) {
      result = ILK_ETIMEDOUT;
      break;
    }
    enum wait_result slept = wait_on(word, expected, earliest(deadline, circle_at, stall_at), flags & BLOCK_SHARED);
    if (slept == WAIT_REFUSED) {
      if (!always)
        result = ILK_ENOTSUP;
      else
        sched_yield();
      break;
    }
    if (slept == WAIT_WOKEN) {
      if (!always && load_seq_cst(&block_cancelled))
        result = ILK_ECANCELED;
      break;
    }
    int64_t now = clock_now();
    if (now >= deadline) {
      result = ILK_ETIMEDOUT;
      break;
    }
    if (now >= circle_at) {
      circle_at = may_be_gone ? now + CIRCLE_DELAY : WAIT_FOREVER;
      if (may_be_gone && self_end_last())
        break;
      if (may_circle && in_circle(me)) {
        if (!always) {
          result = ILK_EDEADLK;
          break;
        }
        tell_next(me, handle, index);
      }
    }
    if (now >= stall_at) {
      stall_at = WAIT_FOREVER;
      stall_check(me);
    }
  }
  add_seq_cst(&me->episode, 1);
  if (unlikely(suspended))
    fork_resume();
  return result;
}
