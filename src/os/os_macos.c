#include <errno.h>
#include <libproc.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "os.h"

/* CLOCK_MONOTONIC of macOS has microseconds, and goes on while the machine sleeps. This clock stops
   then, as the system's time-outs do, and Linux's clock. */
int64_t os_clock(void)
{
  return (int64_t)clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
}

int64_t os_thread_id(void)
{
  uint64_t id = 0;
  pthread_threadid_np(NULL, &id);
  return (int64_t)id;
}

/* These ids are not used again. */
bool os_thread_is_gone(int64_t id)
{
  struct proc_threadinfo info;
  return proc_pidinfo(getpid(), PROC_PIDTHREADID64INFO, (uint64_t)id, &info, sizeof info) <= 0 &&
         errno == ESRCH;
}
