/* What other rooms may ask of a mutex. */
#ifndef INTERLOCK_MUTEX_H
#define INTERLOCK_MUTEX_H

#include "handle.h"

extern const struct kind_operations mutex_operations;

/* For a condition's wait. Gives the mutex up, however often it is locked, and tells how
   often in *depth: ILK_OK; ILK_EPERM: the caller does not hold it (an unowned one: nobody
   does); ILK_EHANDLE. Uses PIN_INNER. */
int mutex_give_up(void *handle, struct self *me, uint32_t *depth);

/* Takes it back to that depth. Not cancelled, nor given up for a circle: ILK_OK,
   ILK_OWNER_DIED, or ILK_EHANDLE: it was freed. Uses PIN_INNER. */
int mutex_take_back(void *handle, struct self *me, uint32_t depth);

/* For a notify: has the thread at `place`, which is about to lock that mutex, woken when the caller unlocks it.
   False: the caller does not hold it, or does not know; wake it now. */
bool mutex_wake_at_unlock(void *handle, struct self *me, struct queue_place *place);

#endif
