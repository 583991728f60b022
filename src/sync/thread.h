/* What other modules may use of a started thread. */
#ifndef INTERLOCK_THREAD_H
#define INTERLOCK_THREAD_H

#include "handle.h"

extern const struct kind_operations thread_operations;

#endif
