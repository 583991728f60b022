#include "self.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "block.h"
#include "fork.h"
#include "guard.h"
#include "handle.h"
#include "memory.h"
#include "os.h"
#include "parts.h"
#include "rwlock.h"
#include "signals.h"
#include "wait.h"
#include "waitq.h"

_Thread_local struct self *self_current ILK_TLS_MODEL;

static struct self nobody = {.pin = {[PIN_INNER] = 1}};
_Thread_local struct self *self_pinnable ILK_TLS_MODEL = &nobody;

static void set_current(struct self *record)
{
  self_current = record;
  self_pinnable = record ? record : &nobody;
}

/* Held with signals blocked: a signal handler may need it to create its thread's record. */
static pthread_mutex_t records_lock = PTHREAD_MUTEX_INITIALIZER;

static void lock_records(sigset_t *before)
{
  signals_block(before);
  guard_lock(&records_lock);
}

static void unlock_records(const sigset_t *before)
{
  guard_unlock(&records_lock);
  signals_restore(before);
}

static _Atomic(struct self *) records[THREADS_MAX];
static atomic_u32 record_count;
static struct self *free_records;
static uint32_t last_id;

/* Live threads, indexed by id modulo THREADS_MAX. An id is assigned only if its element is empty, so one load finds a thread. */
static _Atomic(struct self *) by_id[THREADS_MAX];

/* One bit for each record that is in use. It is set before the thread's first light side (fence.h), and cleared when the record
   pins and holds nothing any more. So a heavy side can skip the other records. */
#define LIVE_BITS 64
static atomic_u64 live[THREADS_MAX / LIVE_BITS];

/* Runs at thread exit. Other destructors may still use the library, so the record is kept for a few of the system's rounds of
   destructors. A later call gets a last record, which is given up in the next round. If there is no further round, the record
   stays until another thread waits for what it holds, or needs a record: then the system says whether the thread still exists. */
static pthread_key_t exit_key;
static bool exit_key_works, exit_key_is_safe;
static _Thread_local int exit_rounds ILK_TLS_MODEL;
#define EXIT_ROUNDS 2
atomic_u32 self_last_count;

struct self *self_from(uint32_t place)
{
  /* Acquire: pairs with the release that counted the record. */
  return place < load_acquire(&record_count) ? load_relaxed(&records[place]) : NULL;
}

struct self *self_live_from(uint32_t place)
{
  uint32_t count = load_seq_cst(&record_count);
  for (uint32_t i = place / LIVE_BITS, first = place % LIVE_BITS; i * LIVE_BITS < count; i++, first = 0) {
    /* seq_cst: heavy side. It loads a bit that was set before its thread's light side. */
    uint64_t bits = load_seq_cst(&live[i]) >> first;
    if (bits)
      return load_relaxed(&records[i * LIVE_BITS + first + (uint32_t)__builtin_ctzll(bits)]);
  }
  return NULL;
}

static void set_live(const struct self *record, bool is_live)
{
  uint64_t bit = UINT64_C(1) << record->place % LIVE_BITS;
  if (is_live)
    or_seq_cst(&live[record->place / LIVE_BITS], bit);
  else
    and_seq_cst(&live[record->place / LIVE_BITS], ~bit);
}

struct self *self_find(uint32_t id)
{
  (void)fork_is_under_way(); /* in a fork's child the others are dead */
  /* seq_cst: a waiter publishes its wait and then loads this; self_leave() does the opposite. */
  struct self *record = load_seq_cst(&by_id[id % THREADS_MAX]);
  /* Acquire: a thread that detects a death here sees everything that the dead thread did. */
  if (!record || load_acquire(&record->id) != id)
    return NULL;
  return unlikely(load_relaxed(&record->is_last)) && os_thread_is_gone(load_relaxed(&record->native_id)) ? NULL : record;
}

static uint32_t next_id(void)
{
  for (int tries = 0; tries < THREADS_MAX; tries++) {
    last_id = last_id % ID_MAX + 1;
    /* Acquire: hands the end of the element's earlier thread over to threads that find this one there. */
    if (!load_acquire(&by_id[last_id % THREADS_MAX]))
      return last_id;
  }
  return 0;
}

static void forget_recent(struct self *record)
{
  for (uint32_t i = 0; i < RECENT; i++)
    update_relaxed(&record->recent[i].tally, recent_none(i));
}

static struct self *add_record(struct self *record)
{
  uint32_t place = load_relaxed(&record_count);
  *record = (struct self){.reads_limit = 1, .place = place};
  for (int i = 0; i < PLACES; i++)
    record->places[i].thread = record;
  forget_recent(record);
  store_relaxed(&records[place], record);
  store_seq_cst(&record_count, place + 1);
  return record;
}

/* Takes a record and assigns it a new id: a free record, or the spare. */
static struct self *claim(struct self *spare)
{
  sigset_t signals;
  lock_records(&signals);
  struct self *me = free_records;
  bool may_add = spare && load_relaxed(&record_count) < THREADS_MAX;
  uint32_t id = me || may_add ? next_id() : 0;
  if (id) {
    if (me)
      free_records = me->next_free;
    else
      me = add_record(spare);
    store_relaxed(&me->native_id, 0);
    me->uses_words = false;
    me->held = NULL;
    store_relaxed(&me->closing, 0);
    me->gil_state = NULL; /* a thread that a fork left behind may have been asleep */
    me->spin_limit = me->spin_waits = 0;
    store_relaxed(&me->late_count, 0);
    store_release(&me->id, id);
    store_release(&by_id[id % THREADS_MAX], me);
    set_live(me, true);
  }
  unlock_records(&signals);
  return id ? me : NULL;
}

/* `safely`: async-signal-safe. Otherwise records of threads that are gone are ended first, which acquires locks. */
static struct self *reserve(bool safely)
{
  if (!exit_key_works) /* its exit would go unnoticed */
    return NULL;
  struct self *me = claim(NULL), *spare;
  if (!me && !safely && load_relaxed(&self_last_count) && self_end_last())
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

struct self *self_reserve(void)
{
  return reserve(false);
}

bool self_adopt(struct self *record)
{
  store_relaxed(&record->native_id, os_thread_id());
  set_current(record);
  return pthread_setspecific(exit_key, record) == 0;
}

/* Signals are blocked: a handler that runs while the record is created would create another. */
static struct self *create(bool safely)
{
  sigset_t signals;
  signals_block(&signals);
  struct self *me = reserve(safely);
  if (me && !self_adopt(me)) {
    self_leave(me);
    me = NULL;
  }
  if (me && exit_rounds > EXIT_ROUNDS) {
    store_release(&me->is_last, 1); /* with its native id */
    add_relaxed(&self_last_count, 1);
  }
  signals_restore(&signals);
  return me;
}

struct self *self_create(void)
{
  return create(false);
}

struct self *self_get_safely(void)
{
  if (self_current || !exit_key_is_safe)
    return self_current;
  int error = errno;
  struct self *me = create(true);
  errno = error;
  return me;
}

/* No thread finds this one by its id any more, so the locks that it holds are a dead thread's. */
static void retire(struct self *record)
{
  /* self_leave() has emptied its element, which may be another thread's by now. */
  _Atomic(struct self *) *place = &by_id[load_relaxed(&record->id) % THREADS_MAX];
  if (load_relaxed(place) == record)
    store_seq_cst(place, NULL);
  store_release(&record->id, 0);
  if (exchange_acquire(&record->is_last, 0))
    sub_relaxed(&self_last_count, 1);
  for (int i = 0; i < PINS; i++)
    store_relaxed(&record->pin[i], 0);
  /* In a fork's child, a read may be published and not recorded yet. A downgrade counts beyond the limit. */
  uint32_t limit = load_relaxed(&record->reads_limit);
  for (uint32_t i = 0; i < limit || i < record->reads; i++) {
    update_relaxed(&record->reads_published[i], 0);
    update_relaxed(&record->reads_counted[i], 0);
    record->reads_more[i] = 0;
  }
  record->reads = 0;
  parts_forget(record);
  forget_recent(record);
  uint32_t episode = load_relaxed(&record->episode);
  store_release(&record->episode, episode + (episode & 1));
  set_live(record, false);
  record->next_free = free_records;
  free_records = record;
}

void self_abandon(struct self *record)
{
  sigset_t signals;
  lock_records(&signals);
  retire(record);
  unlock_records(&signals);
}

/* Waiters for what the dead thread holds may be asleep: wakes them, and they recheck. */
static void wake_heirs(struct self *me, uint32_t dead)
{
  for (struct self *r = self_first_live(); r; r = self_next_live(r)) {
    /* Not a plain load: a wait that is published after this reads from it, and so sees that the dead thread holds what the wait
       is for, in whatever order that was stored. */
    if (!(or_seq_cst(&r->episode, 0) & 1))
      continue;
    void *handle = (void *)load_relaxed(&r->blocked_handle);
    int64_t index = load_relaxed(&r->blocked_index);
    enum kind kind = handle_kind(handle);
    const struct kind_operations *operations = kind_operations[kind];
    if (!operations || !operations->holder_died)
      continue;
    struct object *object = handle_enter(me, PIN_OUTER, handle, kind);
    if (!object)
      continue;
    if (operations->holder(object, index) == dead)
      operations->holder_died(object, index);
    handle_leave(me, PIN_OUTER);
  }
}

/* The same for locks in the caller's memory, which an exiting thread must not access: all waiters for such a lock recheck. */
static void wake_word_heirs(struct self *me, uint32_t dead)
{
  if (!me->uses_words)
    return;
  struct blocked b;
  for (struct self *r = self_first_live(); r; r = self_next_live(r)) {
    if (!block_look(r, &b) || !(b.flags & BLOCK_WORD) || !b.index)
      continue;
    if (b.index == dead)
      block_rouse(r, &b);
    else /* it fell asleep before the dead thread acquired the lock, if it did: one wake reaches it */
      wait_wake(b.word, INT_MAX, false);
  }
}

void self_leave(struct self *me)
{
  parts_thread_exit(me);
  rwlock_thread_exit(me);
  uint32_t dead = self_id(me);
  /* First the death is visible, then its waiters are searched for. A wait that is published later detects the death, because
     block() publishes before it checks the holder. */
  store_seq_cst(&by_id[dead % THREADS_MAX], NULL);
  waitq_wake_late(me);
  wake_heirs(me, dead);
  wake_word_heirs(me, dead);
  set_current(NULL);
  sigset_t signals;
  lock_records(&signals);
  retire(me);
  unlock_records(&signals);
}

/* Claims the record of a thread that is gone: only one thread succeeds. */
static bool take_over(struct self *record)
{
  sigset_t signals;
  lock_records(&signals);
  bool gone = load_acquire(&record->is_last) && os_thread_is_gone(load_relaxed(&record->native_id));
  if (gone) {
    store_relaxed(&record->is_last, 0);
    sub_relaxed(&self_last_count, 1);
  }
  unlock_records(&signals);
  return gone;
}

bool self_end_last(void)
{
  struct self *mine = self_current;
  bool found = false;
  for (struct self *r = self_first_live(); r; r = self_next_live(r)) {
    if (!load_relaxed(&r->is_last) || !take_over(r))
      continue;
    self_leave(r);
    found = true;
  }
  set_current(mine);
  return found;
}

static void thread_exit(void *record)
{
  if (exit_rounds++ >= EXIT_ROUNDS || pthread_setspecific(exit_key, record) != 0)
    self_leave(record);
}

__attribute__((constructor(102))) static void setup(void)
{
  exit_key_works = pthread_key_create(&exit_key, thread_exit) == 0;
  exit_key_is_safe = exit_key_works && os_key_is_safe(exit_key);
  fork_handlers_install();
}

void self_before_fork(void)
{
  guard_hold(&records_lock);
}

void self_after_fork(bool child)
{
  struct self *me = self_current;
  if (child) {
    for (struct self *r = self_first_live(); r; r = self_next_live(r))
      if (r != me)
        retire(r);
    if (me) {
      parts_after_fork(me);
      forget_recent(me); /* what was being freed no longer exists */
      store_relaxed(&me->native_id, os_thread_id());
    }
  }
  guard_release(&records_lock);
}
