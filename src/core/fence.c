#include "fence.h"

#include "clock.h"
#include "os.h"

#ifdef ILK_FENCE_SYMMETRIC

void fence_setup(void)
{
}

void fence_heavy(void)
{
}

bool fence_probe(void)
{
  return false;
}

#else

/* How long a heavy side waits where the system's barrier has failed: many times the time in which a
   full store buffer reaches memory (see fence.h). */
#define GRACE (NS_PER_MS / 5)

_Atomic bool fence_asymmetric;
/* What it was when the library was loaded. If true, some light sides may still be asymmetric. */
static bool was_asymmetric;

/* A fork's child inherits the registration with the memory. */
void fence_setup(void)
{
  was_asymmetric = os_barrier_register();
  store_relaxed(&fence_asymmetric, was_asymmetric);
}

COLD static void wait_for_stores(void)
{
  int64_t until = clock_now() + GRACE;
  atomic_u32 never = 0;
  do
    wait_on(&never, 0, until, 0);
  while (clock_now() < until);
}

void fence_heavy(void)
{
  if (!was_asymmetric || likely(os_barrier()))
    return;
  store_seq_cst(&fence_asymmetric, false);
  wait_for_stores();
}

bool fence_probe(void)
{
  if (fence_is_asymmetric() && !os_barrier())
    store_seq_cst(&fence_asymmetric, false);
  return fence_is_asymmetric();
}

#endif
