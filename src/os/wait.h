/* Sleep on a 32-bit word, and wake the threads that sleep on it. Provided by wait_linux.c; or by
   wait_buckets.c with wait_macos.c, wait_pthread.c or wait_windows.c. */
#ifndef INTERLOCK_WAIT_H
#define INTERLOCK_WAIT_H

#include "atomic.h"

#define WAIT_FOREVER INT64_MAX /* as a deadline */

enum wait_result {
  WAIT_WOKEN,    /* woken, or the word was not `expected`, or spuriously: recheck */
  WAIT_TIMEDOUT, /* the deadline passed, and no wake was consumed */
  WAIT_REFUSED,  /* the system refuses to sleep: a sandbox denies the call, or there is no memory */
};

extern const char wait_backend[];
extern bool wait_has_shared; /* processes may share words; constant after wait_setup() */

enum wait_flags {
  WAIT_SHARED = 1, /* processes share the word */
  WAIT_FIRST = 2,  /* see wait_wake(); ignored if the word is shared */
};

/* Sleeps while *word == expected, until `deadline` (monotonic clock, absolute, in nanoseconds). The
   comparison and the start of the sleep are atomic with respect to wait_wake(): a waker that first
   changes the word and then wakes is not missed. A signal handler that runs during the sleep does
   not end it. */
enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, int flags);

/* Wakes up to n threads that sleep on the word: first those with WAIT_FIRST, then the others; but
   in the first wake after a wait_was_first(), WAIT_FIRST does not matter. Of each group, those that
   have slept longest are woken first; with futexes, real-time threads before others.

   Returns how many; if shared on macOS, not exactly. With futexes, a thread that runs a signal
   handler at that moment does not count as asleep. The word is not read: its memory may be gone. */
int wait_wake(atomic_u32 *word, int n, bool shared);

/* A thread that slept with WAIT_FIRST has got what it waited for, so the next wake is for all
   alike: a thread that nearly always sleeps with WAIT_FIRST does not lock the others out. It may
   count for other words, too. */
void wait_was_first(const atomic_u32 *word);

/* Reads a word on which another thread was seen to sleep, without touching memory that is gone.
   False: it may be gone, or the word changes meanwhile. */
bool wait_read(atomic_u32 *word, uint32_t *value);

void wait_setup(void); /* once, when the library is loaded */

/* No other thread is in this module while the process is copied. No thread sleeps in the child. */
extern const struct fork_module wait_fork; /* guard.h */

#endif
