/* What thread_record.c and thread_life.c share. */
#ifndef INTERLOCK_THREAD_TABLE_H
#define INTERLOCK_THREAD_TABLE_H

#include "os.h"

struct thread;

/* The lock of the records. It is held with signals blocked, because a signal handler may need it to
   create its thread's record. */
void thread_records_lock(os_signals *before);
void thread_records_unlock(const os_signals *before);

/* Makes the record the calling thread's; NULL: it has none any more. */
void thread_set_current(struct thread *record);

/* Takes a free record, or the spare, which may be NULL, and assigns it a new id. NULL: there is
   none. */
struct thread *thread_claim(struct thread *spare);

/* From now on thread_find() does not find the thread with that id. */
void thread_vanish(uint32_t id);

/* With the records locked: frees the record of a thread that has vanished, that never began, or
   that does not exist in this fork's child. */
void thread_retire(struct thread *record);

/* With the records locked: its exit no longer goes unnoticed. */
void thread_forget_unnoticed(struct thread *record);

#endif
