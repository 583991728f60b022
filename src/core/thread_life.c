/* How a thread gets a record, and leaves it when it exits. */
#include "os.h"
#include "thread_record.h"
#include "thread_table.h"

/* The exit hook is one of a thread's destructors. Others may still use the library, so the record
   is kept for EXIT_ROUNDS of the system's rounds of destructors. A later call gets a last record,
   which the hook frees in the next round. If there is no further round, the record stays until
   another thread waits for what it holds, or needs a record: then the system says whether the
   thread still exists (`exits_unnoticed`).

   A thread whose first call is in one of its destructors does not know that it exits, and may have
   too few rounds left. So a thread that has waited for a while also asks the system about the
   holder (block.c). And when the number of records outgrows a power of two, the thread that needs
   the next one asks about all threads.

   macOS frees the variables of a thread before each round, and they have their first values again
   when they are used next. So the number of rounds is also in the record, and the thread finds its
   record by the exit hook. */
static bool exit_hook_works, exit_hook_is_safe;
static const struct thread_exit_work *exit_work; /* constant once the library is loaded */
static _Thread_local int exit_rounds ILK_TLS_MODEL;
#define EXIT_ROUNDS 2
#define GROWTH_MIN 64 /* records; a power of two */

static void end_all_that_are_gone(void);

struct thread *thread_reserve(bool safely)
{
  if (!exit_hook_works) /* its exit would go unnoticed */
    return NULL;
  struct thread *me = thread_claim(NULL), *spare;
  if (!me && !safely && load_relaxed(&thread_unnoticed_count) && thread_end_unnoticed())
    me = thread_claim(NULL);
  /* Not from the allocator, which a signal handler may have interrupted. */
  if (!me && (spare = os_pages_new(sizeof *spare))) {
    me = thread_claim(spare);
    if (me != spare)
      os_pages_free(spare, sizeof *spare);
    else if (!safely && me->index >= GROWTH_MIN && (me->index & (me->index - 1)) == 0)
      end_all_that_are_gone();
  }
  if (me)
    cells_clear(&me->locals); /* left by the record's earlier thread */
  return me;
}

bool thread_adopt(struct thread *record)
{
  store_relaxed(&record->native_id, os_thread_id());
  thread_set_current(record);
  return os_exit_hook_set(record);
}

static void restore(struct thread *record)
{
  thread_set_current(record);
  exit_rounds = record->exit_rounds;
}

/* Sets `exits_unnoticed`, unless the record is another thread's by now. */
static void expect_no_notice(struct thread *record, uint32_t id)
{
  os_signals signals;
  thread_records_lock(&signals);
  if (load_relaxed(&record->id) == id && !load_relaxed(&record->exits_unnoticed)) {
    store_relaxed(&record->exits_unnoticed, 1);
    add_relaxed(&thread_unnoticed_count, 1);
  }
  thread_records_unlock(&signals);
}

static struct thread *create(bool safely)
{
  struct thread *me = thread_reserve(safely);
  if (me && !thread_adopt(me)) {
    thread_leave(me);
    me = NULL;
  }
  if (me)
    me->exit_rounds = exit_rounds;
  if (me && exit_rounds > EXIT_ROUNDS)
    expect_no_notice(me, load_relaxed(&me->id));
  return me;
}

/* Signals are blocked: a handler that runs while the record is created would create another. */
static struct thread *restore_or_create(bool safely)
{
  os_signals signals;
  os_signals_block(&signals);
  struct thread *me = exit_hook_works ? os_exit_hook_get() : NULL;
  if (me)
    restore(me);
  else
    me = create(safely);
  os_signals_restore(&signals);
  return me;
}

struct thread *thread_create_record(void)
{
  return restore_or_create(false);
}

struct thread *thread_self_safely(void)
{
  if (thread_current || !exit_hook_is_safe)
    return thread_current;
  int error = os_error_get();
  struct thread *me = restore_or_create(true);
  os_error_set(error);
  return me;
}

void thread_abandon(struct thread *record)
{
  os_signals signals;
  thread_records_lock(&signals);
  thread_retire(record);
  thread_records_unlock(&signals);
}

void thread_leave(struct thread *me)
{
  exit_work->release(me);
  uint32_t dead = thread_id(me);
  /* First the death is visible, then its waiters are searched for. A wait that is published later
     detects the death, because block() publishes before it checks the holder. */
  thread_vanish(dead);
  exit_work->wake(me, dead);
  /* Otherwise the caller ends a thread that is gone, and keeps its own record. */
  if (me == thread_current)
    thread_set_current(NULL);
  thread_abandon(me);
}

/* Claims the record of a thread that is gone: only one thread succeeds. */
static bool take_over(struct thread *record)
{
  os_signals signals;
  thread_records_lock(&signals);
  bool gone =
    load_relaxed(&record->exits_unnoticed) && os_thread_is_gone(load_relaxed(&record->native_id));
  if (gone)
    thread_forget_unnoticed(record);
  thread_records_unlock(&signals);
  return gone;
}

bool thread_end_unnoticed(void)
{
  bool found = false;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r)) {
    if (!load_relaxed(&r->exits_unnoticed) || !take_over(r))
      continue;
    thread_leave(r);
    found = true;
  }
  return found;
}

bool thread_end_if_gone(uint32_t id)
{
  struct thread *record = id ? thread_find(id) : NULL;
  /* 0: it is about to start, or a sandbox denies its id. */
  int64_t native_id = record ? load_relaxed(&record->native_id) : 0;
  if (native_id == 0 || !os_thread_is_gone(native_id))
    return false;
  expect_no_notice(record, id);
  return thread_end_unnoticed(); /* asks again, with the records locked */
}

static void end_all_that_are_gone(void)
{
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    thread_end_if_gone(load_acquire(&r->id));
}

static void thread_exit(void *argument)
{
  struct thread *record = argument;
  if (record != thread_current)
    restore(record);
  record->exit_rounds = ++exit_rounds;
  if (exit_rounds > EXIT_ROUNDS || !os_exit_hook_set(record))
    thread_leave(record);
}

void thread_setup(const struct thread_exit_work *work)
{
  exit_work = work;
  exit_hook_works = os_exit_hook_new(thread_exit);
  exit_hook_is_safe = exit_hook_works && os_exit_hook_is_safe();
}
