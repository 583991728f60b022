#include "jitter.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

void jitter_point(void)
{
  static _Thread_local uint64_t state;
  if (!state)
    state = (uintptr_t)&state * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)clock() ^ 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  unsigned dice = (unsigned)(state >> 32) & 255;
  if (dice == 0) {
    int cancel; /* the sleep is a cancellation point, which the library has none of */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
    pthread_setcancelstate(cancel, NULL);
  } else if (dice < 24)
    sched_yield();
  else if (dice < 64)
    for (unsigned i = (unsigned)(state >> 48) & 255; i > 0; i--)
      cpu_relax();
}
