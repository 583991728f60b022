/* An event count (block.h) whose wakers claim the waiters that they wake. A waiter counts as one
   until a waker claims it, not until it runs again. So changes that follow before the woken thread
   runs find no waiter, and make no system call.

       waiter:  e = epoch;  unclaimed += 1;  check;  sleep while epoch == e;
                claimed > 0 ? claimed -= 1 : unclaimed -= 1;  and again from the start
       waker:   change;  load unclaimed;  if not 0:  unclaimed -= 1, claimed += 1;
                epoch += 1;  wake one

   Both counts are in one word, and change by one atomic operation. A claim is of one waiter, but of
   none in particular: the first that leaves takes it, whether it was woken or not.

   Invariants:
   I1  unclaimed + claimed is the number of registered threads.
   I2  A thread loads the epoch before it registers, and registers anew before each sleep. So a
       thread that registered before a claim does not fall asleep once the new epoch that follows
       the claim has come.
   I3  asleep <= unclaimed + due. Here `asleep` is the number of threads that sleep, or may still
       fall asleep because they have loaded the current epoch and registered. `due` is the number
       of wakes that follow a claim and have not been made yet.
       - A thread that registers adds one to `unclaimed`.
       - A claim moves one from `unclaimed` to `due`.
       - A wake takes one from `due`, and a sleeping thread. If no thread sleeps, those that may
         still fall asleep have registered after that claim (I2), so `unclaimed` or later claims
         count them.
       - A thread that leaves takes one from `claimed`. If that is 0, it takes one from `unclaimed`,
         which then counts every registered thread (I1).
       So a change finds `unclaimed` 0 only if each sleeping thread is about to be woken.

   Checked by test/models/queue.pml. */
#ifndef INTERLOCK_CLAIMS_H
#define INTERLOCK_CLAIMS_H

#include "atomic.h"
#include "common.h"

struct claims {
  atomic_u32 waiters; /* CLAIMED | UNCLAIMED */
  atomic_u32 epoch;
};

#define UNCLAIMED_BITS 18 /* as many as there can be threads, and more */
#define UNCLAIMED ((UINT32_C(1) << UNCLAIMED_BITS) - 1)
#define CLAIMED_ONE (UINT32_C(1) << UNCLAIMED_BITS)
#define CLAIMED_MAX (UINT32_MAX >> UNCLAIMED_BITS) /* beyond it, wakers wake without a claim */

/* Registers the calling thread and returns the epoch on which it may sleep. The caller then checks,
   sleeps or not, and calls claims_leave(). */
static inline uint32_t claims_enter(struct claims *c)
{
  uint32_t epoch = load_seq_cst(&c->epoch);
  /* Before the caller's check: Dekker with a change and claims_are_waiting(). */
  add_seq_cst(&c->waiters, 1);
  return epoch;
}

void claims_leave(struct claims *c);

/* After a seq_cst change. */
static inline bool claims_are_waiting(struct claims *c)
{
  return load_seq_cst(&c->waiters) & UNCLAIMED;
}

/* If a waiter is unclaimed: claims it, and wakes one. The object is pinned. */
COLD void claims_wake(struct claims *c);

/* Wakes all, without a claim. */
COLD void claims_wake_all(struct claims *c);

#endif
