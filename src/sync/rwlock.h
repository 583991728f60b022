/* What other modules may use of a readers-writer lock. */
#ifndef INTERLOCK_RWLOCK_H
#define INTERLOCK_RWLOCK_H

#include "handle.h"

/* Releases all read locks of a thread that exits. */
void rwlock_thread_exit(struct thread *me);

#endif
