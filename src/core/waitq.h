/* A queue of threads that wait for one object, first in, first out: for the
   kinds that wake or hand over to one thread in particular. A thread waits at a place
   (self.h) and sleeps on the place's own `signal`, so nobody else can consume its wake, and
   a late wake finds memory that is still a place.

   A queue is guarded by a lock chosen by the object's address; a thread that holds it
   does not sleep, and takes no other lock within but the wait room's.

   A place that is `away` stays where it is, but wakes and hand-overs go past it, to the first that is
   present: nobody waits for a thread that may not come back soon. It is present again, in its old
   place, once its thread looks. Two threads are away:
   - one between two parts of its wait (parts.h);
   - one that a wake did not find asleep: it runs a signal handler, which may take long, or was just about
     to fall asleep. The wake is given to the next as well (waitq_wake_is_lost()).
   A condition does not ask who is away: a notify takes nothing from others. */
#ifndef INTERLOCK_WAITQ_H
#define INTERLOCK_WAITQ_H

#include "handle.h"
#include "self.h"

struct waitq {
  struct queue_place *first, *last;
};

/* A place's `role`, where there are two. */
enum queue_role { ROLE_READER, ROLE_WRITER };

/* A place's `signal`. Only SIGNAL_NONE -> WOKEN or GIVEN by others, under
   the lock; back to SIGNAL_NONE by its own thread, under the lock while it is in the queue. */
enum signal {
  SIGNAL_NONE,  /* asleep, or about to be */
  SIGNAL_WOKEN, /* still in the queue: look again */
  SIGNAL_GIVEN, /* taken out of the queue, with what it waited for */
};

void waitq_lock(struct object *object);
void waitq_unlock(struct object *object);

/* All of these with the lock held. append and remove keep object->waiters; a place that is appended is
   present, and not signalled. */
void waitq_append(struct object *object, struct waitq *queue, struct queue_place *place);
void waitq_remove(struct object *object, struct waitq *queue, struct queue_place *place);
/* At the front, and away. */
void waitq_prepend_away(struct object *object, struct waitq *queue, struct queue_place *place);

static inline bool waitq_has(const struct waitq *queue, struct queue_place *place)
{
  return load_relaxed(&place->queue) == queue;
}

/* That place, or the first behind it, that is not away; NULL: none. */
static inline struct queue_place *waitq_present(struct queue_place *place)
{
  while (place && place->away)
    place = place->next;
  return place;
}

/* Sets the signal of a place in the queue; true: call waitq_wake(place) once the lock is released. */
bool waitq_signal(struct queue_place *place, enum signal signal);

/* False: its thread was not asleep. Where the system cannot tell a sleeper that runs a signal handler
   (wait_pthread.c), it counts as asleep. */
bool waitq_wake(struct queue_place *place);

/* With the lock held again, after waitq_wake() returned false: has the thread not looked since? Then the
   caller marks the place as away, and gives the wake to the next. */
bool waitq_wake_is_lost(const struct waitq *queue, struct queue_place *place);

/* Wakes a thread wherever it sleeps in a queue: its wake may have been put off. */
void waitq_wake_thread(struct self *record);

/* Puts a wake off until the caller has released the mutex which the woken one needs next: it
   would only fall asleep again. The wake is given at the latest when the caller releases it,
   blocks, or exits, or the mutex is taken from it; who sees to that calls waitq_wake_late().
   And whoever waits until the sleeper has left an object wakes it himself (handle_close()).
   False: there is no room, wake it now. */
bool waitq_wake_later(struct self *me, struct queue_place *place);

/* Wakes those whom that thread has put off; it alone forgets them then. */
void waitq_wake_late(struct self *whose);

void waitq_before_fork(void);
void waitq_after_fork(bool child);

#endif
