/* Resumable waits. A thread that must return from time to time, like an interpreter that has to run
   signal handlers, waits for an object in a series of short timed waits ("parts"). It keeps its
   slot in the object's queue between them; otherwise it would join the queue anew each time, behind
   all others.

   State transitions of a queue slot, as its thread sees it:

       free                    resumable_for NULL
       free -> kept            ilk_wait_begin(), ilk_condition_wait_begin()
       kept -> in the queue    a part that must wait; a condition's at once, by the begin
       in the queue -> away    the part has timed out (a condition's slot stays in the queue)
       kept, away -> away      a writer's part has timed out while it drained: at the front of the
                               queue of the readers-writer lock
       away -> in the queue    the next part
       in the queue -> kept    the part acquired the object; or a notify, at any time
       any -> free             ilk_wait_end(), or the end of a condition's wait; the thread's exit

   Invariants:
   P1  A slot is in use for one wait, from its begin to its end, and `resumable_for` names the
       object. Calls of this thread that wait for that object use it. If there are several such
       waits, for example because a signal handler waits for the same object between two parts, the
       calls use the slot of the wait that began last.
   P2  While a slot is away (waitq.h), it receives no wake and no hand-off, and no thread waits for
       its thread. A release goes to the next slot that is present, or leaves the object free, and
       the next part checks the object before it sleeps. So a thread that never continues its wait
       blocks no other. (A writer that drained keeps its effect on readers until those inside have
       left: I7 of rwlock_state.h. A condition's slot is never away: a notify may come between two
       parts.)
   P3  A notify belongs to the slot that received it. The slot is out of the queue with SIGNAL_GIVEN
       until a part accepts the notify (and sets SIGNAL_NONE), or the wait ends. A notify that
       has not been accepted when the wait ends is passed on to another waiter: by the thread's
       exit, by a part that ends the wait with an error, or by the caller of
       ilk_condition_wait_end(), which returns 1 then.
   P4  A slot that is in a queue, or has a notify that was not accepted, counts in the object's
       `waiters`, so the object is not freed. Otherwise the object may be gone.
   P5  In a kind without a queue, the slot is in no queue. It stores what the wait began with
       (`begun_in`). For an event that is its state, by which a part sees whether the event was set
       since (I1 of event.c); for a semaphore it is the place of the wait.
   P6  In a fork's child all queues are empty. A slot that was in one is still kept, but in no
       queue. A notify that was not accepted before the fork stays.

   Checked by test/models/resumable.pml. */
#ifndef INTERLOCK_RESUMABLE_H
#define INTERLOCK_RESUMABLE_H

#include "thread_record.h"

/* The slot of the resumable wait for that object that began last; NULL: there is none. */
struct wait_slot *resumable_find(struct thread *me, void *handle);

/* The slot in which a call of this thread waits for the object. */
static inline struct wait_slot *resumable_slot(struct thread *me, void *handle)
{
  struct wait_slot *slot = unlikely(me->resumable_waits) ? resumable_find(me, handle) : NULL;
  return slot ? slot : &me->wait_slots[0];
}

static inline bool resumable_is_kept(const struct wait_slot *slot)
{
  return slot->resumable_for;
}

/* Takes a slot for a resumable wait for that object; NULL: all are in use. */
struct wait_slot *resumable_begin(struct thread *me, void *handle);

/* How many resumable waits of this thread for that object have a notify that was not accepted. */
uint32_t resumable_notified(struct thread *me, void *handle);

/* Ends the wait that has this slot. True: it had a notify, which the caller must pass on. */
bool resumable_end(struct thread *me, struct wait_slot *slot);

/* Ends all resumable waits of a thread that exits. */
void resumable_thread_exit(struct thread *me);

extern const struct fork_module resumable_fork; /* guard.h */

#endif
