/* Waiting on Windows. WakeByAddressSingle() does not return how many threads it woke, and promises
   no order. So each sleeper waits for the address of its own flag. */
#include <windows.h>

#include "os.h"
#include "wait_buckets.h"

const char wait_backend[] = "windows";
bool wait_has_shared = false;

struct flag_sleeper {
  struct sleeper sleeper;
  atomic_u32 woken;
};

/* The longest sleep at once, in milliseconds; INFINITE is the next number. */
#define LONGEST (INFINITE - 1)

/* Milliseconds until the deadline, rounded up: 0 if it has passed. */
static DWORD milliseconds_until(int64_t deadline)
{
  if (deadline == WAIT_FOREVER)
    return INFINITE;
  int64_t left = deadline - os_clock();
  if (left <= 0)
    return 0;
  int64_t ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
  return ms < LONGEST ? (DWORD)ms : LONGEST;
}

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, int flags)
{
  struct flag_sleeper me = {.woken = 0};
  if (!sleeper_add(&me.sleeper, word, expected, flags & WAIT_FIRST))
    return WAIT_WOKEN;
  /* The system may end a sleep early, by its timer or without a reason, so the clock is read again
     after each. */
  uint32_t asleep = 0;
  while (!load_acquire(&me.woken)) { /* pairs with sleeper_wake() */
    DWORD ms = milliseconds_until(deadline);
    if (ms == 0 && sleeper_remove(&me.sleeper))
      return WAIT_TIMEDOUT;
    if (ms != 0)
      WaitOnAddress((volatile void *)&me.woken, &asleep, sizeof asleep, ms);
  }
  return WAIT_WOKEN;
}

/* Release: the woken thread sees what the waker did. After this store the sleeper may be gone. The
   wake still uses the address of its flag, but does not access it; a thread that has another flag
   there rechecks. */
void sleeper_wake(struct sleeper *sleeper)
{
  atomic_u32 *woken = &((struct flag_sleeper *)sleeper)->woken;
  store_release(woken, 1);
  WakeByAddressSingle((void *)woken);
}

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  (void)shared;
  return sleepers_wake(word, n);
}

void wait_setup(void)
{
  sleepers_setup();
}
