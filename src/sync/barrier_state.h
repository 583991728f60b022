/* Barrier. Each arrival takes a ticket: 0, 1, 2, ... A round is `parties` consecutive tickets. The
   number of tickets given out determines which rounds are complete, so the last arrival completes
   its round by arriving, in one step. Checked by test/models/barrier.pml.

   `state` consists of:

       TICKETS   tickets given out. `inside` = TICKETS % parties threads wait in the current round.
                 61 bits: one ticket a nanosecond lasts for 73 years.
       BROKEN    set when the round is broken. While it is set no thread arrives; the threads inside
                 return their tickets and leave.
       RESET     set only with BROKEN: both are cleared as soon as the threads inside have left.
       ACTING    set while the last thread of the round acts before it arrives; no thread arrives
                 meanwhile.

   The barrier is shut while RESET is set, or ACTING without BROKEN: threads that want to arrive
   wait until it is open. At a barrier that is BROKEN and not shut they get an error.

   State transitions, all by compare-and-swap:

       t                    -> t + 1               arrival (not BROKEN)
       t                    -> t | BROKEN          abort, or a thread inside abandons its wait
       t | BROKEN [| RESET] -> t - 1, same bits    a thread inside leaves
       t | BROKEN | RESET   -> t - 1               the last thread inside leaves
       t, t | BROKEN        -> t | BROKEN | RESET  reset, with threads inside
       t | BROKEN           -> t                   reset, with no thread inside
       t | BROKEN | RESET   -> t | BROKEN          abort, or a thread outside abandons its wait
       t                    -> t | ACTING          the last thread of the round begins to act
       t | ACTING           -> t | ACTING | BROKEN abort, or a thread abandons its wait
       t | ACTING           -> t + 1               it has acted; if it failed: t | BROKEN

   BROKEN and RESET may also be set while a thread acts. Then that thread counts as one of those
   inside, and clears ACTING when it leaves.

   Invariants:
   I1  Let ticket k belong to the round that ends at `goal`, the next multiple of parties. Its
       thread may proceed iff TICKETS >= goal. Only threads inside the current round return tickets,
       so TICKETS never falls below the end of a completed round.
   I2  If TICKETS < goal and BROKEN is set, the round of that ticket is broken. It stays broken
       until the ticket's thread has left, because a reset clears BROKEN only when no thread is
       inside. So a thread inside never waits for a reset to end; only arriving threads do.
   I3  All changes form one release-acquire chain: a thread that may proceed sees everything that
       each thread of its round did before it arrived.
   I4  While threads leave a broken round, `left` has a bit for each ticket of it that was returned.
       A bit is set before its ticket is returned; the last thread clears all bits before it returns
       its own ticket. So no thread leaves twice, and the threads inside and the bits together are
       as many as the tickets taken in the round. This does not hold between the two steps of a
       thread that leaves. At that moment a wrong ticket, which was never taken or was returned
       before, may pass for a taken one. Its call then takes the place of the last thread, which
       gets ILK_EPERM.
   I5  Sleeping threads use the object's event count (block.h). Every call stays pinned until it has
       woken the threads that it releases, so if the first of them frees the barrier, the free waits
       for that call and for the rest. But a free fails while the barrier is shut and threads wait
       `outside`: it could not wait for them, because the thread that keeps the barrier shut may be
       between two calls, and its next call would wait for the free. */
#ifndef INTERLOCK_BARRIER_STATE_H
#define INTERLOCK_BARRIER_STATE_H

#include "handle.h"

#define BROKEN (UINT64_C(1) << 63)
#define RESET (UINT64_C(1) << 62)
#define ACTING (UINT64_C(1) << 61)
#define TICKETS (ACTING - 1)

struct barrier {
  struct object object;
  atomic_u64 state;
  uint32_t parties;
  bool may_spin;            /* there is a CPU for each thread */
  atomic_u32 outside;       /* the number of waiters that have not arrived, because it is shut */
  atomic_u64 left;          /* I4, for up to LEFT_BITS parties; for more parties: */
  atomic_u64 *left_of_many; /* the number of bits that are set, then the bits */
};
#define LEFT_BITS 64
_Static_assert(sizeof(struct barrier) <= CACHE_LINE, "an object fills one cache line");

/* The number of words of bits for so many parties. */
static inline uint32_t left_size(uint32_t parties)
{
  return (parties - 1) / LEFT_BITS + 1;
}

static inline uint32_t inside(const struct barrier *b, uint64_t state)
{
  return (uint32_t)((state & TICKETS) % b->parties);
}

static inline bool is_complete(uint64_t state, uint64_t goal)
{
  return (state & TICKETS) >= goal;
}

static inline bool is_broken(uint64_t state)
{
  return (state & (BROKEN | RESET)) == BROKEN;
}

/* Are there threads still to leave the current round, arrived or acting? */
static inline bool is_occupied(const struct barrier *b, uint64_t state)
{
  return state & ACTING || inside(b, state);
}

static inline bool is_shut(uint64_t state)
{
  return state & RESET || (state & (ACTING | BROKEN)) == ACTING;
}

/* The barrier is not broken, and no thread has arrived with this ticket: it was never taken, was
   returned, was left behind by a fork, or is that of the acting thread, which arrives once it has
   acted. */
static inline bool is_not_taken(uint64_t state, uint64_t ticket)
{
  return !(state & BROKEN) && ticket >= (state & TICKETS);
}

/* The end of the round that this ticket belongs to (I1). */
static inline uint64_t goal_of(const struct barrier *b, uint64_t ticket)
{
  return ticket - ticket % b->parties + b->parties;
}

/* All of these are called within a pin. In barrier.c: */

/* Takes a ticket; or, with `act`, reserves the last one of the round. Sets `*ticket` in both cases.
   After an error the thread has not arrived; a wait that ends early breaks the barrier unless
   `resumable`. */
int barrier_arrive(const struct call *c, int64_t deadline, bool act, bool resumable,
                   uint64_t *ticket);
/* Sleeps until the round is complete (ILK_OK) or broken, or the wait ends early. A resumable wait
   (`resumable`) changes nothing else: its thread neither breaks nor leaves the round. */
int barrier_sleep(const struct call *c, uint64_t ticket, int64_t deadline, bool resumable);
/* Called after a seq_cst change of the state (see block.h). */
void barrier_wake_all(struct barrier *b);

/* In barrier_break.c: */

/* Breaks the ticket's round and leaves it: `result`. ILK_OK: too late, the round is complete.
   ILK_EBROKEN: it was already broken. ILK_EPERM: no thread inside holds that ticket. */
COLD int barrier_abandon(struct barrier *b, uint64_t ticket, int result);
/* The acting thread leaves a broken round: ILK_EBROKEN. ILK_EPERM: no thread acts. */
COLD int barrier_stop_acting(struct barrier *b);
/* Breaks the barrier; a reset in progress ends with the barrier broken. ILK_OK. */
int barrier_break_up(struct barrier *b);
/* Resets the barrier; if threads are inside, once they have left. ILK_OK. */
int barrier_reset(struct barrier *b);
/* The last thread leaves the round, or a fork's child has none: clears the bits of I4. */
void barrier_left_clear(struct barrier *b, uint64_t state);

#endif
