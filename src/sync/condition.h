/* What other modules may use of a condition. */
#ifndef INTERLOCK_CONDITION_H
#define INTERLOCK_CONDITION_H

#include "handle.h"

/* Passes on a notify that this thread received but cannot use: notifies another waiter. Uses
   PIN_INNER. */
void condition_pass_on(void *handle, struct thread *me);

#endif
