/* What other rooms may ask of a condition. */
#ifndef INTERLOCK_CONDITION_H
#define INTERLOCK_CONDITION_H

#include "handle.h"

extern const struct kind_operations condition_operations;

/* Notifies another in place of this thread, which was notified and cannot use it. Uses PIN_INNER. */
void condition_pass_on(void *handle, struct self *me);

#endif
