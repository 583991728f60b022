/* Readers-writer lock. Two layers:

   - Counted: a word with a count of readers and a bit for a writer. It barges: who runs
     takes it when it is free, although others sleep. Sleepers queue up first in, first out;
     they are woken, never given anything, and take it themselves.
   - Biased: while nobody writes, readers publish themselves in their own thread's record
     and touch nothing shared, as in BRAVO (Dice and Kogan, ATC 2019) but with the
     asymmetric fence in place of its hash table's compare-and-swap. A writer takes that
     permission away, which costs a heavy fence and a look through the records; so it is
     not given again for INHIBIT times as long as that took.

   The law of the state, the lower half of the object's head:

       COUNT      readers that were counted in here
       BIASED     readers may publish instead of being counted
       PUBLISHED  BIASED was taken away: there may be readers that published
       WRITER     a writer writes, or waits for the readers before it to leave
       ASLEEP     that writer sleeps until they do
       WANTED     the first in the queue sleeps: who leaves the lock to it, wakes it
       STOP       a writer sleeps in the queue: newcomers do not join readers
       RESERVED   the first in the queue has starved, or all is fair: newcomers keep out

       fast read     publish the handle; the state is BIASED and nothing else
       read          no WRITER, RESERVED; nor STOP with readers: COUNT + 1      by c-a-s
       write         no WRITER, RESERVED: WRITER on, BIASED -> PUBLISHED        by c-a-s
       from the queue, woken or first: the same, but for no WRITER alone
       drained       PUBLISHED and ASLEEP off, by the writer
       leave         COUNT - 1, or the published handle is withdrawn; then a look
       write unlock  WRITER off; then a look
       downgrade     WRITER off and COUNT + 1 in one step; then a look
       bias          nothing but COUNT and PUBLISHED -> BIASED on, after CALM reads
       WANTED, STOP, RESERVED: by settle() alone, with the queue locked

   Invariants:
   I1  WRITER is set by one thread at a time, and taken off by it, or by who finds it dead.
       Its id is in `writer`, or 0 for the moment between two steps of it.
   I2  A writer writes only once COUNT is 0 and, if PUBLISHED, no record publishes the
       handle; not BIASED and not PUBLISHED means that none does, but to withdraw. Neither
       comes back while WRITER is set: counting asks for no WRITER in the same step, and
       publishing is Dekker's: a reader publishes, then looks at the head (light side); a
       writer that finds PUBLISHED runs the heavy fence, then looks at the records. A reader that sees
       anything but BIASED withdraws.
   I3  The first in the queue is signalled, so that it will look; or WANTED was set in the
       same step that saw a state in which it could not go on, and who changes that state
       sees WANTED and settles. Every change of the queue and every look in vain ends
       with settle(), so this holds whenever the queue is unlocked. Who is signalled
       is at the front, and stays there: a writer that is first, or a reader with only
       readers before it.
   I4  A draining writer sets ASLEEP, then reads `turn`, then looks, then sleeps on the turn
       it read. Who leaves, and then sees ASLEEP, takes the next turn (block.h).
   I5  A thread's holds are in its record, so it may read again whatever the state.
   I6  The state says nothing of waiters that are away (parts.h): "the first in the queue", and a writer
       that sleeps in it, are present. A change of who is away is a change of the queue.

   How long can one starve? The first in the queue is woken whenever it could go on. Once
   it has waited for STARVING, RESERVED is set when it looks in vain, and by a release that
   finds that somebody barged in before. Then nobody else comes in: it has the
   lock after STARVING, two sections, and a wake; and each behind it likewise, once it is
   the first. A draining writer has WRITER: nobody comes in before it. */
#ifndef INTERLOCK_RWLOCK_STATE_H
#define INTERLOCK_RWLOCK_STATE_H

#include "handle.h"
#include "waitq.h"

#define COUNT_MASK ((UINT32_C(1) << 25) - 1)
#define BIASED (UINT32_C(1) << 25)
#define PUBLISHED (UINT32_C(1) << 26)
#define ASLEEP (UINT32_C(1) << 27)
#define WANTED (UINT32_C(1) << 28)
#define STOP (UINT32_C(1) << 29)
#define RESERVED (UINT32_C(1) << 30)
#define WRITER (UINT32_C(1) << 31)
_Static_assert((uint64_t)THREADS_MAX * READS_MAX <= COUNT_MASK, "all threads may read");

#define CALM 64       /* reads without a write, before readers may publish again */
#define INHIBIT 32    /* times what it took to stop them: not before that */
#define STARVING NS_PER_MS
#define DRAIN_LOOKS 40 /* before a writer sleeps until readers leave */

/* After a fork, a writer that was between taking WRITER and saying who it is. */
#define WRITER_LOST (ID_MAX + 1)

struct rwlock {
  struct object object;
  atomic_u32 writer; /* the id of the thread that has WRITER */
  atomic_u32 calm;   /* reads counted since the last write; approximate */
  struct waitq queue;
  uint32_t writers : 31; /* in the queue; guarded by its lock, */
  uint32_t fair : 1;     /* and so, once it is made, is this: RESERVED for whoever is first */
  atomic_u32 died;   /* the next to acquire is told that a writer died */
  atomic_i64 biased_from; /* not BIASED again before this time */
};
_Static_assert(sizeof(struct rwlock) <= CACHE_LINE, "an object fills one cache line");
_Static_assert(offsetof(struct rwlock, writer) == sizeof(struct object), "see LATE_LOOKS");

/* May a newcomer read, or a thread from the queue? */
static inline bool rwlock_is_open_to_read(uint32_t state, bool queued)
{
  return !(state & WRITER) &&
         (queued || !(state & RESERVED || (state & STOP && state & (COUNT_MASK | PUBLISHED))));
}

static inline bool rwlock_is_open_to_write(uint32_t state, bool queued)
{
  return !(state & WRITER) && (queued || !(state & RESERVED));
}

/* rwlock_read.c: a thread's holds, in its own record. */

/* Where this thread holds the lock for reading; -1: nowhere. */
int rwlock_hold_find(const struct self *me, const void *handle);
bool rwlock_hold_is_possible(struct self *me); /* no: READS_MAX locks are held already */
void rwlock_hold_add_counted(struct self *me, void *handle);
/* Does any thread publish the handle? After the heavy fence. */
bool rwlock_is_published(const void *handle);
/* Does that thread hold the lock for reading? It is blocked, or nothing follows from what this returns. */
bool rwlock_is_read_by(struct self *record, const void *handle);

/* One attempt each, for a newcomer or from the queue: ILK_OK: counted in, or WRITER set, so
   drain next; ILK_EBUSY: the state is against it; ILK_EHANDLE: not this object now. */
int rwlock_count_in(struct rwlock *rw, void *handle, bool queued); /* in rwlock_read.c */
int rwlock_take_writer(struct rwlock *rw, void *handle, struct self *me, bool queued); /* in rwlock.c */

/* rwlock_queue.c: who sleeps. Within a pin. */

/* WRITER off, and `staying` (0, 1) more readers: wakes who can go on. By its writer. */
void rwlock_release_writer(struct rwlock *rw, uint32_t staying);
/* WANTED was seen after a change: wakes who can go on. */
void rwlock_wake(struct rwlock *rw);
/* A writer that is gone is released by whoever finds out. True: it was. */
bool rwlock_recover(struct rwlock *rw);
/* Sleeps until it has taken the lock: ILK_OK (a writer then has WRITER, and drains). */
int rwlock_wait_in_queue(struct rwlock *rw, void *handle, struct self *me, enum queue_role role, int64_t deadline);
/* To the front of the queue, away: for a writer whose part ends before it has the lock. */
void rwlock_keep_front(struct rwlock *rw, struct queue_place *mine);

/* See kind_operations. `role`: a writer, or a reader in the queue. */
void rwlock_each_blocker(struct object *object, struct self *waiter, int64_t role, struct cycle_visitor *visitor);

/* What an acquisition answers. */
static inline int rwlock_acquired(struct rwlock *rw)
{
  if (likely(!load_relaxed(&rw->died)))
    return ILK_OK;
  return exchange_acquire(&rw->died, 0) ? ILK_OWNER_DIED : ILK_OK;
}

#endif
