#define _GNU_SOURCE
#include "harness.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loops.h"

const char *const kind_names[KINDS] = {"lock",     "rwlock",    "semaphore", "barrier",
                                       "handover", "broadcast", "counter",   "tally",
                                       "queue",    "tryqueue",  "lockarray", "life"};

int64_t now_ns(void)
{
  return clock_ns();
}

void *line_alloc(size_t size)
{
  size = (size + LINE - 1) / LINE * LINE;
  void *p = aligned_alloc(LINE, size);
  if (!p)
    abort();
  return memset(p, 0, size);
}

uint64_t work_steps(int ns)
{
  static double steps_per_ns;
  if (steps_per_ns == 0) { /* the fastest of a few: the others were disturbed */
    for (int i = 0; i < 50; i++) {
      int64_t since = now_ns();
      work(20000);
      double rate = 20000.0 / (double)(now_ns() - since);
      if (rate > steps_per_ns)
        steps_per_ns = rate;
    }
  }
  if (ns <= 0)
    return 0;
  uint64_t steps = (uint64_t)(ns * steps_per_ns + 0.5);
  return steps ? steps : 1;
}

/* --- the team: the threads of a cell, that live through all its rounds -------------- */

struct team {
  struct worker *workers;
  int threads;
  pthread_barrier_t gate;
  void (*run)(struct worker *); /* NULL: go home */
};

struct member {
  struct team *team;
  int index;
};

static int64_t thread_cpu_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int usual_priority;

void keep_control(void)
{
  usual_priority = getpriority(PRIO_PROCESS, 0);
  setpriority(PRIO_PROCESS, 0, usual_priority - 10);
}

static void *member_main(void *argument)
{
  struct member *member = argument;
  struct team *team = member->team;
  struct worker *w = &team->workers[member->index];
  free(member);
  setpriority(PRIO_PROCESS, 0, usual_priority);
  for (;;) {
    pthread_barrier_wait(&team->gate);
    if (!team->run)
      return NULL;
    w->begin = now_ns();
    int64_t cpu = thread_cpu_ns();
    team->run(w);
    w->cpu = thread_cpu_ns() - cpu;
    pthread_barrier_wait(&team->gate);
  }
}

/* The processors that we may use, in order: the i-th. */
static int nth_cpu(int i)
{
  cpu_set_t all;
  CPU_ZERO(&all);
  sched_getaffinity(0, sizeof all, &all);
  int count = CPU_COUNT(&all);
  if (count < 1)
    return 0;
  i %= count;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &all) && i-- == 0)
      return cpu;
  return 0;
}

static void team_start(struct team *team, const struct cell *cell, pthread_t *ids)
{
  team->threads = cell->threads;
  team->workers = line_alloc(sizeof *team->workers * (size_t)cell->threads);
  pthread_barrier_init(&team->gate, NULL, (unsigned)cell->threads + 1);
  for (int i = 0; i < cell->threads; i++) {
    struct member *member = malloc(sizeof *member);
    *member = (struct member){team, i};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (cell->pinning != ANYWHERE) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(nth_cpu(cell->pinning == APART ? i : 0), &set);
      pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    if (pthread_create(&ids[i], &attributes, member_main, member)) {
      perror("pthread_create");
      exit(1);
    }
    pthread_attr_destroy(&attributes);
  }
}

static void team_end(struct team *team, pthread_t *ids)
{
  team->run = NULL;
  pthread_barrier_wait(&team->gate);
  for (int i = 0; i < team->threads; i++)
    pthread_join(ids[i], NULL);
  pthread_barrier_destroy(&team->gate);
  free(team->workers);
}

/* --- one run of one peer -------------------------------------------------------------- */

struct run {
  int64_t wall, cpu;
  uint64_t ops, wrong;
  double jain, busiest_to_idlest;
};

static void sleep_ms(int ms)
{
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* What the loop could not tell by itself: updates that another thread overwrote, items
   that did not arrive. */
static uint64_t count_lost(const struct team *team, const struct cell *cell,
                           const struct guarded *guarded, uint64_t ops)
{
  uint64_t written = 0, found = 0;
  for (int i = 0; i < team->threads; i++)
    written += team->workers[i].written;
  if (cell->kind == QUEUE || cell->kind == TRYQUEUE)
    return written - ops;
  if (!cell->inside || (cell->kind != LOCK && cell->kind != SEMAPHORE && cell->kind != RWLOCK &&
                        cell->kind != LOCKARRAY))
    return 0;
  for (int i = 0; i < cell->locks; i++)
    found += guarded[i].first;
  return (cell->kind == RWLOCK ? written : ops) - found;
}

static struct run run_once(struct team *team, const struct cell *cell, const struct peer *peer,
                           void **objects, int ms, struct histogram *waits)
{
  static struct {
    _Alignas(LINE) int stop;
    _Alignas(LINE) int64_t last;
  } shared;
  shared.stop = 0;
  shared.last = -1;
  /* Without work inside nothing is checked, and a million lines would take longer to clear than the
     run. */
  struct guarded *guarded = line_alloc(sizeof *guarded * (size_t)(cell->inside ? cell->locks : 1));
  struct histogram *own = waits && cell->inside ? calloc((size_t)cell->threads, sizeof *own) : NULL;
  for (int i = 0; i < cell->threads; i++)
    team->workers[i] = (struct worker){
      .index = i,
      .cell = cell,
      .objects = objects,
      .guarded = guarded,
      .stop = &shared.stop,
      .last = &shared.last,
      .random = (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15),
      .inside = work_steps(cell->inside),
      .outside = work_steps(cell->outside),
      .waits = own ? &own[i] : NULL,
    };

  team->run = peer->run;
  pthread_barrier_wait(&team->gate);
  sleep_ms(ms);
  int64_t end = now_ns();
  __atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
  pthread_barrier_wait(&team->gate);

  struct run run = {.wall = 0};
  double sum = 0, squares = 0, most = 0, least = INFINITY;
  int64_t begin = INT64_MAX, timed = 0;
  for (int i = 0; i < cell->threads; i++) {
    struct worker *w = &team->workers[i];
    double ops = (double)w->ops;
    run.ops += w->ops;
    run.cpu += w->cpu;
    timed += w->timed;
    run.wrong += w->wrong;
    begin = w->begin < begin ? w->begin : begin;
    sum += ops;
    squares += ops * ops;
    most = fmax(most, ops);
    least = fmin(least, ops);
    for (int b = 0; own && b < BUCKETS; b++)
      waits->count[b] += own[i].count[b];
  }
  run.wrong += count_lost(team, cell, guarded, run.ops);
  run.wall = end > begin ? end - begin : 1;
  if (timed)
    run.wall = run.cpu = timed;
  run.jain = squares > 0 ? sum * sum / (cell->threads * squares) : 0;
  run.busiest_to_idlest = most / fmax(least, 1);
  free(own);
  free(guarded);
  return run;
}

static int objects_of(const struct cell *cell)
{
  return cell->kind == LOCKARRAY ? 1 : cell->locks;
}

void measure(const struct cell *cell, const struct peer *const *peers, int n,
             const struct timing *timing, struct figures *figures)
{
  pthread_t ids[THREADS_MAX];
  struct team team = {0};
  team_start(&team, cell, ids);
  void ***objects = calloc((size_t)n, sizeof *objects);
  for (int p = 0; p < n; p++) {
    objects[p] = calloc((size_t)objects_of(cell), sizeof **objects);
    for (int i = 0; i < objects_of(cell); i++)
      objects[p][i] = peers[p]->make(cell);
    memset(&figures[p], 0, sizeof figures[p]);
    figures[p].peer = peers[p];
  }

  /* Round 0 warms up and is not counted. The first peer changes from round to round. */
  for (int round = 0; round <= timing->rounds; round++)
    for (int i = 0; i < n; i++) {
      int p = (i + round) % n;
      struct figures *f = &figures[p];
      struct run run =
        run_once(&team, cell, peers[p], objects[p], round ? timing->ms : (timing->ms + 3) / 4,
                 round ? &f->waits : NULL);
      f->wrong += run.wrong;
      if (round && run.ops) {
        f->ns[f->rounds] = (double)run.wall / (double)run.ops;
        f->cpu[f->rounds++] = (double)run.cpu / (double)run.ops;
      }
    }
  for (int p = 0; p < n && timing->long_ms; p++) {
    struct run run =
      run_once(&team, cell, peers[p], objects[p], timing->long_ms, &figures[p].waits);
    figures[p].wrong += run.wrong;
    figures[p].jain = run.jain;
    figures[p].busiest_to_idlest = run.busiest_to_idlest;
  }

  for (int p = 0; p < n; p++) {
    for (int i = 0; i < objects_of(cell); i++)
      peers[p]->unmake(objects[p][i]);
    free(objects[p]);
  }
  free(objects);
  team_end(&team, ids);
}

/* --- figures ---------------------------------------------------------------------------- */

double percentile(const struct histogram *histogram, double q)
{
  uint64_t total = 0, seen = 0;
  for (int b = 0; b < BUCKETS; b++)
    total += histogram->count[b];
  if (!total)
    return 0;
  for (int b = 0; b < BUCKETS; b++) {
    seen += histogram->count[b];
    if ((double)seen >= q * (double)total)
      return b < 8 ? b : ldexp(8.5 + b % 8, b / 8 - 1);
  }
  return 0;
}

static int compare_doubles(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double quantile(const double *values, int n, double q)
{
  if (n < 1)
    return 0;
  double sorted[ROUNDS_MAX];
  memcpy(sorted, values, sizeof *values * (size_t)n);
  qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
  double at = q * (n - 1);
  int below = (int)at;
  return below + 1 < n ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below])
                       : sorted[below];
}

/* The resident memory of this process. */
static double resident(void)
{
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f)
    return 0;
  if (fscanf(f, "%*s %ld", &pages) != 1)
    pages = 0;
  fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* In a child, so that what one peer leaves behind does not make room for the next. */
double measure_bytes(const struct peer *peer)
{
  enum { MANY = 100000 };
  struct cell cell = {.kind = peer->kind, .threads = 2, .locks = 1, .capacity = 1};
  int ends[2];
  if (peer->bytes)
    return peer->bytes;
  if (pipe(ends))
    return 0;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    void **objects = calloc(MANY, sizeof *objects);
    memset(objects, 1, MANY * sizeof *objects); /* resident before, not after */
    malloc_trim(0);
    double before = resident();
    int made = 0;
    while (made < MANY && (objects[made] = peer->make(&cell)))
      made++;
    double bytes = made ? (resident() - before) / made : 0;
    _exit(write(ends[1], &bytes, sizeof bytes) != sizeof bytes);
  }
  double bytes = 0;
  close(ends[1]);
  if (child < 0 || read(ends[0], &bytes, sizeof bytes) != sizeof bytes)
    bytes = 0;
  close(ends[0]);
  if (child > 0)
    waitpid(child, NULL, 0);
  return bytes;
}
