/* Waits for a step of another thread that nobody announces: a few yields, for that thread mostly
   runs; then short sleeps, each longer than the last. For it may have been preempted by a thread of higher
   priority, and the caller may be that thread. */
#ifndef INTERLOCK_BACKOFF_H
#define INTERLOCK_BACKOFF_H

#include <stdbool.h>

#include "common.h"

/* All zero at first. */
struct backoff {
  int times;
};

/* The longest sleep, in nanoseconds. */
#define BACKOFF_LONGEST (640 * INT64_C(1000))

/* How long to sleep this time, in nanoseconds; 0: yield. */
int64_t backoff_next(struct backoff *backoff);

/* That yield or sleep. */
COLD void backoff_wait(struct backoff *backoff);
bool backoff_is_longest(const struct backoff *backoff); /* the next sleep, and all that follow */

COLD void backoff_sleep(int64_t ns);

#endif
