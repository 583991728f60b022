#include "thread_exit.h"

#include <limits.h>

#include "backoff.h"
#include "blocked.h"
#include "clock.h"
#include "handle.h"
#include "resumable.h"
#include "wait.h"
#include "waitq.h"

static void release(struct thread *me)
{
  resumable_thread_exit(me);
  for (int kind = 0; kind < KINDS; kind++)
    if (kind_operations[kind] && kind_operations[kind]->thread_exit)
      kind_operations[kind]->thread_exit(me);
}

/* Waiters for what the dead thread holds may be asleep: wakes them, and they recheck. */
static void wake_waiters_of(struct thread *me, uint32_t dead)
{
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r)) {
    /* A read-modify-write, not a load: a wait that is published later synchronizes with it, and so
       sees all locks that the dead thread held, even those stored relaxed. */
    if (!(or_seq_cst(&r->episode, 0) & 1))
      continue;
    /* The two may be of different waits. That does no harm: the later wait checks its holder
       itself, and holder() takes any index. */
    void *handle = (void *)load_relaxed(&r->blocked_handle);
    int64_t index = load_relaxed(&r->blocked_index);
    enum kind kind = handle_kind(handle);
    const struct kind_operations *operations = kind_operations[kind];
    if (!operations || !operations->holder_died)
      continue;
    struct object *object = handle_enter(me, PIN_OUTER, handle, kind);
    if (!object)
      continue;
    if (operations->holder(object, index) == dead)
      operations->holder_died(object, index);
    handle_leave(me, PIN_OUTER);
  }
}

/* One pass: wakes those that wait for words of the dead thread. True: there were some. */
static bool wake_word_waiters(uint32_t dead, bool first_pass)
{
  bool found = false;
  struct blocked b;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r)) {
    /* The caller itself may wait, and end a thread that is gone (block()): then it rechecks. */
    if (r == thread_current || !block_load(r, &b) || !(b.flags & BLOCK_WORD) || !b.index)
      continue;
    /* A thread that waits for another holder may have fallen asleep before the dead thread acquired
       the word. For that one wake is enough: if it is not asleep yet, it finds the word changed. */
    if (b.index == dead || first_pass)
      wait_wake(b.word, INT_MAX, false);
    found = found || b.index == dead;
  }
  return found;
}

#define PASSES 100
#define PAUSE (NS_PER_MS / 50)

/* The same for locks in the caller's memory, which an exiting thread must not access: all waiters
   for such locks recheck. A waiter that is between its last check and its sleep needs another wake.
   One that runs a signal handler, or is stopped, may not be reached at all. The exit does not wait
   for it: such a waiter detects the death itself (HOLDER_WATCH in block.c). */
static void wake_word_waiters_of(struct thread *me, uint32_t dead)
{
  for (int i = 0; me->uses_words && i < PASSES && wake_word_waiters(dead, i == 0); i++)
    backoff_sleep(PAUSE);
}

static void wake(struct thread *me, uint32_t dead)
{
  waitq_wake_deferred(me);
  wake_waiters_of(me, dead);
  wake_word_waiters_of(me, dead);
}

const struct thread_exit_work thread_exit_work = {release, wake};
