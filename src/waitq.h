/* A queue of threads that wait for one object, first in, first out: for the
   kinds that wake or hand over to one thread in particular. Each sleeps on the
   `signal` of its own record, so nobody else can consume its wake, and a late
   wake finds memory that is still a record.

   A queue is guarded by a lock chosen by the object's address; whoever holds it
   does not sleep, and takes no other lock within but the wait room's. */
#ifndef INTERLOCK_WAITQ_H
#define INTERLOCK_WAITQ_H

#include "handle.h"
#include "self.h"

struct waitq {
  struct self *first, *last;
};

/* A queued record's `queue_role`, where there are two. */
enum queue_role { ROLE_READER, ROLE_WRITER };

/* A queued record's `signal`. Only SIGNAL_NONE -> WOKEN or GIVEN by others, under
   the lock; back to SIGNAL_NONE by its own thread, under the lock. */
enum signal {
  SIGNAL_NONE,  /* asleep, or about to be */
  SIGNAL_WOKEN, /* still in the queue: look again */
  SIGNAL_GIVEN, /* taken out of the queue, with what it waited for */
};

void waitq_lock(struct object *object);
void waitq_unlock(struct object *object);

/* All of these with the lock held. append and remove keep object->waiters. */
void waitq_append(struct object *object, struct waitq *queue, struct self *record);
void waitq_remove(struct object *object, struct waitq *queue, struct self *record);

/* Sets a queued record's signal; true: call waitq_wake(record) once the lock is released. */
bool waitq_signal(struct self *record, enum signal signal);
void waitq_wake(struct self *record);

/* Puts a wake off until the caller has released the mutex which the woken one needs next: it
   would only fall asleep again. The wake is given at the latest when the caller releases it,
   blocks, or exits, or the mutex is taken from it; who sees to that calls waitq_wake_late().
   And whoever waits until the sleeper has left an object wakes it himself (handle_close()).
   False: there is no room, wake it now. */
bool waitq_wake_later(struct self *me, struct self *record);

/* Wakes those whom that thread has put off; it alone forgets them then. */
void waitq_wake_late(struct self *whose);

void waitq_before_fork(void);
void waitq_after_fork(bool child);

#endif
