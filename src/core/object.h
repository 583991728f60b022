/* What all objects have in common: the kind, the first part of the slot, what other modules need of
   a kind, and the bits of a handle and of a head. See handle.h. */
#ifndef INTERLOCK_OBJECT_H
#define INTERLOCK_OBJECT_H

#include "atomic.h"
#include "common.h"

struct thread;

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

/* The first part of every object. The part of its kind follows, within the cache line. */
struct object {
  atomic_u64 head; /* tag << 32 | state */
  /* A copy of the tag, because a load of a head that was just swapped would stall; and, in the
     lower half, flags of the kind that the same load returns (see mutex_state.h). */
  atomic_u64 tag_flags;
  atomic_u32 waiters; /* the number of threads that wait (see block.h) */
  /* The epoch of the event count on which they sleep, where there is no queue. */
  atomic_u32 epoch;
};

/* The first 32 bits after it are atomic in every kind, because a delayed call for the slot's
   earlier object may still load them (a mutex's `has_waiters`, a semaphore's maximum, a
   readers-writer lock's writer). A kind without an atomic there begins with this. */
#define DELAYED_LOADS atomic_u32 delayed_loads

struct cycle_visitor; /* see cycle.h */

/* What other modules need of a kind. A function may be NULL. */
struct kind_operations {
  const char *name;
  /* True if it has a queue in which ilk_wait_begin() keeps a slot. */
  bool keeps_slots;
  /* The id of the thread that must act before a thread that waits for part `index` can continue; 0:
     none. */
  uint32_t (*holder)(struct object *, int64_t index);
  /* The same where several threads may have to act: visits each of them, or each that is blocked.
     `waiter` sleeps for part `index`, or did a moment ago. NULL: holder() suffices. */
  void (*each_blocker)(struct object *, struct thread *waiter, int64_t index,
                       struct cycle_visitor *);
  /* The thread that held it has exited: wakes a waiter, which rechecks. */
  void (*holder_died)(struct object *, int64_t index);
  /* True if the condition that all waiters wait for is satisfied, so that those still counted are
     about to leave. A free then waits for them instead of returning ILK_EBUSY. So the thread that
     wakes them must keep its pin until it has woken them. NULL: never. */
  bool (*satisfied)(struct object *);
  /* True if the object is in use, with this state, so that a free returns ILK_EBUSY; asked more than
     once. NULL: never. (That a thread waits in it is checked for all kinds.) */
  bool (*busy)(struct object *, uint32_t state);
  /* False: a store to the closed object may still be under way, so its slot is never reused. NULL:
     true. */
  bool (*reusable)(struct object *);
  /* True if a free may retire the object instead of waiting until no call pins it (I5, I6 of
     handle.h). NULL: never. */
  bool (*retires)(struct object *);
  /* A thread exits: releases what its record lists of this kind. */
  void (*thread_exit)(struct thread *me);
  /* A thread that exits has received a notify: notifies another waiter instead. NULL: there are no
     notifies. */
  void (*pass_on)(void *handle, struct thread *me);
  /* Writes the state in words, "locked by thread 3", to text[size], for the report. */
  void (*describe)(void *handle, struct object *, char *text, size_t size);
  /* In a fork's child, where the other threads no longer exist, whatever they were doing. `waiters`
     is already 0. */
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

#endif
