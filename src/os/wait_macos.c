/* Waiting on macOS. From 14.4 on, a thread can sleep on an address. The wake of an address does not
   return how many threads it woke, and promises no order. So each sleeper waits for the address of
   its own flag; on an older macOS, for its own condition variable. Words that are shared between
   processes can be neither: threads sleep on the word itself, and before 14.4 not at all. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "os.h"
#include "wait_buckets.h"

const char wait_backend[] = "macos";
bool wait_has_shared;

/* <os/os_sync_wait_on_address.h>, which older SDKs do not have. The functions are looked up when
   the library is loaded, so that it loads on every macOS, whatever it was built on. */
#define SYNC_PRIVATE 0
#define SYNC_SHARED 1
#define SYNC_CLOCK 32 /* OS_CLOCK_MACH_ABSOLUTE_TIME, which os_clock() reads */

/* 0: a wake, or the word has another value. Errors: EINTR, ETIMEDOUT, ENOMEM; EFAULT: the page of
   the word was not in memory. */
typedef int sync_wait(void *word, uint64_t expected, size_t size, uint32_t flags, uint32_t clock,
                      uint64_t timeout_ns);
/* ENOENT: no thread sleeps there. */
typedef int sync_wake(void *word, size_t size, uint32_t flags);

static sync_wait *sync_wait_for;
static sync_wake *sync_wake_any, *sync_wake_all;

void wait_setup(void)
{
  sleepers_setup();
  sync_wait_for =
    (sync_wait *)(uintptr_t)dlsym(RTLD_DEFAULT, "os_sync_wait_on_address_with_timeout");
  sync_wake_any = (sync_wake *)(uintptr_t)dlsym(RTLD_DEFAULT, "os_sync_wake_by_address_any");
  sync_wake_all = (sync_wake *)(uintptr_t)dlsym(RTLD_DEFAULT, "os_sync_wake_by_address_all");
  wait_has_shared = sync_wait_for && sync_wake_any && sync_wake_all;
}

/* The longest sleep at once, so that no system's arithmetic overflows. */
#define LONGEST (24 * 3600 * NS_PER_S)

/* Nanoseconds until the deadline, or LONGEST; 0 if it has passed. */
static int64_t time_until(int64_t deadline)
{
  if (deadline == WAIT_FOREVER)
    return LONGEST;
  int64_t left = deadline - os_clock();
  return left < 0 ? 0 : left < LONGEST ? left : LONGEST;
}

/* Sleeps once while the word is `expected`, for ns > 0. Returns 0 or the error. */
static int sync_sleep(atomic_u32 *word, uint32_t expected, int64_t ns, uint32_t flags)
{
  int before = errno;
  int result = sync_wait_for(word, expected, sizeof *word, flags, SYNC_CLOCK, (uint64_t)ns);
  int error = result == -1 ? errno : 0;
  errno = before;
  return error;
}

static bool is_refusal(int error)
{
  return error != 0 && error != EINTR && error != ETIMEDOUT && error != EFAULT;
}

/* --- words of this process ------------------------------------------------------------ */

struct flag_sleeper {
  struct sleeper sleeper;
  atomic_u32 woken;
  /* Before 14.4: the mutex guards `woken`. So once the sleeper finds it set, the waker has finished
     with both. */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
};

/* True: woken, within ns. False: the time is over, or the sleep ended early, or *refused. */
static bool sleep_once(struct flag_sleeper *me, int64_t ns, bool *refused)
{
  if (wait_has_shared) {
    if (ns > 0 && !load_relaxed(&me->woken))
      *refused = is_refusal(sync_sleep(&me->woken, 0, ns, SYNC_PRIVATE));
    return load_acquire(&me->woken); /* pairs with sleeper_wake() */
  }
  /* Relative: condition variables of macOS cannot use the monotonic clock otherwise. */
  struct timespec time = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
  pthread_mutex_lock(&me->mutex);
  if (ns > 0 && !load_relaxed(&me->woken))
    pthread_cond_timedwait_relative_np(&me->wake, &me->mutex, &time);
  bool woken = load_relaxed(&me->woken);
  pthread_mutex_unlock(&me->mutex);
  return woken;
}

static enum wait_result sleep_until(struct flag_sleeper *me, int64_t deadline)
{
  /* A sleep may end early, by a signal or without a reason, so the clock is read again after
     each. */
  bool refused = false;
  int64_t ns = time_until(deadline);
  while (!sleep_once(me, ns, &refused)) {
    /* If it cannot be removed, it has been woken. */
    if ((ns == 0 || refused) && sleeper_remove(&me->sleeper))
      return refused ? WAIT_REFUSED : WAIT_TIMEDOUT;
    ns = time_until(deadline);
  }
  return WAIT_WOKEN;
}

static enum wait_result wait_private(atomic_u32 *word, uint32_t expected, int64_t deadline,
                                     bool first)
{
  struct flag_sleeper me = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
  /* The wait for the condition variable is a cancellation point; the functions of this library are
     not. */
  int cancel = os_cancel_disable();
  enum wait_result result =
    sleeper_add(&me.sleeper, word, expected, first) ? sleep_until(&me, deadline) : WAIT_WOKEN;
  os_cancel_restore(cancel);
  pthread_cond_destroy(&me.wake);
  pthread_mutex_destroy(&me.mutex);
  return result;
}

/* Release: the woken thread sees what the waker did. After this store the sleeper may be gone. The
   wake still uses the address of its flag, but does not access it; a thread that has another flag
   there rechecks. */
static void sync_wake_flag(atomic_u32 *woken)
{
  int before = errno;
  store_release(woken, 1);
  sync_wake_any(woken, sizeof *woken, SYNC_PRIVATE);
  errno = before;
}

void sleeper_wake(struct sleeper *sleeper)
{
  struct flag_sleeper *s = (struct flag_sleeper *)sleeper;
  if (wait_has_shared) {
    sync_wake_flag(&s->woken);
    return;
  }
  pthread_mutex_lock(&s->mutex);
  store_relaxed(&s->woken, 1);
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->mutex); /* after this the sleeper may be gone */
}

/* --- words shared between processes --------------------------------------------------- */

static enum wait_result wait_shared(atomic_u32 *word, uint32_t expected, int64_t deadline)
{
  if (!wait_has_shared)
    return WAIT_REFUSED;
  /* The comparison also brings the word's page into memory, for the system's own. Relaxed: the
     caller rechecks. */
  while (load_relaxed(word) == expected) {
    int64_t ns = time_until(deadline);
    if (ns == 0)
      return WAIT_TIMEDOUT;
    int error = sync_sleep(word, expected, ns, SYNC_SHARED);
    if (error == 0)
      return WAIT_WOKEN;
    if (is_refusal(error))
      return WAIT_REFUSED;
  }
  return WAIT_WOKEN;
}

/* A wake of all does not return how many threads it woke. So up to this number are woken one at a
   time, and counted. */
#define COUNTED 1000

static int wake_shared(atomic_u32 *word, int n)
{
  if (n <= 0 || !wait_has_shared)
    return 0;
  int before = errno, woken = 0;
  if (n > COUNTED)
    woken = sync_wake_all(word, sizeof *word, SYNC_SHARED) == 0;
  else
    while (woken < n && sync_wake_any(word, sizeof *word, SYNC_SHARED) == 0)
      woken++;
  errno = before;
  return woken;
}

/* --- wait.h ---------------------------------------------------------------------------- */

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, int flags)
{
  return flags & WAIT_SHARED ? wait_shared(word, expected, deadline)
                             : wait_private(word, expected, deadline, flags & WAIT_FIRST);
}

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  return shared ? wake_shared(word, n) : sleepers_wake(word, n);
}
