/* Python's GIL, for a wait that begins in a thread that holds it. Whoever could end the wait may
   need the GIL, so the wait releases it, and the call that waited reacquires it at its end. The
   library knows no Python: it calls functions that the package hands over (ilk_gil_hooks).

   A call that may come to block():

       look;  pin, announce, queue;  block() ... block();  withdraw, unpin;  gil_reacquire();  return
                                     ^ the first one releases the GIL

   Invariants:
   I1  A record's `gil_state` is set only by its own thread, by the first block() of a call, and is
       NULL again when that call returns.
   I2  gil_reacquire() is the last step of a call: nothing of ours is pinned, queued, counted or
       locked then. Python ends the thread there, or has it sleep for ever, once the interpreter has
       finalized: what the call acquired then is a dead thread's, or that thread's for ever. And the
       GIL's holder may call us meanwhile: it never waits for a thread that is within our code.
   I3  A GIL is reacquired by the hooks that released it, whatever hooks there are by then: the
       thread returns to code that counts on it.
   I4  Hooks run with cancellation disabled, for they sleep in cancellation points. */
#ifndef INTERLOCK_GIL_H
#define INTERLOCK_GIL_H

#include "self.h"

struct gil_hooks;
extern HIDDEN _Atomic(struct gil_hooks *) gil_hooks; /* NULL: none */

/* Does a thread that holds the GIL release it for a wait? */
static inline bool gil_is_hooked(void)
{
  return load_relaxed(&gil_hooks) != NULL;
}

COLD void gil_release_slow(struct self *me);
COLD void gil_reacquire_slow(struct self *me);

/* Before a sleep: releases the GIL if this thread holds it. */
static inline void gil_release(struct self *me)
{
  if (gil_is_hooked() && !me->gil_state)
    gil_release_slow(me);
}

/* The end of a call that may have slept: reacquires what was released for it. */
static inline void gil_reacquire(struct self *me)
{
  if (unlikely(me->gil_state))
    gil_reacquire_slow(me);
}

#endif
