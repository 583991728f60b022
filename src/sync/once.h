/* What other modules may use of a once. */
#ifndef INTERLOCK_ONCE_H
#define INTERLOCK_ONCE_H

#include "handle.h"

extern const struct kind_operations once_operations;

#endif
