/* The list of the kinds, and what is done when the library is loaded. */
#include "kinds.h"

#include "cells.h"
#include "cycle.h"
#include "fence.h"
#include "guard.h"
#include "region.h"
#include "resumable.h"
#include "robust_mutex.h"
#include "spin.h"
#include "thread_exit.h"
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

/* They are in the order in which guards are nested. In a fork's child they are repaired in the
   opposite order, because the repair of `handle` calls the kinds, which use the other modules. */
static const struct fork_module *const fork_modules[] = {
  &region_fork, &handle_fork, &resumable_fork, &thread_fork,
  &waitq_fork,  &wait_fork,   &cells_fork,     &cycle_fork,
};

/* What must be done when the library is loaded, before it is used. It is one function, because not
   every system runs several in a known order. It has the highest priority that a program may use,
   because the program's own constructors may call the library. It is in this file, because the
   linker leaves out a member of a static library to which nothing refers. */
__attribute__((constructor(101))) static void setup(void)
{
  wait_setup();
  spin_setup();
  fence_setup();
  waitq_setup();
  region_setup();
  handle_setup();
  robust_setup();
  thread_setup(&thread_exit_work);
  fork_handlers_install(fork_modules, sizeof fork_modules / sizeof *fork_modules);
}
