/* Mutex: barging, with a queue of sleepers that is first in, first out, and
   hand-over for the starving, as in Go's sync.Mutex and WebKit's Lock; the
   unlock is a plain store where the system has an asymmetric fence (fence.h).

   The law of the state, the lower half of the object's head:

       FREE           nobody holds it
       id             held by that thread (of an unowned mutex: locked by it)
       id | HANDOFF   held, and its release goes to the first in the queue

       FREE -> id            any thread, by compare-and-swap           lock
       id -> FREE            the holder, by a store (fair: by c-a-s)   unlock
       id -> id | HANDOFF    a waiter, by compare-and-swap             starving, or fair
       id | HANDOFF -> id'   who releases, with the queue locked       hand-over
       dead id -> id'        any thread, by compare-and-swap           owner died
       any -> FREE           ilk_mutex_reset()

   "The first in the queue" is the first that is present (waitq.h): no release waits for one that is away.

   Invariants:
   I1  Only the holder changes a held state, but for HANDOFF, a dead holder's, and reset.
   I2  The first in the queue sleeps only after it said `wanted`, ran the heavy fence, and then
       saw the mutex held; a releaser first stores FREE, then looks at `wanted`. So it sleeps
       only when a release that looks is still to come. Those behind it sleep on its word: it
       leaves the queue as the holder, with `wanted` said for them, so that its own release looks
       (that of another thread, of an unowned mutex, may come before it left: it looks at the queue);
       or it gives up, and what it said stays, for the next. Who signals a waiter, or finds the
       first signalled, takes `wanted` back: until that one says it anew, releases have nothing
       to do. So a woken one that looks in vain says it, and looks again, before it sleeps or
       gives up.
   I3  The store of a release may erase a HANDOFF that came at the same time. That
       loses no wake (`wanted`), only fairness for one turn.
   I4  A waiter clears its signal, looks, and leaves or stays in one step with the queue
       locked: a signal that came before is followed by a look, one that comes after is
       for whoever is first then. At most one signalled waiter is on its way; and those that were
       signalled before one came back to its place ahead of them, or that a wake did not find asleep.
   I5  `depth` is the holder's own, and 0 when it is free.
   I6  A thread's record says which mutex it locked last and has not unlocked: `held`.
       While the mutex is SIMPLE that is enough to know that it holds it, without a look at
       the head, which would stall on the swap that locked it. Whoever takes a mutex away
       from its holder, or needs another kind of unlock, says so in the seal first:
       a mark, a lock taken twice, an unlock by another thread, a reset. If it is freed
       after that, the record is wrong about a mutex that is gone: the tag tells.
   I7  Wakes that a condition's notify has put off (waitq.h) are for threads that need this mutex
       next: until its release they miss nothing. SPECIAL_LATE stands as long as there are
       any, so every release by the holder gives them; who takes the mutex from it does, too.
   I8  A waiter goes away at the end of a part (parts.h) as it would leave, with nothing of what it said
       taken back, but stays in the queue. It comes back as it would join. A thread that takes the mutex
       between two parts may still have its place there, away.

   How long can one starve? Once the first in the queue has waited for STARVING, it
   marks HANDOFF when it looks in vain, and so does a release that finds the mutex taken
   again before it could wake the first: the release after that goes to the first. So
   the first has it after STARVING, two sections, and a wake; and each behind it likewise,
   once it is the first. */
#ifndef INTERLOCK_MUTEX_STATE_H
#define INTERLOCK_MUTEX_STATE_H

#include "clock.h"
#include "waitq.h"

#define FREE UINT32_C(0)
#define HOLDER_MASK ID_MAX
#define HANDOFF (UINT32_C(1) << 31)

#define STARVING NS_PER_MS

/* Why an unlock may not be a mere store: the lower half of the object's seal. */
#define SIMPLE 0
#define SPECIAL_FAIR UINT64_C(1)
#define SPECIAL_UNOWNED UINT64_C(2)
#define SPECIAL_NESTED UINT64_C(4)   /* depth > 0 */
#define SPECIAL_MARKED UINT64_C(8)   /* HANDOFF was set */
#define SPECIAL_CROSSED UINT64_C(16) /* was once unlocked by a thread that had not locked it */
#define SPECIAL_FORCED UINT64_C(32)  /* was once reset while a live thread held it: see ilk_mutex_free() */
#define SPECIAL_LATE UINT64_C(64)    /* its holder has wakes to give: see mutex_wake_at_unlock() */

struct mutex {
  struct object object;
  atomic_u32 wanted; /* 1: the first in the queue is, or will be, asleep and not signalled */
  atomic_u32 depth;  /* locks by the holder beyond the first; written by the holder alone, others read it for the report */
  int flags;
  struct waitq queue;
};
_Static_assert(sizeof(struct mutex) <= CACHE_LINE, "an object fills one cache line");
_Static_assert(offsetof(struct mutex, wanted) == sizeof(struct object), "see LATE_LOOKS");

static inline bool is_owned(const struct mutex *m)
{
  return !(m->flags & ILK_UNOWNED);
}

static inline bool is_fair(const struct mutex *m)
{
  return m->flags & ILK_FAIR;
}

static inline uint32_t holder(uint64_t head)
{
  return head_state(head) & HOLDER_MASK;
}

/* Relaxed: exact for the holder, which alone writes it; for others, a value of some moment. */
static inline uint32_t mutex_depth(struct mutex *m)
{
  return load_relaxed(&m->depth);
}

/* All of these within a pin (mutex_queue.c). */

/* As after a lock that is the first. */
void mutex_forget_depth(struct mutex *m);
/* The whole of a lock; `flags` are for block(). */
int mutex_lock_pinned(struct mutex *m, void *handle, struct self *me, int64_t timeout_ns, int flags);
/* One lock less; or, with a place for the depth, none left. */
int mutex_unlock_pinned(struct mutex *m, void *handle, struct self *me, uint32_t *depth);
/* The mutex was made free: has the first in the queue look, unless it is on its way. */
void mutex_wake_first(struct mutex *m);

#endif
