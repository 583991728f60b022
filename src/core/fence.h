/* The asymmetric fence: Dekker's "I store mine, then I look at yours" between a
   side that runs always (light) and a side that runs seldom (heavy).

       light:  fence_light(&mine, value, &theirs): a store of mine, then a load of theirs
       heavy:  a seq_cst store of theirs;  fence_heavy();  load_seq_cst(&mine)

   At least one of the two sees the other's store. Where the system can run a
   barrier on every thread of the process (Linux: membarrier), the light side is
   a plain store that the compiler may not move the look across, and the heavy
   side is that call. Elsewhere (`fence_is_asymmetric()` is false) the light store
   is an exchange, and all four are seq_cst: in their one total order, the later
   look comes after both stores.

   Why the asymmetric form holds: the call makes each running thread execute a
   full barrier at some point between the call's begin and end. If that point
   comes before the light side's look, the look sees the heavy side's store, which
   was made before the call. If it comes after the look, it comes after the light
   side's store too (which precedes the look in program order), so that store is
   visible to the heavy side's look. Threads that do not run have executed a full
   barrier when they were switched out.

   What if the call fails later, because a sandbox was put on after the library was loaded?
   The heavy side may not go on without a barrier, and nothing can make the other threads run
   one: so fence_heavy() cannot fail, but it may take longer. It then

   1. says that the fence is symmetric from now on. A light side that sees this is seq_cst
      throughout, like the heavy side, and needs nothing else.
   2. waits for GRACE. What is left are the light sides that had looked at the kind of fence
      before: a plain store, and a load. If that load misses the heavy side's store, it ran
      before that store was made, and so before the wait began. The plain store before it had
      then left its instruction too, and waits at most in its processor's store buffer. A store
      buffer holds some hundred stores and each needs at most a microsecond to reach the memory,
      whatever becomes of its thread meanwhile: a switch or an interrupt drains the buffer.
      So when the wait ends, the store is visible to the heavy side's look.

   Step 2 is done at every later heavy side as well, for a thread may have been preempted between
   its look at the kind of fence and its store, for however long. Nothing shows that the last
   such thread is through: one that makes calls again may do so in a signal handler that
   interrupted it there. The call is tried first each time: a filter may hold for some threads only.

   Source: asymmetric fences, WG21 P1202; folly's AsymmetricThreadFence. */
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
/* Relaxed: who reads an old value is what the wait in fence_heavy() is for. */
#define fence_is_asymmetric() load_relaxed(&fence_asymmetric)
#endif

/* Stores `value` to `mine` (release), then loads `theirs` (acquire), which it answers. One look
   at the kind of fence for both: a branch more is a cycle more. */
#define fence_light(mine, value, theirs)                                                        \
  __extension__({                                                                               \
    __typeof__(load_relaxed(theirs)) fence_seen;                                                \
    if (likely(fence_is_asymmetric())) {                                                          \
      store_release((mine), (value));                                                           \
      atomic_signal_fence(memory_order_seq_cst);                                                \
      fence_seen = load_acquire(theirs);                                                        \
    } else {                                                                                    \
      (void)exchange_seq_cst((mine), (value));                                                  \
      fence_seen = load_seq_cst(theirs);                                                        \
    }                                                                                           \
    fence_seen;                                                                                 \
  })

void fence_heavy(void);

/* Is the fence asymmetric at this moment? Tries the system's barrier, so that a sandbox which
   denies it shows at once. */
bool fence_probe(void);

#endif
