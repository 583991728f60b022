/* The barrier's resumable waits: arrive, await, leave; and complete, for the thread that acts for
   its round. The state and its transitions are in barrier_state.h, the steps in barrier.c. */
#include "barrier_state.h"
#include "clock.h"

int ilk_barrier_arrive(void *barrier, int act, void *ticket, int64_t timeout_ns)
{
  struct call c;
  int result = call_begin(&c, barrier, KIND_BARRIER);
  if (result != ILK_OK)
    return fail(result);
  uint64_t taken;
  result = ILK_EINVAL;
  if (ticket && (uintptr_t)ticket % sizeof(int64_t) == 0)
    result = barrier_arrive(&c, clock_deadline(timeout_ns), act != 0, true, &taken);
  if (result == ILK_OK) {
    *(int64_t *)ticket = (int64_t)taken;
    result = (int)inside((struct barrier *)c.object, taken);
  }
  call_end_wait(&c);
  return return_code(result);
}

static int wait_part(const struct call *c, int64_t ticket, int64_t timeout_ns)
{
  if (ticket < 0)
    return ILK_EINVAL;
  struct barrier *b = (struct barrier *)c->object;
  /* Acquire: pairs with the last arrival (I3). */
  uint64_t state = load_acquire(&b->state);
  if (is_complete(state, goal_of(b, (uint64_t)ticket)))
    return ILK_OK;
  if (is_not_taken(state, (uint64_t)ticket))
    return ILK_EPERM;
  return barrier_sleep(c, (uint64_t)ticket, clock_deadline(timeout_ns), true);
}

static int leave(const struct call *c, int64_t ticket, int64_t timeout_ns)
{
  (void)timeout_ns;
  if (ticket < 0)
    return ILK_EINVAL;
  struct barrier *b = (struct barrier *)c->object;
  if (is_not_taken(load_seq_cst(&b->state), (uint64_t)ticket))
    return ILK_EPERM;
  return barrier_abandon(b, (uint64_t)ticket, ILK_ETIMEDOUT);
}

/* The frame of a call with a ticket. */
static int with_ticket(void *barrier,
                       int (*f)(const struct call *c, int64_t ticket, int64_t argument),
                       int64_t ticket, int64_t argument)
{
  struct call c;
  int result = call_begin(&c, barrier, KIND_BARRIER);
  if (result != ILK_OK)
    return fail(result);
  result = f(&c, ticket, argument);
  call_end_wait(&c);
  return return_code(result);
}

int ilk_barrier_await(void *barrier, int64_t ticket, int64_t timeout_ns)
{
  return with_ticket(barrier, wait_part, ticket, timeout_ns);
}

int ilk_barrier_leave(void *barrier, int64_t ticket)
{
  return with_ticket(barrier, leave, ticket, 0);
}

/* Called by the acting thread: arrives, or breaks the round. */
static int complete(const struct call *c, int64_t ticket, int64_t succeeded)
{
  struct barrier *b = (struct barrier *)c->object;
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
  return with_ticket(barrier, complete, ticket, succeeded != 0);
}
