/* Barrier: arrivals take tickets, 0, 1, 2, ..., and a round is `parties` of them. The
   number of tickets given out tells everything about the rounds that completed,
   so the last arrival completes its round by arriving, in one step.

   The law of `state`:

       TICKETS   tickets given out. `inside` = TICKETS % parties threads wait in the round
                 that is under way. 61 bits: one a nanosecond lasts for 73 years.
       BROKEN    nobody arrives; those inside take their tickets back and go
       RESET     with BROKEN: no longer broken as soon as those inside are gone
       ACTING    the last of the round is there, and acts before it arrives: nobody arrives

       t                   -> t + 1                    who arrives (not BROKEN)
       t                   -> t | BROKEN               ilk_barrier_abort(), or who is inside and gives up
       t | BROKEN          -> (t - 1) | BROKEN         who is inside, on its way out
       t | BROKEN | RESET  -> t - 1                    the last of them
       t, t | BROKEN       -> t | BROKEN | RESET       ilk_barrier_reset(), somebody inside
       t | BROKEN          -> t                        ilk_barrier_reset(), nobody inside
       t | BROKEN | RESET  -> t | BROKEN               abort, or who waits for the reset's
                                                       end, and gives up
       t                   -> t | ACTING               who arrives last, to act
       t | ACTING          -> t + 1                    who acts, when it has; if not: t | BROKEN
   all by compare-and-swap. BROKEN and RESET come to a round in which one acts as to any other;
   that thread is then one of those inside, and its end takes ACTING away.

   Invariants:
   I1  Who took ticket k of a round that ends at `goal` (the next multiple of parties)
       has been let go iff TICKETS >= goal: tickets are taken back by those inside the last
       round alone, so TICKETS never falls below the end of a completed round.
   I2  If TICKETS < goal and BROKEN, its round is broken, and stays so until it has left:
       a reset waits for that, but lets nobody wait for it who does not arrive.
   I3  All changes are one chain of release and acquire: who is let go sees what
       each of its round did before it arrived.
   I4  While a broken round is being left, `left` has a bit for each ticket of it that was taken
       back: set before the ticket goes, and all cleared by the last one before it goes. So nobody
       leaves twice, and nobody with a ticket that was never taken: those that were are the ones
       inside and the ones that have left.
   I5  Sleepers use the object's event count (block.h). Every call is pinned until it has
       woken those it lets go, so a free by the first that gets through waits
       for it, and for them. Not for those `outside` as long as it is shut: who shuts it may be
       between two calls, and would wait for the free. */
#ifndef INTERLOCK_BARRIER_STATE_H
#define INTERLOCK_BARRIER_STATE_H

#include "gil.h"
#include "handle.h"
#include "self.h"

#define BROKEN (UINT64_C(1) << 63)
#define RESET (UINT64_C(1) << 62)
#define ACTING (UINT64_C(1) << 61)
#define TICKETS (ACTING - 1)

struct barrier {
  struct object object;
  atomic_u64 state;
  uint32_t parties;
  bool may_spin;      /* there are CPUs for all */
  atomic_u32 spins;   /* learnt; approximate */
  atomic_u32 outside; /* of the waiters: those who have not arrived, for it is shut */
  atomic_u64 left;    /* up to LEFT_BITS parties; of more, */
  atomic_u64 *left_of_many; /* the number of its bits that are set, and they */
};
#define LEFT_BITS 64
_Static_assert(sizeof(struct barrier) <= CACHE_LINE, "an object fills one cache line");

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

/* Is the last round still to be left, by somebody who arrived or acts? */
static inline bool is_occupied(const struct barrier *b, uint64_t state)
{
  return state & ACTING || inside(b, state);
}

/* Must who arrives wait for a reset or an action? */
static inline bool is_shut(uint64_t state)
{
  return state & RESET || (state & (ACTING | BROKEN)) == ACTING;
}

/* Where nothing is broken: has nobody that ticket? It never was taken, was given back, or a fork's child
   has left it behind; or its owner acts, and has the place, but arrives when it completes. */
static inline bool is_not_taken(uint64_t state, uint64_t ticket)
{
  return !(state & BROKEN) && ticket >= (state & TICKETS);
}

/* The round that a ticket is for ends there (I1). */
static inline uint64_t goal_of(const struct barrier *b, uint64_t ticket)
{
  return ticket - ticket % b->parties + b->parties;
}

/* All of these within a pin (barrier.c). */

/* Takes a ticket, or, to act, the last place. An error: did not arrive, which breaks it unless in parts. */
int barrier_arrive(struct barrier *b, void *handle, struct self *me, int64_t deadline, bool act, bool parts,
                   uint64_t *ticket);
/* Until the round is complete: ILK_OK, or broken. Of a wait in parts, nothing else changes. */
int barrier_sleep(struct barrier *b, void *handle, struct self *me, uint64_t ticket, int64_t deadline, bool parts);
/* Breaks the ticket's round, and leaves it. ILK_OK: too late, it is complete; ILK_EBROKEN: it was broken
   before; ILK_EPERM: nobody inside has that ticket. */
int barrier_give_up(struct barrier *b, uint64_t ticket, int result);
/* Who acts: out of a broken round, ILK_EBROKEN. ILK_EPERM: nobody acts. */
int barrier_stop_acting(struct barrier *b);
/* After a change of the state, which was seq_cst (see block.h). */
void barrier_wake_all(struct barrier *b);

/* The shape of a call: within a pin, `expression` is the answer. */
#define WITH_BARRIER(handle, b, expression)                                                     \
  struct self *me = self_get();                                                                 \
  if (unlikely(!me))                                                                            \
    return fail(ILK_ENOMEM);                                                                    \
  struct barrier *b = (struct barrier *)handle_enter(me, PIN_INNER, handle, KIND_BARRIER);      \
  if (unlikely(!b))                                                                             \
    return fail(ILK_EHANDLE);                                                                   \
  int result = (expression);                                                                    \
  handle_leave(me, PIN_INNER);                                                                  \
  gil_reacquire(me);                                                                            \
  return result

#endif
