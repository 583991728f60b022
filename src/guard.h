/* The library's own locks. Each is held for a moment: no thread sleeps while it holds one, nor
   allocates or frees memory (see memory.h). */
#ifndef INTERLOCK_GUARD_H
#define INTERLOCK_GUARD_H

#include <pthread.h>

#include "common.h"

#ifndef NDEBUG
/* How many the calling thread holds. */
extern HIDDEN _Thread_local int guards_held ILK_TLS_MODEL;
#define GUARDS_HELD(change) (guards_held += (change))
#else
#define GUARDS_HELD(change) ((void)0)
#endif

static inline void guard_lock(pthread_mutex_t *guard)
{
  pthread_mutex_lock(guard);
  GUARDS_HELD(1);
}

static inline void guard_unlock(pthread_mutex_t *guard)
{
  GUARDS_HELD(-1);
  pthread_mutex_unlock(guard);
}

#endif
