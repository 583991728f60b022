/* The asymmetric fence: Dekker's "I store mine, then I look at yours" between a
   side that runs always (light) and a side that runs seldom (heavy).

       light:  fence_store(&mine, value);              fence_load(&theirs)
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

/* A release store, ordered before the fence_load() that follows it. */
#define fence_store(address, value)                                                             \
  do {                                                                                          \
    if (__builtin_expect(fence_is_asymmetric, 1)) {                                             \
      store_release((address), (value));                                                        \
      atomic_signal_fence(memory_order_seq_cst);                                                \
    } else {                                                                                    \
      (void)exchange_seq_cst((address), (value));                                               \
    }                                                                                           \
  } while (0)

/* An acquire load, ordered after the fence_store() before it. */
#define fence_load(address)                                                                     \
  (__builtin_expect(fence_is_asymmetric, 1) ? load_acquire(address) : load_seq_cst(address))

void fence_heavy(void);

#endif
