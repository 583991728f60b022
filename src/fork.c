#include "fork.h"

#include <pthread.h>

#include "cells.h"
#include "handle.h"
#include "region.h"
#include "self.h"
#include "wait.h"
#include "waitq.h"

/* In the order in which one room's lock may be taken within another's. */
static void before(void)
{
  region_before_fork();
  handle_before_fork();
  self_before_fork();
  waitq_before_fork();
  wait_before_fork();
  cells_before_fork();
}

static void after(bool child)
{
  cells_after_fork(child);
  wait_after_fork(child);
  waitq_after_fork(child);
  self_after_fork(child);
  handle_after_fork(child); /* it asks the kinds, who use the other rooms */
  region_after_fork(child);
}

static void parent(void)
{
  after(false);
}

static void child(void)
{
  after(true);
}

void fork_handlers_install(void)
{
  pthread_atfork(before, parent, child);
}
