/* The few questions that each operating system answers its own way; one of
   os_linux.c and os_posix.c is built. */
#ifndef INTERLOCK_OS_H
#define INTERLOCK_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t os_thread_id(void);
bool os_thread_is_gone(int64_t id); /* false: it is there, or an id's next thread is, or nobody knows */
/* Does pthread_setspecific() of this key never allocate? Then it may be called in a signal handler. */
bool os_key_is_safe(pthread_key_t key);
int os_cpu_count(void); /* that this process may run on; at least 1 */

/* A full barrier on all threads of this process. The first call, at the library's load, tells
   whether there is one; the second may still fail, if a sandbox denies it later. */
bool os_barrier_register(void);
bool os_barrier(void);

/* Calls visit() for the parts of that memory, of whole pages and nobody else's, that were ever
   touched; for all of it where the system does not tell. Stops, and returns true, when that does. */
bool os_each_touched(void *memory, size_t size, bool (*visit)(void *part, size_t size, void *context), void *context);

#endif
