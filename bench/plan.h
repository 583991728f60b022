/* Which cells are run: the axes of the quick and the full run, and the cells of the goals. */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "harness.h"

#define CELLS_MAX 4096

struct options {
  bool full, smoke, goals, many_cores;
  unsigned goal_set; /* the bits 1 << n of the goals Sn asked for; 0: all */
  int rounds, ms, max_threads;
  const char *kinds, *scenarios, *peers, *out;
};

/* Fills `cells`, and returns how many there are. */
int plan_cells(const struct options *options, struct cell *cells);

struct timing plan_timing(const struct options *options, const struct cell *cell);

/* "S1,S5", into the bits of goal_set; 0: no such list. */
unsigned plan_goal_set(const char *list);

/* Whether `word` is in a list with commas; a list that is NULL has all words. */
bool is_among(const char *list, const char *word);

#endif
