/* event.c. */
#include "shapes.h"

static void *new_event(void)
{
  void *e = ilk_event_new(0);
  must(e != NULL);
  return e;
}

static const struct shape shape = {new_event, ilk_event_timedwait, ilk_event_set, ilk_event_free,
                                   TIMES_OUT};

START_TEST(new_checks_its_flags)
{
  const int bad[] = {ILK_RECURSIVE, ILK_FAIR, ILK_UNOWNED, ILK_SHARED,
                     ILK_PADDED,    32,       -1,          INT32_MIN};
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
  expect(ilk_event_clear(e), ILK_OK); /* wakes no thread */
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
      waiter_sleep(&w[i], ilk_event_timedwait, e, PATIENCE);
    expect(ilk_event_set(e), ILK_OK);
    expect(ilk_event_clear(e), ILK_OK);
    for (int i = 0; i < 3; i++)
      expect(waiter_end(&w[i]), ILK_OK);
    expect(ilk_event_timedwait(e, 0), ILK_ETIMEDOUT); /* it was for those alone */
  }
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

/* A resumable wait, as the main thread of Python makes it. */
START_TEST(a_set_between_two_parts_was_lost)
{
  void *e = new_event();
  expect(ilk_wait_begin(e), ILK_OK);
  expect(ilk_event_timedwait(e, MS), ILK_ETIMEDOUT);
  expect(ilk_event_set(e), ILK_OK);
  expect(ilk_event_clear(e), ILK_OK);
  expect(ilk_event_timedwait(e, 0), ILK_ETIMEDOUT); /* a try checks the flag alone */
  expect(ilk_event_timedwait(e, 1), ILK_OK);
  expect(ilk_wait_end(e), ILK_OK);
  expect(ilk_event_timedwait(e, MS), ILK_ETIMEDOUT); /* the set was before this wait */
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(only_a_set_since_its_begin_ends_a_resumable_wait)
{
  void *e = new_event();
  for (int was_set = 0; was_set < 2; was_set++) {
    expect(ilk_event_set(e), ILK_OK);
    if (!was_set)
      expect(ilk_event_clear(e), ILK_OK);
    expect(ilk_wait_begin(e), ILK_OK);
    expect(ilk_event_clear(e), ILK_OK);
    expect(ilk_event_timedwait(e, MS), ILK_ETIMEDOUT);
    expect(ilk_wait_begin(e), ILK_OK); /* calls belong to the wait that began last */
    expect(ilk_event_timedwait(e, 1), ILK_ETIMEDOUT);
    expect(ilk_event_set(e), ILK_OK);
    expect(ilk_event_clear(e), ILK_OK);
    expect(ilk_wait_begin(e), ILK_OK);
    expect(ilk_event_timedwait(e, 1), ILK_ETIMEDOUT);
    expect(ilk_wait_end(e), ILK_OK);
    expect(ilk_event_timedwait(e, -1), ILK_OK);
    expect(ilk_wait_end(e), ILK_OK);
    expect(ilk_event_timedwait(e, -1), ILK_OK);
    expect(ilk_wait_end(e), ILK_OK);
  }
  expect(ilk_event_free(e), ILK_OK);
}
END_TEST

START_TEST(bug_4_stale_waiter_count_after_timeout)
{
  time_outs_leave_nobody(&shape);
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
  signals_end_no_wait(&shape);
}
END_TEST

static void expect_not_set(void *e)
{
  expect(ilk_event_timedwait(e, MS), ILK_ETIMEDOUT);
}

START_TEST(bug_12_fork_with_waiters)
{
  fork_with_waiters(&shape, expect_not_set);
}
END_TEST

START_TEST(bug_1_freed_by_the_first_through)
{
  freed_by_the_first_through(&shape);
}
END_TEST

/* --- no set is lost ----------------------------------------------------------------------- */

static struct {
  void *event;
  _Atomic int64_t data, seen; /* relaxed: they order nothing */
  int64_t end;
  _Atomic int64_t last; /* the writer's last number, once it knows */
} order;

static void *set_twice(void *unused)
{
  (void)unused;
  for (int64_t i = 2;; i += 2) {
    bool last = now() >= order.end;
    if (last)
      order.last = i;
    for (int64_t j = i - 1; j <= i; j++) {
      atomic_store_explicit(&order.data, j, memory_order_relaxed);
      expect(ilk_event_set(order.event), ILK_OK);
      spin(below(60));
    }
    while (atomic_load_explicit(&order.seen, memory_order_relaxed) != i)
      if (below(64) == 0)
        sched_yield();
    if (last)
      return NULL;
  }
}

/* The writer writes and then sets an event that may be set already; the reader clears it and
   then reads. If the second set were only a load, it might come before the write. */
START_TEST(set_again_comes_after_what_was_written)
{
  order.event = new_event();
  order.data = order.seen = 0;
  order.last = INT64_MAX;
  order.end = stress_end(300);
  pthread_t writer = start(set_twice, NULL);
  while (atomic_load_explicit(&order.seen, memory_order_relaxed) < order.last) {
    for (int i = 0; i < 200 && !ilk_event_is_set(order.event); i++)
      ;
    expect(ilk_event_timedwait(order.event, PATIENCE), ILK_OK);
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

/* Two sets without a clear: a waiter sees the writes before each. (ThreadSanitizer checks it.) */
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

/* Two threads take turns, and no other thread makes up for a lost wake. */
static struct {
  void *there, *back;
  _Atomic bool over;
} turns;

static void *pong(void *unused)
{
  (void)unused;
  for (bool over = false; !over;) {
    expect(ilk_event_wait(turns.there), ILK_OK);
    expect(ilk_event_clear(turns.there), ILK_OK);
    over = turns.over;
    expect(ilk_event_set(turns.back), ILK_OK);
  }
  return NULL;
}

START_TEST(ping_pong)
{
  turns.there = new_event();
  turns.back = new_event();
  turns.over = false;
  pthread_t other = start(pong, NULL);
  int64_t end = stress_end(200);
  for (int i = 0; !turns.over; i++) {
    turns.over = now() >= end;
    expect(ilk_event_set(turns.there), ILK_OK);
    expect(ilk_event_timedwait(turns.back, i % 2 ? 3600 * SECOND : INT64_MAX), ILK_OK);
    expect(ilk_event_clear(turns.back), ILK_OK);
  }
  join(other);
  expect(ilk_event_free(turns.there), ILK_OK);
  expect(ilk_event_free(turns.back), ILK_OK);
}
END_TEST

static void use(void *e)
{
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

START_TEST(freed_while_hammered)
{
  freed_while_used(new_event, use, ilk_event_free);
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
  tcase_add_test(calls, a_set_between_two_parts_was_lost);
  tcase_add_test(calls, only_a_set_since_its_begin_ends_a_resumable_wait);
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
