/* Finds whether a history is linearizable: whether its calls have an order in which each comes
   after all calls that had returned before it began, and in which the model gives the recorded
   results.

   Source: the search of J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects", Journal
   of Parallel and Distributed Computing 17 (1993), with the memory of G. Lowe, "Testing for
   Linearizability", Concurrency and Computation 29 (2017): a set of calls and the state after them
   are tried once, whatever the order that led there. Each object is checked alone: a history is
   linearizable if and only if that of each object is (Herlihy and Wing, "Linearizability", TOPLAS
   1990, theorem 1). */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define TABLE 65536      /* configurations; a power of 2 */
#define MOST (TABLE / 2) /* to be tried; then the history is undecided */

struct configuration {
  uint64_t done[ENTRIES / 64];
  struct state state;
};

static struct {
  uint64_t use; /* the search that put it there */
  struct configuration configuration;
} table[TABLE];

static struct search {
  const struct object *object;
  const struct entry *entries;
  int n, left, first; /* entries; those not done; before `first`, all are done */
  int tried;
  struct configuration at;
} search;
static uint64_t searches;

static uint64_t hash(const struct configuration *c)
{
  uint64_t words[sizeof *c / 8], h = 0;
  memcpy(words, c, sizeof words);
  for (size_t i = 0; i < sizeof words / 8; i++) {
    h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
  }
  return h;
}

/* Puts the configuration into the table. False: it was there. */
static bool is_new(void)
{
  for (uint64_t i = hash(&search.at);; i++) {
    if (table[i % TABLE].use != searches) {
      table[i % TABLE].use = searches;
      table[i % TABLE].configuration = search.at;
      search.tried++;
      return true;
    }
    if (!memcmp(&table[i % TABLE].configuration, &search.at, sizeof search.at))
      return false;
  }
}

static bool is_done(int i)
{
  return search.at.done[i / 64] >> i % 64 & 1;
}

static void set_done(int i)
{
  search.at.done[i / 64] ^= UINT64_C(1) << i % 64;
}

/* The first end of all that are not done: what begins later cannot come next. */
static int64_t first_end(void)
{
  int64_t end = INT64_MAX;
  for (int i = search.first; i < search.n && search.entries[i].begin < end; i++)
    if (!is_done(i) && search.entries[i].end < end)
      end = search.entries[i].end;
  return end;
}

static bool go_on(void);

/* With entry i next, as it is, or as an entry that did not happen. */
static bool go_on_with(int i, bool happened)
{
  struct state before = search.at.state;
  int first = search.first;
  bool found = false;
  if (!happened || model_step(search.object, &search.at.state, &search.entries[i])) {
    set_done(i);
    search.left--;
    while (search.first < search.n && is_done(search.first))
      search.first++;
    found = go_on();
    search.first = first;
    search.left++;
    set_done(i);
  }
  search.at.state = before;
  return found;
}

static bool go_on(void)
{
  if (!search.left)
    return true;
  if (search.tried >= MOST || !is_new())
    return false;
  int64_t end = first_end();
  for (int i = search.first; i < search.n && search.entries[i].begin < end; i++) {
    if (is_done(i))
      continue;
    if (go_on_with(i, true) || (search.entries[i].may_have_happened && go_on_with(i, false)))
      return true;
  }
  return false;
}

static int by_begin(const void *a, const void *b)
{
  const struct entry *x = a, *y = b;
  return (x->begin > y->begin) - (x->begin < y->begin);
}

enum verdict linear_check(const struct object *o, struct entry *entries, int n)
{
  qsort(entries, (size_t)n, sizeof *entries, by_begin);
  memset(&search, 0, sizeof search);
  search.object = o;
  search.entries = entries;
  search.n = search.left = n;
  searches++;
  model_begin(o, &search.at.state);
  if (go_on())
    return LINEARIZABLE;
  return search.tried >= MOST ? UNDECIDED : NOT_LINEARIZABLE;
}
