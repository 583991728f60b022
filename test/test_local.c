/* local.c, and cells.c with it. */
#include "support.h"

static void *new_local(void)
{
  void *l = ilk_local_new();
  must(l != NULL);
  return l;
}

static void free_local(void *l)
{
  expect(ilk_local_free(l), ILK_OK);
}

#define ADDRESS(n) ((void *)(intptr_t)(n))

/* Sets it to `value` in a thread that finds nothing set. */
static int call_set_fresh(void *l, int64_t value)
{
  must(ilk_local_get(l) == NULL);
  int result = ilk_local_set(l, ADDRESS(value));
  must(ilk_local_get(l) == ADDRESS(value));
  return result;
}

START_TEST(each_call)
{
  expect(ilk_mutex_unlock(NULL), ILK_EHANDLE);
  void *l = new_local(), *other = new_local();
  must(ilk_local_get(l) == NULL);
  expect(ilk_local_set(l, NULL), ILK_OK);
  must(ilk_local_get(l) == NULL);
  expect(ilk_local_set(l, &l), ILK_OK);
  expect(ilk_local_set(other, ADDRESS(UINTPTR_MAX)), ILK_OK);
  must(ilk_local_get(l) == &l);
  must(ilk_local_get(other) == ADDRESS(UINTPTR_MAX));
  expect(elsewhere(call_set_fresh, l, 3), ILK_OK);
  must(ilk_local_get(l) == &l);
  expect(ilk_local_set(l, NULL), ILK_OK);
  must(ilk_local_get(l) == NULL);
  expect(ilk_last_error(), ILK_EHANDLE); /* NULL was no failure */
  free_local(l);
  free_local(other);
}
END_TEST

START_TEST(no_such_handle)
{
  void *local = new_local(), *counter = ilk_counter_new(0);
  void *bad[] = {NULL, local, counter, ADDRESS(1), ADDRESS(UINTPTR_MAX), &local};
  expect(ilk_local_set(local, &local), ILK_OK);
  free_local(local);
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_local_set(bad[i], &local), ILK_EHANDLE);
    expect_null(ilk_mutex_new(-1), ILK_EINVAL);
    expect_null(ilk_local_get(bad[i]), ILK_EHANDLE);
    expect(ilk_local_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_counter_free(counter), ILK_OK);
}
END_TEST

/* A number is used again: a value set for the local before is not set for the next one. */
START_TEST(a_new_one_is_not_set)
{
  for (int i = 1; i <= 1000; i++) {
    void *l = new_local();
    must(ilk_local_get(l) == NULL);
    expect(ilk_local_set(l, ADDRESS(i)), ILK_OK);
    must(ilk_local_get(l) == ADDRESS(i));
    free_local(l);
  }
}
END_TEST

/* A record is used again: what a thread set is not set for the next. */
START_TEST(a_new_thread_has_nothing_set)
{
  void *locals[20];
  for (int i = 0; i < LENGTH(locals); i++)
    locals[i] = new_local();
  for (int i = 1; i <= 200; i++)
    expect(elsewhere(call_set_fresh, locals[i * 7 % LENGTH(locals)], i), ILK_OK);
  for (int i = 0; i < LENGTH(locals); i++) {
    must(ilk_local_get(locals[i]) == NULL);
    free_local(locals[i]);
  }
}
END_TEST

/* Memory is freed with the local, and a thread's memory with the thread. */
START_TEST(memory_is_used_again)
{
  int64_t before = 0;
  for (int round = 0; round < 60; round++) {
    void *locals[500];
    for (int i = 0; i < LENGTH(locals); i++) {
      locals[i] = new_local();
      expect(ilk_local_set(locals[i], &before), ILK_OK);
    }
    expect(elsewhere(call_set_fresh, locals[round], 1), ILK_OK);
    for (int i = 0; i < LENGTH(locals); i++)
      free_local(locals[i]);
    if (round == 10)
      before = resident();
  }
  if (!memory_is_not_ours_alone())
    /* 50 more rounds of 8 KB each would be 100 */
    must(resident() < before + 64 * sysconf(_SC_PAGESIZE));
}
END_TEST

/* In a destructor that runs at thread exit, a local may still be asked. */
static pthread_key_t key;
static void *local;
static _Atomic(void *) seen;

static void destructor(void *unused)
{
  (void)unused;
  seen = ilk_local_get(local);
}

static void *set_and_exit(void *unused)
{
  (void)unused;
  expect(ilk_local_set(local, &local), ILK_OK);
  pthread_setspecific(key, &key);
  return NULL;
}

START_TEST(asked_in_a_destructor)
{
  must(pthread_key_create(&key, destructor) == 0);
  local = new_local();
  in_threads(1, set_and_exit, NULL);
  must(seen == &local);
  free_local(local);
}
END_TEST

/* --- all at once ------------------------------------------------------------------------ */

enum { LOCALS = 40 };
static void *locals[LOCALS];

static void *use(void *unused)
{
  (void)unused;
  intptr_t values[LOCALS] = {0};
  for (int i = 0; i < 50000; i++) {
    int64_t which = below(LOCALS);
    must(ilk_local_get(locals[which]) == ADDRESS(values[which]));
    values[which] = (intptr_t)below(1000);
    expect(ilk_local_set(locals[which], ADDRESS(values[which])), ILK_OK);
  }
  return NULL;
}

START_TEST(each_thread_its_own)
{
  for (int i = 0; i < LOCALS; i++)
    locals[i] = new_local();
  for (int round = 0; round < 3; round++)
    in_threads(4, use, NULL);
  for (int i = 0; i < LOCALS; i++)
    free_local(locals[i]);
}
END_TEST

static void *_Atomic current;
static _Atomic bool over;

/* It finds the value that it has set for this local, or nothing. */
static void *set_whatever(void *unused)
{
  (void)unused;
  while (!over) {
    void *l = current, *value = ilk_local_get(l);
    must(value == NULL || value == l);
    int result = ilk_local_set(l, l);
    must(result == ILK_OK || result == ILK_EHANDLE);
  }
  return NULL;
}

START_TEST(free_while_it_is_hammered)
{
  pthread_t threads[4];
  current = new_local();
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(set_whatever, NULL);
  for (int64_t end = stress_end(200); now() < end;) {
    spin(below(500));
    free_local(current);
    current = new_local();
    must(ilk_local_get(current) == NULL);
    expect(ilk_local_set(current, current), ILK_OK);
  }
  over = true;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  free_local(current);
}
END_TEST

static void *make_and_free(void *unused)
{
  (void)unused;
  while (!over) {
    void *l = new_local();
    expect(ilk_local_set(l, &over), ILK_OK);
    free_local(l);
  }
  return NULL;
}

START_TEST(fork_while_another_thread_is_inside_cpython_112275)
{
  local = new_local();
  current = new_local();
  expect(ilk_local_set(local, &local), ILK_OK);
  pthread_t threads[2] = {start(make_and_free, NULL), start(set_whatever, NULL)};
  for (int i = 0; i < (TSAN ? 3 : 20); i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(10 * BUSY);
      bool good = ilk_local_get(local) == &local && ilk_local_get(current) == NULL;
      for (int j = 0; j < (ASAN ? 1 : 10) && good; j++) {
        void *l = ilk_local_new();
        good =
          l && ilk_local_get(l) == NULL && ilk_local_set(l, l) == ILK_OK && ilk_local_get(l) == l;
      }
      if (!TSAN && !ASAN) /* which do not let a fork's child start threads */
        good = good && elsewhere(call_set_fresh, local, 9) == ILK_OK;
      good = good && ilk_local_get(local) == &local && ilk_local_free(local) == ILK_OK;
      _exit(good ? 0 : 1);
    }
    int status;
    must(child > 0 && waitpid(child, &status, 0) == child);
    expect(status, 0);
  }
  over = true;
  for (int i = 0; i < 2; i++)
    join(threads[i]);
  free_local(local);
  free_local(current);
}
END_TEST

#define MANY (UINTPTR_MAX > UINT32_MAX ? 300000 : 250000) /* 32 bits allow 262143 handles */

static void *set_it(void *result)
{
  int64_t before = resident();
  expect(ilk_local_set(local, &over), ILK_OK);
  must(ilk_local_get(local) == &over);
  *(int64_t *)result = resident() - before;
  return NULL;
}

/* A thread's cost depends on the locals that it sets, not on those that exist. */
START_TEST(one_of_many_costs_a_thread_as_little_as_one_of_few)
{
  void **all = malloc(MANY * sizeof *all);
  must(all != NULL);
  for (int i = 0; i < MANY; i++)
    all[i] = new_local();
  local = all[MANY - 1];
  int64_t cost;
  in_threads(1, set_it, &cost);
  if (!ASAN && !TSAN)
    must(cost < 1000000);
  for (int i = 0; i < MANY; i++)
    free_local(all[i]);
  free(all);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("local");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, each_call);
  tcase_add_test(calls, no_such_handle);
  tcase_add_test(calls, a_new_one_is_not_set);
  tcase_add_test(calls, a_new_thread_has_nothing_set);
  if (!skipped_if_emulated("memory_is_used_again", "the emulator's memory is counted, too"))
    tcase_add_test(calls, memory_is_used_again);
  tcase_add_test(calls, asked_in_a_destructor);
  tcase_add_test(calls, one_of_many_costs_a_thread_as_little_as_one_of_few);

  TCase *load = test_case(s, "load", 30);
  tcase_add_test(load, each_thread_its_own);
  tcase_add_test(load, free_while_it_is_hammered);
  tcase_add_test(load, fork_while_another_thread_is_inside_cpython_112275);
  return run_suite(s);
}
