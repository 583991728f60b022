/* What thread_record.c and thread_life.c share. */
#ifndef INTERLOCK_THREAD_TABLE_H
#define INTERLOCK_THREAD_TABLE_H

#include "os.h"

struct thread;

/* The lock of the records, held with signals blocked: a signal handler may need it to create its
   thread's record. */
void thread_records_lock(os_signals *before);
void thread_records_unlock(const os_signals *before);

/* Makes the record the calling thread's; NULL: it has none any more. */
void thread_set_current(struct thread *record);

/* Takes a record and assigns it a new id: a free record, or the spare, which may be NULL. NULL: there
   is none. */
struct thread *thread_claim(struct thread *spare);

/* No thread finds the one with that id any more. */
void thread_vanish(uint32_t id);

/* With the records locked, once no thread finds this one by its id: frees the record. The locks that
   it holds are a dead thread's. */
void thread_retire(struct thread *record);

/* With the records locked: its exit no longer goes unnoticed. */
void thread_forget_unnoticed(struct thread *record);

#endif
