/* Waiting on any POSIX system: each sleeper has its own mutex and condition variable. A condition
   variable that several sleepers share lets a later waiter steal a signal (glibc bug 25847). */
#include <pthread.h>
#include <time.h>

#include "os.h"
#include "wait_buckets.h"

const char wait_backend[] = "pthread";
bool wait_has_shared = false;

struct thread_sleeper {
  struct sleeper sleeper;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  bool woken; /* guarded by the mutex */
};

/* False: the system has no memory, or no more condition variables. */
static bool begin(struct thread_sleeper *me)
{
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  bool begun = pthread_cond_init(&me->wake, &attributes) == 0; /* EAGAIN, ENOMEM */
  pthread_condattr_destroy(&attributes);
  if (begun)
    pthread_mutex_init(&me->mutex, NULL);
  me->woken = false;
  return begun;
}

/* True: woken. False: the deadline has passed. */
static bool sleep_until(struct thread_sleeper *me, int64_t deadline)
{
  /* If time_t has 32 bits and cannot hold the deadline, the sleep ends early, and the caller sleeps
     again. */
  int64_t seconds = deadline / NS_PER_S;
  if (sizeof(time_t) < sizeof seconds && seconds > INT32_MAX)
    seconds = INT32_MAX;
  struct timespec until = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(deadline % NS_PER_S)};
  int error = 0; /* ETIMEDOUT, perhaps at the same time as a wake */
  pthread_mutex_lock(&me->mutex);
  while (!me->woken && error == 0)
    if (deadline == WAIT_FOREVER)
      pthread_cond_wait(&me->wake, &me->mutex);
    else
      error = pthread_cond_timedwait(&me->wake, &me->mutex, &until);
  bool woken = me->woken;
  pthread_mutex_unlock(&me->mutex);
  return woken;
}

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, int flags)
{
  struct thread_sleeper me;
  if (!begin(&me))
    return WAIT_REFUSED;
  /* pthread_cond_wait() is a cancellation point; the functions of this library are not */
  int cancel = os_cancel_disable();
  bool woken = !sleeper_add(&me.sleeper, word, expected, flags & WAIT_FIRST) ||
               sleep_until(&me, deadline) || !sleeper_remove(&me.sleeper);
  os_cancel_restore(cancel);
  pthread_cond_destroy(&me.wake);
  pthread_mutex_destroy(&me.mutex);
  return woken ? WAIT_WOKEN : WAIT_TIMEDOUT;
}

/* The signal comes before the release of the mutex, after which the sleeper may be gone. POSIX lets
   a thread that has acquired and released a mutex destroy it, also while the unlock before is still
   about to return. */
void sleeper_wake(struct sleeper *sleeper)
{
  struct thread_sleeper *s = (struct thread_sleeper *)sleeper;
  pthread_mutex_lock(&s->mutex);
  s->woken = true;
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->mutex);
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
