/* Readers-writer lock. Readers publish themselves in their own thread's record and
   touch nothing shared, as in BRAVO (Dice and Kogan, ATC 2019) but with the
   asymmetric fence in place of its hash table's compare-and-swap; writers queue up
   first in, first out, with all readers between two writers let in together, as in
   phase-fair locks (Brandenburg and Anderson, 2010).

   The law of the state, the lower half of the object's head:

       COUNT      readers that were counted in here
       PUBLISHED  BIASED was taken away: there may be readers that published
       BIASED     readers may publish instead of being counted
       QUEUED     the queue is not empty
       WRITER     a writer writes, or waits for the readers before it to leave

       fast read     publish the handle; the state is BIASED and nothing else
       read          no WRITER: COUNT + 1                                 by c-a-s
       write         no WRITER: WRITER on, BIASED off (then PUBLISHED on) by c-a-s
       leave         COUNT - 1, or the published handle is withdrawn
       drained       PUBLISHED off, by the writer
       write unlock  WRITER alone -> 0                                    by c-a-s
                     else grant(), with the queue locked
       bias          no WRITER: BIASED on, after CALM reads without a write

   Invariants:
   I1  WRITER changes hands only in grant() and is set by one thread at a time; that
       thread's id is in `writer`, or 0 for the moment between two steps of it.
   I2  A writer writes only once COUNT is 0 and, if PUBLISHED, no record publishes the
       handle; not BIASED and not PUBLISHED means that none does, but to withdraw. Neither comes back while WRITER is set: counting asks for
       no WRITER in the same step, and publishing is Dekker's: a reader publishes, then
       looks at the head (light side); a writer changes the head, runs the heavy fence,
       then looks at the records. A reader that sees anything but BIASED withdraws.
   I3  The queue is not empty only while WRITER is set, so newcomers cannot overtake it.
   I4  A draining writer sleeps on the object's turn. Who leaves and sees WRITER takes
       the next turn after leaving, so the writer looks again (block.h).
   I5  A thread's holds are in its record, so it may read again whatever the state. */
#ifndef INTERLOCK_RWLOCK_STATE_H
#define INTERLOCK_RWLOCK_STATE_H

#include "handle.h"
#include "waitq.h"

#define COUNT_MASK ((UINT32_C(1) << 28) - 1)
#define PUBLISHED (UINT32_C(1) << 28)
#define BIASED (UINT32_C(1) << 29)
#define QUEUED (UINT32_C(1) << 30)
#define WRITER (UINT32_C(1) << 31)

#define CALM 64  /* reads without a write, before readers may publish again */
#define RWLOCK_SPINS 40 /* looks before a wait */

/* After a fork, a writer that was between taking WRITER and saying who it is. */
#define WRITER_LOST (ID_MAX + 1)

struct rwlock {
  struct object object;
  struct waitq queue;
  atomic_u32 writer; /* the id of the thread that has WRITER */
  atomic_u32 calm;   /* reads counted since the last write; approximate */
  atomic_u32 died;   /* the next to acquire is told that a writer died */
};
_Static_assert(sizeof(struct rwlock) <= CACHE_LINE, "an object fills one cache line");

/* rwlock_read.c: a thread's holds, in its own record. */

/* Where this thread holds the lock for reading; -1: nowhere. */
int rwlock_hold_find(const struct self *me, const void *handle);
bool rwlock_hold_is_possible(const struct self *me); /* no: READS_MAX locks are held already */
void rwlock_hold_add_counted(struct self *me, void *handle);
/* Does any thread publish the handle? After the heavy fence. */
bool rwlock_is_published(const void *handle);

/* rwlock_queue.c: who goes next. Within a pin. */

/* With the queue locked, by the one who has WRITER: lets in the readers at the front,
   gives WRITER to the writer behind them, or takes it off. `staying`: 1 if the caller
   becomes a reader. */
void rwlock_grant(struct rwlock *rw, uint32_t staying);
/* A writer that is gone is released by whoever finds out. True: it was. */
bool rwlock_recover(struct rwlock *rw);
/* Sleeps until the lock is given: ILK_OK; else it is not, and we are out of the queue.
   ILK_EBUSY: no need to wait, try again. */
int rwlock_wait_in_queue(struct rwlock *rw, void *handle, struct self *me, enum queue_role role, int64_t deadline);

/* What an acquisition answers. */
static inline int rwlock_acquired(struct rwlock *rw)
{
  if (likely(!load_relaxed(&rw->died)))
    return ILK_OK;
  return exchange_acquire(&rw->died, 0) ? ILK_OWNER_DIED : ILK_OK;
}

#endif
