#include "claims.h"

#include <limits.h>

#include "block.h"

void claims_leave(struct claims *c)
{
  uint32_t waiters = load_relaxed(&c->waiters), next;
  do
    next = waiters > UNCLAIMED ? waiters - CLAIMED_ONE : waiters - 1;
  while (!cas_seq_cst(&c->waiters, &waiters, next));
}

void claims_wake(struct claims *c)
{
  uint32_t waiters = load_seq_cst(&c->waiters), next;
  do {
    if (!(waiters & UNCLAIMED))
      return; /* other threads have claimed them */
    next = waiters >> UNCLAIMED_BITS < CLAIMED_MAX ? waiters - 1 + CLAIMED_ONE : waiters;
    /* seq_cst: before the new epoch. So a thread that has loaded the new epoch registers after this
       claim (I3). */
  } while (!cas_seq_cst(&c->waiters, &waiters, next));
  block_wake(&c->epoch, 1);
}

void claims_wake_all(struct claims *c)
{
  block_wake(&c->epoch, INT_MAX);
}
