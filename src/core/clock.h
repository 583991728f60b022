/* Monotonic time, in nanoseconds. */
#ifndef INTERLOCK_CLOCK_H
#define INTERLOCK_CLOCK_H

#include <stdint.h>

#include "os.h"
#include "wait.h"

static inline int64_t clock_now(void)
{
  return os_clock();
}

/* The deadline of a wait that begins now. WAIT_FOREVER if the time-out is negative, or beyond the
   range of the clock. */
static inline int64_t clock_deadline(int64_t timeout_ns)
{
  if (timeout_ns < 0)
    return WAIT_FOREVER;
  int64_t now = clock_now();
  return timeout_ns < WAIT_FOREVER - now ? now + timeout_ns : WAIT_FOREVER;
}

#endif
