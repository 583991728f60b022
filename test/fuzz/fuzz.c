/* Random programs, for as long as you like: fuzz [--seconds N] [--programs N] [--seed S] [--jobs N]
   [--finds]. Program S, S + 1, ... A program that fails is made smaller as long as it still fails,
   and printed. --finds: the library under test has a fault, so it is a failure if none is found. */
#include "fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHRINK_SECONDS 60
#define MOST_JOBS 64

static struct {
  /* Stuck: seconds after which a program is taken for one that hangs. */
  int64_t seconds, programs, stuck;
  uint64_t seed;
  int jobs;
  bool finds;
} options = {.seconds = 10, .programs = INT64_MAX, .stuck = 120, .jobs = 2};

/* What a job tells its parent. */
struct job {
  _Atomic uint64_t seed; /* of the program that it runs */
  _Atomic int64_t since;
  struct counts counts;
};
static struct job *jobs;
#ifndef _WIN32
static pid_t pids[MOST_JOBS]; /* 0: it has ended */
#endif
static _Atomic uint64_t *next_seed;

static int64_t now_seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

static int64_t end_time;

/* --- jobs ------------------------------------------------------------------------------------ */

/* False: a program has failed. */
static bool run_programs(struct job *job)
{
  struct program p;
  while (now_seconds() < end_time) {
    uint64_t seed = (*next_seed)++;
    if (seed - options.seed >= (uint64_t)options.programs)
      break;
    job->since = now_seconds();
    job->seed = seed;
    program_make(&p, seed);
    if (!run(&p, &job->counts))
      return false;
  }
  return true;
}

#ifdef _WIN32

/* Without fork() this process is the only job, and a program that fails is printed whole. */
static struct job *run_jobs(void)
{
  return run_programs(&jobs[0]) ? NULL : &jobs[0];
}

static void show(uint64_t seed)
{
  struct program p;
  program_make(&p, seed);
  program_print(&p);
  fprintf(stderr, "again: --seed %" PRIu64 " --programs 1\n", seed);
}

#else

static void work(struct job *job)
{
  bool good = run_programs(job);
  fflush(stderr);
  _exit(good ? 0 : 1);
}

static void start(int i)
{
  jobs[i].since = now_seconds();
  fflush(stdout);
  pids[i] = fork();
  if (pids[i] == 0)
    work(&jobs[i]);
}

/* True: it has ended; *good: well. */
static bool has_ended(int i, bool *good)
{
  int status;
  uint64_t seed = jobs[i].seed;
  if (now_seconds() - jobs[i].since > options.stuck) {
    fprintf(stderr, "program %" PRIu64 " hangs\n", seed);
    kill(pids[i], SIGKILL);
    waitpid(pids[i], &status, 0);
    *good = false;
    return true;
  }
  if (waitpid(pids[i], &status, WNOHANG) != pids[i])
    return false;
  *good = status == 0;
  if (WIFSIGNALED(status))
    fprintf(stderr, "program %" PRIu64 " died of signal %d\n", seed, WTERMSIG(status));
  return true;
}

/* The job whose program failed, or NULL. */
static struct job *run_jobs(void)
{
  struct job *failed = NULL;
  for (int i = 0; i < options.jobs; i++)
    start(i);
  for (int left = options.jobs; left; usleep(2000))
    for (int i = 0; i < options.jobs; i++) {
      bool good;
      if (!pids[i] || !has_ended(i, &good))
        continue;
      pids[i] = 0;
      left--;
      if (!good && !failed) {
        failed = &jobs[i];
        *next_seed = options.seed + (uint64_t)options.programs; /* the others come to their end */
      }
    }
  return failed;
}

/* --- shrinking
   --------------------------------------------------------------------------------- */

static int64_t shrink_end;

/* A schedule that fails may be rare: again and again, for a while. */
static bool fails(const struct program *p)
{
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (!freopen("/dev/null", "w", stderr))
      _exit(0);
    struct counts counts = {0};
    int64_t until = now_seconds() + 2;
    for (int i = 0; i < 500 && now_seconds() < until; i++)
      if (!run(p, &counts))
        _exit(1);
    _exit(0);
  }
  int status = 0;
  for (int64_t until = now_seconds() + 15; waitpid(child, &status, WNOHANG) == 0; usleep(1000))
    if (now_seconds() > until)
      kill(child, SIGKILL);
  return status != 0;
}

static bool keep_if_it_fails(struct program *p, const struct program *smaller)
{
  if (now_seconds() > shrink_end || !fails(smaller))
    return false;
  *p = *smaller;
  return true;
}

static void without_thread(struct program *p, int t)
{
  memmove(&p->thread[t], &p->thread[t + 1], sizeof *p->thread * (size_t)(p->threads - t - 1));
  p->threads--;
}

static void without_ops(struct program *p, int t, int i, int n)
{
  p->thread[t].ops -= n;
  memmove(&p->thread[t].op[i], &p->thread[t].op[i + n],
          sizeof(struct op) * (size_t)(p->thread[t].ops - i));
}

static void shrink(struct program *p)
{
  struct program smaller;
  shrink_end = now_seconds() + SHRINK_SECONDS;
  for (int t = p->threads - 1; t >= 0 && p->threads > 1; t--) {
    smaller = *p;
    without_thread(&smaller, t);
    keep_if_it_fails(p, &smaller);
  }
  for (int part = OPS / 2; part; part /= 2)
    for (int t = 0; t < p->threads; t++)
      for (int i = p->thread[t].ops - part; i >= 0; i -= part) {
        if (i + part > p->thread[t].ops)
          continue;
        smaller = *p;
        without_ops(&smaller, t, i, part);
        keep_if_it_fails(p, &smaller);
      }
}

static void show(uint64_t seed)
{
  struct program p;
  program_make(&p, seed);
  if (fails(&p)) {
    shrink(&p);
    fprintf(stderr, "made smaller, ");
  } else {
    fprintf(stderr, "it has not failed again, so whole, ");
  }
  program_print(&p);
  fprintf(stderr, "again: --seed %" PRIu64 " --programs 1\n", seed);
}

#endif

/* --- main
   ------------------------------------------------------------------------------------------ */

static void add_counts(struct counts *sum)
{
  for (int i = 0; i < options.jobs; i++) {
    const int64_t *from = (const int64_t *)&jobs[i].counts;
    for (size_t k = 0; k < sizeof *sum / sizeof *from; k++)
      ((int64_t *)sum)[k] += from[k];
  }
}

static void read_options(int argc, char **argv)
{
  options.seed = (uint64_t)time(NULL) * 1000000;
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(argv[i], "--finds"))
      options.finds = true, options.stuck = 5;
    else if (!strcmp(argv[i], "--seconds") && ++i)
      options.seconds = atoll(value);
    else if (!strcmp(argv[i], "--programs") && ++i)
      options.programs = atoll(value);
    else if (!strcmp(argv[i], "--seed") && ++i)
      options.seed = strtoull(value, NULL, 10);
    else if (!strcmp(argv[i], "--jobs") && ++i)
      options.jobs = atoi(value);
    else {
      fprintf(stderr, "usage: %s [--seconds N] [--programs N] [--seed S] [--jobs N] [--finds]\n",
              argv[0]);
      exit(2);
    }
  }
  if (options.jobs < 1 || options.jobs > MOST_JOBS)
    options.jobs = 1;
}

static void *shared(size_t size)
{
  return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv)
{
  read_options(argc, argv);
  jobs = shared(MOST_JOBS * sizeof *jobs);
  next_seed = shared(sizeof *next_seed);
  if (jobs == MAP_FAILED || next_seed == MAP_FAILED)
    return 2;
  *next_seed = options.seed;
  end_time = now_seconds() + options.seconds;
  struct job *failed = run_jobs();
  struct counts c = {0};
  add_counts(&c);
  printf("# seed %" PRIu64 ": %" PRId64 " programs, %" PRId64 " calls, %" PRId64
         " histories (%" PRId64 " undecided), %" PRId64 " stalls, %" PRId64 " forks, %" PRId64
         " deaths of holders, %" PRId64 " times cancelled\n",
         options.seed, c.programs, c.calls, c.histories, c.undecided, c.stalls, c.forks, c.deaths,
         c.cancels);
  bool good = options.finds ? failed != NULL : !failed && c.programs > 0;
  if (failed && !options.finds)
    show(failed->seed);
  printf("1..1\n%s 1 - random programs %s\n", good ? "ok" : "not ok",
         options.finds ? "find the fault that was planted" : "agree with the models");
  return !good;
}
