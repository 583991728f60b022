/* A thread whose signal handler stays until the test lets it return. */
#ifndef STAY_H
#define STAY_H

#include "support.h"

static _Atomic bool in_handler, handler_may_return;
static _Atomic int64_t handler_thread;

static void stay(int signal)
{
  (void)signal;
  handler_thread = ilk_thread_id();
  in_handler = true;
  while (!handler_may_return) {
    struct timespec t = {.tv_nsec = 100000};
    nanosleep(&t, NULL);
  }
}

/* Returns once the thread is in its handler. */
static void interrupt(pthread_t thread)
{
  struct sigaction action = {.sa_handler = stay};
  sigaction(SIGUSR1, &action, NULL);
  in_handler = handler_may_return = false;
  must(pthread_kill(thread, SIGUSR1) == 0);
  while (!in_handler)
    nap(50 * US);
}

#endif
