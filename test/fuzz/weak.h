/* Forced into one source of the library (-include), to plant a fault: one in a few of its
   compare-and-swaps and additions is no longer a single step. If the fuzzer finds it, it would also
   find such a fault in the library. */
#ifndef WEAK_H
#define WEAK_H

/* Some sources define it at their top, which is too late after this file. */
#define _GNU_SOURCE

#include <sched.h>

#include "atomic.h"

static inline bool weak_now(void)
{
  static _Thread_local unsigned calls;
  return ++calls % 16 == 0;
}

#undef add_seq_cst
#undef add_relaxed
#undef cas_relaxed
#undef cas_acquire
#undef cas_release
#undef cas_acq_rel
#undef cas_seq_cst

/* Others may run between the load and the store. */
#define weak_cas(p, e, d, order, failed)                                                           \
  __extension__({                                                                                  \
    __auto_type seen_ = load_seq_cst(p);                                                           \
    bool weak_ = weak_now(), done_;                                                                \
    if (!weak_)                                                                                    \
      done_ = atomic_compare_exchange_strong_explicit((p), (e), (d), order, failed);               \
    else if ((done_ = seen_ == *(e)))                                                              \
      sched_yield(), store_seq_cst(p, d);                                                          \
    else                                                                                           \
      *(e) = seen_;                                                                                \
    done_;                                                                                         \
  })
#define weak_add(p, v)                                                                             \
  __extension__({                                                                                  \
    __auto_type seen_ = load_seq_cst(p);                                                           \
    if (weak_now())                                                                                \
      sched_yield(), store_seq_cst(p, seen_ + (v));                                                \
    else                                                                                           \
      seen_ = atomic_fetch_add(p, v);                                                              \
    seen_;                                                                                         \
  })

#define add_seq_cst(p, v) weak_add(p, v)
#define add_relaxed(p, v) weak_add(p, v)
#define cas_relaxed(p, e, d) weak_cas(p, e, d, memory_order_relaxed, memory_order_relaxed)
#define cas_acquire(p, e, d) weak_cas(p, e, d, memory_order_acquire, memory_order_relaxed)
#define cas_release(p, e, d) weak_cas(p, e, d, memory_order_release, memory_order_relaxed)
#define cas_acq_rel(p, e, d) weak_cas(p, e, d, memory_order_acq_rel, memory_order_acquire)
#define cas_seq_cst(p, e, d) weak_cas(p, e, d, memory_order_seq_cst, memory_order_seq_cst)

#endif
