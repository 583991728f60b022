/* A FIFO queue of the threads that wait for one object, for kinds that wake, or hand off to, one
   particular thread. A thread waits in a queue slot (`struct wait_slot`, thread_record.h) and
   sleeps on the slot's own `signal`. So no other thread can consume its wake, and a delayed wake
   finds memory that is still a queue slot.

   A queue is guarded by a lock chosen by the object's address. A thread that holds it does not
   sleep, and acquires no lock but that of the wait module.

   A slot that is `away` keeps its position, but wakes and hand-offs pass it over and go to the
   first slot that is present, so that no thread waits for one that may not come back soon. A slot
   becomes present again, at its old position, when its thread rechecks. It is away in two cases:
   - Its thread is between two parts of a resumable wait (resumable.h).
   - A wake did not find its thread asleep: the thread runs a signal handler, which may take long,
     or was about to fall asleep. The next slot is then woken as well (waitq_wake_is_lost()). A fair
     lock does not do this: it passes no waiter over.
   A condition ignores `away`: a notify takes nothing from other threads. */
#ifndef INTERLOCK_WAITQ_H
#define INTERLOCK_WAITQ_H

#include "handle.h"
#include "thread_record.h"

struct waitq {
  struct wait_slot *first, *last;
};

/* The `role` of a slot, where there are several. ROLE_DRAINER: a writer that is away since its part
   ended while it drained (I7 of rwlock_state.h). */
enum queue_role { ROLE_READER, ROLE_WRITER, ROLE_DRAINER };

/* The `signal` of a slot. Other threads change it only with the lock held: from SIGNAL_NONE to
   WOKEN, and from either to GIVEN. Its own thread sets it back to SIGNAL_NONE; while the slot is in
   the queue, it holds the lock to do so. */
enum signal {
  SIGNAL_NONE,  /* a present waiter is asleep, or about to be */
  SIGNAL_WOKEN, /* still in the queue: recheck */
  SIGNAL_GIVEN, /* removed from the queue, and what it waited for is its own */
};

void waitq_lock(struct object *object);
void waitq_unlock(struct object *object);

/* All of these are called with the lock held. append and remove maintain object->waiters. A slot
   that is appended is present and not signalled. */
void waitq_append(struct object *object, struct waitq *queue, struct wait_slot *slot);
void waitq_remove(struct object *object, struct waitq *queue, struct wait_slot *slot);
/* At the front, and away. */
void waitq_prepend_away(struct object *object, struct waitq *queue, struct wait_slot *slot);

static inline bool waitq_has(const struct waitq *queue, struct wait_slot *slot)
{
  return load_relaxed(&slot->queue) == queue;
}

/* The first slot that is not away, from this one on; NULL: none. */
static inline struct wait_slot *waitq_present(struct wait_slot *slot)
{
  while (slot && slot->away)
    slot = slot->next;
  return slot;
}

/* Sets the signal of a slot that is in the queue, or was until the lock was acquired. True: its
   thread may be asleep; call waitq_wake(slot) after the lock is released. */
bool waitq_signal(struct wait_slot *slot, enum signal signal);

/* For a fair lock's waiter, before it sleeps: no other thread may acquire the lock first, so it is
   likely to be signalled soon. Spins on the slot, which disturbs no other thread. True: it is
   signalled; false: sleep. */
bool waitq_spin(struct thread *me, struct wait_slot *mine);

/* False: the thread was not asleep. With wait_buckets.c a thread that runs a signal handler counts
   as asleep. */
bool waitq_wake(struct wait_slot *slot);

/* After waitq_wake() has returned false, with the lock held again. True: the slot's thread has not
   rechecked since. Then the caller marks the slot as away and wakes the next. */
bool waitq_wake_is_lost(const struct waitq *queue, struct wait_slot *slot);

/* Wakes the thread, in whichever queue it sleeps. For a wake that another thread has deferred. */
void waitq_wake_thread(struct thread *record);

/* Defers a wake until the caller has released the mutex that the woken thread needs next: before
   that, the thread would only fall asleep again. The wake is made at the latest when the caller
   releases the mutex, blocks or exits, or a reset takes the mutex from it; the code for that calls
   waitq_wake_deferred(). handle_close(), which waits until the sleeper has left an object, wakes it
   itself. False: the list is full, and the caller must wake at once. */
bool waitq_defer_wake(struct thread *me, struct wait_slot *slot);

/* Makes the wakes that the thread has deferred. If that is the calling thread, clears its list. */
void waitq_wake_deferred(struct thread *record);

void waitq_setup(void); /* once, when the library is loaded */

extern const struct fork_module waitq_fork; /* guard.h */

#endif
