#include "waitq.h"

#include "guard.h"
#include "spin.h"
#include "wake.h"

#define LOCKS 64
static os_lock locks[LOCKS];

void waitq_setup(void)
{
  for (int i = 0; i < LOCKS; i++)
    os_lock_init(&locks[i]);
}

static os_lock *lock_of(struct object *object)
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

static void insert(struct object *object, struct waitq *queue, struct wait_slot *slot,
                   struct wait_slot *previous, struct wait_slot *next)
{
  store_relaxed(&slot->signal, SIGNAL_NONE);
  slot->previous = previous;
  slot->next = next;
  *(previous ? &previous->next : &queue->first) = slot;
  *(next ? &next->previous : &queue->last) = slot;
  store_relaxed(&slot->queue, queue);
  /* seq_cst: before the caller rechecks or releases a mutex. Pairs with is_waited_for(),
     close_and_retire() and ilk_condition_notify(). */
  add_seq_cst(&object->waiters, 1);
}

void waitq_append(struct object *object, struct waitq *queue, struct wait_slot *slot)
{
  slot->away = false;
  insert(object, queue, slot, queue->last, NULL);
}

void waitq_prepend_away(struct object *object, struct waitq *queue, struct wait_slot *slot)
{
  slot->away = true;
  insert(object, queue, slot, NULL, queue->first);
}

void waitq_remove(struct object *object, struct waitq *queue, struct wait_slot *slot)
{
  *(slot->previous ? &slot->previous->next : &queue->first) = slot->next;
  *(slot->next ? &slot->next->previous : &queue->last) = slot->previous;
  store_relaxed(&slot->queue, NULL);
  sub_seq_cst(&object->waiters, 1);
}

bool waitq_signal(struct wait_slot *slot, enum signal signal)
{
  bool asleep = load_relaxed(&slot->signal) == SIGNAL_NONE;
  /* Release: a thread that loads GIVEN without the lock owns what was given. */
  store_release(&slot->signal, signal);
  return asleep;
}

bool waitq_spin(struct thread *me, struct wait_slot *mine)
{
  struct spin spin = spin_begin(me);
  while (load_relaxed(&mine->signal) == SIGNAL_NONE)
    if (!spin_again(&spin))
      return false;
  spin_won(&spin);
  return true;
}

bool waitq_wake(struct wait_slot *slot)
{
  return wake(&slot->signal, 1, false) > 0;
}

bool waitq_wake_is_lost(const struct waitq *queue, struct wait_slot *slot)
{
  return waitq_has(queue, slot) && !slot->away && load_relaxed(&slot->signal) == SIGNAL_WOKEN;
}

void waitq_wake_thread(struct thread *record)
{
  for (int i = 0; i < WAIT_SLOTS; i++)
    waitq_wake(&record->wait_slots[i]);
}

bool waitq_defer_wake(struct thread *me, struct wait_slot *slot)
{
  uint32_t count = load_relaxed(&me->deferred_count);
  if (count == DEFERRED_MAX)
    return false;
  store_relaxed(&me->deferred[count], slot);
  /* seq_cst: before the caller checks whether it still holds the mutex (I7 of mutex_state.h). */
  store_seq_cst(&me->deferred_count, count + 1);
  return true;
}

void waitq_wake_deferred(struct thread *record)
{
  uint32_t count = load_seq_cst(&record->deferred_count);
  for (uint32_t i = 0; i < count; i++)
    waitq_wake(load_relaxed(&record->deferred[i]));
  if (record == thread_current)
    store_relaxed(&record->deferred_count, 0);
}

const struct fork_module waitq_fork = {locks, LOCKS, NULL};
