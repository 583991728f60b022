/* What other modules may use of a latch. */
#ifndef INTERLOCK_LATCH_H
#define INTERLOCK_LATCH_H

#include "handle.h"

extern const struct kind_operations latch_operations;

#endif
