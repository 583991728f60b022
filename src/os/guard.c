#include "fork.h"

#include "cells.h"
#include "cycle.h"
#include "handle.h"
#include "os.h"
#include "region.h"
#include "thread_record.h"
#include "wait.h"
#include "waitq.h"

_Thread_local bool fork_between_handlers ILK_TLS_MODEL;
static int64_t parent_id; /* guarded by all guards */

/* In the order in which guards are nested. */
static void before(void)
{
  os_signals signals; /* a signal handler may need a guard: it finds all of them held, or none */
  os_signals_block(&signals);
  region_before_fork();
  handle_before_fork();
  thread_before_fork();
  waitq_before_fork();
  wait_before_fork();
  cells_before_fork();
  parent_id = os_process_id();
  fork_between_handlers = true;
  os_signals_restore(&signals);
}

static void after(bool child)
{
  os_signals signals;
  os_signals_block(&signals);
  fork_between_handlers = false;
  if (child)
    cycle_after_fork();
  cells_after_fork(child);
  wait_after_fork(child);
  waitq_after_fork(child);
  thread_after_fork(child);
  handle_after_fork(child); /* it calls the kinds, which use the other modules */
  region_after_fork(child);
  os_signals_restore(&signals);
}

static void parent(void)
{
  after(false);
}

static void child(void)
{
  if (fork_between_handlers) /* else a call in a handler of the program has done it */
    after(true);
}

bool fork_is_under_way_slow(void)
{
  if (os_process_id() != parent_id)
    after(true);
  return fork_between_handlers;
}

bool fork_suspend(void)
{
  if (!fork_is_under_way())
    return false;
  after(false);
  return true;
}

void fork_resume(void)
{
  before();
}

void fork_handlers_install(void)
{
  os_fork_handlers(before, parent, child);
}
