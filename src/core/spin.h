/* Spinning before a sleep. It pays if the event comes soon; otherwise it wastes time, and on a
   single processor the time that the other thread needs. Each thread adapts its limit, for all its
   waits together: an event that came after n pauses sets the limit to 2 n and a few, an event that
   did not come halves it, and one wait in 32 spins for the most. With one processor no wait spins.
   The checks are 1, 2, 4 ... pauses apart: each check takes the cache line from the thread that is
   about to write to it. */
#ifndef INTERLOCK_SPIN_H
#define INTERLOCK_SPIN_H

#include "atomic.h"
#include "thread_record.h"

#define SPIN_MOST 300 /* pauses: about as long as falling asleep and a wake take */
#define SPIN_PROBE 32
#define SPIN_STEP 16 /* pauses between two checks, at most */

struct spin {
  struct thread *me;
  uint32_t pauses, limit, step;
};

void spin_setup(void); /* once, when the library is loaded */
/* SPIN_MOST, or 0 with one processor; constant once the library is loaded. */
extern HIDDEN uint32_t spin_most;

static inline struct spin spin_begin(struct thread *me)
{
  return (struct spin){me, 0, ++me->spin_waits % SPIN_PROBE ? me->spin_limit : spin_most, 1};
}

/* True, after a pause: recheck. False: sleep. */
static inline bool spin_again(struct spin *spin)
{
  if (spin->pauses >= spin->limit) {
    spin->me->spin_limit /= 2;
    return false;
  }
  for (uint32_t i = 0; i < spin->step; i++)
    cpu_relax();
  spin->pauses += spin->step;
  if (spin->step < SPIN_STEP)
    spin->step *= 2;
  return true;
}

/* The event came. */
static inline void spin_won(struct spin *spin)
{
  uint32_t longer = 2 * spin->pauses + 4;
  if (spin->pauses && longer > spin->me->spin_limit)
    spin->me->spin_limit = longer < spin_most ? longer : spin_most;
}

#endif
