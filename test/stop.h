/* A thread that a signal stops at any point until it may continue, as if it had been preempted
   there. It counts its rounds. A stop waits for a new round, because otherwise it would stop the
   thread at the same point. */
#ifndef STOP_H
#define STOP_H

#include "support.h"

#ifdef _WIN32
#include "windows/stop.h"
#else

static _Atomic bool stop_over; /* the thread is to end */
static _Atomic int stop_round, stop_reached, stop_ended;
static _Atomic int64_t stop_laps;

static void stop_here(int signal)
{
  (void)signal;
  int round = stop_round;
  stop_reached = round;
  while (stop_ended < round)
    sched_yield();
}

static pthread_t stop_start(void *(*function)(void *), void *argument)
{
  struct sigaction action = {.sa_handler = stop_here};
  sigaction(SIGUSR1, &action, NULL);
  stop_over = false;
  return start(function, argument);
}

static void stop_thread(pthread_t thread)
{
  int64_t before = stop_laps;
  while (stop_laps == before)
    sched_yield();
  stop_round++;
  spin(below(2000));
  must(pthread_kill(thread, SIGUSR1) == 0);
  while (stop_reached < stop_round)
    sched_yield();
}

static void stop_let_go(void)
{
  stop_ended = stop_round;
}

static void stop_end(pthread_t thread)
{
  stop_over = true;
  join(thread);
}

#endif
#endif
