#include "spin.h"

#include "clock.h"
#include "gil.h"
#include "os.h"

/* The estimate of how long a wake takes, in nanoseconds: its first value, and its bounds. Beyond
   WAKE_MOST the wakes show busy processors, not slow wakes, so the estimate stops there. */
#define WAKE_FIRST 5000
#define WAKE_LEAST 1000
#define WAKE_MOST 40000
#define ADAPT_PART 16 /* a measurement changes the estimate by a sixteenth */

#define MEASURED_PAUSES 64

#define YIELDS 4 /* of one wait, at most */
/* A yield longer than YIELD_SLOW may have let another program run for a time slice. A thread spends
   at most 1 % of its time in such yields. */
#define YIELD_SLOW (NS_PER_MS / 2)
#define YIELD_SHARE 100

atomic_u32 spin_most;
static atomic_u32 wake_ns = WAKE_FIRST;
static uint32_t pauses_per_us; /* 0 with one processor */
uint32_t spin_lock_first = 1;

static uint32_t most_for(uint32_t ns)
{
  return 2 * ns / 1000 * pauses_per_us;
}

static int64_t time_pauses(void)
{
  int64_t begin = clock_now();
  for (int i = 0; i < MEASURED_PAUSES; i++)
    cpu_relax();
  return clock_now() - begin;
}

void spin_setup(void)
{
  if (os_cpu_count() == 1)
    return;
  int64_t least = time_pauses();
  for (int i = 0; i < 3; i++) { /* the least: the others may include another program's time slice */
    int64_t ns = time_pauses();
    least = ns < least ? ns : least;
  }
  pauses_per_us = least < MEASURED_PAUSES          ? 1000 /* at least; or too fast for this clock */
                  : least < MEASURED_PAUSES * 1000 ? (uint32_t)(MEASURED_PAUSES * 1000 / least)
                                                   : 1;
  spin_lock_first = (SPIN_LOCK_FIRST * pauses_per_us + 999) / 1000;
  store_relaxed(&spin_most, most_for(WAKE_FIRST));
}

void spin_adapt(int64_t wake)
{
  uint32_t ns = load_relaxed(&wake_ns);
  ns = wake > ns ? ns + ns / ADAPT_PART : ns - ns / ADAPT_PART;
  if (ns < WAKE_LEAST || ns > WAKE_MOST)
    return;
  store_relaxed(&wake_ns, ns);
  store_relaxed(&spin_most, most_for(ns));
}

bool spin_yield(struct spin *spin, const atomic_u64 *steps)
{
  struct thread *me = spin->me;
  int64_t begin = clock_now();
  if (spin->yields == YIELDS || begin < me->yields_after)
    return false;
  spin->yields++;
  gil_release(me); /* another thread may need it */
  uint64_t before = load_relaxed(steps);
  os_yield();
  int64_t took = clock_now() - begin;
  /* Would sleeping, with a wake for each step, have been faster? */
  if (took > YIELD_SLOW && (uint64_t)took / load_relaxed(&wake_ns) > load_relaxed(steps) - before)
    me->yields_after = begin + YIELD_SHARE * took;
  return true;
}
