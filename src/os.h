/* The few questions that each operating system answers its own way; one of
   os_linux.c and os_posix.c is built. */
#ifndef INTERLOCK_OS_H
#define INTERLOCK_OS_H

#include <stdbool.h>
#include <stdint.h>

int64_t os_thread_id(void);
int os_cpu_count(void); /* that this process may run on; at least 1 */

/* A barrier on all threads of this process; false where there is none. */
bool os_barrier_register(void);
void os_barrier(void);

#endif
