/* Waits in parts. A thread that must return now and then, as an interpreter that has signal handlers
   to run, waits for an object in a row of short timed waits, and keeps its place in the object's queue
   between them: else it would queue up anew each time, behind all others.

   A place, as its thread sees it:

       free                    kept_for NULL
       free -> kept            ilk_wait_begin(), ilk_condition_wait_begin()
       kept -> in the queue    a part that must wait; a condition's at once, by the begin
       in the queue -> away    the part has timed out
       away -> in the queue    the next part
       in the queue -> kept    the part acquired the object; or a notify, at any time
       any -> free             ilk_wait_end(), or what ends a condition's wait; the thread's exit

   Invariants:
   P1  A place is in use for one wait, from its begin to its end: `kept_for` names the object. Calls
       of this thread that wait for that object use it; of two such waits, as when a signal handler waits
       for the same object between two parts, the one that began last.
   P2  While it is away (waitq.h), nothing is given to it but a notify, and nobody waits for its thread:
       a release goes to the next that is present, or leaves the object free, and the part that comes
       next looks before it sleeps. So a thread that never comes back blocks nobody.
   P3  A notify belongs to the place that it was given to. It is SIGNAL_GIVEN, out of the queue, until a
       part or the end takes note of it: then the signal is SIGNAL_NONE. A thread that cannot use it
       passes it on: it exits, or the wait has ended with another result.
   P4  A place that is in a queue, or notified and has not taken note, counts in the object's `waiters`,
       so the object is not freed. Else nothing is known of the object.
   P5  A fork's child has no queues: a place that was in one is kept, and out of it. A notify that was
       given before stays. */
#ifndef INTERLOCK_PARTS_H
#define INTERLOCK_PARTS_H

#include "self.h"

/* The place of the wait in parts for that object that began last; NULL: there is none. */
struct queue_place *parts_find(struct self *me, void *handle);

/* Where a call of this thread waits for the object. */
static inline struct queue_place *parts_place(struct self *me, void *handle)
{
  struct queue_place *place = unlikely(me->parts) ? parts_find(me, handle) : NULL;
  return place ? place : &me->places[0];
}

static inline bool parts_is_kept(const struct queue_place *place)
{
  return place->kept_for;
}

/* A place for a wait in parts for that object; NULL: all are in use. */
struct queue_place *parts_begin(struct self *me, void *handle);

/* How many waits in parts of this thread for that object have a notify that was not taken note of. */
uint32_t parts_notified(struct self *me, void *handle);

/* Ends that wait. True: it had been notified, which is the caller's to pass on now. */
bool parts_end(struct self *me, struct queue_place *place);

/* Ends all waits in parts of a thread that exits. */
void parts_thread_exit(struct self *me);

/* A record that is nobody's any more; and, in a fork's child, the forking thread's. */
void parts_forget(struct self *record);
void parts_after_fork(struct self *me);

#endif
