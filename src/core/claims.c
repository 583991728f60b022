#include "claims.h"

#include <limits.h>

#include "wake.h"

void claims_leave(struct claims *c)
{
  uint32_t waiters = load_relaxed(&c->waiters), next;
  do
    next = waiters > UNCLAIMED ? waiters - CLAIMED_ONE : waiters - 1;
  while (!cas_seq_cst(&c->waiters, &waiters, next));
}

void claims_wake(struct claims *c, uint32_t n)
{
  uint32_t waiters = load_seq_cst(&c->waiters), woken, claimed;
  do {
    woken = (waiters & UNCLAIMED) < n ? waiters & UNCLAIMED : n;
    if (woken == 0)
      return; /* another thread has claimed them */
    claimed = CLAIMED_MAX - (waiters >> UNCLAIMED_BITS);
    if (claimed > woken)
      claimed = woken;
    /* seq_cst: before the new epoch. So a thread that has loaded the new epoch registers after this
       claim (I3). */
  } while (!cas_seq_cst(&c->waiters, &waiters, waiters - claimed + claimed * CLAIMED_ONE));
  add_seq_cst(&c->epoch, 1);
  wake(&c->epoch, (int)woken, false);
}

void claims_wake_all(struct claims *c)
{
  add_seq_cst(&c->epoch, 1);
  wake(&c->epoch, INT_MAX, false);
}
