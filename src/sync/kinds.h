/* What each kind offers to other modules. */
#ifndef INTERLOCK_KINDS_H
#define INTERLOCK_KINDS_H

#include "handle.h"

extern const struct kind_operations mutex_operations;
extern const struct kind_operations rwlock_operations;
extern const struct kind_operations semaphore_operations;
extern const struct kind_operations condition_operations;
extern const struct kind_operations event_operations;
extern const struct kind_operations barrier_operations;
extern const struct kind_operations latch_operations;
extern const struct kind_operations once_operations;
extern const struct kind_operations counter_operations;
extern const struct kind_operations tally_operations;
extern const struct kind_operations lockarray_operations;
extern const struct kind_operations queue_operations;
extern const struct kind_operations thread_operations;
extern const struct kind_operations local_operations;
extern const struct kind_operations slices_operations;

#endif
