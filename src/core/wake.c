#include "wake.h"

#include "clock.h"
#include "spin.h"

#define MEASURED 16 /* one sleep in so many */
#define SLOT_BITS 6
#define ASKED 1 /* no time of the clock */

static atomic_i64 woken_at[1 << SLOT_BITS];

static atomic_i64 *slot_of(const atomic_u32 *word)
{
  return &woken_at[(uint64_t)(uintptr_t)word * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOT_BITS)];
}

int wake(atomic_u32 *word, int n, bool shared)
{
  atomic_i64 *slot = slot_of(word);
  if (unlikely(load_relaxed(slot) == ASKED))
    store_relaxed(slot, clock_now());
  return wait_wake(word, n, shared);
}

void wake_expect(struct thread *me, const atomic_u32 *word)
{
  if (me->spin_waits % MEASURED == 0)
    store_relaxed(slot_of(word), ASKED);
}

void wake_measure(const atomic_u32 *word, int64_t since)
{
  int64_t at = load_relaxed(slot_of(word));
  if (at <= since) /* not asked, not woken by this process, or measured already */
    return;
  store_relaxed(slot_of(word), 0);
  spin_adapt(clock_now() - at);
}
