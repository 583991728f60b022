/* The delays that come before the library's atomic operations: see ATOMIC in atomic.h. */
#include <sched.h>
#include <time.h>

#include "atomic.h"
#include "clock.h"

void jitter_point(void)
{
  static _Thread_local uint64_t state;
  if (!state)
    state = (uintptr_t)&state * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)clock() ^ 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  unsigned dice = (unsigned)(state >> 32) & 255;
  if (dice == 0) { /* no sleep: the tests take a sleeping thread for one that waits */
    int64_t until = clock_now() + 60 * 1000;
    do
      sched_yield();
    while (clock_now() < until);
  } else if (dice < 24)
    sched_yield();
  else if (dice < 64)
    for (unsigned i = (unsigned)(state >> 48) & 255; i > 0; i--)
      cpu_relax();
}
