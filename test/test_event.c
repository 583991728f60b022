/* event.c. */
#include "support.h"

#include <sys/wait.h>

static void *new_event(void)
{
  void *e = ilk_event_new(0);
  must(e != NULL);
  return e;
}

START_TEST(new_checks_its_flags)
{
  const int bad[] = {ILK_RECURSIVE, ILK_FAIR, ILK_UNOWNED, ILK_SHARED, ILK_PADDED, 32, -1, INT32_MIN};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_event_new(bad[i]), ILK_EINVAL);
}
END_TEST

START_TEST(every_call_checks_its_handle)
{
  void *freed = new_event(), *other = ilk_counter_new(0);
  expect(ilk_event_free(freed), ILK_OK);
  void *bad[] = {NULL, freed, other, (void *)-1, (void *)1, &freed, (void *)((uintptr_t)other ^ 1)};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_event_set(bad[i]), ILK_EHANDLE);
    expect(ilk_event_clear(bad[i]), ILK_EHANDLE);
    expect(ilk_event_is_set(bad[i]), ILK_EHANDLE);
    expect(ilk_event_wait(bad[i]), ILK_EHANDLE);
    expect(ilk_event_timedwait(bad[i], 0), ILK_EHANDLE);
    expect(ilk_event_free(bad[i]), ILK_EHANDLE);
    expect(ilk_last_error(), ILK_EHANDLE);
  }
  expect(ilk_counter_load(other), 0);
  expect(ilk_counter_free(other), ILK_OK);
}
END_TEST

START_TEST(set_and_clear)
{
  void *e = new_event();
  for (int round = 0; round < 3; round++) {
    expect(ilk_event_is_set(e), 0);
    expect(ilk_event_timedwait(e, 0), ILK_ETIMEDOUT);
    int64_t begin = now();
    expect(ilk_event_timedwait(e, 3 * MS), ILK_ETIMEDOUT);
    must(now() - begin >= 3 * MS);
    for (int twice = 0; twice < 2; twice++) {
      expect(ilk_event_set(e), ILK_OK);
      expect(ilk_event_is_set(e), 1);
      expect(ilk_event_wait(e), ILK_OK);
      expect(ilk_event_timedwait(e, 0), ILK_OK);
      expect(ilk_event_timedwait(e, INT64_MAX), ILK_OK);
    }
    for (int twice = 0; twice < 2; twice++)
      expect(ilk_event_clear(e), ILK_OK);
  }
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

#define WAITERS 6

START_TEST(set_lets_all_go)
{
  const int64_t timeouts[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 1, 3600 * SECOND, -1};
  void *e = new_event();
  struct waiter w[WAITERS];
  for (int i = 0; i < WAITERS; i++)
    waiter_sleep(&w[i], ilk_event_timedwait, e, timeouts[i]);
  expect(ilk_event_free(e), ILK_EBUSY);
  expect(ilk_event_clear(e), ILK_OK); /* lets nobody go */
  nap(2 * MS);
  for (int i = 0; i < WAITERS; i++)
    expect(w[i].result, PENDING);
  expect(ilk_event_set(e), ILK_OK);
  for (int i = 0; i < WAITERS; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(set_and_cleared_at_once_lets_all_go)
{
  void *e = new_event();
  for (int round = 0; round < 20; round++) {
    struct waiter w[3];
    for (int i = 0; i < 3; i++)
      waiter_sleep(&w[i], ilk_event_timedwait, e, 10 * SECOND);
    expect(ilk_event_set(e), ILK_OK);
    expect(ilk_event_clear(e), ILK_OK);
    for (int i = 0; i < 3; i++)
      expect(waiter_end(&w[i]), ILK_OK);
    expect(ilk_event_timedwait(e, 0), ILK_ETIMEDOUT); /* it was for those alone */
  }
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(bug_4_stale_waiter_count_after_timeout)
{
  void *e = new_event();
  struct waiter w[4];
  for (int i = 0; i < 4; i++)
    waiter_start(&w[i], ilk_event_timedwait, e, (i + 1) * MS);
  for (int i = 0; i < 4; i++)
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(cancel_ends_a_wait)
{
  void *e = new_event();
  struct waiter w;
  waiter_sleep(&w, ilk_event_timedwait, e, -1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_event_wait(e), ILK_ECANCELED);
  expect(ilk_event_set(e), ILK_OK);
  expect(ilk_event_wait(e), ILK_OK); /* nothing to wait for */
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_event_clear(e), ILK_OK);
  expect(ilk_event_timedwait(e, 1), ILK_ETIMEDOUT);
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(bug_3_signals_end_no_wait)
{
  void *e = new_event();
  struct waiter w[3];
  waiter_sleep(&w[0], ilk_event_timedwait, e, -1);
  waiter_sleep(&w[1], ilk_event_timedwait, e, 3600 * SECOND);
  int64_t begin = now();
  waiter_start(&w[2], ilk_event_timedwait, e, 30 * MS);
  pthread_t threads[3] = {w[0].thread, w[1].thread, w[2].thread};
  struct storm storm;
  storm_start(&storm, threads, 3);
  while (w[2].result == PENDING)
    sched_yield();
  must(now() - begin >= 30 * MS);
  storm_end(&storm);
  expect(waiter_end(&w[2]), ILK_ETIMEDOUT);
  expect(w[0].result, PENDING);
  expect(w[1].result, PENDING);
  expect(ilk_event_set(e), ILK_OK);
  expect(waiter_end(&w[0]), ILK_OK);
  expect(waiter_end(&w[1]), ILK_OK);
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(bug_12_fork_with_waiters)
{
  void *e = new_event();
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_event_timedwait, e, -1);
  pid_t child = fork();
  if (child == 0) {
    expect(ilk_event_timedwait(e, MS), ILK_ETIMEDOUT);
    if (!TSAN) { /* which knows no thread in such a child */
      struct waiter own;
      waiter_sleep(&own, ilk_event_timedwait, e, -1);
      expect(ilk_event_set(e), ILK_OK);
      expect(waiter_end(&own), ILK_OK);
    }
    expect(ilk_event_free(e), ILK_OK);
    _exit(0);
  }
  int status;
  must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  expect(ilk_event_set(e), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

/* --- freed by the first that gets through ------------------------------------------------ */

static struct {
  void *event;
  _Atomic int through, ready;
} freed;

static void *wait_and_free(void *unused)
{
  (void)unused;
  void *e = freed.event;
  freed.ready++;
  if (below(2))
    jitter();
  int result = ilk_event_wait(e);
  if (freed.through++ == 0)
    expect(ilk_event_free(e), ILK_OK); /* the others are on their way */
  must(result == ILK_OK || result == ILK_EHANDLE); /* too late to wait at all */
  return NULL;
}

START_TEST(bug_1_freed_by_the_first_through)
{
  for (int64_t end = stress_end(300); now() < end;) {
    freed.event = new_event();
    freed.through = freed.ready = 0;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
      threads[i] = start(wait_and_free, NULL);
    if (below(2))
      while (freed.ready < 4)
        sched_yield();
    jitter();
    if (below(2))
      nap(100 * US);
    expect(ilk_event_set(freed.event), ILK_OK);
    /* Bug 2: whatever is made in its place, a late wake does not end its waits. */
    void *successors[2] = {new_event(), ilk_semaphore_new(0, 0)};
    expect(ilk_event_timedwait(successors[0], 20 * US), ILK_ETIMEDOUT);
    expect(ilk_semaphore_timedacquire(successors[1], 20 * US), ILK_ETIMEDOUT);
    for (int i = 0; i < 4; i++)
      join(threads[i]);
    expect(ilk_event_free(successors[0]), ILK_OK);
    expect(ilk_semaphore_free(successors[1]), ILK_OK);
  }
}
END_TEST

/* --- no set is lost ----------------------------------------------------------------------- */

static struct {
  void *event;
  _Atomic int64_t data, seen; /* relaxed: they order nothing */
  int rounds;
} order;

static void *set_twice(void *unused)
{
  (void)unused;
  for (int64_t i = 2; i <= order.rounds; i += 2) {
    for (int64_t j = i - 1; j <= i; j++) {
      atomic_store_explicit(&order.data, j, memory_order_relaxed);
      expect(ilk_event_set(order.event), ILK_OK);
      spin(below(60));
    }
    while (atomic_load_explicit(&order.seen, memory_order_relaxed) != i)
      if (below(64) == 0)
        sched_yield();
  }
  return NULL;
}

/* The writer writes and then sets what may be set already; the reader clears and
   then reads. If the second set is only a look, it may come before its write. */
START_TEST(set_again_comes_after_what_was_written)
{
  order.event = new_event();
  order.data = order.seen = 0;
  order.rounds = (int)((TSAN ? 10000 : 200000) * scale()) & ~1;
  pthread_t writer = start(set_twice, NULL);
  while (atomic_load_explicit(&order.seen, memory_order_relaxed) < order.rounds) {
    for (int i = 0; i < 200 && !ilk_event_is_set(order.event); i++)
      ;
    expect(ilk_event_timedwait(order.event, 3 * SECOND), ILK_OK);
    expect(ilk_event_clear(order.event), ILK_OK);
    int64_t data = atomic_load_explicit(&order.data, memory_order_relaxed);
    atomic_store_explicit(&order.seen, data, memory_order_relaxed);
  }
  join(writer);
  expect(ilk_event_free(order.event), ILK_OK);
}
END_TEST

static struct {
  void *event;
  int64_t first, second;   /* plain */
  _Atomic bool both, over; /* relaxed: they order nothing */
} twice;

static void *second_set(void *unused)
{
  (void)unused;
  twice.second = 2;
  expect(ilk_event_set(twice.event), ILK_OK);
  atomic_store_explicit(&twice.both, true, memory_order_relaxed);
  while (!atomic_load_explicit(&twice.over, memory_order_relaxed))
    sched_yield();
  return NULL;
}

static void *see_both(void *unused)
{
  (void)unused;
  while (!atomic_load_explicit(&twice.both, memory_order_relaxed))
    sched_yield();
  expect(ilk_event_wait(twice.event), ILK_OK);
  expect(twice.first, 1);
  expect(twice.second, 2);
  atomic_store_explicit(&twice.over, true, memory_order_relaxed);
  return NULL;
}

/* Two sets without a clear: who waits sees what came before each. (ThreadSanitizer tells.) */
START_TEST(each_set_orders_memory)
{
  for (int i = 0; i < 20; i++) {
    twice.event = new_event();
    twice.first = twice.second = 0;
    twice.both = twice.over = false;
    pthread_t reader = start(see_both, NULL);
    twice.first = 1;
    expect(ilk_event_set(twice.event), ILK_OK);
    pthread_t setter = start(second_set, NULL);
    join(reader);
    join(setter);
    expect(ilk_event_free(twice.event), ILK_OK);
  }
}
END_TEST

/* Two threads take turns, with nobody else to make up for a lost wake. */
static void *pong(void *argument)
{
  void **pair = argument;
  for (int i = 0; i < 5000; i++) {
    expect(ilk_event_wait(pair[0]), ILK_OK);
    expect(ilk_event_clear(pair[0]), ILK_OK);
    expect(ilk_event_set(pair[1]), ILK_OK);
  }
  return NULL;
}

START_TEST(ping_pong)
{
  void *pair[2] = {new_event(), new_event()};
  pthread_t other = start(pong, pair);
  for (int i = 0; i < 5000; i++) {
    expect(ilk_event_set(pair[0]), ILK_OK);
    expect(ilk_event_timedwait(pair[1], i % 2 ? 3600 * SECOND : INT64_MAX), ILK_OK);
    expect(ilk_event_clear(pair[1]), ILK_OK);
  }
  join(other);
  expect(ilk_event_free(pair[0]), ILK_OK);
  expect(ilk_event_free(pair[1]), ILK_OK);
}
END_TEST

/* --- freed while it is hammered ------------------------------------------------------------- */

static struct {
  void *_Atomic event;
  _Atomic bool over;
} hammered;

static void *hammer(void *unused)
{
  (void)unused;
  while (!hammered.over) {
    void *e = hammered.event;
    int result;
    switch (below(5)) {
    case 0: result = ilk_event_set(e); break;
    case 1: result = ilk_event_clear(e); break;
    case 2: result = ilk_event_is_set(e); break;
    case 3: result = ilk_event_timedwait(e, 0); break;
    default: result = ilk_event_timedwait(e, below(30) * US);
    }
    must(result == ILK_OK || result == 1 || result == ILK_EHANDLE || result == ILK_ETIMEDOUT);
  }
  return NULL;
}

START_TEST(freed_while_hammered)
{
  hammered.event = new_event();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(hammer, NULL);
  for (int64_t end = stress_end(250); now() < end;) {
    void *old = hammered.event;
    jitter();
    int result = ilk_event_free(old);
    if (result == ILK_OK) {
      expect(ilk_event_set(old), ILK_EHANDLE);
      hammered.event = new_event();
    } else {
      expect(result, ILK_EBUSY);
    }
  }
  hammered.over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  expect(ilk_event_free(hammered.event), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("event");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_flags);
  tcase_add_test(calls, every_call_checks_its_handle);
  tcase_add_test(calls, set_and_clear);
  tcase_add_test(calls, set_lets_all_go);
  tcase_add_test(calls, set_and_cleared_at_once_lets_all_go);
  tcase_add_test(calls, bug_4_stale_waiter_count_after_timeout);
  tcase_add_test(calls, cancel_ends_a_wait);
  tcase_add_test(calls, bug_3_signals_end_no_wait);
  tcase_add_test(calls, bug_12_fork_with_waiters);

  TCase *load = test_case(s, "load", 20);
  tcase_add_test(load, bug_1_freed_by_the_first_through);
  tcase_add_test(load, set_again_comes_after_what_was_written);
  tcase_add_test(load, each_set_orders_memory);
  tcase_add_test(load, ping_pong);
  tcase_add_test(load, freed_while_hammered);
  return run_suite(s);
}
