/* tally.c, and cells.c with it. */
#include "support.h"

static void *new_tally(void)
{
  void *t = ilk_tally_new();
  must(t != NULL);
  return t;
}

static void free_tally(void *t)
{
  expect(ilk_tally_free(t), ILK_OK);
}

static int call_add(void *t, int64_t delta)
{
  return ilk_tally_add(t, delta);
}

START_TEST(each_call)
{
  void *t = new_tally();
  expect(ilk_tally_sum(t), 0);
  expect(ilk_tally_add(t, 5), ILK_OK);
  expect(ilk_tally_add(t, -7), ILK_OK);
  expect(ilk_tally_sum(t), -2);
  expect(elsewhere(call_add, t, 100), ILK_OK);
  expect(ilk_tally_sum(t), 98);
  expect(ilk_tally_reset(t), ILK_OK);
  expect(ilk_tally_sum(t), 0);
  expect(ilk_tally_add(t, 1), ILK_OK);
  expect(ilk_tally_sum(t), 1);
  expect(ilk_tally_reset(t), ILK_OK);
  expect(ilk_tally_reset(t), ILK_OK);
  expect(ilk_tally_sum(t), 0);
  free_tally(t);
}
END_TEST

START_TEST(no_such_handle)
{
  void *tally = new_tally(), *counter = ilk_counter_new(0);
  void *bad[] = {NULL, tally, counter, (void *)1, (void *)UINTPTR_MAX, &tally};
  expect(ilk_tally_add(tally, 1), ILK_OK); /* now the thread has a record, which names it */
  free_tally(tally);
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_tally_add(bad[i], 1), ILK_EHANDLE);
    expect_no_value(ilk_tally_sum(bad[i]), ILK_EHANDLE);
    expect(ilk_tally_reset(bad[i]), ILK_EHANDLE);
    expect(ilk_tally_free(bad[i]), ILK_EHANDLE);
    expect(ilk_last_error(), ILK_EHANDLE);
  }
  expect(ilk_counter_free(counter), ILK_OK);
}
END_TEST

START_TEST(sum_wraps)
{
  void *t = new_tally();
  expect(ilk_tally_add(t, INT64_MAX), ILK_OK);
  expect(elsewhere(call_add, t, 1), ILK_OK);
  expect(ilk_tally_sum(t), INT64_MIN);
  expect(ilk_tally_add(t, INT64_MIN), ILK_OK);
  expect(ilk_tally_sum(t), 0);
  free_tally(t);
}
END_TEST

/* Numbers are used again: adds to one tally do not show in the next with its number. */
START_TEST(a_new_one_is_empty)
{
  for (int round = 0; round < 200; round++) {
    void *tallies[3];
    for (int i = 0; i < 3; i++) {
      tallies[i] = new_tally();
      expect(ilk_tally_sum(tallies[i]), 0);
      expect(ilk_tally_add(tallies[i], 1 + i), ILK_OK);
    }
    expect(elsewhere(call_add, tallies[round % 3], 1000), ILK_OK);
    for (int i = 0; i < 3; i++) {
      expect(ilk_tally_sum(tallies[i]), 1 + i + (i == round % 3 ? 1000 : 0));
      free_tally(tallies[i]);
    }
  }
}
END_TEST

/* Through several levels of cells, each tally its own. */
START_TEST(many_tallies)
{
  enum { MANY = 3000 };
  static void *tallies[MANY];
  for (int i = 0; i < MANY; i++)
    tallies[i] = new_tally();
  for (int i = MANY; i-- > 0;)
    expect(ilk_tally_add(tallies[i], i), ILK_OK);
  for (int i = 0; i < MANY; i += 100)
    expect(elsewhere(call_add, tallies[i], 7), ILK_OK);
  for (int i = 0; i < MANY; i++) {
    expect(ilk_tally_sum(tallies[i]), i + (i % 100 ? 0 : 7));
    free_tally(tallies[i]);
  }
}
END_TEST

/* Records of threads that are gone are used again, with their cells. */
START_TEST(threads_that_are_gone_count)
{
  void *t = new_tally();
  for (int i = 1; i <= 100; i++) {
    expect(elsewhere(call_add, t, 1), ILK_OK);
    expect(ilk_tally_sum(t), i);
  }
  free_tally(t);
}
END_TEST

static int add_64(void *handles, int64_t delta)
{
  for (int i = 0; i < 64; i++)
    expect(ilk_tally_add(((void **)handles)[i], delta), ILK_OK);
  return ILK_OK;
}

/* More than a record names at a time: each add still goes to its own. */
START_TEST(more_than_are_named)
{
  enum { MANY = 192 };
  void *tallies[MANY];
  for (int i = 0; i < MANY; i++)
    tallies[i] = new_tally();
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < MANY; i += 64) {
      add_64(&tallies[i], i + 1);
      expect(elsewhere(add_64, &tallies[i], 1000), ILK_OK);
    }
  for (int i = 0; i < MANY; i++) {
    expect(ilk_tally_sum(tallies[i]), 3 * (i / 64 * 64 + 1 + 1000));
    free_tally(tallies[i]);
    expect(ilk_tally_add(tallies[i], 1), ILK_EHANDLE);
  }
}
END_TEST

/* --- all at once ------------------------------------------------------------------------ */

enum { THREADS = 8, ROUNDS = JITTERED ? 4000 : 100000 };
static void *tally;
static _Atomic bool over;
static _Atomic int64_t added; /* by what has returned, a lower bound */

static void *add_to_it(void *unused)
{
  (void)unused;
  for (int i = 1; i <= ROUNDS; i++) {
    ilk_tally_add(tally, i % 3);
    if (i % 4096 == 0)
      jitter();
  }
  return NULL;
}

START_TEST(exact_once_quiet)
{
  tally = new_tally();
  int64_t each = 0;
  for (int i = 1; i <= ROUNDS; i++)
    each += i % 3;
  for (int round = 1; round <= 2; round++) {
    in_threads(THREADS, add_to_it, NULL);
    expect(ilk_tally_sum(tally), round * THREADS * each);
  }
  free_tally(tally);
}
END_TEST

static void *add_ones(void *unused)
{
  (void)unused;
  while (!over) {
    ilk_tally_add(tally, 1);
    added++;
  }
  return NULL;
}

/* While they add, a sum counts each add once: what had returned before, and no more than began. */
START_TEST(sum_while_they_add)
{
  tally = new_tally();
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    threads[i] = start(add_ones, NULL);
  int64_t last = 0;
  for (int64_t end = stress_end(150); now() < end;) {
    int64_t low = added, sum = ilk_tally_sum(tally), high = added + 3;
    must(low <= sum && sum <= high);
    must(last <= sum);
    last = sum;
  }
  over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  expect(ilk_tally_sum(tally), added);
  free_tally(tally);
}
END_TEST

static void *reset_it(void *unused)
{
  (void)unused;
  while (!over) {
    expect(ilk_tally_reset(tally), ILK_OK);
    jitter();
  }
  return NULL;
}

/* Resets between sums: never below zero, never above all; no adder's cell is written. */
START_TEST(reset_while_they_add)
{
  tally = new_tally();
  pthread_t threads[3];
  for (int i = 0; i < 2; i++)
    threads[i] = start(add_ones, NULL);
  threads[2] = start(reset_it, NULL);
  for (int64_t end = stress_end(100); now() < end;) {
    int64_t sum = ilk_tally_sum(tally), high = added + 2;
    must(0 <= sum && sum <= high);
  }
  over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  expect(ilk_tally_reset(tally), ILK_OK);
  expect(ilk_tally_sum(tally), 0);
  free_tally(tally);
}
END_TEST

static void *_Atomic current;

static void *add_to_whatever(void *unused)
{
  (void)unused;
  while (!over) {
    int result = ilk_tally_add(current, 1);
    must(result == ILK_OK || result == ILK_EHANDLE);
  }
  return NULL;
}

/* Freed and made again in the same place while all add. The one beside it sees none of that. */
START_TEST(free_while_it_is_hammered)
{
  pthread_t threads[4];
  current = new_tally();
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(add_to_whatever, NULL);
  for (int64_t end = stress_end(200); now() < end;) {
    void *old = current, *beside[3];
    spin(below(500));
    int64_t sum = ilk_tally_sum(old);
    must(sum >= 0);
    free_tally(old);
    for (int i = 0; i < 3; i++) {
      beside[i] = new_tally();
      expect(ilk_tally_add(beside[i], i), ILK_OK);
    }
    current = new_tally();
    spin(below(500));
    for (int i = 0; i < 3; i++) {
      expect(ilk_tally_sum(beside[i]), i);
      free_tally(beside[i]);
    }
  }
  over = true;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  free_tally(current);
}
END_TEST

static _Atomic int named;

static void *add_until_it_is_gone(void *t)
{
  expect(ilk_tally_add(t, 1), ILK_OK);
  named++;
  while (ilk_tally_add(t, 1) == ILK_OK)
    ;
  expect(ilk_last_error(), ILK_EHANDLE);
  return NULL;
}

/* Every thread's record caches it: the free removes it from all, or they would add to it
   forever. */
START_TEST(after_a_free_no_thread_adds)
{
  pthread_t threads[4];
  void *t = new_tally();
  expect(ilk_tally_add(t, 1), ILK_OK);
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(add_until_it_is_gone, t);
  while (named < LENGTH(threads))
    sched_yield();
  free_tally(t);
  expect(ilk_tally_add(t, 1), ILK_EHANDLE);
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
}
END_TEST

static struct {
  void *_Atomic tally;
  pthread_barrier_t named, freed;
} contested;
enum { CONTESTS = JITTERED ? 3000 : 30000 };

static _Atomic int frees;

static void *free_it_too(void *first)
{
  for (int i = 0; i < CONTESTS; i++) {
    if (first)
      contested.tally = new_tally();
    pthread_barrier_wait(&contested.freed);
    expect(ilk_tally_add(contested.tally, 1), ILK_OK);
    pthread_barrier_wait(&contested.named);
    spin(below(50));
    frees += ilk_tally_free(contested.tally) == ILK_OK;
    expect(ilk_tally_add(contested.tally, 1), ILK_EHANDLE);
    pthread_barrier_wait(&contested.freed);
  }
  return NULL;
}

/* A thread whose free returns that it is freed already must not add either, while the other free
   still runs. */
START_TEST(freed_by_two)
{
  pthread_barrier_init(&contested.named, NULL, 2);
  pthread_barrier_init(&contested.freed, NULL, 2);
  pthread_t other = start(free_it_too, NULL);
  free_it_too(&contested);
  join(other);
  expect(frees, CONTESTS);
}
END_TEST

static void add_to_the_freed(void *t)
{
  expect(ilk_tally_free(t), ILK_OK);
  expect(ilk_tally_add(t, 1), ILK_EHANDLE);
  void *next = new_tally(); /* in its slot, maybe */
  expect(ilk_tally_add(next, 1), ILK_OK);
  expect(ilk_tally_sum(next), 1);
}

START_TEST(freed_in_a_forks_child)
{
  void *t = new_tally();
  expect(ilk_tally_add(t, 1), ILK_OK);
  in_child(add_to_the_freed, t);
  expect(ilk_tally_add(t, 1), ILK_OK);
  expect(ilk_tally_sum(t), 2);
  free_tally(t);
}
END_TEST

/* The child keeps all sums, and all calls work, whatever the others were inside of. */
START_TEST(fork_while_another_thread_is_inside_cpython_112275)
{
  tally = new_tally();
  current = tally;
  void *quiet = new_tally();
  expect(elsewhere(call_add, quiet, 40), ILK_OK);
  expect(ilk_tally_add(quiet, 2), ILK_OK);
  pthread_t threads[3];
  for (int i = 0; i < 2; i++)
    threads[i] = start(add_ones, NULL);
  threads[2] = start(reset_it, NULL);
  for (int i = 0; i < (TSAN ? 3 : 20); i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(10 * BUSY);
      int64_t sum = ilk_tally_sum(quiet), noisy = ilk_tally_sum(tally);
      bool good = sum == 42 && ilk_tally_add(tally, 3) == ILK_OK &&
                  ilk_tally_sum(tally) == noisy + 3 && ilk_tally_reset(tally) == ILK_OK &&
                  ilk_tally_sum(tally) == 0 && ilk_tally_free(tally) == ILK_OK &&
                  (tally = ilk_tally_new()) && ilk_tally_sum(tally) == 0;
      if (!TSAN && !ASAN) /* which do not let a fork's child start threads */
        good = good && elsewhere(call_add, quiet, 8) == ILK_OK && ilk_tally_sum(quiet) == 50;
      _exit(good ? 0 : 1);
    }
    int status;
    must(child > 0 && waitpid(child, &status, 0) == child);
    expect(status, 0);
  }
  over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  free_tally(tally);
  free_tally(quiet);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("tally");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, each_call);
  tcase_add_test(calls, no_such_handle);
  tcase_add_test(calls, sum_wraps);
  tcase_add_test(calls, a_new_one_is_empty);
  tcase_add_test(calls, many_tallies);
  tcase_add_test(calls, threads_that_are_gone_count);
  tcase_add_test(calls, more_than_are_named);
  tcase_add_test(calls, freed_in_a_forks_child);

  TCase *load = test_case(s, "load", 30);
  tcase_add_test(load, exact_once_quiet);
  tcase_add_test(load, sum_while_they_add);
  tcase_add_test(load, reset_while_they_add);
  tcase_add_test(load, free_while_it_is_hammered);
  tcase_add_test(load, after_a_free_no_thread_adds);
  tcase_add_test(load, freed_by_two);
  tcase_add_test(load, fork_while_another_thread_is_inside_cpython_112275);
  return run_suite(s);
}
