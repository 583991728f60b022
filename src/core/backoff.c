#include "backoff.h"

#include "clock.h"
#include "guard.h"
#include "os.h"
#include "wait.h"

#define YIELDS 4
#define DOUBLINGS 5 /* from the first sleep to the longest */

/* A sleep takes 60 us or more, however short it is meant to be. */
#define PAUSE_AFTER (NS_PER_MS / 10)
#define PAUSE_SHARE 4 /* a quarter */

int64_t backoff_next(struct backoff *backoff)
{
  int sleeps = backoff->times - YIELDS;
  if (sleeps < DOUBLINGS)
    backoff->times++;
  return sleeps < 0 ? 0 : BACKOFF_LONGEST >> (DOUBLINGS - sleeps);
}

bool backoff_is_longest(const struct backoff *backoff)
{
  return backoff->times == YIELDS + DOUBLINGS;
}

void backoff_sleep(int64_t ns)
{
  atomic_u32 never = 0;
  bool suspended = fork_suspend(); /* the other thread may need the guards */
  if (!ns || wait_on(&never, 0, clock_now() + ns, 0) == WAIT_REFUSED)
    os_yield();
  if (suspended)
    fork_resume();
}

void backoff_wait(struct backoff *backoff)
{
  backoff_sleep(backoff_next(backoff));
}

int64_t backoff_pause_end(int64_t since, int64_t now, int64_t deadline)
{
  int64_t waited = now - since, end = now + waited / PAUSE_SHARE;
  return waited >= PAUSE_AFTER && end < deadline ? end : 0;
}
