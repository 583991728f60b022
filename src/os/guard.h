/* Guards: the library's own locks. Each is held for a moment. A thread that holds one does not
   sleep, and neither allocates nor frees memory (see memory.h).

   Around fork() the forking thread holds all guards, so the child finds consistent structures. Each
   module then removes the traces of the other threads there. Fork handlers of the program that were
   registered before the library's run between the library's prepare handler and its parent or child
   handler, and may call the library: the thread then holds every guard already. If it must sleep
   there, it releases them for that time. */
#ifndef INTERLOCK_GUARD_H
#define INTERLOCK_GUARD_H

#include <stdbool.h>

#include "common.h"
#include "os.h"

/* A module's part in a fork: its guards; and what it does in the child before they are released, to
   repair what other threads have left (NULL: nothing). */
struct fork_module {
  os_lock *guards;
  int count;
  void (*repair)(void);
};

/* Once, when the library is loaded. Guards are acquired in the order of the modules, in which they
   are nested; all else is in the opposite order. The array is not copied. */
void fork_handlers_install(const struct fork_module *const *modules, int count);

/* The calling thread is in a fork, between the library's handlers, and so in a handler of the
   program. */
extern HIDDEN _Thread_local bool fork_between_handlers ILK_TLS_MODEL;

/* True if the calling thread holds all guards for a fork. In the child it is false: if a handler of
   the program calls before the library's child handler has run, that handler runs now. */
COLD bool fork_is_under_way_slow(void);

static inline bool fork_is_under_way(void)
{
  return unlikely(fork_between_handlers) && fork_is_under_way_slow();
}

/* Before a sleep: if the calling thread holds all guards, releases them and returns true. After the
   sleep, fork_resume() then acquires them again. */
bool fork_suspend(void);
void fork_resume(void);

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

#endif
