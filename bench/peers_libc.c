/* POSIX and C11 locks. The library must keep its atomics: there always is a second
   thread in the harness, without which glibc leaves them out. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <threads.h>

#include "loops.h"

/* --- locks --------------------------------------------------------------------------- */

static void *mutex_make(const struct cell *cell)
{
  (void)cell;
  pthread_mutex_t *m = line_alloc(sizeof *m);
  pthread_mutex_init(m, NULL);
  return m;
}

static void *adaptive_make(const struct cell *cell)
{
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
  (void)cell;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
  pthread_mutex_t *m = line_alloc(sizeof *m);
  pthread_mutex_init(m, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return m;
#else
  (void)cell;
  return NULL;
#endif
}

static inline void mutex_lock(void *m)
{
  pthread_mutex_lock(m);
}

static inline void mutex_unlock(void *m)
{
  pthread_mutex_unlock(m);
}

static void mutex_unmake(void *m)
{
  pthread_mutex_destroy(m);
  free(m);
}

#define adaptive_lock mutex_lock
#define adaptive_unlock mutex_unlock
#define adaptive_unmake mutex_unmake

LOCK_PEER(mutex, "pthread_mutex", PARKS | BASELINE, sizeof(pthread_mutex_t));
LOCK_PEER(adaptive, "pthread_mutex adaptive", PARKS, sizeof(pthread_mutex_t));

static void *c11_make(const struct cell *cell)
{
  (void)cell;
  mtx_t *m = line_alloc(sizeof *m);
  mtx_init(m, mtx_plain);
  return m;
}

static inline void c11_lock(void *m)
{
  mtx_lock(m);
}

static inline void c11_unlock(void *m)
{
  mtx_unlock(m);
}

static void c11_unmake(void *m)
{
  mtx_destroy(m);
  free(m);
}

LOCK_PEER(c11, "mtx_t", PARKS, sizeof(mtx_t));

static void *spin_make(const struct cell *cell)
{
  (void)cell;
  pthread_spinlock_t *s = line_alloc(sizeof *s);
  pthread_spin_init(s, PTHREAD_PROCESS_PRIVATE);
  return (void *)s;
}

static inline void spin_lock(void *s)
{
  pthread_spin_lock(s);
}

static inline void spin_unlock(void *s)
{
  pthread_spin_unlock(s);
}

static void spin_unmake(void *s)
{
  pthread_spin_destroy(s);
  free(s);
}

LOCK_PEER(spin, "pthread_spin", 0, sizeof(pthread_spinlock_t));

static void *sem_make(const struct cell *cell)
{
  (void)cell;
  sem_t *s = line_alloc(sizeof *s);
  sem_init(s, 0, 1);
  return s;
}

static inline void sem_lock(void *s)
{
  while (sem_wait(s))
    ;
}

static inline void sem_unlock(void *s)
{
  sem_post(s);
}

static void sem_unmake(void *s)
{
  sem_destroy(s);
  free(s);
}

LOCK_PEER(sem, "sem_t", PARKS, sizeof(sem_t));

#define counting_make sem_make
#define counting_lock sem_lock
#define counting_unlock sem_unlock
#define counting_unmake sem_unmake

SEMAPHORE_PEER(counting, "sem_t", PARKS | BASELINE, sizeof(sem_t));

/* --- readers-writer lock --------------------------------------------------------------- */

static void *rw_make(const struct cell *cell)
{
  (void)cell;
  pthread_rwlock_t *rw = line_alloc(sizeof *rw);
  pthread_rwlock_init(rw, NULL);
  return rw;
}

/* By its default, writers may starve; this one is what ours promises. */
static void *writers_first_make(const struct cell *cell)
{
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
  (void)cell;
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_t *rw = line_alloc(sizeof *rw);
  pthread_rwlock_init(rw, &attributes);
  pthread_rwlockattr_destroy(&attributes);
  return rw;
#else
  (void)cell;
  return NULL;
#endif
}

static inline void rw_read_lock(void *rw)
{
  pthread_rwlock_rdlock(rw);
}

static inline void rw_write_lock(void *rw)
{
  pthread_rwlock_wrlock(rw);
}

static inline void rw_read_unlock(void *rw)
{
  pthread_rwlock_unlock(rw);
}

#define rw_write_unlock rw_read_unlock

static void rw_unmake(void *rw)
{
  pthread_rwlock_destroy(rw);
  free(rw);
}

#define writers_first_read_lock rw_read_lock
#define writers_first_read_unlock rw_read_unlock
#define writers_first_write_lock rw_write_lock
#define writers_first_write_unlock rw_write_unlock
#define writers_first_unmake rw_unmake

RWLOCK_PEER(rw, "pthread_rwlock", PARKS | BASELINE, sizeof(pthread_rwlock_t));
RWLOCK_PEER(writers_first, "pthread_rwlock writers first", PARKS, sizeof(pthread_rwlock_t));

/* --- barrier ------------------------------------------------------------------------------ */

static void *barrier_make(const struct cell *cell)
{
  pthread_barrier_t *b = line_alloc(sizeof *b);
  pthread_barrier_init(b, NULL, (unsigned)cell->threads);
  return b;
}

static inline void barrier_wait(void *b)
{
  pthread_barrier_wait(b);
}

static void barrier_unmake(void *b)
{
  pthread_barrier_destroy(b);
  free(b);
}

BARRIER_PEER(barrier, "pthread_barrier", PARKS | BASELINE, sizeof(pthread_barrier_t));

/* --- hand-over ------------------------------------------------------------------------------ */

struct condition {
  pthread_mutex_t mutex;
  pthread_cond_t side[2];
  int turn;
};

static void *condition_make(const struct cell *cell)
{
  (void)cell;
  struct condition *c = line_alloc(sizeof *c);
  pthread_mutex_init(&c->mutex, NULL);
  for (int i = 0; i < 2; i++)
    pthread_cond_init(&c->side[i], NULL);
  c->turn = -1;
  return c;
}

static inline void condition_give(void *p, int to)
{
  struct condition *c = p;
  pthread_mutex_lock(&c->mutex);
  c->turn = to;
  pthread_cond_signal(&c->side[to]);
  pthread_mutex_unlock(&c->mutex);
}

static inline void condition_take(void *p, int me)
{
  struct condition *c = p;
  pthread_mutex_lock(&c->mutex);
  while (c->turn != me)
    pthread_cond_wait(&c->side[me], &c->mutex);
  c->turn = -1;
  pthread_mutex_unlock(&c->mutex);
}

static void condition_unmake(void *p)
{
  struct condition *c = p;
  for (int i = 0; i < 2; i++)
    pthread_cond_destroy(&c->side[i]);
  pthread_mutex_destroy(&c->mutex);
  free(c);
}

HANDOVER_PEER(condition, "pthread_cond", PARKS, sizeof(struct condition));

#define broadcast_make condition_make
#define broadcast_unmake condition_unmake

static inline void broadcast_lock(void *p)
{
  pthread_mutex_lock(&((struct condition *)p)->mutex);
}

static inline void broadcast_unlock(void *p)
{
  pthread_mutex_unlock(&((struct condition *)p)->mutex);
}

static inline void broadcast_wait(void *p, int side)
{
  struct condition *c = p;
  pthread_cond_wait(&c->side[side], &c->mutex);
}

static inline void broadcast_wake_all(void *p, int side)
{
  pthread_cond_broadcast(&((struct condition *)p)->side[side]);
}

BROADCAST_PEER(broadcast, "pthread_cond", PARKS | BASELINE, sizeof(struct condition));

static void *gate_make(const struct cell *cell)
{
  (void)cell;
  sem_t *s = line_alloc(2 * LINE);
  sem_init(s, 0, 0);
  sem_init((sem_t *)((char *)s + LINE), 0, 0);
  return s;
}

static inline void gate_give(void *s, int to)
{
  sem_post((sem_t *)((char *)s + to * LINE));
}

static inline void gate_take(void *s, int me)
{
  while (sem_wait((sem_t *)((char *)s + me * LINE)))
    ;
}

static void gate_unmake(void *s)
{
  free(s);
}

HANDOVER_PEER(gate, "sem_t", PARKS, 2 * sizeof(sem_t));

/* --- queue: a ring, a mutex and two condition variables
   ---------------------------------------- */

struct ring {
  pthread_mutex_t mutex;
  pthread_cond_t not_full, not_empty;
  int64_t capacity, size, first;
  int64_t items[];
};

static void *queue_make(const struct cell *cell)
{
  struct ring *q = line_alloc(sizeof *q + sizeof *q->items * (size_t)cell->capacity);
  pthread_mutex_init(&q->mutex, NULL);
  pthread_cond_init(&q->not_full, NULL);
  pthread_cond_init(&q->not_empty, NULL);
  q->capacity = cell->capacity;
  return q;
}

static inline void queue_put(void *p, int64_t item)
{
  struct ring *q = p;
  pthread_mutex_lock(&q->mutex);
  while (q->size == q->capacity)
    pthread_cond_wait(&q->not_full, &q->mutex);
  q->items[(q->first + q->size++) % q->capacity] = item;
  pthread_cond_signal(&q->not_empty);
  pthread_mutex_unlock(&q->mutex);
}

static inline int64_t queue_get(void *p)
{
  struct ring *q = p;
  pthread_mutex_lock(&q->mutex);
  while (q->size == 0)
    pthread_cond_wait(&q->not_empty, &q->mutex);
  int64_t item = q->items[q->first];
  q->first = (q->first + 1) % q->capacity;
  q->size--;
  pthread_cond_signal(&q->not_full);
  pthread_mutex_unlock(&q->mutex);
  return item;
}

static void queue_unmake(void *p)
{
  struct ring *q = p;
  pthread_cond_destroy(&q->not_full);
  pthread_cond_destroy(&q->not_empty);
  pthread_mutex_destroy(&q->mutex);
  free(q);
}

QUEUE_PEER(queue, "mutex and condvar ring", PARKS | BASELINE, 0);

/* --- arrays of locks
   ------------------------------------------------------------------------------ */

static void *array_make(const struct cell *cell)
{
  pthread_mutex_t *array = line_alloc(sizeof *array * (size_t)cell->locks);
  for (int i = 0; i < cell->locks; i++)
    pthread_mutex_init(&array[i], NULL);
  return array;
}

static inline void array_lock(void *array, uint64_t i)
{
  pthread_mutex_lock((pthread_mutex_t *)array + i);
}

static inline void array_unlock(void *array, uint64_t i)
{
  pthread_mutex_unlock((pthread_mutex_t *)array + i);
}

static void array_unmake(void *array)
{
  free(array);
}

LOCKARRAY_PEER(array, "pthread_mutex", PARKS | BASELINE, sizeof(pthread_mutex_t));

/* --- creation and destruction
   ----------------------------------------------------------------------- */

static inline void *life_new(void)
{
  pthread_mutex_t *m = malloc(sizeof *m);
  if (!m)
    abort();
  pthread_mutex_init(m, NULL);
  return m;
}

static inline void life_free(void *m)
{
  pthread_mutex_destroy(m);
  free(m);
}

#define life_lock mutex_lock
#define life_unlock mutex_unlock

LIFE_PEER(life, "pthread_mutex", PARKS | BASELINE);

const struct peer *const libc_peers[] = {
  &mutex,   &adaptive,  &c11,       &spin, &sem,   &counting, &rw,   &writers_first,
  &barrier, &condition, &broadcast, &gate, &queue, &array,    &life, NULL};
