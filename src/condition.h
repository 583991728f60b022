/* What other rooms may ask of a condition. */
#ifndef INTERLOCK_CONDITION_H
#define INTERLOCK_CONDITION_H

#include "handle.h"

extern const struct kind_operations condition_operations;

#endif
