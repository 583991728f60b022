/* fork(): the rooms' locks are held while the process is copied, so the child
   finds whole structures; then each room drops what the other threads were doing. */
#ifndef INTERLOCK_FORK_H
#define INTERLOCK_FORK_H

#include <stdbool.h>

#include "common.h"

/* Once, when the library is loaded. */
void fork_handlers_install(void);

/* The calling thread forks, and is between the library's handlers: in one of the program's. */
extern HIDDEN _Thread_local bool fork_between_handlers ILK_TLS_MODEL;

/* Are all guards the calling thread's? In the child not any more: what the library does
   there is done now, if the program's handler calls first. */
COLD bool fork_is_under_way_slow(void);

static inline bool fork_is_under_way(void)
{
  return unlikely(fork_between_handlers) && fork_is_under_way_slow();
}

/* Around a sleep: gives the guards up, if all are the caller's (true), and takes them again. */
bool fork_suspend(void);
void fork_resume(void);

#endif
