/* No peers but a measure: the calls alone, where one thread does nothing else. */
#include <stdlib.h>

#include "loops.h"
#include "nothing.h"

static void *nothing_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(1);
}

static void nothing_unmake(void *p)
{
  free(p);
}

static inline void nothing_lock(void *p)
{
  nothing(p);
}

static inline void nothing_unlock(void *p)
{
  nothing_again(p);
}

#define lock_make nothing_make
#define lock_unmake nothing_unmake
#define lock_lock nothing_lock
#define lock_unlock nothing_unlock
#define rwlock_make nothing_make
#define rwlock_unmake nothing_unmake
#define rwlock_read_lock nothing_lock
#define rwlock_read_unlock nothing_unlock
#define rwlock_write_lock nothing_lock
#define rwlock_write_unlock nothing_unlock
#define semaphore_make nothing_make
#define semaphore_unmake nothing_unmake
#define semaphore_lock nothing_lock
#define semaphore_unlock nothing_unlock
#define counter_make nothing_make
#define counter_unmake nothing_unmake
#define counter_add nothing_lock
#define tally_make nothing_make
#define tally_unmake nothing_unmake
#define tally_add nothing_lock

LOCK_PEER(lock, "empty calls", NOTHING, 0);
RWLOCK_PEER(rwlock, "empty calls", NOTHING, 0);
SEMAPHORE_PEER(semaphore, "empty calls", NOTHING, 0);
COUNTER_PEER(counter, "empty calls", NOTHING, 0);
TALLY_PEER(tally, "empty calls", NOTHING, 0);

const struct peer *const nothing_peers[] = {&lock, &rwlock, &semaphore, &counter, &tally, NULL};
