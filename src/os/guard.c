#include "guard.h"

#ifndef NDEBUG
_Thread_local int guards_held ILK_TLS_MODEL;
#endif

_Thread_local bool fork_between_handlers ILK_TLS_MODEL;
static int64_t parent_id; /* the forking process; accessed with all guards held */

static const struct fork_module *const *modules; /* constant once the library is loaded */
static int module_count;

static void before(void)
{
  os_signals signals; /* a signal handler may need a guard: it finds that all are held, or none */
  os_signals_block(&signals);
  for (int i = 0; i < module_count; i++)
    for (int j = 0; j < modules[i]->count; j++)
      os_lock_acquire(&modules[i]->guards[j]);
  parent_id = os_process_id();
  fork_between_handlers = true;
  os_signals_restore(&signals);
}

static void after(bool child)
{
  os_signals signals;
  os_signals_block(&signals);
  fork_between_handlers = false;
  for (int i = module_count; i-- > 0;) {
    if (child && modules[i]->repair)
      modules[i]->repair();
    for (int j = modules[i]->count; j-- > 0;)
      os_lock_release(&modules[i]->guards[j]);
  }
  os_signals_restore(&signals);
}

static void parent(void)
{
  after(false);
}

static void child(void)
{
  if (fork_between_handlers) /* else a call in a handler of the program has done this already */
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

void fork_handlers_install(const struct fork_module *const *all, int count)
{
  modules = all;
  module_count = count;
  os_fork_handlers(before, parent, child);
}
