/* Handles. Any pointer-sized value may be passed where a handle is expected: it is a live handle of
   the right kind, or the call returns ILK_EHANDLE.

   An object fills a slot of one cache line, in a region that starts small, grows in place and is
   never unmapped. A slot begins with its `head`: the tag (kind and generation) in the upper half,
   and 32 bits of the object's state in the lower half. A handle is the tag and the index of the
   slot:

       bit  63  62    61..58  57     56..32      31..0
            0   LIVE  kind    0      generation  index      64-bit systems
            (CLOSING is bit 57 of a head, and never set in a handle)
       bit                    31..22      21..18  17..0
                              generation  kind    index      32-bit systems

   LIVE makes a handle differ from every untagged 64-bit address. Generations count up from a random
   number, which each copy of the library in a process chooses for itself, so a handle of another
   copy is very unlikely to be live here. A slot that has used up its generations is not reused on
   64-bit systems. On 32-bit systems generations wrap, and the slot that has been free longest is
   reused first.

   A call changes an object in one of two ways. Both are safe against a concurrent free:

   1. One compare-and-swap of the whole head checks the tag and changes the state atomically. So it
      cannot change the next object in the slot.
   2. Everything else happens while the object cannot be freed: the thread holds the lock that the
      object is, or pins the object with a hazard pointer ("pin"). To pin it, the thread stores the
      handle in its own record and then checks the tag. handle_close() changes the tag and then
      loads the pins of all records. This is Dekker's pattern with the asymmetric fence: the pin is
      on the light side. The close waits until no pin names the handle, and fails if a thread waits
      in the object.

   A load alone needs neither, because a slot is never unmapped; what it returns counts only if the
   tag is confirmed, too. (An add to a tally in the thread-local cache needs neither: see tally.c.)

   Waiting for pins costs the heavy fence and a search of all records at each free. So kinds whose
   objects own nothing but their slot do not wait: handle_free() retires the object. From then on
   the handle is not live, but a call that had pinned the object before may still be inside. The
   slot is reused once no pin names the handle, which is checked for many retired slots at a time
   (handle_retired.c).

   State transitions of a close, as other threads see them:

       open -> undecided    CLOSING is set in the head and in the cached tag. Calls that would pin
                            the object wait; a call with a time-out of 0 times out.
       undecided -> open    A thread waits in the object, or it is busy: the close fails. Or a
                            counted pin has come, or the head has changed: the close starts again.
                            Or a call still pins the object after a while: the close starts again
                            after a pause, so that other calls are not blocked by that one.
       undecided -> closed  The cached tag is cleared. From then on the handle is not live.
       closed -> retired    At once, with the table's lock held since the object was open. The tag
                            in the head is cleared, too; the state stays.
       closed, retired -> unused   No call is inside. The slot may be reused.

   Invariants:
   I1  A handle is live until its close is decided: while the tag in `head` is its own, and
       `tag_flags` has it, too; either may have CLOSING. `tag_flags` is set after the head, and
       cleared when the close is decided. Pinned calls check `tag_flags`.
   I2  Tags change only while the table's lock is held. The lock is not held while a close waits.
   I3  A slot is reused only when its object was closed or retired, and no call pins it any more, in
       a record or by a count. (A call that comes later finds that the handle is not live.)
   I4  Each wait that `waiters` counts is of a thread that pins the object, or a resumable wait
       between two parts (P4 in resumable.h). So no thread waits in an object that was closed.
   I5  No thread sleeps in a retired object. A waiter counts itself, then checks the tag, then
       sleeps (block()). A free sets CLOSING in both copies of the tag, then loads `waiters`, and
       retires the object only if that is 0. All of these are seq_cst: either the free sees the
       waiter, or the waiter sees the tag. It then waits for the decision; if the object is retired,
       it returns ILK_EHANDLE.
   I6  Calls inside an object of a kind that is retired change its head only by compare-and-swap
       with the tag, or as the thread that holds it. So the head of a retired object does not
       change, apart from its state.

   Checked by test/models/handle.pml, handler.pml and retire.pml, and by the scenarios handle* of
   test/models/real. */
#ifndef INTERLOCK_HANDLE_H
#define INTERLOCK_HANDLE_H

#include "atomic.h"
#include "common.h"
#include "fence.h"
#include "object.h"
#include "region.h"
#include "thread_record.h"

/* --- from handle to object -------------------------------------------------- */

/* Readable for a handle of any value. Only its head says whether it is the object of that
   handle. */
static inline struct object *handle_object(void *handle)
{
  uint32_t index = handle_index(handle);
  /* Relaxed: a thread that has a handle has synchronized with the thread that made it. */
  struct object *object =
    likely(index < load_relaxed(&handle_limit)) ? &handle_slots[index].object : &handle_none.object;
  if (!object) /* so that callers need no check of the result */
    __builtin_unreachable();
  return object;
}

/* The same for NULL, or a handle that was live; that is not checked. */
static inline struct object *handle_held_object(void *handle)
{
  return &handle_slots[handle_index(handle)].object;
}

/* The handle of a live object. */
static inline void *handle_of(struct object *object)
{
  uint32_t tag = (uint32_t)(load_relaxed(&object->head) >> 32) & ~TAG_CLOSING;
  return handle_make(tag, (uint32_t)((union slot *)object - handle_slots));
}

/* handle_enter() without its slow path, for a fast path that must save no registers. NULL: it did
   not succeed, and the pin may be set; the caller then takes its slow path and calls handle_enter()
   with the same pin. */
static inline struct object *handle_enter_fast(struct thread *me, enum pin pin, void *handle,
                                               enum kind kind)
{
  struct object *object = handle_object(handle);
  if (unlikely(!handle_is(handle, kind)))
    return NULL;
  /* Dekker with handle_close(). The acquire pairs with the release in handle_publish(). */
  return likely(head_is(fence_light(&me->pin[pin], (uintptr_t)handle, &object->tag_flags), handle))
           ? object
           : NULL;
}

COLD int handle_enter_slow(struct thread *me, enum pin pin, void *handle, int64_t timeout_ns);

/* Pins the object: it is not freed before handle_leave(). NULL: this is no live handle of that
   kind, and nothing is pinned. */
static inline struct object *handle_enter(struct thread *me, enum pin pin, void *handle,
                                          enum kind kind)
{
  if (unlikely(!handle_is(handle, kind)))
    return NULL;
  struct object *object = handle_enter_fast(me, pin, handle, kind);
  if (unlikely(!object) && handle_enter_slow(me, pin, handle, -1) == ILK_OK)
    return handle_object(handle);
  return object;
}

/* The same for a call with a time-out: ILK_OK, ILK_EHANDLE, or, if the time-out is 0,
   ILK_ETIMEDOUT: a close is undecided, and the call does not wait for the decision. */
static inline int handle_enter_timed(struct thread *me, enum pin pin, void *handle, enum kind kind,
                                     int64_t timeout_ns)
{
  if (unlikely(!handle_is(handle, kind)))
    return ILK_EHANDLE;
  return likely(handle_enter_fast(me, pin, handle, kind))
           ? ILK_OK
           : handle_enter_slow(me, pin, handle, timeout_ns);
}

static inline void handle_leave(struct thread *me, enum pin pin)
{
  /* What the call did happens before handle_close() loads the cleared pin. */
  store_release(&me->pin[pin], 0);
}

/* For a pinned call that finds CLOSING in the head and is not a waiter: unpins, so that the close
   can be decided, and then does and returns what handle_enter_timed() does. */
COLD int handle_retry(struct thread *me, enum pin pin, void *handle, int64_t timeout_ns);

/* --- calls in signal handlers ----------------------------------------------------

   A signal handler may have interrupted a call of its thread that uses the pin, or the creation of
   the thread's record. Then the pin is counted instead (handle_counted.c). A call with a counted pin
   may find CLOSING in the head. It changes the state all the same: the close then starts again. */

COLD struct object *handle_enter_safely_slow(struct thread **me, void *handle, enum kind kind);
COLD void handle_leave_counted(void *handle);

/* As handle_enter(). *me: the record with the pin; NULL: the pin is counted. */
static inline struct object *handle_enter_safely(struct thread **me, void *handle, enum kind kind)
{
  struct thread *own = thread_pinnable;
  if (likely(!load_relaxed(&own->pin[PIN_INNER]))) {
    struct object *object = handle_enter_fast(own, PIN_INNER, handle, kind);
    *me = own;
    if (likely(object))
      return object;
    handle_leave(own, PIN_INNER);
  }
  return handle_enter_safely_slow(me, handle, kind);
}

static inline void handle_leave_safely(struct thread *me, void *handle)
{
  if (likely(me))
    handle_leave(me, PIN_INNER);
  else
    handle_leave_counted(handle);
}

/* For a call that has pinned so: true if it may change this head. */
static inline bool handle_may_change(bool counted, uint64_t head, void *handle)
{
  return counted ? head_is_undecided(head, handle) : head_is(head, handle);
}

/* --- making and freeing ------------------------------------------------------ */

/* Reserves a slot for a new object, zeroed and not live yet. *handle is the handle that
   handle_publish() will make live. NULL: no memory. */
struct object *handle_reserve(enum kind kind, void **handle);

/* Makes the object live, with that state, and returns its handle. */
void *handle_publish(struct object *object, void *handle, uint32_t state);

/* Returns a reserved slot that was not published. */
void handle_abandon(struct object *object, void *handle);

/* Ends the life of the handle. ILK_OK; ILK_EHANDLE; ILK_EBUSY: the object is busy (object.h), or a
   thread waits in it. After ILK_OK no thread is inside the object or will be; the caller frees what
   the object owns and calls handle_recycle(). */
int handle_close(void *handle, enum kind kind);
void handle_recycle(void *handle);

/* All of ilk_KIND_free() for a kind whose objects own nothing but their slot: retires the object
   (I5), or else closes the handle and recycles the slot. */
int handle_free(void *handle, enum kind kind);

/* For `retires` of a kind whose objects can always be retired. */
bool handle_retires(struct object *object);

/* For a call that is counted in `waiters`, before it sleeps (I5). ILK_OK: the handle is live.
   ILK_EHANDLE: it is not; the object is closed or retired. ILK_EBUSY: a close is undecided; this
   returns after a pause, and the caller rechecks. */
int handle_check_waiter(void *handle);

int64_t handle_live(void);

void handle_setup(void); /* once, when the library is loaded */

/* Visits each object that is live, or closed and not yet recycled, with the table locked. */
void handle_each(void (*visit)(void *handle, struct object *object, enum kind kind, void *context),
                 void *context);

/* Around fork(). */
void handle_before_fork(void);
void handle_after_fork(bool child);

#endif
