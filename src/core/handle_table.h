/* What handle.c, handle_close.c, handle_counted.c and handle_retired.c share. */
#ifndef INTERLOCK_HANDLE_TABLE_H
#define INTERLOCK_HANDLE_TABLE_H

#include "object.h"

/* The table's lock. Tags change only while it is held. */
void handle_table_lock(void);
void handle_table_unlock(void);

/* True if the calling thread holds the table's lock, not for a fork, or is about to acquire it, or
   has just released it. It is set before the lock is acquired and cleared after it is released,
   because a signal handler may run between any two instructions. */
extern HIDDEN _Thread_local bool handle_table_mine ILK_TLS_MODEL;

/* Returns the slot to the free list, with the table locked; not reusable: never. */
void handle_slot_put_back(void *handle, bool reusable);

/* With the table locked: an object is no longer live. */
void handle_count_freed(void);

/* Retired slots (handle_retired.c). With the table locked: */
bool handle_retired_has_space(void);
void handle_retired_add(void *handle); /* its object is no longer live; recycled later */
bool handle_retired_are_many(void);    /* true: call handle_retired_recycle() */
/* With nothing locked: recycles the retired slots that no call pins. True: there was one. If
   another thread does so at this moment: waits until it is done, or (`waits` is false) returns
   false. */
bool handle_retired_recycle(bool waits);

/* How many counted pins there are of that handle, and of others that share the counter
   (handle_counted.c). */
atomic_u32 *handle_count_of(void *handle);
/* The handle whose close is being decided; written with the table's lock. */
extern HIDDEN atomic_word handle_deciding;

/* In a fork's child. */
void handle_counted_after_fork(void);
void handle_retired_after_fork(void);

#endif
