/* fork(). All guards are held while the process is copied, so the child finds consistent
   structures. Each module then removes the traces of the other threads. */
#ifndef INTERLOCK_FORK_H
#define INTERLOCK_FORK_H

#include <stdbool.h>

#include "common.h"

/* Once, when the library is loaded. */
void fork_handlers_install(void);

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

#endif
