/* The asymmetric fence: Dekker's pattern ("store mine, then load yours") between a side that runs
   often (light) and a side that runs rarely (heavy).

       light:  fence_light(&mine, value, &theirs): a store to mine, then a load of theirs
       heavy:  a seq_cst store to theirs;  fence_heavy();  load_seq_cst(&mine)

   At least one of the two loads returns the other side's store. Where the system can run a barrier
   in every thread of the process (Linux: membarrier), the light side is a plain store, which the
   compiler may not reorder with the load, and the heavy side calls the system. Elsewhere
   (`fence_is_asymmetric()` is false) the light store is an exchange, and all four operations are
   seq_cst: in their single total order, the later load comes after both stores.

   Why the asymmetric form is correct: the system call makes each running thread execute a full
   barrier at some point during the call. If that point is before the light side's load, the load
   returns the heavy side's store, which was made before the call. If it is after the load, it is
   also after the light side's store, which precedes the load in program order, so the heavy side's
   load returns that store. A thread that is not running executed a full barrier when it was
   switched out.

   The call may fail later, if a sandbox is entered after the library was loaded. The heavy side
   must not continue without a barrier, and no other means makes the other threads execute one. So
   fence_heavy() does not fail, but takes longer:

   1. It makes the fence symmetric from now on. A light side that finds it symmetric is seq_cst,
      like the heavy side, and needs nothing else.
   2. It waits for GRACE (fence.c). Each light side that is left found the fence asymmetric: it is a
      plain store and a load. If its load misses the heavy side's store, that load was executed
      before that store, and so before the wait began. The plain store was executed by then, too,
      and is at most in the processor's store buffer. (A weakly ordered processor may execute the
      load first, but only if the store is in its pipeline as well, and is executed soon.) A store
      buffer holds about a hundred stores, and each reaches memory within a microsecond; a context
      switch or an interrupt also drains the buffer. So at the end of the wait the store is visible
      to the heavy side's load.

   Each later heavy side does step 2 as well, because a thread may have been preempted, for any
   time, between its load of the kind of fence and its store. There is no sign that the last such
   thread has passed: if it makes other calls, they may come from a signal handler that interrupted
   it there. The system call is tried first each time, because a filter may apply to some threads
   only.

   Source: asymmetric fences, WG21 P1202; folly's AsymmetricThreadFence. Checked by
   test/models/fence.pml. */
#ifndef INTERLOCK_FENCE_H
#define INTERLOCK_FENCE_H

#include "atomic.h"
#include "common.h"

#ifdef ILK_FENCE_SYMMETRIC
/* Forced by the build: ThreadSanitizer does not know membarrier. */
#define fence_is_asymmetric() false
#else
/* Set when the library is loaded; cleared for good if the system's barrier ever fails. */
extern HIDDEN _Atomic bool fence_asymmetric;
/* Relaxed: the wait in fence_heavy() is for the threads that load an old value. */
#define fence_is_asymmetric() load_relaxed(&fence_asymmetric)
#endif

/* Stores `value` to `mine` (release), then loads `theirs` (acquire) and returns it. It loads the
   kind of fence once for both: a second branch would cost a cycle. */
#define fence_light(mine, value, theirs)                                                           \
  __extension__({                                                                                  \
    __typeof__(load_relaxed(theirs)) fence_seen;                                                   \
    if (likely(fence_is_asymmetric())) {                                                           \
      store_release((mine), (value));                                                              \
      atomic_signal_fence(memory_order_seq_cst);                                                   \
      fence_seen = load_acquire(theirs);                                                           \
    } else {                                                                                       \
      (void)exchange_seq_cst((mine), (value));                                                     \
      fence_seen = load_seq_cst(theirs);                                                           \
    }                                                                                              \
    fence_seen;                                                                                    \
  })

void fence_heavy(void);

/* Returns whether the fence is asymmetric at this moment. It calls the system's barrier, so that a
   sandbox that denies it is detected at once. */
bool fence_probe(void);

void fence_setup(void); /* once, when the library is loaded */

#endif
