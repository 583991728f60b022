/* Spinning before a sleep. It pays if the event comes sooner than a sleep and a wake take.
   Otherwise it wastes time, which another thread needs if there are more threads than processors.
   So a wait spins for at most twice as long as a wake takes on this machine (wake.h), and with one
   processor not at all.

   Each thread adapts its limit, for all its waits together. If an event came after n pauses, the
   limit becomes at least 2 n + 4; if it did not come, the limit is halved, in the end to 0. Now and
   then a wait probes: it spins for as long as any wait may. Without probes a thread whose limit is
   0 would never spin again. The intervals between probes double while probes fail.

   A check takes the cache line from the thread that is about to write to it. So the first checks
   are a pause apart, because many events come almost immediately. The distance doubles whenever the
   pauses so far are SPIN_RATIO times as many: it is then half of them.
   For a lock the first check comes later. The thread that holds it often locks it again at once,
   and does so several times while the line is in its cache. With an early check the lock would
   change hands each time, and two threads would each take twice as long per turn. So a lock's spin
   may exceed the limit by up to two such distances. */
#ifndef INTERLOCK_SPIN_H
#define INTERLOCK_SPIN_H

#include "atomic.h"
#include "thread_record.h"

#define SPIN_STEP 16        /* pauses between two checks, at most */
#define SPIN_RATIO 4        /* the distance doubles when pauses >= SPIN_RATIO * distance */
#define SPIN_LOCK_FIRST 300 /* nanoseconds before the first check of a lock */
/* A thread probes at every n-th wait. n after a success, and after many failures: */
#define SPIN_PROBE_OFTEN 32
#define SPIN_PROBE_RARELY 512

struct spin {
  struct thread *me;
  uint32_t pauses;    /* so far */
  uint32_t limit;     /* of the pauses */
  uint32_t step;      /* pauses before the next check */
  uint32_t step_most; /* at most so many */
  uint32_t ratio;     /* SPIN_RATIO, or 1 */
  uint32_t yields;    /* so far */
  bool probes;
};

void spin_setup(void); /* once, when the library is loaded */

/* Adapts `spin_most` to a wake that took this long, in nanoseconds. */
void spin_adapt(int64_t wake);

/* The longest spin, in pauses; 0 with one processor. */
extern HIDDEN atomic_u32 spin_most;

/* SPIN_LOCK_FIRST in pauses, at least one; constant once the library is loaded. */
extern HIDDEN uint32_t spin_lock_first;

static inline struct spin spin_begin(struct thread *me)
{
  bool probes = ++me->spin_waits % (SPIN_PROBE_OFTEN << me->spin_failures) == 0;
  return (struct spin){.me = me,
                       .limit = probes ? load_relaxed(&spin_most) : me->spin_limit,
                       .step = 1,
                       .step_most = SPIN_STEP,
                       .ratio = SPIN_RATIO,
                       .probes = probes};
}

/* The same for a lock, and for anything else that is faster if a thread keeps its turn for
   longer. */
static inline struct spin spin_begin_lock(struct thread *me)
{
  struct spin spin = spin_begin(me);
  spin.step = spin_lock_first;
  spin.step_most = 2 * spin_lock_first;
  spin.ratio = 1;
  return spin;
}

/* True, after a pause: recheck. False: sleep, or yield; it is not called again for this wait. */
static inline bool spin_again(struct spin *spin)
{
  if (spin->pauses >= spin->limit) {
    struct thread *me = spin->me;
    me->spin_limit /= 2;
    if (spin->probes && SPIN_PROBE_OFTEN << me->spin_failures < SPIN_PROBE_RARELY)
      me->spin_failures++;
    return false;
  }
  for (uint32_t i = 0; i < spin->step; i++)
    cpu_relax();
  spin->pauses += spin->step;
  if (spin->step < spin->step_most && spin->pauses >= spin->ratio * spin->step)
    spin->step *= 2;
  return true;
}

/* The event came while the wait spun; not after a yield. */
static inline void spin_won(struct spin *spin)
{
  if (!spin->pauses)
    return;
  struct thread *me = spin->me;
  uint32_t longer = 2 * spin->pauses + 4, most = load_relaxed(&spin_most);
  if (longer > me->spin_limit)
    me->spin_limit = longer;
  if (me->spin_limit > most)
    me->spin_limit = most;
  me->spin_failures = 0;
}

/* For an object that may have more threads than there are processors, before a wait sleeps. True,
   after a yield: recheck. False: sleep. `*steps` counts the progress of the object's threads. If
   there was little during a long yield, another program ran, and this thread does not yield for a
   while. Releases the GIL, as block() does (gil.h). */
COLD bool spin_yield(struct spin *spin, const atomic_u64 *steps);

#endif
