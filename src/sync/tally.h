/* What other modules may use of a tally. */
#ifndef INTERLOCK_TALLY_H
#define INTERLOCK_TALLY_H

#include "handle.h"

extern const struct kind_operations tally_operations;

#endif
