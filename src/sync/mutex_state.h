/* Mutex. It allows barging: a running thread may acquire it before queued waiters. Waiters sleep in
   a first-in, first-out queue, and a waiter that starves receives the mutex by hand-off. Unlock is
   a plain store where the system has an asymmetric fence (fence.h).

   Source: Go's sync.Mutex and WebKit's Lock. Checked by test/models/mutex.pml, which is not fair;
   deferred wakes (I7) by deferred.pml, resumable waits (I8) by resumable.pml; the fair mutex and
   resets by the scenarios mutex* of test/models/real.

   The state is the lower half of the object's head:

       FREE           unlocked
       id             locked by that thread
       id | HANDOFF   locked, and its release gives it to the first waiter

   State transitions (CAS: compare-and-swap):

       FREE -> id                    any thread, by CAS                            lock
       id -> FREE                    the holder, by a store; a fair mutex: by CAS  unlock
       id -> id | HANDOFF            a waiter or a waker, by CAS, if the first waiter starves or the
                                     mutex is fair
       id | HANDOFF -> FREE, id', or, if the mutex is fair, id' | HANDOFF
                                     the holder, with the queue locked             hand-off
       dead id -> id'                any thread, by CAS; HANDOFF stays             owner died
       any -> id -> FREE             ilk_mutex_reset(), with the queue locked: it takes the mutex by
                                     CAS, and frees it by a store
       id | HANDOFF -> id            a fork's child, which has no queue

   An unowned mutex may be unlocked by any thread; read "the thread that unlocks" for "the holder"
   then. "The first waiter" is the first one in the queue that is present (waitq.h): no release
   waits for a thread that is away.

   Invariants:
   I1  Only the holder changes the state of a locked mutex, with four exceptions: HANDOFF may be
       set, a dead holder may be replaced, a reset changes any state, and a fork's child clears
       HANDOFF.
   I2  A release stores FREE, then loads `has_waiters`; if that is set, it wakes the first waiter.
       So `has_waiters` must be set while the first waiter sleeps and is not signalled:
       - A waiter that is the first when it joins requests a wake: it sets `has_waiters`, runs the
         heavy fence, and rechecks the state before it sleeps. This is Dekker with the release:
         either the recheck finds the mutex free, or the release sees the request.
       - A waiter that joins behind others makes no request. Each waiter that leaves the queue sets
         `has_waiters` if others wait. If it has acquired the mutex, its own release sees that. If
         the first waiter leaves without the mutex, `has_waiters` is set already: the request that
         it has made, or relied on, still stands.
       - A waker that signals a waiter clears `has_waiters`, so that releases have nothing to do
         until a waiter sets it again; so does a waker that finds the first waiter signalled
         already, or none present. A signalled waiter that fails to acquire makes a new request and
         rechecks, before it sleeps or leaves; if it pauses (mutex_queue.c), it does so for the
         other waiters, if any are present, and after the pause for itself.
       - Another thread may unlock an unowned mutex before the thread that has acquired it has left
         the queue, and so before that thread has set `has_waiters`. Such a release also loads the
         count of waiters (`object.waiters`). If that is not 0, it requests a wake itself, rechecks
         the state with the queue locked, and wakes the first if the mutex is free.
       - The exit of a holder wakes the first waiter as a release does. A waiter that it misses
         finds the holder dead before it sleeps (block()).
   I3  The store of a release may erase a HANDOFF that is set at the same time. No wake is lost,
       because wakes depend on `has_waiters` alone; the starving waiter waits for one more critical
       section.
   I4  A waiter clears its signal, attempts to acquire, and leaves or stays, without unlocking the
       queue in between. So an attempt follows every signal that came before, and a later signal
       goes to whichever waiter is first then. Normally at most one waiter is signalled and has not
       rechecked yet. There are more if a wake did not find its thread asleep, because then the next
       waiter is signalled too, or if a thread that was away comes back ahead of the signalled one.
       (Of a fair mutex only the first waiter attempts.)
   I5  `depth` belongs to the holder, and is 0 when the mutex is free.
   I6  `held` in a thread's record is NULL, or the mutex that the thread locked last and has not
       unlocked since. While that mutex's `tag_flags` has no slow-path flag (SIMPLE), `held` proves
       ownership without a load of the head, which would stall on the swap that locked it. So a
       thread that takes the mutex away, or unlocks it for another, first sets a flag; a recursive
       lock sets one, too. Two flags may come too late, after the holder's unlock has loaded
       `tag_flags`. If it is the flag for HANDOFF, the store erases HANDOFF (I3). If it is that of a
       reset, the store unlocks the mutex even if another thread has locked it since; a reset does
       not prevent that, as its documentation says. And if the mutex has been closed since then, the
       store makes its handle live again, in a slot that is not reused (see is_reusable()), so that
       no other object is affected.
   I7  A condition's notify may defer wakes (waitq.h) of threads that need this mutex next: they
       lose nothing until its release. SPECIAL_DEFERRED is set while there are deferred wakes, so
       every release by the holder makes them. A reset makes those of the holder that it takes the
       mutex from; a thread that exits makes its own.
   I8  At the end of a part of a resumable wait (resumable.h) a waiter does what it does when it
       leaves without the mutex, but its slot stays in the queue, away. The next part does what a
       new waiter does, except that it returns to that slot. A thread that acquires the mutex
       between two parts may still have its slot in the queue, away.
       The slot of a waiter that pauses is away, too, and it returns to it as the next part does.
   I9  A mutex is retired (handle.h) only while no store of its head can be under way. An owned one
       is stored by its holder alone, or after SPECIAL_FORCED was set. An unowned one may be
       unlocked by several threads at once, by mistake. The thread that locked it needs no flag:
       until it stores, the mutex is locked and a free fails, unless another thread has unlocked it.
       A thread that unlocks for another first sets SPECIAL_CROSSED, by an RMW of `tag_flags`, and
       stores only if that RMW found the tag. A free sets CLOSING in that word first, then checks
       the flag. So either the free sees the flag and waits for the pins, or that thread sees
       CLOSING and begins anew.

   Bound on starvation: once the first waiter has waited for STARVING (a quarter longer, if it
   pauses), it sets HANDOFF when an attempt fails. So does a release that finds the mutex locked
   again before it could wake that waiter. The next release hands the mutex over, unless it erases
   HANDOFF (I3). So the first waiter has it after that time, two critical sections (one more for
   each HANDOFF that was erased), and a wake; and each waiter behind it likewise, once it is
   first. */
#ifndef INTERLOCK_MUTEX_STATE_H
#define INTERLOCK_MUTEX_STATE_H

#include "handle.h"
#include "clock.h"
#include "waitq.h"

#define FREE UINT32_C(0)
#define HOLDER_MASK ID_MAX
#define HANDOFF (UINT32_C(1) << 31)

#define STARVING NS_PER_MS

/* Slow-path flags, the lower half of the object's `tag_flags`: why unlock cannot be a plain store
   (I6). */
#define SIMPLE 0
#define SPECIAL_FAIR UINT64_C(1)
#define SPECIAL_UNOWNED UINT64_C(2)
/* Set while depth > 0, by the holder. */
#define SPECIAL_NESTED UINT64_C(4)
/* HANDOFF was set. Cleared by the next release. */
#define SPECIAL_MARKED UINT64_C(8)
/* It is unowned, and another thread than its locker has unlocked or reset it (I6, I9). Never
   cleared. */
#define SPECIAL_CROSSED UINT64_C(16)
/* It is owned, and was reset while another live thread held it (I6). Never cleared. */
#define SPECIAL_FORCED UINT64_C(32)
/* Its holder has deferred wakes (I7). Cleared by the next release. */
#define SPECIAL_DEFERRED UINT64_C(64)

struct mutex {
  struct object object;
  /* May be 1 at any time; must be 1 while the first waiter sleeps and is not signalled (I2). Not
     needed by a fair mutex, whose HANDOFF does the same. */
  atomic_u32 has_waiters;
  /* Locks by the holder beyond the first. Only the holder writes it; others read it for the
     report. */
  atomic_u32 depth;
  int flags;
  struct waitq queue;
};
_Static_assert(sizeof(struct mutex) <= CACHE_LINE, "an object fills one cache line");
_Static_assert(offsetof(struct mutex, has_waiters) == sizeof(struct object), "see DELAYED_LOADS");

/* The mutex of a call that has pinned it. */
static inline struct mutex *mutex_of(const struct call *c)
{
  return (struct mutex *)c->object;
}

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

/* False: it is free, or its holder is dead, so any thread can acquire it. */
static inline bool is_held(const struct mutex *m, uint64_t head)
{
  return head_state(head) != FREE && (!is_owned(m) || thread_find(holder(head)));
}

/* Relaxed: exact for the holder, which alone writes it; others may read an old value. */
static inline uint32_t mutex_depth(struct mutex *m)
{
  return load_relaxed(&m->depth);
}

/* The first waiter. A waiter that is away keeps its slot, but is passed over. */
static inline struct wait_slot *first_present(struct mutex *m)
{
  return waitq_present(m->queue.first);
}

/* In mutex_queue.c and mutex_release.c. The caller has pinned the mutex. */

/* Sets the depth to 0, whichever thread has locked it before. */
void mutex_forget_depth(struct mutex *m);
/* Locks, and waits if it must. `flags` are for block(). */
int mutex_lock_pinned(const struct call *c, int64_t timeout_ns, int flags);
/* Undoes one lock; if `depth` is not NULL, all of them, and stores the depth. */
int mutex_unlock_pinned(const struct call *c, uint32_t *depth);
/* Requests a wake of the first waiter. The caller then rechecks the state: a release that it misses
   sees the request (I2). */
void mutex_request_wake(struct mutex *m);
/* The mutex was released, or its holder is dead: wakes the first waiter, unless that one is
   signalled already. */
void mutex_wake_first(struct mutex *m);

#endif
