/* Python's GIL, for a wait of a thread that holds it. The thread that would end the wait may need
   the GIL. So the wait releases it, and the call that waited reacquires it at its end. The library
   does not know Python: it calls functions that the Python package installs (ilk_gil_hooks).

   A call that may reach block() or spin_yield():

       check; pin, prepare, queue;  block() ... block();  finish, unpin;  gil_reacquire();  return
                                    ^ the first one releases the GIL

   Invariants:
   I1  A record's `gil_state` is written only by its own thread: set by the first block() or
       spin_yield() of a call, and NULL again when the call returns.
   I2  gil_reacquire() is the last step of a call. At that point the call holds no pin and no guard,
       and no slot in a queue and no count but those of a resumable wait. So no thread waits for the
       GIL while it pins an object, and a thread that holds the GIL may wait for pins. Once the
       interpreter has finalized, Python ends the thread in gil_reacquire(), or lets it sleep
       forever; a lock that the call acquired is then a dead thread's, or stays held.
   I3  The GIL is reacquired by the hooks that released it, even if others have been installed
       since: the thread returns to code that relies on it.
   I4  save() and restore() run with cancellation disabled, because they sleep in cancellation
       points. */
#ifndef INTERLOCK_GIL_H
#define INTERLOCK_GIL_H

#include "thread_record.h"

struct gil_hooks;
extern HIDDEN _Atomic(struct gil_hooks *) gil_hooks; /* NULL: none */

/* True if a wait releases the GIL. */
static inline bool gil_is_hooked(void)
{
  return load_relaxed(&gil_hooks) != NULL;
}

COLD void gil_release_slow(struct thread *me);
COLD void gil_reacquire_slow(struct thread *me);

/* Before a sleep: releases the GIL if this thread holds it. */
static inline void gil_release(struct thread *me)
{
  if (gil_is_hooked() && !me->gil_state)
    gil_release_slow(me);
}

/* At the end of a call that may have slept: reacquires the GIL if the call released it. */
static inline void gil_reacquire(struct thread *me)
{
  if (unlikely(me->gil_state))
    gil_reacquire_slow(me);
}

#endif
