/* A sandbox denies a system call that the library needs: before it is loaded, or later. */
#include "support.h"

#include "sandbox.h"

#ifdef __linux__

#include <linux/membarrier.h>

/* --- the barrier on all threads
   ----------------------------------------------------------------- */

static void fence_is_symmetric(void *unused)
{
  (void)unused;
  if (deny(SYS_membarrier))
    ck_assert_str_eq(ilk_fence(), "symmetric");
}

START_TEST(fence_says_that_the_barrier_is_denied)
{
  in_child(fence_is_symmetric, NULL);
}
END_TEST

/* Only slower without, so nothing else would fail. */
START_TEST(fence_is_asymmetric_where_the_system_has_the_barrier)
{
  bool has = !EXPECTED_SYMMETRIC &&
             syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0; /* registered */
  ck_assert_str_eq(ilk_fence(), has ? "asymmetric" : "symmetric");
}
END_TEST

static void start_again(void *unused)
{
  (void)unused;
  if (deny(SYS_membarrier)) {
    execl("/proc/self/exe", "test_sandbox", "symmetric", (char *)NULL);
    ck_abort_msg("no exec");
  }
}

START_TEST(fence_is_symmetric_where_the_barrier_was_denied_before_the_load)
{
  in_child(start_again, NULL);
}
END_TEST

#define FAR (UINT32_C(1) << 28) /* bytes, of which each store goes to another line */

static struct {
  void *rwlock;
  unsigned char *far;
  atomic_int writing, inside;
  _Atomic bool over;
} shared;

static void *read_often(void *unused)
{
  uint32_t at = 1;
  while (!shared.over) {
    for (int i = 0; i < 60; i++) { /* a store buffer that has work to do */
      at = at * 1664525 + 1013904223;
      shared.far[at % FAR] = 1;
    }
    expect(ilk_rwlock_read_lock(shared.rwlock), ILK_OK);
    for (int i = 0; i < 1000; i++)
      if (atomic_load_explicit(&shared.writing, memory_order_relaxed))
        atomic_store_explicit(&shared.inside, 1, memory_order_relaxed);
    expect(ilk_rwlock_read_unlock(shared.rwlock), ILK_OK);
  }
  return unused;
}

static void read_and_write(void *unused)
{
  (void)unused;
  shared.far = calloc(1, FAR);
  must(shared.far != NULL);
  shared.rwlock = ilk_rwlock_new(0);
  if (!deny(SYS_membarrier))
    return;
  pthread_t reader = start(read_often, NULL);
  for (int64_t end = stress_end(3000); now() < end && !shared.inside;) {
    expect(ilk_rwlock_write_lock(shared.rwlock), ILK_OK);
    atomic_store_explicit(&shared.writing, 1, memory_order_relaxed);
    spin(5000);
    atomic_store_explicit(&shared.writing, 0, memory_order_relaxed);
    expect(ilk_rwlock_write_unlock(shared.rwlock), ILK_OK);
    for (int64_t until = now() + MS / 2; now() < until;) /* so that readers are published again */
      ;
  }
  shared.over = true;
  join(reader);
  expect(shared.inside, 0);
}

START_TEST(no_reader_is_inside_with_a_writer_once_the_barrier_is_denied)
{
  in_child(read_and_write, NULL);
}
END_TEST

static struct {
  void *mutex;
  int64_t count;
} counted;

#define TURNS 20000

static void *count(void *unused)
{
  for (int i = 0; i < TURNS; i++) {
    expect(ilk_mutex_lock(counted.mutex), ILK_OK);
    counted.count++;
    if (i % 64 == 0)
      sched_yield(); /* so that others fall asleep */
    expect(ilk_mutex_unlock(counted.mutex), ILK_OK);
  }
  return unused;
}

static void count_in_threads(void *unused)
{
  (void)unused;
  counted.mutex = ilk_mutex_new(0);
  if (!deny(SYS_membarrier))
    return;
  in_threads(4, count, NULL);
  expect(counted.count, 4 * TURNS);
  expect(ilk_mutex_free(counted.mutex), ILK_OK);
}

START_TEST(no_wake_is_lost_once_the_barrier_is_denied)
{
  in_child(count_in_threads, NULL);
}
END_TEST

/* --- sleeping
   ------------------------------------------------------------------------------------- */

static bool deny_sleep(void)
{
#ifdef SYS_futex_time64
  if (!deny(SYS_futex_time64))
    return false;
#endif
#ifdef SYS_futex
  if (!deny(SYS_futex))
    return false;
#endif
  return true;
}

static void wait_until_refused(void *unused)
{
  (void)unused;
  uint32_t word = 0;
  void *event = ilk_event_new(0), *semaphore = ilk_semaphore_new(0, 0),
       *counter = ilk_counter_new(0);
  void *mutex = ilk_mutex_new(0), *unowned = ilk_mutex_new(ILK_UNOWNED),
       *condition = ilk_condition_new(0);
  void *barrier = ilk_barrier_new(2), *latch = ilk_latch_new(1), *queue = ilk_queue_new(1);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_mutex_lock(unowned), ILK_OK);
  if (!deny_sleep())
    return;
  for (int64_t timeout_ns = -1; timeout_ns <= PATIENCE; timeout_ns += PATIENCE + 1) {
    expect(ilk_event_timedwait(event, timeout_ns), ILK_ENOTSUP);
    expect(ilk_semaphore_timedacquire(semaphore, timeout_ns), ILK_ENOTSUP);
    expect(ilk_counter_timedwait(counter, 1, timeout_ns), ILK_ENOTSUP);
    expect(ilk_mutex_timedlock(unowned, timeout_ns), ILK_ENOTSUP);
    expect(ilk_condition_timedwait(condition, mutex, timeout_ns), ILK_ENOTSUP);
    expect(ilk_mutex_depth(mutex), 1); /* it holds the mutex again */
    expect(ilk_latch_timedwait(latch, timeout_ns), ILK_ENOTSUP);
    expect(ilk_queue_timedget(queue, &(int64_t){0}, timeout_ns), ILK_ENOTSUP);
    expect(ilk_word_wait(&word, 0, 0, timeout_ns), ILK_ENOTSUP);
  }
  expect(ilk_barrier_wait(barrier), ILK_ENOTSUP);
  expect(ilk_barrier_is_broken(barrier), 1);
  expect(ilk_sleep(PATIENCE), ILK_ENOTSUP);
}

START_TEST(a_wait_says_that_sleeping_is_denied)
{
  if (!strcmp(ilk_backend(), "futex")) /* the C library's own waiting is not ours to test */
    in_child(wait_until_refused, NULL);
}
END_TEST

static uint32_t word;

static void *lock_without_id(void *unused)
{
  expect(ilk_word_lock(&word, ILK_SHARED), ILK_ENOTSUP);
  expect(ilk_word_trylock(&word, ILK_SHARED), ILK_ENOTSUP);
  expect(ilk_word_unlock(&word, ILK_SHARED), ILK_ENOTSUP); /* not that of another without an id */
  expect(ilk_thread_native_id(), 0);
  return unused;
}

static void deny_ids(void *unused)
{
  (void)unused;
  expect(ilk_word_lock(&word, ILK_SHARED), ILK_OK); /* its thread has an id */
  if (!deny(SYS_gettid))
    return;
  in_threads(2, lock_without_id, NULL);
  expect(ilk_word_unlock(&word, ILK_SHARED), ILK_OK);
  expect(ilk_word_lock(&word, 0), ILK_OK);
  expect(ilk_word_unlock(&word, 0), ILK_OK);
}

/* They would have had the same id: each would have released the other's lock. */
START_TEST(a_shared_word_is_refused_where_the_threads_id_is_denied)
{
  if (!strcmp(ilk_backend(), "futex")) /* else no lock is shared */
    in_child(deny_ids, NULL);
}
END_TEST

static void *wait_while_it_is_held(void *mutex)
{
  expect(ilk_mutex_timedlock(mutex, SECOND / 2), ILK_ETIMEDOUT);
  return NULL;
}

static void hold_in_a_sandbox(void *mutex)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  if (deny_with(SYS_tgkill, ESRCH))
    in_threads(2, wait_while_it_is_held, mutex);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
}

/* With that error for every thread, a waiter took the lock from its owner. */
START_TEST(a_thread_is_not_gone_where_the_sandbox_says_so_of_all)
{
  void *mutex = ilk_mutex_new(0);
  in_child(hold_in_a_sandbox, mutex);
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

static void add_tests(Suite *suite)
{
  TCase *barrier = test_case(suite, "barrier", 20);
  tcase_add_test(barrier, fence_is_asymmetric_where_the_system_has_the_barrier);
  tcase_add_test(barrier, fence_says_that_the_barrier_is_denied);
  tcase_add_test(barrier, fence_is_symmetric_where_the_barrier_was_denied_before_the_load);
  tcase_add_test(barrier, no_reader_is_inside_with_a_writer_once_the_barrier_is_denied);
  tcase_add_test(barrier, no_wake_is_lost_once_the_barrier_is_denied);
  TCase *sleep = test_case(suite, "sleep", 10);
  tcase_add_test(sleep, a_wait_says_that_sleeping_is_denied);
  TCase *ids = test_case(suite, "ids", 10);
  tcase_add_test(ids, a_shared_word_is_refused_where_the_threads_id_is_denied);
  if (!strcmp(ilk_backend(), "macos"))
    skipped("a_thread_is_not_gone_where_the_sandbox_says_so_of_all", "the fake asks tgkill(), too");
  else
    tcase_add_test(ids, a_thread_is_not_gone_where_the_sandbox_says_so_of_all);
}

#else

START_TEST(there_are_no_filters_here)
{
}
END_TEST

static void add_tests(Suite *suite)
{
  tcase_add_test(test_case(suite, "none", 1), there_are_no_filters_here);
}

#endif

int main(int argc, char **argv)
{
  if (argc > 1) /* see start_again() */
    return strcmp(ilk_fence(), argv[1]) != 0;
  Suite *suite = suite_create("sandbox");
  add_tests(suite);
  return run_suite(suite);
}
