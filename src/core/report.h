/* The report's line about a blocked thread, for other modules that print it. */
#ifndef INTERLOCK_REPORT_H
#define INTERLOCK_REPORT_H

#include "thread_record.h"

/* Writes "thread 3 (native 77)  waits for mutex 0x123, held by ..., for 1.00 s" and a newline, or
   nothing if the thread is not blocked; with a terminating NUL. 256 bytes suffice. */
void report_thread(struct thread *me, struct thread *record, char *buffer, size_t size);

#endif
