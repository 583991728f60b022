/* What other modules may use of a barrier. */
#ifndef INTERLOCK_BARRIER_H
#define INTERLOCK_BARRIER_H

#include "handle.h"

extern const struct kind_operations barrier_operations;

#endif
