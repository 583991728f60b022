/* Mutex. It allows barging: a running thread may acquire it before queued waiters. Waiters sleep in
   a first-in, first-out queue, and a waiter that starves receives the mutex by hand-off. Unlock is
   a plain store where the system has an asymmetric fence (fence.h).

   Source: Go's sync.Mutex and WebKit's Lock. Checked by test/models/mutex.pml; deferred wakes (I7)
   by deferred.pml, resumable waits (I8) by resumable.pml.

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
       any -> FREE                   ilk_mutex_reset()
       id | HANDOFF -> id            a fork's child, which has no queue

   An unowned mutex may be unlocked by any thread; read "the thread that unlocks" for "the holder"
   then. "The first waiter" is the first one in the queue that is present (waitq.h): no release
   waits for a thread that is away.

   Invariants:
   I1  Only the holder changes the state of a locked mutex, with four exceptions: HANDOFF may be
       set, a dead holder may be replaced, a reset changes any state, and a fork's child clears
       HANDOFF.
   I2  Only the first waiter requests a wake: it sets `has_waiters`, runs the heavy fence, rechecks
       the state, and sleeps. A release stores FREE, then loads `has_waiters`. So the first waiter
       sleeps only while a release that will see `has_waiters` is still to come. Later waiters rely
       on the first: when it acquires the mutex, or leaves without it, it sets `has_waiters` if
       others wait. After it has acquired, its own release sees that. Another thread may unlock an
       unowned mutex before the acquirer has left the queue, and so before it sets `has_waiters`.
       Such a release also loads the count of waiters (`object.waiters`), and wakes the first if it
       is not 0. A waker that signals a waiter, finds the first waiter signalled already, or finds
       none present clears `has_waiters`: until a waiter sets it again, releases have nothing to do.
       A signalled waiter that fails to acquire sets it again and rechecks before it sleeps or
       leaves.
   I3  The store of a release may erase a HANDOFF that is set at the same time. No wake is lost,
       because wakes depend on `has_waiters` alone; the starving waiter waits for one more critical
       section.
   I4  Under one hold of the queue's lock, a waiter clears its signal, attempts to acquire, and
       leaves or stays. So an attempt follows every signal that came before, and a later signal goes
       to whichever waiter is first then. At most one signalled waiter has not yet rechecked. Not
       counted are those that a wake did not find asleep, and those that a returning thread is now
       ahead of.
   I5  `depth` belongs to the holder, and is 0 when the mutex is free.
   I6  `held` in a thread's record is the mutex that the thread locked last, or NULL, at the latest
       once the thread has unlocked it. While that mutex's `tag_flags` has no slow-path flag
       (SIMPLE), `held` proves ownership without a load of the head, which would stall on the swap
       that locked it. A thread that takes the mutex away, or unlocks it for another, sets a flag
       first; so does a recursive lock. Only the flag for HANDOFF may come too late; the store then
       erases HANDOFF (I3). If the mutex has been freed since, the tag check fails.
   I7  A condition's notify may defer wakes (waitq.h) of threads that need this mutex next: they
       lose nothing until its release. SPECIAL_DEFERRED is set while there are deferred wakes, so
       every release by the holder delivers them. A thread that takes the mutex away from the holder
       delivers them, too.
   I8  At the end of a part of a resumable wait (resumable.h) a waiter does what it does when it
       leaves without the mutex, but stays in the queue, away. The next part does what a new waiter
       does. A thread that acquires the mutex between two parts may still have its slot in the
       queue, away.

   Bound on starvation: once the first waiter has waited for STARVING, it sets HANDOFF when an
   attempt fails. So does a release that finds the mutex locked again before it could wake that
   waiter. The next release hands the mutex over, unless it erases HANDOFF (I3). So the first waiter
   has it after STARVING, two critical sections (one more for each HANDOFF that was erased), and a
   wake; and each waiter behind it likewise, once it is first. */
#ifndef INTERLOCK_MUTEX_STATE_H
#define INTERLOCK_MUTEX_STATE_H

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
#define SPECIAL_NESTED UINT64_C(4) /* set while depth > 0, by the holder */
#define SPECIAL_MARKED UINT64_C(8) /* HANDOFF was set; the next release clears it */
/* unowned; once unlocked or reset by another thread than its locker */
#define SPECIAL_CROSSED UINT64_C(16)
/* once reset while another live thread held it: see ilk_mutex_free() */
#define SPECIAL_FORCED UINT64_C(32)
/* its holder has deferred wakes: see mutex_wake_at_unlock() */
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

/* Relaxed: exact for the holder, which alone writes it; others may read an old value. */
static inline uint32_t mutex_depth(struct mutex *m)
{
  return load_relaxed(&m->depth);
}

/* In mutex_queue.c. The caller has pinned the mutex. */

/* Sets the depth to that of a first lock. */
void mutex_forget_depth(struct mutex *m);
/* Locks, and waits if it must. `flags` are for block(). */
int mutex_lock_pinned(struct mutex *m, void *handle, struct thread *me, int64_t timeout_ns,
                      int flags);
/* Undoes one lock; if `depth` is not NULL, all of them, and stores the depth. */
int mutex_unlock_pinned(struct mutex *m, void *handle, struct thread *me, uint32_t *depth);
/* The mutex was released: wakes the first waiter, unless that one is signalled already. */
void mutex_wake_first(struct mutex *m);

#endif
