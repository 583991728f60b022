/* For systems that cannot sleep on a word, or do not say how many threads a wake has woken, or
   promise no order. Words are hashed to buckets. A bucket has a lock and a list of the threads that
   sleep, oldest first.

   wait_buckets.c defines wait_read(), wait_was_first() and wait_fork of wait.h. A platform defines
   the rest, and sleeper_wake(). For words that are not shared between processes they do this:

       wait_setup():    sleepers_setup()
       wait_on():       sleeper_add();  sleep until sleeper_wake(), or the deadline and a
                        sleeper_remove() that succeeds
       wait_wake():     sleepers_wake()
       sleeper_wake():  ends that sleep

   Invariants:
   I1  Each sleeper has its own flag or condition variable to sleep on, so no other thread can take
       its wake.
   I2  A sleeper is on the stack of its thread. While it is in a list, its thread does not return:
       it first removes the sleeper itself, or waits for sleeper_wake(). */
#ifndef INTERLOCK_WAIT_BUCKETS_H
#define INTERLOCK_WAIT_BUCKETS_H

#include "wait.h"

/* The first member of a platform's own structure. */
struct sleeper {
  struct sleeper *next;
  atomic_u32 *word;
  bool first; /* WAIT_FIRST */
};

void sleepers_setup(void); /* once, when the library is loaded */

/* False: *word is not `expected`, and the sleeper was not added. No wake that follows a change of
   the word misses a sleeper that was added. */
bool sleeper_add(struct sleeper *sleeper, atomic_u32 *word, uint32_t expected, bool first);

/* At the deadline. False: a wake has removed the sleeper, and sleeper_wake() has returned. */
bool sleeper_remove(struct sleeper *sleeper);

/* See wait_wake(). */
int sleepers_wake(atomic_u32 *word, int n);

/* Called by sleepers_wake() for a sleeper that it has just removed, with the bucket locked. It must
   synchronize with the thread that it wakes. That thread returns at once, so after the step that
   lets it do so, the sleeper may be gone. */
void sleeper_wake(struct sleeper *sleeper);

#endif
