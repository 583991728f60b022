/* Forced into the library's sources (-include) in place of src/base/atomic.h: each atomic operation is
   carried out by the engine (engine.hpp), under the memory orders of the C standard and not those of
   the machine. So are the few calls of the system that order anything: pthread mutexes, the clock, yields.
   The sources are otherwise compiled as they are. */
#ifndef MODEL_SHIM_H
#define MODEL_SHIM_H

#define INTERLOCK_ATOMIC_H /* not that one */
#define _GNU_SOURCE

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/select.h>
#include <time.h>

#include "site.h"

typedef _Atomic uint32_t atomic_u32;
typedef _Atomic uint64_t atomic_u64;
typedef _Atomic int64_t atomic_i64;
typedef _Atomic uintptr_t atomic_word;

/* In a section of its own: the engine makes all other variables new for each execution. */
#define SITE(operation_, name_, order_)                                                            \
  __extension__({                                                                                  \
    static struct site site_ __attribute__((section("model_sites"))) = {.file = __FILE__,          \
                                                                        .name = name_,             \
                                                                        .line = __LINE__,          \
                                                                        .operation = operation_,   \
                                                                        .order = order_};          \
    &site_;                                                                                        \
  })

#define VALUE(p) __typeof__((void)0, *(p)) /* without _Atomic */
#define WHERE(p) (void *)(p), sizeof *(p)

#define LOAD_(p, name, order)                                                                      \
  ((VALUE(p))model_load(WHERE(p), SITE(SITE_LOAD, name, order), __func__))
#define load_relaxed(p) LOAD_(p, "load_relaxed", ORDER_RELAXED)
#define load_acquire(p) LOAD_(p, "load_acquire", ORDER_ACQUIRE)
#define load_seq_cst(p) LOAD_(p, "load_seq_cst", ORDER_SEQ_CST)

#define STORE_(p, v, name, order)                                                                  \
  model_store(WHERE(p), (uint64_t)(v), SITE(SITE_STORE, name, order), __func__)
#define store_relaxed(p, v) STORE_(p, v, "store_relaxed", ORDER_RELAXED)
#define store_release(p, v) STORE_(p, v, "store_release", ORDER_RELEASE)
#define store_seq_cst(p, v) STORE_(p, v, "store_seq_cst", ORDER_SEQ_CST)

#define update_relaxed(p, v)                                                                       \
  do {                                                                                             \
    if (load_relaxed(p) != (v))                                                                    \
      store_relaxed((p), (v));                                                                     \
  } while (0)

#define RMW_(p, v, operation, name, order)                                                         \
  ((VALUE(p))model_rmw(WHERE(p), (uint64_t)(v), SITE(operation, name, order), __func__))
#define exchange_acquire(p, v) RMW_(p, v, SITE_EXCHANGE, "exchange_acquire", ORDER_ACQUIRE)
#define exchange_seq_cst(p, v) RMW_(p, v, SITE_EXCHANGE, "exchange_seq_cst", ORDER_SEQ_CST)
#define add_relaxed(p, v) RMW_(p, v, SITE_ADD, "add_relaxed", ORDER_RELAXED)
#define add_acq_rel(p, v) RMW_(p, v, SITE_ADD, "add_acq_rel", ORDER_ACQ_REL)
#define add_seq_cst(p, v) RMW_(p, v, SITE_ADD, "add_seq_cst", ORDER_SEQ_CST)
#define sub_relaxed(p, v) RMW_(p, v, SITE_SUB, "sub_relaxed", ORDER_RELAXED)
#define sub_seq_cst(p, v) RMW_(p, v, SITE_SUB, "sub_seq_cst", ORDER_SEQ_CST)
#define or_relaxed(p, v) RMW_(p, v, SITE_OR, "or_relaxed", ORDER_RELAXED)
#define or_seq_cst(p, v) RMW_(p, v, SITE_OR, "or_seq_cst", ORDER_SEQ_CST)
#define and_relaxed(p, v) RMW_(p, v, SITE_AND, "and_relaxed", ORDER_RELAXED)
#define and_seq_cst(p, v) RMW_(p, v, SITE_AND, "and_seq_cst", ORDER_SEQ_CST)
#define xor_seq_cst(p, v) RMW_(p, v, SITE_XOR, "xor_seq_cst", ORDER_SEQ_CST)

#define CAS_(p, expected, desired, name, order)                                                    \
  model_cas(WHERE(p), (void *)(expected), (uint64_t)(desired), SITE(SITE_CAS, name, order),        \
            __func__)
#define cas_relaxed(p, expected, desired) CAS_(p, expected, desired, "cas_relaxed", ORDER_RELAXED)
#define cas_acquire(p, expected, desired) CAS_(p, expected, desired, "cas_acquire", ORDER_ACQUIRE)
#define cas_release(p, expected, desired) CAS_(p, expected, desired, "cas_release", ORDER_RELEASE)
#define cas_acq_rel(p, expected, desired) CAS_(p, expected, desired, "cas_acq_rel", ORDER_ACQ_REL)
#define cas_seq_cst(p, expected, desired) CAS_(p, expected, desired, "cas_seq_cst", ORDER_SEQ_CST)

#define fence_seq_cst() model_fence(SITE(SITE_FENCE, "fence_seq_cst", ORDER_SEQ_CST), __func__)

/* Each check yields: after 40 of them the other threads have ended, and no thread ever waits. A
   scenario may choose 0: after a yield, no load returns a value that was stale before it. */
#define SPINS model_spins
#define cpu_relax() model_yield()

#define prefetch_write(address) ((void)(address))

/* --- the system --------------------------------------------------------------------------- */

#define pthread_mutex_init(guard, attributes) ((void)(guard), 0)
#define pthread_mutex_lock(guard) model_guard_lock(guard)
#define pthread_mutex_unlock(guard) model_guard_unlock(guard)
#define pthread_sigmask(how, set, before)                                                          \
  ((void)(set), (void)(before), 0) /* there are no signals */

#endif
