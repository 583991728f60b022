#include "wait_buckets.h"

#include <stddef.h>

#include "guard.h"

#define BUCKETS 64

static struct bucket {
  struct sleeper *first, **end;
  atomic_u32 others_next; /* not 0: the next wake ignores `first` (wait_was_first()) */
} buckets[BUCKETS];
static os_lock locks[BUCKETS];

static void bucket_empty(struct bucket *b)
{
  b->first = NULL;
  b->end = &b->first;
}

void sleepers_setup(void)
{
  for (int i = 0; i < BUCKETS; i++) {
    os_lock_init(&locks[i]);
    bucket_empty(&buckets[i]);
  }
}

static struct bucket *bucket_of(const atomic_u32 *word)
{
  return &buckets[((uintptr_t)word / sizeof *word * UINT32_C(2654435769) >> 16) % BUCKETS];
}

static void lock(const struct bucket *b)
{
  guard_lock(&locks[b - buckets]);
}

static void unlock(const struct bucket *b)
{
  guard_unlock(&locks[b - buckets]);
}

static void bucket_remove(struct bucket *b, struct sleeper **link)
{
  struct sleeper *s = *link;
  *link = s->next;
  if (b->end == &s->next)
    b->end = link;
}

bool sleeper_add(struct sleeper *sleeper, atomic_u32 *word, uint32_t expected, bool first)
{
  struct bucket *b = bucket_of(word);
  *sleeper = (struct sleeper){.word = word, .first = first};
  lock(b);
  /* Relaxed: the waker changed the word before it acquired the bucket's lock. */
  bool added = load_relaxed(word) == expected;
  if (added) {
    *b->end = sleeper;
    b->end = &sleeper->next;
  }
  unlock(b);
  return added;
}

bool sleeper_remove(struct sleeper *sleeper)
{
  struct bucket *b = bucket_of(sleeper->word);
  lock(b);
  struct sleeper **link = &b->first;
  while (*link && *link != sleeper)
    link = &(*link)->next;
  bool found = *link;
  if (found)
    bucket_remove(b, link);
  unlock(b);
  return found;
}

/* Wakes up to n of the word's sleepers, or of those with `first` alone. Returns how many. */
static int wake_those(struct bucket *b, const atomic_u32 *word, int n, bool first)
{
  int woken = 0;
  for (struct sleeper **link = &b->first; *link && woken < n;) {
    struct sleeper *s = *link;
    if (s->word != word || s->first < first) {
      link = &s->next;
      continue;
    }
    bucket_remove(b, link);
    sleeper_wake(s);
    woken++;
  }
  return woken;
}

int sleepers_wake(atomic_u32 *word, int n)
{
  struct bucket *b = bucket_of(word);
  lock(b);
  bool ignores_first = load_relaxed(&b->others_next);
  store_relaxed(&b->others_next, 0); /* before the wake: a woken thread may set it again at once */
  int woken = ignores_first ? 0 : wake_those(b, word, n, true);
  woken += wake_those(b, word, n - woken, false);
  unlock(b);
  return woken;
}

void wait_was_first(const atomic_u32 *word)
{
  store_relaxed(&bucket_of(word)->others_next, 1);
}

bool wait_read(atomic_u32 *word, uint32_t *value)
{
  struct bucket *b = bucket_of(word);
  lock(b);
  struct sleeper *s = b->first;
  while (s && s->word != word)
    s = s->next;
  /* It cannot leave meanwhile (I2), so its word still exists. Acquire: pairs with the release of
     the thread that changed it. */
  if (s)
    *value = load_acquire(word);
  unlock(b);
  return s;
}

static void repair(void)
{
  for (int i = 0; i < BUCKETS; i++)
    bucket_empty(&buckets[i]);
}

const struct fork_module wait_fork = {locks, BUCKETS, repair};
