/* The asymmetric fence: Dekker's "I store mine, then I look at yours" between a
   side that runs always (light) and a side that runs seldom (heavy).

       light:  fence_light(&mine, value, &theirs): a store of mine, then a load of theirs
       heavy:  a seq_cst store of theirs;  fence_heavy();  load_seq_cst(&mine)

   At least one of the two sees the other's store. Where the system can run a
   barrier on every thread of the process (Linux: membarrier), the light side is
   a plain store that the compiler may not move the look across, and the heavy
   side is that call. Elsewhere (`fence_is_asymmetric` is false) the light store
   is an exchange, and all four are seq_cst: in their one total order, the later
   look comes after both stores.

   Why the asymmetric form holds: the call makes each running thread execute a
   full barrier at some point between the call's begin and end. If that point
   comes before the light side's look, the look sees the heavy side's store, which
   was made before the call. If it comes after the look, it comes after the light
   side's store too (which precedes the look in program order), so that store is
   visible to the heavy side's look. Threads that do not run have executed a full
   barrier when they were switched out.

   Source: asymmetric fences, WG21 P1202; folly's AsymmetricThreadFence. */
#ifndef INTERLOCK_FENCE_H
#define INTERLOCK_FENCE_H

#include "atomic.h"
#include "common.h"

#ifdef ILK_FENCE_SYMMETRIC
/* Forced by the build: ThreadSanitizer does not know membarrier. */
#define fence_is_asymmetric false
#else
/* Decided once, when the library is loaded; constant from then on. */
extern HIDDEN bool fence_is_asymmetric;
#endif

/* Stores `value` to `mine` (release), then loads `theirs` (acquire), which it answers. One look
   at the kind of fence for both: a branch more is a cycle more. */
#define fence_light(mine, value, theirs)                                                        \
  __extension__({                                                                               \
    __typeof__(load_relaxed(theirs)) fence_seen;                                                \
    if (likely(fence_is_asymmetric)) {                                                          \
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

#endif
