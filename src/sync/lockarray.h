/* The parts of a lock array that lockarray.c and lockarray_group.c share. */
#ifndef INTERLOCK_LOCKARRAY_H
#define INTERLOCK_LOCKARRAY_H

#include "handle.h"
#include "wordlock.h"

struct lockarray {
  struct object object;
  DELAYED_LOADS;
  /* These never change. */
  atomic_u32 *words;
  int64_t n;
  unsigned shift; /* log2 of the distance between locks, in words */
};
_Static_assert(sizeof(struct lockarray) <= CACHE_LINE, "an object fills one cache line");

static inline atomic_u32 *lockarray_word(const struct lockarray *a, int64_t i)
{
  return &a->words[(size_t)i << a->shift];
}

static inline bool lockarray_has(const struct lockarray *a, int64_t i)
{
  return (uint64_t)i < (uint64_t)a->n;
}

/* The array of a call. */
static inline struct lockarray *lockarray_of(const struct call *c)
{
  return (struct lockarray *)c->object;
}

/* The lock at an index in range, for the slow paths of wordlock.h. */
static inline struct wordlock lockarray_lock_at(const struct call *c, int64_t i)
{
  return (struct wordlock){.word = lockarray_word(lockarray_of(c), i),
                           .me = c->me,
                           .id = thread_id(c->me),
                           .handle = c->handle,
                           .index = i};
}

#endif
