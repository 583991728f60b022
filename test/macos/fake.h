/* Forced into the library's sources (-include) in a build for Linux with -Dwait=macos: what
   src/os/wait_macos.c, os_macos.c and threads_posix.c call of macOS. The sources are unchanged. See
   fake.c. */
#ifndef MACOS_FAKE_H
#define MACOS_FAKE_H

/* Some sources define it at their top, which is too late after this file. */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define dlsym fake_dlsym
#define pthread_key_create fake_key_create
#define pthread_setspecific fake_setspecific

#define CLOCK_UPTIME_RAW 8

void *fake_dlsym(void *library, const char *name);
int fake_key_create(pthread_key_t *key, void (*destructor)(void *));
int fake_setspecific(pthread_key_t key, const void *value);

uint64_t clock_gettime_nsec_np(clockid_t clock);
int pthread_threadid_np(void *thread, uint64_t *id);
int pthread_cond_timedwait_relative_np(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                       const struct timespec *time);

#endif
