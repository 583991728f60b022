/* thread.c: threads that the library starts. */
#include "stay.h"

#include <sys/resource.h>

#define FUNCTION(f) ((void *)(uintptr_t)(f))

static void *start_thread(void (*function)(void *), void *argument)
{
  void *t = ilk_thread_start(FUNCTION(function), argument);
  must(t != NULL);
  return t;
}

static _Atomic bool go, over;

static void begin(void)
{
  go = over = false;
}

/* Runs until it is stopped. */
static void until_go(void *unused)
{
  (void)unused;
  while (!go)
    nap(100 * US);
}

static void store_1(void *address)
{
  *(int64_t *)address = 1;
}

/* --- calls ------------------------------------------------------------------------------ */

START_TEST(start_and_join)
{
  int64_t plain[20] = {0}; /* join alone orders it */
  void *threads[20];
  for (int i = 0; i < 20; i++)
    threads[i] = start_thread(store_1, &plain[i]);
  for (int i = 0; i < 20; i++) {
    expect(i % 2 ? ilk_thread_join(threads[i])
                 : ilk_thread_timedjoin(threads[i], i % 4 ? -1 : INT64_MAX),
           ILK_OK);
    expect(plain[i], 1);
    expect(ilk_thread_join(threads[i]), ILK_EHANDLE); /* freed */
    expect(ilk_thread_free(threads[i]), ILK_EHANDLE);
  }
}
END_TEST

START_TEST(null_function)
{
  expect_null(ilk_thread_start(NULL, &go), ILK_EINVAL);
}
END_TEST

START_TEST(no_such_handle)
{
  void *gone = start_thread(until_go, NULL), *counter = ilk_counter_new(0);
  void *bad[] = {NULL, gone, counter, (void *)1, (void *)UINTPTR_MAX, &counter};
  expect(ilk_thread_free(gone), ILK_OK);
  go = true;
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_thread_join(bad[i]), ILK_EHANDLE);
    expect(ilk_thread_timedjoin(bad[i], 0), ILK_EHANDLE);
    expect(ilk_thread_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_last_error(), ILK_EHANDLE);
  expect(ilk_counter_free(counter), ILK_OK);
}
END_TEST

START_TEST(join_in_time)
{
  begin();
  void *t = start_thread(until_go, NULL);
  expect(ilk_thread_timedjoin(t, 0), ILK_ETIMEDOUT);
  int64_t before = now();
  expect(ilk_thread_timedjoin(t, 20 * MS), ILK_ETIMEDOUT);
  must(now() - before >= 20 * MS);
  go = true;
  expect(ilk_thread_timedjoin(t, PATIENCE), ILK_OK);
  t = start_thread(store_1, &before);
  while (ilk_thread_timedjoin(t, 0) != ILK_OK) /* also when it tries only */
    sched_yield();
  expect(ilk_thread_join(t), ILK_EHANDLE);
}
END_TEST

static _Atomic(void *) own_handle;
static _Atomic int own_result[2];

static void join_self(void *unused)
{
  (void)unused;
  while (!own_handle)
    sched_yield();
  own_result[0] = ilk_thread_join(own_handle);
  own_result[1] = ilk_thread_timedjoin(own_handle, 0);
}

START_TEST(join_self_is_a_deadlock)
{
  void *t = start_thread(join_self, NULL);
  own_handle = t;
  expect(ilk_thread_join(t), ILK_OK);
  expect(own_result[0], ILK_EDEADLK);
  expect(own_result[1], ILK_ETIMEDOUT);
}
END_TEST

/* --- a deadlock cycle
   ------------------------------------------------------------------------------- */

static void *mutex;

static void lock_it(void *unused)
{
  (void)unused;
  own_result[0] = ilk_mutex_lock(mutex);
  if (own_result[0] == ILK_OK)
    expect(ilk_mutex_unlock(mutex), ILK_OK);
}

/* We hold what the thread waits for, and wait for its end. */
START_TEST(deadlock_cycle_through_a_mutex)
{
  mutex = ilk_mutex_new(0);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  own_result[0] = PENDING;
  void *t = start_thread(lock_it, NULL);
  int64_t before = now();
  int result = ilk_thread_join(t); /* it is reported to at least one of the two */
  must(now() - before < PATIENCE);
  if (result == ILK_EDEADLK) {
    expect(ilk_mutex_unlock(mutex), ILK_OK);
    expect(ilk_thread_join(t), ILK_OK);
    must(own_result[0] == ILK_OK || own_result[0] == ILK_EDEADLK); /* it may be reported to both */
  } else {
    expect(result, ILK_OK);
    expect(own_result[0], ILK_EDEADLK);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
  }
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

/* Not a deadlock cycle: it waits with a deadline, and then ends. */
static void lock_in_time(void *unused)
{
  (void)unused;
  own_result[0] = ilk_mutex_timedlock(mutex, 300 * MS);
}

START_TEST(no_deadlock_cycle_with_a_deadline)
{
  mutex = ilk_mutex_new(0);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  void *t = start_thread(lock_in_time, NULL);
  expect(ilk_thread_join(t), ILK_OK);
  expect(own_result[0], ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

/* --- ways to end ---------------------------------------------------------------------------- */

static void leave(void *unused)
{
  (void)unused;
  pthread_exit(NULL);
}

static void be_cancelled(void *unused)
{
  (void)unused;
  pthread_cancel(pthread_self());
  for (;;)
    pthread_testcancel();
}

static void hold(void *m)
{
  expect(ilk_mutex_lock(m), ILK_OK);
}

START_TEST(every_end_counts)
{
  expect(ilk_thread_join(start_thread(leave, NULL)), ILK_OK);
  expect(ilk_thread_join(start_thread(be_cancelled, NULL)), ILK_OK);
  void *m = ilk_mutex_new(0);
  expect(ilk_thread_join(start_thread(hold, m)), ILK_OK);
  /* At once: the thread is gone, not only its function. */
  expect(ilk_mutex_trylock(m), ILK_OWNER_DIED);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

static int call_join(void *t, int64_t timeout_ns)
{
  return ilk_thread_timedjoin(t, timeout_ns);
}

/* Several threads sleep in joins; the exit wakes all; one join succeeds, and frees the handle. */
START_TEST(several_join)
{
  for (int how = 0; how < 3; how++) {
    begin();
    void *t = start_thread(until_go, NULL);
    struct waiter w[4];
    for (int i = 0; i < LENGTH(w); i++)
      waiter_sleep(&w[i], call_join, t, how ? -1 : 100 * SECOND);
    expect(ilk_thread_free(t), ILK_EBUSY);
    expect(w[0].result, PENDING);
    go = true;
    int joined = 0;
    for (int i = 0; i < LENGTH(w); i++) {
      int result = waiter_end(&w[i]);
      must(result == ILK_OK || result == ILK_EHANDLE);
      joined += result == ILK_OK;
    }
    expect(joined, 1);
    expect(ilk_thread_join(t), ILK_EHANDLE);
  }
}
END_TEST

START_TEST(stale_waiter_count_after_timeout_musl_159d1f6c)
{
  begin();
  void *t = start_thread(until_go, NULL);
  struct waiter w[3];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_start(&w[i], call_join, t, (i + 1) * MS);
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  expect(ilk_thread_free(t), ILK_OK);
  go = true;
}
END_TEST

START_TEST(cancelled_joins)
{
  begin();
  void *t = start_thread(until_go, NULL);
  struct waiter w;
  waiter_sleep(&w, call_join, t, -1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_thread_join(t), ILK_ECANCELED);
  go = true;
  while (ilk_thread_timedjoin(t, 0) == ILK_ETIMEDOUT)
    sched_yield();
  expect(ilk_cancel(0), ILK_OK);
}
END_TEST

START_TEST(storm_of_signals_cpython_148820)
{
  begin();
  void *t = start_thread(until_go, NULL);
  struct waiter w[2];
  pthread_t targets[2];
  struct storm storm;
  int64_t before = now();
  for (int i = 0; i < 2; i++) {
    waiter_sleep(&w[i], call_join, t, i ? 30 * MS : -1);
    targets[i] = w[i].thread;
  }
  storm_start(&storm, targets, 2);
  while (w[1].result == PENDING)
    sched_yield();
  must(now() - before >= 30 * MS);
  expect(w[0].result, PENDING);
  storm_end(&storm);
  /* Before the thread may end: then it would not be one. */
  expect(waiter_end(&w[1]), ILK_ETIMEDOUT);
  go = true;
  expect(waiter_end(&w[0]), ILK_OK);
}
END_TEST

/* --- handles and stacks ---------------------------------------------------------------------- */

static _Atomic int finished;

static void finish(void *unused)
{
  (void)unused;
  jitter();
  finished++;
}

/* The bytes of address space in use and the threads alive, by the kernel's count. */
static void process(int64_t *mapped, int64_t *threads)
{
#ifdef _WIN32
  process_size(mapped, threads);
  return;
#endif
  char line[256];
  FILE *file = fopen("/proc/self/status", "r");
  must(file);
  *mapped = *threads = -1;
  while (fgets(line, sizeof line, file)) {
    if (!strncmp(line, "VmSize:", 7))
      *mapped = strtoll(line + 7, NULL, 10) * 1024;
    if (!strncmp(line, "Threads:", 8))
      *threads = strtoll(line + 8, NULL, 10);
  }
  fclose(file);
  must(*mapped > 0 && *threads > 0);
}

/* As process(), once the threads that have done their work are gone altogether. */
static int64_t mapped_alone(void)
{
  int64_t mapped, threads;
  for (process(&mapped, &threads); threads > 1; process(&mapped, &threads))
    ilk_sleep(MS);
  return mapped;
}

/* Never joined: a free of the handle, at once or later, is enough. */
START_TEST(stack_of_a_thread_never_joined)
{
  int64_t before = 0;
  enum { MANY = TSAN ? 300 : 1500, COUNTED = MANY - MANY / 5 };
  size_t stack;
  pthread_attr_t attributes;
  must(!pthread_attr_init(&attributes) && !pthread_attr_getstacksize(&attributes, &stack));
  finished = 0;
  for (int i = 1; i <= MANY; i++) {
    void *t = start_thread(finish, NULL);
    if (i % 2)
      while (finished < i)
        sched_yield();
    expect(ilk_thread_free(t), ILK_OK);
    while (finished < i)
      sched_yield();
    if (!TSAN && !ASAN && i == MANY / 5)
      before = mapped_alone();
  }
  /* Half of them leaked would be this much. Not less: the C library keeps some stacks, and a heap
     of 64 MB for each of the threads that allocated at once. */
  if (!TSAN && !ASAN)
    must(mapped_alone() < before + (int64_t)stack * COUNTED / 2);
}
END_TEST

/* A thread whose handle was freed ends beside threads that have its slot now. */
START_TEST(handle_freed_and_used_again_while_it_runs)
{
  finished = 0;
  int started = 0;
  for (int64_t end = stress_end(150); now() < end; started += 3) {
    expect(ilk_thread_free(start_thread(finish, NULL)), ILK_OK);
    void *a = start_thread(finish, NULL), *b = start_thread(finish, NULL);
    expect(ilk_thread_free(a), ILK_OK);
    expect(ilk_thread_join(b), ILK_OK);
    expect(ilk_thread_join(a), ILK_EHANDLE);
  }
  while (finished < started)
    sched_yield();
}
END_TEST

static void *_Atomic current;

static void nothing(void *unused)
{
  (void)unused;
}

static void *join_whatever(void *unused)
{
  (void)unused;
  while (!over) {
    int result = ilk_thread_timedjoin(current, below(3) ? below(100 * US) : -1);
    must(result == ILK_OK || result == ILK_EHANDLE || result == ILK_ETIMEDOUT);
    finished += result == ILK_OK;
  }
  return NULL;
}

/* Each thread is joined once, or freed once, whichever call is faster. */
START_TEST(free_while_it_is_hammered)
{
  begin();
  finished = 0;
  pthread_t threads[3];
  int started = 0, freed = 0;
  current = NULL;
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(join_whatever, NULL);
  for (int64_t end = stress_end(200); now() < end; started++) {
    void *t = start_thread(nothing, NULL);
    current = t;
    jitter();
    int result;
    while ((result = ilk_thread_free(t)) == ILK_EBUSY)
      sched_yield();
    must(result == ILK_OK || result == ILK_EHANDLE);
    freed += result == ILK_OK;
  }
  over = true;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  expect(finished + freed, started);
}
END_TEST

/* --- no memory, and fork -------------------------------------------------------------------- */

static bool starts_none(void)
{
  struct rlimit none = {1 << 20, 1 << 20};
  int64_t live = ilk_live();
  if (setrlimit(RLIMIT_AS, &none) != 0)
    return false;
  for (int i = 0; i < 100; i++)
    if (ilk_thread_start(FUNCTION(finish), NULL) != NULL || ilk_last_error() != ILK_ENOMEM)
      return false;
  return ilk_live() == live;
}

START_TEST(no_memory_for_a_stack)
{
  if (TSAN || ASAN)
    return;
  pid_t child = fork();
  if (child == 0)
    _exit(starts_none() ? 0 : 1);
  int status;
  must(waitpid(child, &status, 0) == child);
  expect(status, 0);
}
END_TEST

/* The threads that the child left behind count as returned. */
START_TEST(fork_while_another_thread_is_inside_cpython_112275)
{
  begin();
  void *t = start_thread(until_go, NULL), *second = start_thread(until_go, NULL);
  struct waiter w;
  waiter_sleep(&w, call_join, t, -1);
  pid_t child = fork();
  if (child == 0) {
    alarm(10 * BUSY);
    bool good = ilk_thread_join(t) == ILK_OK && ilk_thread_join(t) == ILK_EHANDLE &&
                ilk_thread_free(second) == ILK_OK;
    if (!TSAN && !ASAN) { /* which do not let a fork's child start threads */
      int64_t plain = 0;
      void *third = ilk_thread_start(FUNCTION(store_1), &plain);
      good = good && third && ilk_thread_join(third) == ILK_OK && plain == 1;
    }
    _exit(good ? 0 : 1);
  }
  int status;
  must(waitpid(child, &status, 0) == child);
  expect(status, 0);
  expect(w.result, PENDING);
  go = true;
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_thread_join(second), ILK_OK);
}
END_TEST

static _Atomic int fork_status;

/* The thread that forks goes on in the child; it is joined in the parent. */
static void fork_inside(void *unused)
{
  (void)unused;
  while (!own_handle)
    sched_yield();
  void *other = ilk_thread_start(FUNCTION(until_go), NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(10 * BUSY);
    bool good = ilk_thread_join(own_handle) == ILK_EDEADLK && ilk_thread_join(other) == ILK_OK;
    _exit(good ? 0 : 1);
  }
  int status;
  waitpid(child, &status, 0);
  fork_status = status;
  expect(ilk_thread_free(other), ILK_OK);
}

START_TEST(fork_inside_a_started_thread)
{
  begin();
  fork_status = -1;
  void *t = start_thread(fork_inside, NULL);
  own_handle = t;
  expect(ilk_thread_join(t), ILK_OK);
  expect(fork_status, 0);
  go = true;
}
END_TEST

/* The thread is gone, but the other that joins it has not left its wait. */
START_TEST(a_join_with_a_deadline_waited_for_another_join_in_a_signal_handler)
{
  begin();
  void *thread = start_thread(until_go, NULL);
  struct waiter other;
  waiter_sleep(&other, call_join, thread, -1);
  interrupt(other.thread);
  go = true;
  for (int64_t end = now() + SECOND; now() < end;) {
    expect(ilk_thread_timedjoin(thread, 0), ILK_ETIMEDOUT);
    expect(ilk_thread_timedjoin(thread, MS), ILK_ETIMEDOUT);
  }
  expect(other.result, PENDING);
  handler_may_return = true;
  expect(waiter_end(&other), ILK_OK);
  expect(ilk_thread_join(thread), ILK_EHANDLE);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("spawn");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, start_and_join);
  tcase_add_test(calls, null_function);
  tcase_add_test(calls, no_such_handle);
  tcase_add_test(calls, join_in_time);
  tcase_add_test(calls, join_self_is_a_deadlock);
  tcase_add_test(calls, deadlock_cycle_through_a_mutex);
  tcase_add_test(calls, no_deadlock_cycle_with_a_deadline);
  tcase_add_test(calls, every_end_counts);
  tcase_add_test(calls, several_join);
  tcase_add_test(calls, a_join_with_a_deadline_waited_for_another_join_in_a_signal_handler);
  tcase_add_test(calls, stale_waiter_count_after_timeout_musl_159d1f6c);
  tcase_add_test(calls, cancelled_joins);
  tcase_add_test(calls, storm_of_signals_cpython_148820);

  TCase *load = test_case(s, "load", 30);
  if (!skipped_if_emulated("stack_of_a_thread_never_joined",
                           "the emulator has a thread of its own"))
    tcase_add_test(load, stack_of_a_thread_never_joined);
  tcase_add_test(load, handle_freed_and_used_again_while_it_runs);
  tcase_add_test(load, free_while_it_is_hammered);
  if (!skipped_if_emulated("no_memory_for_a_stack", "setrlimit() has no effect"))
    tcase_add_test(load, no_memory_for_a_stack);
  tcase_add_test(load, fork_while_another_thread_is_inside_cpython_112275);
  tcase_add_test(load, fork_inside_a_started_thread);
  return run_suite(s);
}
