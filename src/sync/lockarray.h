/* What other modules may use of a lock array. */
#ifndef INTERLOCK_LOCKARRAY_H
#define INTERLOCK_LOCKARRAY_H

#include "handle.h"

extern const struct kind_operations lockarray_operations;

#endif
