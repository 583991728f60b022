/* The seam to the system's robust mutexes, in memory that processes share: the kernel marks those that a thread
   holds when it ends, however it ends. One of robust_posix.c and robust_none.c is built. */
#ifndef INTERLOCK_ROBUST_MUTEX_H
#define INTERLOCK_ROBUST_MUTEX_H

#include "common.h"

/* What an address of ILK_ROBUST_SIZE bytes is: ILK_OK: such a mutex, as are zeros from now on; ILK_EINVAL: something
   else; ILK_ENOTSUP: the system has none. */
int robust_check(void *address);

/* After a check. ILK_OK, ILK_OWNER_DIED: locked; ILK_EBUSY; ILK_EDEADLK: the caller holds it. */
int robust_try(void *address);

/* The same, but waits until `until` (monotonic clock): ILK_ETIMEDOUT. */
int robust_try_until(void *address, int64_t until);

/* ILK_OK, ILK_EPERM. */
int robust_release(void *address);

#endif
