/* What other rooms may ask of a readers-writer lock. */
#ifndef INTERLOCK_RWLOCK_H
#define INTERLOCK_RWLOCK_H

#include "handle.h"

extern const struct kind_operations rwlock_operations;

/* A thread that exits stops reading. */
void rwlock_thread_exit(struct self *me);

#endif
