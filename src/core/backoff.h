/* Waits for a step of another thread for which there is no wake. First a few yields: that thread is
   usually running. Then short sleeps, each longer than the last: that thread may have been
   preempted, perhaps by the caller, if it has a higher priority. */
#ifndef INTERLOCK_BACKOFF_H
#define INTERLOCK_BACKOFF_H

#include <stdbool.h>

#include "common.h"

/* Initially zero. */
struct backoff {
  int times;
};

/* The longest sleep, in nanoseconds. */
#define BACKOFF_LONGEST (640 * INT64_C(1000))

/* How long to sleep this time, in nanoseconds; 0: yield. */
int64_t backoff_next(struct backoff *backoff);

/* Sleeps for that long. Yields for 0, or where the system refuses to sleep. With no guard held,
   except by a fork that is under way. */
COLD void backoff_sleep(int64_t ns);
COLD void backoff_wait(struct backoff *backoff);        /* the next sleep or yield */
bool backoff_is_longest(const struct backoff *backoff); /* true if the next sleep is the longest */

/* For a waiter of a lock that was woken without effect, since another thread has locked it again.
   To be woken at the next release, it must interrupt the holder (fence_heavy()), and that release
   makes a system call. If the holder needs the lock for a microsecond, and locks it again at once,
   these take longer than its critical sections. So the waiter pauses first, for a share of the time
   that it has waited, and is not woken meanwhile. Returns when the pause ends; 0: no pause, because
   the wait is short so far, or would end before. */
int64_t backoff_pause_end(int64_t since, int64_t now, int64_t deadline);

#endif
