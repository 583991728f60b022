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

void waitq_append(struct object *object, struct waitq *queue, struct self *record)
{
  store_relaxed(&record->signal, SIGNAL_NONE);
  record->queue_next = NULL;
  record->queue_previous = queue->last;
  if (queue->last)
    queue->last->queue_next = record;
  else
    queue->first = record;
  queue->last = record;
  add_seq_cst(&object->waiters, 1); /* heavy side of the unlocker's fence_light() */
}

void waitq_remove(struct object *object, struct waitq *queue, struct self *record)
{
  if (record->queue_previous)
    record->queue_previous->queue_next = record->queue_next;
  else
    queue->first = record->queue_next;
  if (record->queue_next)
    record->queue_next->queue_previous = record->queue_previous;
  else
    queue->last = record->queue_previous;
  sub_seq_cst(&object->waiters, 1);
}

bool waitq_signal(struct self *record, enum signal signal)
{
  bool asleep = load_relaxed(&record->signal) == SIGNAL_NONE;
  /* Release: who reads GIVEN without the lock owns what was given. */
  store_release(&record->signal, signal);
  return asleep;
}

void waitq_wake(struct self *record)
{
  wait_wake(&record->signal, 1, false);
}

bool waitq_wake_later(struct self *me, struct self *record)
{
  uint32_t count = load_relaxed(&me->late_count);
  if (count == LATE_MOST)
    return false;
  store_relaxed(&me->late[count], record);
  store_seq_cst(&me->late_count, count + 1); /* then the caller looks whether it still holds the mutex */
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
