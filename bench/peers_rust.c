/* Rust's std, parking_lot, usync, crossbeam, kanal and flume, through the C functions of bench/rust. */
#include <stdlib.h>

#include "loops.h"

/* What bench/rust names rust_<id>_<function>, as the macros of loops.h want it. */
#define OBJECT(id)                       \
  void *id##_make(const struct cell *);  \
  void id##_unmake(void *)

#define RUST_LOCK(id, label, bytes) \
  OBJECT(id);                       \
  void id##_lock(void *);           \
  void id##_unlock(void *);         \
  LOCK_PEER(id, label, PARKS, bytes)

RUST_LOCK(rust_parking, "parking_lot", 1);
RUST_LOCK(rust_usync, "usync", 8);
RUST_LOCK(rust_std, "Rust std", 8);

#define RUST_RWLOCK(id, label, bytes)  \
  OBJECT(id);                          \
  void id##_read_lock(void *);         \
  void id##_read_unlock(void *);       \
  void id##_write_lock(void *);        \
  void id##_write_unlock(void *);      \
  RWLOCK_PEER(id, label, PARKS, bytes)

RUST_RWLOCK(rust_parking_rw, "parking_lot", 8);
RUST_RWLOCK(rust_usync_rw, "usync", 8);
RUST_RWLOCK(rust_std_rw, "Rust std", 12);

/* --- arrays of locks ---------------------------------------------------------------------- */

#define RUST_ARRAY(id, label, bytes)                 \
  void *id##_new(uint64_t n);                        \
  void id##_free(void *);                            \
  void id##_lock(void *, uint64_t);                  \
  void id##_unlock(void *, uint64_t);                \
  static void *id##_make(const struct cell *cell)    \
  {                                                  \
    return id##_new((uint64_t)cell->locks);          \
  }                                                  \
  static void id##_unmake(void *array)               \
  {                                                  \
    id##_free(array);                                \
  }                                                  \
  LOCKARRAY_PEER(id, label, PARKS, bytes)

RUST_ARRAY(rust_parking_array, "parking_lot", 1);
RUST_ARRAY(rust_std_array, "Rust std", 8);

/* --- barrier and hand-over ------------------------------------------------------------------ */

void *rust_barrier_new(int threads);
void rust_barrier_free(void *);
void rust_barrier_wait(void *);

static void *barrier_make(const struct cell *cell)
{
  return rust_barrier_new(cell->threads);
}

#define barrier_unmake rust_barrier_free
#define barrier_wait rust_barrier_wait
BARRIER_PEER(barrier, "Rust std", PARKS, 0);

#define RUST_HANDOVER(id, label) \
  OBJECT(id);                    \
  void id##_give(void *, int);   \
  void id##_take(void *, int);   \
  HANDOVER_PEER(id, label, PARKS, 0)

RUST_HANDOVER(rust_parking_condvar, "parking_lot Condvar");
RUST_HANDOVER(rust_std_condvar, "Rust std Condvar");

/* --- queues ------------------------------------------------------------------------------------ */

#define RUST_BOUNDED(id)                          \
  void *id##_new(int capacity);                   \
  void id##_free(void *);                         \
  static void *id##_make(const struct cell *cell) \
  {                                               \
    return id##_new(cell->capacity);              \
  }                                               \
  static void id##_unmake(void *queue)            \
  {                                               \
    id##_free(queue);                             \
  }

#define RUST_QUEUE(id, label)    \
  void id##_put(void *, int64_t); \
  int64_t id##_get(void *);      \
  QUEUE_PEER(id, label, PARKS, 0)

#define RUST_TRYQUEUE(id, peer, label)                     \
  int id##_tryput(void *, int64_t);                        \
  int id##_tryget(void *, int64_t *);                      \
  PEER(peer, TRYQUEUE, tryqueue_loop(w, id##_tryput, id##_tryget), label, PARKS, 0)

RUST_BOUNDED(rust_crossbeam)
RUST_BOUNDED(rust_kanal)
RUST_BOUNDED(rust_flume)
RUST_BOUNDED(rust_array_queue)

RUST_QUEUE(rust_crossbeam, "crossbeam channel");
RUST_QUEUE(rust_kanal, "kanal");
RUST_QUEUE(rust_flume, "flume");

#define MAKES(id, peer)               \
  static void *peer##_make(const struct cell *cell) \
  {                                   \
    return id##_make(cell);           \
  }                                   \
  static void peer##_unmake(void *queue) \
  {                                   \
    id##_unmake(queue);               \
  }

MAKES(rust_crossbeam, try_crossbeam)
MAKES(rust_kanal, try_kanal)
MAKES(rust_flume, try_flume)
MAKES(rust_array_queue, try_array_queue)

RUST_TRYQUEUE(rust_crossbeam, try_crossbeam, "crossbeam channel");
RUST_TRYQUEUE(rust_kanal, try_kanal, "kanal");
RUST_TRYQUEUE(rust_flume, try_flume, "flume");
RUST_TRYQUEUE(rust_array_queue, try_array_queue, "crossbeam ArrayQueue");

/* --- creation and destruction ----------------------------------------------------------------- */

#define RUST_LIFE(id, label)     \
  void *id##_new(void);          \
  void id##_free(void *);        \
  void id##_lock(void *);        \
  void id##_unlock(void *);      \
  LIFE_PEER(id, label, PARKS)

RUST_LIFE(rust_parking_life, "parking_lot");
RUST_LIFE(rust_std_life, "Rust std");

const struct peer *const rust_peers[] = {&rust_parking,         &rust_usync,       &rust_std,       &rust_parking_rw,
                                         &rust_usync_rw,        &rust_std_rw,      &rust_parking_array, &rust_std_array,
                                         &barrier,              &rust_parking_condvar, &rust_std_condvar,  &rust_crossbeam,
                                         &rust_kanal,           &rust_flume,       &try_crossbeam,  &try_kanal,
                                         &try_flume,            &try_array_queue,  &rust_parking_life, &rust_std_life,
                                         NULL};
