/* What handle.c and handle_close.c share. */
#ifndef INTERLOCK_HANDLE_TABLE_H
#define INTERLOCK_HANDLE_TABLE_H

#include "handle.h"

#define CLOSING ((uint64_t)TAG_CLOSING << 32)

/* The table's lock. Tags change under it alone. */
void handle_table_lock(void);
void handle_table_unlock(void);

/* The calling thread holds the table's lock, or is about to acquire it, or has just released it. Set before the lock
   is acquired, and cleared after it was released, for a signal handler may run between any two instructions. */
extern HIDDEN _Thread_local bool handle_table_mine ILK_TLS_MODEL;

/* Is the handle live, or being closed, and that not decided? Acquire: a call that finds it freed comes after the free. */
static inline bool handle_is_undecided(struct object *object, void *handle)
{
  return head_is(load_acquire(&object->seal) & ~CLOSING, handle);
}

/* In a fork's child. */
void handle_close_after_fork(void);

#endif
