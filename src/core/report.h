/* What the report says of a blocked thread, for who else says it. */
#ifndef INTERLOCK_REPORT_H
#define INTERLOCK_REPORT_H

#include "self.h"

/* "thread 3 (native 77)  waits for mutex 0x123, held by ..., for 1.00 s" and a newline, or
   nothing, if it is not blocked; with a NUL. 256 bytes hold it. */
void report_thread(struct self *me, struct self *record, char *buffer, size_t size);

#endif
