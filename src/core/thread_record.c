/* The records of all threads, and their ids. How a thread gets a record and leaves it is in
   thread_life.c. */
#include "thread_record.h"

#include "guard.h"
#include "memory.h"
#include "os.h"
#include "thread_table.h"

_Thread_local struct thread *thread_current ILK_TLS_MODEL;

static struct thread no_thread = {.pin = {[PIN_INNER] = 1}};
_Thread_local struct thread *thread_pinnable ILK_TLS_MODEL = &no_thread;

void thread_set_current(struct thread *record)
{
  thread_current = record;
  thread_pinnable = record ? record : &no_thread;
}

static os_lock records_lock = OS_LOCK_INIT;

void thread_records_lock(os_signals *before)
{
  os_signals_block(before);
  guard_lock(&records_lock);
}

void thread_records_unlock(const os_signals *before)
{
  guard_unlock(&records_lock);
  os_signals_restore(before);
}

static _Atomic(struct thread *) records[THREADS_MAX];
static atomic_u32 record_count;
static struct thread *free_records;
static uint32_t last_id;
atomic_u32 thread_unnoticed_count;

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

struct thread *thread_at(uint32_t index)
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

/* A thread that has loaded an id in a lock finds the record, because each thread stores its id
   there with release, and others load it with acquire. Otherwise they could take a new thread for a
   dead one. */
struct thread *thread_find(uint32_t id)
{
  (void)fork_is_under_way(); /* in a fork's child the others are dead */
  /* seq_cst: Dekker. A waiter publishes its wait, then loads this; thread_leave() clears this, then
     loads the waits. */
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
    /* Acquire: a thread that finds the new thread there sees everything that the earlier one
       did. */
    if (!load_acquire(&by_id[last_id % THREADS_MAX]))
      return last_id;
  }
  return 0;
}

void thread_vanish(uint32_t id)
{
  store_seq_cst(&by_id[id % THREADS_MAX], NULL);
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

struct thread *thread_claim(struct thread *spare)
{
  os_signals signals;
  thread_records_lock(&signals);
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
    me->timed_out_on = NULL;
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
  thread_records_unlock(&signals);
  return id ? me : NULL;
}

void thread_forget_unnoticed(struct thread *record)
{
  store_relaxed(&record->exits_unnoticed, 0);
  sub_relaxed(&thread_unnoticed_count, 1);
}

void thread_retire(struct thread *record)
{
  /* thread_leave() has emptied its element, which may be another thread's by now. Otherwise the
     thread never began, or this is a fork's child: then no other thread loads the element. */
  _Atomic(struct thread *) *element = &by_id[load_relaxed(&record->id) % THREADS_MAX];
  if (load_relaxed(element) == record)
    store_relaxed(element, NULL);
  store_release(&record->id, 0);
  if (load_relaxed(&record->exits_unnoticed))
    thread_forget_unnoticed(record);
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

/* Only the calling thread's record stays alive. */
static void repair(void)
{
  struct thread *me = thread_current;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    if (r != me)
      thread_retire(r);
  if (me) {
    tally_cache_clear(me); /* what was being freed no longer exists */
    store_relaxed(&me->native_id, os_thread_id());
  }
}

const struct fork_module thread_fork = {&records_lock, 1, repair};

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
