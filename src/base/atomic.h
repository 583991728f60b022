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

/* Every operation below is carried out by ATOMIC. In the library that the tests with jitter link, a
   delay or a switch of threads may come before each, so interleavings that otherwise happen once in
   a million runs happen every second. */
#ifdef ILK_JITTER
void jitter_point(void); /* test/jitter.c */
#define ATOMIC(operation, ...) (jitter_point(), atomic_##operation(__VA_ARGS__))
#else
#define ATOMIC(operation, ...) atomic_##operation(__VA_ARGS__)
#endif

#define ATOMIC_LOAD(p, order) ATOMIC(load_explicit, (p), memory_order_##order)
#define ATOMIC_STORE(p, v, order) ATOMIC(store_explicit, (p), (v), memory_order_##order)
#define ATOMIC_RMW(operation, p, v, order)                                                         \
  ATOMIC(operation##_explicit, (p), (v), memory_order_##order)
#define ATOMIC_CAS(p, expected, desired, order, failed)                                            \
  ATOMIC(compare_exchange_strong_explicit, (p), (expected), (desired), memory_order_##order,       \
         memory_order_##failed)

#define load_relaxed(p) ATOMIC_LOAD(p, relaxed)
#define load_acquire(p) ATOMIC_LOAD(p, acquire)
#define load_seq_cst(p) ATOMIC_LOAD(p, seq_cst)

#define store_relaxed(p, v) ATOMIC_STORE(p, v, relaxed)
#define store_release(p, v) ATOMIC_STORE(p, v, release)
#define store_seq_cst(p, v) ATOMIC_STORE(p, v, seq_cst)

/* Stores only a value that differs, so that a fork's child does not copy the page without need. */
#define update_relaxed(p, v)                                                                       \
  do {                                                                                             \
    if (load_relaxed(p) != (v))                                                                    \
      store_relaxed((p), (v));                                                                     \
  } while (0)

#define exchange_acquire(p, v) ATOMIC_RMW(exchange, p, v, acquire)
#define exchange_seq_cst(p, v) ATOMIC_RMW(exchange, p, v, seq_cst)
#define add_relaxed(p, v) ATOMIC_RMW(fetch_add, p, v, relaxed)
#define add_acq_rel(p, v) ATOMIC_RMW(fetch_add, p, v, acq_rel)
#define add_seq_cst(p, v) ATOMIC_RMW(fetch_add, p, v, seq_cst)
#define sub_relaxed(p, v) ATOMIC_RMW(fetch_sub, p, v, relaxed)
#define sub_seq_cst(p, v) ATOMIC_RMW(fetch_sub, p, v, seq_cst)
#define or_relaxed(p, v) ATOMIC_RMW(fetch_or, p, v, relaxed)
#define or_seq_cst(p, v) ATOMIC_RMW(fetch_or, p, v, seq_cst)
#define and_relaxed(p, v) ATOMIC_RMW(fetch_and, p, v, relaxed)
#define and_seq_cst(p, v) ATOMIC_RMW(fetch_and, p, v, seq_cst)
#define xor_seq_cst(p, v) ATOMIC_RMW(fetch_xor, p, v, seq_cst)

#define fence_seq_cst() ATOMIC(thread_fence, memory_order_seq_cst)

/* Strong compare-and-swap. `expected` is a pointer, and receives the value that was loaded. A
   failure is a load: relaxed in the first three, acquire in the fourth, seq_cst in the last. */
#define cas_relaxed(p, expected, desired) ATOMIC_CAS(p, expected, desired, relaxed, relaxed)
#define cas_acquire(p, expected, desired) ATOMIC_CAS(p, expected, desired, acquire, relaxed)
#define cas_release(p, expected, desired) ATOMIC_CAS(p, expected, desired, release, relaxed)
#define cas_acq_rel(p, expected, desired) ATOMIC_CAS(p, expected, desired, acq_rel, acquire)
#define cas_seq_cst(p, expected, desired) ATOMIC_CAS(p, expected, desired, seq_cst, seq_cst)

/* The number of checks in a spin loop of fixed length before a wait. Such a loop lasts longer than
   a short critical section, or than the next step of a queue's put. */
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

/* Before a compare-and-swap of a word that is probably in no cache: fetches its line, for writing.
   The processor begins the fetch while earlier operations are under way, which it cannot do with an
   atomic instruction. On x86-64 the builtin would fetch for reading, unless the compiler's target
   is a newer processor; hence the assembly. A processor without the instruction ignores it. */
static inline void prefetch_write(const volatile void *address)
{
#ifdef __x86_64__
  __asm__ volatile("prefetchw %0" : : "m"(*(const volatile char *)address));
#else
  __builtin_prefetch((const void *)address, 1);
#endif
}

#endif
