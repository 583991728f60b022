/* One thread's loop for each kind. The calls are arguments that are constant where
   a peer uses them, so they are inlined. */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"

#define INLINED static inline __attribute__((always_inline, unused))

/* Of so many operations, the wait of one is timed: the clock costs as much as a lock. */
#define SAMPLE 32

/* The stop flag is checked this rarely where no other thread can be kept waiting. */
#define BATCH 64

INLINED bool stopped(struct worker *w)
{
  return __atomic_load_n(w->stop, __ATOMIC_RELAXED);
}

INLINED int64_t clock_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A chain that neither compiler nor processor shortens; touches no memory. */
INLINED void work(uint64_t steps)
{
  uint64_t x = steps;
  while (steps--) {
    x = x * UINT64_C(6364136223846793005) + 1;
    __asm__ __volatile__("" : "+r"(x));
  }
}

INLINED uint64_t draw(struct worker *w)
{
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return w->random >> 16;
}

/* Between half and one and a half of it, so that threads do not fall into step. */
INLINED void work_outside(struct worker *w)
{
  if (w->outside)
    work(w->outside / 2 + draw(w) % (w->outside + 1));
}

INLINED void note_wait(struct worker *w, int64_t ns)
{
  uint64_t v = ns > 0 ? (uint64_t)ns : 0;
  int top = v < 8 ? 0 : 63 - __builtin_clzll(v) - 2;
  w->waits->count[v < 8 ? v : (uint64_t)top * 8 + ((v >> (top - 1)) & 7)]++;
}

/* --- locks, and semaphores used as such ------------------------------------------- */

INLINED void lock_loop(struct worker *w, void (*lock)(void *), void (*unlock)(void *))
{
  uint64_t ops = 0, locks = (uint64_t)w->cell->locks;
  if (!w->inside) {
    void *object = w->objects[0];
    int batch = w->cell->threads == 1 ? BATCH : 1;
    do {
      for (int i = 0; i < batch; i++) {
        lock(object);
        unlock(object);
      }
      ops += (uint64_t)batch;
    } while (!stopped(w));
    w->ops = ops;
    return;
  }
  do {
    work_outside(w);
    uint64_t which = locks > 1 ? draw(w) % locks : 0;
    struct guarded *guarded = &w->guarded[which];
    bool timed = w->waits && ops % SAMPLE == 0;
    int64_t since = timed ? clock_ns() : 0;
    lock(w->objects[which]);
    if (timed)
      note_wait(w, clock_ns() - since);
    guarded->first = guarded->first + 1;
    work(w->inside);
    unlock(w->objects[which]);
    ops++;
  } while (!stopped(w));
  w->ops = ops;
}

/* --- readers-writer locks --------------------------------------------------------- */

INLINED void rwlock_loop(struct worker *w, void (*read_lock)(void *), void (*read_unlock)(void *),
                         void (*write_lock)(void *), void (*write_unlock)(void *))
{
  uint64_t ops = 0, writes = (uint64_t)w->cell->writes;
  void *object = w->objects[0];
  if (!w->inside) {
    int batch = w->cell->threads == 1 || !writes ? BATCH : 1;
    do {
      for (int i = 0; i < batch; i++)
        if (writes) {
          write_lock(object);
          write_unlock(object);
        } else {
          read_lock(object);
          read_unlock(object);
        }
      ops += (uint64_t)batch;
    } while (!stopped(w));
    w->ops = ops;
    return;
  }
  do {
    work_outside(w);
    bool timed = w->waits && ops % SAMPLE == 0;
    int64_t since = timed ? clock_ns() : 0;
    if (draw(w) % 1000 < writes) {
      write_lock(object);
      if (timed)
        note_wait(w, clock_ns() - since);
      w->guarded->first = w->guarded->first + 1;
      work(w->inside);
      w->guarded->second = w->guarded->second + 1;
      write_unlock(object);
      w->written++;
    } else {
      read_lock(object);
      if (timed)
        note_wait(w, clock_ns() - since);
      uint64_t first = w->guarded->first;
      work(w->inside);
      w->wrong += w->guarded->second != first;
      read_unlock(object);
    }
    ops++;
  } while (!stopped(w));
  w->ops = ops;
}

/* --- barriers: the first thread says which round is the last ----------------------- */

INLINED void barrier_loop(struct worker *w, void (*wait)(void *))
{
  int64_t round = 0;
  for (;;) {
    if (w->index == 0 && stopped(w))
      __atomic_store_n(w->last, round, __ATOMIC_RELAXED);
    work_outside(w);
    if (w->inside)
      __atomic_fetch_add(&w->guarded->first, 1, __ATOMIC_RELAXED);
    wait(w->objects[0]);
    if (w->inside)
      w->wrong += w->guarded->first < (uint64_t)w->cell->threads * (uint64_t)(round + 1);
    if (__atomic_load_n(w->last, __ATOMIC_RELAXED) == round)
      break;
    round++;
  }
  w->ops = w->index == 0 ? (uint64_t)round + 1 : 0;
}

/* --- hand-over: each of two threads wakes the other and sleeps --------------------- */

INLINED void handover_loop(struct worker *w, void (*give)(void *, int to),
                           void (*take)(void *, int me))
{
  uint64_t ops = 0;
  void *object = w->objects[0];
  if (w->index == 0) {
    bool last;
    do {
      last = stopped(w);
      w->guarded->first = last;
      w->guarded->second = w->guarded->second + 1;
      give(object, 1);
      take(object, 0);
      ops += 2;
      w->wrong += w->guarded->second != ops;
    } while (!last);
  } else {
    bool last;
    do {
      take(object, 1);
      last = w->guarded->first;
      w->guarded->second = w->guarded->second + 1;
      give(object, 0);
    } while (!last);
  }
  w->ops = ops;
}

/* --- broadcast: the first thread wakes all others, and waits until each has had the mutex ---

   An operation is the wake of one thread. `side` is the condition: 0 is the first thread's. */

INLINED void broadcast_loop(struct worker *w, void (*lock)(void *), void (*unlock)(void *),
                            void (*wait)(void *, int side), void (*wake_all)(void *, int side))
{
  void *object = w->objects[0];
  volatile uint64_t *round = &w->guarded->first, *left = &w->guarded->second;
  volatile int64_t *last = w->last; /* the mutex protects it, too */
  uint64_t others = (uint64_t)w->cell->threads - 1, seen = 0;
  lock(object);
  while (*last < 0 || seen < (uint64_t)*last) {
    if (w->index == 0) {
      *round = ++seen;
      *left = others;
      if (stopped(w))
        *last = (int64_t)seen;
      wake_all(object, 1);
      while (*left)
        wait(object, 0);
      w->ops += others;
    } else {
      while (*round == seen)
        wait(object, 1);
      w->wrong += *round != ++seen;
      work(w->inside);
      *left = *left - 1;
      if (!*left)
        wake_all(object, 0);
    }
  }
  unlock(object);
}

/* --- counters ---------------------------------------------------------------------- */

INLINED void add_loop(struct worker *w, void (*add)(void *))
{
  uint64_t ops = 0;
  void *object = w->objects[0];
  do {
    for (int i = 0; i < BATCH; i++)
      add(object);
    ops += BATCH;
  } while (!stopped(w));
  w->ops = ops;
}

/* --- queues: even threads put, odd ones get; a 0 for each ends it ------------------- */

INLINED void queue_loop(struct worker *w, void (*put)(void *, int64_t), int64_t (*get)(void *))
{
  uint64_t ops = 0;
  void *object = w->objects[0];
  if (w->index % 2 == 0) {
    do {
      work_outside(w);
      put(object, 1);
      w->written++;
    } while (!stopped(w));
    put(object, 0);
  } else {
    while (get(object)) {
      ops++;
      work_outside(w);
    }
  }
  w->ops = ops;
}

/* --- queues whose calls return at once: 0 where it is full or empty ----------------- */

/* Half of the time in short pauses, then the processor goes to the thread that can make space. */
#define TRIES 16

INLINED void failed_try(int *failures)
{
  if (++*failures % TRIES)
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ __volatile__("" ::: "memory");
#endif
  else
    sched_yield();
}

INLINED void tryqueue_loop(struct worker *w, int (*tryput)(void *, int64_t),
                           int (*tryget)(void *, int64_t *))
{
  uint64_t ops = 0;
  void *object = w->objects[0];
  int failures = 0;
  if (w->index % 2 == 0) {
    do {
      work_outside(w);
      if (tryput(object, 1))
        w->written++;
      else
        failed_try(&failures);
    } while (!stopped(w));
    while (!tryput(object, 0))
      failed_try(&failures);
  } else {
    int64_t item = 1;
    do {
      if (!tryget(object, &item)) {
        failed_try(&failures);
        continue;
      }
      ops += item != 0;
      work_outside(w);
    } while (item);
  }
  w->ops = ops;
}

/* --- arrays of locks: one lock at random for each operation -------------------------- */

INLINED void array_loop(struct worker *w, void (*lock)(void *, uint64_t),
                        void (*unlock)(void *, uint64_t))
{
  uint64_t ops = 0, locks = (uint64_t)w->cell->locks;
  void *array = w->objects[0];
  do {
    work_outside(w);
    uint64_t i = (draw(w) & UINT32_MAX) * locks >> 32;
    lock(array, i);
    if (w->inside) {
      w->guarded[i].first = w->guarded[i].first + 1;
      work(w->inside);
    }
    unlock(array, i);
    ops++;
  } while (!stopped(w));
  w->ops = ops;
}

/* --- creation and destruction --------------------------------------------------------- */

struct nursery {
  void *objects[BATCH];
};

/* The second thread is to lock object `first - 1`, counted through all batches, and has done so
   with `second` of them. Both begin at 0 in each run. */
#define ENDED UINT64_MAX

/* Long enough for the second thread to stop spinning and to sleep. */
#define ASLEEP_NS 100000

INLINED void have_waiter(struct worker *w, void *object, uint64_t wanted, void (*unlock)(void *))
{
  struct timespec t = {0, ASLEEP_NS};
  __atomic_store_n(&w->guarded->first, wanted, __ATOMIC_RELEASE);
  nanosleep(&t, NULL);
  unlock(object);
  while (__atomic_load_n(&w->guarded->second, __ATOMIC_ACQUIRE) != wanted)
    sched_yield();
}

INLINED void wait_for_each(struct worker *w, struct nursery *n, void (*lock)(void *),
                           void (*unlock)(void *))
{
  uint64_t done = 0, wanted;
  while ((wanted = __atomic_load_n(&w->guarded->first, __ATOMIC_ACQUIRE)) != ENDED)
    if (wanted == done) {
      sched_yield();
    } else {
      void *object = n->objects[(wanted - 1) % BATCH];
      lock(object);
      unlock(object);
      __atomic_store_n(&w->guarded->second, done = wanted, __ATOMIC_RELEASE);
    }
}

/* Compilers leave out an allocation whose memory no thread uses. */
INLINED void *used(void *object)
{
  __asm__ __volatile__("" : "+r"(object) : : "memory");
  return object;
}

INLINED void life_loop(struct worker *w, void *(*create)(void), void (*destroy)(void *),
                       void (*lock)(void *), void (*unlock)(void *))
{
  struct nursery *n = (struct nursery *)w->objects[0];
  uint64_t ops = 0;
  if (w->index) {
    wait_for_each(w, n, lock, unlock);
    return;
  }
  uint64_t wanted = 0;
  do {
    if (!w->cell->batch) {
      for (int i = 0; i < BATCH; i++)
        destroy(used(create()));
    } else {
      for (int i = 0; i < BATCH; i++) {
        n->objects[i] = create();
        lock(n->objects[i]);
        if (w->cell->threads > 1)
          have_waiter(w, n->objects[i], ++wanted, unlock);
        else
          unlock(n->objects[i]);
      }
      int64_t since = clock_ns();
      for (int i = 0; i < BATCH; i++)
        destroy(n->objects[i]);
      w->timed += clock_ns() - since;
    }
    ops += BATCH;
  } while (!stopped(w));
  __atomic_store_n(&w->guarded->first, ENDED, __ATOMIC_RELEASE);
  w->ops = ops;
}

INLINED void *nursery_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(sizeof(struct nursery));
}

/* --- a peer from its calls ---------------------------------------------------------- */

#define PEER(id, KIND, loop, label, its_traits, its_bytes)                                         \
  static void id##_run(struct worker *w)                                                           \
  {                                                                                                \
    loop;                                                                                          \
  }                                                                                                \
  static const struct peer id = {KIND,      label,       its_traits, its_bytes,                    \
                                 id##_make, id##_unmake, id##_run}

#define LOCK_PEER(id, label, traits, bytes)                                                        \
  PEER(id, LOCK, lock_loop(w, id##_lock, id##_unlock), label, traits, bytes)
#define SEMAPHORE_PEER(id, label, traits, bytes)                                                   \
  PEER(id, SEMAPHORE, lock_loop(w, id##_lock, id##_unlock), label, traits, bytes)
#define RWLOCK_PEER(id, label, traits, bytes)                                                      \
  PEER(id, RWLOCK,                                                                                 \
       rwlock_loop(w, id##_read_lock, id##_read_unlock, id##_write_lock, id##_write_unlock),       \
       label, traits, bytes)
#define BARRIER_PEER(id, label, traits, bytes)                                                     \
  PEER(id, BARRIER, barrier_loop(w, id##_wait), label, traits, bytes)
#define HANDOVER_PEER(id, label, traits, bytes)                                                    \
  PEER(id, HANDOVER, handover_loop(w, id##_give, id##_take), label, traits, bytes)
#define BROADCAST_PEER(id, label, traits, bytes)                                                   \
  PEER(id, BROADCAST, broadcast_loop(w, id##_lock, id##_unlock, id##_wait, id##_wake_all), label,  \
       traits, bytes)
#define COUNTER_PEER(id, label, traits, bytes)                                                     \
  PEER(id, COUNTER, add_loop(w, id##_add), label, traits, bytes)
#define TALLY_PEER(id, label, traits, bytes)                                                       \
  PEER(id, TALLY, add_loop(w, id##_add), label, traits, bytes)
#define QUEUE_PEER(id, label, traits, bytes)                                                       \
  PEER(id, QUEUE, queue_loop(w, id##_put, id##_get), label, traits, bytes)
#define TRYQUEUE_PEER(id, label, traits, bytes)                                                    \
  PEER(id, TRYQUEUE, tryqueue_loop(w, id##_tryput, id##_tryget), label, traits, bytes)
#define LOCKARRAY_PEER(id, label, traits, bytes)                                                   \
  PEER(id, LOCKARRAY, array_loop(w, id##_lock, id##_unlock), label, traits, bytes)

/* Of id##_new, _free, _lock and _unlock; the harness's own objects are the batches. */
#define LIFE_PEER(id, label, its_traits)                                                           \
  static void id##_run(struct worker *w)                                                           \
  {                                                                                                \
    life_loop(w, id##_new, id##_free, id##_lock, id##_unlock);                                     \
  }                                                                                                \
  static const struct peer id = {LIFE, label, its_traits, 0, nursery_make, free, id##_run}

#endif
