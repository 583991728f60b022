/* Waiting on Windows. WakeByAddressSingle() does not return how many threads it woke, and promises
   no order. So words are hashed to buckets, as in wait_pthread.c. A bucket has a lock and a list of
   the threads that sleep, oldest first, and each sleeper waits for the address of its own flag. */
#include <stddef.h>
#include <windows.h>

#include "wait.h"

#include "clock.h"
#include "guard.h"

const char wait_backend[] = "windows";
const bool wait_has_shared = false;

/* On the stack of its thread, which returns as soon as the flag is set. */
struct sleeper {
  struct sleeper *next;
  atomic_u32 *word;
  atomic_u32 woken;
};

#define BUCKETS 64

static struct bucket {
  os_lock lock;
  struct sleeper *first, **end;
} buckets[BUCKETS];

void wait_setup(void)
{
  for (int i = 0; i < BUCKETS; i++) {
    os_lock_init(&buckets[i].lock);
    buckets[i].end = &buckets[i].first;
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

/* The longest sleep at once, in milliseconds; INFINITE is the next number. */
#define LONGEST (INFINITE - 1)

/* Milliseconds until the deadline, rounded up: 0 if it has passed. */
static DWORD milliseconds_until(int64_t deadline)
{
  if (deadline == WAIT_FOREVER)
    return INFINITE;
  int64_t left = deadline - clock_now();
  if (left <= 0)
    return 0;
  int64_t ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
  return ms < LONGEST ? (DWORD)ms : LONGEST;
}

/* Removes a sleeper from the list. False: a wake has removed it. */
static bool remove_sleeper(struct bucket *b, struct sleeper *me)
{
  guard_lock(&b->lock);
  struct sleeper **link = &b->first;
  while (*link && *link != me)
    link = &(*link)->next;
  bool found = *link;
  if (found)
    bucket_remove(b, link);
  guard_unlock(&b->lock);
  return found;
}

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, bool shared)
{
  (void)shared;
  struct bucket *b = bucket_of(word);
  struct sleeper me = {.word = word};
  guard_lock(&b->lock);
  /* Relaxed: the waker changed the word before it acquired the bucket's lock. */
  if (load_relaxed(word) != expected) {
    guard_unlock(&b->lock);
    return WAIT_WOKEN;
  }
  *b->end = &me;
  b->end = &me.next;
  guard_unlock(&b->lock);

  /* The system may end a sleep early, by its timer or without a reason, so the clock is read again
     after each. */
  uint32_t asleep = 0;
  while (!load_acquire(&me.woken)) { /* pairs with wait_wake() */
    DWORD ms = milliseconds_until(deadline);
    if (ms == 0 && remove_sleeper(b, &me))
      return WAIT_TIMEDOUT;
    if (ms != 0)
      WaitOnAddress((volatile void *)&me.woken, &asleep, sizeof asleep, ms);
  }
  return WAIT_WOKEN;
}

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  (void)shared;
  struct bucket *b = bucket_of(word);
  int woken = 0;
  guard_lock(&b->lock);
  for (struct sleeper **link = &b->first; *link && woken < n;) {
    struct sleeper *s = *link;
    if (s->word != word) {
      link = &s->next;
      continue;
    }
    bucket_remove(b, link);
    /* Release: the woken thread sees what the waker did. After this store *s may be gone. Its
       address is still used, but only to name the sleeper; a thread that has another flag at that
       address rechecks. */
    store_release(&s->woken, 1);
    WakeByAddressSingle((void *)&s->woken);
    woken++;
  }
  guard_unlock(&b->lock);
  return woken;
}

bool wait_read(atomic_u32 *word, uint32_t *value)
{
  struct bucket *b = bucket_of(word);
  guard_lock(&b->lock);
  /* A sleeper cannot leave without the lock, unless it is woken, so its word still exists. */
  struct sleeper *s = b->first;
  while (s && s->word != word)
    s = s->next;
  if (s)
    *value = load_acquire(word); /* pairs with the release of the thread that changed it */
  guard_unlock(&b->lock);
  return s;
}

/* There is no fork. */
void wait_before_fork(void)
{
}

void wait_after_fork(bool child)
{
  (void)child;
}
