/* lockarray.c, and the lock in a word that it shares with word.c. */
#include <limits.h>
#include <sys/mman.h>
#include "support.h"

static const int all_flags[] = {0, ILK_PADDED};

static void *new_array(int64_t n, int flags)
{
  void *a = ilk_lockarray_new(n, flags);
  must(a != NULL);
  return a;
}

static void free_array(void *a)
{
  expect(ilk_lockarray_free(a), ILK_OK);
}

/* The lock that the calls below are about. */
static _Atomic int64_t at;

static int call_one(void *a, int64_t timeout_ns)
{
  return ilk_lockarray_timedlock(a, at, timeout_ns);
}

static int call_try(void *a, int64_t unused)
{
  (void)unused;
  return ilk_lockarray_trylock(a, at);
}

static int call_give(void *a, int64_t unused)
{
  (void)unused;
  return ilk_lockarray_unlock(a, at);
}

/* Acquires it and releases it. */
static int call_pass(void *a, int64_t timeout_ns)
{
  int64_t i = at;
  int result = ilk_lockarray_timedlock(a, i, timeout_ns);
  if (result >= 0)
    expect(ilk_lockarray_unlock(a, i), ILK_OK);
  return result;
}

static int call_cancel(void *unused, int64_t on)
{
  (void)unused;
  return ilk_cancel((int)on);
}

/* The result of another thread's try of that lock, which does not keep it. */
static int other_try(void *a, int64_t i)
{
  at = i;
  int result = elsewhere(call_pass, a, 0);
  return result;
}

START_TEST(new_checks_its_arguments)
{
  const int64_t none[] = {0, -1, INT64_MIN};
  for (int i = 0; i < LENGTH(none); i++)
    expect_null(ilk_lockarray_new(none[i], 0), ILK_EINVAL);
  const int bad[] = {1, 2, 4, 8, 17, 32, -1, INT_MIN};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_lockarray_new(1, bad[i]), ILK_EINVAL);
  const int64_t huge[] = {INT64_MAX, INT64_MAX / 4, INT64_MAX / 64, INT64_C(1) << 55};
  for (int i = 0; i < LENGTH(huge); i++)
    for (int f = 0; f < LENGTH(all_flags); f++)
      expect_null(ilk_lockarray_new(huge[i], all_flags[f]), ILK_ENOMEM);
}
END_TEST

START_TEST(lock_and_unlock)
{
  void *a = new_array(5, all_flags[_i]);
  for (int64_t i = 0; i < 5; i++) {
    expect(i == 0   ? ilk_lockarray_lock(a, i)
           : i == 1 ? ilk_lockarray_trylock(a, i)
                    : ilk_lockarray_timedlock(a, i, SECOND),
           ILK_OK);
    at = i;
    expect(elsewhere(call_try, a, 0), ILK_EBUSY);
    expect(elsewhere(call_one, a, 0), ILK_ETIMEDOUT);
    expect(elsewhere(call_one, a, MS), ILK_ETIMEDOUT);
    expect(elsewhere(call_give, a, 0), ILK_EPERM);
    expect(ilk_lockarray_lock(a, i), ILK_EDEADLK);
    expect(ilk_lockarray_timedlock(a, i, SECOND), ILK_EDEADLK);
    expect(ilk_lockarray_timedlock(a, i, 0), ILK_ETIMEDOUT);
    expect(ilk_lockarray_trylock(a, i), ILK_EBUSY);
    expect(other_try(a, (i + 1) % 5), i == 4 ? ILK_ETIMEDOUT : ILK_OK);
    if (i == 0)
      continue; /* stays locked: the others do not mind */
    expect(ilk_lockarray_unlock(a, i), ILK_OK);
    expect(ilk_lockarray_unlock(a, i), ILK_EPERM);
  }
  expect(ilk_lockarray_unlock(a, 0), ILK_OK);
  free_array(a);
}
END_TEST

START_TEST(indices_are_checked)
{
  void *a = new_array(3, all_flags[_i]);
  const int64_t bad[] = {3, -1, 4, INT64_MAX, INT64_MIN, INT64_C(1) << 62};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_lockarray_lock(a, bad[i]), ILK_EINVAL);
    expect(ilk_lockarray_trylock(a, bad[i]), ILK_EINVAL);
    expect(ilk_lockarray_timedlock(a, bad[i], 0), ILK_EINVAL);
    expect(ilk_lockarray_unlock(a, bad[i]), ILK_EINVAL);
    expect(ilk_lockarray_lock_pair(a, 0, bad[i]), ILK_EINVAL);
    expect(ilk_lockarray_lock_pair(a, bad[i], 0), ILK_EINVAL);
    expect(ilk_lockarray_unlock_pair(a, 0, bad[i]), ILK_EINVAL);
    expect(ilk_lockarray_unlock_pair(a, bad[i], 0), ILK_EINVAL);
    if (bad[i] != 3) {
      expect(ilk_lockarray_lock_range(a, 0, bad[i]), ILK_EINVAL);
      expect(ilk_lockarray_unlock_range(a, 0, bad[i]), ILK_EINVAL);
      expect(ilk_lockarray_lock_range(a, bad[i], bad[i]), ILK_EINVAL);
    }
  }
  expect(ilk_lockarray_lock_range(a, 2, 1), ILK_EINVAL);
  expect(ilk_lockarray_unlock_range(a, 2, 1), ILK_EINVAL);
  expect(ilk_lockarray_lock_range(a, 0, 4), ILK_EINVAL);
  for (int64_t i = 0; i < 3; i++)
    expect(other_try(a, i), ILK_OK);
  free_array(a);
}
END_TEST

START_TEST(any_value_as_a_handle)
{
  void *freed = new_array(1, 0), *mutex = ilk_mutex_new(0);
  free_array(freed);
  void *const bad[] = {NULL,
                       freed,
                       mutex,
                       &at,
                       (void *)1,
                       (void *)UINTPTR_MAX,
                       (void *)((uintptr_t)freed ^ 1),
                       (void *)((uintptr_t)freed ^ (uintptr_t)1 << (sizeof(void *) * 8 - 8))};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_lockarray_lock(bad[i], 0), ILK_EHANDLE);
    expect(ilk_lockarray_trylock(bad[i], 0), ILK_EHANDLE);
    expect(ilk_lockarray_timedlock(bad[i], 0, 0), ILK_EHANDLE);
    expect(ilk_lockarray_unlock(bad[i], 0), ILK_EHANDLE);
    expect(ilk_lockarray_lock_pair(bad[i], 0, 0), ILK_EHANDLE);
    expect(ilk_lockarray_unlock_pair(bad[i], 0, 0), ILK_EHANDLE);
    expect(ilk_lockarray_lock_range(bad[i], 0, 1), ILK_EHANDLE);
    expect(ilk_lockarray_unlock_range(bad[i], 0, 1), ILK_EHANDLE);
    expect(ilk_lockarray_free(bad[i]), ILK_EHANDLE);
    expect(ilk_last_error(), ILK_EHANDLE);
  }
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

START_TEST(free_of_one_in_use)
{
  void *a = new_array(1000, all_flags[_i]);
  expect(ilk_lockarray_lock(a, 999), ILK_OK);
  expect(ilk_lockarray_free(a), ILK_EBUSY); /* held by the caller */
  at = 999;
  struct waiter w;
  waiter_sleep(&w, call_pass, a, -1);
  expect(ilk_lockarray_free(a), ILK_EBUSY);
  expect(ilk_lockarray_unlock(a, 999), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_lockarray_lock(a, 0), ILK_OK);
  expect(elsewhere(ilk_lockarray_trylock, a, 1), ILK_OK); /* and dies */
  expect(ilk_lockarray_free(a), ILK_EBUSY);
  expect(ilk_lockarray_unlock(a, 0), ILK_OK);
  free_array(a); /* what a dead thread holds does not count */
}
END_TEST

static void *free_in_use(void *a)
{
  while (!at)
    expect(ilk_lockarray_free(a), ILK_EBUSY);
  return NULL;
}

START_TEST(a_free_of_one_in_use_made_tries_fail)
{
  int64_t n = 100000;
  void *a = new_array(n, 0);
  expect(ilk_lockarray_lock_range(a, 0, n), ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 0, n - 1), ILK_OK);
  at = 0;
  pthread_t thread = start(free_in_use, a);
  for (int i = 0; i < 10000; i++) {
    expect(ilk_lockarray_trylock(a, 0), ILK_OK);
    expect(ilk_lockarray_unlock(a, 0), ILK_OK);
  }
  at = 1;
  join(thread);
  expect(ilk_lockarray_unlock(a, n - 1), ILK_OK);
  free_array(a);
}
END_TEST

START_TEST(pairs)
{
  void *a = new_array(4, all_flags[_i]);
  expect(ilk_lockarray_lock_pair(a, 2, 1), ILK_OK);
  expect(other_try(a, 0), ILK_OK);
  expect(other_try(a, 1), ILK_ETIMEDOUT);
  expect(other_try(a, 2), ILK_ETIMEDOUT);
  expect(ilk_lockarray_unlock_pair(a, 1, 3), ILK_EPERM); /* and nothing is released */
  expect(ilk_lockarray_unlock_pair(a, 0, 2), ILK_EPERM);
  expect(other_try(a, 1), ILK_ETIMEDOUT);
  expect(other_try(a, 2), ILK_ETIMEDOUT);
  expect(ilk_lockarray_unlock_pair(a, 1, 2), ILK_OK);
  expect(ilk_lockarray_unlock_pair(a, 1, 2), ILK_EPERM);

  expect(ilk_lockarray_lock_pair(a, 3, 3), ILK_OK);
  expect(other_try(a, 3), ILK_ETIMEDOUT);
  expect(ilk_lockarray_unlock_pair(a, 3, 3), ILK_OK);

  /* The second fails: the first is released. */
  expect(ilk_lockarray_lock(a, 2), ILK_OK);
  expect(ilk_lockarray_lock_pair(a, 0, 2), ILK_EDEADLK);
  expect(ilk_lockarray_timedlock_pair(a, 0, 2, 1), ILK_EDEADLK); /* though the time is over */
  expect(ilk_lockarray_trylock_pair(a, 0, 2), ILK_EBUSY);
  expect(other_try(a, 0), ILK_OK);
  expect(ilk_lockarray_lock_pair(a, 2, 3), ILK_EDEADLK);
  expect(other_try(a, 3), ILK_OK);
  expect(ilk_lockarray_unlock(a, 2), ILK_OK);
  free_array(a);
}
END_TEST

START_TEST(ranges)
{
  void *a = new_array(10, all_flags[_i]);
  expect(ilk_lockarray_lock_range(a, 3, 3), ILK_OK); /* of nothing */
  expect(ilk_lockarray_unlock_range(a, 10, 10), ILK_OK);
  expect(ilk_lockarray_lock_range(a, 2, 7), ILK_OK);
  for (int64_t i = 0; i < 10; i++)
    expect(other_try(a, i), 2 <= i && i < 7 ? ILK_ETIMEDOUT : ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 2, 8), ILK_EPERM);
  expect(ilk_lockarray_unlock_range(a, 1, 7), ILK_EPERM);
  expect(ilk_lockarray_lock_range(a, 0, 10), ILK_EDEADLK);         /* gives back 0 and 1 */
  expect(ilk_lockarray_timedlock_range(a, 0, 10, 1), ILK_EDEADLK); /* though the time is over */
  expect(ilk_lockarray_trylock_range(a, 0, 10), ILK_EBUSY);
  for (int64_t i = 0; i < 10; i++)
    expect(other_try(a, i), 2 <= i && i < 7 ? ILK_ETIMEDOUT : ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 2, 4), ILK_OK);
  expect(ilk_lockarray_unlock_pair(a, 4, 5), ILK_OK);
  expect(ilk_lockarray_unlock(a, 6), ILK_OK);
  expect(ilk_lockarray_lock_range(a, 0, 10), ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 0, 10), ILK_OK);
  free_array(a);
}
END_TEST

/* --- the dead ------------------------------------------------------------------------ */

static int call_pair(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock_pair(a, 3, 1, timeout_ns);
  if (result >= 0)
    expect(ilk_lockarray_unlock_pair(a, 1, 3), ILK_OK);
  return result;
}

static int call_range(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock_range(a, 0, 5, timeout_ns);
  if (result >= 0)
    expect(ilk_lockarray_unlock_range(a, 0, 5), ILK_OK);
  return result;
}

static int try_pair(void *a, int64_t i)
{
  return ilk_lockarray_trylock_pair(a, 0, i);
}

static int try_range(void *a, int64_t end)
{
  return ilk_lockarray_trylock_range(a, 0, end);
}

/* The last of several is held by another thread: then the others are released at the deadline. */
START_TEST(pairs_and_ranges_that_time_out)
{
  void *a = new_array(5, all_flags[_i]);
  int (*const calls[])(void *, int64_t) = {call_pair, call_range};
  expect(ilk_lockarray_lock(a, 3), ILK_OK);
  for (int i = 0; i < LENGTH(calls); i++) {
    const int64_t timeouts[] = {0, 1, 3 * MS};
    for (int j = 0; j < LENGTH(timeouts); j++) {
      int64_t begin = now();
      expect(elsewhere(calls[i], a, timeouts[j]), ILK_ETIMEDOUT);
      must(now() - begin >= timeouts[j]);
      expect(ilk_lockarray_lock_range(a, 0, 3), ILK_OK);
      expect(ilk_lockarray_unlock_range(a, 0, 3), ILK_OK);
    }
  }
  expect(elsewhere(try_pair, a, 3), ILK_EBUSY);
  expect(elsewhere(try_range, a, 4), ILK_EBUSY);
  expect(ilk_lockarray_trylock_range(a, 0, 3), ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 0, 3), ILK_OK);
  expect(ilk_lockarray_trylock_pair(a, 4, 0), ILK_OK);
  expect(ilk_lockarray_unlock_pair(a, 0, 4), ILK_OK);
  for (int i = 0; i < LENGTH(calls); i++) {
    struct waiter w;
    waiter_sleep(&w, calls[i], a, i ? INT64_MAX : 3600 * SECOND);
    expect(ilk_lockarray_unlock(a, 3), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
    expect(ilk_lockarray_lock(a, 3), ILK_OK);
  }
  expect(ilk_lockarray_unlock(a, 3), ILK_OK);
  expect(ilk_lockarray_timedlock_pair(a, 0, 5, 0), ILK_EINVAL);
  expect(ilk_lockarray_trylock_pair(a, -1, 0), ILK_EINVAL);
  expect(ilk_lockarray_timedlock_range(a, 0, 6, 0), ILK_EINVAL);
  expect(ilk_lockarray_trylock_range(a, 3, 2), ILK_EINVAL);
  free_array(a);
  expect(ilk_lockarray_timedlock_pair(a, 0, 1, 0), ILK_EHANDLE);
  expect(ilk_lockarray_trylock_range(a, 0, 1), ILK_EHANDLE);
}
END_TEST

START_TEST(owner_died)
{
  void *a = new_array(8, all_flags[_i]);
  for (int64_t i = 0; i < 8; i++)
    expect(elsewhere(ilk_lockarray_lock, a, i), ILK_OK);
  expect(ilk_lockarray_lock(a, 0), ILK_OWNER_DIED);
  expect(ilk_lockarray_trylock(a, 1), ILK_OWNER_DIED);
  expect(ilk_lockarray_timedlock(a, 2, SECOND), ILK_OWNER_DIED);
  expect(ilk_lockarray_unlock(a, 3), ILK_EPERM);
  expect(ilk_lockarray_unlock_range(a, 0, 3), ILK_OK);
  expect(ilk_lockarray_lock(a, 0), ILK_OK); /* reported once */
  expect(ilk_lockarray_lock_pair(a, 3, 1), ILK_OWNER_DIED);
  expect(ilk_lockarray_lock_range(a, 4, 8), ILK_OWNER_DIED);
  expect(ilk_lockarray_unlock_range(a, 3, 8), ILK_OK);
  expect(ilk_lockarray_unlock_pair(a, 0, 1), ILK_OK);
  expect(ilk_lockarray_lock_range(a, 0, 8), ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 0, 8), ILK_OK);
  free_array(a);
}
END_TEST

/* Those that it acquired from the living are theirs, also between two dead threads' locks. */
START_TEST(a_range_that_failed_reported_deaths_that_were_none)
{
  void *a = new_array(40, 0);
  for (int64_t step = 1; step <= 4; step++) {
    expect(ilk_lockarray_lock(a, 39), ILK_OK);
    for (int64_t i = 0; i < 32; i += step)
      expect(elsewhere(ilk_lockarray_lock, a, i), ILK_OK);
    expect(ilk_lockarray_lock_range(a, 0, 40), ILK_EDEADLK);
    for (int64_t i = 0; i < 39; i++)
      expect(other_try(a, i), i < 32 && i % step == 0 ? ILK_OWNER_DIED : ILK_OK);
    expect(ilk_lockarray_unlock(a, 39), ILK_OK);
    expect(ilk_lockarray_lock_range(a, 0, 40), ILK_OK);
    expect(ilk_lockarray_unlock_range(a, 0, 40), ILK_OK);
  }
  free_array(a);
}
END_TEST

/* A pair or range that fails must not swallow the news of a death. */
START_TEST(owner_died_is_reported_again_after_a_failure)
{
  void *a = new_array(8, 0);
  expect(ilk_lockarray_lock(a, 5), ILK_OK);
  expect(elsewhere(ilk_lockarray_lock, a, 2), ILK_OK);
  expect(ilk_lockarray_lock_pair(a, 5, 2), ILK_EDEADLK);
  expect(other_try(a, 2), ILK_OWNER_DIED);
  expect(other_try(a, 2), ILK_OK);
  expect(elsewhere(ilk_lockarray_lock, a, 3), ILK_OK);
  expect(ilk_lockarray_lock_range(a, 0, 8), ILK_EDEADLK);
  expect(ilk_lockarray_unlock(a, 3), ILK_EPERM); /* no thread holds it */
  for (int64_t i = 0; i < 5; i++)
    expect(other_try(a, i), i == 3 ? ILK_OWNER_DIED : ILK_OK);
  expect(ilk_lockarray_unlock(a, 5), ILK_OK);
  expect(elsewhere(ilk_lockarray_lock, a, 3), ILK_OK);
  expect(ilk_lockarray_lock(a, 5), ILK_OK);
  expect(ilk_lockarray_lock_range(a, 0, 8), ILK_EDEADLK);
  expect(ilk_lockarray_unlock(a, 5), ILK_OK);
  free_array(a); /* no thread holds 3 now */
}
END_TEST

static _Atomic bool may_die;

static int hold_and_die(void *a, int64_t i)
{
  int result = ilk_lockarray_lock(a, i);
  may_die = false;
  while (!may_die)
    sched_yield();
  return result;
}

/* All threads that sleep when the holder dies acquire it, one after the other; the death is
   reported to the first. The same for a thread that is just about to sleep. */
START_TEST(owner_dies_while_others_sleep)
{
  void *a = new_array(3, 0);
  for (int round = 0; round < 20; round++) {
    struct waiter holder, w[3];
    may_die = true;
    waiter_start(&holder, hold_and_die, a, 1);
    while (may_die)
      sched_yield();
    at = 1;
    int n = round < 3 ? 3 : 1 + round % 2;
    for (int i = 0; i < n; i++)
      if (round < 3)
        waiter_sleep(&w[i], call_pass, a, i == 0 ? -1 : SECOND * 60);
      else
        waiter_start(&w[i], call_pass, a, i == 0 ? -1 : SECOND * 60);
    spin(round < 3 ? 0 : below(100000));
    may_die = true;
    expect(waiter_end(&holder), ILK_OK);
    int told = 0;
    for (int i = 0; i < n; i++)
      told += waiter_end(&w[i]) == ILK_OWNER_DIED;
    expect(told, 1);
  }
  free_array(a);
}
END_TEST

/* One waiter, which comes when the holder is about to be gone. */
START_TEST(owner_dies_as_another_comes)
{
  void *a = new_array(3, 0);
  int64_t end = stress_end(200);
  while (now() < end) {
    struct waiter holder;
    may_die = true;
    waiter_start(&holder, hold_and_die, a, 1);
    while (may_die)
      sched_yield();
    may_die = true;
    spin(below(1 << below(18)));
    /* With a deadline: a wait without one wakes after a while to search for a cycle. */
    expect(ilk_lockarray_timedlock(a, 1, 60 * SECOND), ILK_OWNER_DIED);
    expect(ilk_lockarray_unlock(a, 1), ILK_OK);
    expect(waiter_end(&holder), ILK_OK);
  }
  free_array(a);
}
END_TEST

struct cycle {
  void *a, *m;
  _Atomic int ready, told;
};

static void *cycle_one(void *argument)
{
  struct cycle *c = argument;
  expect(ilk_lockarray_lock(c->a, 7), ILK_OK);
  c->ready++;
  while (c->ready < 2)
    sched_yield();
  int result = ilk_mutex_lock(c->m);
  c->told += result == ILK_EDEADLK;
  if (result == ILK_OK)
    expect(ilk_mutex_unlock(c->m), ILK_OK);
  expect(ilk_lockarray_unlock(c->a, 7), ILK_OK);
  return NULL;
}

static void *cycle_two(void *argument)
{
  struct cycle *c = argument;
  expect(ilk_mutex_lock(c->m), ILK_OK);
  c->ready++;
  while (c->ready < 2)
    sched_yield();
  int result = ilk_lockarray_lock_pair(c->a, 3, 7);
  c->told += result == ILK_EDEADLK;
  if (result == ILK_OK)
    expect(ilk_lockarray_unlock_pair(c->a, 3, 7), ILK_OK);
  if (result == ILK_EDEADLK) { /* and holds neither */
    expect(ilk_lockarray_trylock(c->a, 3), ILK_OK);
    expect(ilk_lockarray_unlock(c->a, 3), ILK_OK);
  }
  expect(ilk_mutex_unlock(c->m), ILK_OK);
  return NULL;
}

START_TEST(deadlock_cycle_through_a_mutex)
{
  struct cycle c = {.a = new_array(9, 0), .m = ilk_mutex_new(0)};
  int64_t begin = now();
  pthread_t one = start(cycle_one, &c), two = start(cycle_two, &c);
  join(one);
  join(two);
  must(now() - begin < PATIENCE);
  must(c.told >= 1);
  expect(ilk_mutex_free(c.m), ILK_OK);
  free_array(c.a);
}
END_TEST

/* --- time ------------------------------------------------------------------------------ */

START_TEST(bug_9_deadlines)
{
  void *a = new_array(2, 0);
  expect(ilk_lockarray_lock(a, 1), ILK_OK);
  at = 1;
  const int64_t timeouts[] = {1, 999, 100 * US, 3 * MS, 20 * MS};
  for (int i = 0; i < LENGTH(timeouts); i++) {
    int64_t begin = now();
    expect(elsewhere(call_one, a, timeouts[i]), ILK_ETIMEDOUT);
    must(now() - begin >= timeouts[i]);
  }
  const int64_t huge[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, INT64_MIN};
  struct waiter w[LENGTH(huge)];
  for (int i = 0; i < LENGTH(huge); i++)
    waiter_sleep(&w[i], call_pass, a, huge[i]);
  expect(ilk_lockarray_unlock(a, 1), ILK_OK);
  for (int i = 0; i < LENGTH(huge); i++)
    expect(waiter_end(&w[i]), ILK_OK);
  free_array(a);
}
END_TEST

START_TEST(cancelled)
{
  void *a = new_array(2, 0);
  expect(ilk_lockarray_lock(a, 0), ILK_OK);
  at = 0;
  struct waiter w[2];
  waiter_sleep(&w[0], call_pass, a, -1);
  waiter_sleep(&w[1], call_pass, a, SECOND * 60);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w[0]), ILK_ECANCELED);
  expect(waiter_end(&w[1]), ILK_ECANCELED);
  expect(elsewhere(call_pass, a, -1), ILK_ECANCELED);
  expect(ilk_lockarray_lock_pair(a, 0, 1), ILK_EDEADLK);
  expect(ilk_lockarray_lock(a, 1), ILK_OK); /* no wait, nothing to cancel */
  expect(elsewhere(call_cancel, NULL, 0), ILK_OK);
  waiter_sleep(&w[0], call_pass, a, -1);
  expect(ilk_lockarray_unlock_pair(a, 0, 1), ILK_OK);
  expect(waiter_end(&w[0]), ILK_OK);
  free_array(a);
}
END_TEST

/* --- stress ------------------------------------------------------------------------------ */

#define LOCKS 6
struct stress {
  void *a;
  int64_t end;
  int64_t plain[LOCKS]; /* guarded by the locks */
  _Atomic int64_t added;
};

/* Times out often, tries, and acquires ranges, and pairs in any order: none of these may lose a
   wake, or let two threads in. */
static void *stress_run(void *argument)
{
  struct stress *s = argument;
  int64_t added = 0;
  while (now() < s->end) {
    int64_t i = below(LOCKS), j = below(LOCKS);
    switch (below(6)) {
    case 0:
    case 1:
      if (ilk_lockarray_timedlock(s->a, i, below(2) ? below(100 * US) : 0) == ILK_OK) {
        s->plain[i]++, added++;
        jitter();
        expect(ilk_lockarray_unlock(s->a, i), ILK_OK);
      }
      break;
    case 2:
      expect(ilk_lockarray_lock(s->a, i), ILK_OK);
      s->plain[i]++, added++;
      jitter();
      expect(ilk_lockarray_unlock(s->a, i), ILK_OK);
      break;
    case 3:
    case 4:
      expect(ilk_lockarray_lock_pair(s->a, i, j), ILK_OK);
      s->plain[i]++, s->plain[j]++, added += 2;
      jitter();
      expect(ilk_lockarray_unlock_pair(s->a, j, i), ILK_OK);
      break;
    default:
      if (i > j) {
        int64_t k = i;
        i = j, j = k;
      }
      expect(ilk_lockarray_lock_range(s->a, i, j), ILK_OK);
      for (int64_t k = i; k < j; k++)
        s->plain[k]++, added++;
      jitter();
      expect(ilk_lockarray_unlock_range(s->a, i, j), ILK_OK);
    }
    jitter();
  }
  s->added += added;
  return NULL;
}

START_TEST(bugs_4_6_8_exclusion_and_no_lost_wake)
{
  struct stress s = {.a = new_array(LOCKS, all_flags[_i]), .end = stress_end(400)};
  in_threads(6, stress_run, &s);
  int64_t sum = 0;
  for (int i = 0; i < LOCKS; i++)
    sum += s.plain[i];
  expect(sum, s.added);
  free_array(s.a);
}
END_TEST

/* One lock, and sections just long enough that all the others sleep. */
static void *crowd_run(void *argument)
{
  struct stress *s = argument;
  int64_t added = 0;
  while (now() < s->end) {
    if (ilk_lockarray_timedlock(s->a, 0, below(8) ? below(300 * US) : -1) != ILK_OK)
      continue;
    s->plain[0]++, added++;
    if (below(4) == 0)
      nap(below(100) * US);
    expect(ilk_lockarray_unlock(s->a, 0), ILK_OK);
    if (below(16) == 0)
      nap(below(2) * MS);
  }
  s->added += added;
  return NULL;
}

/* Two threads, and no other whose wake would make up for a lost one: the second is about to
   sleep when the first unlocks. */
struct two {
  void *a;
  _Atomic int64_t round; /* 1: the second's turn, 0: the first's, -1: over */
};

static void *second_of_two(void *argument)
{
  struct two *t = argument;
  for (int64_t seen; (seen = t->round) >= 0;)
    if (seen > 0) {
      /* With a deadline: a wait without one wakes after a while to search for a cycle. */
      expect(ilk_lockarray_timedlock(t->a, 0, 60 * SECOND), ILK_OK);
      expect(ilk_lockarray_unlock(t->a, 0), ILK_OK);
      t->round = 0;
    }
  return NULL;
}

START_TEST(bug_8_the_last_wake)
{
  struct two t = {.a = new_array(1, 0)};
  int64_t end = stress_end(400);
  expect(ilk_lockarray_lock(t.a, 0), ILK_OK);
  pthread_t second = start(second_of_two, &t);
  while (now() < end) {
    t.round = 1;
    spin(below(1 << below(17))); /* about as long as it takes to fall asleep */
    expect(ilk_lockarray_unlock(t.a, 0), ILK_OK);
    while (t.round != 0)
      sched_yield();
    expect(ilk_lockarray_lock(t.a, 0), ILK_OK);
  }
  t.round = -1;
  join(second);
  expect(ilk_lockarray_unlock(t.a, 0), ILK_OK);
  free_array(t.a);
}
END_TEST

START_TEST(bug_3_signal_storm)
{
  struct stress s = {.a = new_array(1, 0), .end = stress_end(300)};
  pthread_t threads[5];
  for (int i = 0; i < 5; i++)
    threads[i] = start(crowd_run, &s);
  struct storm storm;
  storm_start(&storm, threads, 5);
  while (now() < s.end)
    nap(MS);
  storm_end(&storm);
  for (int i = 0; i < 5; i++)
    join(threads[i]);
  expect(s.plain[0], s.added);
  free_array(s.a);
}
END_TEST

struct hog {
  void *a;
  _Atomic bool over;
  _Atomic int64_t rounds;
};

static void *hog_run(void *argument)
{
  struct hog *h = argument;
  while (!h->over) {
    expect(ilk_lockarray_lock(h->a, 0), ILK_OK);
    int64_t until = now() + 200 * US;
    while (now() < until)
      ;
    h->rounds++;
    expect(ilk_lockarray_unlock(h->a, 0), ILK_OK);
  }
  return NULL;
}

/* Two threads that lock again at once, and one that sleeps: it must acquire all the same. */
START_TEST(bug_16_starvation)
{
  struct hog h = {.a = new_array(1, 0)};
  pthread_t hogs[] = {start(hog_run, &h), start(hog_run, &h)};
  while (h.rounds < 10)
    sched_yield();
  int often = 0;
  for (int i = 0; i < 20; i++) {
    int64_t begin = h.rounds;
    expect(ilk_lockarray_lock(h.a, 0), ILK_OK);
    often += h.rounds - begin > 500;
    expect(ilk_lockarray_unlock(h.a, 0), ILK_OK);
    nap(100 * US);
  }
  h.over = true;
  join(hogs[0]);
  join(hogs[1]);
  /* A millisecond is 5 sections, and then come those that slept before: 2. The rest is
     for the system, which wakes threads when it likes: now and then much later. */
  must(often <= 10);
  free_array(h.a);
}
END_TEST

/* --- free --------------------------------------------------------------------------------- */

struct hammer {
  void *_Atomic a;
  _Atomic bool over, resting;
};

static void *hammer_run(void *argument)
{
  struct hammer *h = argument;
  while (!h->over) {
    if (h->resting) {
      nap(MS);
      continue;
    }
    void *a = h->a;
    int64_t i = below(3);
    bool range = below(2);
    int result = range ? ilk_lockarray_lock_range(a, 0, i + 1)
                       : ilk_lockarray_timedlock(a, i, below(100 * US));
    if (result == ILK_OK) {
      jitter();
      /* A held lock is not freed. */
      expect(range ? ilk_lockarray_unlock_range(a, 0, i + 1) : ilk_lockarray_unlock(a, i), ILK_OK);
    }
    must(result == ILK_OK || result == ILK_ETIMEDOUT || result == ILK_EHANDLE);
    result = ilk_lockarray_unlock(a, i);
    must(result == ILK_EPERM || result == ILK_EHANDLE);
    if (below(4) == 0)
      nap(below(100) * US);
  }
  return NULL;
}

START_TEST(freed_while_in_use)
{
  struct hammer h = {.a = new_array(3, 0)};
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    threads[i] = start(hammer_run, &h);
  int64_t end = stress_end(300);
  int freed = 0;
  while (now() < end || !freed) {
    /* On a busy machine the locks go from thread to thread without a pause, so each free meets a
       waiter. */
    h.resting = now() > end;
    void *old = h.a;
    int result = ilk_lockarray_free(old);
    must(result == ILK_OK || result == ILK_EBUSY);
    if (result == ILK_OK) {
      freed++;
      expect(ilk_lockarray_free(old), ILK_EHANDLE);
      h.a = new_array(3, freed % 2 ? ILK_PADDED : 0);
    }
    jitter();
  }
  h.over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  free_array(h.a);
}
END_TEST

/* The search for deadlock cycles walks through arrays that other threads free. */
static void *cycle_maker(void *argument)
{
  struct hammer *h = argument;
  while (!h->over) {
    struct cycle c = {.a = new_array(9, 0), .m = ilk_mutex_new(0)};
    pthread_t one = start(cycle_one, &c), two = start(cycle_two, &c);
    join(one);
    join(two);
    expect(ilk_mutex_free(c.m), ILK_OK);
    free_array(c.a);
  }
  return NULL;
}

START_TEST(deadlock_cycles_while_arrays_are_freed)
{
  struct hammer h = {.over = false};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(cycle_maker, &h);
  nap(300 * MS);
  h.over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
}
END_TEST

/* --- the rest ---------------------------------------------------------------------------- */

/* Under a sanitizer, or with jitter, a tenth of it must do. */
static bool is_slow(void)
{
  void *a = new_array(100 * 1000, 0);
  int64_t begin = now();
  free_array(a); /* checks each lock */
  return now() - begin > 3 * MS;
}

START_TEST(ten_million_locks)
{
  const int64_t n = is_slow() ? 200 * 1000 : 10 * 1000 * 1000;
  int64_t before = resident();
  void *a = new_array(n, 0);
  must(resident() - before < 4 << 20); /* they take room once they are used */
  expect(ilk_lockarray_lock_range(a, 0, n), ILK_OK);
  must(ASAN || TSAN || resident() - before < (40 << 20) + (4 << 20));
  expect(ilk_lockarray_free(a), ILK_EBUSY);
  expect(ilk_lockarray_unlock_range(a, 0, n), ILK_OK);
  free_array(a);
  must(ASAN || TSAN || resident() - before < 4 << 20);
}
END_TEST

static void fork_child(void *a)
{
  expect(ilk_lockarray_unlock(a, 0), ILK_OK); /* the one that forked is the one that holds */
  expect(ilk_lockarray_lock(a, 1), ILK_OWNER_DIED);
  expect(ilk_lockarray_unlock(a, 1), ILK_OK);
  expect(ilk_lockarray_lock_range(a, 0, 4), ILK_OK);
  expect(ilk_lockarray_unlock_range(a, 0, 4), ILK_OK);
  at = 0;
  expect(ilk_lockarray_lock(a, 0), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_pass, a, -1);
  expect(ilk_lockarray_unlock(a, 0), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_lockarray_free(a), ILK_OK);
}

START_TEST(bug_12_fork_while_others_hold_and_wait)
{
  if (TSAN)
    return; /* it cannot start threads in a fork's child */
  void *a = new_array(4, 0);
  expect(ilk_lockarray_lock(a, 0), ILK_OK);
  struct waiter holder, w[2];
  may_die = true;
  waiter_start(&holder, hold_and_die, a, 1);
  while (may_die)
    sched_yield();
  at = 1;
  waiter_sleep(&w[0], call_pass, a, -1);
  at = 0;
  waiter_sleep(&w[1], call_pass, a, -1);
  in_child(fork_child, a);
  expect(ilk_lockarray_unlock(a, 0), ILK_OK);
  expect(waiter_end(&w[1]), ILK_OK);
  may_die = true;
  expect(waiter_end(&holder), ILK_OK);
  expect(waiter_end(&w[0]), ILK_OWNER_DIED);
  free_array(a);
}
END_TEST

/* No call reads memory that was never used: else the free of a large array, and the report, would
   take seconds and map all of it. */
START_TEST(a_large_array_that_is_hardly_used_is_not_read)
{
  enum { N = 200000000 };
  if (TSAN || ASAN || sizeof(void *) == 4 || access("/proc/self/pagemap", R_OK) != 0 ||
      strcmp(ilk_backend(), "macos") == 0) /* which does not say what was used */
    return;
  void *array = ilk_lockarray_new(N, 0);
  must(array != NULL);
  expect(ilk_lockarray_lock(array, N / 2), ILK_OK);
  int64_t before = proc_bytes("status", "VmPTE");
  expect(ilk_lockarray_free(array), ILK_EBUSY);
  must(ilk_report(NULL, 0) > 0);
  must(proc_bytes("status", "VmPTE") - before < 400000);
  expect(ilk_lockarray_unlock(array, N / 2), ILK_OK);
  for (int64_t i = 0; i < N; i += N / 3 - 1) { /* the first, the last, and in between */
    expect(ilk_lockarray_lock(array, i), ILK_OK);
    expect(ilk_lockarray_free(array), ILK_EBUSY);
    expect(ilk_lockarray_unlock(array, i), ILK_OK);
  }
  expect(ilk_lockarray_lock(array, N - 1), ILK_OK);
  expect(ilk_lockarray_free(array), ILK_EBUSY);
  expect(ilk_lockarray_unlock(array, N - 1), ILK_OK);
  expect(ilk_lockarray_free(array), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("lockarray");
  TCase *calls = test_case(suite, "calls", 20);
  tcase_add_test(calls, new_checks_its_arguments);
  tcase_add_loop_test(calls, lock_and_unlock, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, indices_are_checked, 0, LENGTH(all_flags));
  tcase_add_test(calls, any_value_as_a_handle);
  tcase_add_loop_test(calls, free_of_one_in_use, 0, LENGTH(all_flags));
  tcase_add_test(calls, a_free_of_one_in_use_made_tries_fail);
  tcase_add_loop_test(calls, pairs, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, ranges, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, pairs_and_ranges_that_time_out, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, owner_died, 0, LENGTH(all_flags));
  tcase_add_test(calls, owner_died_is_reported_again_after_a_failure);
  tcase_add_test(calls, a_range_that_failed_reported_deaths_that_were_none);
  tcase_add_test(calls, owner_dies_while_others_sleep);
  tcase_add_test(calls, owner_dies_as_another_comes);
  tcase_add_test(calls, deadlock_cycle_through_a_mutex);
  tcase_add_test(calls, bug_9_deadlines);
  tcase_add_test(calls, cancelled);
  tcase_add_test(calls, ten_million_locks);
  if (!skipped_if_emulated("a_large_array_that_is_hardly_used_is_not_read",
                           "the page map may be another address space's"))
    tcase_add_test(calls, a_large_array_that_is_hardly_used_is_not_read);
  tcase_add_test(calls, bug_12_fork_while_others_hold_and_wait);
  TCase *stress = test_case(suite, "stress", 30);
  tcase_add_loop_test(stress, bugs_4_6_8_exclusion_and_no_lost_wake, 0, LENGTH(all_flags));
  tcase_add_test(stress, bug_8_the_last_wake);
  tcase_add_test(stress, bug_3_signal_storm);
  tcase_add_test(stress, bug_16_starvation);
  tcase_add_test(stress, freed_while_in_use);
  tcase_add_test(stress, deadlock_cycles_while_arrays_are_freed);
  return run_suite(suite);
}
