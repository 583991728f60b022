/* What each operating system does in its own way. Either os_linux.c or os_posix.c is built. */
#ifndef INTERLOCK_OS_H
#define INTERLOCK_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t os_thread_id(void);
bool os_thread_is_gone(int64_t id); /* false: it exists, or its id has been reused, or the system does not say */
/* True if pthread_setspecific() never allocates for this key, and so may be called in a signal handler. */
bool os_key_is_safe(pthread_key_t key);
int os_cpu_count(void); /* processors that this process may use; at least 1 */

/* A full memory barrier in all threads of this process. os_barrier_register() is called once, when the library is loaded,
   and returns whether the system has one. os_barrier() may still fail, if a sandbox denies the call later. */
bool os_barrier_register(void);
bool os_barrier(void);

/* Calls visit() for each part of the memory, in whole pages, that was ever touched; or for all of it where the system does
   not say. Stops and returns true when visit() returns true. */
bool os_each_touched(void *memory, size_t size, bool (*visit)(void *part, size_t size, void *context), void *context);

#endif
