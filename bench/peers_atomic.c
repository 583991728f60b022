/* What a counter costs at the least: one atomic addition, inlined. */
#include <stdlib.h>

#include "loops.h"

static void *counter_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(sizeof(int64_t));
}

static inline void counter_add(void *p)
{
  __atomic_fetch_add((int64_t *)p, 1, __ATOMIC_SEQ_CST);
}

static void counter_unmake(void *p)
{
  free(p);
}

#define tally_make counter_make
#define tally_add counter_add
#define tally_unmake counter_unmake

COUNTER_PEER(counter, "inlined atomic add", BASELINE, 8);
TALLY_PEER(tally, "inlined atomic add", BASELINE, 8);

const struct peer *const atomic_peers[] = {&counter, &tally, NULL};
