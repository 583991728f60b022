/* A short look before a sleep: worth it if what is waited for comes soon, else lost
   time (and on one CPU, time that the other needs). Each thread learns which, for all
   its waits: what came after n looks will next time be given 2 n and a few, what did
   not come halves the limit, and one wait in 16 tries for as long as can pay. */
#ifndef INTERLOCK_SPIN_H
#define INTERLOCK_SPIN_H

#include "atomic.h"
#include "self.h"

#define SPIN_MOST 40 /* looks: about as long as it takes to fall asleep */
#define SPIN_PROBE 16

struct spin {
  struct self *me;
  uint32_t looks, limit;
};

static inline struct spin spin_begin(struct self *me)
{
  return (struct spin){me, 0, ++me->spin_waits % SPIN_PROBE ? me->spin_limit : SPIN_MOST};
}

/* True, after a pause: look again. False: sleep. */
static inline bool spin_again(struct spin *spin)
{
  if (spin->looks >= spin->limit) {
    spin->me->spin_limit /= 2;
    return false;
  }
  spin->looks++;
  cpu_relax();
  return true;
}

/* It came. */
static inline void spin_won(struct spin *spin)
{
  uint32_t wanted = 2 * spin->looks + 4;
  if (spin->looks && wanted > spin->me->spin_limit)
    spin->me->spin_limit = wanted < SPIN_MOST ? wanted : SPIN_MOST;
}

#endif
