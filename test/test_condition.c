/* condition.c, and its functions in mutex.c. */
#include "shapes.h"

static const int mutex_flags[] = {
  0, ILK_FAIR, ILK_RECURSIVE, ILK_RECURSIVE | ILK_FAIR, ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR};

static void *cond, *mutex;

static void make(int flags)
{
  must((cond = ilk_condition_new(0)) != NULL);
  must((mutex = ilk_mutex_new(flags)) != NULL);
}

static void free_both(void)
{
  expect(ilk_condition_free(cond), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
}

/* In the shape of a waiter's call: locks `mutex`, waits, and unlocks. */
static int call_wait(void *c, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = ilk_condition_timedwait(c, mutex, timeout_ns);
  int unlocked = ilk_mutex_unlock(mutex);
  expect(unlocked, result == ILK_EHANDLE ? ILK_EHANDLE : ILK_OK);
  return result;
}

static void *new_with_mutex(void)
{
  make(0);
  return cond;
}

static int free_with_mutex(void *c)
{
  int result = ilk_condition_free(c);
  if (result == ILK_OK)
    expect(ilk_mutex_free(mutex), ILK_OK);
  return result;
}

static const struct shape shape = {new_with_mutex, call_wait, ilk_condition_notify_all,
                                   free_with_mutex, TIMES_OUT};

START_TEST(new_checks_its_flags)
{
  const int bad[] = {ILK_RECURSIVE, ILK_FAIR, ILK_UNOWNED, ILK_SHARED, ILK_PADDED, 32, -1};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_condition_new(bad[i]), ILK_EINVAL);
}
END_TEST

START_TEST(every_call_checks_its_handles)
{
  make(0);
  void *freed = ilk_condition_new(0), *freed_mutex = ilk_mutex_new(0), *other = ilk_counter_new(0);
  expect(ilk_condition_free(freed), ILK_OK);
  expect(ilk_mutex_free(freed_mutex), ILK_OK);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  void *bad[] = {NULL,       freed,     freed_mutex, other,
                 (void *)-1, (void *)1, &freed,      (void *)((uintptr_t)other ^ 1)};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_condition_wait(bad[i], mutex), ILK_EHANDLE);
    expect(ilk_condition_timedwait(bad[i], mutex, 0), ILK_EHANDLE);
    expect(ilk_condition_wait(cond, bad[i]), ILK_EHANDLE);
    expect(ilk_condition_timedwait(cond, bad[i], 0), ILK_EHANDLE);
    expect(ilk_condition_notify(bad[i], 1), ILK_EHANDLE);
    expect(ilk_condition_notify(bad[i], 0), ILK_EHANDLE);
    expect(ilk_condition_notify(bad[i], -1), ILK_EHANDLE);
    expect(ilk_condition_notify_all(bad[i]), ILK_EHANDLE);
    expect(ilk_condition_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_condition_wait(cond, cond), ILK_EHANDLE);
  expect(ilk_condition_wait(mutex, mutex), ILK_EHANDLE);
  expect(ilk_mutex_is_locked(mutex), 1);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_counter_free(other), ILK_OK);
  free_both();
}
END_TEST

/* In the shape of a waiter's call: waits without the lock. */
static int call_wait_only(void *c, int64_t timeout_ns)
{
  return ilk_condition_timedwait(c, mutex, timeout_ns);
}

START_TEST(the_mutex_must_be_held)
{
  for (int i = 0; i < LENGTH(mutex_flags); i++) {
    make(mutex_flags[i]);
    expect(ilk_condition_wait(cond, mutex), ILK_EPERM);
    expect(ilk_condition_timedwait(cond, mutex, 0), ILK_EPERM);
    expect(ilk_mutex_lock(mutex), ILK_OK);
    if (!(mutex_flags[i] & ILK_UNOWNED)) /* held by another */
      expect(elsewhere(call_wait_only, cond, -1), ILK_EPERM);
    else /* held at all */
      expect(elsewhere(call_wait_only, cond, 0), ILK_ETIMEDOUT);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    free_both();
  }
}
END_TEST

START_TEST(notify_without_waiters)
{
  make(0);
  const int good[] = {0, 1, 7, INT32_MAX};
  for (int i = 0; i < LENGTH(good); i++)
    expect(ilk_condition_notify(cond, good[i]), ILK_OK);
  expect(ilk_condition_notify_all(cond), ILK_OK);
  expect(ilk_condition_notify(cond, -1), ILK_EINVAL);
  expect(ilk_condition_notify(cond, INT32_MIN), ILK_EINVAL);
  expect(ilk_mutex_lock(mutex), ILK_OK); /* and none of those is remembered */
  expect(ilk_condition_timedwait(cond, mutex, MS), ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  free_both();
}
END_TEST

START_TEST(a_timeout_takes_the_mutex_back)
{
  const int64_t timeouts[] = {0, 1, 3 * MS};
  for (int i = 0; i < LENGTH(mutex_flags); i++) {
    make(mutex_flags[i]);
    for (int j = 0; j < LENGTH(timeouts); j++) {
      expect(ilk_mutex_lock(mutex), ILK_OK);
      int64_t begin = now();
      expect(ilk_condition_timedwait(cond, mutex, timeouts[j]), ILK_ETIMEDOUT);
      must(now() - begin >= timeouts[j]);
      expect(ilk_mutex_is_locked(mutex), 1);
      expect(ilk_mutex_unlock(mutex), ILK_OK);
      expect(ilk_mutex_unlock(mutex), ILK_EPERM);
    }
    free_both();
  }
}
END_TEST

START_TEST(wait_releases_and_reacquires)
{
  const int64_t timeouts[] = {-1, INT64_MAX, 3600 * SECOND, INT64_MIN};
  for (int i = 0; i < LENGTH(mutex_flags); i++) {
    make(mutex_flags[i]);
    struct waiter w;
    waiter_sleep(&w, call_wait, cond, timeouts[i % 4]);
    expect(ilk_condition_free(cond), ILK_EBUSY);
    expect(ilk_mutex_trylock(mutex), ILK_OK); /* it was released */
    expect(ilk_condition_notify(cond, 0), ILK_OK);
    expect(ilk_condition_notify(cond, -1), ILK_EINVAL);
    nap(MS);
    expect(w.result, PENDING);
    expect(ilk_condition_notify(cond, 1), ILK_OK);
    nap(MS);
    expect(w.result, PENDING); /* it waits for the mutex */
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
    free_both();
  }
}
END_TEST

/* --- recursive
   ------------------------------------------------------------------------------------- */

static int call_wait_at_depth(void *c, int64_t depth)
{
  for (int64_t i = 0; i < depth; i++)
    expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = ilk_condition_wait(c, mutex);
  for (int64_t i = 0; i < depth; i++)
    expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_EPERM);
  return result;
}

START_TEST(a_recursive_mutex_is_given_up_whole)
{
  make(ILK_RECURSIVE | (_i ? ILK_FAIR : 0));
  struct waiter w[2];
  waiter_sleep(&w[0], call_wait_at_depth, cond, 5);
  waiter_sleep(&w[1], call_wait_at_depth, cond, 1);
  expect(ilk_mutex_trylock(mutex), ILK_OK);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify_all(cond), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(elsewhere(call_trylock, mutex, 0), ILK_EBUSY); /* we hold it once */
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  free_both();
}
END_TEST

/* --- which waiters are woken
   ----------------------------------------------------------------------------------- */

static int count_done(struct waiter *w, int n)
{
  int done = 0;
  for (int i = 0; i < n; i++)
    done += w[i].result != PENDING;
  return done;
}

START_TEST(notify_wakes_so_many_in_the_order_they_came)
{
  enum { N = 6 };
  make(0);
  for (int n = 1; n <= N; n++) {
    struct waiter w[N];
    for (int i = 0; i < N; i++)
      waiter_sleep(&w[i], call_wait, cond, -1);
    expect(ilk_condition_notify(cond, n), ILK_OK);
    for (int i = 0; i < n; i++)
      expect(waiter_end(&w[i]), ILK_OK);
    nap(MS);
    expect(count_done(w, N), n);
    expect(ilk_condition_notify(cond, n < N ? N : 1), ILK_OK); /* more than there are */
    for (int i = n; i < N; i++)
      expect(waiter_end(&w[i]), ILK_OK);
  }
  free_both();
}
END_TEST

START_TEST(notify_all_wakes_more_than_fit_in_a_batch)
{
  enum { N = 72 }; /* nor in the list of deferred wakes, DEFERRED_MAX */
  make(0);
  static struct waiter w[N];
  for (int i = 0; i < N; i++)
    waiter_start(&w[i], call_wait, cond, -1);
  for (int i = 0; i < N; i++)
    waiter_until_asleep(&w[i]);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify_all(cond), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  for (int i = 0; i < N; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  free_both();
}
END_TEST

/* A notify wakes a thread that waits already, not one that begins to wait right after. */
START_TEST(bug_5_signal_stolen_by_a_later_waiter_glibc_25847)
{
  make(0);
  for (int round = 0; round < 100; round++) {
    struct waiter first;
    waiter_sleep(&first, call_wait, cond, PATIENCE);
    expect(ilk_mutex_lock(mutex), ILK_OK);
    expect(ilk_condition_notify(cond, 1), ILK_OK);
    expect(ilk_condition_timedwait(cond, mutex, 200 * US), ILK_ETIMEDOUT); /* the later one */
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    expect(waiter_end(&first), ILK_OK);
  }
  free_both();
}
END_TEST

/* A wait with a bad mutex is in the queue for a moment: a notify it meets there is not lost. */
static _Atomic bool bad_over;
/* Guarded by the mutex: so a thread that locks it and reads true finds it waiting. */
static bool good_waits;

static void *wait_badly(void *unused)
{
  (void)unused;
  while (!bad_over)
    expect(ilk_condition_wait(cond, cond), ILK_EHANDLE);
  return NULL;
}

static void *wait_well(void *unused)
{
  (void)unused;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  while (!bad_over) {
    good_waits = true;
    expect(ilk_condition_timedwait(cond, mutex, PATIENCE), ILK_OK);
    good_waits = false;
  }
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  return NULL;
}

START_TEST(a_bad_wait_swallows_no_notify)
{
  make(0);
  bad_over = good_waits = false;
  pthread_t threads[3] = {start(wait_badly, NULL), start(wait_badly, NULL), start(wait_well, NULL)};
  for (int64_t end = stress_end(200); !bad_over;) {
    expect(ilk_mutex_lock(mutex), ILK_OK);
    if (good_waits) {
      good_waits = false;
      bad_over = now() > end;
      expect(ilk_condition_notify(cond, 1), ILK_OK); /* once is enough */
    }
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    sched_yield();
  }
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  free_both();
}
END_TEST

/* --- reacquiring the mutex
   ----------------------------------------------------------------------------- */

/* A waiter that was notified and now waits for the mutex, which we hold. */
static void waiter_back(struct waiter *w, int64_t timeout_ns)
{
  waiter_sleep(w, call_wait, cond, timeout_ns);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  nap(MS);
  until_asleep(w->tid);
  expect(w->result, PENDING);
}

START_TEST(cancel_ends_the_wait_but_not_the_taking_back)
{
  for (int i = 0; i < LENGTH(mutex_flags); i++) {
    make(mutex_flags[i]);
    struct waiter w;
    waiter_sleep(&w, call_wait, cond, -1);
    expect(ilk_cancel(1), ILK_OK);
    expect(waiter_end(&w), ILK_ECANCELED); /* and it unlocked the mutex: call_wait() */
    expect(ilk_cancel(0), ILK_OK);

    waiter_back(&w, -1);
    expect(ilk_cancel(1), ILK_OK);
    nap(2 * MS);
    expect(w.result, PENDING);
    expect(ilk_cancel(0), ILK_OK);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
    free_both();
  }
}
END_TEST

START_TEST(the_deadline_is_for_the_wait_alone)
{
  make(0);
  struct waiter w;
  for (int64_t timeout = 50 * MS;; timeout *= 2) {
    waiter_sleep(&w, call_wait, cond, timeout);
    expect(ilk_mutex_lock(mutex), ILK_OK);
    if (w.result == PENDING && is_blocked(w.tid, cond)) /* else we were too late */
      break;
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    expect(waiter_end(&w), ILK_ETIMEDOUT);
  }
  while (is_blocked(w.tid, cond)) /* its time is not up */
    nap(MS);
  nap(20 * MS);
  expect(w.result, PENDING); /* the mutex is ours */
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(waiter_end(&w), ILK_ETIMEDOUT);
  free_both();
}
END_TEST

static void *second_mutex;

/* Holds another mutex while it waits. */
static int call_wait_with_second(void *c, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(second_mutex), ILK_OK);
  int result = call_wait(c, timeout_ns);
  expect(ilk_mutex_unlock(second_mutex), ILK_OK);
  return result;
}

/* We hold the mutex it waits for, and wait for the one it holds: the cycle is reported to us, not
   to it. Its wake is deferred until we wait. */
START_TEST(a_deadlock_cycle_is_reported_by_the_other)
{
  make(0);
  second_mutex = ilk_mutex_new(0);
  struct waiter w;
  waiter_sleep(&w, call_wait_with_second, cond, -1);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  if (_i)
    /* A search for a deadlock cycle would have found none, and there is no second search. */
    nap(150 * MS);
  expect(ilk_mutex_lock(second_mutex), ILK_EDEADLK);
  expect(w.result, PENDING);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_free(second_mutex), ILK_OK);
  free_both();
}
END_TEST

/* As above, but it is the last to join the cycle, when we have searched for one, or are about
   to. */
static int call_lock_second(void *second, int64_t unused)
{
  (void)unused;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = ilk_mutex_lock(second);
  if (result == ILK_OK)
    expect(ilk_mutex_unlock(second), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  return result;
}

START_TEST(taking_back_is_never_a_deadlock)
{
  make(0);
  second_mutex = ilk_mutex_new(0);
  struct waiter w, other;
  waiter_sleep(&w, call_wait_with_second, cond, -1);
  waiter_sleep(&other, call_lock_second, second_mutex, 0);
  if (_i)
    nap(150 * MS);
  int64_t begin = now();
  expect(ilk_condition_notify_all(cond), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(waiter_end(&other), ILK_EDEADLK);
  must(now() - begin < PATIENCE);
  expect(ilk_mutex_free(second_mutex), ILK_OK);
  free_both();
}
END_TEST

static void *die_with_mutex(void *unused)
{
  (void)unused;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify_all(cond), ILK_OK);
  nap(2 * MS);
  return NULL;
}

static int call_wait_for_dead(void *c, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = ilk_condition_timedwait(c, mutex, timeout_ns);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_EPERM);
  return result;
}

START_TEST(taken_back_from_a_thread_that_is_gone)
{
  make(ILK_RECURSIVE);
  struct waiter w;
  waiter_sleep(&w, call_wait_for_dead, cond, -1);
  join(start(die_with_mutex, NULL));
  expect(waiter_end(&w), ILK_OWNER_DIED);
  free_both();
}
END_TEST

START_TEST(the_mutex_is_freed_during_the_wait)
{
  make(0);
  struct waiter w;
  waiter_sleep(&w, call_wait, cond, -1);
  expect(ilk_mutex_free(mutex), ILK_OK);
  expect(ilk_condition_notify_all(cond), ILK_OK);
  expect(waiter_end(&w), ILK_EHANDLE);
  expect(ilk_condition_free(cond), ILK_OK);
}
END_TEST

/* The thread that notified the last waiter may free the condition at once, also with the mutex
   locked. */
START_TEST(bug_1_the_condition_is_freed_after_the_notify)
{
  for (int64_t end = stress_end(200); now() < end;) {
    make(0);
    struct waiter w;
    waiter_sleep(&w, call_wait, cond, -1);
    expect(ilk_mutex_lock(mutex), ILK_OK);
    expect(ilk_condition_notify_all(cond), ILK_OK);
    if (below(2))
      nap(200 * US);
    expect(ilk_condition_free(cond), ILK_OK);
    /* Whatever is made in its place, a wake that arrives late does not end its waits. */
    void *successor = ilk_condition_new(0);
    expect(ilk_condition_timedwait(successor, mutex, 50 * US), ILK_ETIMEDOUT);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
    expect(ilk_condition_free(successor), ILK_OK);
    expect(ilk_mutex_free(mutex), ILK_OK);
  }
}
END_TEST

START_TEST(bug_4_stale_waiter_count_after_timeout)
{
  time_outs_leave_nobody(&shape);
}
END_TEST

START_TEST(bug_3_signals_end_no_wait)
{
  signals_end_no_wait(&shape);
}
END_TEST

static void notify_in_the_child(void *c)
{
  expect(ilk_condition_notify_all(c), ILK_OK);
  if (TSAN)
    return;
  struct waiter own;
  waiter_sleep(&own, call_wait, c, -1);
  expect(ilk_condition_notify(c, 1), ILK_OK); /* no earlier waiter is before it in the queue */
  expect(waiter_end(&own), ILK_OK);
}

START_TEST(bug_12_fork_with_waiters)
{
  void *never = ilk_semaphore_new(0, 0);
  struct waiter first; /* the child's thread will get its record */
  waiter_sleep(&first, ilk_semaphore_timedacquire, never, -1);
  fork_with_waiters(&shape, notify_in_the_child);
  expect(ilk_semaphore_release(never, 1), ILK_OK);
  expect(waiter_end(&first), ILK_OK);
  expect(ilk_semaphore_free(never), ILK_OK);
}
END_TEST

/* --- a time-out and a notify at the same time
   ------------------------------------------------------------ */

static struct {
  pthread_barrier_t begin, end;
  int64_t timeout;
  bool patient_waits; /* guarded by the mutex */
  _Atomic int timed_result, patient_result;
  bool over; /* plain: the barriers order it */
} race;

static void *timed_waiter(void *unused)
{
  (void)unused;
  while (pthread_barrier_wait(&race.begin), !race.over) {
    race.timed_result = call_wait(cond, race.timeout);
    pthread_barrier_wait(&race.end);
  }
  return NULL;
}

static void *patient_waiter(void *unused)
{
  (void)unused;
  while (pthread_barrier_wait(&race.begin), !race.over) {
    nap(20 * US); /* mostly behind the other */
    expect(ilk_mutex_lock(mutex), ILK_OK);
    race.patient_waits = true;
    race.patient_result = ilk_condition_timedwait(cond, mutex, PATIENCE);
    race.patient_waits = false;
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    pthread_barrier_wait(&race.end);
  }
  return NULL;
}

static bool notify_once(void)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  bool patient_waits = race.patient_waits;
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  return patient_waits;
}

/* One notify as the first waiter's time runs out: if that one says it timed out, the notify is
   the other's, if that waits. */
START_TEST(bug_8_timed_out_waiter_swallows_a_notify_llvm_201937)
{
  make(0);
  race.over = false;
  pthread_barrier_init(&race.begin, NULL, 3);
  pthread_barrier_init(&race.end, NULL, 3);
  pthread_t timed = start(timed_waiter, NULL), patient = start(patient_waiter, NULL);
  for (int64_t end = stress_end(300); now() < end;) {
    race.timeout = (150 + below(60)) * US;
    race.timed_result = race.patient_result = PENDING;
    pthread_barrier_wait(&race.begin);
    int64_t until = now() + race.timeout + below(100) * US;
    while (now() < until)
      ;
    bool patient_waited = notify_once();
    while (race.timed_result == PENDING)
      sched_yield();
    must(race.timed_result == ILK_OK || race.timed_result == ILK_ETIMEDOUT);
    if (race.timed_result == ILK_OK || !patient_waited) /* then the patient one waits for its own */
      while (race.patient_result == PENDING && !notify_once())
        sched_yield();
    while (race.patient_result == PENDING)
      sched_yield();
    expect(race.patient_result, ILK_OK);
    pthread_barrier_wait(&race.end);
  }
  race.over = true;
  pthread_barrier_wait(&race.begin);
  join(timed);
  join(patient);
  free_both();
}
END_TEST

/* --- a queue of few places
   --------------------------------------------------------------------------------- */

enum { PLACES = 3, SIDE = 3 };

static struct {
  void *mutex, *not_empty, *not_full;
  int64_t item[PLACES]; /* all plain */
  int count, first;
  int64_t put, got, put_sum, got_sum, goal;
  bool few; /* notify one, else all */
} queue;

static void tell(void *condition)
{
  if (below(2)) {
    expect(queue.few ? ilk_condition_notify(condition, 1) : ilk_condition_notify_all(condition),
           ILK_OK);
    expect(ilk_mutex_unlock(queue.mutex), ILK_OK);
  } else {
    expect(ilk_mutex_unlock(queue.mutex), ILK_OK);
    expect(queue.few ? ilk_condition_notify(condition, 1) : ilk_condition_notify_all(condition),
           ILK_OK);
  }
}

static void wait_anyhow(void *condition)
{
  /* A notify that a timed-out waiter consumed would be missing forever. */
  int result = ilk_condition_timedwait(condition, queue.mutex, below(4) ? -1 : below(100) * US);
  must(result == ILK_OK || result == ILK_ETIMEDOUT);
}

static void *producer(void *unused)
{
  (void)unused;
  for (;;) {
    jitter();
    expect(ilk_mutex_lock(queue.mutex), ILK_OK);
    while (queue.count == PLACES && queue.put < queue.goal)
      wait_anyhow(queue.not_full);
    if (queue.put >= queue.goal)
      break;
    int64_t item = ++queue.put;
    queue.item[(queue.first + queue.count++) % PLACES] = item;
    queue.put_sum += item;
    tell(queue.not_empty);
  }
  expect(ilk_mutex_unlock(queue.mutex), ILK_OK);
  expect(ilk_condition_notify_all(queue.not_full), ILK_OK);
  expect(ilk_condition_notify_all(queue.not_empty), ILK_OK);
  return NULL;
}

static void *consumer(void *unused)
{
  (void)unused;
  for (;;) {
    jitter();
    expect(ilk_mutex_lock(queue.mutex), ILK_OK);
    while (queue.count == 0 && queue.got < queue.goal)
      wait_anyhow(queue.not_empty);
    if (queue.count == 0)
      break;
    queue.got_sum += queue.item[queue.first];
    queue.first = (queue.first + 1) % PLACES;
    queue.count--;
    queue.got++;
    if (queue.got == queue.goal)
      expect(ilk_condition_notify_all(queue.not_empty), ILK_OK);
    tell(queue.not_full);
  }
  expect(ilk_mutex_unlock(queue.mutex), ILK_OK);
  return NULL;
}

START_TEST(no_notify_is_lost_under_load)
{
  memset(&queue, 0, sizeof queue);
  queue.goal = INT64_MAX; /* until the time is over */
  queue.few = _i & 1;
  queue.mutex = ilk_mutex_new(mutex_flags[_i % LENGTH(mutex_flags)]);
  queue.not_empty = ilk_condition_new(0);
  queue.not_full = ilk_condition_new(0);
  pthread_t threads[2 * SIDE];
  for (int i = 0; i < 2 * SIDE; i++)
    threads[i] = start(i % 2 ? producer : consumer, NULL);
  struct storm storm;
  storm_start(&storm, threads, 2 * SIDE);
  for (int64_t end = stress_end(100); now() < end;)
    nap(MS);
  expect(ilk_mutex_lock(queue.mutex), ILK_OK);
  queue.goal = queue.put + 100; /* these come without a wake of ours */
  expect(ilk_mutex_unlock(queue.mutex), ILK_OK);
  storm_end(&storm);
  for (int i = 0; i < 2 * SIDE; i++)
    join(threads[i]);
  expect(queue.put, queue.goal);
  expect(queue.got_sum, queue.put_sum);
  expect(queue.got_sum, queue.goal * (queue.goal + 1) / 2);
  expect(ilk_mutex_free(queue.mutex), ILK_OK);
  expect(ilk_condition_free(queue.not_empty), ILK_OK);
  expect(ilk_condition_free(queue.not_full), ILK_OK);
}
END_TEST

/* --- a resumable wait --------------------------------------------------------------------- */

START_TEST(a_resumable_wait)
{
  for (int i = 0; i < LENGTH(mutex_flags); i++) {
    make(mutex_flags[i]);
    expect(ilk_mutex_lock(mutex), ILK_OK);
    expect(ilk_condition_wait_begin(cond), ILK_OK);
    expect(ilk_condition_free(cond), ILK_EBUSY);
    for (int part = 0; part < 3; part++) {
      int64_t begin = now();
      expect(ilk_condition_wait_part(cond, mutex, part * MS), ILK_ETIMEDOUT);
      must(now() - begin >= part * MS);
      expect(ilk_mutex_is_locked(mutex), 1);
      expect(ilk_condition_free(cond), ILK_EBUSY);
    }
    expect(ilk_condition_wait_end(cond), 0);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    free_both();
  }
}
END_TEST

/* There it waits no more, unless it goes on. */
static void go_on_in_the_child(void *unused)
{
  (void)unused;
  expect(ilk_condition_wait_part(cond, mutex, MS), ILK_ETIMEDOUT);
  expect(ilk_condition_free(cond), ILK_EBUSY);
  expect(ilk_condition_wait_end(cond), 0);
  expect(ilk_condition_free(cond), ILK_OK);
}

static void notified_in_the_child(void *unused)
{
  (void)unused;
  expect(ilk_condition_free(cond), ILK_EBUSY);
  expect(ilk_condition_wait_part(cond, mutex, -1), ILK_OK);
  expect(ilk_condition_free(cond), ILK_OK);
}

START_TEST(fork_between_two_parts)
{
  make(0);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_wait_begin(cond), ILK_OK);
  expect(ilk_condition_wait_part(cond, mutex, 0), ILK_ETIMEDOUT);
  in_child(go_on_in_the_child, NULL);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  in_child(notified_in_the_child, NULL);
  expect(ilk_condition_wait_part(cond, mutex, -1), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  free_both();
}
END_TEST

/* The part returned ILK_OK, and so said that the mutex is held. */
START_TEST(a_part_with_a_notify_ended_well_without_the_mutex)
{
  make(0);
  void *freed = ilk_mutex_new(0);
  expect(ilk_mutex_free(freed), ILK_OK);
  void *wrong[] = {mutex, freed, NULL};
  int results[] = {ILK_EPERM, ILK_EHANDLE, ILK_EHANDLE};
  for (int i = 0; i < LENGTH(wrong); i++) {
    expect(ilk_condition_wait_begin(cond), ILK_OK);
    expect(ilk_condition_notify(cond, 1), ILK_OK);
    struct waiter next;
    waiter_sleep(&next, call_wait, cond, -1);
    expect(ilk_condition_wait_part(cond, wrong[i], -1), results[i]);
    expect(waiter_end(&next), ILK_OK); /* it got the notify */
    expect(ilk_condition_wait_end(cond), 0);
  }
  free_both();
}
END_TEST

/* The notify that a wait in slices would lose. */
START_TEST(a_notify_between_two_parts_is_kept)
{
  make(0);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  for (int all = 0; all < 2; all++) {
    expect(ilk_condition_wait_begin(cond), ILK_OK);
    expect(all ? ilk_condition_notify_all(cond) : ilk_condition_notify(cond, 1), ILK_OK);
    expect(ilk_condition_wait_part(cond, mutex, -1), ILK_OK); /* before the first part */

    expect(ilk_condition_wait_begin(cond), ILK_OK);
    expect(ilk_condition_wait_part(cond, mutex, 0), ILK_ETIMEDOUT);
    for (int i = 0; i < 3; i++) /* one wait, however many notifies */
      expect(all ? ilk_condition_notify_all(cond) : ilk_condition_notify(cond, 1), ILK_OK);
    expect(ilk_condition_wait_part(cond, mutex, -1), ILK_OK);

    expect(ilk_condition_wait_begin(cond), ILK_OK);
    expect(ilk_condition_wait_part(cond, mutex, 0), ILK_ETIMEDOUT);
    expect(ilk_condition_notify(cond, 0), ILK_OK);
    expect(ilk_condition_wait_end(cond), 0);
    /* No thread waits. */
    expect(all ? ilk_condition_notify_all(cond) : ilk_condition_notify(cond, 1), ILK_OK);
    expect(ilk_condition_wait_begin(cond), ILK_OK);
    expect(ilk_condition_wait_part(cond, mutex, MS), ILK_ETIMEDOUT);
    expect(all ? ilk_condition_notify_all(cond) : ilk_condition_notify(cond, 1), ILK_OK);
    expect(ilk_condition_free(cond), ILK_EBUSY); /* until it takes note */
    expect(ilk_condition_wait_end(cond), 1);
    expect(ilk_condition_wait_end(cond), 0); /* of no wait */
  }
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  free_both();
}
END_TEST

/* Those in the queue come first, and none is woken for two. */
START_TEST(a_notify_for_the_queue_is_not_kept_too)
{
  make(0);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], call_wait, cond, -1);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_wait_begin(cond), ILK_OK);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  expect(ilk_condition_wait_part(cond, mutex, MS), ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(mutex), ILK_OK); /* which the first may still have to reacquire */
  expect(waiter_end(&w[0]), ILK_OK);
  expect(w[1].result, PENDING);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify(cond, 2), ILK_OK);
  expect(ilk_condition_wait_part(cond, mutex, -1), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(waiter_end(&w[1]), ILK_OK);
  free_both();
}
END_TEST

static _Atomic int phase; /* 1: between its first and its second part; 2: go on */

static void until_phase(int wanted)
{
  while (phase < wanted)
    nap(50 * US);
}

static int two_parts(void *c, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_wait_begin(c), ILK_OK);
  expect(ilk_condition_wait_part(c, mutex, MS), ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  phase = 1;
  until_phase(2);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = ilk_condition_wait_part(c, mutex, timeout_ns);
  if (result == ILK_ETIMEDOUT)
    expect(ilk_condition_wait_end(c), 0);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  return result;
}

/* A notify belongs to a thread that waited at that moment, not to one that begins to wait later. */
START_TEST(a_later_wait_steals_no_notify)
{
  for (int parts = 0; parts < 2; parts++) { /* how the later one waits */
    make(0);
    phase = 0;
    struct waiter early, late;
    waiter_start(&early, two_parts, cond, 3600 * SECOND);
    until_phase(1);
    expect(ilk_condition_notify(cond, 1), ILK_OK);
    if (parts) {
      expect(ilk_mutex_lock(mutex), ILK_OK);
      expect(ilk_condition_wait_begin(cond), ILK_OK);
      expect(ilk_condition_wait_part(cond, mutex, MS), ILK_ETIMEDOUT);
      expect(ilk_condition_wait_end(cond), 0);
      expect(ilk_mutex_unlock(mutex), ILK_OK);
    } else {
      waiter_sleep(&late, call_wait, cond, -1);
    }
    phase = 2;
    expect(waiter_end(&early), ILK_OK);
    if (!parts) {
      expect(late.result, PENDING);
      expect(ilk_condition_notify(cond, 1), ILK_OK);
      expect(waiter_end(&late), ILK_OK);
    }
    free_both();
  }
}
END_TEST

/* The first in the queue is between two parts when the second comes, and is notified first; whether
   it sleeps again by then or not. */
START_TEST(the_order_holds_for_resumable_waits)
{
  for (int back = 0; back < 2; back++) {
    make(0);
    phase = 0;
    struct waiter early, late;
    waiter_start(&early, two_parts, cond, 3600 * SECOND);
    until_phase(1);
    waiter_sleep(&late, call_wait, cond, -1);
    if (back) {
      phase = 2;
      waiter_until_asleep(&early);
    }
    expect(ilk_condition_notify(cond, 1), ILK_OK);
    phase = 2;
    expect(waiter_end(&early), ILK_OK);
    expect(late.result, PENDING);
    expect(ilk_condition_notify(cond, 1), ILK_OK);
    expect(waiter_end(&late), ILK_OK);
    free_both();
  }
}
END_TEST

static int begin_and_exit(void *c, int64_t stays)
{
  expect(ilk_condition_wait_begin(c), ILK_OK);
  if (stays) {
    phase = 1;
    until_phase(2);
  }
  return 0;
}

/* Its notify goes to the next; and it leaves nothing behind. */
START_TEST(a_thread_exits_between_two_parts)
{
  make(0);
  phase = 0;
  struct waiter first, second;
  waiter_start(&first, begin_and_exit, cond, 1);
  until_phase(1);
  waiter_sleep(&second, call_wait, cond, -1);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  phase = 2;
  expect(waiter_end(&first), 0);
  expect(waiter_end(&second), ILK_OK);
  expect(elsewhere(begin_and_exit, cond, 0), 0);
  free_both();
}
END_TEST

/* As a signal handler that runs between two parts, and waits for the same condition. */
START_TEST(resumable_waits_nest)
{
  make(0);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int deep = 0;
  while (ilk_condition_wait_begin(cond) == ILK_OK) {
    expect(ilk_condition_wait_part(cond, mutex, 0), ILK_ETIMEDOUT);
    deep++;
  }
  expect(ilk_last_error(), ILK_EOVERFLOW);
  expect(deep, 7);
  /* The innermost came last, and waits still. */
  expect(ilk_condition_notify(cond, deep - 1), ILK_OK);
  expect(ilk_condition_wait_part(cond, mutex, MS), ILK_ETIMEDOUT);
  expect(ilk_condition_timedwait(cond, mutex, MS), ILK_ETIMEDOUT); /* a wait of its own */
  expect(ilk_condition_wait_end(cond), 0);
  for (int i = 1; i < deep; i++)
    if (i % 2)
      expect(ilk_condition_wait_part(cond, mutex, -1), ILK_OK);
    else
      expect(ilk_condition_wait_end(cond), 1);
  expect(ilk_condition_wait_end(cond), 0);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  free_both();
}
END_TEST

START_TEST(a_part_that_cannot_begin_ends_the_wait)
{
  make(0);
  expect(ilk_condition_wait_begin(cond), ILK_OK);
  expect(ilk_condition_wait_part(cond, mutex, -1), ILK_EPERM);
  expect(ilk_condition_wait_begin(cond), ILK_OK);
  expect(ilk_condition_wait_part(cond, NULL, -1), ILK_EHANDLE);
  void *freed = ilk_condition_new(0);
  expect(ilk_condition_free(freed), ILK_OK);
  expect(ilk_condition_wait_begin(freed), ILK_EHANDLE);
  expect(ilk_condition_wait_part(freed, mutex, -1), ILK_EHANDLE);
  expect(ilk_condition_wait_end(freed), ILK_EHANDLE);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_wait_begin(cond), ILK_OK);
  expect(ilk_cancel(1), ILK_OK);
  expect(ilk_condition_wait_part(cond, mutex, -1), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_condition_free(cond), ILK_EBUSY); /* it may go on */
  expect(ilk_condition_wait_end(cond), 0);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  free_both();
}
END_TEST

static struct {
  int tokens, sent, taken; /* guarded by the mutex */
} parted;

enum { TOKENS = JITTERED ? 1000 : 4000, EATERS = 3 };

/* Waits without a check between the parts: a lost notify would end in a hang. */
static void *eat_by_resumable_waits(void *unused)
{
  (void)unused;
  for (;;) {
    expect(ilk_mutex_lock(mutex), ILK_OK);
    while (!parted.tokens && parted.taken < TOKENS) {
      expect(ilk_condition_wait_begin(cond), ILK_OK);
      while (ilk_condition_wait_part(cond, mutex, below(30) * US) == ILK_ETIMEDOUT)
        jitter();
    }
    bool over = parted.taken == TOKENS;
    if (!over) {
      parted.tokens--;
      if (++parted.taken == TOKENS)
        expect(ilk_condition_notify_all(cond), ILK_OK);
    }
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    if (over)
      return NULL;
  }
}

START_TEST(no_notify_is_lost_between_parts)
{
  make(mutex_flags[_i]);
  parted.tokens = parted.sent = parted.taken = 0;
  pthread_t threads[EATERS];
  for (int i = 0; i < EATERS; i++)
    threads[i] = start(eat_by_resumable_waits, NULL);
  while (parted.sent < TOKENS) {
    expect(ilk_mutex_lock(mutex), ILK_OK);
    parted.tokens++;
    parted.sent++;
    bool inside = chance() % 2;
    if (inside)
      expect(ilk_condition_notify(cond, 1), ILK_OK);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    if (!inside)
      expect(ilk_condition_notify(cond, 1), ILK_OK);
    jitter();
  }
  for (int i = 0; i < EATERS; i++)
    join(threads[i]);
  expect(parted.tokens, 0);
  free_both();
}
END_TEST

/* Two threads take turns, and no other thread makes up for a lost wake. */
static int turn;
static int64_t turns_end;

static void *take_turns(void *argument)
{
  int me = (int)(intptr_t)argument;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  for (int i = 0; turn >= 0; i++) {
    while (turn == !me)
      expect(ilk_condition_timedwait(cond, mutex, i % 2 ? -1 : 3600 * SECOND), ILK_OK);
    if (turn >= 0)
      turn = now() < turns_end ? !me : -1;
    expect(ilk_condition_notify(cond, 1), ILK_OK);
  }
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  return NULL;
}

START_TEST(ping_pong)
{
  make(mutex_flags[_i]);
  turn = 0;
  turns_end = stress_end(60);
  pthread_t other = start(take_turns, (void *)1);
  take_turns((void *)0);
  join(other);
  free_both();
}
END_TEST

/* --- freed while it is hammered
   ------------------------------------------------------------------------------ */

static void *new_condition(void)
{
  void *c = ilk_condition_new(0);
  must(c != NULL);
  return c;
}

static void *_Atomic loose; /* a mutex, which is freed under the waits too */

static void use(void *c)
{
  void *m = loose;
  int result = ILK_OK;
  switch (below(5)) {
  case 0: result = ilk_condition_notify(c, 1); break;
  case 1: result = ilk_condition_notify_all(c); break;
  case 2:
    if (ilk_mutex_free(m) == ILK_OK)
      loose = ilk_mutex_new(0);
    break;
  default:
    if (ilk_mutex_lock(m) == ILK_EHANDLE)
      return;
    result = ilk_condition_timedwait(c, m, below(50) * US);
    must(ilk_mutex_unlock(m) == ILK_OK || result == ILK_EHANDLE);
  }
  must(result == ILK_OK || result == ILK_EHANDLE || result == ILK_ETIMEDOUT);
}

START_TEST(freed_while_hammered)
{
  loose = ilk_mutex_new(0);
  freed_while_used(new_condition, use, ilk_condition_free);
  expect(ilk_mutex_free(loose), ILK_OK);
}
END_TEST

/* --- the wake is deferred until the unlock ---------------------------------------------- */

/* In the shape of a waiter's call: notifies with the mutex locked, and ends so. */
static int call_notify_and_exit(void *c, int64_t unused)
{
  (void)unused;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  return ilk_condition_notify(c, 1);
}

START_TEST(notified_by_a_thread_that_exits_with_the_mutex)
{
  make(0);
  struct waiter w;
  waiter_sleep(&w, call_wait, cond, -1);
  expect(elsewhere(call_notify_and_exit, cond, -1), ILK_OK);
  expect(waiter_end(&w), ILK_OWNER_DIED);
  free_both();
}
END_TEST

START_TEST(notified_and_the_mutex_reset_by_another)
{
  make(0);
  struct waiter w;
  waiter_sleep(&w, call_wait, cond, -1);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  expect(elsewhere(call_reset, mutex, 0), ILK_OK);
  expect(waiter_end(&w), ILK_OK); /* though we neither unlock nor block */
  expect(ilk_mutex_unlock(mutex), ILK_EPERM);
  free_both();
}
END_TEST

START_TEST(notified_and_unlocked_in_every_order)
{
  void *other = ilk_mutex_new(0);
  for (int i = 0; i < LENGTH(mutex_flags); i++) {
    bool recursive = mutex_flags[i] & ILK_RECURSIVE;
    for (int order = 0; order < 3; order++) {
      make(mutex_flags[i]);
      struct waiter w;
      waiter_sleep(&w, call_wait, cond, order == 1 ? 3600 * SECOND : -1);
      expect(ilk_mutex_lock(mutex), ILK_OK);
      if (recursive)
        expect(ilk_mutex_lock(mutex), ILK_OK);
      if (order == 1)
        expect(ilk_mutex_lock(other), ILK_OK);
      expect(ilk_condition_notify(cond, 1), ILK_OK);
      if (order == 2)
        expect(ilk_mutex_lock(other), ILK_OK);
      if (recursive)
        expect(ilk_mutex_unlock(mutex), ILK_OK);
      if (order)
        expect(ilk_mutex_unlock(other), ILK_OK);
      nap(MS);
      expect(w.result, PENDING);
      expect(ilk_mutex_unlock(mutex), ILK_OK);
      expect(waiter_end(&w), ILK_OK);
      free_both();
    }
  }
  expect(ilk_mutex_free(other), ILK_OK);
}
END_TEST

static int call_free(void *c, int64_t unused)
{
  (void)unused;
  return ilk_condition_free(c);
}

/* A notified thread is no longer in the condition, but pins it until it runs. */
START_TEST(freed_by_another_while_the_notifier_holds_the_mutex)
{
  make(0);
  struct waiter w;
  waiter_sleep(&w, call_wait, cond, -1);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  expect(elsewhere(call_free, cond, 0), ILK_OK); /* though we neither unlock nor block */
  expect(ilk_condition_notify(cond, 1), ILK_EHANDLE);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

/* We locked the mutex last, another thread unlocked it, and now its slot is a counter's. */
START_TEST(notified_when_the_mutex_is_gone_and_its_slot_another)
{
  make(ILK_UNOWNED);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(elsewhere(call_unlock, mutex, 0), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_wait, cond, -1);
  expect(ilk_mutex_free(mutex), ILK_OK);
  void *counters[64];
  for (int i = 0; i < LENGTH(counters); i++)
    must((counters[i] = ilk_counter_new(0)) != NULL);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  expect(waiter_end(&w), ILK_EHANDLE);
  for (int i = 0; i < LENGTH(counters); i++) {
    expect(ilk_counter_load(counters[i]), 0);
    expect(ilk_counter_free(counters[i]), ILK_OK);
  }
  expect(ilk_condition_free(cond), ILK_OK);
}
END_TEST

/* Several threads defer a wake, one after the other. */
START_TEST(notified_one_by_one_in_one_section)
{
  make(0);
  struct waiter w[20];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_sleep(&w[i], call_wait, cond, -1);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  for (int i = 0; i < LENGTH(w); i++)
    expect(ilk_condition_notify(cond, 1), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), ILK_OK);
  free_both();
}
END_TEST

START_TEST(notified_in_time_but_unlocked_after_the_deadline)
{
  make(0);
  struct waiter w;
  int64_t begin = now();
  waiter_sleep(&w, call_wait, cond, 300 * MS);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_notify(cond, 1), ILK_OK);
  bool in_time = now() - begin < 300 * MS;
  nap(400 * MS);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  int result = waiter_end(&w);
  must(result == ILK_OK || !in_time);
  free_both();
}
END_TEST

/* --- from one condition to another ------------------------------------------------------- */

static struct {
  void *mutex[2], *condition[2];
  _Atomic bool over;
} pairs;

static void *wait_here_and_there(void *unused)
{
  for (unsigned i = 0; !pairs.over; i++) {
    expect(ilk_mutex_lock(pairs.mutex[i % 2]), ILK_OK);
    int result = ilk_condition_timedwait(pairs.condition[i % 2], pairs.mutex[i % 2], MS);
    must(result == ILK_OK || result == ILK_ETIMEDOUT);
    expect(ilk_mutex_unlock(pairs.mutex[i % 2]), ILK_OK);
  }
  return unused;
}

static void *notify_here_and_there(void *unused)
{
  for (unsigned i = 0; !pairs.over; i++)
    expect(ilk_condition_notify(pairs.condition[i / 7 % 2], 1), ILK_OK);
  return unused;
}

/* A notified thread may be in the next condition's queue before the notify goes on: the notify must
   not read it then. ThreadSanitizer reports a read. */
START_TEST(a_notify_does_not_read_a_waiter_that_has_returned)
{
  for (int i = 0; i < 2; i++) {
    pairs.mutex[i] = ilk_mutex_new(0);
    pairs.condition[i] = ilk_condition_new(0);
  }
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(i < 2 ? wait_here_and_there : notify_here_and_there, NULL);
  for (int64_t end = stress_end(TSAN ? 3000 : 200); now() < end;)
    nap(MS);
  pairs.over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  for (int i = 0; i < 2; i++) {
    expect(ilk_condition_free(pairs.condition[i]), ILK_OK);
    expect(ilk_mutex_free(pairs.mutex[i]), ILK_OK);
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("condition");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_flags);
  tcase_add_test(calls, every_call_checks_its_handles);
  tcase_add_test(calls, the_mutex_must_be_held);
  tcase_add_test(calls, notify_without_waiters);
  tcase_add_test(calls, a_timeout_takes_the_mutex_back);
  tcase_add_test(calls, wait_releases_and_reacquires);
  tcase_add_loop_test(calls, a_recursive_mutex_is_given_up_whole, 0, 2);
  tcase_add_test(calls, notify_wakes_so_many_in_the_order_they_came);
  tcase_add_test(calls, notify_all_wakes_more_than_fit_in_a_batch);
  tcase_add_test(calls, cancel_ends_the_wait_but_not_the_taking_back);
  tcase_add_test(calls, the_deadline_is_for_the_wait_alone);
  tcase_add_loop_test(calls, a_deadlock_cycle_is_reported_by_the_other, 0, 2);
  tcase_add_loop_test(calls, taking_back_is_never_a_deadlock, 0, 2);
  tcase_add_test(calls, taken_back_from_a_thread_that_is_gone);
  tcase_add_test(calls, the_mutex_is_freed_during_the_wait);
  tcase_add_test(calls, bug_4_stale_waiter_count_after_timeout);
  tcase_add_test(calls, bug_3_signals_end_no_wait);
  tcase_add_test(calls, bug_12_fork_with_waiters);
  tcase_add_test(calls, a_resumable_wait);
  tcase_add_test(calls, fork_between_two_parts);
  tcase_add_test(calls, a_part_with_a_notify_ended_well_without_the_mutex);
  tcase_add_test(calls, a_notify_between_two_parts_is_kept);
  tcase_add_test(calls, a_notify_for_the_queue_is_not_kept_too);
  tcase_add_test(calls, a_later_wait_steals_no_notify);
  tcase_add_test(calls, the_order_holds_for_resumable_waits);
  tcase_add_test(calls, a_thread_exits_between_two_parts);
  tcase_add_test(calls, resumable_waits_nest);
  tcase_add_test(calls, a_part_that_cannot_begin_ends_the_wait);

  tcase_add_test(calls, notified_by_a_thread_that_exits_with_the_mutex);
  tcase_add_test(calls, notified_and_the_mutex_reset_by_another);
  tcase_add_test(calls, notified_and_unlocked_in_every_order);
  tcase_add_test(calls, freed_by_another_while_the_notifier_holds_the_mutex);
  tcase_add_test(calls, notified_when_the_mutex_is_gone_and_its_slot_another);
  tcase_add_test(calls, notified_one_by_one_in_one_section);
  tcase_add_test(calls, notified_in_time_but_unlocked_after_the_deadline);

  TCase *load = test_case(s, "load", 30);
  tcase_add_test(load, bug_1_the_condition_is_freed_after_the_notify);
  tcase_add_test(load, bug_5_signal_stolen_by_a_later_waiter_glibc_25847);
  tcase_add_test(load, a_bad_wait_swallows_no_notify);
  tcase_add_test(load, bug_8_timed_out_waiter_swallows_a_notify_llvm_201937);
  tcase_add_loop_test(load, no_notify_is_lost_under_load, 0, LENGTH(mutex_flags));
  tcase_add_loop_test(load, no_notify_is_lost_between_parts, 0, LENGTH(mutex_flags));
  tcase_add_loop_test(load, ping_pong, 0, LENGTH(mutex_flags));
  tcase_add_test(load, freed_while_hammered);
  tcase_add_test(load, a_notify_does_not_read_a_waiter_that_has_returned);
  return run_suite(s);
}
