/* What other modules may use of a semaphore. */
#ifndef INTERLOCK_SEMAPHORE_H
#define INTERLOCK_SEMAPHORE_H

#include "handle.h"

extern const struct kind_operations semaphore_operations;

#endif
