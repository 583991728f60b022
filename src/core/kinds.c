#include "handle.h"

#include "barrier.h"
#include "condition.h"
#include "counter.h"
#include "event.h"
#include "latch.h"
#include "local.h"
#include "lockarray.h"
#include "mutex.h"
#include "once.h"
#include "queue.h"
#include "rwlock.h"
#include "semaphore.h"
#include "slices.h"
#include "thread.h"
#include "tally.h"

const struct kind_operations *const kind_operations[KINDS] = {
    [KIND_MUTEX] = &mutex_operations,
    [KIND_RWLOCK] = &rwlock_operations,
    [KIND_SEMAPHORE] = &semaphore_operations,
    [KIND_CONDITION] = &condition_operations,
    [KIND_EVENT] = &event_operations,
    [KIND_BARRIER] = &barrier_operations,
    [KIND_LATCH] = &latch_operations,
    [KIND_ONCE] = &once_operations,
    [KIND_COUNTER] = &counter_operations,
    [KIND_TALLY] = &tally_operations,
    [KIND_LOCKARRAY] = &lockarray_operations,
    [KIND_QUEUE] = &queue_operations,
    [KIND_THREAD] = &thread_operations,
    [KIND_LOCAL] = &local_operations,
    [KIND_SLICES] = &slices_operations,
};
