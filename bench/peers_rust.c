/* Rust's std, parking_lot, usync, crossbeam, kanal and flume, through the C functions of
   bench/rust. */
#include <stdlib.h>

#include "loops.h"

/* What bench/rust names rust_<id>_<function>, as the macros of loops.h want it. */
#define OBJECT(id)                                                                                 \
  void *id##_make(const struct cell *);                                                            \
  void id##_unmake(void *)

#define RUST_LOCK(id, label, bytes)                                                                \
  OBJECT(id);                                                                                      \
  void id##_lock(void *);                                                                          \
  void id##_unlock(void *);                                                                        \
  LOCK_PEER(id, label, PARKS, bytes)

RUST_LOCK(rust_parking, "parking_lot", 1);
RUST_LOCK(rust_usync, "usync", 8);
RUST_LOCK(rust_std, "Rust std", 8);

#define RUST_RWLOCK(id, label, bytes)                                                              \
  OBJECT(id);                                                                                      \
  void id##_read_lock(void *);                                                                     \
  void id##_read_unlock(void *);                                                                   \
  void id##_write_lock(void *);                                                                    \
  void id##_write_unlock(void *);                                                                  \
  RWLOCK_PEER(id, label, PARKS, bytes)

RUST_RWLOCK(rust_parking_rw, "parking_lot", 8);
RUST_RWLOCK(rust_usync_rw, "usync", 8);
RUST_RWLOCK(rust_std_rw, "Rust std", 12);

/* --- arrays of locks ---------------------------------------------------------------------- */

#define RUST_ARRAY(id, label, bytes)                                                               \
  void *id##_new(uint64_t n);                                                                      \
  void id##_free(void *);                                                                          \
  void id##_lock(void *, uint64_t);                                                                \
  void id##_unlock(void *, uint64_t);                                                              \
  static void *id##_make(const struct cell *cell)                                                  \
  {                                                                                                \
    return id##_new((uint64_t)cell->locks);                                                        \
  }                                                                                                \
  static void id##_unmake(void *array)                                                             \
  {                                                                                                \
    id##_free(array);                                                                              \
  }                                                                                                \
  LOCKARRAY_PEER(id, label, PARKS, bytes)

RUST_ARRAY(rust_parking_array, "parking_lot", 1);
RUST_ARRAY(rust_std_array, "Rust std", 8);

/* --- barrier and hand-over ------------------------------------------------------------------ */

#define RUST_BARRIER(id, label)                                                                    \
  void *id##_new(int threads);                                                                     \
  void id##_free(void *);                                                                          \
  void id##_wait(void *);                                                                          \
  static void *id##_make(const struct cell *cell)                                                  \
  {                                                                                                \
    return id##_new(cell->threads);                                                                \
  }                                                                                                \
  static void id##_unmake(void *barrier)                                                           \
  {                                                                                                \
    id##_free(barrier);                                                                            \
  }                                                                                                \
  BARRIER_PEER(id, label, PARKS, 0)

RUST_BARRIER(rust_std_barrier, "Rust std");

#define RUST_HANDOVER(id, label)                                                                   \
  OBJECT(id);                                                                                      \
  void id##_give(void *, int);                                                                     \
  void id##_take(void *, int);                                                                     \
  HANDOVER_PEER(id, label, PARKS, 0)

RUST_HANDOVER(rust_parking_condvar, "parking_lot Condvar");
RUST_HANDOVER(rust_std_condvar, "Rust std Condvar");

/* --- queues
   ------------------------------------------------------------------------------------ */

#define RUST_BOUNDED(id)                                                                           \
  void *id##_new(int capacity);                                                                    \
  void id##_free(void *);                                                                          \
  static void *id##_make(const struct cell *cell)                                                  \
  {                                                                                                \
    return id##_new(cell->capacity);                                                               \
  }                                                                                                \
  static void id##_unmake(void *queue)                                                             \
  {                                                                                                \
    id##_free(queue);                                                                              \
  }

#define RUST_QUEUE(id, label)                                                                      \
  void id##_put(void *, int64_t);                                                                  \
  int64_t id##_get(void *);                                                                        \
  QUEUE_PEER(id, label, PARKS, 0)

/* The same objects, with the calls that return at once. */
#define RUST_TRYQUEUE(id, label)                                                                   \
  int id##_tryput(void *, int64_t);                                                                \
  int id##_tryget(void *, int64_t *);                                                              \
  static void id##_try_run(struct worker *w)                                                       \
  {                                                                                                \
    tryqueue_loop(w, id##_tryput, id##_tryget);                                                    \
  }                                                                                                \
  static const struct peer id##_try = {TRYQUEUE,  label,       PARKS,       0,                     \
                                       id##_make, id##_unmake, id##_try_run}

RUST_BOUNDED(rust_crossbeam)
RUST_BOUNDED(rust_kanal)
RUST_BOUNDED(rust_flume)
RUST_BOUNDED(rust_array_queue)

RUST_QUEUE(rust_crossbeam, "crossbeam channel");
RUST_QUEUE(rust_kanal, "kanal");
RUST_QUEUE(rust_flume, "flume");

RUST_TRYQUEUE(rust_crossbeam, "crossbeam channel");
RUST_TRYQUEUE(rust_kanal, "kanal");
RUST_TRYQUEUE(rust_flume, "flume");
RUST_TRYQUEUE(rust_array_queue, "crossbeam ArrayQueue");

/* --- creation and destruction ----------------------------------------------------------------- */

#define RUST_LIFE(id, label)                                                                       \
  void *id##_new(void);                                                                            \
  void id##_free(void *);                                                                          \
  void id##_lock(void *);                                                                          \
  void id##_unlock(void *);                                                                        \
  LIFE_PEER(id, label, PARKS)

RUST_LIFE(rust_parking_life, "parking_lot");
RUST_LIFE(rust_std_life, "Rust std");

const struct peer *const rust_peers[] = {
  &rust_parking,         &rust_usync,       &rust_std,
  &rust_parking_rw,      &rust_usync_rw,    &rust_std_rw,
  &rust_parking_array,   &rust_std_array,   &rust_std_barrier,
  &rust_parking_condvar, &rust_std_condvar, &rust_crossbeam,
  &rust_kanal,           &rust_flume,       &rust_crossbeam_try,
  &rust_kanal_try,       &rust_flume_try,   &rust_array_queue_try,
  &rust_parking_life,    &rust_std_life,    NULL};
