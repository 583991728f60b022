/* A place in the library's source where an atomic operation stands: what the sources tell the
   engine at each operation, and what a mutant changes. */
#ifndef MODEL_SITE_H
#define MODEL_SITE_H

#include <stdbool.h>
#include <stdint.h>

/* Relacy's numbers. */
enum order {
  ORDER_RELAXED = 0,
  ORDER_ACQUIRE = 2,
  ORDER_RELEASE = 3,
  ORDER_ACQ_REL = 4,
  ORDER_SEQ_CST = 5
};

enum site_operation {
  SITE_LOAD,
  SITE_STORE,
  SITE_EXCHANGE,
  SITE_ADD,
  SITE_SUB,
  SITE_OR,
  SITE_AND,
  SITE_XOR,
  SITE_CAS,
  SITE_FENCE
};

struct site {
  const char *file, *name; /* the file's path; "store_release" */
  int line, operation, order;
  const char *function; /* NULL: not reached yet */
  bool is_dropped;      /* by a mutant: the operation does nothing */
  bool is_mutant;       /* this one, or its order */
  int number, scenario; /* among those reached; the last scenario that reached it, + 1 */
};

#ifdef __cplusplus
extern "C" {
#endif

uint64_t model_load(void *address, int size, struct site *site, const char *function);
void model_store(void *address, int size, uint64_t value, struct site *site, const char *function);
uint64_t model_rmw(void *address, int size, uint64_t operand, struct site *site,
                   const char *function);
bool model_cas(void *address, int size, void *expected, uint64_t desired, struct site *site,
               const char *function);
void model_fence(struct site *site, const char *function);
void model_yield(void);
extern int model_spins; /* SPINS */

/* For the seams in seams.c. */
bool model_barrier(struct site *site, const char *function);
extern char *const seams_shared_begin,
  *const seams_shared_end; /* what the library has allocated, and objects */
int64_t model_clock(void);
enum { MODEL_WOKEN, MODEL_TIMEDOUT };
int model_wait(void *word, uint32_t expected, int64_t deadline);
int model_wake(void *word, int n);
void model_guard_lock(void *guard);
void model_guard_unlock(void *guard);
void seams_reset(void);

#ifdef __cplusplus
}
#endif

#endif
