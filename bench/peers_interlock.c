/* Ours, through the public header alone. */
#include "interlock.h"

#include <stdlib.h>

#include "loops.h"

/* --- mutex ------------------------------------------------------------------------ */

static void *owned_make(const struct cell *cell)
{
  (void)cell;
  return ilk_mutex_new(0);
}

static void *unowned_make(const struct cell *cell)
{
  (void)cell;
  return ilk_mutex_new(ILK_UNOWNED);
}

static void *fair_make(const struct cell *cell)
{
  (void)cell;
  return ilk_mutex_new(ILK_FAIR);
}

static inline void owned_lock(void *h)
{
  ilk_mutex_lock(h);
}

static inline void owned_unlock(void *h)
{
  ilk_mutex_unlock(h);
}

static void owned_unmake(void *h)
{
  ilk_mutex_free(h);
}

#define unowned_lock owned_lock
#define unowned_unlock owned_unlock
#define unowned_unmake owned_unmake
#define fair_lock owned_lock
#define fair_unlock owned_unlock
#define fair_unmake owned_unmake

LOCK_PEER(owned, "interlock", OURS, 0);
LOCK_PEER(unowned, "interlock unowned", OURS, 0);
LOCK_PEER(fair, "interlock fair", OURS, 0);

/* --- word: in the caller's memory -------------------------------------------------- */

static void *word_make(const struct cell *cell)
{
  (void)cell;
  void *word = line_alloc(4);
  if (ilk_word_trylock(word, 0) == ILK_OK && ilk_word_unlock(word, 0) == ILK_OK)
    return word;
  free(word);
  return NULL;
}

static inline void word_lock(void *word)
{
  ilk_word_lock(word, 0);
}

static inline void word_unlock(void *word)
{
  ilk_word_unlock(word, 0);
}

static void word_unmake(void *word)
{
  free(word);
}

LOCK_PEER(word, "interlock word", OURS, 4);

/* --- readers-writer lock ------------------------------------------------------------ */

static void *rw_make(const struct cell *cell)
{
  (void)cell;
  return ilk_rwlock_new(0);
}

static inline void rw_read_lock(void *h)
{
  ilk_rwlock_read_lock(h);
}

static inline void rw_read_unlock(void *h)
{
  ilk_rwlock_read_unlock(h);
}

static inline void rw_write_lock(void *h)
{
  ilk_rwlock_write_lock(h);
}

static inline void rw_write_unlock(void *h)
{
  ilk_rwlock_write_unlock(h);
}

static void rw_unmake(void *h)
{
  ilk_rwlock_free(h);
}

RWLOCK_PEER(rw, "interlock", OURS, 0);

/* --- semaphore ----------------------------------------------------------------------- */

static void *semaphore_make(const struct cell *cell)
{
  (void)cell;
  return ilk_semaphore_new(1, 0);
}

static inline void semaphore_lock(void *h)
{
  ilk_semaphore_acquire(h);
}

static inline void semaphore_unlock(void *h)
{
  ilk_semaphore_release(h, 1);
}

static void semaphore_unmake(void *h)
{
  ilk_semaphore_free(h);
}

SEMAPHORE_PEER(semaphore, "interlock", OURS, 0);

/* --- barrier -------------------------------------------------------------------------- */

static void *barrier_make(const struct cell *cell)
{
  return ilk_barrier_new(cell->threads);
}

static inline void barrier_wait(void *h)
{
  ilk_barrier_wait(h);
}

static void barrier_unmake(void *h)
{
  ilk_barrier_free(h);
}

BARRIER_PEER(barrier, "interlock", OURS, 0);

/* --- hand-over -------------------------------------------------------------------------- */

struct handover {
  void *side[2]; /* what each of the two waits for */
  void *mutex;
  int turn;
};

static void handover_free(struct handover *o, int (*side_free)(void *))
{
  for (int i = 0; i < 2; i++)
    if (o->side[i])
      side_free(o->side[i]);
  if (o->mutex)
    ilk_mutex_free(o->mutex);
  free(o);
}

static void *event_make(const struct cell *cell)
{
  (void)cell;
  struct handover *o = line_alloc(sizeof *o);
  if ((o->side[0] = ilk_event_new(0)) && (o->side[1] = ilk_event_new(0)))
    return o;
  handover_free(o, ilk_event_free);
  return NULL;
}

static inline void event_give(void *p, int to)
{
  ilk_event_set(((struct handover *)p)->side[to]);
}

static inline void event_take(void *p, int me)
{
  void *event = ((struct handover *)p)->side[me];
  ilk_event_wait(event);
  ilk_event_clear(event);
}

static void event_unmake(void *p)
{
  handover_free(p, ilk_event_free);
}

HANDOVER_PEER(event, "interlock event", OURS, 0);

static void *gate_make(const struct cell *cell)
{
  (void)cell;
  struct handover *o = line_alloc(sizeof *o);
  if ((o->side[0] = ilk_semaphore_new(0, 0)) && (o->side[1] = ilk_semaphore_new(0, 0)))
    return o;
  handover_free(o, ilk_semaphore_free);
  return NULL;
}

static inline void gate_give(void *p, int to)
{
  ilk_semaphore_release(((struct handover *)p)->side[to], 1);
}

static inline void gate_take(void *p, int me)
{
  ilk_semaphore_acquire(((struct handover *)p)->side[me]);
}

static void gate_unmake(void *p)
{
  handover_free(p, ilk_semaphore_free);
}

HANDOVER_PEER(gate, "interlock semaphore", OURS, 0);

static void *condition_make(const struct cell *cell)
{
  (void)cell;
  struct handover *o = line_alloc(sizeof *o);
  o->turn = -1;
  if ((o->side[0] = ilk_condition_new(0)) && (o->side[1] = ilk_condition_new(0)) &&
      (o->mutex = ilk_mutex_new(0)))
    return o;
  handover_free(o, ilk_condition_free);
  return NULL;
}

static inline void condition_give(void *p, int to)
{
  struct handover *o = p;
  ilk_mutex_lock(o->mutex);
  o->turn = to;
  ilk_condition_notify(o->side[to], 1);
  ilk_mutex_unlock(o->mutex);
}

static inline void condition_take(void *p, int me)
{
  struct handover *o = p;
  ilk_mutex_lock(o->mutex);
  while (o->turn != me)
    ilk_condition_wait(o->side[me], o->mutex);
  o->turn = -1;
  ilk_mutex_unlock(o->mutex);
}

static void condition_unmake(void *p)
{
  handover_free(p, ilk_condition_free);
}

HANDOVER_PEER(condition, "interlock condition", OURS, 0);

#define broadcast_make condition_make
#define broadcast_unmake condition_unmake

static inline void broadcast_lock(void *p)
{
  ilk_mutex_lock(((struct handover *)p)->mutex);
}

static inline void broadcast_unlock(void *p)
{
  ilk_mutex_unlock(((struct handover *)p)->mutex);
}

static inline void broadcast_wait(void *p, int side)
{
  struct handover *o = p;
  ilk_condition_wait(o->side[side], o->mutex);
}

static inline void broadcast_wake_all(void *p, int side)
{
  ilk_condition_notify_all(((struct handover *)p)->side[side]);
}

BROADCAST_PEER(broadcast, "interlock", OURS, 0);

/* By a word in the caller's memory: what a thread can build on its own. */
static void *flag_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(2 * LINE);
}

static inline void flag_give(void *p, int to)
{
  int *given = (int *)((char *)p + to * LINE);
  __atomic_store_n(given, 1, __ATOMIC_RELEASE);
  ilk_word_wake(given, 1, 0);
}

static inline void flag_take(void *p, int me)
{
  int *given = (int *)((char *)p + me * LINE);
  while (!__atomic_load_n(given, __ATOMIC_ACQUIRE))
    ilk_word_wait(given, 0, 0, INT64_MAX);
  __atomic_store_n(given, 0, __ATOMIC_RELAXED);
}

static void flag_unmake(void *p)
{
  free(p);
}

HANDOVER_PEER(flag, "interlock word", OURS, 0);

/* --- counter, tally ------------------------------------------------------------------------ */

static void *counter_make(const struct cell *cell)
{
  (void)cell;
  return ilk_counter_new(0);
}

static inline void counter_add(void *h)
{
  ilk_counter_fetch_add(h, 1);
}

static void counter_unmake(void *h)
{
  ilk_counter_free(h);
}

COUNTER_PEER(counter, "interlock", OURS, 0);

static void *element_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(8);
}

static inline void element_add(void *p)
{
  ilk_atomic_fetch_add_i64(p, 1);
}

static void element_unmake(void *p)
{
  free(p);
}

COUNTER_PEER(element, "interlock array element", OURS, 8);

static void *tally_make(const struct cell *cell)
{
  (void)cell;
  return ilk_tally_new();
}

static inline void tally_add(void *h)
{
  ilk_tally_add(h, 1);
}

static void tally_unmake(void *h)
{
  ilk_tally_free(h);
}

TALLY_PEER(tally, "interlock", OURS, 0);

/* --- queue ----------------------------------------------------------------------------------- */

static void *queue_make(const struct cell *cell)
{
  return ilk_queue_new(cell->capacity);
}

static inline void queue_put(void *h, int64_t item)
{
  ilk_queue_put(h, item);
}

static inline int64_t queue_get(void *h)
{
  int64_t item = 0;
  ilk_queue_get(h, &item);
  return item;
}

static void queue_unmake(void *h)
{
  ilk_queue_free(h);
}

QUEUE_PEER(queue, "interlock", OURS, 0);

static inline int tryqueue_tryput(void *h, int64_t item)
{
  return ilk_queue_tryput(h, item) == ILK_OK;
}

static inline int tryqueue_tryget(void *h, int64_t *item)
{
  return ilk_queue_tryget(h, item) == ILK_OK;
}

#define tryqueue_make queue_make
#define tryqueue_unmake queue_unmake

TRYQUEUE_PEER(tryqueue, "interlock", OURS, 0);

/* --- arrays of locks
   --------------------------------------------------------------------------- */

static void *array_make(const struct cell *cell)
{
  return ilk_lockarray_new(cell->locks, 0);
}

static inline void array_lock(void *h, uint64_t i)
{
  ilk_lockarray_lock(h, (int64_t)i);
}

static inline void array_unlock(void *h, uint64_t i)
{
  ilk_lockarray_unlock(h, (int64_t)i);
}

static void array_unmake(void *h)
{
  ilk_lockarray_free(h);
}

LOCKARRAY_PEER(array, "interlock", OURS, 4);

static void *words_make(const struct cell *cell)
{
  return line_alloc(4 * (size_t)cell->locks);
}

static inline void words_lock(void *p, uint64_t i)
{
  ilk_word_lock((uint32_t *)p + i, 0);
}

static inline void words_unlock(void *p, uint64_t i)
{
  ilk_word_unlock((uint32_t *)p + i, 0);
}

static void words_unmake(void *p)
{
  free(p);
}

LOCKARRAY_PEER(words, "interlock words", OURS, 4);

/* --- creation and destruction
   -------------------------------------------------------------------- */

static inline void *life_new(void)
{
  return ilk_mutex_new(0);
}

#define life_lock owned_lock
#define life_unlock owned_unlock

static inline void life_free(void *h)
{
  ilk_mutex_free(h);
}

LIFE_PEER(life, "interlock", OURS);

const struct peer *const interlock_peers[] = {
  &owned, &unowned, &fair,     &word,      &rw,        &semaphore, &barrier,
  &event, &gate,    &flag,     &condition, &broadcast, &counter,   &element,
  &tally, &queue,   &tryqueue, &array,     &words,     &life,      NULL};
