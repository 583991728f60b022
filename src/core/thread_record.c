#include "thread_record.h"

#include "guard.h"
#include "memory.h"
#include "os.h"

_Thread_local struct thread *thread_current ILK_TLS_MODEL;

static struct thread no_thread = {.pin = {[PIN_INNER] = 1}};
_Thread_local struct thread *thread_pinnable ILK_TLS_MODEL = &no_thread;

static void set_current(struct thread *record)
{
  thread_current = record;
  thread_pinnable = record ? record : &no_thread;
}

/* Held with signals blocked: a signal handler may need it to create its thread's record. */
static os_lock records_lock = OS_LOCK_INIT;

static void lock_records(os_signals *before)
{
  os_signals_block(before);
  guard_lock(&records_lock);
}

static void unlock_records(const os_signals *before)
{
  guard_unlock(&records_lock);
  os_signals_restore(before);
}

static _Atomic(struct thread *) records[THREADS_MAX];
static atomic_u32 record_count;
static struct thread *free_records;
static uint32_t last_id;

/* Live threads, indexed by id modulo THREADS_MAX. An id is assigned only if its element is empty,
   so one load finds a thread. */
static _Atomic(struct thread *) by_id[THREADS_MAX];

/* One bit for each record that is in use. It is set before the thread's first light side (fence.h),
   and cleared when the record pins and holds nothing any more. So a heavy side can skip the other
   records. */
#ifndef LIVE_BITS
#define LIVE_BITS 64 /* in an element; fewer in a model */
#endif
static atomic_u64 live[THREADS_MAX / LIVE_BITS];

/* Runs at thread exit. Other destructors may still use the library, so the record is kept for a few
   of the system's rounds of destructors. A later call gets a last record, which is retired in the
   next round. If there is no further round, the record stays until another thread waits for what it
   holds, or needs a record: then the system says whether the thread still exists.

   macOS frees the variables of a thread before each round, and they have their first values again
   when they are used next. So the number of rounds is also in the record, and the thread finds its
   record by the exit hook. */
static bool exit_hook_works, exit_hook_is_safe;
static const struct thread_exit_work *exit_work; /* constant once the library is loaded */
static _Thread_local int exit_rounds ILK_TLS_MODEL;
#define EXIT_ROUNDS 2
atomic_u32 thread_unnoticed_count;

struct thread *thread_from(uint32_t index)
{
  /* Acquire: pairs with the release that counted the record. */
  return index < load_acquire(&record_count) ? load_relaxed(&records[index]) : NULL;
}

struct thread *thread_live_from(uint32_t index)
{
  uint32_t count = load_seq_cst(&record_count);
  for (uint32_t i = index / LIVE_BITS, first = index % LIVE_BITS; i * LIVE_BITS < count;
       i++, first = 0) {
    /* seq_cst: heavy side. It loads a bit that was set before its thread's light side. */
    uint64_t bits = load_seq_cst(&live[i]) >> first;
    if (bits)
      return load_relaxed(&records[i * LIVE_BITS + first + (uint32_t)__builtin_ctzll(bits)]);
  }
  return NULL;
}

static void set_live(const struct thread *record, bool is_live)
{
  uint64_t bit = UINT64_C(1) << record->index % LIVE_BITS;
  if (is_live)
    or_seq_cst(&live[record->index / LIVE_BITS], bit);
  else
    and_seq_cst(&live[record->index / LIVE_BITS], ~bit);
}

/* A thread that has loaded an id finds the record: each thread stores its id in a lock with
   release, and the id is loaded there with acquire. Otherwise a thread that is new could be taken
   for a dead one. */
struct thread *thread_find(uint32_t id)
{
  (void)fork_is_under_way(); /* in a fork's child the others are dead */
  /* seq_cst: a waiter publishes its wait and then loads this; thread_leave() does the opposite. */
  struct thread *record = load_seq_cst(&by_id[id % THREADS_MAX]);
  /* Acquire: a thread that detects a death here sees everything that the dead thread did, unless it
     is the system that reports the death. */
  if (!record || load_acquire(&record->id) != id)
    return NULL;
  /* Relaxed: the thread has set both before it stored its id anywhere. */
  return unlikely(load_relaxed(&record->exits_unnoticed)) &&
             os_thread_is_gone(load_relaxed(&record->native_id))
           ? NULL
           : record;
}

static uint32_t next_id(void)
{
  for (int tries = 0; tries < THREADS_MAX; tries++) {
    last_id = last_id % ID_MAX + 1;
    /* Acquire: hands the end of the element's earlier thread over to threads that find this one
       there. */
    if (!load_acquire(&by_id[last_id % THREADS_MAX]))
      return last_id;
  }
  return 0;
}

static void tally_cache_clear(struct thread *record)
{
  for (uint32_t i = 0; i < TALLY_CACHE_SIZE; i++)
    update_relaxed(&record->tally_cache[i].tally, tally_cache_none(i));
}

static struct thread *add_record(struct thread *record)
{
  uint32_t index = load_relaxed(&record_count);
  *record = (struct thread){.reads_limit = 1, .index = index};
  for (int i = 0; i < WAIT_SLOTS; i++)
    record->wait_slots[i].thread = record;
  tally_cache_clear(record);
  store_relaxed(&records[index], record);
  store_seq_cst(&record_count, index + 1);
  return record;
}

/* Takes a record and assigns it a new id: a free record, or the spare. */
static struct thread *claim(struct thread *spare)
{
  os_signals signals;
  lock_records(&signals);
  struct thread *me = free_records;
  bool may_add = spare && load_relaxed(&record_count) < THREADS_MAX;
  uint32_t id = me || may_add ? next_id() : 0;
  if (id) {
    if (me)
      free_records = me->next_free;
    else
      me = add_record(spare);
    store_relaxed(&me->native_id, 0);
    me->exit_rounds = 0;
    me->uses_words = false;
    me->held = NULL;
    store_relaxed(&me->closing, 0);
    me->gil_state = NULL; /* a thread that a fork left behind may have been asleep */
    me->spin_limit = me->spin_waits = me->spin_failures = 0;
    me->yields_after = 0;
    store_relaxed(&me->deferred_count, 0);
    store_release(&me->id, id);
    store_release(&by_id[id % THREADS_MAX], me);
    set_live(me, true);
  }
  unlock_records(&signals);
  return id ? me : NULL;
}

/* `safely`: async-signal-safe. Otherwise records of threads that are gone are ended first, which
   acquires locks. */
static struct thread *reserve(bool safely)
{
  if (!exit_hook_works) /* its exit would go unnoticed */
    return NULL;
  struct thread *me = claim(NULL), *spare;
  if (!me && !safely && load_relaxed(&thread_unnoticed_count) && thread_end_unnoticed())
    me = claim(NULL);
  if (!me && (spare = memory_new_pages(sizeof *spare))) {
    me = claim(spare);
    if (me != spare)
      memory_free_pages(spare, sizeof *spare);
  }
  if (me)
    cells_clear(&me->locals); /* left by the record's earlier thread */
  return me;
}

struct thread *thread_reserve(void)
{
  return reserve(false);
}

bool thread_adopt(struct thread *record)
{
  store_relaxed(&record->native_id, os_thread_id());
  set_current(record);
  return os_exit_hook_set(record);
}

static void restore(struct thread *record)
{
  set_current(record);
  exit_rounds = record->exit_rounds;
}

static struct thread *create(bool safely)
{
  struct thread *me = reserve(safely);
  if (me && !thread_adopt(me)) {
    thread_leave(me);
    me = NULL;
  }
  if (me)
    me->exit_rounds = exit_rounds;
  if (me && exit_rounds > EXIT_ROUNDS) {
    guard_lock(&records_lock);
    store_relaxed(&me->exits_unnoticed, 1);
    add_relaxed(&thread_unnoticed_count, 1);
    guard_unlock(&records_lock);
  }
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

/* With the records locked: its exit no longer goes unnoticed. */
static void forget_unnoticed(struct thread *record)
{
  store_relaxed(&record->exits_unnoticed, 0);
  sub_relaxed(&thread_unnoticed_count, 1);
}

/* With the records locked. No thread finds this one by its id any more, so the locks that it holds
   are a dead thread's. */
static void retire(struct thread *record)
{
  /* thread_leave() has emptied its element, which may be another thread's by now. Otherwise the
     thread never began, or this is a fork's child: then no other thread loads the element. */
  _Atomic(struct thread *) *element = &by_id[load_relaxed(&record->id) % THREADS_MAX];
  if (load_relaxed(element) == record)
    store_relaxed(element, NULL);
  store_release(&record->id, 0);
  if (load_relaxed(&record->exits_unnoticed))
    forget_unnoticed(record);
  for (int i = 0; i < PINS; i++)
    store_relaxed(&record->pin[i], 0);
  /* In a fork's child, a read may be published and not recorded yet. A downgrade counts beyond the
     limit. */
  uint32_t limit = load_relaxed(&record->reads_limit);
  for (uint32_t i = 0; i < limit || i < record->reads; i++) {
    update_relaxed(&record->reads_published[i], 0);
    update_relaxed(&record->reads_counted[i], 0);
    record->reads_more[i] = 0;
  }
  record->reads = 0;
  for (int i = 0; i < WAIT_SLOTS; i++) {
    store_relaxed(&record->wait_slots[i].queue, NULL);
    record->wait_slots[i].resumable_for = NULL;
  }
  record->resumable_waits = 0;
  tally_cache_clear(record);
  /* Odd only in a fork's child. */
  uint32_t episode = load_relaxed(&record->episode);
  store_relaxed(&record->episode, episode + (episode & 1));
  set_live(record, false);
  record->next_free = free_records;
  free_records = record;
}

void thread_abandon(struct thread *record)
{
  os_signals signals;
  lock_records(&signals);
  retire(record);
  unlock_records(&signals);
}

void thread_leave(struct thread *me)
{
  exit_work->release(me);
  uint32_t dead = thread_id(me);
  /* First the death is visible, then its waiters are searched for. A wait that is published later
     detects the death, because block() publishes before it checks the holder. */
  store_seq_cst(&by_id[dead % THREADS_MAX], NULL);
  exit_work->wake(me, dead);
  /* Else the caller ends a thread that is gone, and keeps its own record. */
  if (me == thread_current)
    set_current(NULL);
  os_signals signals;
  lock_records(&signals);
  retire(me);
  unlock_records(&signals);
}

/* Claims the record of a thread that is gone: only one thread succeeds. */
static bool take_over(struct thread *record)
{
  os_signals signals;
  lock_records(&signals);
  bool gone =
    load_relaxed(&record->exits_unnoticed) && os_thread_is_gone(load_relaxed(&record->native_id));
  if (gone)
    forget_unnoticed(record);
  unlock_records(&signals);
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

void thread_before_fork(void)
{
  guard_hold(&records_lock);
}

void thread_after_fork(bool child)
{
  struct thread *me = thread_current;
  if (child) {
    for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
      if (r != me)
        retire(r);
    if (me) {
      tally_cache_clear(me); /* what was being freed no longer exists */
      store_relaxed(&me->native_id, os_thread_id());
    }
  }
  guard_release(&records_lock);
}

#ifndef NDEBUG

bool memory_may_be_used(void)
{
  struct thread *me = thread_current;
  /* A function of the program may run in a wait (see stall.c), and a free does not wait for
     waiters. */
  bool waits = me && load_relaxed(&me->episode) & 1;
  for (int i = 0; me && !waits && i < PINS; i++)
    if (load_relaxed(&me->pin[i]))
      return false;
  return guards_held == 0;
}

#endif
