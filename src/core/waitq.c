#include "waitq.h"

#include "guard.h"
#include "wait.h"

#define LOCKS 64
static pthread_mutex_t locks[LOCKS];

__attribute__((constructor(102))) static void setup(void)
{
  for (int i = 0; i < LOCKS; i++)
    pthread_mutex_init(&locks[i], NULL);
}

static pthread_mutex_t *lock_of(struct object *object)
{
  return &locks[(uintptr_t)object / sizeof(union slot) % LOCKS];
}

void waitq_lock(struct object *object)
{
  guard_lock(lock_of(object));
}

void waitq_unlock(struct object *object)
{
  guard_unlock(lock_of(object));
}

void waitq_append(struct object *object, struct waitq *queue, struct queue_place *place)
{
  store_relaxed(&place->signal, SIGNAL_NONE);
  place->away = false;
  place->next = NULL;
  place->previous = queue->last;
  if (queue->last)
    queue->last->next = place;
  else
    queue->first = place;
  queue->last = place;
  store_relaxed(&place->queue, queue);
  add_seq_cst(&object->waiters, 1); /* heavy side of the unlocker's fence_light() */
}

void waitq_prepend_away(struct object *object, struct waitq *queue, struct queue_place *place)
{
  store_relaxed(&place->signal, SIGNAL_NONE);
  place->away = true;
  place->previous = NULL;
  place->next = queue->first;
  if (queue->first)
    queue->first->previous = place;
  else
    queue->last = place;
  queue->first = place;
  store_relaxed(&place->queue, queue);
  add_seq_cst(&object->waiters, 1); /* as in waitq_append() */
}

void waitq_remove(struct object *object, struct waitq *queue, struct queue_place *place)
{
  if (place->previous)
    place->previous->next = place->next;
  else
    queue->first = place->next;
  if (place->next)
    place->next->previous = place->previous;
  else
    queue->last = place->previous;
  store_relaxed(&place->queue, NULL);
  sub_seq_cst(&object->waiters, 1);
}

bool waitq_signal(struct queue_place *place, enum signal signal)
{
  bool asleep = load_relaxed(&place->signal) == SIGNAL_NONE;
  /* Release: a thread that reads GIVEN without the lock owns what was given. */
  store_release(&place->signal, signal);
  return asleep;
}

bool waitq_wake(struct queue_place *place)
{
  return wait_wake(&place->signal, 1, false) > 0;
}

bool waitq_wake_is_lost(const struct waitq *queue, struct queue_place *place)
{
  return waitq_has(queue, place) && !place->away && load_relaxed(&place->signal) == SIGNAL_WOKEN;
}

void waitq_wake_thread(struct self *record)
{
  for (int i = 0; i < PLACES; i++)
    waitq_wake(&record->places[i]);
}

bool waitq_wake_later(struct self *me, struct queue_place *place)
{
  uint32_t count = load_relaxed(&me->late_count);
  if (count == LATE_MOST)
    return false;
  store_relaxed(&me->late[count], place);
  store_seq_cst(&me->late_count, count + 1); /* then the caller checks whether it still holds the mutex */
  return true;
}

void waitq_wake_late(struct self *whose)
{
  uint32_t count = load_seq_cst(&whose->late_count);
  for (uint32_t i = 0; i < count; i++)
    waitq_wake(load_relaxed(&whose->late[i]));
  if (whose == self_current)
    store_relaxed(&whose->late_count, 0);
}

void waitq_before_fork(void)
{
  for (int i = 0; i < LOCKS; i++)
    guard_hold(&locks[i]);
}

void waitq_after_fork(bool child)
{
  (void)child;
  for (int i = LOCKS; i-- > 0;)
    guard_release(&locks[i]);
}
