/* Spinning before a sleep. It pays if the event comes soon; otherwise it wastes time, and on a single processor the time
   that the other thread needs. Each thread adapts its limit, for all its waits together: an event that came after n loads
   sets the limit to 2 n and a few, an event that did not come halves it, and one wait in 16 spins for SPIN_MOST. */
#ifndef INTERLOCK_SPIN_H
#define INTERLOCK_SPIN_H

#include "atomic.h"
#include "thread_record.h"

#define SPIN_MOST 40 /* loads: about as long as falling asleep takes */
#define SPIN_PROBE 16

struct spin {
  struct thread *me;
  uint32_t checks, limit;
};

static inline struct spin spin_begin(struct thread *me)
{
  return (struct spin){me, 0, ++me->spin_waits % SPIN_PROBE ? me->spin_limit : SPIN_MOST};
}

/* True, after a pause: recheck. False: sleep. */
static inline bool spin_again(struct spin *spin)
{
  if (spin->checks >= spin->limit) {
    spin->me->spin_limit /= 2;
    return false;
  }
  spin->checks++;
  cpu_relax();
  return true;
}

/* The event came. */
static inline void spin_won(struct spin *spin)
{
  uint32_t longer = 2 * spin->checks + 4;
  if (spin->checks && longer > spin->me->spin_limit)
    spin->me->spin_limit = longer < SPIN_MOST ? longer : SPIN_MOST;
}

#endif
