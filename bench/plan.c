#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "interlock.h"

#define SHORT 25 /* ns: what a short section, and a short way to the next, are taken for */
#define LAST_GOAL 14

static const struct options *options;
static struct cell *cells;
static int cell_count;

bool is_among(const char *list, const char *word)
{
  if (!list)
    return true;
  size_t length = strlen(word);
  for (const char *p = list; (p = strstr(p, word)); p++)
    if ((p == list || p[-1] == ',') && (p[length] == ',' || !p[length]))
      return true;
  return false;
}

unsigned plan_goal_set(const char *list)
{
  unsigned set = 0;
  for (const char *p = list; *p;) {
    char *end;
    if (*p != 'S' && *p != 's')
      return 0;
    long n = strtol(p + 1, &end, 10);
    if (n < 1 || n > LAST_GOAL || (*end && *end != ','))
      return 0;
    set |= 1U << n;
    p = *end ? end + 1 : end;
  }
  return set;
}

static bool is_same(const struct cell *a, const struct cell *b)
{
  return a->kind == b->kind && !strcmp(a->scenario, b->scenario) && a->threads == b->threads &&
         a->inside == b->inside && a->outside == b->outside && a->locks == b->locks &&
         a->writes == b->writes && a->capacity == b->capacity && a->batch == b->batch &&
         a->pinning == b->pinning;
}

static void add(struct cell cell)
{
  if (!cell.locks)
    cell.locks = 1;
  if (!cell.capacity)
    cell.capacity = 1;
  for (int i = 0; i < cell_count; i++)
    if (is_same(&cells[i], &cell)) {
      cells[i].goals |= cell.goals;
      return;
    }
  if (cell.threads > options->max_threads || cell_count == CELLS_MAX)
    return;
  if (is_among(options->kinds, kind_names[cell.kind]) &&
      is_among(options->scenarios, cell.scenario))
    cells[cell_count++] = cell;
}

/* Threads grow outside the other axes: the library keeps a record for every thread
   that there ever was, and a writer searches all. */
static void plan_axes(void)
{
  static const int threads[] = {1, 2, 4, 8, 16, 32, 64};
  static const int few_inside[] = {SHORT, 1000}, few_outside[] = {SHORT, 1000};
  static const int more_inside[] = {SHORT, 200, 2000}, more_outside[] = {SHORT, 200, 2000, 20000};
  static const int locks[] = {16, 1024}, writes[] = {10, 100, 500};
  int cpus = ilk_cpu_count();

  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    int t = threads[i];
    bool some = options->full || t == 2 || t == 8;
    if (t == 1) {
      add((struct cell){LOCK, "pair", .threads = t});
      add((struct cell){SEMAPHORE, "pair", .threads = t});
      add((struct cell){RWLOCK, "write pair", .threads = t, .writes = 1000});
    } else {
      add((struct cell){LOCK, "contended", .threads = t, .inside = SHORT, .outside = SHORT,
                        .wants_fairness = true});
      add((struct cell){SEMAPHORE, "contended", .threads = t, .inside = SHORT, .outside = SHORT,
                        .wants_fairness = true});
      add((struct cell){BARRIER, "barrier", .threads = t});
      if (t == 4 || t == 16) {
        add((struct cell){BROADCAST, "notify all", .threads = t, .inside = SHORT});
        add((struct cell){BROADCAST, "notify all, together", .threads = t, .inside = SHORT,
                          .pinning = TOGETHER});
      }
      if (some) {
        for (size_t j = 0; j < 2; j++)
          add((struct cell){LOCK, "many locks", .threads = t, .inside = SHORT, .outside = SHORT,
                            .locks = locks[j]});
        for (size_t j = 0; j < 3; j++)
          add((struct cell){RWLOCK, "mixed", .threads = t, .inside = SHORT, .outside = SHORT,
                            .writes = writes[j], .wants_fairness = true});
        add((struct cell){QUEUE, "queue", .threads = t, .capacity = 64});
        if (options->full)
          add((struct cell){QUEUE, "queue", .threads = t, .capacity = 1});
      }
    }
    if (t == 2) {
      if (cpus > 1)
        add((struct cell){HANDOVER, "apart", .threads = t, .pinning = APART});
      add((struct cell){HANDOVER, "together", .threads = t, .pinning = TOGETHER});
    }
    add((struct cell){RWLOCK, "read pair", .threads = t});
    if (options->full || t <= 2 || t == 8) {
      add((struct cell){COUNTER, "add", .threads = t});
      add((struct cell){TALLY, "add", .threads = t});
    }
    if (options->full) {
      for (size_t j = 0; j < 3; j++)
        for (size_t k = 0; k < 4; k++)
          add((struct cell){LOCK, "work", .threads = t, .inside = more_inside[j],
                            .outside = more_outside[k]});
    } else if (some) {
      for (size_t j = 0; j < 2; j++)
        for (size_t k = 0; k < 2; k++)
          if (few_inside[j] != SHORT || few_outside[k] != SHORT)
            add((struct cell){LOCK, "work", .threads = t, .inside = few_inside[j],
                              .outside = few_outside[k]});
    }
  }
  if (options->max_threads >= cpus && cpus > 1 && (cpus & (cpus - 1))) { /* not among the above */
    add((struct cell){BARRIER, "barrier", .threads = cpus});
    add((struct cell){RWLOCK, "read pair", .threads = cpus});
  }
}

/* --- the goals S1 to S11; S12 to S14 are Python's (bench/python) ------------------------------ */

static void add_for(int goal, struct cell cell)
{
  cell.goals = 1U << goal;
  if (!options->goal_set || options->goal_set & cell.goals)
    add(cell);
}

static void plan_goals(void)
{
  static const int pairs[] = {2, 4, 8, 16}, crowds[] = {2, 4, 8}, capacities[] = {64, 4096};
  static const int alone_and_crowds[] = {1, 2, 8}, array_sizes[] = {1000, 1000000};

  for (size_t c = 0; c < 2; c++)
    for (size_t i = 0; i < 4; i++) {
      add_for(1, (struct cell){QUEUE, "queue", .threads = pairs[i], .capacity = capacities[c]});
      add_for(1,
              (struct cell){TRYQUEUE, "try queue", .threads = pairs[i], .capacity = capacities[c]});
    }
  for (size_t i = 0; i < 3; i++) {
    int t = crowds[i];
    struct cell contended = {
      LOCK, "contended", .threads = t, .inside = SHORT, .outside = SHORT, .wants_fairness = true};
    add_for(2, (struct cell){BARRIER, "barrier", .threads = t});
    add_for(4, contended);
    if (t == 8)
      add_for(5, contended);
    add_for(7, (struct cell){RWLOCK, "mixed", .threads = t, .inside = SHORT, .outside = SHORT,
                             .writes = 10, .wants_fairness = true});
    for (size_t n = 0; n < 2; n++)
      add_for(6, (struct cell){LOCKARRAY, "random", .threads = alone_and_crowds[i],
                               .locks = array_sizes[n]});
  }
  if (ilk_cpu_count() > 1)
    add_for(3, (struct cell){HANDOVER, "apart", .threads = 2, .pinning = APART});
  add_for(3, (struct cell){HANDOVER, "together", .threads = 2, .pinning = TOGETHER});
  add_for(5, (struct cell){LOCK, "pair", .threads = 1});
  add_for(8, (struct cell){RWLOCK, "write pair", .threads = 1, .writes = 1000});
  add_for(9, (struct cell){SEMAPHORE, "contended", .threads = 2, .inside = SHORT, .outside = SHORT,
                           .wants_fairness = true});
  add_for(9, (struct cell){SEMAPHORE, "pair", .threads = 1});
  add_for(10, (struct cell){COUNTER, "add", .threads = 2});
  add_for(10, (struct cell){COUNTER, "add", .threads = 8});
  add_for(11, (struct cell){LIFE, "create and free", .threads = 1});
  add_for(11, (struct cell){LIFE, "free", .threads = 1, .batch = 64});
  add_for(11, (struct cell){LIFE, "free after a wait", .threads = 2, .batch = 64});
}

/* --- for machines with many processors: what threads contend for, to twice as many as processors
   --- */

static void plan_many_cores(void)
{
  int most = 2 * ilk_cpu_count();
  if (most > THREADS_MAX)
    most = THREADS_MAX;
  if (most > options->max_threads)
    most = options->max_threads;
  for (int t = 2; t <= most; t = t < most && 2 * t > most ? most : 2 * t) {
    add((struct cell){LOCK, "contended", .threads = t, .inside = SHORT, .outside = SHORT,
                      .wants_fairness = true});
    add((struct cell){LOCK, "work", .threads = t, .inside = SHORT, .outside = 1000});
    add((struct cell){SEMAPHORE, "contended", .threads = t, .inside = SHORT, .outside = SHORT,
                      .wants_fairness = true});
    add((struct cell){RWLOCK, "mixed", .threads = t, .inside = SHORT, .outside = SHORT,
                      .writes = 10, .wants_fairness = true});
    add((struct cell){RWLOCK, "read pair", .threads = t});
    add((struct cell){LOCKARRAY, "random", .threads = t, .locks = 1000});
    add((struct cell){BARRIER, "barrier", .threads = t});
    add((struct cell){QUEUE, "queue", .threads = t, .capacity = 64});
    add((struct cell){TRYQUEUE, "try queue", .threads = t, .capacity = 64});
    add((struct cell){COUNTER, "add", .threads = t});
    add((struct cell){TALLY, "add", .threads = t});
  }
}

/* Every peer at work for a moment, and its exclusion checked. */
static void plan_smoke(void)
{
  static const int threads[] = {2, 4};
  for (int i = 0; i < 2; i++) {
    int t = threads[i];
    add((struct cell){LOCK, "contended", .threads = t, .inside = SHORT, .outside = SHORT});
    add((struct cell){LOCK, "many locks", .threads = t, .inside = SHORT, .outside = SHORT,
                      .locks = 16});
    add((struct cell){LOCKARRAY, "random", .threads = t, .inside = SHORT, .outside = SHORT,
                      .locks = 16});
    add((struct cell){SEMAPHORE, "contended", .threads = t, .inside = SHORT, .outside = SHORT});
    add((struct cell){RWLOCK, "mixed", .threads = t, .inside = SHORT, .outside = SHORT,
                      .writes = 100});
    add((struct cell){BARRIER, "barrier", .threads = t, .inside = SHORT});
    add((struct cell){COUNTER, "add", .threads = t});
    add((struct cell){TALLY, "add", .threads = t});
    add((struct cell){QUEUE, "queue", .threads = t, .capacity = 4});
    add((struct cell){TRYQUEUE, "try queue", .threads = t, .capacity = 4});
  }
  add((struct cell){HANDOVER, "anywhere", .threads = 2});
  add((struct cell){BROADCAST, "notify all", .threads = 4, .inside = SHORT});
  add((struct cell){LOCK, "pair", .threads = 1});
  add((struct cell){SEMAPHORE, "pair", .threads = 1});
  add((struct cell){RWLOCK, "read pair", .threads = 1});
  add((struct cell){RWLOCK, "write pair", .threads = 1, .writes = 1000});
  add((struct cell){LIFE, "create and free", .threads = 1});
  add((struct cell){LIFE, "free", .threads = 1, .batch = 64});
  add((struct cell){LIFE, "free after a wait", .threads = 2, .batch = 64});
}

int plan_cells(const struct options *wanted, struct cell *room)
{
  options = wanted;
  cells = room;
  cell_count = 0;
  if (options->smoke)
    plan_smoke();
  else if (options->many_cores)
    plan_many_cores();
  else {
    if (!options->goal_set)
      plan_axes();
    if (options->goals || options->full)
      plan_goals();
  }
  return cell_count;
}

struct timing plan_timing(const struct options *o, const struct cell *cell)
{
  struct timing t = {.rounds = o->goals || o->many_cores ? 9 : 7, .ms = 20, .long_ms = 0};
  if (o->smoke)
    t = (struct timing){.rounds = 1, .ms = 3};
  else if (cell->threads == 1)
    t = (struct timing){.rounds = o->full ? 101 : 31, .ms = 5};
  else {
    if (o->full)
      t = (struct timing){.rounds = 21, .ms = 50};
    if (cell->wants_fairness)
      t.long_ms = o->full || (o->goals && !o->goal_set) ? 1000 : 200;
  }
  if (o->rounds)
    t.rounds = o->rounds;
  if (o->ms)
    t.ms = o->ms;
  return t;
}
