/* cancel.c: every wait of every kind ends, loses nothing that was another's, and all is as
   before once cancelling is off. */
#include "support.h"

static void cancel_off(void)
{
  expect(ilk_cancel(0), ILK_OK);
}

/* --- every kind ------------------------------------------------------------------------ */

/* Made so that the call waits. */
struct kind {
  const char *name;
  void *(*make)(void);
  int (*call)(void *object, int64_t timeout_ns);
  int (*end)(void *object); /* makes it possible to free it, and frees it */
};

static void *made(void *object)
{
  must(object != NULL);
  return object;
}

static void *locked_mutex(int flags)
{
  void *m = made(ilk_mutex_new(flags));
  expect(ilk_mutex_lock(m), ILK_OK);
  return m;
}
static void *mutex_plain(void)
{
  return locked_mutex(0);
}
static void *mutex_fair(void)
{
  return locked_mutex(ILK_FAIR);
}
static void *mutex_recursive(void)
{
  return locked_mutex(ILK_RECURSIVE);
}
static void *mutex_unowned(void)
{
  return locked_mutex(ILK_UNOWNED);
}
static void *mutex_unowned_fair(void)
{
  return locked_mutex(ILK_UNOWNED | ILK_FAIR);
}
static int mutex_end(void *m)
{
  expect(ilk_mutex_unlock(m), ILK_OK);
  return ilk_mutex_free(m);
}

static void *rwlock_written(void)
{
  void *rw = made(ilk_rwlock_new(0));
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  return rw;
}
static int rwlock_written_end(void *rw)
{
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  return ilk_rwlock_free(rw);
}
static void *rwlock_read(void)
{
  void *rw = made(ilk_rwlock_new(0));
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  return rw;
}
static int rwlock_read_end(void *rw)
{
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  return ilk_rwlock_free(rw);
}

static void *semaphore(void)
{
  return made(ilk_semaphore_new(0, 0));
}
static void *counter(void)
{
  return made(ilk_counter_new(0));
}
static int counter_wait(void *c, int64_t timeout_ns)
{
  return ilk_counter_timedwait(c, 1, timeout_ns);
}
static void *event(void)
{
  return made(ilk_event_new(0));
}
static void *latch(void)
{
  return made(ilk_latch_new(1));
}

static void *once(void)
{
  void *o = made(ilk_once_new(0));
  expect(ilk_once_begin(o), 1);
  return o;
}
static int once_wait(void *o, int64_t timeout_ns)
{
  return timeout_ns ? ilk_once_begin(o) : ILK_ETIMEDOUT;
}
static int once_end(void *o)
{
  expect(ilk_once_end(o, 1), ILK_OK);
  return ilk_once_free(o);
}

static void *queue_empty(void)
{
  return made(ilk_queue_new(1));
}
static int queue_get(void *q, int64_t timeout_ns)
{
  int64_t item;
  return ilk_queue_timedget(q, &item, timeout_ns);
}
static void *queue_full(void)
{
  void *q = made(ilk_queue_new(1));
  expect(ilk_queue_put(q, 5), ILK_OK);
  return q;
}
static int queue_put(void *q, int64_t timeout_ns)
{
  return ilk_queue_timedput(q, 6, timeout_ns);
}

static void *lockarray(void)
{
  void *a = made(ilk_lockarray_new(3, 0));
  expect(ilk_lockarray_lock(a, 2), ILK_OK);
  return a;
}
static int lockarray_lock(void *a, int64_t timeout_ns)
{
  return ilk_lockarray_timedlock(a, 2, timeout_ns);
}
static int lockarray_end(void *a)
{
  expect(ilk_lockarray_unlock(a, 2), ILK_OK);
  return ilk_lockarray_free(a);
}

static uint32_t word;
static void *word_locked(void)
{
  expect(ilk_word_lock(&word, 0), ILK_OK);
  return &word;
}
static int word_lock(void *w, int64_t timeout_ns)
{
  return ilk_word_timedlock(w, 0, timeout_ns);
}
static int word_end(void *w)
{
  return ilk_word_unlock(w, 0);
}
static void *word_zero(void)
{
  return &word;
}
/* The word stays 0, so ILK_OK is a spurious wake. */
static int word_wait_with(void *w, int flags, int64_t timeout_ns)
{
  int result;
  while ((result = ilk_word_wait(w, 0, flags, timeout_ns)) == ILK_OK)
    ;
  return result;
}
static int word_wait(void *w, int64_t timeout_ns)
{
  return word_wait_with(w, 0, timeout_ns);
}
static int word_shared_wait(void *w, int64_t timeout_ns)
{
  int result = word_wait_with(w, ILK_SHARED, timeout_ns);
  return result == ILK_ENOTSUP ? word_wait(w, timeout_ns) : result;
}
static int word_nothing(void *w)
{
  return *(uint32_t *)w == 0 ? ILK_OK : ILK_EBUSY;
}

static _Atomic bool thread_over;
static void thread_body(void *unused)
{
  (void)unused;
  while (!thread_over)
    nap(200 * US);
}
static void *thread(void)
{
  thread_over = false;
  return made(ilk_thread_start((void *)(uintptr_t)thread_body, NULL));
}
static int thread_end(void *t)
{
  thread_over = true;
  return ilk_thread_join(t);
}

static const struct kind kinds[] = {
  {"mutex", mutex_plain, ilk_mutex_timedlock, mutex_end},
  {"fair mutex", mutex_fair, ilk_mutex_timedlock, mutex_end},
  {"recursive mutex", mutex_recursive, ilk_mutex_timedlock, mutex_end},
  {"unowned mutex", mutex_unowned, ilk_mutex_timedlock, mutex_end},
  {"unowned fair mutex", mutex_unowned_fair, ilk_mutex_timedlock, mutex_end},
  {"rwlock, read", rwlock_written, ilk_rwlock_read_timedlock, rwlock_written_end},
  {"rwlock, write", rwlock_written, ilk_rwlock_write_timedlock, rwlock_written_end},
  {"rwlock, write after readers", rwlock_read, ilk_rwlock_write_timedlock, rwlock_read_end},
  {"semaphore", semaphore, ilk_semaphore_timedacquire, ilk_semaphore_free},
  {"counter", counter, counter_wait, ilk_counter_free},
  {"event", event, ilk_event_timedwait, ilk_event_free},
  {"latch", latch, ilk_latch_timedwait, ilk_latch_free},
  {"once", once, once_wait, once_end},
  {"queue, get", queue_empty, queue_get, ilk_queue_free},
  {"queue, put", queue_full, queue_put, ilk_queue_free},
  {"lockarray", lockarray, lockarray_lock, lockarray_end},
  {"word lock", word_locked, word_lock, word_end},
  {"word", word_zero, word_wait, word_nothing},
  {"shared word", word_zero, word_shared_wait, word_nothing},
  {"thread", thread, ilk_thread_timedjoin, thread_end},
};

START_TEST(a_wait_of_each_kind)
{
  const struct kind *k = &kinds[_i];
  void *object = k->make();
  struct waiter w[2];
  waiter_sleep(&w[0], k->call, object, -1);
  waiter_sleep(&w[1], k->call, object, 60 * SECOND);
  expect(ilk_cancel(1), ILK_OK);
  for (int i = 0; i < 2; i++)
    if (waiter_end(&w[i]) != ILK_ECANCELED)
      ck_abort_msg("%s: %s", k->name, code_name(w[i].result));
  /* Now and later; but a thread that does not wait has nothing to cancel. */
  expect(elsewhere(k->call, object, -1), ILK_ECANCELED);
  expect(elsewhere(k->call, object, 60 * SECOND), ILK_ECANCELED);
  expect(elsewhere(k->call, object, 0), ILK_ETIMEDOUT);
  cancel_off();
  /* As before. */
  expect(elsewhere(k->call, object, k->call == once_wait ? 0 : MS), ILK_ETIMEDOUT);
  expect(k->end(object), ILK_OK); /* no thread is counted in it any more */
}
END_TEST

static int barrier_wait(void *b, int64_t timeout_ns)
{
  return ilk_barrier_timedwait(b, timeout_ns);
}

/* A thread whose own wait is cancelled breaks it; the others find it broken. */
START_TEST(a_barrier_breaks)
{
  void *b = made(ilk_barrier_new(3));
  struct waiter w[2];
  waiter_sleep(&w[0], barrier_wait, b, -1);
  waiter_sleep(&w[1], barrier_wait, b, 60 * SECOND);
  expect(ilk_cancel(1), ILK_OK);
  for (int i = 0; i < 2; i++) {
    int result = waiter_end(&w[i]);
    must(result == ILK_ECANCELED || result == ILK_EBROKEN);
  }
  cancel_off();
  expect(ilk_barrier_is_broken(b), 1);
  expect(ilk_barrier_free(b), ILK_OK);
}
END_TEST

static void *condition_mutex;
static _Atomic int holds;

static int condition_wait(void *c, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(condition_mutex), ILK_OK);
  int result = ilk_condition_timedwait(c, condition_mutex, timeout_ns);
  expect(ilk_mutex_unlock(condition_mutex), ILK_OK); /* it is held again */
  holds++;
  return result;
}

START_TEST(a_condition_takes_its_mutex_back)
{
  holds = 0;
  condition_mutex = made(ilk_mutex_new(0));
  void *c = made(ilk_condition_new(0));
  struct waiter w[3];
  for (int i = 0; i < 3; i++)
    waiter_sleep(&w[i], condition_wait, c, i == 0 ? -1 : 60 * SECOND);
  /* They must wait for the mutex, although waits are being cancelled. */
  expect(ilk_mutex_lock(condition_mutex), ILK_OK);
  expect(ilk_cancel(1), ILK_OK);
  nap(20 * MS);
  expect(holds, 0);
  expect(ilk_cancel(1), ILK_OK); /* and it does not wait for them */
  expect(ilk_mutex_unlock(condition_mutex), ILK_OK);
  for (int i = 0; i < 3; i++)
    expect(waiter_end(&w[i]), ILK_ECANCELED);
  cancel_off();
  expect(ilk_condition_free(c), ILK_OK);
  expect(ilk_mutex_free(condition_mutex), ILK_OK);
}
END_TEST

static int call_sleep(void *unused, int64_t ns)
{
  (void)unused;
  return ilk_sleep(ns);
}

START_TEST(a_sleep)
{
  struct waiter w;
  waiter_sleep(&w, call_sleep, NULL, 60 * SECOND);
  expect(ilk_cancel(-5), ILK_OK); /* any number but 0 */
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_sleep(MS), ILK_ECANCELED);
  cancel_off();
  expect(ilk_sleep(MS), ILK_OK);
}
END_TEST

START_TEST(what_need_not_wait_goes_on)
{
  expect(ilk_cancel(1), ILK_OK);
  expect(ilk_cancel(1), ILK_OK);
  void *m = made(ilk_mutex_new(0)), *s = made(ilk_semaphore_new(1, 1));
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_semaphore_acquire(s), ILK_OK);
  expect(ilk_semaphore_tryacquire(s), ILK_EBUSY);
  expect(ilk_semaphore_acquire(s), ILK_ECANCELED);
  expect(ilk_last_error(), ILK_ECANCELED);
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  expect(ilk_semaphore_free(s), ILK_OK);
  cancel_off();
  cancel_off();
}
END_TEST

/* --- nothing is lost ----------------------------------------------------------------------- */

struct storm_of_cancels {
  int64_t end;
  void *mutex, *fair, *semaphore, *array;
  _Atomic bool over;
  _Atomic int64_t released, acquired, added;
  int64_t plain; /* guarded by the mutexes and the lock */
};

static void *flip(void *argument)
{
  struct storm_of_cancels *s = argument;
  while (!s->over) {
    expect(ilk_cancel(1), ILK_OK);
    jitter();
    expect(ilk_cancel(0), ILK_OK);
    nap(below(300) * US);
  }
  return NULL;
}

/* Every thread in its own time: locks one of three, or passes a token on. */
static void *worker(void *argument)
{
  struct storm_of_cancels *s = argument;
  int64_t added = 0;
  while (now() < s->end) {
    int result = ilk_mutex_lock(s->mutex);
    must(result == ILK_OK || result == ILK_ECANCELED);
    if (result == ILK_OK) {
      result = ilk_mutex_lock(s->fair);
      must(result == ILK_OK || result == ILK_ECANCELED);
      if (result == ILK_OK) {
        result = ilk_lockarray_lock_pair(s->array, 1, 0);
        must(result == ILK_OK || result == ILK_ECANCELED);
        if (result == ILK_OK) {
          s->plain++, added++;
          jitter();
          expect(ilk_lockarray_unlock_pair(s->array, 0, 1), ILK_OK);
        }
        expect(ilk_mutex_unlock(s->fair), ILK_OK);
      }
      jitter();
      expect(ilk_mutex_unlock(s->mutex), ILK_OK);
    }
    result = ilk_semaphore_acquire(s->semaphore);
    must(result == ILK_OK || result == ILK_ECANCELED);
    if (result == ILK_OK) {
      s->acquired++;
      jitter();
      s->released++;
      expect(ilk_semaphore_release(s->semaphore, 1), ILK_OK);
    }
  }
  s->added += added;
  return NULL;
}

/* Would hang if a cancelled waiter kept a lock, a token or a wake. */
START_TEST(bug_8_a_cancelled_waiter_swallows_no_wake)
{
  struct storm_of_cancels s = {.end = stress_end(500),
                               .mutex = made(ilk_mutex_new(0)),
                               .fair = made(ilk_mutex_new(ILK_FAIR)),
                               .semaphore = made(ilk_semaphore_new(2, 2)),
                               .array = made(ilk_lockarray_new(2, 0))};
  pthread_t flippers[] = {start(flip, &s), start(flip, &s)};
  in_threads(5, worker, &s);
  s.over = true;
  join(flippers[0]);
  join(flippers[1]);
  cancel_off();
  expect(s.plain, s.added);
  expect(ilk_semaphore_value(s.semaphore), 2);
  expect(ilk_mutex_free(s.mutex), ILK_OK);
  expect(ilk_mutex_free(s.fair), ILK_OK);
  expect(ilk_semaphore_free(s.semaphore), ILK_OK);
  expect(ilk_lockarray_free(s.array), ILK_OK);
}
END_TEST

/* A thread that is just about to fall asleep: each cancel must reach it. */
struct sleeper {
  void *array;                 /* its lock is held */
  _Atomic int64_t round, told; /* round 0: over */
};

static void *sleeper_run(void *argument)
{
  struct sleeper *s = argument;
  for (int64_t round; (round = s->round) != 0;) {
    if (s->told == round)
      continue;
    expect(round % 8 ? ilk_lockarray_timedlock(s->array, 0, 60 * SECOND) : ilk_sleep(60 * SECOND),
           ILK_ECANCELED);
    s->told = round;
  }
  return NULL;
}

START_TEST(each_cancel_reaches_all)
{
  struct sleeper s = {.array = made(ilk_lockarray_new(1, 0)), .round = 1};
  expect(ilk_lockarray_lock(s.array, 0), ILK_OK);
  pthread_t thread = start(sleeper_run, &s);
  int64_t end = stress_end(300);
  while (now() < end) {
    spin(below(1 << below(16)));
    expect(ilk_cancel(1), ILK_OK);
    while (s.told != s.round) /* if it was not reached it sleeps on */
      sched_yield();
    cancel_off();
    s.round++;
  }
  expect(ilk_cancel(1), ILK_OK);
  s.round = 0;
  join(thread);
  cancel_off();
  expect(ilk_lockarray_unlock(s.array, 0), ILK_OK);
  expect(ilk_lockarray_free(s.array), ILK_OK);
}
END_TEST

static void cancel_in_the_child(void *s)
{
  expect(ilk_cancel(1), ILK_OK); /* does not wait for threads that are not here */
  expect(ilk_semaphore_acquire(s), ILK_ECANCELED);
}

START_TEST(fork_keeps_it)
{
  void *s = made(ilk_semaphore_new(0, 0));
  struct waiter w;
  waiter_sleep(&w, ilk_semaphore_timedacquire, s, -1);
  in_child(cancel_in_the_child, s);
  expect(w.result, PENDING); /* another process's affair */
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  cancel_off();
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("cancel");
  TCase *calls = test_case(suite, "calls", 20);
  tcase_add_loop_test(calls, a_wait_of_each_kind, 0, LENGTH(kinds));
  tcase_add_test(calls, a_barrier_breaks);
  tcase_add_test(calls, a_condition_takes_its_mutex_back);
  tcase_add_test(calls, a_sleep);
  tcase_add_test(calls, what_need_not_wait_goes_on);
  tcase_add_test(calls, fork_keeps_it);
  TCase *stress = test_case(suite, "stress", 30);
  tcase_add_test(stress, bug_8_a_cancelled_waiter_swallows_no_wake);
  tcase_add_test(stress, each_cancel_reaches_all);
  return run_suite(suite);
}
