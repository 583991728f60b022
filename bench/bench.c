/* Runs the cells, and reports what was measured. See script/bench. */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include "harness.h"
#include "interlock.h"
#include "plan.h"

static const struct family {
  const char *name;
  const struct peer *const *peers; /* NULL: was not there at build time */
} families[] = {
  {"interlock", interlock_peers},
  {"the C library", libc_peers},
  {"atomics", atomic_peers},
  {"futex", futex_peers},
  {"empty calls", nothing_peers},
  {"libpython", python_peers},
#ifdef HAVE_NSYNC
  {"nsync", nsync_peers},
#else
  {"nsync", NULL},
#endif
#ifdef HAVE_GLIB
  {"GLib", glib_peers},
#else
  {"GLib", NULL},
#endif
#ifdef HAVE_ABSL
  {"Abseil", absl_peers},
#else
  {"Abseil", NULL},
#endif
#ifdef HAVE_TBB
  {"oneTBB", tbb_peers},
#else
  {"oneTBB", NULL},
#endif
#ifdef HAVE_STD
  {"C++20's standard library", std_peers},
#else
  {"C++20's standard library", NULL},
#endif
#ifdef HAVE_MOODYCAMEL
  {"moodycamel", moodycamel_peers},
#else
  {"moodycamel", NULL},
#endif
#ifdef HAVE_BOOST
  {"Boost.Lockfree", boost_peers},
#else
  {"Boost.Lockfree", NULL},
#endif
#ifdef HAVE_ATOMIC_QUEUE
  {"atomic_queue", atomic_queue_peers},
#else
  {"atomic_queue", NULL},
#endif
#ifdef HAVE_RUST
  {"Rust: std, parking_lot, usync, crossbeam, kanal, flume", rust_peers},
#else
  {"Rust: std, parking_lot, usync, crossbeam, kanal, flume", NULL},
#endif
};

static struct options options;

/* --- the peers ------------------------------------------------------------------------- */

static const struct peer *peers[PEERS_MAX * KINDS];
static int peer_count;
static const char *skipped[PEERS_MAX * KINDS];
static int skipped_count;

static void skip(const char *name, const char *why)
{
  fprintf(stderr, "skipped: %s (%s)\n", name, why);
  skipped[skipped_count++] = name;
}

static void find_peers(void)
{
  struct cell cell = {.threads = 2, .locks = 1, .capacity = 1};
  for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
    if (!families[f].peers)
      skip(families[f].name, "not installed when this was built");
    for (const struct peer *const *p = families[f].peers; p && *p; p++) {
      if (!is_among(options.kinds, kind_names[(*p)->kind]) || !is_among(options.peers, (*p)->name))
        continue;
      cell.kind = (*p)->kind;
      void *object = (*p)->make(&cell);
      if (!object) {
        char *name;
        if (asprintf(&name, "%s %s", kind_names[cell.kind], (*p)->name) > 0)
          skip(name, "not to be had here");
        continue;
      }
      (*p)->unmake(object);
      peers[peer_count++] = *p;
    }
  }
  skip("folly", "Debian has no package of it, and its build needs a dozen other libraries");
}

/* --- the cells ------------------------------------------------------------------------- */

static struct cell cells[CELLS_MAX];
static int cell_count;

/* A lock that never sleeps burns whole time slices once there are more threads than processors: in
   --full only. Where a few goals are asked for, peers that cannot be the best are left out. */
static bool takes_part(const struct peer *peer, const struct cell *cell)
{
  if (peer->kind != cell->kind)
    return false;
  if (peer->traits & NOTHING)
    return cell->threads == 1 && !cell->inside;
  bool parks = peer->traits & (OURS | PARKS) || peer->kind == COUNTER || peer->kind == TALLY;
  if (options.goal_set && !parks)
    return false;
  return parks || options.full || options.smoke || cell->threads <= 2 * ilk_cpu_count();
}

static int peers_of(const struct cell *cell, const struct peer **chosen)
{
  int n = 0;
  for (int i = 0; i < peer_count; i++)
    if (n < PEERS_MAX && takes_part(peers[i], cell))
      chosen[n++] = peers[i];
  return n;
}

/* --- for people ----------------------------------------------------------------------------- */

static void describe(const struct cell *cell, char *text, size_t size)
{
  int n = snprintf(text, size, "%s, %s", kind_names[cell->kind], cell->scenario);
  n += snprintf(text + n, size - (size_t)n, ", %d thread%s", cell->threads,
                cell->threads == 1 ? "" : "s");
  if (cell->inside)
    n += snprintf(text + n, size - (size_t)n, ", inside %d ns, outside %d ns", cell->inside,
                  cell->outside);
  if (cell->locks > 1)
    n += snprintf(text + n, size - (size_t)n, ", %d locks", cell->locks);
  if (cell->kind == RWLOCK && cell->writes && cell->writes < 1000)
    n += snprintf(text + n, size - (size_t)n, ", %g %% writes", cell->writes / 10.0);
  if (cell->kind == QUEUE || cell->kind == TRYQUEUE)
    snprintf(text + n, size - (size_t)n, ", capacity %d", cell->capacity);
}

/* Round by round, so that what disturbed a round disturbs both sides of its ratio. One
   thread alone never waits, so its processor time is the time that others did not take. */
static int ratios(const struct cell *cell, const struct figures *of, const struct figures *to,
                  double *out)
{
  int n = of->rounds < to->rounds ? of->rounds : to->rounds;
  for (int i = 0; i < n; i++)
    out[i] = cell->threads == 1 ? of->cpu[i] / to->cpu[i] : of->ns[i] / to->ns[i];
  return n;
}

static void tell(const struct cell *cell, const struct figures *figures, int n)
{
  char text[160];
  describe(cell, text, sizeof text);
  const struct figures *base = NULL;
  for (int i = 0; i < n; i++)
    if (figures[i].peer->traits & BASELINE)
      base = &figures[i];
  printf("\n%s\n  %-28s %10s %7s %-13s %9s %6s %9s %9s %9s\n", text, "", "ns/op", "ratio",
         "  p25..p75", "cpu ns", "Jain", "wait p50", "p99", "p99.9");
  for (int i = 0; i < n; i++) {
    const struct figures *f = &figures[i];
    double r[ROUNDS_MAX];
    int rounds = base ? ratios(cell, f, base, r) : 0;
    printf("  %-28s %10.2f ", f->peer->name, quantile(f->ns, f->rounds, .5));
    if (rounds)
      printf("%7.2f %6.2f..%-5.2f ", quantile(r, rounds, .5), quantile(r, rounds, .25),
             quantile(r, rounds, .75));
    else
      printf("%7s %13s ", "", "");
    printf("%9.1f ", quantile(f->cpu, f->rounds, .5));
    f->jain > 0 ? printf("%6.2f ", f->jain) : printf("%6s ", "");
    if (percentile(&f->waits, .5) > 0)
      printf("%9.0f %9.0f %9.0f", percentile(&f->waits, .5), percentile(&f->waits, .99),
             percentile(&f->waits, .999));
    printf("%s\n", f->wrong ? "  WRONG" : "");
  }
  fflush(stdout);
}

static void progress(int done, const char *what, int64_t since)
{
  if (!isatty(2))
    return;
  double seconds = (double)(now_ns() - since) / 1e9;
  int left = done ? (int)(seconds / done * (cell_count - done)) : 0;
  fprintf(stderr, "\r\033[K[%d/%d, about %d:%02d left] %s", done, cell_count, left / 60, left % 60,
          what);
}

/* --- for bench/plot and bench/goals
   ------------------------------------------------------------ */

static void write_numbers(FILE *f, const char *name, const double *values, int n)
{
  fprintf(f, ", \"%s\": [", name);
  for (int i = 0; i < n; i++)
    fprintf(f, "%s%.5g", i ? ", " : "", values[i]);
  fputs("]", f);
}

static void write_string(FILE *f, const char *name, const char *value)
{
  fprintf(f, "\"%s\": \"", name);
  for (; *value; value++)
    if (*value == '"' || *value == '\\')
      fprintf(f, "\\%c", *value);
    else if ((unsigned char)*value >= ' ')
      fputc(*value, f);
  fputs("\"", f);
}

static void write_machine(FILE *f)
{
  char line[256], model[256] = "";
  FILE *info = fopen("/proc/cpuinfo", "r");
  while (info && !*model && fgets(line, sizeof line, info))
    if (sscanf(line, "model name : %255[^\n]", model) != 1)
      *model = 0;
  if (info)
    fclose(info);
  struct utsname system;
  uname(&system);
  snprintf(line, sizeof line, "%s, %d processors", *model ? model : system.machine,
           ilk_cpu_count());
  fputs("\"machine\": {", f);
  write_string(f, "cpu", line);
  snprintf(line, sizeof line, "%.60s %.60s", system.sysname, system.release);
  fputs(", ", f);
  write_string(f, "system", line);
  fputs(", ", f);
#ifdef __GLIBC__
  snprintf(line, sizeof line, "glibc %s", gnu_get_libc_version());
  write_string(f, "libc", line);
  fputs(", ", f);
#endif
#ifdef __clang__
  snprintf(line, sizeof line, "%s", __VERSION__);
#else
  snprintf(line, sizeof line, "GCC %s", __VERSION__);
#endif
  write_string(f, "compiler", line);
  fputs("},\n", f);
}

/* Processor time of the whole machine so far, and the part of it that was idle; from /proc/stat, in
   its ticks. */
struct machine_time {
  double all, idle, own;
};

static struct machine_time machine_time(void)
{
  struct machine_time t = {0};
  double user, nice, system, idle, wait, irq, soft, steal;
  FILE *f = fopen("/proc/stat", "r");
  if (!f)
    return t;
  if (fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &wait, &irq,
             &soft, &steal) == 8) {
    t.idle = idle + wait;
    t.all = user + nice + system + idle + wait + irq + soft + steal;
  }
  fclose(f);
  struct tms own;
  times(&own);
  t.own = (double)(own.tms_utime + own.tms_stime);
  return t;
}

/* Which part of the processors others had meanwhile, the hypervisor's other guests included; -1:
   not known. */
static double others_since(struct machine_time before)
{
  struct machine_time now = machine_time();
  double all = now.all - before.all;
  if (all < 1)
    return -1;
  double others = all - (now.idle - before.idle) - (now.own - before.own);
  return others > 0 ? others / all : 0;
}

static void write_head(FILE *f)
{
  fputs("{", f);
  write_machine(f);
  write_string(f, "mode",
               options.smoke        ? "smoke"
               : options.full       ? "full"
               : options.many_cores ? "many cores"
                                    : "quick");
  fputs(", ", f);
  write_string(f, "backend", ilk_backend());
  fputs(", ", f);
  write_string(f, "fence", ilk_fence());
  fprintf(f, ", \"cpus\": %d,\n\"skipped\": [", ilk_cpu_count());
  for (int i = 0; i < skipped_count; i++)
    fprintf(f, "%s\"%s\"", i ? ", " : "", skipped[i]);
  fputs("],\n\"peers\": [\n", f);
  for (int i = 0; i < peer_count; i++) {
    fputs(i ? ",\n{" : "{", f);
    write_string(f, "kind", kind_names[peers[i]->kind]);
    fputs(", ", f);
    write_string(f, "name", peers[i]->name);
    /* What bench/plot draws. */
    bool is_measured = peers[i]->kind == LOCK && !options.smoke && !options.goal_set;
    fprintf(f, ", \"ours\": %s, \"parks\": %s, \"baseline\": %s, \"weaker\": %s, \"bytes\": %.1f}",
            peers[i]->traits & OURS ? "true" : "false",
            peers[i]->traits & (PARKS | OURS) ? "true" : "false",
            peers[i]->traits & BASELINE ? "true" : "false",
            peers[i]->traits & WEAKER ? "true" : "false",
            is_measured ? measure_bytes(peers[i]) : 0.0);
  }
  fputs("],\n\"cells\": [", f);
}

static void write_cell(FILE *f, const struct cell *cell, const struct figures *figures, int n,
                       bool first)
{
  fputs(first ? "\n{" : ",\n{", f);
  write_string(f, "kind", kind_names[cell->kind]);
  fputs(", ", f);
  write_string(f, "scenario", cell->scenario);
  fprintf(
    f,
    ", \"threads\": %d, \"inside\": %d, \"outside\": %d, \"locks\": %d, \"writes\": %d, \"capacity\": %d, ",
    cell->threads, cell->inside, cell->outside, cell->locks, cell->writes, cell->capacity);
  fprintf(f, "\"goals\": %u, \"peers\": [", cell->goals);
  for (int i = 0; i < n; i++) {
    const struct figures *p = &figures[i];
    fputs(i ? ",\n  {" : "\n  {", f);
    write_string(f, "name", p->peer->name);
    write_numbers(f, "ns", p->ns, p->rounds);
    write_numbers(f, "cpu", p->cpu, p->rounds);
    if (p->jain > 0)
      fprintf(f, ", \"jain\": %.4f, \"busiest_to_idlest\": %.4g", p->jain, p->busiest_to_idlest);
    if (percentile(&p->waits, .5) > 0)
      fprintf(f, ", \"p50\": %.4g, \"p99\": %.4g, \"p999\": %.4g", percentile(&p->waits, .5),
              percentile(&p->waits, .99), percentile(&p->waits, .999));
    fprintf(f, ", \"wrong\": %llu}", (unsigned long long)p->wrong);
  }
  fputs("]}", f);
}

/* What hangs is named. */
static char where[160];

static void on_alarm(int signal)
{
  (void)signal;
  static const char text[] = "HANGS: ";
  if (write(2, text, sizeof text - 1) < 0 || write(2, where, strlen(where)) < 0 ||
      write(2, "\n", 1) < 0)
    _exit(2);
  _exit(1);
}

/* --- main
   ------------------------------------------------------------------------------------------ */

static const char usage[] =
  "interlock-bench [--full | --smoke | --goals[=S1,S5] | --many-cores] [--kinds a,b] [--scenarios a,b]\n"
  "                [--peers a,b] [--threads MAX] [--rounds N] [--ms N] [--out FILE.json]\n"
  "kinds: lock, rwlock, semaphore, barrier, handover, broadcast, counter, tally, queue, tryqueue, lockarray, life\n";

static void read_options(int argc, char **argv)
{
  static const struct option known[] = {
    {"full", no_argument, NULL, 'f'},
    {"smoke", no_argument, NULL, 's'},
    {"goals", optional_argument, NULL, 'g'},
    {"kinds", required_argument, NULL, 'k'},
    {"many-cores", no_argument, NULL, 'M'},
    {"scenarios", required_argument, NULL, 'c'},
    {"peers", required_argument, NULL, 'p'},
    {"threads", required_argument, NULL, 't'},
    {"rounds", required_argument, NULL, 'r'},
    {"ms", required_argument, NULL, 'm'},
    {"out", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
  };
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;)
    switch (c) {
    case 'f': options.full = true; break;
    case 's': options.smoke = true; break;
    case 'g':
      options.goals = true;
      if (optarg && !(options.goal_set = plan_goal_set(optarg))) {
        fprintf(stderr, "--goals=%s: a list of S1 to S14 with commas, such as S1,S5\n", optarg);
        exit(2);
      }
      break;
    case 'M': options.many_cores = true; break;
    case 'k': options.kinds = optarg; break;
    case 'c': options.scenarios = optarg; break;
    case 'p': options.peers = optarg; break;
    case 't': options.max_threads = atoi(optarg); break;
    case 'r': options.rounds = atoi(optarg) < ROUNDS_MAX ? atoi(optarg) : ROUNDS_MAX; break;
    case 'm': options.ms = atoi(optarg); break;
    case 'o': options.out = optarg; break;
    case 'h': fputs(usage, stdout); exit(0);
    default: fputs(usage, stderr); exit(2);
    }
  if (optind < argc) {
    fprintf(stderr, "%s: not an option\n%s", argv[optind], usage);
    exit(2);
  }
  if (!options.max_threads)
    options.max_threads = options.many_cores ? THREADS_MAX : 64;
}

int main(int argc, char **argv)
{
  static struct figures figures[PEERS_MAX];
  read_options(argc, argv);
  double load = -1;
  if (getloadavg(&load, 1) != 1)
    load = -1;
  struct machine_time before = machine_time();
  find_peers();
  cell_count = plan_cells(&options, cells);

  FILE *out = options.out ? fopen(options.out, "w") : NULL;
  if (options.out && !out) {
    perror(options.out);
    return 1;
  }
  if (out)
    write_head(out); /* measures memory in children, so before there are threads */
  keep_control();

  int64_t since = now_ns();
  bool wrong = false, first = true;
  for (int i = 0; i < cell_count; i++) {
    const struct peer *chosen[PEERS_MAX];
    int n = peers_of(&cells[i], chosen);
    describe(&cells[i], where, sizeof where);
    progress(i, where, since);
    if (!n)
      continue;
    struct timing timing = plan_timing(&options, &cells[i]);
    signal(SIGALRM, on_alarm);
    alarm(options.smoke ? 60 : 600);
    measure(&cells[i], chosen, n, &timing, figures);
    for (int p = 0; p < n; p++)
      if (figures[p].wrong) {
        wrong = true;
        fprintf(stderr, "WRONG: %s: %s: %llu lost\n", where, figures[p].peer->name,
                (unsigned long long)figures[p].wrong);
      }
    if (isatty(2))
      fputs("\r\033[K", stderr);
    if (!options.smoke)
      tell(&cells[i], figures, n);
    if (out) {
      write_cell(out, &cells[i], figures, n, first);
      fflush(out);
      first = false;
    }
  }
  alarm(0);
  if (out) {
    fprintf(out, "\n],\n\"load\": %.2f, \"others\": %.3f}\n", load, others_since(before));
    if (fclose(out)) {
      perror(options.out);
      return 1;
    }
  }
  if (options.smoke)
    printf("%d cells, %d peers: %s\n", cell_count, peer_count, wrong ? "WRONG" : "ok");
  return wrong;
}
