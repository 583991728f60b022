/* The seam to the system's robust mutexes, in memory that processes share. When a thread ends,
   however it ends, the kernel marks the mutexes that it holds. One of robust_posix.c and
   robust_none.c is built. */
#ifndef INTERLOCK_ROBUST_MUTEX_H
#define INTERLOCK_ROBUST_MUTEX_H

#include "common.h"

/* Checks ILK_ROBUST_SIZE bytes at an address. ILK_OK: a robust mutex; zeros have been made an
   unlocked one. ILK_EINVAL: anything else. ILK_ENOTSUP: the system has no robust mutexes. */
int robust_check(void *address);

/* All three after robust_check(). ILK_EINVAL: the mutex is damaged. */

/* ILK_OK, ILK_OWNER_DIED: locked; ILK_EBUSY: another thread holds it; ILK_EDEADLK or, on some
   systems, ILK_EBUSY: the caller holds it. */
int robust_try(void *address);

/* The same, but waits until `until` (monotonic clock) and then returns ILK_ETIMEDOUT instead of
   ILK_EBUSY. If the caller holds it: ILK_EDEADLK on all systems. */
int robust_try_until(void *address, int64_t until);

/* ILK_OK, ILK_EPERM. */
int robust_release(void *address);

void robust_setup(void); /* once, when the library is loaded */

#endif
