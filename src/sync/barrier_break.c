/* The barrier: what breaks a round, and how its threads leave it. The state and its transitions are
   in barrier_state.h. */
#include "barrier_state.h"

static atomic_u64 *left_words(struct barrier *b)
{
  return b->parties <= LEFT_BITS ? &b->left : b->left_of_many + 1;
}

/* The number of bits that are set. For many parties it is stored, because the bits may take 256
   MiB. */
static uint64_t left_count(struct barrier *b)
{
  if (b->parties <= LEFT_BITS)
    return (uint64_t)__builtin_popcountll(load_seq_cst(&b->left));
  return load_seq_cst(&b->left_of_many[0]);
}

/* The number of tickets of the current round that were given out (I4). In a broken round their
   threads may already have left. */
static uint64_t given_out(struct barrier *b, uint64_t state)
{
  return inside(b, state) + left_count(b);
}

static bool is_given_out(struct barrier *b, uint64_t state, uint64_t ticket)
{
  uint64_t begin = (state & TICKETS) - inside(b, state);
  return ticket >= begin && ticket - begin < given_out(b, state);
}

/* Tickets of a round are given out in order, so the words to clear are the first ones. The count
   loses exactly the bits that are cleared here: a caller with a wrong ticket may add one, or remove
   it, at the same time. */
void barrier_left_clear(struct barrier *b, uint64_t state)
{
  uint64_t given = given_out(b, state), cleared = 0;
  for (uint64_t i = 0; i * LEFT_BITS < given && i < left_size(b->parties); i++)
    if (load_relaxed(&left_words(b)[i]))
      cleared += (uint64_t)__builtin_popcountll(and_relaxed(&left_words(b)[i], 0));
  if (b->parties > LEFT_BITS && cleared)
    sub_relaxed(&b->left_of_many[0], cleared);
}

/* Records that the ticket is returned (I4). False: it was returned before. */
static bool left_add(struct barrier *b, uint64_t ticket)
{
  uint64_t position = ticket % b->parties, bit = UINT64_C(1) << position % LEFT_BITS;
  if (or_seq_cst(&left_words(b)[position / LEFT_BITS], bit) & bit)
    return false;
  if (b->parties > LEFT_BITS)
    add_seq_cst(&b->left_of_many[0], 1);
  return true;
}

static void left_remove(struct barrier *b, uint64_t ticket)
{
  uint64_t position = ticket % b->parties, bit = UINT64_C(1) << position % LEFT_BITS;
  uint64_t was = and_seq_cst(&left_words(b)[position / LEFT_BITS], ~bit);
  if (b->parties > LEFT_BITS && was & bit) /* else the last thread has cleared it */
    sub_seq_cst(&b->left_of_many[0], 1);
}

/* The state without one occupant (ACTING or 1). A broken round stays broken; the last occupant ends
   a reset. */
static uint64_t without(struct barrier *b, uint64_t state, uint64_t occupant)
{
  uint64_t next = state - occupant;
  return !is_occupied(b, next) && state & RESET ? next & TICKETS : next;
}

int barrier_stop_acting(struct barrier *b)
{
  uint64_t state = load_relaxed(&b->state), next;
  do {
    if (!(state & BROKEN && state & ACTING))
      return ILK_EPERM;
    next = without(b, state, ACTING);
  } while (!cas_seq_cst(&b->state, &state, next));
  if (!(next & BROKEN))
    barrier_wake_all(b); /* the threads that wait for the end of the reset */
  return ILK_EBROKEN;
}

/* Leaves a broken round, for the thread that holds this ticket. No thread arrives meanwhile, so the
   last thread recognizes that it is the last. */
static int leave_broken(struct barrier *b, uint64_t ticket)
{
  uint64_t state = load_seq_cst(&b->state), next;
  /* It stays broken while the thread is inside (I2), but a caller may pass a wrong ticket. */
  if (!(state & BROKEN) || !is_given_out(b, state, ticket) || !left_add(b, ticket))
    return ILK_EPERM;
  do {
    if (!(state & BROKEN) || !inside(b, state)) {
      left_remove(b, ticket);
      return ILK_EPERM;
    }
    next = without(b, state, 1);
    if (!inside(b, next))
      barrier_left_clear(b, state);
  } while (!cas_seq_cst(&b->state, &state, next));
  if (!(next & BROKEN))
    barrier_wake_all(b);
  return ILK_EBROKEN;
}

int barrier_abandon(struct barrier *b, uint64_t ticket, int result)
{
  uint64_t state = load_seq_cst(&b->state);
  do {
    if (is_complete(state, goal_of(b, ticket)))
      return ILK_OK;
    if (state & BROKEN)
      return leave_broken(b, ticket);
    if (is_not_taken(state, ticket))
      return ILK_EPERM;
  } while (!cas_seq_cst(&b->state, &state, state | BROKEN));
  barrier_wake_all(b);
  int left = leave_broken(b, ticket);
  return left == ILK_EBROKEN ? result : left;
}

int barrier_break_up(struct barrier *b)
{
  uint64_t state = load_seq_cst(&b->state);
  do {
    if (is_broken(state))
      return ILK_OK;
  } while (!cas_seq_cst(&b->state, &state, (state | BROKEN) & ~RESET));
  barrier_wake_all(b);
  return ILK_OK;
}

int barrier_reset(struct barrier *b)
{
  uint64_t state = load_seq_cst(&b->state), next;
  do {
    next = is_occupied(b, state) ? state | BROKEN | RESET : state & TICKETS;
    if (next == state)
      return ILK_OK;
  } while (!cas_seq_cst(&b->state, &state, next));
  barrier_wake_all(b);
  return ILK_OK;
}
