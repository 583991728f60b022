/* Guards: the library's own locks. Each is held for a moment. A thread that holds one does not
   sleep, and neither allocates nor frees memory (see memory.h).

   Around fork() the forking thread holds all guards, so the child finds consistent structures. Each
   module then removes the traces of the other threads. Fork handlers of the program that were
   registered before the library's run between the library's prepare handler and its parent or child
   handler, and may call the library: the thread then holds every guard already. If it must sleep
   there, it releases them for that time. */
#ifndef INTERLOCK_GUARD_H
#define INTERLOCK_GUARD_H

#include <stdbool.h>

#include "common.h"
#include "os.h"

/* What a module does around fork(). before() may be NULL. It acquires the module's guards, and
   after() releases them. In the child, after() first repairs what other threads have left. */
struct fork_handlers {
  void (*before)(void);
  void (*after)(bool child);
};

/* Once, when the library is loaded. before() is called in this order, in which guards are nested,
   and after() in the opposite order. The array is not copied. */
void fork_handlers_install(const struct fork_handlers *modules, int count);

/* The calling thread is in a fork, between the library's handlers, and so in a handler of the
   program. */
extern HIDDEN _Thread_local bool fork_between_handlers ILK_TLS_MODEL;

/* True if the calling thread holds all guards. Not in the child: if a handler of the program calls
   there first, the library's child handler is run now. */
COLD bool fork_is_under_way_slow(void);

static inline bool fork_is_under_way(void)
{
  return unlikely(fork_between_handlers) && fork_is_under_way_slow();
}

/* Around a sleep: releases all guards if the calling thread holds them (true), and acquires them
   again. */
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

/* In before() and after(). */
static inline void guard_hold(os_lock *guard)
{
  os_lock_acquire(guard);
}

static inline void guard_release(os_lock *guard)
{
  os_lock_release(guard);
}

#endif
