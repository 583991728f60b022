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
       t                   -> t | BROKEN               ilk_barrier_abort()
       t                   -> (t - 1) | BROKEN         who is inside and gives up
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
   I4  Sleepers use the object's event count (block.h). Every call is pinned until it has
       woken those it lets go, so a free by the first that gets through waits
       for it, and for them.

   How long to spin before the sleep is learnt: see spin(). */
#include "barrier.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "os.h"

#define BROKEN (UINT64_C(1) << 63)
#define RESET (UINT64_C(1) << 62)
#define ACTING (UINT64_C(1) << 61)
#define TICKETS (ACTING - 1)

#define SPINS_MAX 1000 /* looks; about the time of a sleep and a wake */
#define PROBE 64       /* one round of so many tries that, whatever was learnt */

struct barrier {
  struct object object;
  atomic_u64 state;
  uint32_t parties;
  bool may_spin;    /* there are CPUs for all */
  atomic_u32 spins; /* learnt; approximate */
};
_Static_assert(sizeof(struct barrier) <= CACHE_LINE, "an object fills one cache line");

void *ilk_barrier_new(int parties)
{
  if (parties < 1)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct barrier *b = (struct barrier *)handle_reserve(KIND_BARRIER, &handle);
  if (!b)
    return fail_null(ILK_ENOMEM);
  b->parties = (uint32_t)parties;
  b->may_spin = parties <= os_cpu_count();
  return handle_publish(&b->object, handle, 0);
}

static uint32_t inside(const struct barrier *b, uint64_t state)
{
  return (uint32_t)((state & TICKETS) % b->parties);
}

static bool is_complete(uint64_t state, uint64_t goal)
{
  return (state & TICKETS) >= goal;
}

static bool is_broken(uint64_t state)
{
  return (state & (BROKEN | RESET)) == BROKEN;
}

/* Is the last round still to be left, by somebody who arrived or acts? */
static bool is_occupied(const struct barrier *b, uint64_t state)
{
  return state & ACTING || inside(b, state);
}

/* Must who arrives wait for a reset or an action? */
static bool is_shut(uint64_t state)
{
  return state & RESET || (state & (ACTING | BROKEN)) == ACTING;
}

/* After a change of the state, which was seq_cst (see block.h). */
static void wake_all(struct barrier *b)
{
  if (load_seq_cst(&b->object.waiters))
    block_wake(&b->object, INT_MAX);
}

/* --- what breaks it ------------------------------------------------------------------- */

/* Out of a broken round; `who`: ACTING, or 1. */
COLD static void leave_broken(struct barrier *b, uint64_t who)
{
  uint64_t state = load_relaxed(&b->state), next;
  do {
    next = state - who;
    if (!is_occupied(b, next) && state & RESET)
      next &= TICKETS;
  } while (!cas_seq_cst(&b->state, &state, next));
  if (!(next & BROKEN))
    wake_all(b); /* those that wait for the end of the reset */
}

/* Breaks the caller's round, and leaves it. ILK_OK: too late, it is complete. */
COLD static int give_up(struct barrier *b, uint64_t goal, int result)
{
  uint64_t state = load_seq_cst(&b->state);
  do {
    if (is_complete(state, goal))
      return ILK_OK;
    if (state & BROKEN) {
      leave_broken(b, 1);
      return ILK_EBROKEN;
    }
  } while (!cas_seq_cst(&b->state, &state, (state | BROKEN) - 1));
  wake_all(b);
  return result;
}

/* Breaks it, or ends a reset as broken. */
static void break_up(struct barrier *b)
{
  uint64_t state = load_seq_cst(&b->state);
  do {
    if (is_broken(state))
      return;
  } while (!cas_seq_cst(&b->state, &state, (state | BROKEN) & ~RESET));
  wake_all(b);
}

static void reset(struct barrier *b)
{
  uint64_t state = load_seq_cst(&b->state), next;
  do {
    next = is_occupied(b, state) ? state | BROKEN | RESET : state & TICKETS;
    if (next == state)
      return;
  } while (!cas_seq_cst(&b->state, &state, next));
  wake_all(b);
}

/* Until those that a reset found inside are gone, or the action is over. Breaks it, if it gives
   up, unless the wait is in parts. */
COLD static int wait_outside(struct barrier *b, void *handle, struct self *me, int64_t deadline, bool parts)
{
  int result = ILK_OK;
  block_announce(&b->object);
  for (;;) {
    uint32_t turn = load_seq_cst(&b->object.turn);
    if (!is_shut(load_seq_cst(&b->state))) {
      result = ILK_OK;
      break;
    }
    if (result != ILK_OK) {
      if (!parts)
        break_up(b);
      break;
    }
    result = block(me, handle, 0, &b->object.turn, turn, deadline, 0);
  }
  block_withdraw(&b->object);
  return result;
}

/* --- wait ------------------------------------------------------------------------------ */

/* Looks for a while, if that has been worth it: when it was, for up to twice as long
   as it took; when it was not, ever shorter. The state last seen. */
static uint64_t spin(struct barrier *b, uint64_t goal)
{
  uint32_t learnt = load_relaxed(&b->spins);
  uint32_t limit = goal / b->parties % PROBE ? learnt : SPINS_MAX;
  uint32_t looks = 0;
  uint64_t state;
  /* Acquire: pairs with the last arrival (I3). */
  while (!is_complete(state = load_acquire(&b->state), goal) && !(state & BROKEN) && looks < limit) {
    cpu_relax();
    looks++;
  }
  if (is_complete(state, goal)) {
    uint32_t wanted = 2 * looks + 100 < SPINS_MAX ? 2 * looks + 100 : SPINS_MAX;
    if (wanted > learnt)
      store_relaxed(&b->spins, wanted);
  } else if (learnt) {
    store_relaxed(&b->spins, learnt / 2);
  }
  return state;
}

/* Until the round is complete: ILK_OK, or broken. Of a wait in parts, nothing else changes. */
COLD static int wait(struct barrier *b, void *handle, struct self *me, uint64_t goal, int64_t deadline, bool parts)
{
  int result = ILK_OK;
  block_announce(&b->object);
  for (;;) {
    uint32_t turn = load_seq_cst(&b->object.turn);
    uint64_t state = load_seq_cst(&b->state);
    if (is_complete(state, goal)) {
      result = ILK_OK;
      break;
    }
    if (state & BROKEN || result != ILK_OK) {
      result = !parts ? give_up(b, goal, result) : state & BROKEN ? ILK_EBROKEN : result;
      break;
    }
    result = block(me, handle, 0, &b->object.turn, turn, deadline, 0);
  }
  block_withdraw(&b->object);
  return result;
}

/* Takes a ticket, or, to act, the last place. An error: did not arrive. */
static int arrive(struct barrier *b, void *handle, struct self *me, int64_t deadline, bool act, bool parts,
                  uint64_t *ticket)
{
  uint64_t state = load_relaxed(&b->state), next;
  do {
    while (unlikely(state & (BROKEN | ACTING))) {
      if (!is_shut(state))
        return ILK_EBROKEN;
      int result = wait_outside(b, handle, me, deadline, parts);
      if (result != ILK_OK)
        return result;
      state = load_relaxed(&b->state);
    }
    next = act && inside(b, state) == b->parties - 1 ? state | ACTING : state + 1;
    /* seq_cst: the last arrival's, before its look at `waiters`; and I3. */
  } while (unlikely(!cas_seq_cst(&b->state, &state, next)));
  if (inside(b, next) == 0)
    wake_all(b);
  *ticket = state;
  return ILK_OK;
}

static uint64_t goal_of(const struct barrier *b, uint64_t ticket)
{
  return ticket - ticket % b->parties + b->parties;
}

static int wait_pinned(struct barrier *b, void *handle, struct self *me, int64_t timeout_ns)
{
  int64_t deadline = clock_deadline(timeout_ns);
  uint64_t ticket;
  int result = arrive(b, handle, me, deadline, false, false, &ticket);
  if (unlikely(result != ILK_OK))
    return result;
  uint32_t place = inside(b, ticket);
  if (place == b->parties - 1)
    return (int)place;
  uint64_t goal = goal_of(b, ticket);
  if (timeout_ns == 0)
    result = give_up(b, goal, ILK_ETIMEDOUT);
  else if (!b->may_spin || !is_complete(spin(b, goal), goal))
    result = wait(b, handle, me, goal, deadline, false);
  return result == ILK_OK ? (int)place : result;
}

int ilk_barrier_timedwait(void *barrier, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (unlikely(!me))
    return fail(ILK_ENOMEM);
  struct barrier *b = (struct barrier *)handle_enter(me, PIN_INNER, barrier, KIND_BARRIER);
  if (unlikely(!b))
    return fail(ILK_EHANDLE);
  int result = wait_pinned(b, barrier, me, timeout_ns);
  handle_leave(me, PIN_INNER);
  return answer(result);
}

int ilk_barrier_wait(void *barrier)
{
  return ilk_barrier_timedwait(barrier, -1);
}

/* --- the rest --------------------------------------------------------------------------- */

/* The shape of the calls that do not wait: within a pin, `expression` is the answer. */
#define WITH_BARRIER(handle, b, expression)                                                     \
  struct self *me = self_get();                                                                 \
  if (unlikely(!me))                                                                            \
    return fail(ILK_ENOMEM);                                                                    \
  struct barrier *b = (struct barrier *)handle_enter(me, PIN_INNER, handle, KIND_BARRIER);      \
  if (unlikely(!b))                                                                             \
    return fail(ILK_EHANDLE);                                                                   \
  int result = (expression);                                                                    \
  handle_leave(me, PIN_INNER);                                                                  \
  return result

/* --- a wait in parts -------------------------------------------------------------------- */

int ilk_barrier_arrive(void *barrier, int act, void *ticket, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct barrier *b = (struct barrier *)handle_enter(me, PIN_INNER, barrier, KIND_BARRIER);
  if (!b)
    return fail(ILK_EHANDLE);
  int result = ILK_EINVAL;
  uint64_t taken;
  if (ticket && (uintptr_t)ticket % sizeof(int64_t) == 0)
    result = arrive(b, barrier, me, clock_deadline(timeout_ns), act != 0, true, &taken);
  if (result == ILK_OK) {
    *(int64_t *)ticket = (int64_t)taken;
    result = (int)inside(b, taken);
  }
  handle_leave(me, PIN_INNER);
  return answer(result);
}

static int wait_part(struct barrier *b, void *handle, struct self *me, int64_t ticket, int64_t timeout_ns)
{
  if (ticket < 0)
    return ILK_EINVAL;
  uint64_t goal = goal_of(b, (uint64_t)ticket);
  /* Acquire: pairs with the last arrival (I3). */
  if (is_complete(load_acquire(&b->state), goal))
    return ILK_OK;
  return wait(b, handle, me, goal, clock_deadline(timeout_ns), true);
}

int ilk_barrier_await(void *barrier, int64_t ticket, int64_t timeout_ns)
{
  WITH_BARRIER(barrier, b, answer(wait_part(b, barrier, me, ticket, timeout_ns)));
}

int ilk_barrier_leave(void *barrier, int64_t ticket)
{
  WITH_BARRIER(barrier, b, answer(ticket < 0 ? ILK_EINVAL : give_up(b, goal_of(b, (uint64_t)ticket), ILK_ETIMEDOUT)));
}

/* By who acts: arrives, or breaks it. */
static int complete(struct barrier *b, int64_t ticket, bool succeeded)
{
  uint64_t state = load_seq_cst(&b->state), next;
  do {
    if (!(state & ACTING) || (!(state & BROKEN) && (state & TICKETS) != (uint64_t)ticket))
      return ILK_EPERM;
    if (state & BROKEN) {
      leave_broken(b, ACTING);
      return ILK_EBROKEN;
    }
    next = (succeeded ? state + 1 : state | BROKEN) & ~ACTING;
  } while (!cas_seq_cst(&b->state, &state, next));
  wake_all(b);
  return succeeded ? ILK_OK : ILK_EBROKEN;
}

int ilk_barrier_complete(void *barrier, int64_t ticket, int succeeded)
{
  WITH_BARRIER(barrier, b, answer(complete(b, ticket, succeeded != 0)));
}

/* --- what any thread may do ---------------------------------------------------------------- */

int ilk_barrier_abort(void *barrier)
{
  WITH_BARRIER(barrier, b, (break_up(b), ILK_OK));
}

int ilk_barrier_reset(void *barrier)
{
  WITH_BARRIER(barrier, b, (reset(b), ILK_OK));
}

int ilk_barrier_is_broken(void *barrier)
{
  WITH_BARRIER(barrier, b, is_broken(load_acquire(&b->state)));
}

static int count_waiting(struct barrier *b)
{
  uint64_t state = load_acquire(&b->state);
  return state & BROKEN ? 0 : (int)inside(b, state);
}

int ilk_barrier_waiting(void *barrier)
{
  WITH_BARRIER(barrier, b, count_waiting(b));
}

int ilk_barrier_free(void *barrier)
{
  return handle_free(barrier, KIND_BARRIER, NULL);
}

static bool operation_let_go(struct object *object)
{
  struct barrier *b = (struct barrier *)object;
  uint64_t state = load_seq_cst(&b->state);
  return !(state & ACTING) && (state & BROKEN || inside(b, state) == 0);
}

static void operation_describe(void *handle, struct object *object, char *text, size_t size)
{
  (void)handle;
  struct barrier *b = (struct barrier *)object;
  if (is_broken(load_acquire(&b->state)))
    snprintf(text, size, "broken");
  else
    snprintf(text, size, "%d of %u arrived", count_waiting(b), (unsigned)b->parties);
}

/* Those inside have stayed behind: as after a reset, but broken is broken. */
static void operation_after_fork(struct object *object)
{
  struct barrier *b = (struct barrier *)object;
  uint64_t state = load_relaxed(&b->state);
  store_relaxed(&b->state, (state & TICKETS) - inside(b, state) + (is_broken(state) ? BROKEN : 0));
}

const struct kind_operations barrier_operations = {
    .name = "barrier",
    .let_go = operation_let_go,
    .describe = operation_describe,
    .after_fork = operation_after_fork,
};
