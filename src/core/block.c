#include "block.h"

#include <limits.h>

#include "cycle.h"
#include "gil.h"
#include "guard.h"
#include "os.h"
#include "stall.h"
#include "waitq.h"
#include "wake.h"

atomic_u32 block_cancelled;

/* A wait without a deadline searches for a deadlock cycle once it has lasted this long (cycle.c).
   If the search is inconclusive, it is repeated after a pause, which grows. */
#define CYCLE_DELAY (100 * NS_PER_MS)
#define CYCLE_PAUSE NS_PER_MS

/* A wait that has lasted this long may print a message (see stall.c). */
#define STALL_DELAY NS_PER_S

/* In shared memory a waiter may be killed after it was woken and before it rechecks. Its wake is
   then lost, though another waiter needs it. So each waiter compares the word this often. */
#define SHARED_WATCH (100 * NS_PER_MS)

/* A thread that exits wakes the waiters for its private words, but may not touch the words. A
   waiter that runs a signal handler at that moment misses the wake. So each waiter checks the
   holder this often. */
#define HOLDER_WATCH NS_PER_S

void block_wake(struct object *object, int n)
{
  add_seq_cst(&object->epoch, 1);
  wake(&object->epoch, n, false);
}

static bool holder_is_dead(struct thread *me, void *handle, int64_t index)
{
  uint32_t holder = block_awaited(me, handle, index);
  return holder && !thread_find(holder);
}

/* True if a wait for this can be part of a deadlock cycle: a certain thread must act for it to
   end. */
static bool has_holder(void *handle, int64_t index, int flags)
{
  if (handle)
    return kind_operations[handle_kind(handle)]->holder;
  return flags & BLOCK_WORD && index;
}

/* How often a sleep is interrupted, to compare the word and to check the holder. */
static int64_t watch_interval(void *handle, int64_t index, int flags)
{
  if (flags & BLOCK_SHARED)
    return SHARED_WATCH;
  return !handle && has_holder(handle, index, flags) ? HOLDER_WATCH : 0;
}

/* True: report a deadlock cycle. *at: when to search again. */
COLD static bool search_cycle(struct thread *me, bool always, int64_t *at, int64_t *pause)
{
  struct thread *other;
  enum cycle found = cycle_find(me, always, &other);
  if (found == CYCLE_AGAIN) {
    *at = clock_now() + *pause;
    *pause = *pause < CYCLE_DELAY ? 2 * *pause : *pause;
  }
  struct blocked b;
  if (other && block_load(other, &b)) /* it may have searched before this wait closed the cycle */
    block_force_wake(other, &b);
  return found == CYCLE_FOUND && !always;
}

static int64_t earlier(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

/* `sleep` may be NULL: the sleep is on the word. */
static int sleep_until_woken(struct thread *me, void *handle, int64_t index, atomic_u32 *word,
                             uint32_t expected, struct block_sleep *sleep, int64_t deadline,
                             int flags)
{
  /* The threads to be woken may be part of a deadlock cycle. */
  if (load_relaxed(&me->deferred_count))
    waitq_wake_deferred(me);
  gil_release(me);
  /* May the thread that must act have exited unnoticed (thread_life.c)? */
  bool may_be_gone = unlikely(load_relaxed(&thread_unnoticed_count));
  if (may_be_gone)
    thread_end_unnoticed();
  bool suspended = fork_suspend(); /* the thread that will wake this one may need the guards */
  int64_t since = block_publish(me, handle, index, word, deadline, flags);
  bool always = flags & BLOCK_ALWAYS;
  bool may_deadlock = deadline == WAIT_FOREVER && has_holder(handle, index, flags);
  /* Not for a plain sleep, which waits for no thread. */
  bool may_stall = (handle || flags & BLOCK_WORD) && stall_is_probed();
  int64_t cycle_at = may_deadlock || may_be_gone ? since + CYCLE_DELAY : WAIT_FOREVER,
          pause = CYCLE_PAUSE;
  int64_t watch = watch_interval(handle, index, flags);
  int64_t watch_at = watch ? since + watch : WAIT_FOREVER;
  int64_t stall_at = may_stall ? since + STALL_DELAY : WAIT_FOREVER;
  int result = ILK_OK;
  wake_expect(me, word);
  for (;;) {
    if (!always && load_seq_cst(&block_cancelled)) {
      result = ILK_ECANCELED;
      break;
    }
    if (holder_is_dead(me, handle, index))
      break; /* it may have exited before it could load this wait */
    /* Not left to the sleep: if the word changes all the time, each sleep ends before the system
       checks the deadline. */
    if (since >= deadline) {
      result = ILK_ETIMEDOUT;
      break;
    }
    int64_t until = earlier(earlier(deadline, cycle_at), earlier(stall_at, watch_at));
    enum wait_result slept =
      sleep ? sleep->until(sleep, until) : wait_on(word, expected, until, flags & BLOCK_SHARED);
    if (slept == WAIT_REFUSED) {
      if (!always)
        result = ILK_ENOTSUP;
      else
        os_yield();
      break;
    }
    if (slept == WAIT_WOKEN) {
      wake_measure(word, since);
      if (!always && load_seq_cst(&block_cancelled))
        result = ILK_ECANCELED;
      break;
    }
    int64_t now = clock_now();
    if (now >= deadline) {
      result = ILK_ETIMEDOUT;
      break;
    }
    if (now >= cycle_at) {
      cycle_at = may_be_gone ? now + CYCLE_DELAY : WAIT_FOREVER;
      if (may_be_gone && thread_end_unnoticed())
        break;
      if (may_deadlock && search_cycle(me, always, &cycle_at, &pause)) {
        result = ILK_EDEADLK;
        break;
      }
    }
    if (now >= watch_at)
      watch_at = now + watch; /* the holder is checked next, and wait_on() compares */
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

int block(struct thread *me, void *handle, int64_t index, atomic_u32 *word, uint32_t expected,
          int64_t deadline, int flags)
{
  int live = handle ? handle_check_waiter(handle) : ILK_OK;
  if (unlikely(live != ILK_OK))
    return live == ILK_EBUSY ? ILK_OK : live;
  return sleep_until_woken(me, handle, index, word, expected, NULL, deadline, flags);
}

int block_with(struct thread *me, atomic_u32 *word, struct block_sleep *sleep, int64_t deadline,
               int flags)
{
  return sleep_until_woken(me, NULL, 0, word, 0, sleep, deadline, flags);
}

int block_until(const struct call *c, int64_t deadline,
                int (*check)(const struct call *c, void *context, int ended), void *context)
{
  int checked, ended = ILK_OK;
  block_prepare_wait(c->object);
  for (;;) {
    uint32_t epoch = load_seq_cst(&c->object->epoch);
    checked = check(c, context, ended);
    if (checked != ILK_EBUSY || ended != ILK_OK)
      break;
    ended = block(c->me, c->handle, 0, &c->object->epoch, epoch, deadline, 0);
  }
  block_finish_wait(c->object);
  return checked != ILK_EBUSY ? checked : ended;
}
