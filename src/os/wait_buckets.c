#include "wait_buckets.h"

#include <stddef.h>

#include "guard.h"

#define BUCKETS 64

static struct bucket {
  os_lock lock;
  struct sleeper *first, **end;
} buckets[BUCKETS];

static void bucket_empty(struct bucket *b)
{
  b->first = NULL;
  b->end = &b->first;
}

void sleepers_setup(void)
{
  for (int i = 0; i < BUCKETS; i++) {
    os_lock_init(&buckets[i].lock);
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

bool sleeper_add(struct sleeper *sleeper, atomic_u32 *word, uint32_t expected)
{
  struct bucket *b = bucket_of(word);
  *sleeper = (struct sleeper){.word = word};
  guard_lock(&b->lock);
  /* Relaxed: the waker changed the word before it acquired the bucket's lock. */
  bool added = load_relaxed(word) == expected;
  if (added) {
    *b->end = sleeper;
    b->end = &sleeper->next;
  }
  guard_unlock(&b->lock);
  return added;
}

bool sleeper_remove(struct sleeper *sleeper)
{
  struct bucket *b = bucket_of(sleeper->word);
  guard_lock(&b->lock);
  struct sleeper **link = &b->first;
  while (*link && *link != sleeper)
    link = &(*link)->next;
  bool found = *link;
  if (found)
    bucket_remove(b, link);
  guard_unlock(&b->lock);
  return found;
}

int sleepers_wake(atomic_u32 *word, int n)
{
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
    sleeper_wake(s);
    woken++;
  }
  guard_unlock(&b->lock);
  return woken;
}

bool wait_read(atomic_u32 *word, uint32_t *value)
{
  struct bucket *b = bucket_of(word);
  guard_lock(&b->lock);
  struct sleeper *s = b->first;
  while (s && s->word != word)
    s = s->next;
  if (s)                         /* it cannot leave meanwhile (I2), so its word still exists */
    *value = load_acquire(word); /* pairs with the release of the thread that changed it */
  guard_unlock(&b->lock);
  return s;
}

void wait_before_fork(void)
{
  for (int i = 0; i < BUCKETS; i++)
    guard_hold(&buckets[i].lock);
}

void wait_after_fork(bool child)
{
  for (int i = BUCKETS; i-- > 0;) {
    if (child)
      bucket_empty(&buckets[i]);
    guard_release(&buckets[i].lock);
  }
}
