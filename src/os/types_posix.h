/* os.h's types, with the functions that are inline, on POSIX systems. */
#ifndef INTERLOCK_TYPES_POSIX_H
#define INTERLOCK_TYPES_POSIX_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>

typedef pthread_mutex_t os_lock;
#define OS_LOCK_INIT PTHREAD_MUTEX_INITIALIZER

static inline void os_lock_init(os_lock *lock)
{
  pthread_mutex_init(lock, NULL);
}

static inline void os_lock_acquire(os_lock *lock)
{
  pthread_mutex_lock(lock);
}

static inline void os_lock_release(os_lock *lock)
{
  pthread_mutex_unlock(lock);
}

typedef sigset_t os_signals;

static inline void os_signals_block(os_signals *before)
{
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
}

static inline void os_signals_restore(const os_signals *before)
{
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

static inline int os_error_get(void)
{
  return errno;
}

static inline void os_error_set(int error)
{
  errno = error;
}

#endif
