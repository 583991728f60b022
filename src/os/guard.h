/* Guards: the library's own locks. Each is held for a moment. A thread that holds one does not
   sleep, and neither allocates nor frees memory (see memory.h).

   During a fork the forking thread holds all guards, from the library's prepare handler to its
   parent or child handler. Fork handlers of the program that were registered before the library's
   run in between, and may call the library: the thread then holds every guard already. If it must
   sleep there, fork.c releases the guards for that time. */
#ifndef INTERLOCK_GUARD_H
#define INTERLOCK_GUARD_H

#include "common.h"
#include "fork.h"
#include "os.h"

#ifndef NDEBUG
/* The number of guards that the calling thread holds, apart from a fork. */
extern HIDDEN _Thread_local int guards_held ILK_TLS_MODEL;
#define GUARDS_HELD(change) (guards_held += (change))
#else
#define GUARDS_HELD(change) ((void)0)
#endif

static inline void guard_lock(os_lock *guard)
{
  if (likely(!fork_is_under_way()))
    os_lock_acquire(guard);
  GUARDS_HELD(1);
}

static inline void guard_unlock(os_lock *guard)
{
  GUARDS_HELD(-1);
  if (likely(!fork_is_under_way()))
    os_lock_release(guard);
}

/* Around a fork. */
static inline void guard_hold(os_lock *guard)
{
  os_lock_acquire(guard);
}

static inline void guard_release(os_lock *guard)
{
  os_lock_release(guard);
}

#endif
