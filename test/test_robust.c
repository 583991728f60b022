/* robust.c: locks between processes whose holder, or waiter, is killed at any moment. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>

#include "support.h"

struct shared {
  _Alignas(ILK_ROBUST_SIZE) char lock[ILK_ROBUST_SIZE];
  _Atomic int ready, locked, died;
  _Atomic int inside; /* the process that holds the lock says so */
  int64_t end;
};
_Static_assert(sizeof(int64_t[8]) == ILK_ROBUST_SIZE, "a row of eight");

static struct shared *shared_new(void)
{
  void *memory =
    mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(memory != MAP_FAILED);
  return memory;
}

static void shared_free(struct shared *s)
{
  munmap(s, sizeof *s);
}

static void until_ready(struct shared *s, int n)
{
  while (s->ready < n)
    nap(100 * US);
}

/* It may have been woken, or not. A waiter between two parts of its wait runs for a moment. */
static void until_process_sleeps(pid_t child)
{
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
  for (int seen = 0; seen < 3;) {
    FILE *file = fopen(path, "r");
    must(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
    fclose(file);
    seen = state == 'S' ? seen + 1 : 0;
    nap(MS);
  }
}

static void process_kill(pid_t child)
{
  int status;
  kill(child, SIGKILL);
  must(waitpid(child, &status, 0) == child);
}

/* --- calls
   ------------------------------------------------------------------------------------- */

START_TEST(arguments_are_checked)
{
  struct shared *s = shared_new();
  int (*calls[])(void *) = {ilk_robust_lock, ilk_robust_trylock, ilk_robust_unlock};
  for (int i = 0; i < LENGTH(calls); i++) {
    expect(calls[i](NULL), ILK_EINVAL);
    expect(ilk_last_error(), ILK_EINVAL);
    expect(calls[i](s->lock + 4), ILK_EINVAL);
  }
  expect(ilk_robust_timedlock(NULL, 1), ILK_EINVAL);
  expect(ilk_robust_timedlock(s->lock + 1, 1), ILK_EINVAL);
  memset(s->lock, 0x55, sizeof s->lock); /* no such lock */
  for (int i = 0; i < LENGTH(calls); i++)
    expect(calls[i](s->lock), ILK_EINVAL);
  expect(ilk_robust_timedlock(s->lock, -1), ILK_EINVAL);
  memset(s->lock, 0, sizeof s->lock);
  memset(s->lock + sizeof s->lock - 4, 0x55, 4); /* one of another C library */
  for (int i = 0; i < LENGTH(calls); i++)
    expect(calls[i](s->lock), ILK_EINVAL);
  shared_free(s);
}
END_TEST

static int call_trylock_robust(void *lock, int64_t unused)
{
  (void)unused;
  return ilk_robust_trylock(lock);
}

/* musl's pthread_mutex_trylock() returns EBUSY for a mutex that the caller holds. A wait that found
   its time over, or waits cancelled, did not try again, and returned ETIMEDOUT or ECANCELED. */
START_TEST(a_holder_deadlocks_though_its_wait_would_not_begin)
{
  struct shared *s = shared_new();
  expect(ilk_robust_lock(s->lock), ILK_OK);
  for (int i = 0; i < 100; i++)
    expect(ilk_robust_timedlock(s->lock, 1), ILK_EDEADLK);
  ilk_cancel(1);
  expect(ilk_robust_timedlock(s->lock, SECOND), ILK_EDEADLK);
  expect(ilk_robust_lock(s->lock), ILK_EDEADLK);
  ilk_cancel(0);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  shared_free(s);
}
END_TEST

#if defined(__linux__) && defined(__LP64__) && !TSAN
#define SETS_CLOCK

/* As on a machine without a battery for its clock, until it is set: the time since its start. */
static _Atomic bool clock_is_unset;

int clock_gettime(clockid_t clock, struct timespec *time)
{
  bool unset = clock == CLOCK_REALTIME && clock_is_unset;
  return (int)syscall(SYS_clock_gettime, unset ? CLOCK_MONOTONIC : clock, time);
}

/* Where there is no pthread_mutex_clocklock(), as with musl. */
START_TEST(a_wait_was_invalid_before_the_clock_was_set)
{
  struct shared *s = shared_new();
  expect(ilk_robust_lock(s->lock), ILK_OK);
  clock_is_unset = true;
  expect(elsewhere(ilk_robust_timedlock, s->lock, MS), ILK_ETIMEDOUT);
  expect(ilk_robust_lock(s->lock), ILK_EDEADLK);
  clock_is_unset = false;
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  shared_free(s);
}
END_TEST

#endif

static int call_unlock_robust(void *lock, int64_t unused)
{
  (void)unused;
  return ilk_robust_unlock(lock);
}

START_TEST(lock_and_unlock)
{
  struct shared *s = shared_new();
  for (int round = 0; round < 2; round++) {
    if (!TSAN) /* for it that is the program's mistake */
      expect(ilk_robust_unlock(s->lock), ILK_EPERM);
    expect(ilk_robust_lock(s->lock), ILK_OK);
    expect(ilk_robust_lock(s->lock), ILK_EDEADLK);
    expect(ilk_robust_timedlock(s->lock, SECOND), ILK_EDEADLK);
    expect(ilk_robust_timedlock(s->lock, 0), ILK_ETIMEDOUT);
    expect(ilk_robust_trylock(s->lock), ILK_EBUSY);
    expect(elsewhere(call_trylock_robust, s->lock, 0), ILK_EBUSY);
    if (!TSAN)
      expect(elsewhere(call_unlock_robust, s->lock, 0), ILK_EPERM);
    int64_t before = now();
    /* In several sleeps. */
    expect(elsewhere(ilk_robust_timedlock, s->lock, 250 * MS), ILK_ETIMEDOUT);
    must(now() - before >= 250 * MS);
    expect(ilk_robust_unlock(s->lock), ILK_OK);
  }
  expect(ilk_robust_trylock(s->lock), ILK_OK);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  expect(ilk_robust_timedlock(s->lock, -1), ILK_OK);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  shared_free(s);
}
END_TEST

START_TEST(a_wait_is_cancelled)
{
  struct shared *s = shared_new();
  struct waiter w;
  expect(ilk_robust_lock(s->lock), ILK_OK);
  waiter_sleep(&w, ilk_robust_timedlock, s->lock, -1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  shared_free(s);
}
END_TEST

/* --- deaths
   ------------------------------------------------------------------------------------ */

static void lock_and_stay(void *shared)
{
  struct shared *s = shared;
  int code = ilk_robust_lock(s->lock);
  must(code >= 0);
  s->died += code == ILK_OWNER_DIED;
  s->ready++;
  for (;;)
    pause();
}

/* Also while no process has waited for the dead one: it still exists, as a zombie. */
START_TEST(a_holder_is_killed)
{
  struct shared *s = shared_new();
  /* The first holder's death is reported to the second, which dies too. */
  for (int round = 0; round < 2; round++) {
    pid_t child = child_start(lock_and_stay, s);
    until_ready(s, round + 1);
    expect(ilk_robust_trylock(s->lock), ILK_EBUSY);
    kill(child, SIGKILL);
    siginfo_t info;
    must(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    if (round == 1)
      expect(_i ? ilk_robust_trylock(s->lock) : ilk_robust_lock(s->lock), ILK_OWNER_DIED);
    must(waitpid(child, NULL, 0) == child);
  }
  expect(s->died, 1);
  expect(ilk_robust_lock(s->lock), ILK_EDEADLK);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  expect(ilk_robust_lock(s->lock), ILK_OK); /* reported once */
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  shared_free(s);
}
END_TEST

static void lock_once(void *shared)
{
  struct shared *s = shared;
  s->ready++;
  int code = ilk_robust_lock(s->lock);
  must(code == ILK_OK || code == ILK_OWNER_DIED);
  s->locked++;
  s->died += code == ILK_OWNER_DIED;
  expect(ilk_robust_unlock(s->lock), ILK_OK);
}

START_TEST(a_holder_is_killed_while_others_wait)
{
  enum { N = 4 };
  struct shared *s = shared_new();
  pid_t holder = child_start(lock_and_stay, s), children[N];
  until_ready(s, 1);
  for (int i = 0; i < N; i++)
    children[i] = child_start(lock_once, s);
  until_ready(s, 1 + N);
  for (int i = 0; i < N; i++)
    until_process_sleeps(children[i]);
  expect(s->locked, 0);
  process_kill(holder);
  for (int i = 0; i < N; i++)
    child_end(children[i]);
  expect(s->locked, N);
  expect(s->died, 1);
  shared_free(s);
}
END_TEST

static int lock_and_exit(void *lock, int64_t unused)
{
  (void)unused;
  return ilk_robust_lock(lock);
}

static void lock_and_end(void *shared)
{
  expect(ilk_robust_lock(((struct shared *)shared)->lock), ILK_OK);
}

static void lock_and_execute(void *shared)
{
  expect(ilk_robust_lock(((struct shared *)shared)->lock), ILK_OK);
  execl("/bin/true", "true", (char *)NULL);
}

START_TEST(a_holder_ends)
{
  struct shared *s = shared_new();
  expect(elsewhere(lock_and_exit, s->lock, 0), ILK_OK);
  expect(ilk_robust_lock(s->lock), ILK_OWNER_DIED);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  void (*bodies[])(void *) = {lock_and_end, lock_and_execute};
  for (int i = 0; i < LENGTH(bodies); i++) {
    in_child(bodies[i], s);
    expect(ilk_robust_trylock(s->lock), ILK_OWNER_DIED);
    expect(ilk_robust_unlock(s->lock), ILK_OK);
  }
  shared_free(s);
}
END_TEST

static void is_not_mine(void *shared)
{
  struct shared *s = shared;
  expect(ilk_robust_trylock(s->lock), ILK_EBUSY);
  if (!TSAN)
    expect(ilk_robust_unlock(s->lock), ILK_EPERM);
}

START_TEST(a_forks_child_does_not_hold_it)
{
  struct shared *s = shared_new();
  expect(ilk_robust_lock(s->lock), ILK_OK);
  in_child(is_not_mine, s);
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  shared_free(s);
}
END_TEST

static _Atomic bool over;

static void *lock_until_over(void *lock)
{
  int result = ILK_ECANCELED;
  while (!over && result < 0)
    result = ilk_robust_lock(lock);
  if (result >= 0)
    expect(ilk_robust_unlock(lock), ILK_OK);
  return NULL;
}

static void *end_cancels(void *unused)
{
  while (!over)
    expect(ilk_cancel(0), ILK_OK);
  return unused;
}

/* Another thread ended the cancel before the wait saw it, and only the caller could end the wait. */
START_TEST(a_cancel_waited_for_a_wait_that_went_on)
{
  _Alignas(8) static char lock[ILK_ROBUST_SIZE];
  over = false;
  expect(ilk_robust_lock(lock), ILK_OK);
  pthread_t waiter = start(lock_until_over, lock), ender = start(end_cancels, NULL);
  nap(20 * MS);
  for (int i = 0; i < 4; i++)
    expect(ilk_cancel(1), ILK_OK);
  over = true;
  join(ender);
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_robust_unlock(lock), ILK_OK);
  join(waiter);
}
END_TEST

/* A waiter is killed asleep; or after its wake and before it runs, as a batch process on our
   processor. */
START_TEST(a_waiter_is_killed)
{
  struct shared *s = shared_new();
  cpu_set_t before, one;
  must(sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  must(sched_setaffinity(0, sizeof one, &one) == 0);
  expect(ilk_robust_lock(s->lock), ILK_OK);
  pid_t children[2];
  for (int i = 0; i < 2; i++) {
    children[i] = child_start(lock_once, s);
    until_ready(s, i + 1);
    until_process_sleeps(children[i]);
  }
  must(make_batch(children[0]));
  if (_i)
    expect(ilk_robust_unlock(s->lock), ILK_OK); /* wakes it */
  process_kill(children[0]);
  if (!_i)
    expect(ilk_robust_unlock(s->lock), ILK_OK);
  must(sched_setaffinity(0, sizeof before, &before) == 0);
  child_end(children[1]);
  must(s->locked >= 1);
  shared_free(s);
}
END_TEST

/* --- stress
   ------------------------------------------------------------------------------------- */

/* If a thread finds another inside, that one's death was reported to it, or the lock does not
   exclude. */
static void lock_for_ever(void *shared)
{
  struct shared *s = shared;
  for (;;) {
    int code =
      below(4) ? ilk_robust_lock(s->lock) : ilk_robust_timedlock(s->lock, below(2000) * US);
    if (code == ILK_ETIMEDOUT)
      continue;
    must(code == ILK_OK || code == ILK_OWNER_DIED);
    if (code == ILK_OK)
      expect(s->inside, 0);
    s->inside = getpid();
    spin(below(3000));
    expect(s->inside, getpid());
    s->locked++;
    s->inside = 0;
    expect(ilk_robust_unlock(s->lock), ILK_OK);
  }
}

START_TEST(deaths_at_any_moment)
{
  enum { N = 4 };
  struct shared *s = shared_new();
  pid_t children[N];
  for (int i = 0; i < N; i++)
    children[i] = child_start(lock_for_ever, s);
  int64_t end = stress_end(1000);
  int kills = 0;
  while (now() < end || kills < 20) {
    nap(below(8) * MS);
    int i = (int)below(N), status;
    must(waitpid(children[i], &status, WNOHANG) == 0); /* it has not failed */
    process_kill(children[i]);
    kills++;
    children[i] = child_start(lock_for_ever, s);
  }
  for (int i = 0; i < N; i++) {
    int status;
    must(waitpid(children[i], &status, WNOHANG) == 0);
    process_kill(children[i]);
  }
  int code = ilk_robust_lock(s->lock);
  must(code == ILK_OWNER_DIED || (code == ILK_OK && s->inside == 0));
  expect(ilk_robust_unlock(s->lock), ILK_OK);
  must(s->locked > 0);
  shared_free(s);
}
END_TEST

/* Of bytes that were never locked: all see to them at once. */
START_TEST(the_first_lock)
{
  enum { N = 3 };
  for (int64_t end = stress_end(100); now() < end;) {
    struct shared *s = shared_new();
    pid_t children[N];
    for (int i = 0; i < N; i++)
      children[i] = child_start(lock_once, s);
    for (int i = 0; i < N; i++)
      child_end(children[i]);
    expect(s->locked, N);
    expect(s->died, 0);
    shared_free(s);
  }
}
END_TEST

int main(void)
{
#ifdef _WIN32
  printf("1..0 # SKIP Windows has no robust mutexes; see test_windows.c\n");
  return 0;
#endif
  char probe[ILK_ROBUST_SIZE] __attribute__((aligned(8))) = {0};
  if (ilk_robust_trylock(probe) == ILK_ENOTSUP) {
    printf("1..0 # SKIP the system has no robust mutexes\n");
    return 0;
  }
  ilk_robust_unlock(probe);
  Suite *suite = suite_create("robust");
  TCase *calls = test_case(suite, "calls", 20);
  tcase_add_test(calls, arguments_are_checked);
  tcase_add_test(calls, a_cancel_waited_for_a_wait_that_went_on);
  tcase_add_test(calls, lock_and_unlock);
  tcase_add_test(calls, a_holder_deadlocks_though_its_wait_would_not_begin);
#ifdef SETS_CLOCK
  tcase_add_test(calls, a_wait_was_invalid_before_the_clock_was_set);
#endif
  tcase_add_test(calls, a_wait_is_cancelled);
  TCase *deaths = test_case(suite, "deaths", 20);
  tcase_add_loop_test(deaths, a_holder_is_killed, 0, 2);
  if (!TSAN) /* its pthread_mutex_timedlock() takes EOWNERDEAD for a failure */
    tcase_add_test(deaths, a_holder_is_killed_while_others_wait);
  tcase_add_test(deaths, a_holder_ends);
  tcase_add_test(deaths, a_forks_child_does_not_hold_it);
  tcase_add_loop_test(deaths, a_waiter_is_killed, 0, 2);
  TCase *stress = test_case(suite, "stress", 30);
  if (!TSAN)
    tcase_add_test(stress, deaths_at_any_moment);
  tcase_add_test(stress, the_first_lock);
  return run_suite(suite);
}
