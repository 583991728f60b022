/* latch.c. */
#include "shapes.h"

static void *new_latch(int64_t count)
{
  void *l = ilk_latch_new(count);
  must(l != NULL);
  return l;
}

static void free_latch(void *l)
{
  expect(ilk_latch_free(l), ILK_OK);
}

static void *new_latch_of_1(void)
{
  return new_latch(1);
}

static int finish(void *l)
{
  return ilk_latch_count_down(l, 1);
}

static const struct shape shape = {new_latch_of_1, ilk_latch_timedwait, finish, ilk_latch_free,
                                   TIMES_OUT};

START_TEST(new_checks_its_count)
{
  expect_null(ilk_latch_new(-1), ILK_EINVAL);
  expect_null(ilk_latch_new(INT64_MIN), ILK_EINVAL);
  const int64_t good[] = {0, 1, INT64_C(1) << 40, INT64_MAX};
  for (int i = 0; i < LENGTH(good); i++) {
    void *l = new_latch(good[i]);
    expect(ilk_latch_value(l), good[i]);
    free_latch(l);
  }
}
END_TEST

START_TEST(every_call_checks_its_handle)
{
  void *freed = new_latch(3), *other = ilk_counter_new(0);
  free_latch(freed);
  void *bad[] = {NULL, freed, other, (void *)-1, (void *)1, &freed, (void *)((uintptr_t)other ^ 1)};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_latch_add(bad[i], 1), ILK_EHANDLE);
    expect(ilk_latch_count_down(bad[i], 1), ILK_EHANDLE);
    expect(ilk_latch_wait(bad[i]), ILK_EHANDLE);
    expect(ilk_latch_trywait(bad[i]), ILK_EHANDLE);
    expect(ilk_latch_timedwait(bad[i], 0), ILK_EHANDLE);
    expect_no_value(ilk_latch_value(bad[i]), ILK_EHANDLE);
    expect(ilk_latch_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_counter_load(other), 0);
  expect(ilk_counter_free(other), ILK_OK);
}
END_TEST

START_TEST(the_count_and_its_limits)
{
  void *l = new_latch(2);
  const int64_t negative[] = {-1, INT64_MIN};
  for (int i = 0; i < 2; i++) {
    expect(ilk_latch_add(l, negative[i]), ILK_EINVAL);
    expect(ilk_latch_count_down(l, negative[i]), ILK_EINVAL);
  }
  expect(ilk_latch_add(l, INT64_MAX - 1), ILK_EOVERFLOW);
  expect(ilk_latch_add(l, INT64_MAX), ILK_EOVERFLOW);
  expect(ilk_latch_count_down(l, 3), ILK_EINVAL);
  expect(ilk_latch_count_down(l, INT64_MAX), ILK_EINVAL);
  expect(ilk_latch_value(l), 2);
  expect(ilk_latch_add(l, 0), ILK_OK);
  expect(ilk_latch_count_down(l, 0), ILK_OK);
  expect(ilk_latch_value(l), 2);
  expect(ilk_latch_add(l, INT64_MAX - 2), ILK_OK);
  expect(ilk_latch_value(l), INT64_MAX);
  expect(ilk_latch_trywait(l), ILK_EBUSY);
  expect(ilk_latch_timedwait(l, 0), ILK_ETIMEDOUT);
  int64_t begin = now();
  expect(ilk_latch_timedwait(l, 3 * MS), ILK_ETIMEDOUT);
  must(now() - begin >= 3 * MS);
  expect(ilk_latch_count_down(l, INT64_MAX), ILK_OK);
  expect(ilk_latch_value(l), 0);
  expect(ilk_latch_count_down(l, 1), ILK_EINVAL);
  expect(ilk_latch_wait(l), ILK_OK);
  expect(ilk_latch_trywait(l), ILK_OK);
  expect(ilk_latch_timedwait(l, 0), ILK_OK);
  expect(ilk_latch_timedwait(l, -1), ILK_OK);
  expect(ilk_latch_add(l, 1), ILK_OK); /* it may rise again */
  expect(ilk_latch_trywait(l), ILK_EBUSY);
  free_latch(l); /* any count will do */
}
END_TEST

START_TEST(zero_lets_all_go_and_nothing_else_does)
{
  const int64_t timeouts[] = {-1, INT64_MAX, 3600 * SECOND, INT64_MIN};
  void *l = new_latch(3);
  struct waiter w[4];
  for (int i = 0; i < 4; i++)
    waiter_sleep(&w[i], ilk_latch_timedwait, l, timeouts[i]);
  expect(ilk_latch_free(l), ILK_EBUSY);
  expect(ilk_latch_count_down(l, 2), ILK_OK);
  expect(ilk_latch_add(l, 5), ILK_OK);
  expect(ilk_latch_count_down(l, 7), ILK_EINVAL);
  nap(2 * MS);
  for (int i = 0; i < 4; i++)
    expect(w[i].result, PENDING);
  expect(ilk_latch_count_down(l, 6), ILK_OK);
  for (int i = 0; i < 4; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  free_latch(l);
}
END_TEST

START_TEST(bug_4_stale_waiter_count_after_timeout)
{
  time_outs_leave_nobody(&shape);
}
END_TEST

START_TEST(cancel_ends_a_wait)
{
  void *l = new_latch(1);
  struct waiter w;
  waiter_sleep(&w, ilk_latch_timedwait, l, -1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  free_latch(l);
}
END_TEST

START_TEST(bug_3_signals_end_no_wait)
{
  signals_end_no_wait(&shape);
}
END_TEST

START_TEST(bug_12_fork_with_waiters)
{
  fork_with_waiters(&shape, NULL);
}
END_TEST

/* --- sets of tasks, one after the other ------------------------------------------------------ */

enum { WORKERS = 3, TASKS = 12 };

static struct {
  void *latch, *tasks, *left;
  int64_t done[TASKS]; /* plain */
  bool over;
} work;

static void *worker(void *unused)
{
  (void)unused;
  for (;;) {
    expect(ilk_semaphore_acquire(work.tasks), ILK_OK);
    if (work.over)
      return NULL;
    int64_t task = ilk_counter_fetch_add(work.left, -1) - 1;
    work.done[task]++;
    jitter();
    expect(ilk_latch_count_down(work.latch, 1), ILK_OK);
  }
}

/* A waiter sees the writes of each thread, and the wake for one set's end, if it arrives late, does
   not end the wait for the next set. */
START_TEST(wait_group)
{
  work.latch = new_latch(0);
  work.tasks = ilk_semaphore_new(0, 0);
  work.left = ilk_counter_new(0);
  pthread_t threads[WORKERS];
  for (int i = 0; i < WORKERS; i++)
    threads[i] = start(worker, NULL);
  for (int64_t end = stress_end(400); now() < end;) {
    int64_t n = 1 + below(TASKS);
    memset(work.done, 0, sizeof work.done);
    expect(ilk_counter_store(work.left, n), ILK_OK);
    expect(ilk_latch_add(work.latch, n), ILK_OK);
    expect(ilk_semaphore_release(work.tasks, n), ILK_OK);
    jitter();
    int result;
    do {
      result = ilk_latch_timedwait(work.latch, below(2) ? -1 : below(100) * US);
      must(result == ILK_OK || result == ILK_ETIMEDOUT);
    } while (result != ILK_OK);
    expect(ilk_latch_value(work.latch), 0);
    for (int i = 0; i < n; i++)
      expect(work.done[i], 1);
  }
  work.over = true;
  expect(ilk_semaphore_release(work.tasks, WORKERS), ILK_OK);
  for (int i = 0; i < WORKERS; i++)
    join(threads[i]);
  free_latch(work.latch);
  expect(ilk_semaphore_free(work.tasks), ILK_OK);
  expect(ilk_counter_free(work.left), ILK_OK);
}
END_TEST

/* --- freed
   ---------------------------------------------------------------------------------------- */

START_TEST(bug_1_freed_by_the_first_through)
{
  freed_by_the_first_through(&shape);
}
END_TEST

static void *new_latch_of_any(void)
{
  return new_latch(below(2));
}

static void use(void *l)
{
  int result;
  switch (below(5)) {
  case 0: result = ilk_latch_add(l, 1); break;
  case 1: result = ilk_latch_count_down(l, 1); break;
  case 2: result = ilk_latch_value(l) >= 0 ? ILK_OK : ilk_last_error(); break;
  case 3: result = ilk_latch_trywait(l); break;
  default: result = ilk_latch_timedwait(l, below(30) * US);
  }
  must(result == ILK_OK || result == ILK_EINVAL || result == ILK_EBUSY || result == ILK_EHANDLE ||
       result == ILK_ETIMEDOUT);
}

START_TEST(freed_while_hammered)
{
  freed_while_used(new_latch_of_any, use, ilk_latch_free);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("latch");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_count);
  tcase_add_test(calls, every_call_checks_its_handle);
  tcase_add_test(calls, the_count_and_its_limits);
  tcase_add_test(calls, zero_lets_all_go_and_nothing_else_does);
  tcase_add_test(calls, bug_4_stale_waiter_count_after_timeout);
  tcase_add_test(calls, cancel_ends_a_wait);
  tcase_add_test(calls, bug_3_signals_end_no_wait);
  tcase_add_test(calls, bug_12_fork_with_waiters);

  TCase *load = test_case(s, "load", 20);
  tcase_add_test(load, wait_group);
  tcase_add_test(load, bug_1_freed_by_the_first_through);
  tcase_add_test(load, freed_while_hammered);
  return run_suite(s);
}
