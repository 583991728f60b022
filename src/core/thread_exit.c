#include "thread_exit.h"

#include <limits.h>

#include "blocked.h"
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

/* The same for locks in the caller's memory, which an exiting thread must not access: all waiters
   for such a lock recheck. */
static void wake_word_waiters_of(struct thread *me, uint32_t dead)
{
  if (!me->uses_words)
    return;
  struct blocked b;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r)) {
    if (!block_load(r, &b) || !(b.flags & BLOCK_WORD) || !b.index)
      continue;
    if (b.index == dead)
      block_force_wake(r, &b);
    else /* asleep since before the dead thread acquired it, if it did: one wake reaches it */
      wait_wake(b.word, INT_MAX, false);
  }
}

static void wake(struct thread *me, uint32_t dead)
{
  waitq_wake_deferred(me);
  wake_waiters_of(me, dead);
  wake_word_waiters_of(me, dead);
}

const struct thread_exit_work thread_exit_work = {release, wake};
