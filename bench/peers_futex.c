/* The hand-over on bare futexes: the least that a sleep and a wake cost here. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loops.h"

enum { EMPTY, GIVEN, SLEEPING };

static int *side(void *p, int i)
{
  return (int *)((char *)p + i * LINE);
}

static void *handover_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(2 * LINE);
}

static inline void handover_give(void *p, int to)
{
  int *word = side(p, to);
  if (__atomic_exchange_n(word, GIVEN, __ATOMIC_SEQ_CST) == SLEEPING)
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

static inline void handover_take(void *p, int me)
{
  int *word = side(p, me), seen = EMPTY;
  if (__atomic_compare_exchange_n(word, &seen, SLEEPING, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == SLEEPING)
      syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, SLEEPING, NULL, NULL, 0);
  __atomic_store_n(word, EMPTY, __ATOMIC_RELAXED);
}

static void handover_unmake(void *p)
{
  free(p);
}

HANDOVER_PEER(handover, "bare futex", PARKS | BASELINE, 8);

const struct peer *const futex_peers[] = {&handover, NULL};
