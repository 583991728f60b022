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

   The state transitions of a close, and the invariants I1 ..., are in handle_close.c. */
#ifndef INTERLOCK_HANDLE_H
#define INTERLOCK_HANDLE_H

#include "atomic.h"
#include "common.h"
#include "fence.h"
#include "gil.h"
#include "guard.h"
#include "object.h"
#include "region.h"
#include "thread_record.h"

/* --- the handle's bits ------------------------------------------------------ */

#define TAG_LIVE (UINT32_C(1) << 30)
#define TAG_KIND_SHIFT 26
#define TAG_KIND_MASK (UINT32_C(15) << TAG_KIND_SHIFT)
#define TAG_CLOSING (UINT32_C(1) << 25)

#if UINTPTR_MAX > UINT32_MAX

#define HANDLE_GENERATION_BITS 25
#define HANDLE_GENERATIONS_WRAP false

static inline uint32_t handle_tag(void *handle)
{
  return (uint32_t)((uintptr_t)handle >> 32);
}

static inline uint32_t handle_index(void *handle)
{
  return (uint32_t)(uintptr_t)handle;
}

static inline void *handle_make(uint32_t tag, uint32_t index)
{
  return (void *)((uintptr_t)tag << 32 | index);
}

#else

#define HANDLE_GENERATION_BITS 10
#define HANDLE_GENERATIONS_WRAP true

static inline uint32_t handle_tag(void *handle)
{
  uintptr_t h = (uintptr_t)handle;
  return TAG_LIVE | ((uint32_t)h >> 18 & 15) << TAG_KIND_SHIFT | (uint32_t)h >> 22;
}

static inline uint32_t handle_index(void *handle)
{
  return (uint32_t)(uintptr_t)handle & (HANDLE_SLOTS_MAX - 1);
}

static inline void *handle_make(uint32_t tag, uint32_t index)
{
  return (void *)(uintptr_t)(tag << 22 | (tag & TAG_KIND_MASK) >> TAG_KIND_SHIFT << 18 | index);
}

#endif

/* The kind in a handle of any value; KIND_NONE if it is not one of ours. */
static inline enum kind handle_kind(void *handle)
{
  uint32_t kind = (handle_tag(handle) & TAG_KIND_MASK) >> TAG_KIND_SHIFT;
  return kind < KINDS ? (enum kind)kind : KIND_NONE;
}

static inline bool handle_is(void *handle, enum kind kind)
{
  return (handle_tag(handle) & (TAG_KIND_MASK | TAG_LIVE | TAG_CLOSING)) ==
         (TAG_LIVE | (uint32_t)kind << TAG_KIND_SHIFT);
}

/* The head, or cached tag, of a live object with that handle and state. */
static inline uint64_t head_of(void *handle, uint32_t state)
{
  return (uint64_t)handle_tag(handle) << 32 | state;
}

static inline uint32_t head_state(uint64_t head)
{
  return (uint32_t)head;
}

static inline bool head_is(uint64_t head, void *handle)
{
  return (uint32_t)(head >> 32) == handle_tag(handle);
}

#define CLOSING ((uint64_t)TAG_CLOSING << 32) /* in a head */

/* True if the head is that of the live object with this handle, also while its close is
   undecided. */
static inline bool head_is_undecided(uint64_t head, void *handle)
{
  return head_is(head & ~CLOSING, handle);
}

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

/* The same, without a check of the index, for NULL or a handle that was live. */
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
   not succeed, and the pin may be set. The caller then takes its own slow path, which calls
   handle_enter() with the same pin. */
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

/* True if the handle is live, or its close is undecided. Acquire: a call that finds it freed comes
   after the free. */
static inline bool handle_is_undecided(struct object *object, void *handle)
{
  return head_is_undecided(load_acquire(&object->tag_flags), handle);
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

/* The same for a call with a time-out. ILK_OK; ILK_EHANDLE; ILK_ETIMEDOUT: the time-out is 0, and a
   close is undecided, for whose decision the call does not wait. */
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

/* --- a call that waits, or changes more than the head -----------------------------

   It begins, which pins the object, does its work, and ends:

       struct call c;
       int result = call_begin(&c, handle, KIND_LATCH);
       if (result != ILK_OK)
         return fail(result);
       ...
       call_end(&c);

   A call whose fast path is one compare-and-swap of the head does this only in its slow path. */

struct call {
  struct thread *me;
  void *handle;
  struct object *object;
};

/* ILK_OK: the object is pinned. ILK_ENOMEM: the thread has no record. ILK_EHANDLE: this is no live
   handle of that kind. ILK_ETIMEDOUT: the time-out is 0, and a close is undecided. */
static inline int call_begin_timed(struct call *c, void *handle, enum kind kind, int64_t timeout_ns)
{
  /* In a handler of the program in a fork's child: before this call counts itself as a waiter, or
     waits for a thread that does not exist here. */
  (void)fork_is_under_way();
  *c = (struct call){thread_self(), handle, handle_object(handle)};
  return unlikely(!c->me) ? ILK_ENOMEM
                          : handle_enter_timed(c->me, PIN_INNER, handle, kind, timeout_ns);
}

static inline int call_begin(struct call *c, void *handle, enum kind kind)
{
  return call_begin_timed(c, handle, kind, -1);
}

static inline void call_end(const struct call *c)
{
  handle_leave(c->me, PIN_INNER);
}

/* The end of a call that may have waited. */
static inline void call_end_wait(const struct call *c)
{
  call_end(c);
  gil_reacquire(c->me);
}

/* The frame of a call that may wait: the result of f(), with the object pinned. */
static inline int call_waiting(void *handle, enum kind kind, int64_t timeout_ns,
                               int (*f)(const struct call *c, int64_t timeout_ns))
{
  struct call c;
  int result = call_begin_timed(&c, handle, kind, timeout_ns);
  if (result != ILK_OK)
    return result;
  result = f(&c, timeout_ns);
  call_end_wait(&c);
  return result;
}

/* For a call that finds CLOSING in the head and is not counted as a waiter: ends the call, so that
   the close can be decided, and then begins it again. Returns what call_begin_timed() does. */
COLD int call_retry(const struct call *c, int64_t timeout_ns);

/* --- calls in signal handlers ----------------------------------------------------

   A signal handler may have interrupted a call of its thread that uses the pin, or the creation of
   the thread's record. Then the pin is counted instead (handle_counted.c). A call with a counted
   pin may find CLOSING in the head. It changes the state all the same: the close then starts
   again. */

COLD struct object *handle_enter_safely_slow(struct thread **me, void *handle, enum kind kind);
COLD void handle_leave_counted(void *handle);

/* As handle_enter(), with PIN_INNER. *me: the record with the pin; NULL: the pin is counted. */
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

/* True if a call that has pinned by handle_enter_safely() may change this head. `counted`: the pin
   is counted. */
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

/* Ends the life of the handle. ILK_OK; ILK_EHANDLE; ILK_EBUSY: the object is busy (object.h), or a
   thread waits in it. After ILK_OK no call is inside the object or will be; the caller frees what
   the object owns and calls handle_recycle(). */
int handle_close(void *handle, enum kind kind);

/* Returns the slot of an object that was closed, or that was reserved and not published. */
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
void handle_each(void (*visit)(void *handle, void *context), void *context);

extern const struct fork_module handle_fork; /* guard.h */

#endif
