/* The barrier: construction, and waits. The state and its transitions are in barrier_state.h,
   broken rounds in barrier_break.c, resumable waits in barrier_resumable.c. */
#include "kinds.h"

#include <limits.h>
#include <stdio.h>

#include "barrier_state.h"
#include "block.h"
#include "handle.h"
#include "memory.h"
#include "os.h"
#include "spin.h"

/* In bytes, including the count before the bits; 0: the bits fit in the object. */
static size_t left_of_many_size(uint32_t parties)
{
  return parties <= LEFT_BITS ? 0 : (1 + left_size(parties)) * sizeof(atomic_u64);
}

void *ilk_barrier_new(int parties)
{
  if (parties < 1)
    return fail_null(ILK_EINVAL);
  size_t many = left_of_many_size((uint32_t)parties);
  atomic_u64 *left_of_many = many ? memory_new(many) : NULL;
  if (many && !left_of_many)
    return fail_null(ILK_ENOMEM);
  void *handle;
  struct barrier *b = (struct barrier *)handle_reserve(KIND_BARRIER, &handle);
  if (!b) {
    memory_free(left_of_many, many);
    return fail_null(ILK_ENOMEM);
  }
  b->parties = (uint32_t)parties;
  b->left_of_many = left_of_many;
  b->may_spin = parties <= os_cpu_count();
  return handle_publish(&b->object, handle, 0);
}

void barrier_wake_all(struct barrier *b)
{
  if (load_seq_cst(&b->object.waiters))
    block_wake(&b->object.epoch, INT_MAX);
}

/* --- wait ------------------------------------------------------------------------------ */

static int check_open(const struct call *c, void *context, int ended)
{
  struct barrier *b = (struct barrier *)c->object;
  const bool *resumable = context;
  if (!is_shut(load_seq_cst(&b->state)))
    return ILK_OK;
  if (ended != ILK_OK && !*resumable)
    barrier_break_up(b);
  return ILK_EBUSY;
}

/* Waits until the threads that a reset found inside have left, or the action is over. A wait that
   ends early breaks the barrier, unless it is resumable. */
COLD static int wait_outside(const struct call *c, int64_t deadline, bool resumable)
{
  struct barrier *b = (struct barrier *)c->object;
  /* Before the thread counts as a waiter: see operation_is_satisfied(). */
  add_seq_cst(&b->outside, 1);
  int result = block_until(c, deadline, check_open, &resumable);
  sub_seq_cst(&b->outside, 1);
  return result;
}

/* Spins for the end of the round, then yields: the threads that the round waits for may be
   runnable, and need this processor. Returns the last loaded state. */
static uint64_t spin(struct barrier *b, struct thread *me, uint64_t goal)
{
  struct spin spin = spin_begin(me);
  bool pauses = b->may_spin;
  uint64_t state;
  /* Acquire: pairs with the last arrival (I3). */
  while (!is_complete(state = load_acquire(&b->state), goal) && !(state & BROKEN)) {
    if (pauses && !spin_again(&spin))
      pauses = false;
    if (!pauses && !spin_yield(&spin, &b->state))
      break;
  }
  if (pauses && is_complete(state, goal))
    spin_won(&spin);
  return state;
}

struct round {
  uint64_t ticket;
  bool resumable;
};

static int check_round(const struct call *c, void *context, int ended)
{
  struct barrier *b = (struct barrier *)c->object;
  const struct round *r = context;
  uint64_t state = load_seq_cst(&b->state);
  if (is_complete(state, goal_of(b, r->ticket)))
    return ILK_OK;
  if (!(state & BROKEN) && ended == ILK_OK)
    return ILK_EBUSY;
  if (!r->resumable)
    return barrier_abandon(b, r->ticket, ended);
  return state & BROKEN ? ILK_EBROKEN : ended;
}

COLD int barrier_sleep(const struct call *c, uint64_t ticket, int64_t deadline, bool resumable)
{
  struct round round = {ticket, resumable};
  return block_until(c, deadline, check_round, &round);
}

int barrier_arrive(const struct call *c, int64_t deadline, bool act, bool resumable,
                   uint64_t *ticket)
{
  struct barrier *b = (struct barrier *)c->object;
  uint64_t state = load_relaxed(&b->state), next;
  do {
    while (unlikely(state & (BROKEN | ACTING))) {
      if (!is_shut(state))
        return ILK_EBROKEN;
      int result = wait_outside(c, deadline, resumable);
      if (result != ILK_OK)
        return result;
      state = load_relaxed(&b->state);
    }
    next = act && inside(b, state) == b->parties - 1 ? state | ACTING : state + 1;
    /* seq_cst: the last arrival changes the state before it loads `waiters`; and I3. */
  } while (unlikely(!cas_seq_cst(&b->state, &state, next)));
  if (inside(b, next) == 0)
    barrier_wake_all(b);
  *ticket = state;
  return ILK_OK;
}

static int wait_pinned(const struct call *c, int64_t timeout_ns)
{
  struct barrier *b = (struct barrier *)c->object;
  int64_t deadline = clock_deadline(timeout_ns);
  uint64_t ticket;
  int result = barrier_arrive(c, deadline, false, false, &ticket);
  if (unlikely(result != ILK_OK))
    return result;
  uint32_t position = inside(b, ticket);
  if (position == b->parties - 1)
    return (int)position;
  uint64_t goal = goal_of(b, ticket);
  if (timeout_ns == 0)
    result = barrier_abandon(b, ticket, ILK_ETIMEDOUT);
  else if (!is_complete(spin(b, c->me, goal), goal))
    result = barrier_sleep(c, ticket, deadline, false);
  return result == ILK_OK ? (int)position : result;
}

int ilk_barrier_timedwait(void *barrier, int64_t timeout_ns)
{
  struct call c;
  int result = call_begin(&c, barrier, KIND_BARRIER);
  if (unlikely(result != ILK_OK))
    return fail(result);
  result = wait_pinned(&c, timeout_ns);
  call_end_wait(&c);
  return return_code(result);
}

int ilk_barrier_wait(void *barrier)
{
  return ilk_barrier_timedwait(barrier, -1);
}

/* --- the rest --------------------------------------------------------------------------- */

/* The frame of the calls that do not wait: the result of f(), with the barrier pinned. */
static int with_barrier(void *handle, int (*f)(struct barrier *b))
{
  struct call c;
  int result = call_begin(&c, handle, KIND_BARRIER);
  if (unlikely(result != ILK_OK))
    return fail(result);
  result = f((struct barrier *)c.object);
  call_end(&c);
  return result;
}

static int count_waiting(struct barrier *b)
{
  uint64_t state = load_acquire(&b->state);
  return state & BROKEN ? 0 : (int)inside(b, state);
}

static int load_broken(struct barrier *b)
{
  return is_broken(load_acquire(&b->state));
}

int ilk_barrier_abort(void *barrier)
{
  return with_barrier(barrier, barrier_break_up);
}

int ilk_barrier_reset(void *barrier)
{
  return with_barrier(barrier, barrier_reset);
}

int ilk_barrier_is_broken(void *barrier)
{
  return with_barrier(barrier, load_broken);
}

int ilk_barrier_waiting(void *barrier)
{
  return with_barrier(barrier, count_waiting);
}

int ilk_barrier_free(void *barrier)
{
  int result = handle_close(barrier, KIND_BARRIER);
  if (result != ILK_OK)
    return fail(result);
  struct barrier *b = (struct barrier *)handle_object(barrier);
  memory_free(b->left_of_many, left_of_many_size(b->parties));
  handle_recycle(barrier);
  return ILK_OK;
}

static bool operation_is_satisfied(struct object *object)
{
  struct barrier *b = (struct barrier *)object;
  uint64_t state = load_seq_cst(&b->state);
  bool inside_go = state & BROKEN || !is_occupied(b, state);
  bool outside_go = !is_shut(state) || !load_seq_cst(&b->outside);
  return inside_go && outside_go;
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  struct barrier *b = (struct barrier *)object;
  if (is_broken(load_acquire(&b->state)))
    snprintf(text, size, "broken");
  else
    snprintf(text, size, "%d of %u arrived", count_waiting(b), (unsigned)b->parties);
}

/* The threads inside were left behind by the fork. The effect is that of a reset, but a broken
   barrier stays broken. */
static void operation_after_fork(struct object *object)
{
  struct barrier *b = (struct barrier *)object;
  uint64_t state = load_relaxed(&b->state);
  update_relaxed(&b->state, (state & TICKETS) - inside(b, state) + (is_broken(state) ? BROKEN : 0));
  update_relaxed(&b->outside, 0);
  barrier_left_clear(b, state);
  if (b->parties > LEFT_BITS)
    update_relaxed(&b->left_of_many[0], 0); /* a thread left behind may not have counted its bit */
}

const struct kind_operations barrier_operations = {
  .name = "barrier",
  .satisfied = operation_is_satisfied,
  .describe = operation_describe,
  .after_fork = operation_after_fork,
};
