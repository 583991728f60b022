/* What other modules may use of a queue. */
#ifndef INTERLOCK_QUEUE_H
#define INTERLOCK_QUEUE_H

#include "handle.h"

extern const struct kind_operations queue_operations;

#endif
