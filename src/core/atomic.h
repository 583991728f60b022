/* Atomic operations with the memory order in their names. The library contains no plain load or
   store of an atomic, and uses only these names, so a model checker or a test can put its own
   operations behind them. */
#ifndef INTERLOCK_ATOMIC_H
#define INTERLOCK_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t atomic_u32;
typedef _Atomic uint64_t atomic_u64;
typedef _Atomic int64_t atomic_i64;
typedef _Atomic uintptr_t atomic_word; /* a handle or an address */

#define load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

/* Stores only a value that differs, so that a fork's child does not copy the page without need. */
#define update_relaxed(p, v)                                                                       \
  do {                                                                                             \
    if (load_relaxed(p) != (v))                                                                    \
      store_relaxed((p), (v));                                                                     \
  } while (0)

#define exchange_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define exchange_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)
#define exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

#define add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define add_release(p, v) atomic_fetch_add_explicit((p), (v), memory_order_release)
#define add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define sub_release(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_release)
#define sub_seq_cst(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define or_seq_cst(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define and_relaxed(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define and_seq_cst(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define xor_seq_cst(p, v) atomic_fetch_xor_explicit((p), (v), memory_order_seq_cst)

#define fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)

/* Strong compare-and-swap. `expected` is a pointer and receives the value that was loaded. A
   failure is relaxed in the first three, and a load of the named order in the others. */
#define cas_relaxed(p, expected, desired)                                                          \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_relaxed,        \
                                          memory_order_relaxed)
#define cas_acquire(p, expected, desired)                                                          \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acquire,        \
                                          memory_order_relaxed)
#define cas_release(p, expected, desired)                                                          \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_release,        \
                                          memory_order_relaxed)
#define cas_acq_rel(p, expected, desired)                                                          \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acq_rel,        \
                                          memory_order_acquire)
#define cas_seq_cst(p, expected, desired)                                                          \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_seq_cst,        \
                                          memory_order_seq_cst)

/* The number of checks in a spin loop of fixed length before a wait: longer than a short critical
   section, or than the next step of a queue's put. */
#define SPINS 40

/* For a spin loop: yields to the sibling hardware thread and saves power. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ __volatile__("yield" ::: "memory");
#else
  __asm__ __volatile__("" ::: "memory");
#endif
}

#endif
