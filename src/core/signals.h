/* Code that a signal handler of the same thread must not interrupt: it holds a lock, or closes a handle, for which
   the handler's own calls would wait. Where this is short and seldom, the signals wait. */
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
