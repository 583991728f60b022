/* How each call is made. */
#include "fuzz.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

const char *const kind_names[KINDS] = {
  "mutex", "rwlock",    "semaphore", "condition", "event", "barrier", "latch", "once",   "counter",
  "tally", "lockarray", "queue",     "thread",    "local", "slices",  "word",  "robust",
};

/* --- making and freeing ---------------------------------------------------------------- */

_Atomic int started_threads;

static void body(void *leaves)
{
  sched_yield();
  started_threads--;
  if (leaves)
    pthread_exit(NULL);
}

static void *new_handle(struct object *o)
{
  const struct slot *m = &o->made;
  switch (m->kind) {
  case MUTEX: return ilk_mutex_new(m->flags);
  case RWLOCK: return ilk_rwlock_new(m->flags);
  case SEMAPHORE: return ilk_semaphore_new(m->a < 1 ? m->a : 1, m->a);
  case CONDITION: return ilk_condition_new(0);
  case EVENT: return ilk_event_new(0);
  case BARRIER: return ilk_barrier_new((int)m->a);
  case LATCH: return ilk_latch_new(m->a);
  case ONCE: return ilk_once_new(0);
  case COUNTER: return ilk_counter_new(0);
  case TALLY: return ilk_tally_new();
  case LOCKARRAY: return ilk_lockarray_new(m->a, m->flags);
  case QUEUE: return ilk_queue_new(m->a);
  case THREAD:
    started_threads++;
    return ilk_thread_start((void *)(uintptr_t)body, m->flags ? o : NULL);
  case LOCAL: return ilk_local_new();
  case SLICES: return ilk_slices_new(m->a, NULL);
  default: return o->memory;
  }
}

bool object_new(struct object *o)
{
  memset(o->memory, 0, sizeof o->memory);
  o->handle = new_handle(o);
  return o->handle;
}

int object_free(int kind, void *handle)
{
  static int (*const functions[KINDS])(void *) = {
    ilk_mutex_free,     ilk_rwlock_free, ilk_semaphore_free, ilk_condition_free, ilk_event_free,
    ilk_barrier_free,   ilk_latch_free,  ilk_once_free,      ilk_counter_free,   ilk_tally_free,
    ilk_lockarray_free, ilk_queue_free,  ilk_thread_free,    ilk_local_free,     ilk_slices_free,
  };
  return functions[kind](handle);
}

/* --- calls --------------------------------------------------------------------------------- */

#define CALL(name, expression)                                                                     \
  static int name(void *h, const struct op *op, void *second, int64_t *value)                      \
  {                                                                                                \
    (void)op, (void)second, (void)value;                                                           \
    return expression;                                                                             \
  }

/* A call that may wait, in the form for its timeout; and one that has no try form. */
#define WAITING(name, wait, try, timed)                                                            \
  CALL(name, op->timeout == TRY ? try : op->timeout == FOREVER ? wait : timed)
#define TIMED(name, wait, timed) CALL(name, op->timeout == FOREVER ? wait : timed)

/* A result that is a value: negative ones do not occur. */
static int as_value(int64_t result, int64_t *value)
{
  *value = result;
  return result == ILK_NO_VALUE ? ilk_last_error() : ILK_OK;
}

static int as_flag(int result, int64_t *value)
{
  *value = result;
  return result < 0 ? result : ILK_OK;
}

/* NULL is a failure, or a value. */
static int local_get(void *h, int64_t *value)
{
  ilk_sleep(-1); /* its error differs from those of get */
  *value = (int64_t)(intptr_t)ilk_local_get(h);
  return *value || ilk_last_error() == ILK_EINVAL ? ILK_OK : ilk_last_error();
}

static int slices_get(void *h, int64_t *value)
{
  *value = (int64_t)(intptr_t)ilk_slices_get(h);
  return *value ? ILK_OK : ilk_last_error();
}

WAITING(mutex_lock, ilk_mutex_lock(h), ilk_mutex_trylock(h), ilk_mutex_timedlock(h, op->timeout))
CALL(mutex_unlock, ilk_mutex_unlock(h))
CALL(mutex_is_locked, as_flag(ilk_mutex_is_locked(h), value))
CALL(mutex_depth, as_flag(ilk_mutex_depth(h), value))
CALL(mutex_reset, ilk_mutex_reset(h))
WAITING(read_lock, ilk_rwlock_read_lock(h), ilk_rwlock_read_trylock(h),
        ilk_rwlock_read_timedlock(h, op->timeout))
CALL(read_unlock, ilk_rwlock_read_unlock(h))
WAITING(write_lock, ilk_rwlock_write_lock(h), ilk_rwlock_write_trylock(h),
        ilk_rwlock_write_timedlock(h, op->timeout))
CALL(write_unlock, ilk_rwlock_write_unlock(h))
CALL(downgrade, ilk_rwlock_downgrade(h))
WAITING(acquire, ilk_semaphore_acquire(h), ilk_semaphore_tryacquire(h),
        ilk_semaphore_timedacquire(h, op->timeout))
CALL(release, ilk_semaphore_release(h, op->a))
CALL(semaphore_value, as_value(ilk_semaphore_value(h), value))
TIMED(condition_wait, ilk_condition_wait(h, second),
      ilk_condition_timedwait(h, second, op->timeout))
CALL(notify, ilk_condition_notify(h, (int)op->a))
CALL(notify_all, ilk_condition_notify_all(h))
CALL(event_set, ilk_event_set(h))
CALL(event_clear, ilk_event_clear(h))
CALL(event_is_set, as_flag(ilk_event_is_set(h), value))
TIMED(event_wait, ilk_event_wait(h), ilk_event_timedwait(h, op->timeout))
TIMED(barrier_wait, as_flag(ilk_barrier_wait(h), value),
      as_flag(ilk_barrier_timedwait(h, op->timeout), value))
CALL(barrier_abort, ilk_barrier_abort(h))
CALL(barrier_reset, ilk_barrier_reset(h))
CALL(barrier_is_broken, as_flag(ilk_barrier_is_broken(h), value))
CALL(latch_add, ilk_latch_add(h, op->a))
CALL(latch_count_down, ilk_latch_count_down(h, op->a))
WAITING(latch_wait, ilk_latch_wait(h), ilk_latch_trywait(h), ilk_latch_timedwait(h, op->timeout))
CALL(latch_value, as_value(ilk_latch_value(h), value))
WAITING(once_begin, as_flag(ilk_once_begin(h), value), as_flag(ilk_once_trybegin(h), value),
        as_flag(ilk_once_timedbegin(h, op->timeout), value))
CALL(once_end, ilk_once_end(h, (int)op->a))
CALL(counter_load, as_value(ilk_counter_load(h), value))
CALL(counter_store, ilk_counter_store(h, op->a))
CALL(counter_exchange, as_value(ilk_counter_exchange(h, op->a), value))
CALL(counter_add, as_value(ilk_counter_fetch_add(h, op->a), value))
CALL(counter_compare_exchange, as_value(ilk_counter_compare_exchange(h, op->a, op->b), value))
TIMED(counter_wait, ilk_counter_wait(h, op->a), ilk_counter_timedwait(h, op->a, op->timeout))
CALL(tally_add, ilk_tally_add(h, op->a))
CALL(tally_sum, as_value(ilk_tally_sum(h), value))
CALL(tally_reset, ilk_tally_reset(h))
WAITING(lock_at, ilk_lockarray_lock(h, op->a), ilk_lockarray_trylock(h, op->a),
        ilk_lockarray_timedlock(h, op->a, op->timeout))
CALL(unlock_at, ilk_lockarray_unlock(h, op->a))
WAITING(lock_pair, ilk_lockarray_lock_pair(h, op->a, op->b),
        ilk_lockarray_trylock_pair(h, op->a, op->b),
        ilk_lockarray_timedlock_pair(h, op->a, op->b, op->timeout))
CALL(unlock_pair, ilk_lockarray_unlock_pair(h, op->a, op->b))
WAITING(lock_range, ilk_lockarray_lock_range(h, op->a, op->b),
        ilk_lockarray_trylock_range(h, op->a, op->b),
        ilk_lockarray_timedlock_range(h, op->a, op->b, op->timeout))
CALL(unlock_range, ilk_lockarray_unlock_range(h, op->a, op->b))
WAITING(put, ilk_queue_put(h, op->a), ilk_queue_tryput(h, op->a),
        ilk_queue_timedput(h, op->a, op->timeout))
WAITING(get, ilk_queue_get(h, value), ilk_queue_tryget(h, value),
        ilk_queue_timedget(h, value, op->timeout))
CALL(close_queue, ilk_queue_close(h))
CALL(is_closed, as_flag(ilk_queue_is_closed(h), value))
CALL(queue_size, as_value(ilk_queue_size(h), value))
TIMED(join, ilk_thread_join(h), ilk_thread_timedjoin(h, op->timeout))
CALL(local_set, ilk_local_set(h, (void *)(intptr_t)op->a))
CALL(local_get_call, local_get(h, value))
CALL(slices_get_call, slices_get(h, value))
WAITING(word_lock, ilk_word_lock(h, 0), ilk_word_trylock(h, 0),
        ilk_word_timedlock(h, 0, op->timeout))
CALL(word_unlock, ilk_word_unlock(h, 0))
WAITING(robust_lock, ilk_robust_lock(h), ilk_robust_trylock(h),
        ilk_robust_timedlock(h, op->timeout))
CALL(robust_unlock, ilk_robust_unlock(h))

const struct call_type call_types[CALLS] = {
  [MUTEX_LOCK] = {"mutex_lock", MUTEX, 8, WAITS | ATTEMPT | HAS_TRY, mutex_lock},
  [MUTEX_UNLOCK] = {"mutex_unlock", MUTEX, 4, RELEASES, mutex_unlock},
  [MUTEX_IS_LOCKED] = {"mutex_is_locked", MUTEX, 2, LOOKS, mutex_is_locked},
  [MUTEX_DEPTH] = {"mutex_depth", MUTEX, 2, 0, mutex_depth},
  [MUTEX_RESET] = {"mutex_reset", MUTEX, 1, RELEASES, mutex_reset},
  [READ_LOCK] = {"rwlock_read_lock", RWLOCK, 8, WAITS | ATTEMPT | HAS_TRY, read_lock},
  [READ_UNLOCK] = {"rwlock_read_unlock", RWLOCK, 4, RELEASES, read_unlock},
  [WRITE_LOCK] = {"rwlock_write_lock", RWLOCK, 6, WAITS | ATTEMPT | HAS_TRY, write_lock},
  [WRITE_UNLOCK] = {"rwlock_write_unlock", RWLOCK, 3, RELEASES, write_unlock},
  [DOWNGRADE] = {"rwlock_downgrade", RWLOCK, 1, RELEASES, downgrade},
  [ACQUIRE] = {"semaphore_acquire", SEMAPHORE, 6, WAITS | ATTEMPT | HAS_TRY, acquire},
  [RELEASE] = {"semaphore_release", SEMAPHORE, 5, RELEASES, release},
  [SEMAPHORE_VALUE] = {"semaphore_value", SEMAPHORE, 2, LOOKS, semaphore_value},
  [CONDITION_WAIT] = {"condition_wait", CONDITION, 6, WAITS, condition_wait},
  [NOTIFY] = {"condition_notify", CONDITION, 3, 0, notify},
  [NOTIFY_ALL] = {"condition_notify_all", CONDITION, 2, 0, notify_all},
  [EVENT_SET] = {"event_set", EVENT, 3, 0, event_set},
  [EVENT_CLEAR] = {"event_clear", EVENT, 2, 0, event_clear},
  [EVENT_IS_SET] = {"event_is_set", EVENT, 2, LOOKS, event_is_set},
  [EVENT_WAIT] = {"event_wait", EVENT, 4, WAITS, event_wait},
  [BARRIER_WAIT] = {"barrier_wait", BARRIER, 6, WAITS, barrier_wait},
  [BARRIER_ABORT] = {"barrier_abort", BARRIER, 1, 0, barrier_abort},
  [BARRIER_RESET] = {"barrier_reset", BARRIER, 2, 0, barrier_reset},
  [BARRIER_IS_BROKEN] = {"barrier_is_broken", BARRIER, 1, 0, barrier_is_broken},
  [LATCH_ADD] = {"latch_add", LATCH, 2, 0, latch_add},
  [LATCH_COUNT_DOWN] = {"latch_count_down", LATCH, 4, 0, latch_count_down},
  [LATCH_WAIT] = {"latch_wait", LATCH, 4, WAITS | HAS_TRY, latch_wait},
  [LATCH_VALUE] = {"latch_value", LATCH, 1, 0, latch_value},
  [ONCE_BEGIN] = {"once_begin", ONCE, 5, WAITS | ATTEMPT | HAS_TRY, once_begin},
  [ONCE_END] = {"once_end", ONCE, 4, RELEASES, once_end},
  [COUNTER_LOAD] = {"counter_load", COUNTER, 2, 0, counter_load},
  [COUNTER_STORE] = {"counter_store", COUNTER, 1, 0, counter_store},
  [COUNTER_EXCHANGE] = {"counter_exchange", COUNTER, 2, 0, counter_exchange},
  [COUNTER_ADD] = {"counter_fetch_add", COUNTER, 4, 0, counter_add},
  [COUNTER_COMPARE_EXCHANGE] = {"counter_compare_exchange", COUNTER, 2, 0,
                                counter_compare_exchange},
  [COUNTER_WAIT] = {"counter_wait", COUNTER, 3, WAITS, counter_wait},
  [TALLY_ADD] = {"tally_add", TALLY, 4, LOOKS, tally_add},
  [TALLY_SUM] = {"tally_sum", TALLY, 2, 0, tally_sum},
  [TALLY_RESET] = {"tally_reset", TALLY, 1, 0, tally_reset},
  [LOCK_AT] = {"lockarray_lock", LOCKARRAY, 6, WAITS | ATTEMPT | HAS_TRY, lock_at},
  [UNLOCK_AT] = {"lockarray_unlock", LOCKARRAY, 4, RELEASES, unlock_at},
  [LOCK_PAIR] = {"lockarray_lock_pair", LOCKARRAY, 3, WAITS | ATTEMPT | MULTI | HAS_TRY, lock_pair},
  [UNLOCK_PAIR] = {"lockarray_unlock_pair", LOCKARRAY, 1, RELEASES | MULTI, unlock_pair},
  [LOCK_RANGE] = {"lockarray_lock_range", LOCKARRAY, 2, WAITS | ATTEMPT | MULTI | HAS_TRY,
                  lock_range},
  [UNLOCK_RANGE] = {"lockarray_unlock_range", LOCKARRAY, 1, RELEASES | MULTI, unlock_range},
  [PUT] = {"queue_put", QUEUE, 6, WAITS | HAS_TRY, put},
  [GET] = {"queue_get", QUEUE, 6, WAITS | HAS_TRY, get},
  [CLOSE] = {"queue_close", QUEUE, 1, 0, close_queue},
  [IS_CLOSED] = {"queue_is_closed", QUEUE, 1, 0, is_closed},
  [QUEUE_SIZE] = {"queue_size", QUEUE, 1, 0, queue_size},
  [JOIN] = {"thread_join", THREAD, 4, WAITS, join},
  [LOCAL_SET] = {"local_set", LOCAL, 2, 0, local_set},
  [LOCAL_GET] = {"local_get", LOCAL, 3, 0, local_get_call},
  [SLICES_GET] = {"slices_get", SLICES, 3, 0, slices_get_call},
  [WORD_LOCK] = {"word_lock", WORD, 6, WAITS | ATTEMPT | HAS_TRY, word_lock},
  [WORD_UNLOCK] = {"word_unlock", WORD, 3, RELEASES, word_unlock},
  [ROBUST_LOCK] = {"robust_lock", ROBUST, 6, WAITS | ATTEMPT | HAS_TRY, robust_lock},
  [ROBUST_UNLOCK] = {"robust_unlock", ROBUST, 3, RELEASES, robust_unlock},
  [FREE] = {"free", KINDS, 0, 0, NULL},
  [CANCEL] = {"cancel", KINDS, 0, 0, NULL},
  [FORK] = {"fork", KINDS, 0, 0, NULL},
  [REPORT] = {"report", KINDS, 0, 0, NULL},
  [SLEEP] = {"sleep", KINDS, 0, 0, NULL},
};

/* --- resumable waits, and repeated ones ----------------------------------------------------- */

#define PART 20000           /* ns; times op->parts */
#define FOREVER_PART 1000000 /* if the wait is forever: mostly asleep, see run.c */

static struct op part_of(const struct op *op, int64_t end)
{
  struct op part = *op;
  int64_t left = end - ilk_clock();
  part.timeout = op->timeout == FOREVER    ? FOREVER_PART
                 : left > PART * op->parts ? PART * op->parts
                 : left > 1                ? left
                                           : 1;
  return part;
}

static bool has_time(const struct op *op, int64_t end)
{
  return op->timeout == FOREVER || ilk_clock() < end;
}

static int barrier_in_parts(void *h, const struct op *op, int64_t *value)
{
  int64_t ticket, end = ilk_clock() + op->timeout;
  int index = ilk_barrier_arrive(h, op->parts % 2, &ticket, op->timeout), result;
  if (index < 0)
    return index;
  *value = index;
  if (op->parts % 2 && index == op->a - 1)
    return ilk_barrier_complete(h, ticket, 1);
  do
    result = ilk_barrier_await(h, ticket, part_of(op, end).timeout);
  while (result == ILK_ETIMEDOUT && has_time(op, end));
  if (result == ILK_OK || result == ILK_EHANDLE)
    return result;
  int left = ilk_barrier_leave(h, ticket);
  return left == ILK_ETIMEDOUT ? result : left;
}

/* One part: between two the thread would hold the mutex. */
static int condition_part(void *h, const struct op *op, void *second)
{
  int result = ilk_condition_wait_begin(h);
  if (result != ILK_OK)
    return result;
  result = ilk_condition_wait_part(h, second, op->timeout);
  if ((result == ILK_ETIMEDOUT || result == ILK_ECANCELED) && ilk_condition_wait_end(h) == 1)
    ilk_condition_notify(h, 1);
  return result;
}

int call_make(void *h, const struct op *op, void *second, int64_t *value)
{
  const struct call_type *type = &call_types[op->call];
  if (!op->parts || !(type->flags & WAITS) || op->timeout == TRY || op->timeout == 0)
    return type->make(h, op, second, value);
  if (op->call == BARRIER_WAIT)
    return barrier_in_parts(h, op, value);
  if (op->call == CONDITION_WAIT)
    return condition_part(h, op, second);
  /* Without a begin it is repeated: every kind must cope with that, too. */
  bool keeps = !is_in_memory(type->kind) && op->parts > 1;
  int begun = keeps ? ilk_wait_begin(h) : ILK_OK, result;
  if (begun != ILK_OK && begun != ILK_EINVAL)
    return begun;
  int64_t end = ilk_clock() + op->timeout;
  do {
    struct op part = part_of(op, end);
    result = type->make(h, &part, second, value);
  } while (result == ILK_ETIMEDOUT && has_time(op, end));
  if (keeps && begun == ILK_OK)
    ilk_wait_end(h);
  return result;
}
