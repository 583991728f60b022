/* What other modules may use of a mutex. */
#ifndef INTERLOCK_MUTEX_H
#define INTERLOCK_MUTEX_H

#include "handle.h"

/* For a condition's wait. Releases the mutex, however often it is locked, and stores the depth in
   *depth. Returns ILK_OK, ILK_EPERM (the caller does not hold it; an unowned one: no thread does)
   or ILK_EHANDLE. Uses PIN_INNER. */
int mutex_release_all(void *handle, struct thread *me, uint32_t *depth);

/* ILK_OK if that call would succeed; else what it would return. Uses PIN_INNER. */
int mutex_check_held(void *handle, struct thread *me);

/* Reacquires the mutex to that depth. Neither a cancellation nor a deadlock cycle ends this wait.
   Returns ILK_OK, ILK_OWNER_DIED, or ILK_EHANDLE (it was freed). Uses PIN_INNER. */
int mutex_reacquire(void *handle, struct thread *me, uint32_t depth);

/* For a notify: defers the wake of the thread at `slot`, which will lock that mutex next, until the
   caller unlocks it. False: the caller does not hold it, or cannot prove that it does; wake the
   thread now. */
bool mutex_wake_at_unlock(void *handle, struct thread *me, struct wait_slot *slot);

#endif
