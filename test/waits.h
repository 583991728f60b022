/* Every call that may wait, made to wait: for tests of their common behaviour. */
#ifndef WAITS_H
#define WAITS_H

#include "support.h"

static void *made(void *handle)
{
  must(handle != NULL);
  return handle;
}

/* Held by the test's main thread; other threads wait. */
static void *new_mutex(int flags)
{
  void *m = made(ilk_mutex_new(flags));
  expect(ilk_mutex_lock(m), ILK_OK);
  return m;
}
static void *new_plain(void)
{
  return new_mutex(0);
}
static void *new_fair(void)
{
  return new_mutex(ILK_FAIR);
}
static void *new_unowned(void)
{
  return new_mutex(ILK_UNOWNED);
}

static void *new_written(void)
{
  void *rw = made(ilk_rwlock_new(0));
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  return rw;
}
static int call_read(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_read_timedlock(rw, timeout_ns);
  return result == ILK_OK ? ilk_rwlock_read_unlock(rw) : result;
}
static void *new_read(void)
{
  void *rw = made(ilk_rwlock_new(0));
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  return rw;
}
static int call_write(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_write_timedlock(rw, timeout_ns);
  return result == ILK_OK ? ilk_rwlock_write_unlock(rw) : result;
}

/* A part of a resumable wait. */
static int part(int (*lock)(void *, int64_t), int (*unlock)(void *), void *handle,
                int64_t timeout_ns)
{
  expect(ilk_wait_begin(handle), ILK_OK);
  int result = lock(handle, timeout_ns);
  expect(ilk_wait_end(handle), ILK_OK);
  return result == ILK_OK ? unlock(handle) : result;
}
static int call_mutex_part(void *m, int64_t timeout_ns)
{
  return part(ilk_mutex_timedlock, ilk_mutex_unlock, m, timeout_ns);
}
static int call_read_part(void *rw, int64_t timeout_ns)
{
  return part(ilk_rwlock_read_timedlock, ilk_rwlock_read_unlock, rw, timeout_ns);
}
static int call_write_part(void *rw, int64_t timeout_ns)
{
  return part(ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock, rw, timeout_ns);
}

static void *new_semaphore(void)
{
  return made(ilk_semaphore_new(0, 0));
}
static int release_one(void *s)
{
  return ilk_semaphore_release(s, 1);
}

static void *new_condition(void)
{
  return made(ilk_condition_new(0));
}
static int wait_with_a_mutex(int (*wait)(void *, void *, int64_t), void *c, int64_t timeout_ns)
{
  void *mutex = made(ilk_mutex_new(0));
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = wait(c, mutex, timeout_ns);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
  return result;
}
static int call_condition(void *c, int64_t timeout_ns)
{
  return wait_with_a_mutex(ilk_condition_timedwait, c, timeout_ns);
}
static int call_condition_part(void *c, int64_t timeout_ns)
{
  int begun = ilk_condition_wait_begin(c);
  expect(begun, ILK_OK);
  int result = wait_with_a_mutex(ilk_condition_wait_part, c, timeout_ns);
  if (result != ILK_OK)
    must(ilk_condition_wait_end(c) >= ILK_OK); /* 1: a notify came after all */
  return result;
}

static void *new_event(void)
{
  return made(ilk_event_new(0));
}

static void *new_barrier(void)
{
  return made(ilk_barrier_new(2));
}
static int call_arrive(void *b, int64_t timeout_ns)
{
  int result = ilk_barrier_timedwait(b, timeout_ns);
  return result == 0 ? ILK_OK : result; /* the first of two */
}
static int call_await(void *b, int64_t timeout_ns)
{
  int64_t ticket;
  expect(ilk_barrier_arrive(b, 0, &ticket, -1), 0);
  int result = ilk_barrier_await(b, ticket, timeout_ns);
  if (result == ILK_ETIMEDOUT)
    must(ilk_barrier_leave(b, ticket) <= ILK_OK); /* ILK_OK: the last has arrived after all */
  return result;
}
static int arrive_last(void *b)
{
  return ilk_barrier_wait(b) == 1 ? ILK_OK : ilk_last_error();
}

/* Shut while one acts for its round. */
static int64_t shut_ticket;
static void *new_shut(void)
{
  void *b = made(ilk_barrier_new(1));
  expect(ilk_barrier_arrive(b, 1, &shut_ticket, -1), 0);
  return b;
}
static int call_arrive_outside(void *b, int64_t timeout_ns)
{
  int64_t ticket;
  return ilk_barrier_arrive(b, 0, &ticket, timeout_ns);
}
static int complete_round(void *b)
{
  return ilk_barrier_complete(b, shut_ticket, 1);
}

static void *new_latch(void)
{
  return made(ilk_latch_new(1));
}
static int count_down(void *l)
{
  return ilk_latch_count_down(l, 1);
}

static void *new_once(void)
{
  void *o = made(ilk_once_new(0));
  expect(ilk_once_begin(o), 1);
  return o;
}
static int call_once_timed(void *o, int64_t timeout_ns)
{
  return ilk_once_timedbegin(o, timeout_ns);
}
static int end_once(void *o)
{
  return ilk_once_end(o, 1);
}

static void *new_counter(void)
{
  return made(ilk_counter_new(0));
}
static int add_one(void *c)
{
  return ilk_counter_fetch_add(c, 1) == 0 ? ILK_OK : ilk_last_error();
}

static void *new_lockarray(void)
{
  void *a = made(ilk_lockarray_new(8, 0));
  expect(ilk_lockarray_lock(a, 3), ILK_OK);
  return a;
}
static int call_lock_3(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock(a, 3, timeout_ns);
  return result == ILK_OK ? ilk_lockarray_unlock(a, 3) : result;
}
static int call_pair(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock_pair(a, 5, 3, timeout_ns);
  return result == ILK_OK ? ilk_lockarray_unlock_pair(a, 5, 3) : result;
}
static int call_range(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock_range(a, 1, 6, timeout_ns);
  return result == ILK_OK ? ilk_lockarray_unlock_range(a, 1, 6) : result;
}
static int unlock_3(void *a)
{
  return ilk_lockarray_unlock(a, 3);
}

static void *new_queue(void)
{
  return made(ilk_queue_new(1));
}
static int call_get(void *q, int64_t timeout_ns)
{
  int64_t item;
  return ilk_queue_timedget(q, &item, timeout_ns);
}
static int put_one(void *q)
{
  return ilk_queue_put(q, 1);
}
static void *new_full_queue(void)
{
  void *q = made(ilk_queue_new(1));
  expect(ilk_queue_put(q, 1), ILK_OK);
  return q;
}
static int call_put(void *q, int64_t timeout_ns)
{
  return ilk_queue_timedput(q, 1, timeout_ns);
}
static int get_one(void *q)
{
  return call_get(q, -1);
}

static _Atomic bool thread_may_end;
static void until_it_may_end(void *unused)
{
  (void)unused;
  while (!thread_may_end)
    nap(MS);
}
static void *new_thread(void)
{
  thread_may_end = false;
  return made(ilk_thread_start((void *)(uintptr_t)until_it_may_end, NULL));
}
static int end_thread(void *unused)
{
  (void)unused;
  thread_may_end = true;
  return ILK_OK;
}
static int free_nothing(void *unused)
{
  (void)unused;
  return ILK_OK; /* the join has */
}

static uint32_t words[2];
static void *new_word(void)
{
  expect(ilk_word_lock(&words[0], 0), ILK_OK);
  return &words[0];
}
static int call_word(void *word, int64_t timeout_ns)
{
  int result = ilk_word_timedlock(word, 0, timeout_ns);
  return result == ILK_OK ? ilk_word_unlock(word, 0) : result;
}
static int unlock_word(void *word)
{
  return ilk_word_unlock(word, 0);
}
static int wake_word(void *word)
{
  int woken;
  while ((woken = ilk_word_wake(word, 1, 0)) == 0) /* it may be checking, between two sleeps */
    sched_yield();
  return woken == 1 ? ILK_OK : ILK_EBUSY;
}
#if EXPECTED_ROBUST
static union {
  int64_t lock[ILK_ROBUST_SIZE / 8];
  int32_t word;
} robust;
static bool no_robust; /* the kernel has none: another word to wait for takes its place */
static void *new_robust(void)
{
  int result = ilk_robust_lock(robust.lock);
  no_robust = result == ILK_ENOTSUP;
  if (no_robust)
    robust.word = 7;
  else
    expect(result, ILK_OK);
  return &robust;
}
static int call_robust(void *lock, int64_t timeout_ns)
{
  if (no_robust)
    return ilk_word_wait(lock, 7, 0, timeout_ns);
  int result = ilk_robust_timedlock(lock, timeout_ns);
  return result == ILK_OK ? ilk_robust_unlock(lock) : result;
}
static int unlock_robust(void *lock)
{
  return no_robust ? wake_word(lock) : ilk_robust_unlock(lock);
}
#endif
/* Whether it needs a thread that waits, rather than releases something. */
static inline bool lets_a_wait_on(int (*let_on)(void *))
{
#if EXPECTED_ROBUST
  if (no_robust && let_on == unlock_robust)
    return true;
#endif
  return let_on == wake_word;
}
static void *new_word_to_wait_for(void)
{
  words[1] = 7;
  return &words[1];
}
static int call_word_wait(void *word, int64_t timeout_ns)
{
  return ilk_word_wait(word, 7, 0, timeout_ns);
}

static const struct {
  const char *name; /* as the report has it; "held" says so too if the waited-for thread is known */
  bool held;
  void *(*make)(void);
  int (*wait)(void *, int64_t);
  int (*let_on)(void *);
  int (*free)(void *);
} waits[] = {
  {"mutex", true, new_plain, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {"mutex", true, new_fair, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {"mutex", false, new_unowned, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {"rwlock", true, new_written, call_read, ilk_rwlock_write_unlock, ilk_rwlock_free},
  {"rwlock", false, new_read, call_write, ilk_rwlock_read_unlock, ilk_rwlock_free},
  {"semaphore", false, new_semaphore, ilk_semaphore_timedacquire, release_one, ilk_semaphore_free},
  {"condition", false, new_condition, call_condition, ilk_condition_notify_all, ilk_condition_free},
  {"condition", false, new_condition, call_condition_part, ilk_condition_notify_all,
   ilk_condition_free},
  {"event", false, new_event, ilk_event_timedwait, ilk_event_set, ilk_event_free},
  {"barrier", false, new_barrier, call_arrive, arrive_last, ilk_barrier_free},
  {"barrier", false, new_barrier, call_await, arrive_last, ilk_barrier_free},
  {"barrier", false, new_shut, call_arrive_outside, complete_round, ilk_barrier_free},
  {"latch", false, new_latch, ilk_latch_timedwait, count_down, ilk_latch_free},
  {"once", true, new_once, call_once_timed, end_once, ilk_once_free},
  {"counter", false, new_counter, call_wait_for_1, add_one, ilk_counter_free},
  {"lockarray", true, new_lockarray, call_lock_3, unlock_3, ilk_lockarray_free},
  {"lockarray", true, new_lockarray, call_pair, unlock_3, ilk_lockarray_free},
  {"lockarray", true, new_lockarray, call_range, unlock_3, ilk_lockarray_free},
  {"queue", false, new_queue, call_get, put_one, ilk_queue_free},
  {"queue", false, new_full_queue, call_put, get_one, ilk_queue_free},
  {"thread", false, new_thread, ilk_thread_timedjoin, end_thread, free_nothing},
  {"mutex", true, new_plain, call_mutex_part, ilk_mutex_unlock, ilk_mutex_free},
  {"mutex", true, new_fair, call_mutex_part, ilk_mutex_unlock, ilk_mutex_free},
  {"rwlock", true, new_written, call_read_part, ilk_rwlock_write_unlock, ilk_rwlock_free},
  {"rwlock", true, new_written, call_write_part, ilk_rwlock_write_unlock, ilk_rwlock_free},
  {"the word at", true, new_word, call_word, unlock_word, free_nothing},
#if EXPECTED_ROBUST
  {"the word at", false, new_robust, call_robust, unlock_robust, free_nothing},
#endif
  {"the word at", false, new_word_to_wait_for, call_word_wait, wake_word, free_nothing},
};

static struct waiter waiters[LENGTH(waits)];

/* One thread asleep in each. */
static void wait_in_all(int64_t timeout_ns)
{
  for (int i = 0; i < LENGTH(waits); i++)
    waiter_sleep(&waiters[i], waits[i].wait, waits[i].make(), timeout_ns);
}

static void end_all(void)
{
  for (int i = 0; i < LENGTH(waits); i++) {
    expect(waiters[i].result, PENDING);
    expect(waits[i].let_on(waiters[i].handle), ILK_OK);
    expect(waiter_end(&waiters[i]), ILK_OK);
    expect(waits[i].free(waiters[i].handle), ILK_OK);
  }
}

#endif
