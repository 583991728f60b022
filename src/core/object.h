/* What all objects have in common: the kind, the first part of the slot, and what other modules
   need of a kind. See handle.h. */
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

/* In every kind the first 32 bits after `struct object` are atomic, because a delayed call for the
   slot's earlier object may still load them (a mutex's `has_waiters`, a semaphore's maximum, a
   readers-writer lock's writer). A kind that needs no atomic there begins with this. */
#define DELAYED_LOADS atomic_u32 delayed_loads

struct cycle_visitor; /* see cycle.h */

/* What other modules need of a kind. A function may be NULL. */
struct kind_operations {
  const char *name;
  /* True if it has a queue in which ilk_wait_begin() keeps a slot. */
  bool keeps_slots;
  /* In a kind without a queue: ilk_wait_begin() takes a slot all the same, and stores in `begun_in`
     what this returns. NULL: it does nothing. */
  uint64_t (*begin)(struct object *);
  /* The id of the thread that must act before a thread that waits for part `index` can continue; 0:
     none. The index may be out of range. */
  uint32_t (*holder)(struct object *, int64_t index);
  /* The same where several threads may have to act: visits at least those of them that are blocked.
     `waiter` sleeps for part `index`, or did a moment ago. NULL: holder() suffices. */
  void (*each_blocker)(struct object *, struct thread *waiter, int64_t index,
                       struct cycle_visitor *);
  /* The thread that held it has exited: wakes a waiter, which rechecks. */
  void (*holder_died)(struct object *, int64_t index);
  /* True if what all waiters wait for has come, so that those still counted are about to leave. A
     free then waits for them instead of returning ILK_EBUSY. So the thread that wakes them must
     keep its pin until it has woken them. NULL: never. */
  bool (*satisfied)(struct object *);
  /* True if the object is in use, with this state, so that a free returns ILK_EBUSY. A free may ask
     more than once. NULL: never. (Whether a thread waits in it is checked for all kinds.) */
  bool (*busy)(struct object *, uint32_t state);
  /* busy() may take long, so it is not called with the table of handles locked. */
  bool busy_takes_long;
  /* False: a store to the closed object may still be under way, so its slot is never reused. NULL:
     true. */
  bool (*reusable)(struct object *);
  /* True if a free may retire the object instead of waiting until no call pins it (I5, I6 of
     handle_close.c). NULL: never. */
  bool (*retires)(struct object *);
  /* A thread exits: releases what its record lists of this kind. */
  void (*thread_exit)(struct thread *me);
  /* A resumable wait of the thread has ended, or the thread exits within it. Gives another waiter
     what this one leaves: a notify, or, in a kind that keeps slots, its place. The object may be
     gone. NULL: nothing is left. */
  void (*pass_on)(void *handle, struct thread *me);
  /* Writes the state in words, "locked by thread 3", to text[size], for the report. */
  void (*describe)(struct object *, char *text, size_t size);
  /* In a fork's child, where the other threads no longer exist, whatever they were doing. `waiters`
     is already 0. */
  void (*after_fork)(struct object *);
};

extern const struct kind_operations *const kind_operations[KINDS];

#endif
