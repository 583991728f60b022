/* Guards: the library's own locks. Each is held for a moment. A thread that holds one does not sleep, and neither allocates
   nor frees memory (see memory.h).

   During a fork the forking thread holds all guards, from the library's prepare handler to its parent or child handler.
   Fork handlers of the program that were registered before the library's run in between, and may call the library: the
   thread then holds every guard already. If it must sleep there, fork.c releases the guards for that time. */
#ifndef INTERLOCK_GUARD_H
#define INTERLOCK_GUARD_H

#include <pthread.h>

#include "common.h"
#include "fork.h"

#ifndef NDEBUG
/* The number of guards that the calling thread holds, apart from a fork. */
extern HIDDEN _Thread_local int guards_held ILK_TLS_MODEL;
#define GUARDS_HELD(change) (guards_held += (change))
#else
#define GUARDS_HELD(change) ((void)0)
#endif

static inline void guard_lock(pthread_mutex_t *guard)
{
  if (likely(!fork_is_under_way()))
    pthread_mutex_lock(guard);
  GUARDS_HELD(1);
}

static inline void guard_unlock(pthread_mutex_t *guard)
{
  GUARDS_HELD(-1);
  if (likely(!fork_is_under_way()))
    pthread_mutex_unlock(guard);
}

/* Around a fork. */
static inline void guard_hold(pthread_mutex_t *guard)
{
  pthread_mutex_lock(guard);
}

static inline void guard_release(pthread_mutex_t *guard)
{
  pthread_mutex_unlock(guard);
}

#endif
