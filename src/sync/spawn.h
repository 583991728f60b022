/* What other modules may use of a started thread. */
#ifndef INTERLOCK_SPAWN_H
#define INTERLOCK_SPAWN_H

#include "handle.h"

extern const struct kind_operations spawn_operations;

#endif
