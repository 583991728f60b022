/* The report's line about a blocked thread, for a thread that prints its own. */
#ifndef INTERLOCK_REPORT_H
#define INTERLOCK_REPORT_H

#include "thread_record.h"

/* For a blocked thread: writes "thread 3 (native 77)  waits for mutex 0x123, held by ..., for
   1.00 s", a newline and a NUL. 256 bytes suffice. */
void report_own_wait(struct thread *me, char *buffer, size_t size);

#endif
