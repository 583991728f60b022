/* Slices: each thread's own memory, found through the thread's cell (cells.h) and linked into a
   list for threads that merge.

   Invariants:
   I1  A slice belongs to one thread record, through that record's cell, so no two live threads have
       the same slice. The cell outlives the thread, like a tally's: the next thread with that
       record continues with the slice and its sums.
   I2  The list of slices only grows until the object is freed; a slice is complete before it is
       linked.
   I3  A slice is freed with its last reference. The object has one reference, and a companion has
       one until it calls ilk_slices_drop(). ilk_slices_free() releases the companion first, because
       the slice and its companion keep each other alive.
   I4  Nothing is freed within a pin or under a lock. */
#include "kinds.h"

#include <stdio.h>
#include <string.h>

#include "handle.h"
#include "cells.h"
#include "memory.h"

/* The header: it fills the cache line before the slice's bytes. The companion is the word just
   before them. */
struct slice {
  _Alignas(CACHE_LINE) struct slice *next;
  void (*release)(void *companion);
  atomic_word references;
  size_t size; /* including this header */
  char unused[CACHE_LINE - 5 * sizeof(void *)];
  atomic_word companion; /* written by the slice's thread, and read by the thread that frees */
};
_Static_assert(sizeof(struct slice) == CACHE_LINE, "a header fills one cache line");

struct pool {
  _Atomic(struct slice *) first;
  size_t bytes;   /* of one slice */
  char initial[]; /* what a new slice holds */
};

struct slices {
  struct object object;
  DELAYED_LOADS;
  struct cell_position position;
  struct pool *pool;
};
_Static_assert(sizeof(struct slices) <= CACHE_LINE, "an object fills one cache line");

static void *bytes_of(struct slice *slice)
{
  return slice + 1;
}

static struct slice *slice_at(void *bytes)
{
  return (struct slice *)bytes - 1;
}

void *ilk_slices_new(int64_t bytes, void *initial)
{
  if (bytes < 1)
    return fail_null(ILK_EINVAL);
  if ((uint64_t)bytes > SIZE_MAX / 2)
    return fail_null(ILK_ENOMEM);
  struct pool *pool = memory_new(sizeof *pool + (size_t)bytes);
  void *handle;
  struct slices *s = (struct slices *)handle_reserve(KIND_SLICES, &handle);
  if (pool && s && cells_take(&s->position)) {
    pool->bytes = (size_t)bytes;
    if (initial)
      memcpy(pool->initial, initial, (size_t)bytes);
    s->pool = pool;
    return handle_publish(&s->object, handle, 0);
  }
  if (s)
    handle_recycle(handle);
  memory_free(pool, sizeof *pool + (size_t)bytes);
  return fail_null(ILK_ENOMEM);
}

static void drop(struct slice *slice)
{
  /* acq_rel: the thread that frees sees everything that others did with the slice. */
  if (add_acq_rel(&slice->references, -(uintptr_t)1) == 1)
    memory_free(slice, slice->size);
}

/* Is the address NULL or not that of an aligned word? */
static bool is_no_word(const void *address)
{
  return !address || (uintptr_t)address % sizeof(void *);
}

int ilk_slices_drop(void *place)
{
  if (is_no_word(place) || is_no_word(*(void **)place))
    return fail(ILK_EINVAL);
  drop(slice_at(*(void **)place));
  return ILK_OK;
}

int ilk_slices_free(void *slices)
{
  int result = handle_close(slices, KIND_SLICES);
  if (result != ILK_OK)
    return fail(result);
  struct slices *s = (struct slices *)handle_object(slices);
  struct pool *pool = s->pool;
  cells_free(&s->position);
  handle_recycle(slices);
  for (struct slice *slice = load_acquire(&pool->first), *next; slice; slice = next) {
    next = slice->next;
    uintptr_t companion = load_acquire(&slice->companion); /* pairs with ilk_slices_attach() */
    if (companion)
      slice->release((void *)companion);
    drop(slice);
  }
  memory_free(pool, sizeof *pool + pool->bytes);
  return ILK_OK;
}

/* Allocates a slice for the calling thread, and memory for its cell. Not within a pin. NULL: no
   memory. */
static struct slice *slice_new(struct thread *me, const struct cell_position *position,
                               size_t bytes)
{
  /* Whole cache lines: no two threads write to the same line. */
  size_t size = sizeof(struct slice) + (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
  struct slice *slice = memory_new(size);
  if (!slice)
    return NULL;
  slice->size = size;
  if (!cells_allocate(&me->tallies, position)) {
    memory_free(slice, size);
    return NULL;
  }
  return slice;
}

/* Makes the slice the calling thread's. */
static void slice_add(struct thread *me, struct slices *s, struct slice *slice)
{
  struct pool *pool = s->pool;
  struct cell *cell = cells_make(&me->tallies, &s->position);
  store_relaxed(&slice->references, 1);
  memcpy(bytes_of(slice), pool->initial, pool->bytes);
  slice->next = load_relaxed(&pool->first);
  /* Release: pairs with the loads of `first`. */
  while (!cas_release(&pool->first, &slice->next, slice))
    ;
  store_relaxed(&cell->value, (intptr_t)slice);
}

static struct slice *slice_find(struct thread *me, struct slices *s)
{
  struct cell *cell = cells_find(&me->tallies, &s->position);
  return likely(cell) ? (struct slice *)(intptr_t)load_relaxed(&cell->value) : NULL;
}

/* The thread's first call for that object. */
COLD static void *get_first(void *slices)
{
  struct call c;
  int begun = call_begin(&c, slices, KIND_SLICES);
  if (begun != ILK_OK)
    return fail_null(begun);
  struct slices *s = (struct slices *)c.object;
  struct cell_position position = s->position;
  size_t bytes = s->pool->bytes;
  call_end(&c);
  struct slice *slice = slice_new(c.me, &position, bytes); /* not within a pin (I4) */
  if (!slice)
    return fail_null(ILK_ENOMEM);
  begun = call_begin(&c, slices, KIND_SLICES);
  if (begun != ILK_OK) {
    memory_free(slice, slice->size);
    return fail_null(begun);
  }
  slice_add(c.me, s, slice);
  call_end(&c);
  return bytes_of(slice);
}

void *ilk_slices_get(void *slices)
{
  struct call c;
  int begun = call_begin(&c, slices, KIND_SLICES);
  if (unlikely(begun != ILK_OK))
    return fail_null(begun);
  struct slices *s = (struct slices *)c.object;
  struct slice *slice = slice_find(c.me, s);
  call_end(&c);
  return likely(slice) ? bytes_of(slice) : get_first(slices);
}

void *ilk_slices_next(void *slices, void *slice)
{
  if (slice && is_no_word(slice))
    return fail_null(ILK_EINVAL);
  struct call c;
  int begun = call_begin(&c, slices, KIND_SLICES);
  if (begun != ILK_OK)
    return fail_null(begun);
  struct slices *s = (struct slices *)c.object;
  /* Acquire: pairs with slice_add(). */
  struct slice *next = slice ? slice_at(slice)->next : load_acquire(&s->pool->first);
  call_end(&c);
  return next ? bytes_of(next) : NULL;
}

int ilk_slices_clear(void *slices)
{
  struct call c;
  int begun = call_begin(&c, slices, KIND_SLICES);
  if (begun != ILK_OK)
    return fail(begun);
  struct slices *s = (struct slices *)c.object;
  for (struct slice *slice = load_acquire(&s->pool->first); slice; slice = slice->next)
    memcpy(bytes_of(slice), s->pool->initial, s->pool->bytes);
  call_end(&c);
  return ILK_OK;
}

int ilk_slices_attach(void *slice, void *companion, void *release)
{
  if (is_no_word(slice) || !companion || !release)
    return fail(ILK_EINVAL);
  struct slice *s = slice_at(slice);
  add_relaxed(&s->references, 1); /* the object's own reference keeps the slice meanwhile */
  s->release = (void (*)(void *))(uintptr_t)release;
  store_release(&s->companion, (uintptr_t)companion); /* pairs with ilk_slices_free() */
  return ILK_OK;
}

static void describe(struct object *object, char *text, size_t size)
{
  struct pool *pool = ((struct slices *)object)->pool;
  size_t n = 0;
  for (struct slice *slice = load_acquire(&pool->first); slice; slice = slice->next)
    n++;
  snprintf(text, size, "%zu of %zu bytes each", n, pool->bytes);
}

const struct kind_operations slices_operations = {.name = "slices", .describe = describe};
