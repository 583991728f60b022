/* semaphore.c. Exclusion under load is test_stress.c's, time-outs are test_block.c's. */
#include <limits.h>

#include "support.h"

static void *new_semaphore(int64_t initial, int64_t maximum)
{
  void *s = ilk_semaphore_new(initial, maximum);
  must(s != NULL);
  return s;
}

static void free_semaphore(void *s)
{
  expect(ilk_semaphore_free(s), ILK_OK);
}

START_TEST(new_checks_its_arguments)
{
  expect_null(ilk_semaphore_new(-1, 0), ILK_EINVAL);
  expect_null(ilk_semaphore_new(INT64_MIN, 0), ILK_EINVAL);
  expect_null(ilk_semaphore_new(-1, -1), ILK_EINVAL);
  expect_null(ilk_semaphore_new(5, 4), ILK_EINVAL);
  expect_null(ilk_semaphore_new(INT64_C(1) << 31, 0), ILK_EINVAL);
  expect_null(ilk_semaphore_new(INT64_C(1) << 32, 0), ILK_EINVAL);
  expect_null(ilk_semaphore_new(INT64_MAX, 0), ILK_EINVAL);
  expect_null(ilk_semaphore_new(INT64_MAX, INT64_MAX), ILK_EINVAL);

  const int64_t good[][2] = {
    {0, 0}, {0, 1}, {4, 4}, {7, -1}, {7, INT64_MIN}, {INT32_MAX, 0}, {INT32_MAX, INT32_MAX}};
  for (int i = 0; i < LENGTH(good); i++) {
    void *s = new_semaphore(good[i][0], good[i][1]);
    expect(ilk_semaphore_value(s), good[i][0]);
    free_semaphore(s);
  }
}
END_TEST

START_TEST(acquire_down_to_zero)
{
  void *s = new_semaphore(4, 0);
  expect(ilk_semaphore_acquire(s), ILK_OK);
  expect(ilk_semaphore_tryacquire(s), ILK_OK);
  expect(ilk_semaphore_timedacquire(s, 0), ILK_OK);
  expect(ilk_semaphore_timedacquire(s, -1), ILK_OK);
  expect(ilk_semaphore_value(s), 0);
  expect(ilk_semaphore_tryacquire(s), ILK_EBUSY);
  expect(ilk_semaphore_timedacquire(s, 0), ILK_ETIMEDOUT);
  expect(ilk_semaphore_timedacquire(s, MS), ILK_ETIMEDOUT);
  expect(ilk_semaphore_value(s), 0);
  expect(ilk_semaphore_release(s, 2), ILK_OK);
  expect(ilk_semaphore_value(s), 2);
  free_semaphore(s); /* any value will do */
}
END_TEST

START_TEST(release_up_to_the_maximum)
{
  const int64_t maxima[] = {1, 5, INT32_MAX, 0};
  for (int i = 0; i < LENGTH(maxima); i++) {
    int64_t maximum = maxima[i] ? maxima[i] : INT32_MAX;
    void *s = new_semaphore(0, maxima[i]);
    expect(ilk_semaphore_release(s, 0), ILK_OK);
    const int64_t too_much[] = {maximum + 1, INT64_C(1) << 32, (INT64_C(1) << 32) + 1, INT64_MAX};
    for (int j = 0; j < LENGTH(too_much); j++)
      expect(ilk_semaphore_release(s, too_much[j]), ILK_EOVERFLOW);
    expect(ilk_semaphore_release(s, -1), ILK_EINVAL);
    expect(ilk_semaphore_release(s, INT64_MIN), ILK_EINVAL);
    expect(ilk_semaphore_value(s), 0);
    expect(ilk_semaphore_release(s, maximum), ILK_OK);
    expect(ilk_semaphore_value(s), maximum);
    expect(ilk_semaphore_release(s, 1), ILK_EOVERFLOW);
    expect(ilk_semaphore_release(s, 0), ILK_OK);
    expect(ilk_semaphore_release(s, -1), ILK_EINVAL);
    expect(ilk_semaphore_value(s), maximum);
    expect(ilk_semaphore_acquire(s), ILK_OK);
    expect(ilk_semaphore_release(s, 2), ILK_EOVERFLOW); /* and then not even one */
    expect(ilk_semaphore_value(s), maximum - 1);
    expect(ilk_semaphore_release(s, 1), ILK_OK);
    free_semaphore(s);
  }
}
END_TEST

/* Of six sleepers, a release of n lets n on, and the others sleep. */
START_TEST(release_lets_as_many_on)
{
  enum { N = 6 };
  void *s = new_semaphore(0, 0);
  for (int n = 0; n <= N; n++) {
    struct waiter waiters[N];
    for (int i = 0; i < N; i++)
      waiter_sleep(&waiters[i], ilk_semaphore_timedacquire, s, -1);
    expect(ilk_semaphore_release(s, n), ILK_OK);
    int done;
    do {
      done = 0;
      for (int i = 0; i < N; i++)
        done += waiters[i].result != PENDING;
    } while (done < n);
    nap(2 * MS);
    done = 0;
    for (int i = 0; i < N; i++)
      done += waiters[i].result != PENDING;
    expect(done, n);
    expect(ilk_semaphore_value(s), 0);
    expect(ilk_semaphore_release(s, N - n), ILK_OK);
    for (int i = 0; i < N; i++)
      expect(waiter_end(&waiters[i]), ILK_OK);
    expect(ilk_semaphore_value(s), 0);
  }
  free_semaphore(s);
}
END_TEST

START_TEST(free_while_waited_for)
{
  void *s = new_semaphore(0, 1);
  struct waiter w;
  waiter_sleep(&w, ilk_semaphore_timedacquire, s, -1);
  expect(ilk_semaphore_free(s), ILK_EBUSY);
  expect(w.result, PENDING);
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_semaphore_free(s), ILK_OK);
  expect(ilk_semaphore_free(s), ILK_EHANDLE);
}
END_TEST

START_TEST(stale_waiter_count_after_timeout_musl_882aedf6)
{
  void *s = new_semaphore(0, 0);
  struct waiter waiters[4];
  for (int i = 0; i < LENGTH(waiters); i++)
    waiter_start(&waiters[i], ilk_semaphore_timedacquire, s, (i + 1) * MS);
  for (int i = 0; i < LENGTH(waiters); i++)
    expect(waiter_end(&waiters[i]), ILK_ETIMEDOUT);
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(ilk_semaphore_value(s), 1);
  free_semaphore(s);
}
END_TEST

/* --- freed as soon as it was acquired ------------------------------------------------ */

static struct {
  void *_Atomic semaphore;
  _Atomic bool over;
} post;

static void *release_each(void *unused)
{
  (void)unused;
  void *last = NULL;
  while (!post.over) {
    void *s = post.semaphore;
    if (s == last)
      continue;
    last = s;
    expect(ilk_semaphore_release(s, 1), ILK_OK);
  }
  return NULL;
}

/* The thread that acquires may free at once, while the release has not returned; the release must
   not touch the object that is made in its place. */
START_TEST(touch_after_release_glibc_12674)
{
  post.semaphore = new_semaphore(0, 0);
  pthread_t releaser = start(release_each, NULL);
  for (int64_t end = stress_end(200); now() < end;) {
    void *s = post.semaphore;
    expect(below(2) ? ilk_semaphore_acquire(s) : ilk_semaphore_timedacquire(s, 3600 * SECOND),
           ILK_OK);
    free_semaphore(s);
    void *successors[3]; /* one of them in its slot */
    for (int i = 0; i < 3; i++)
      successors[i] = i == 0   ? new_semaphore(3, 3)
                      : i == 1 ? ilk_counter_new(77)
                               : ilk_mutex_new(0);
    spin(below(300));
    expect(ilk_semaphore_value(successors[0]), 3);
    expect(ilk_counter_load(successors[1]), 77);
    expect(ilk_mutex_is_locked(successors[2]), 0);
    free_semaphore(successors[0]);
    expect(ilk_counter_free(successors[1]), ILK_OK);
    expect(ilk_mutex_free(successors[2]), ILK_OK);
    post.semaphore = new_semaphore(0, 0);
  }
  expect(ilk_semaphore_acquire(post.semaphore), ILK_OK);
  post.over = true;
  join(releaser);
  free_semaphore(post.semaphore);
}
END_TEST

/* --- posts under load ------------------------------------------------------------------- */

static struct {
  void *semaphore;
  _Atomic int64_t posted, taken;
  _Atomic int takers;
  _Atomic bool over;
  int64_t end;
} load;

static void *poster(void *unused)
{
  (void)unused;
  int64_t posted = 0;
  while (now() < load.end) {
    int64_t n = below(4);
    int result = ilk_semaphore_release(load.semaphore, n);
    if (result != ILK_EOVERFLOW) {
      expect(result, ILK_OK);
      posted += n;
    }
    jitter();
  }
  load.posted += posted;
  return NULL;
}

static void *taker(void *unused)
{
  (void)unused;
  int64_t taken = 0;
  while (!load.over) {
    int result;
    switch (below(4)) {
    case 0:
      result = ilk_semaphore_tryacquire(load.semaphore);
      must(result == ILK_OK || result == ILK_EBUSY);
      break;
    case 1:
      result = ilk_semaphore_timedacquire(load.semaphore, below(100) * US);
      must(result == ILK_OK || result == ILK_ETIMEDOUT);
      break;
    default: result = ilk_semaphore_acquire(load.semaphore); expect(result, ILK_OK);
    }
    taken += result == ILK_OK;
    jitter();
  }
  load.taken += taken;
  load.takers--;
  return NULL;
}

/* Every post is acquired or left over, and no taker sleeps while there is a value. */
START_TEST(no_post_is_dropped_under_load)
{
  enum { POSTERS = 2, TAKERS = 4 };
  int64_t maximum = _i ? 3 : 0;
  load.semaphore = new_semaphore(0, maximum);
  load.end = stress_end(250);
  load.takers = TAKERS;
  pthread_t posters[POSTERS], takers[TAKERS];
  struct storm storm;
  for (int i = 0; i < TAKERS; i++)
    takers[i] = start(taker, NULL);
  for (int i = 0; i < POSTERS; i++)
    posters[i] = start(poster, NULL);
  storm_start(&storm, takers, TAKERS);
  for (int i = 0; i < POSTERS; i++)
    join(posters[i]);
  storm_end(&storm);

  /* The takers now empty it: if one sleeps in spite of a value, this never ends. */
  while (ilk_semaphore_value(load.semaphore) > 0)
    sched_yield();
  load.over = true;
  while (load.takers > 0) { /* one more lets a sleeping taker see it */
    load.posted += ilk_semaphore_release(load.semaphore, 1) == ILK_OK;
    sched_yield();
  }
  for (int i = 0; i < TAKERS; i++)
    join(takers[i]);
  expect(load.taken + ilk_semaphore_value(load.semaphore), load.posted);
  free_semaphore(load.semaphore);
}
END_TEST

/* Two threads hand one permit to and fro, and no other thread makes up for a lost wake. */
static struct {
  void *there, *back;
  bool over; /* plain: the permit orders it */
} turns;

static void *pong(void *unused)
{
  (void)unused;
  for (bool over = false; !over;) {
    expect(ilk_semaphore_acquire(turns.there), ILK_OK);
    over = turns.over;
    expect(ilk_semaphore_release(turns.back, 1), ILK_OK);
  }
  return NULL;
}

START_TEST(ping_pong)
{
  turns.there = new_semaphore(0, 1);
  turns.back = new_semaphore(0, 1);
  turns.over = false;
  pthread_t other = start(pong, NULL);
  int64_t end = stress_end(200);
  for (int i = 0; !turns.over; i++) {
    turns.over = now() >= end;
    expect(ilk_semaphore_release(turns.there, 1), ILK_OK);
    /* Long timeouts that never pass: neither a wake nor EAGAIN counts as one. */
    expect(ilk_semaphore_timedacquire(turns.back, i % 2 ? 3600 * SECOND : INT64_MAX), ILK_OK);
  }
  join(other);
  free_semaphore(turns.there);
  free_semaphore(turns.back);
}
END_TEST

/* --- a time-out and a wake at the same time ------------------------------------------------ */

static struct {
  void *semaphore;
  pthread_barrier_t begin, end;
  int64_t timeout;
  _Atomic int timed_result;
  bool over; /* plain: the barriers order it */
} race;

static void *timed_taker(void *unused)
{
  (void)unused;
  while (pthread_barrier_wait(&race.begin), !race.over) {
    race.timed_result = ilk_semaphore_timedacquire(race.semaphore, race.timeout);
    pthread_barrier_wait(&race.end);
  }
  return NULL;
}

static void *patient_taker(void *unused)
{
  (void)unused;
  while (pthread_barrier_wait(&race.begin), !race.over) {
    expect(ilk_semaphore_acquire(race.semaphore), ILK_OK);
    pthread_barrier_wait(&race.end);
  }
  return NULL;
}

/* One release as the first waiter's time runs out: if it timed out, the wake is the other's. */
START_TEST(timed_out_waiter_swallows_wake_llvm_201937)
{
  race.semaphore = new_semaphore(0, 0);
  race.over = false;
  pthread_barrier_init(&race.begin, NULL, 3);
  pthread_barrier_init(&race.end, NULL, 3);
  pthread_t timed = start(timed_taker, NULL), patient = start(patient_taker, NULL);
  for (int64_t end = stress_end(200); now() < end;) {
    race.timeout = (60 + below(60)) * US;
    race.timed_result = PENDING;
    pthread_barrier_wait(&race.begin);
    int64_t until = now() + race.timeout + below(120) * US;
    while (now() < until)
      ;
    expect(ilk_semaphore_release(race.semaphore, 1), ILK_OK);
    while (race.timed_result == PENDING)
      sched_yield();
    if (race.timed_result == ILK_OK) /* then the patient one waits for its own */
      expect(ilk_semaphore_release(race.semaphore, 1), ILK_OK);
    else
      expect(race.timed_result, ILK_ETIMEDOUT);
    pthread_barrier_wait(&race.end);
    expect(ilk_semaphore_value(race.semaphore), 0);
  }
  race.over = true;
  pthread_barrier_wait(&race.begin);
  join(timed);
  join(patient);
  free_semaphore(race.semaphore);
}
END_TEST

/* A wait that has lasted for a second checks whether it holds Python's GIL (stall.h). */
static int holds_no_gil(void)
{
  return 0;
}

static _Atomic int acquired;

static int acquire_in_turn(void *s, int64_t timeout_ns)
{
  expect(ilk_semaphore_timedacquire(s, timeout_ns), ILK_OK);
  return acquired++;
}

/* Of two waiters that sleep in acquire_in_turn(). */
static void expect_order(void *s, struct waiter *first, struct waiter *second)
{
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  while (acquired == 0)
    nap(50 * US);
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(waiter_end(first), 0);
  expect(waiter_end(second), 1);
}

START_TEST(a_waiter_lost_its_place_after_a_second)
{
  void *s = new_semaphore(0, 0);
  struct waiter early, late;
  acquired = 0;
  expect(ilk_gil_probe((void *)(uintptr_t)holds_no_gil), ILK_OK);
  int64_t begin = now();
  waiter_sleep(&early, acquire_in_turn, s, -1);
  while (now() - begin < SECOND / 2)
    nap(10 * MS);
  waiter_sleep(&late, acquire_in_turn, s, -1);
  while (now() - begin < SECOND + SECOND / 5)
    nap(10 * MS);
  waiter_until_asleep(&early);
  expect_order(s, &early, &late);
  expect(ilk_gil_probe(NULL), ILK_OK);
  free_semaphore(s);
}
END_TEST

#ifndef _WIN32
static void handle_signal(int signal)
{
  (void)signal;
}

START_TEST(a_waiter_lost_its_place_by_a_signal)
{
  struct sigaction action = {.sa_handler = handle_signal};
  sigaction(SIGUSR1, &action, NULL);
  void *s = new_semaphore(0, 0);
  struct waiter early, late;
  acquired = 0;
  waiter_sleep(&early, acquire_in_turn, s, -1);
  waiter_sleep(&late, acquire_in_turn, s, -1);
  must(pthread_kill(early.thread, SIGUSR1) == 0);
  nap(MS);
  waiter_until_asleep(&early);
  expect_order(s, &early, &late);
  free_semaphore(s);
}
END_TEST
#endif

int main(void)
{
  Suite *s = suite_create("semaphore");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_arguments);
  tcase_add_test(calls, acquire_down_to_zero);
  tcase_add_test(calls, release_up_to_the_maximum);
  tcase_add_test(calls, release_lets_as_many_on);
  tcase_add_test(calls, free_while_waited_for);
  tcase_add_test(calls, stale_waiter_count_after_timeout_musl_882aedf6);
  tcase_add_test(calls, a_waiter_lost_its_place_after_a_second);
#ifndef _WIN32
  tcase_add_test(calls, a_waiter_lost_its_place_by_a_signal);
#endif

  TCase *load_case = test_case(s, "load", 20);
  tcase_add_test(load_case, touch_after_release_glibc_12674);
  tcase_add_loop_test(load_case, no_post_is_dropped_under_load, 0, 2);
  tcase_add_test(load_case, ping_pong);
  tcase_add_test(load_case, timed_out_waiter_swallows_wake_llvm_201937);
  return run_suite(s);
}
