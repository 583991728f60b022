#include "wake.h"

#include "clock.h"
#include "spin.h"

#define MEASURED 16 /* of so many sleeps of a thread, one is measured */
#define ASKED 1     /* in a slot; the clock never returns it */

static atomic_i64 woken_at[WAKE_SLOTS];

int wake(atomic_u32 *word, int n, bool shared)
{
  atomic_i64 *slot = &woken_at[wake_slot(word)];
  if (unlikely(load_relaxed(slot) == ASKED))
    store_relaxed(slot, clock_now());
  return wait_wake(word, n, shared);
}

void wake_expect(struct thread *me, const atomic_u32 *word)
{
  if (load_relaxed(&me->episode) / 2 % MEASURED == 0) /* it counts twice for each sleep */
    store_relaxed(&woken_at[wake_slot(word)], ASKED);
}

void wake_measure(const atomic_u32 *word, int64_t since)
{
  int64_t at = load_relaxed(&woken_at[wake_slot(word)]);
  if (at <= since) /* not asked for, not woken by this process, or measured already */
    return;
  store_relaxed(&woken_at[wake_slot(word)], 0);
  spin_adapt(clock_now() - at);
}
