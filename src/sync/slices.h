/* What other modules may use of slices. */
#ifndef INTERLOCK_SLICES_H
#define INTERLOCK_SLICES_H

#include "handle.h"

extern const struct kind_operations slices_operations;

#endif
