/* What other modules may use of a counter. */
#ifndef INTERLOCK_COUNTER_H
#define INTERLOCK_COUNTER_H

#include "handle.h"

extern const struct kind_operations counter_operations;

#endif
