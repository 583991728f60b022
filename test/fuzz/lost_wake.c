/* Replaces the library's source: one in a few wakes is lost. The fuzzer finds a thread that sleeps
   although the condition that it waits for holds. */
#include "wait.h"

int wait_wake_that_works(atomic_u32 *word, int n, bool shared);
#define wait_wake wait_wake_that_works
#include WAIT_SOURCE
#undef wait_wake

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  static atomic_u32 calls;
  return add_relaxed(&calls, 1) % 4 == 3 ? 0 : wait_wake_that_works(word, n, shared);
}
