/* counter.c. Time-outs are test_block.c's. */
#include "support.h"

static void *new_counter(int64_t initial)
{
  void *c = ilk_counter_new(initial);
  must(c != NULL);
  return c;
}

static void free_counter(void *c)
{
  expect(ilk_counter_free(c), ILK_OK);
}

static const int64_t some_values[] = {
  0, 1, -1, 77, INT32_MAX, INT32_MIN, INT64_C(1) << 32, INT64_MAX, INT64_MIN + 1, INT64_MIN};

START_TEST(each_operation)
{
  int64_t value = some_values[_i];
  void *c = new_counter(value);
  expect(ilk_counter_load(c), value);
  expect(ilk_counter_store(c, 5), ILK_OK);
  expect(ilk_counter_load(c), 5);
  expect(ilk_counter_exchange(c, value), 5);
  expect(ilk_counter_exchange(c, 6), value);
  expect(ilk_counter_fetch_add(c, -7), 6);
  expect(ilk_counter_fetch_add(c, 1), -1);
  expect(ilk_counter_load(c), 0);
  expect(ilk_counter_store(c, value), ILK_OK);
  expect(ilk_counter_compare_exchange(c, value, 8), value);
  expect(ilk_counter_load(c), 8);
  expect(ilk_counter_compare_exchange(c, 9, value), 8); /* not stored */
  expect(ilk_counter_load(c), 8);
  expect(ilk_counter_compare_exchange(c, 8, value), 8);
  expect(ilk_counter_load(c), value);
  free_counter(c);
}
END_TEST

START_TEST(fetch_add_wraps)
{
  void *c = new_counter(INT64_MAX);
  expect(ilk_counter_fetch_add(c, 1), INT64_MAX);
  expect(ilk_counter_load(c), INT64_MIN);
  expect(ilk_counter_fetch_add(c, -1), INT64_MIN);
  expect(ilk_counter_fetch_add(c, INT64_MIN), INT64_MAX);
  expect(ilk_counter_load(c), -1);
  free_counter(c);
}
END_TEST

/* ILK_NO_VALUE may be the value: last_error is then what it was before. */
START_TEST(no_value_as_a_value)
{
  expect(ilk_thread_yield(), ILK_OK);
  expect_null(ilk_mutex_new(-1), ILK_EINVAL);
  void *c = new_counter(ILK_NO_VALUE);
  expect(ilk_counter_load(c), ILK_NO_VALUE);
  expect(ilk_counter_exchange(c, ILK_NO_VALUE), ILK_NO_VALUE);
  expect(ilk_counter_fetch_add(c, 0), ILK_NO_VALUE);
  expect(ilk_counter_compare_exchange(c, 3, 4), ILK_NO_VALUE);
  expect(ilk_last_error(), ILK_EINVAL);
  expect(ilk_counter_free(c), ILK_OK);
  expect_no_value(ilk_counter_load(c), ILK_EHANDLE);
}
END_TEST

/* --- all at once ------------------------------------------------------------------------ */

enum { THREADS = 4, ROUNDS = JITTERED ? 4000 : 20000 };
static void *shared[2];
static _Atomic int64_t total;

static void *add(void *unused)
{
  (void)unused;
  for (int i = 0; i < ROUNDS; i++)
    ilk_counter_fetch_add(shared[0], i % 2 ? 3 : -1);
  return NULL;
}

static void *increment_by_compare_exchange(void *unused)
{
  (void)unused;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t value = ilk_counter_load(shared[0]), seen;
    while ((seen = ilk_counter_compare_exchange(shared[0], value, value + 1)) != value)
      value = seen;
  }
  return NULL;
}

/* Numbers are swapped in and out: none is lost or doubled, so their sum stays. */
static void *swap(void *unused)
{
  (void)unused;
  int64_t sum = 0;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t mine = below(1000);
    sum += ilk_counter_exchange(shared[0], mine) - mine;
  }
  total += sum;
  return NULL;
}

START_TEST(sums_are_exact)
{
  shared[0] = new_counter(0);
  in_threads(THREADS, add, NULL);
  expect(ilk_counter_load(shared[0]), THREADS * ROUNDS);
  in_threads(THREADS, increment_by_compare_exchange, NULL);
  expect(ilk_counter_load(shared[0]), 2 * THREADS * ROUNDS);
  in_threads(THREADS, swap, NULL);
  expect(ilk_counter_load(shared[0]) + total, 2 * THREADS * ROUNDS);
  free_counter(shared[0]);
}
END_TEST

static struct {
  pthread_barrier_t begin, end;
  int64_t saw[2];
} dekker;

static void *store_then_load(void *argument)
{
  int mine = *(int *)argument;
  for (int i = 0; i < ROUNDS / 4; i++) {
    pthread_barrier_wait(&dekker.begin);
    spin(below(20));
    ilk_counter_store(shared[mine], 1);
    dekker.saw[mine] = ilk_counter_load(shared[!mine]);
    pthread_barrier_wait(&dekker.end);
  }
  return NULL;
}

/* Each stores, then loads what the other stores: not both may load the old value. A weaker
   store fails here, on x86 too. */
START_TEST(sequentially_consistent)
{
  int which[2] = {0, 1};
  pthread_barrier_init(&dekker.begin, NULL, 3);
  pthread_barrier_init(&dekker.end, NULL, 3);
  for (int i = 0; i < 2; i++)
    shared[i] = new_counter(0);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++)
    threads[i] = start(store_then_load, &which[i]);
  for (int i = 0; i < ROUNDS / 4; i++) {
    ilk_counter_store(shared[0], 0);
    ilk_counter_store(shared[1], 0);
    pthread_barrier_wait(&dekker.begin);
    pthread_barrier_wait(&dekker.end);
    must(dekker.saw[0] || dekker.saw[1]);
  }
  for (int i = 0; i < 2; i++) {
    join(threads[i]);
    free_counter(shared[i]);
  }
}
END_TEST

/* --- wait ---------------------------------------------------------------------------------- */

START_TEST(wait_for_what_is_reached)
{
  void *c = new_counter(5);
  for (int64_t at_least = 3; at_least <= 5; at_least++) {
    expect(ilk_counter_wait(c, at_least), ILK_OK);
    expect(ilk_counter_timedwait(c, at_least, 0), ILK_OK);
    expect(ilk_counter_timedwait(c, at_least, -1), ILK_OK);
  }
  expect(ilk_counter_wait(c, INT64_MIN), ILK_OK);
  expect(ilk_counter_timedwait(c, 6, 0), ILK_ETIMEDOUT);
  expect(ilk_counter_timedwait(c, 6, MS), ILK_ETIMEDOUT);
  expect(ilk_counter_timedwait(c, INT64_MAX, 1), ILK_ETIMEDOUT);
  expect(ilk_counter_store(c, INT64_MAX), ILK_OK);
  expect(ilk_counter_wait(c, INT64_MAX), ILK_OK);
  free_counter(c);
}
END_TEST

static int call_wait_for_3(void *c, int64_t timeout_ns)
{
  return ilk_counter_timedwait(c, 3, timeout_ns);
}
static int call_wait_for_7(void *c, int64_t timeout_ns)
{
  return timeout_ns == -1 ? ilk_counter_wait(c, 7) : ilk_counter_timedwait(c, 7, timeout_ns);
}

static void change(void *c, int how, int64_t value)
{
  int64_t old = ilk_counter_load(c);
  switch (how) {
  case 0: expect(ilk_counter_store(c, value), ILK_OK); break;
  case 1: expect(ilk_counter_exchange(c, value), old); break;
  case 2: expect(ilk_counter_fetch_add(c, value - old), old); break;
  default: expect(ilk_counter_compare_exchange(c, old, value), old);
  }
}

/* Every change wakes the threads that wait for that value, and only them. */
START_TEST(each_change_wakes)
{
  void *c = new_counter(0);
  struct waiter low[2], high[2];
  for (int i = 0; i < 2; i++) {
    waiter_sleep(&low[i], call_wait_for_3, c, i ? -1 : 3600 * SECOND);
    waiter_sleep(&high[i], call_wait_for_7, c, i ? -1 : 3600 * SECOND);
  }
  change(c, _i, 2);
  change(c, _i, -5);
  nap(2 * MS);
  expect(low[0].result, PENDING);
  change(c, _i, 3);
  expect(waiter_end(&low[0]), ILK_OK);
  expect(waiter_end(&low[1]), ILK_OK);
  nap(2 * MS);
  expect(high[0].result, PENDING);
  expect(high[1].result, PENDING);
  change(c, _i, 100);
  expect(waiter_end(&high[0]), ILK_OK);
  expect(waiter_end(&high[1]), ILK_OK);
  free_counter(c);
}
END_TEST

static long times_asleep(int tid)
{
  char path[64], line[256];
  long n = -1;
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  FILE *file = fopen(path, "r");
  must(file != NULL);
  while (n < 0 && fgets(line, sizeof line, file))
    if (!strncmp(line, "voluntary_ctxt_switches:", 24))
      n = atol(line + 24);
  fclose(file);
  return n;
}

static int call_wait_for_1000(void *counter, int64_t timeout_ns)
{
  return ilk_counter_timedwait(counter, 1000, timeout_ns);
}

/* Else a storm of changes keeps a waiter from sleeping at all, and its time-outs come late. */
START_TEST(a_change_below_what_is_awaited_wakes_nobody)
{
  void *c = ilk_counter_new(0);
  struct waiter low, high;
  waiter_sleep(&high, call_wait_for_1000, c, -1);
  long before = times_asleep(high.tid);
  for (int i = 0; i < 100; i++) {
    ilk_counter_fetch_add(c, -1);
    nap(100 * US);
  }
  must(times_asleep(high.tid) - before < 10);
  waiter_sleep(&low, call_wait_for_1, c, -1); /* each is woken at its own value */
  expect(ilk_counter_store(c, 1), ILK_OK);
  expect(waiter_end(&low), ILK_OK);
  waiter_until_asleep(&high);
  expect(ilk_counter_store(c, 0), ILK_OK);
  expect(ilk_counter_exchange(c, 1000), 0);
  expect(waiter_end(&high), ILK_OK);
  expect(ilk_counter_free(c), ILK_OK);
}
END_TEST

START_TEST(free_while_waited_for)
{
  void *c = new_counter(0);
  struct waiter w;
  waiter_sleep(&w, call_wait_for_1, c, -1);
  expect(ilk_counter_free(c), ILK_EBUSY);
  expect(w.result, PENDING);
  expect(ilk_counter_fetch_add(c, 1), 0);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_counter_free(c), ILK_OK);
  expect(ilk_counter_free(c), ILK_EHANDLE);
}
END_TEST

START_TEST(stale_waiter_count_after_timeout_musl_159d1f6c)
{
  void *c = new_counter(0);
  struct waiter waiters[4];
  for (int i = 0; i < LENGTH(waiters); i++)
    waiter_start(&waiters[i], call_wait_for_1, c, (i + 1) * MS);
  for (int i = 0; i < LENGTH(waiters); i++)
    expect(waiter_end(&waiters[i]), ILK_ETIMEDOUT);
  free_counter(c);
}
END_TEST

static int64_t letter[2]; /* plain memory that the counter orders */
static bool last_letter;  /* too */

static void *pong(void *unused)
{
  (void)unused;
  bool last = false;
  for (int64_t i = 1; !last; i++) {
    expect(ilk_counter_wait(shared[0], i), ILK_OK);
    expect(letter[0], i);
    last = last_letter;
    letter[1] = -i;
    ilk_counter_fetch_add(shared[1], 1);
  }
  return NULL;
}

/* Two threads take turns: a lost wake stops both, a missing order shows in the letters. */
START_TEST(missing_release_or_acquire_nsync_88fa032)
{
  shared[0] = new_counter(0);
  shared[1] = new_counter(0);
  last_letter = false;
  pthread_t other = start(pong, NULL);
  int64_t end = stress_end(200);
  for (int64_t i = 1; !last_letter; i++) {
    letter[0] = i;
    last_letter = now() >= end;
    ilk_counter_store(shared[0], i);
    expect(ilk_counter_timedwait(shared[1], i, i % 2 ? INT64_MAX : -1), ILK_OK);
    expect(letter[1], -i);
  }
  join(other);
  free_counter(shared[0]);
  free_counter(shared[1]);
}
END_TEST

/* --- freed as soon as it was reached ---------------------------------------------------- */

static struct {
  void *_Atomic counter;
  _Atomic bool over;
} post;

static void *add_to_each(void *unused)
{
  (void)unused;
  void *last = NULL;
  while (!post.over) {
    void *c = post.counter;
    if (c == last)
      continue;
    last = c;
    expect(ilk_counter_fetch_add(c, 1), 0);
  }
  return NULL;
}

START_TEST(touch_after_release_glibc_12674)
{
  post.counter = new_counter(0);
  pthread_t adder = start(add_to_each, NULL);
  for (int64_t end = stress_end(150); now() < end;) {
    expect(ilk_counter_wait(post.counter, 1), ILK_OK);
    free_counter(post.counter);
    void *successors[2] = {new_counter(5), ilk_semaphore_new(3, 3)};
    spin(below(300));
    expect(ilk_counter_load(successors[0]), 5);
    expect(ilk_semaphore_value(successors[1]), 3);
    free_counter(successors[0]);
    expect(ilk_semaphore_free(successors[1]), ILK_OK);
    post.counter = new_counter(0);
  }
  expect(ilk_counter_wait(post.counter, 1), ILK_OK);
  post.over = true;
  join(adder);
  free_counter(post.counter);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("counter");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_loop_test(calls, each_operation, 0, LENGTH(some_values));
  tcase_add_test(calls, fetch_add_wraps);
  tcase_add_test(calls, no_value_as_a_value);

  TCase *load = test_case(s, "load", 20);
  tcase_add_test(load, sums_are_exact);
  tcase_add_test(load, sequentially_consistent);
  tcase_add_test(load, missing_release_or_acquire_nsync_88fa032);
  tcase_add_test(load, touch_after_release_glibc_12674);

  TCase *waiting = test_case(s, "wait", 20);
  tcase_add_test(waiting, wait_for_what_is_reached);
  tcase_add_loop_test(waiting, each_change_wakes, 0, 4);
  tcase_add_test(waiting, a_change_below_what_is_awaited_wakes_nobody);
  tcase_add_test(waiting, free_while_waited_for);
  tcase_add_test(waiting, stale_waiter_count_after_timeout_musl_159d1f6c);
  return run_suite(s);
}
