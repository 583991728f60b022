/* Blocks signals around code that a signal handler of the same thread must not interrupt, because the handler's calls could
   wait for what the code holds. Used where the code is short and rarely runs. */
#ifndef INTERLOCK_SIGNALS_H
#define INTERLOCK_SIGNALS_H

#include <pthread.h>
#include <signal.h>

static inline void signals_block(sigset_t *before)
{
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
}

static inline void signals_restore(const sigset_t *before)
{
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
