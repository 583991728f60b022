/* Handles: any pointer-sized value is safe to ask about.

   Objects live in slots of one cache line, in a region that begins small, grows in place, and
   is never unmapped. A slot begins with its `head`: a tag in
   the upper half (kind and generation) and 32 bits of the object's own state in
   the lower. A handle is the tag together with the slot's index:

       bit  63  62    61..58  57     56..32      31..0
            0   LIVE  kind    0      generation  index      64-bit systems
            (CLOSING stands at bit 57 of a head, never in a handle)
       bit                    31..22      21..18  17..0
                              generation  kind    index      32-bit systems

   LIVE makes a handle differ from every address that a 64-bit program can have.
   Generations count up from a number that each copy of the library in a process takes at
   random, so a handle of another copy is no live handle here, but by an unlikely chance.
   A slot whose generations are used up is not used again (on 64-bit systems; on
   32-bit systems they go round, and slots are reused oldest first).

   What makes concurrent frees safe, by the two ways in which calls touch objects:

   1. One compare-and-swap of the whole head checks the tag and changes the state
      in the same step, so it cannot touch a successor in the slot.
   2. Everything else happens within a pin: the thread publishes the handle in its
      own record, then looks at the tag. handle_close() changes the tag, then looks
      at the records (the asymmetric fence's Dekker, the pin on the light side); it
      waits for pins to go, and is refused when it finds a waiter.

   How a close goes on, for the other threads:

       open -> undecided    CLOSING in head and seal: calls that pin wait, a try is busy
       undecided -> open    a thread waits there, or is still inside after a while: then the close begins again
                            later, so nobody waits for long, and not for the thread that is inside
       undecided -> closed  the seal loses its tag: from then on the handle is not live

   Invariants:
   I1  head.tag == a handle's tag and no CLOSING  <=>  the handle is live. The copy in
       `seal`, at which pinned calls look, is set after the head, and cleared once the close is decided.
   I2  Tags change only under the table's lock. It is not held while a close waits.
   I3  a slot is given out again only after handle_close() succeeded: at that
       moment no pin names the handle, and waiters == 0.
   I4  `waiters` counts pinned threads, and places that are kept between two parts of a wait
       (parts.h), so nobody waits in a freed object. */
#ifndef INTERLOCK_HANDLE_H
#define INTERLOCK_HANDLE_H

#include "atomic.h"
#include "common.h"
#include "fence.h"
#include "self.h"

enum kind {
  KIND_NONE,
  KIND_MUTEX,
  KIND_RWLOCK,
  KIND_SEMAPHORE,
  KIND_CONDITION,
  KIND_EVENT,
  KIND_BARRIER,
  KIND_LATCH,
  KIND_ONCE,
  KIND_COUNTER,
  KIND_TALLY,
  KIND_LOCKARRAY,
  KIND_QUEUE,
  KIND_THREAD,
  KIND_LOCAL,
  KIND_SLICES,
  KINDS
};

/* Every object begins with this; its kind's own part follows, within the line. */
struct object {
  atomic_u64 head;    /* tag << 32 | state */
  atomic_u64 seal;    /* the tag again, for a look at a head that was just swapped stalls; and, in the
                         lower half, what its kind wants to know by the same look (see mutex_state.h) */
  atomic_u32 waiters; /* threads that wait for it (see block.h) */
  atomic_u32 turn;    /* what they sleep on, where they have no queue */
};

/* A body's first 32 bits are atomic in every kind, for late calls of the slot's last object may
   still look there (a mutex's `wanted`, a semaphore's maximum, a readers-writer lock's writer). A
   kind that has nothing atomic to put there begins with this. */
#define LATE_LOOKS atomic_u32 late_looks

struct cycle_visitor; /* see cycle.h */

/* What the rooms ask a kind; NULL where there is nothing to say. */
struct kind_operations {
  const char *name;
  /* Has it a queue in which ilk_wait_begin() keeps a place? */
  bool keeps_places;
  /* The id of the thread that must act before a waiter for part `index` goes on; 0: none. */
  uint32_t (*holder)(struct object *, int64_t index);
  /* The same for a kind of which several threads may have to act: visits each, or those that are
     blocked. `waiter` sleeps for part `index`, or did a moment ago. NULL: holder() tells. */
  void (*each_blocker)(struct object *, struct self *waiter, int64_t index, struct cycle_visitor *);
  /* The holder has exited: have a waiter look again. */
  void (*holder_died)(struct object *, int64_t index);
  /* Has what all wait for come, so that those who are still counted as waiters are on
     their way out? Then a free does not answer ILK_EBUSY for them, but waits until
     they are gone; so who wakes them must be pinned until it has. NULL: never. */
  bool (*let_go)(struct object *);
  /* The state in words, "locked by thread 3", into text[size]; for the report. */
  void (*describe)(void *handle, struct object *, char *text, size_t size);
  /* A fork's child: the other threads are gone, whatever they were inside of.
     `waiters` is 0 already. */
  void (*after_fork)(struct object *);
};

extern const struct kind_operations *const kind_operations[KINDS];

/* --- the handle's bits ------------------------------------------------------ */

#define TAG_LIVE (UINT32_C(1) << 30)
#define TAG_KIND_SHIFT 26
#define TAG_KIND_MASK (UINT32_C(15) << TAG_KIND_SHIFT)
#define TAG_CLOSING (UINT32_C(1) << 25)

#if UINTPTR_MAX > UINT32_MAX

#define HANDLE_GENERATION_BITS 25
#define HANDLE_SLOTS_MAX (UINT32_C(1) << 24)
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
#define HANDLE_SLOTS_MAX (UINT32_C(1) << 18)
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

/* A kind, whatever the value; KIND_NONE for those that no kind has. */
static inline enum kind handle_kind(void *handle)
{
  uint32_t kind = (handle_tag(handle) & TAG_KIND_MASK) >> TAG_KIND_SHIFT;
  return kind < KINDS ? (enum kind)kind : KIND_NONE;
}

static inline bool handle_is(void *handle, enum kind kind)
{
  return (handle_tag(handle) & (TAG_KIND_MASK | TAG_LIVE | TAG_CLOSING)) == (TAG_LIVE | (uint32_t)kind << TAG_KIND_SHIFT);
}

/* The head of a live object of that handle, in that state; and its seal. */
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

/* --- from handle to object -------------------------------------------------- */

union slot {
  _Alignas(CACHE_LINE) struct object object;
  unsigned char line[CACHE_LINE];
};

extern HIDDEN union slot *handle_slots; /* constant once the library is loaded; the first is never live */
extern HIDDEN atomic_u32 handle_limit;  /* slots that may be looked at */
extern HIDDEN union slot handle_none;      /* where a wild index leads: never live */

/* Readable whatever the handle is; only its head tells whether it is that object. */
static inline struct object *handle_object(void *handle)
{
  uint32_t index = handle_index(handle);
  /* Relaxed: who has a handle has also synchronised with its making. */
  struct object *object = likely(index < load_relaxed(&handle_limit)) ? &handle_slots[index].object : &handle_none.object;
  if (!object) /* saves the look at the answer of what is built on this */
    __builtin_unreachable();
  return object;
}

/* The same for a handle that cannot be wild, or NULL. */
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

/* handle_enter() without its slow path, for a fast path that is to save no registers. NULL:
   not so simple, there may be a pin; go on elsewhere, with handle_enter() in the same place. */
static inline struct object *handle_enter_fast(struct self *me, enum pin pin, void *handle, enum kind kind)
{
  struct object *object = handle_object(handle);
  if (unlikely(!handle_is(handle, kind)))
    return NULL;
  /* Dekker with handle_close(). Its acquire pairs with the release that made the object. */
  return likely(head_is(fence_light(&me->pin[pin], (uintptr_t)handle, &object->seal), handle)) ? object : NULL;
}

COLD int handle_enter_slow(struct self *me, enum pin pin, void *handle, int64_t timeout_ns);

/* Pins the object, which then is not freed until handle_leave(); NULL: it is not
   a live handle of that kind, and nothing is pinned. */
static inline struct object *handle_enter(struct self *me, enum pin pin, void *handle, enum kind kind)
{
  if (unlikely(!handle_is(handle, kind)))
    return NULL;
  struct object *object = handle_enter_fast(me, pin, handle, kind);
  if (unlikely(!object) && handle_enter_slow(me, pin, handle, -1) == ILK_OK)
    return handle_object(handle);
  return object;
}

/* The same for a call with a time-out: ILK_OK, ILK_EHANDLE, or, if it only tries, ILK_ETIMEDOUT: the object is
   being freed, and whether it is has to be waited for. */
static inline int handle_enter_timed(struct self *me, enum pin pin, void *handle, enum kind kind, int64_t timeout_ns)
{
  if (unlikely(!handle_is(handle, kind)))
    return ILK_EHANDLE;
  return likely(handle_enter_fast(me, pin, handle, kind)) ? ILK_OK : handle_enter_slow(me, pin, handle, timeout_ns);
}

static inline void handle_leave(struct self *me, enum pin pin)
{
  store_release(&me->pin[pin], 0); /* what was done within comes before handle_close() sees it gone */
}

/* For a pinned call that is not a waiter and finds CLOSING in the head: unpins, so that the close can be
   decided, and then returns as handle_enter_timed(). */
COLD int handle_retry(struct self *me, enum pin pin, void *handle, int64_t timeout_ns);

/* --- calls in signal handlers ----------------------------------------------------

   A handler may have interrupted another call of its thread, whose pin is in use, or the making of its
   record. Then the pin is counted instead, with the pins on other objects: that pins them, too. A call with a counted
   pin may find CLOSING in the head, and changes the state all the same, for the close then begins again. This is so, too, in
   a handler that has interrupted the close: waiting for it would be in vain. */

COLD struct object *handle_enter_safely_slow(struct self **me, void *handle, enum kind kind);
COLD void handle_leave_counted(void *handle);

/* As handle_enter(). *me: whose pin it is; NULL: it is counted. */
static inline struct object *handle_enter_safely(struct self **me, void *handle, enum kind kind)
{
  struct self *own = self_pinnable;
  if (likely(!load_relaxed(&own->pin[PIN_INNER]))) {
    struct object *object = handle_enter_fast(own, PIN_INNER, handle, kind);
    *me = own;
    if (likely(object))
      return object;
    handle_leave(own, PIN_INNER);
  }
  return handle_enter_safely_slow(me, handle, kind);
}

static inline void handle_leave_safely(struct self *me, void *handle)
{
  if (likely(me))
    handle_leave(me, PIN_INNER);
  else
    handle_leave_counted(handle);
}

/* For a call that is pinned so: may it change this head? False: handle_retry(). */
static inline bool handle_may_change(bool counted, uint64_t head, void *handle)
{
  return head_is(counted ? head & ~((uint64_t)TAG_CLOSING << 32) : head, handle);
}

/* --- making and freeing ------------------------------------------------------ */

/* A slot for a new object, its body zero and its head not live yet; NULL: no
   memory. `*handle` is what handle_publish() will make it live as. */
struct object *handle_reserve(enum kind kind, void **handle);

/* Makes it live, in that state. */
void *handle_publish(struct object *object, void *handle, uint32_t state);

/* Gives back a reserved slot that was not published. */
void handle_abandon(struct object *object, void *handle);

/* Takes the handle out of use, unless `busy` (may be NULL) objects to its state or
   somebody waits in it: ILK_OK, ILK_EHANDLE, ILK_EBUSY. After ILK_OK nobody is
   inside and nobody comes; the caller releases what the object owns and then
   calls handle_recycle(). */
int handle_close(void *handle, enum kind kind, bool (*busy)(struct object *, uint32_t state));
void handle_recycle(void *handle, bool reusable);

/* handle_close() and handle_recycle() for kinds that own nothing: the whole of ilk_KIND_free(). */
int handle_free(void *handle, enum kind kind, bool (*busy)(struct object *, uint32_t state));

int64_t handle_live(void);

/* Each live object in turn, with the table locked. */
void handle_each(void (*visit)(void *handle, struct object *object, enum kind kind, void *context), void *context);

/* Around fork(). */
void handle_before_fork(void);
void handle_after_fork(bool child);

#endif
