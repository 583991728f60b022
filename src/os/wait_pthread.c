/* Waiting on any POSIX system. Words are hashed to buckets. A bucket has a mutex and a list of the
   threads that sleep, oldest first. Each sleeper has its own condition variable: a shared one lets
   a later waiter steal a signal (glibc bug 25847). It is signalled while the bucket's mutex is
   held, because it is on the stack of the sleeper, which could otherwise have returned. */
#include "wait.h"

#include <pthread.h>
#include <stddef.h>
#include <time.h>

#include "clock.h"
#include "guard.h"

const char wait_backend[] = "pthread";
const bool wait_has_shared = false;

struct sleeper {
  struct sleeper *next;
  atomic_u32 *word;
  pthread_cond_t wake;
  bool woken;
};

#define BUCKETS 64

static struct bucket {
  pthread_mutex_t mutex;
  struct sleeper *first, **end;
} buckets[BUCKETS];

static void bucket_empty(struct bucket *b)
{
  b->first = NULL;
  b->end = &b->first;
}

void wait_setup(void)
{
  for (int i = 0; i < BUCKETS; i++) {
    pthread_mutex_init(&buckets[i].mutex, NULL);
    bucket_empty(&buckets[i]);
  }
}

static struct bucket *bucket_of(const atomic_u32 *word)
{
  return &buckets[((uintptr_t)word / sizeof *word * UINT32_C(2654435769) >> 16) % BUCKETS];
}

static void bucket_remove(struct bucket *b, struct sleeper **link)
{
  struct sleeper *s = *link;
  *link = s->next;
  if (b->end == &s->next)
    b->end = link;
}

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, bool shared)
{
  (void)shared;
  struct bucket *b = bucket_of(word);
  /* pthread_cond_wait() is a cancellation point; the functions of this library are not */
  int cancel;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  guard_lock(&b->mutex);
  /* Relaxed: the waker changed the word before it locked the bucket's mutex. */
  if (load_relaxed(word) != expected) {
    guard_unlock(&b->mutex);
    pthread_setcancelstate(cancel, NULL);
    return WAIT_WOKEN;
  }

  struct sleeper me = {.word = word};
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  bool refused = pthread_cond_init(&me.wake, &attributes) != 0; /* EAGAIN, ENOMEM */
  pthread_condattr_destroy(&attributes);
  if (refused) {
    guard_unlock(&b->mutex);
    pthread_setcancelstate(cancel, NULL);
    return WAIT_REFUSED;
  }
  *b->end = &me;
  b->end = &me.next;

  /* If time_t has 32 bits and cannot hold the deadline, the sleep ends early, and the caller sleeps
     again. */
  int64_t seconds = deadline / NS_PER_S;
  if (sizeof(time_t) < sizeof seconds && seconds > INT32_MAX)
    seconds = INT32_MAX;
  struct timespec until = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(deadline % NS_PER_S)};
  while (!me.woken) {
    if (deadline == WAIT_FOREVER)
      pthread_cond_wait(&me.wake, &b->mutex);
    else if (pthread_cond_timedwait(&me.wake, &b->mutex, &until) != 0)
      break; /* ETIMEDOUT; a wake may have come at the same time: then `woken` is set */
  }
  if (!me.woken)
    for (struct sleeper **link = &b->first; *link; link = &(*link)->next)
      if (*link == &me) {
        bucket_remove(b, link);
        break;
      }
  bool woken = me.woken;
  guard_unlock(&b->mutex);
  pthread_cond_destroy(&me.wake);
  pthread_setcancelstate(cancel, NULL);
  return woken ? WAIT_WOKEN : WAIT_TIMEDOUT;
}

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  (void)shared;
  struct bucket *b = bucket_of(word);
  int woken = 0;
  guard_lock(&b->mutex);
  for (struct sleeper **link = &b->first; *link && woken < n;) {
    struct sleeper *s = *link;
    if (s->word != word) {
      link = &s->next;
      continue;
    }
    bucket_remove(b, link);
    s->woken = true;
    pthread_cond_signal(&s->wake);
    woken++;
  }
  guard_unlock(&b->mutex);
  return woken;
}

bool wait_read(atomic_u32 *word, uint32_t *value)
{
  struct bucket *b = bucket_of(word);
  guard_lock(&b->mutex);
  /* A sleeper cannot leave without the mutex, so its word still exists. */
  struct sleeper *s = b->first;
  while (s && s->word != word)
    s = s->next;
  if (s)
    *value = load_acquire(word); /* pairs with the release of the thread that changed it */
  guard_unlock(&b->mutex);
  return s;
}

void wait_before_fork(void)
{
  for (int i = 0; i < BUCKETS; i++)
    guard_hold(&buckets[i].mutex);
}

void wait_after_fork(bool child)
{
  for (int i = BUCKETS; i-- > 0;) {
    if (child)
      bucket_empty(&buckets[i]);
    guard_release(&buckets[i].mutex);
  }
}
