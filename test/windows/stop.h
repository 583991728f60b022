/* The functions of stop.h on Windows: SuspendThread() stops a thread wherever it is. */
#ifndef WINDOWS_STOP_H
#define WINDOWS_STOP_H

static _Atomic bool stop_over; /* the thread is to end */
static _Atomic int64_t stop_laps;
static HANDLE stop_stopped;

static pthread_t stop_start(void *(*function)(void *), void *argument)
{
  stop_over = false;
  return start(function, argument);
}

static void stop_thread(pthread_t thread)
{
  int64_t before = stop_laps;
  while (stop_laps == before)
    sched_yield();
  spin(below(2000));
  CONTEXT context = {.ContextFlags = CONTEXT_CONTROL};
  stop_stopped = pthread_gethandle(thread);
  must(SuspendThread(stop_stopped) != (DWORD)-1);
  must(GetThreadContext(stop_stopped, &context)); /* it stands still from here on */
}

static void stop_let_go(void)
{
  must(ResumeThread(stop_stopped) != (DWORD)-1);
}

static void stop_end(pthread_t thread)
{
  stop_over = true;
  join(thread);
}

#endif
