/* Forced into the library's sources (-include): a delay or a switch of threads may
   come before each atomic operation, so interleavings that otherwise happen once in a
   million runs happen every second. The algorithms are unchanged. */
#ifndef JITTER_H
#define JITTER_H

/* Some sources define it at their top, which is too late after this file. */
#define _GNU_SOURCE

#include "atomic.h"

void jitter_point(void);

#define JITTERED(expression) (jitter_point(), (expression))

#undef load_relaxed
#undef load_acquire
#undef load_seq_cst
#undef store_relaxed
#undef store_release
#undef store_seq_cst
#undef exchange_seq_cst
#undef add_seq_cst
#undef sub_seq_cst
#undef cas_relaxed
#undef cas_acquire
#undef cas_release
#undef cas_seq_cst

#define load_relaxed(p) JITTERED(atomic_load_explicit((p), memory_order_relaxed))
#define load_acquire(p) JITTERED(atomic_load_explicit((p), memory_order_acquire))
#define load_seq_cst(p) JITTERED(atomic_load_explicit((p), memory_order_seq_cst))
#define store_relaxed(p, v) JITTERED(atomic_store_explicit((p), (v), memory_order_relaxed))
#define store_release(p, v) JITTERED(atomic_store_explicit((p), (v), memory_order_release))
#define store_seq_cst(p, v) JITTERED(atomic_store_explicit((p), (v), memory_order_seq_cst))
#define exchange_seq_cst(p, v) JITTERED(atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#define add_seq_cst(p, v) JITTERED(atomic_fetch_add_explicit((p), (v), memory_order_seq_cst))
#define sub_seq_cst(p, v) JITTERED(atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst))
#define cas_(p, expected, desired, order, failed)                                                  \
  JITTERED(atomic_compare_exchange_strong_explicit((p), (expected), (desired), order, failed))
#define cas_relaxed(p, e, d) cas_(p, e, d, memory_order_relaxed, memory_order_relaxed)
#define cas_acquire(p, e, d) cas_(p, e, d, memory_order_acquire, memory_order_relaxed)
#define cas_release(p, e, d) cas_(p, e, d, memory_order_release, memory_order_relaxed)
#define cas_seq_cst(p, e, d) cas_(p, e, d, memory_order_seq_cst, memory_order_seq_cst)

#endif
