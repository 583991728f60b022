/* Readers-writer lock, in two layers:

   - Counted: a word with a count of readers and a bit for a writer. It allows barging: a running
     thread acquires the lock when it is free, although others sleep. Waiters sleep in a first-in,
     first-out queue. They are woken and then acquire the lock themselves; there is no hand-off.
   - Biased: while no thread writes, each reader publishes the handle in its own thread's record and
     writes nothing that is shared. A writer revokes that permission, which costs a heavy fence and
     a scan of the records. So after a revocation the bias stays off for INHIBIT times as long as
     the revocation took.

   Source: BRAVO (Dice and Kogan, USENIX ATC 2019), with an asymmetric fence in place of its hash
   table. Checked by test/models/rwlock.pml (biased layer) and rwlock_queue.pml (counted layer); I7
   by the scenarios resumable_drain* of test/models/real.

   The state is the lower half of the object's head:

       COUNT           number of readers counted in this word
       BIASED          readers may publish instead of being counted, and published ones may be
                       inside
       PUBLISHED       BIASED was revoked; readers that published may still be inside
       WRITER          a writer writes, or drains: waits for the readers before it to leave
       WRITER_PARKED   must be set while the draining writer sleeps
       HAS_WAITERS     a release wakes; must be set while the first waiter sleeps and is not
                       signalled (I3)
       WRITER_WAITING  newcomers do not join active readers; must be set while a writer sleeps in
                       the queue
       RESERVED        newcomers stay out; set while there are waiters if the lock is fair, else
                       once the first waiter starves; and while all are held back (I7)

   State transitions (CAS: compare-and-swap):

       fast read     publish the handle, if BIASED is the only bit set
       read          COUNT + 1, by CAS, if neither WRITER nor RESERVED is set, nor WRITER_WAITING
                     with active readers
       write         WRITER on, and BIASED -> PUBLISHED, by CAS, if neither WRITER nor RESERVED is
                     set
       queued        read or write, by the first waiter or a signalled one, if WRITER is clear
       drained       PUBLISHED and WRITER_PARKED off, by the writer
       read unlock   COUNT - 1, or clear the published handle; then check the head
       write unlock  WRITER off; then check the head
       downgrade     WRITER off and COUNT + 1 in one step; then check the head
       bias          BIASED on and PUBLISHED off, if at most COUNT and PUBLISHED are set, after CALM
                     reads
       HAS_WAITERS, WRITER_WAITING, RESERVED: only by settle(), with the queue locked

   "The first waiter" is the first one in the queue that is present (waitq.h).

   Invariants:
   I1  One thread at a time sets WRITER. That thread clears it, or a thread that finds it dead, or
       a fork's child if it was draining. `writer` is its id, or 0 for a moment: after it has set
       WRITER and before it clears it. (If the fork came at that moment: WRITER_LOST.)
   I2  A writer writes only once COUNT is 0 and, if PUBLISHED is set, no record publishes the
       handle. While neither BIASED nor PUBLISHED is set, no record publishes it, except to retract
       it at once. While WRITER is set, no new reader comes in: counting requires WRITER to be clear
       in the same step, and publishing is Dekker's protocol. A reader publishes, then loads the
       head (light side); a writer that finds PUBLISHED runs the heavy fence, then scans the
       records. A reader that loads anything but BIASED retracts it.
   I3  The first waiter is woken once it can proceed: WRITER is clear, and COUNT is 0 if it is a
       writer, or if all are held back (I7). (An attempt needs less: a writer that is first sets
       WRITER while readers are inside, and drains.) For this, whenever the queue is unlocked, one
       of two things holds. Either the first waiter is signalled, and so will recheck. Or one value
       of the head had both HAS_WAITERS and a state in which that waiter could not proceed: a thread
       that then lets it proceed sees HAS_WAITERS and calls settle(), or leaves that to the thread
       that has set WRITER. Every change of the waiters that are present, and every failed attempt
       of one, ends with settle(), too. A signalled waiter is a writer that is first, or a reader
       with only readers before it, and stays that unless a thread that was away comes back ahead.
   I4  A draining writer sets WRITER_PARKED, loads the `epoch`, rechecks, and sleeps on it. A reader
       that leaves, and then finds WRITER_PARKED set, increments the epoch and wakes it (block.h).
   I5  A thread's read locks are in its own record, so it may lock for reading again whatever the
       state.
   I6  The state says nothing about waiters that are away (resumable.h), except I7: when a waiter
       goes away or comes back, that counts as a change of the queue.
   I7  A writer whose part ends while it drains goes away, as ROLE_DRAINER, to the front of the
       queue. Then all others are held back, newcomers and waiters, as by a writer that is present:
       until COUNT is 0, or the writer comes back, or its wait ends. Otherwise the readers that
       queued behind it would get in at the end of each part, and it would never find the lock
       without readers. HAS_WAITERS is set meanwhile, so the last reader calls settle(). Readers
       that are published do not count; but after the revocation all are counted, so the others get
       in at most once before the writer does.

   Bound on starvation: the first waiter is woken whenever it could proceed. Once it has waited for
   STARVING, RESERVED is set when an attempt of it fails, or by a release that finds that another
   thread has barged in. Then no newcomer gets in. So the first waiter has the lock after STARVING,
   two critical sections, and a wake; and each waiter behind it likewise, once it is first. A
   draining writer has WRITER already: no thread gets in before it. */
#ifndef INTERLOCK_RWLOCK_STATE_H
#define INTERLOCK_RWLOCK_STATE_H

#include "handle.h"
#include "waitq.h"

#define COUNT_MASK ((UINT32_C(1) << 25) - 1)
#define BIASED (UINT32_C(1) << 25)
#define PUBLISHED (UINT32_C(1) << 26)
#define WRITER_PARKED (UINT32_C(1) << 27)
#define HAS_WAITERS (UINT32_C(1) << 28)
#define WRITER_WAITING (UINT32_C(1) << 29)
#define RESERVED (UINT32_C(1) << 30)
#define WRITER (UINT32_C(1) << 31)
_Static_assert((uint64_t)THREADS_MAX *READS_MAX <= COUNT_MASK, "all threads may read");

#define CALM 64    /* counted reads without a write before the bias comes back */
#define INHIBIT 32 /* the bias stays off for this many times the duration of its revocation */
#define STARVING NS_PER_MS

/* In `writer`, in a fork's child: WRITER is set, and the id was not stored yet, or not any more. No
   thread has this id. */
#define WRITER_LOST (ID_MAX + 1)

struct rwlock {
  struct object object;
  atomic_u32 writer; /* the id of the thread that set WRITER */
  atomic_u32 calm;   /* reads counted since the last write; approximate */
  struct waitq queue;
  uint32_t writers : 31; /* writers in the queue that are present; guarded by the queue's lock */
  uint32_t fair : 1;     /* constant; read with the queue locked, since `writers` shares its word */
  atomic_u32 died;       /* 1: the next acquisition returns ILK_OWNER_DIED: a writer died */
  atomic_i64 biased_from; /* the bias stays off until then */
};
_Static_assert(sizeof(struct rwlock) <= CACHE_LINE, "an object fills one cache line");
_Static_assert(offsetof(struct rwlock, writer) == sizeof(struct object), "see DELAYED_LOADS");

/* The lock of a call that has pinned it. */
static inline struct rwlock *rwlock_of(const struct call *c)
{
  return (struct rwlock *)c->object;
}

/* May a newcomer, or a thread in the queue, read in that state? */
static inline bool rwlock_is_open_to_read(uint32_t state, bool queued)
{
  return !(state & WRITER) &&
         (queued ||
          !(state & RESERVED || (state & WRITER_WAITING && state & (COUNT_MASK | PUBLISHED))));
}

static inline bool rwlock_is_open_to_write(uint32_t state, bool queued)
{
  return !(state & WRITER) && (queued || !(state & RESERVED));
}

/* A thread's read locks are in its own record: each entry holds one lock, published or counted, and
   is empty when it is neither. */

/* Relaxed: only its own thread writes it. */
static inline uintptr_t hold_counted(const struct thread *me, uint32_t i)
{
  return load_relaxed(&me->reads_counted[i]);
}

static inline bool hold_is_empty(const struct thread *me, uint32_t i)
{
  return !load_relaxed(&me->reads_published[i]) && !hold_counted(me, i);
}

/* On top, where reads < READS_MAX. */
static inline void hold_push_counted(struct thread *me, void *handle)
{
  store_relaxed(&me->reads_counted[me->reads++], (uintptr_t)handle);
}

/* Drops empty entries at the top. Empty entries below stay: a published entry that moved could be
   missed by a writer that scans the record at this moment. */
static inline void hold_trim(struct thread *me)
{
  while (me->reads && hold_is_empty(me, me->reads - 1))
    me->reads--;
}

/* In rwlock_holds.c: */

/* The entry of the record that holds this lock for reading; -1: none. */
int rwlock_hold_find(const struct thread *me, const void *handle);
bool rwlock_hold_is_possible(struct thread *me); /* false: it holds READS_MAX locks already */
void rwlock_hold_add_counted(struct thread *me, void *handle);
/* Does any thread publish the handle? To be called after the heavy fence. */
bool rwlock_is_published(const void *handle);
/* Does that thread hold the lock for reading? The result is valid only if the thread is blocked. */
bool rwlock_is_read_by(struct thread *record, const void *handle);

/* One attempt each, by a newcomer or a thread in the queue. ILK_OK: counted; or WRITER is set, so
   drain next. ILK_EBUSY: the state does not allow it. ILK_EHANDLE: freed, or a free is in
   progress. */
int rwlock_count_in(const struct call *c, bool queued);    /* in rwlock_read.c */
int rwlock_take_writer(const struct call *c, bool queued); /* in rwlock.c */

/* In rwlock_read.c: releases all read locks of a thread that exits. */
void rwlock_thread_exit(struct thread *me);

/* In rwlock_queue.c: the waiters. The caller has pinned the lock. */

/* By the writer: clears WRITER, adds `staying` (0 or 1) readers, and wakes the waiters that can
   proceed. */
void rwlock_release_writer(struct rwlock *rw, uint32_t staying);
/* After a change of the state that saw HAS_WAITERS: wakes the waiters that can proceed. */
void rwlock_wake(struct rwlock *rw);
/* The same for a lock that is not pinned, and a draining writer; in rwlock_read.c. */
void rwlock_wake_waiters(void *handle, struct thread *me);
/* Is WRITER set by a thread that is dead? */
bool rwlock_writer_is_dead(struct rwlock *rw);
/* Releases the lock if its writer is dead. True: it was. */
bool rwlock_recover(struct rwlock *rw);
/* Acquires the lock, and waits if it must: ILK_OK (a writer then has WRITER, and must drain). */
int rwlock_acquire(const struct call *c, enum queue_role role, int64_t timeout_ns);
/* For a writer whose part ends while it drains: puts it at the front of the queue, away (I7). */
void rwlock_keep_front(struct rwlock *rw, struct wait_slot *mine);

/* See kind_operations. `role`: of the waiter, a writer or a queued reader. */
void rwlock_each_blocker(struct object *object, struct thread *waiter, int64_t role,
                         struct cycle_visitor *visitor);

/* The result of a successful acquisition. */
static inline int rwlock_acquired(struct rwlock *rw)
{
  if (likely(!load_relaxed(&rw->died)))
    return ILK_OK;
  return exchange_acquire(&rw->died, 0) ? ILK_OWNER_DIED : ILK_OK;
}

#endif
