/* Functions for all tests. They use only the public header of the library. */
#ifndef SUPPORT_H
#define SUPPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef _WIN32
#include "windows/posix.h" /* first: it keeps names of the system's headers out of the way */
#endif
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef _WIN32
#include "windows/runner.h"
#else
#include <sys/syscall.h>
#include <sys/wait.h>
#endif

#include "interlock.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define TSAN 1
#endif
#ifdef __SANITIZE_ADDRESS__
#define ASAN 1
#endif
#ifndef TSAN
#define TSAN 0
#endif
#ifndef ASAN
#define ASAN 0
#endif

/* --- assertions ------------------------------------------------------------------

   For any thread. Check's own assertions write to a pipe under a lock also when they hold. That
   would order memory accesses, which only the tested locks must do. */

#define must(condition)                                                                            \
  do {                                                                                             \
    if (!(condition))                                                                              \
      ck_abort_msg("not so: %s", #condition);                                                      \
  } while (0)

static inline const char *code_name(int64_t code)
{
  return code >= ILK_ENOTSUP && code <= ILK_OWNER_DIED ? ilk_error_name((int)code) : "-";
}

#define expect(call, wanted)                                                                       \
  do {                                                                                             \
    int64_t got_ = (call), expected_ = (wanted);                                                   \
    if (got_ != expected_)                                                                         \
      ck_abort_msg("%s is %" PRId64 " %s, not %" PRId64 " %s", #call, got_, code_name(got_),       \
                   expected_, code_name(expected_));                                               \
  } while (0)

/* A call that returns a value, and fails. */
#define expect_no_value(call, code)                                                                \
  do {                                                                                             \
    expect(call, ILK_NO_VALUE);                                                                    \
    expect(ilk_last_error(), code);                                                                \
  } while (0)

/* A constructor that fails. */
#define expect_null(call, code)                                                                    \
  do {                                                                                             \
    must((call) == NULL);                                                                          \
    expect(ilk_last_error(), code);                                                                \
  } while (0)

/* --- what cannot be tested here ------------------------------------------------------------ */

/* An emulator of another processor, such as qemu-user. It has no process_vm_readv(), so cycles
   through words are not seen; no limits of memory; and its own memory counts as the program's. */
static inline bool emulated(void)
{
#ifdef SYS_get_robust_list
  void *head;
  size_t size;
  return syscall(SYS_get_robust_list, 0, &head, &size) == -1 && errno == ENOSYS;
#else
  return false;
#endif
}

/* Debian's Wine 8 for arm64 is compiled without regard to x18, in which Windows keeps the thread's
   block. It runs under an emulator. This function loses x18, so no call of the library may follow
   in the main thread. */
static inline bool wine_on_arm64(void)
{
#if defined(_WIN32) && defined(__aarch64__)
  return GetProcAddress(GetModuleHandleA("ntdll"), "wine_get_version") != NULL;
#else
  return false;
#endif
}

/* True if the memory of an emulator or a sanitizer counts as the program's. */
static inline bool memory_is_not_ours_alone(void)
{
  return ASAN || TSAN || emulated() || wine_on_arm64();
}

/* The test, which is not added to the suite, counts as skipped. */
static inline void skipped(const char *test, const char *why)
{
  printf("# SKIP %s: %s\n", test, why);
  fflush(stdout);
}

/* True where the emulator is no place for the test. */
static inline bool skipped_if_emulated(const char *test, const char *why)
{
  if (emulated())
    skipped(test, why);
  return emulated();
}

/* --- time, and how long to continue ------------------------------------------------------ */

static inline int64_t now(void)
{
#ifdef _WIN32
  return clock_ns();
#endif
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static inline void nap(int64_t ns)
{
  struct timespec t = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};
  while (nanosleep(&t, &t) != 0 && errno == EINTR)
    ;
}

/* INTERLOCK_TEST_SCALE makes the stress tests so many times longer. */
static inline double scale(void)
{
  const char *text = getenv("INTERLOCK_TEST_SCALE");
  double value = text ? atof(text) : 1;
  return value > 0 ? value : 1;
}

/* The machine may be busy, or stand still for a while, and that is no failure: a step that takes
   this much longer than usual still passes, and no test relies on a step within less than
   PATIENCE. */
#define BUSY 15
#define PATIENCE (30 * SECOND)

/* When a stress test of so many milliseconds ends. */
static inline int64_t stress_end(int64_t ms)
{
  return now() + (int64_t)((double)(ms * MS) * scale());
}

/* --- chance ------------------------------------------------------------------------------ */

static inline uint64_t chance(void)
{
  static _Thread_local uint64_t state;
  if (!state)
    state = (uint64_t)now() * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)&state ^ 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * UINT64_C(0x2545f4914f6cdd1d) >> 16 ^ state << 48;
}

static inline int64_t below(int64_t n)
{
  return (int64_t)(chance() % (uint64_t)n);
}

static inline void spin(int64_t rounds)
{
  for (int64_t i = 0; i < rounds; i++)
    __asm__ __volatile__("");
}

/* Mostly nothing, sometimes a delay or a switch of threads. */
static inline void jitter(void)
{
  int64_t dice = below(128);
  if (dice == 0)
    nap(below(20) * US);
  else if (dice < 6)
    sched_yield();
  else if (dice < 40)
    spin(below(400));
}

/* --- threads -------------------------------------------------------------------------------- */

/* On Windows a thread exits under the loader's lock, which a thread that begins needs too. */
#ifdef _WIN32
#define EXIT_MAY_START_THREADS 0
#define HAS_FORK 0
#else
#define EXIT_MAY_START_THREADS 1
#define HAS_FORK 1
#endif

struct begin {
  void *(*function)(void *);
  void *argument;
  _Atomic bool known;
};

static inline void *begin_known(void *argument)
{
  struct begin *b = argument, own = {.function = b->function, .argument = b->argument};
  ilk_thread_id();
  b->known = true;
  return own.function(own.argument);
}

static inline pthread_t start(void *(*function)(void *), void *argument)
{
  pthread_t thread;
  struct begin begin = {.function = function, .argument = argument};
  /* A lock of AddressSanitizer's allocator stays locked in a fork's child if a thread was inside.
     So with it the library allocates its memory for both threads before the test continues. */
  if (ASAN)
    ilk_thread_id();
  must(pthread_create(&thread, NULL, ASAN ? begin_known : function, ASAN ? &begin : argument) == 0);
  while (ASAN && !begin.known)
    sched_yield();
  return thread;
}

static inline void join(pthread_t thread)
{
  must(pthread_join(thread, NULL) == 0);
}

/* Runs function(argument) in n threads, and waits for them. */
static inline void in_threads(int n, void *(*function)(void *), void *argument)
{
  pthread_t threads[64];
  must(n <= LENGTH(threads));
  for (int i = 0; i < n; i++)
    threads[i] = start(function, argument);
  for (int i = 0; i < n; i++)
    join(threads[i]);
}

#ifndef _WIN32
static inline int own_tid(void)
{
  return (int)syscall(SYS_gettid);
}

#ifdef SCHED_BATCH
/* By the system call: musl's function refuses. */
static inline bool make_batch(pid_t process)
{
  struct sched_param none = {0};
  return syscall(SYS_sched_setscheduler, (long)process, (long)SCHED_BATCH, &none) == 0;
}
#endif

static inline char thread_state(int tid)
{
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  FILE *file = fopen(path, "r");
  if (!file)
    return '?';
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  const char *end = strrchr(text, ')');
  return end && end[1] == ' ' ? end[2] : '?';
}
#endif

/* Returns once that thread has exited, or was seen asleep twice: it may sleep for a moment
   elsewhere on its way. */
static inline void until_asleep(int tid)
{
  for (int seen = 0; seen < 2;) {
    char state = thread_state(tid);
    seen = state == 'S' || state == '?' ? seen + 1 : 0;
    nap(200 * US);
  }
}

/* Whether the report shows that the thread waits for that handle or word (NULL: for any, or
   sleeps). Then other threads' calls count it among the waiters. */
static inline bool is_blocked(int tid, const void *on)
{
  int64_t room = ilk_report(NULL, 0) + 1024;
  char *text = malloc((size_t)room), thread[32], waits[32];
  must(text && ilk_report(text, room) > 0);
  snprintf(thread, sizeof thread, "(native %d)  ", tid);
  snprintf(waits, sizeof waits, " %p", on);
  const char *line = strstr(text, thread);
  const char *found = line && on ? strstr(line, waits) : line;
  bool blocked =
    found && found < line + strcspn(line, "\n") && (!on || strchr(", ", found[strlen(waits)]));
  free(text);
  return blocked;
}

/* A thread that makes one call that may wait. */
#define PENDING 1000

struct waiter {
  int (*call)(void *handle, int64_t timeout_ns);
  void *handle;
  int64_t timeout_ns;
  _Atomic int tid, result;
  pthread_t thread;
};

static inline void *waiter_run(void *argument)
{
  struct waiter *w = argument;
  w->tid = own_tid();
  w->result = w->call(w->handle, w->timeout_ns);
  return NULL;
}

static inline void waiter_start(struct waiter *w, int (*call)(void *, int64_t), void *handle,
                                int64_t timeout_ns)
{
  w->call = call;
  w->handle = handle;
  w->timeout_ns = timeout_ns;
  w->tid = 0;
  w->result = PENDING;
  w->thread = start(waiter_run, w);
}

/* Returns once it waits for its handle, or has returned from its call. */
static inline void waiter_until_asleep(struct waiter *w)
{
  while (!w->tid || (w->result == PENDING && !is_blocked(w->tid, w->handle)))
    nap(50 * US);
  until_asleep(w->tid);
}

/* Started, and asleep in its call. */
static inline void waiter_sleep(struct waiter *w, int (*call)(void *, int64_t), void *handle,
                                int64_t timeout_ns)
{
  waiter_start(w, call, handle, timeout_ns);
  waiter_until_asleep(w);
}

static inline int waiter_end(struct waiter *w)
{
  join(w->thread);
  return w->result;
}

/* One call in a new thread, which then exits. */
static inline int elsewhere(int (*call)(void *, int64_t), void *handle, int64_t timeout_ns)
{
  struct waiter w;
  waiter_start(&w, call, handle, timeout_ns);
  return waiter_end(&w);
}

/* Calls with the signature of a waiter's. */
static inline int call_lock(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_lock(m);
}
static inline int call_trylock(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_trylock(m);
}
static inline int call_unlock(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_unlock(m);
}
static inline int call_reset(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_reset(m);
}
/* Acquires it and releases it. */
static inline int call_visit(void *m, int64_t timeout_ns)
{
  int result = ilk_mutex_timedlock(m, timeout_ns);
  if (result >= 0)
    expect(ilk_mutex_unlock(m), ILK_OK);
  return result;
}
static inline int call_wait_for_1(void *counter, int64_t timeout_ns)
{
  return ilk_counter_timedwait(counter, 1, timeout_ns);
}

/* --- memory ------------------------------------------------------------------------------- */

/* The value of line NAME in /proc/self/FILE, in bytes; -1: there is none. */
static inline int64_t proc_bytes(const char *file, const char *name)
{
  char path[64], line[256];
  int64_t kilobytes = -1;
  snprintf(path, sizeof path, "/proc/self/%s", file);
  FILE *f = fopen(path, "r");
  while (f && kilobytes < 0 && fgets(line, sizeof line, f))
    if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
      kilobytes = strtoll(line + strlen(name) + 1, NULL, 10);
  if (f)
    fclose(f);
  return kilobytes < 0 ? -1 : kilobytes * 1024;
}

/* The bytes of memory in use, counted from the page tables: the numbers in statm are sums of counts
   for each processor, and lag by megabytes if there are many processors. */
static inline int64_t resident(void)
{
#ifdef _WIN32
  int64_t bytes = memory_in_use();
#else
  int64_t bytes = proc_bytes("smaps_rollup", "Rss");
#endif
  must(bytes > 0);
  return bytes;
}

/* --- a fork's child ------------------------------------------------------------------------ */

/* Runs body(argument) in a child. */
static inline pid_t child_start(void (*body)(void *), void *argument)
{
  pid_t child = fork();
  must(child >= 0);
  if (child == 0) {
    alarm(10 * BUSY);
    body(argument);
    _exit(0);
  }
  return child;
}

#ifndef _WIN32
/* It still runs; child_end() must follow. */
static inline bool child_runs(pid_t child)
{
  siginfo_t info = {0};
  must(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
  return info.si_pid == 0;
}
#endif

/* A failed assertion in the child, or a hang, fails the test. */
static inline void child_end(pid_t child)
{
  int status;
  must(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status))
    ck_abort_msg("the child died of signal %d", WTERMSIG(status));
  expect(WEXITSTATUS(status), 0);
}

static inline void in_child(void (*body)(void *), void *argument)
{
  child_end(child_start(body, argument));
}

/* --- a storm of signals -------------------------------------------------------------------- */

#ifdef _WIN32
#include "windows/storm.h"
#else
struct storm {
  const pthread_t *targets;
  int n;
  _Atomic bool over;
  pthread_t thread;
};

static inline void storm_handler(int signal)
{
  (void)signal;
}

static inline void *storm_run(void *argument)
{
  struct storm *s = argument;
  while (!s->over) {
    pthread_kill(s->targets[below(s->n)], SIGUSR1);
    spin(below(2000));
    if (below(8) == 0)
      nap(10 * US);
  }
  return NULL;
}

/* Targets are joined after storm_end() only. */
static inline void storm_start(struct storm *s, const pthread_t *targets, int n)
{
  struct sigaction action = {.sa_handler = storm_handler}; /* no SA_RESTART */
  sigaction(SIGUSR1, &action, NULL);
  *s = (struct storm){.targets = targets, .n = n};
  s->thread = start(storm_run, s);
}

static inline void storm_end(struct storm *s)
{
  s->over = true;
  join(s->thread);
}
#endif

/* --- the suite ------------------------------------------------------------------------------- */

static int64_t live_before_;

static inline void remember_live(void)
{
  live_before_ = ilk_live();
}

static inline void check_live(void)
{
  expect(ilk_live(), live_before_); /* a test frees what it made */
}

/* `seconds`: more than enough for each of its tests on a quiet machine. */
static inline TCase *test_case(Suite *suite, const char *name, int seconds)
{
  TCase *tcase = tcase_create(name);
#ifdef _WIN32
  runner_tcase(name, (int)(seconds * BUSY * (scale() > 1 ? scale() : 1)));
#endif
  tcase_set_timeout(tcase, seconds * BUSY * (scale() > 1 ? scale() : 1));
  tcase_add_checked_fixture(tcase, remember_live, check_live);
  suite_add_tcase(suite, tcase);
  return tcase;
}

static inline int run_suite(Suite *suite)
{
#ifdef _WIN32
  return runner_run(suite);
#endif
  SRunner *runner = srunner_create(suite);
  srunner_set_tap(runner, "-");
  srunner_run_all(runner, CK_SILENT);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}

#endif
