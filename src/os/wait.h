/* The seam to the operating system: sleep on a 32-bit word, wake its sleepers.
   One of wait_linux.c and wait_pthread.c is built. */
#ifndef INTERLOCK_WAIT_H
#define INTERLOCK_WAIT_H

#include "atomic.h"

#define WAIT_FOREVER INT64_MAX /* as a deadline */

enum wait_result {
  WAIT_WOKEN,    /* woken, or the word was not `expected`, or for no reason: look again */
  WAIT_TIMEDOUT, /* the deadline passed, and no wake was consumed */
  WAIT_REFUSED,  /* the system does not let us sleep: a sandbox denies the call */
};

extern const char wait_backend[];
extern const bool wait_has_shared; /* can words be shared between processes? */

/* Sleeps while *word == expected, until `deadline` (absolute, monotonic clock,
   nanoseconds). The comparison and the falling asleep are one step against
   wait_wake(): a waker that changes the word first and wakes then is not missed.
   A signal handler's run does not end the sleep early as a time-out. */
enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, bool shared);

/* Wakes up to n sleepers of the word, longest asleep first; answers how many. A sleeper that runs a signal
   handler is none, where the system knows.
   The word itself is not read: its memory may be gone. */
int wait_wake(atomic_u32 *word, int n, bool shared);

/* Reads a word on which another thread was seen to sleep. If its memory is gone, or the system does not let us
   know, it is not touched, and the result is false. */
bool wait_read(atomic_u32 *word, uint32_t *value);

/* Around fork(): nobody is inside the room while the process is copied; in the
   child, nobody sleeps. */
void wait_before_fork(void);
void wait_after_fork(bool child);

#endif
