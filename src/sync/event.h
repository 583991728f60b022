/* What other modules may use of an event. */
#ifndef INTERLOCK_EVENT_H
#define INTERLOCK_EVENT_H

#include "handle.h"

extern const struct kind_operations event_operations;

#endif
