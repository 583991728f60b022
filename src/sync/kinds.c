/* The list of the kinds, and what is done when the library is loaded. */
#include "kinds.h"

#include "fence.h"
#include "region.h"
#include "robust_mutex.h"
#include "spin.h"
#include "thread_record.h"
#include "wait.h"
#include "waitq.h"

const struct kind_operations *const kind_operations[KINDS] = {
  [KIND_MUTEX] = &mutex_operations,         [KIND_RWLOCK] = &rwlock_operations,
  [KIND_SEMAPHORE] = &semaphore_operations, [KIND_CONDITION] = &condition_operations,
  [KIND_EVENT] = &event_operations,         [KIND_BARRIER] = &barrier_operations,
  [KIND_LATCH] = &latch_operations,         [KIND_ONCE] = &once_operations,
  [KIND_COUNTER] = &counter_operations,     [KIND_TALLY] = &tally_operations,
  [KIND_LOCKARRAY] = &lockarray_operations, [KIND_QUEUE] = &queue_operations,
  [KIND_THREAD] = &thread_operations,       [KIND_LOCAL] = &local_operations,
  [KIND_SLICES] = &slices_operations,
};

/* What must be done before the library is used, when it is loaded. In one function, because not
   every system runs several in a known order. With the highest priority that a program may use: its
   own constructors may call the library. In this file, because the linker leaves a member of a
   static library out that nothing refers to. */
__attribute__((constructor(101))) static void setup(void)
{
  wait_setup();
  spin_setup();
  fence_setup();
  waitq_setup();
  region_setup();
  handle_setup();
  robust_setup();
  thread_setup();
}
