/* Every wait sleeps here. This module alone handles deadlines, cancelling and the search for
   deadlock cycles (cycle.h). */
#ifndef INTERLOCK_BLOCK_H
#define INTERLOCK_BLOCK_H

#include "blocked.h"
#include "clock.h"
#include "handle.h"
#include "thread_record.h"
#include "wait.h"

/* Sleeps while *word == expected, at most until `deadline`. Returns ILK_OK: recheck (the word has
   changed, a wake, or spuriously); ILK_ETIMEDOUT: the deadline has passed; ILK_ECANCELED:
   ilk_cancel(1); ILK_EDEADLK: the wait is part of a deadlock cycle; ILK_ENOTSUP: the system refuses
   to sleep; ILK_EHANDLE: the object was retired before the caller was counted as its waiter (I5 in
   handle_close.c). The caller rechecks after each of these (ilk_word_wait() leaves that to its own
   caller).

   `handle` (or NULL) and `index` name what the thread waits for, for the search for deadlock cycles
   and for the report. Without a handle, `index` is the id of the thread that must act while
   *word == expected, or 0; that thread's death ends the sleep. `flags`: block_flags (blocked.h).

   block() releases Python's GIL if this thread holds it, so a call that reaches it ends with
   gil_reacquire() (see gil.h). */
static inline int block(struct thread *me, void *handle, int64_t index, atomic_u32 *word,
                        uint32_t expected, int64_t deadline, int flags);

/* The same for a sleep by other means than wait_on(), unless `sleep` is NULL. sleep->until()
   returns what wait_on() would, and is called again if it times out before the deadline. A wake of
   `word` need not end the sleep. So each sleep must be short, by its deadline or by BLOCK_SHARED:
   then a cancel soon ends the wait all the same. */
struct block_sleep {
  enum wait_result (*until)(struct block_sleep *, int64_t until);
};
int block_with(struct thread *me, void *handle, int64_t index, atomic_u32 *word, uint32_t expected,
               struct block_sleep *sleep, int64_t deadline, int flags);

static inline int block(struct thread *me, void *handle, int64_t index, atomic_u32 *word,
                        uint32_t expected, int64_t deadline, int flags)
{
  return block_with(me, handle, index, word, expected, NULL, deadline, flags);
}

/* Not 0: every wait ends with ILK_ECANCELED (see cancel.c). */
extern HIDDEN atomic_u32 block_cancelled;

/* The event count of an object without a queue. A waiter prepares (counts itself), loads the
   `epoch`, checks the object, and sleeps on that epoch. A thread that changes the object loads
   `waiters`, and advances the epoch before it wakes.

       waiter:  waiters += 1;  t = epoch;  check;  sleep while epoch == t
       waker:   change;  load waiters;  epoch += 1;  wake

   All operations are seq_cst. If the waker's load of `waiters` misses the waiter, the waiter's
   check comes after the change. Otherwise the epoch advances after the change, so a waiter that
   checked too early does not fall asleep, or is woken. */
static inline void block_prepare_wait(struct object *object)
{
  add_seq_cst(&object->waiters, 1);
}

static inline void block_finish_wait(struct object *object)
{
  sub_seq_cst(&object->waiters, 1);
}

/* Calls check() until it returns another result than ILK_EBUSY, and returns that. Between the calls
   it sleeps on the object's event count. If a sleep ends early (see block()), it calls check() a
   last time; if that returns ILK_EBUSY, too, block_until() returns what ended the sleep. check()
   gets this code in `ended`, and ILK_OK before. It is called with the object pinned and this thread
   counted as a waiter. It returns ILK_EHANDLE if the head has another tag, or CLOSING; while the
   close is undecided, it is then called again. */
int block_until(const struct call *c, int64_t deadline,
                int (*check)(const struct call *c, void *context, int ended), void *context);

/* The same on another epoch than the object's, of waiters that are counted with the rest. */
int block_until_on(const struct call *c, atomic_u32 *epoch, int64_t deadline,
                   int (*check)(const struct call *c, void *context, int ended), void *context);

/* Advances the epoch, and wakes up to n of its waiters, which recheck. Returns how many. The object
   is pinned. */
int block_wake(atomic_u32 *epoch, int n);

#endif
