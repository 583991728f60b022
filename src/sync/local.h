/* What other modules may use of a thread-local value. */
#ifndef INTERLOCK_LOCAL_H
#define INTERLOCK_LOCAL_H

#include "handle.h"

extern const struct kind_operations local_operations;

#endif
