/* The barrier's resumable waits: arrive, await, leave; and complete, for the thread that acts for its round.
   The state and its transitions are in barrier_state.h, the steps in barrier.c. */
#include "barrier_state.h"
#include "clock.h"

int ilk_barrier_arrive(void *barrier, int act, void *ticket, int64_t timeout_ns)
{
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  struct barrier *b = (struct barrier *)handle_enter(me, PIN_INNER, barrier, KIND_BARRIER);
  if (!b)
    return fail(ILK_EHANDLE);
  int result = ILK_EINVAL;
  uint64_t taken;
  if (ticket && (uintptr_t)ticket % sizeof(int64_t) == 0)
    result = barrier_arrive(b, barrier, me, clock_deadline(timeout_ns), act != 0, true, &taken);
  if (result == ILK_OK) {
    *(int64_t *)ticket = (int64_t)taken;
    result = (int)inside(b, taken);
  }
  handle_leave(me, PIN_INNER);
  gil_reacquire(me);
  return return_code(result);
}

static int wait_part(struct barrier *b, void *handle, struct thread *me, int64_t ticket, int64_t timeout_ns)
{
  if (ticket < 0)
    return ILK_EINVAL;
  uint64_t goal = goal_of(b, (uint64_t)ticket);
  /* Acquire: pairs with the last arrival (I3). */
  uint64_t state = load_acquire(&b->state);
  if (is_complete(state, goal))
    return ILK_OK;
  if (is_not_taken(state, (uint64_t)ticket))
    return ILK_EPERM;
  return barrier_sleep(b, handle, me, (uint64_t)ticket, clock_deadline(timeout_ns), true);
}

int ilk_barrier_await(void *barrier, int64_t ticket, int64_t timeout_ns)
{
  WITH_BARRIER(barrier, b, return_code(wait_part(b, barrier, me, ticket, timeout_ns)));
}

static int leave(struct barrier *b, int64_t ticket)
{
  if (ticket < 0)
    return ILK_EINVAL;
  if (is_not_taken(load_seq_cst(&b->state), (uint64_t)ticket))
    return ILK_EPERM;
  return barrier_abandon(b, (uint64_t)ticket, ILK_ETIMEDOUT);
}

int ilk_barrier_leave(void *barrier, int64_t ticket)
{
  WITH_BARRIER(barrier, b, return_code(leave(b, ticket)));
}

/* Called by the acting thread: arrives, or breaks the round. */
static int complete(struct barrier *b, int64_t ticket, bool succeeded)
{
  uint64_t state = load_seq_cst(&b->state), next;
  do {
    if (!(state & ACTING) || (!(state & BROKEN) && (state & TICKETS) != (uint64_t)ticket))
      return ILK_EPERM;
    if (state & BROKEN)
      return barrier_stop_acting(b);
    next = (succeeded ? state + 1 : state | BROKEN) & ~ACTING;
  } while (!cas_seq_cst(&b->state, &state, next));
  barrier_wake_all(b);
  return succeeded ? ILK_OK : ILK_EBROKEN;
}

int ilk_barrier_complete(void *barrier, int64_t ticket, int succeeded)
{
  WITH_BARRIER(barrier, b, return_code(complete(b, ticket, succeeded != 0)));
}
