/* Tally. Each thread adds to its own cell (cells.h), so adding threads share nothing that is
   written. A sum reads the cells of all records. The idea is that of java.util.concurrent's
   Striped64 and of the kernel's per-CPU counters. With a cell for each thread no add is a
   read-modify-write.

   The sum is (all cells) - base, in 64-bit numbers that wrap.

       cell -> cell + delta     add: only the cell's thread, a relaxed load and a relaxed store
       base -> all cells        reset: any thread, a store

   Invariants:
   I1  The cell of a thread that has exited stays and counts; the next thread with that record
       continues with it. The same holds in a fork's child for the cells of all other threads.
   I2  A cell counts only for the tally whose serial it has (cells.h), and starts at 0 for it.
   I3  A tally in a thread's thread-local cache (`tally_cache`) is live, or its free has not
       returned yet. A thread caches a tally, with its cell, within a pin, and every free removes
       the tally from all records before it returns. So finding the handle there suffices, and an
       add does not pin. If the tally is freed at that moment, the add goes to a cell of its own
       thread, under a serial that no sum uses any more.

   Relaxed order suffices. No add is concurrent with an exact sum: the caller makes the adds happen
   before it. And a thread sees the adds to one cell in order, so its next sum or reset lacks no add
   that its last one included. */
#include "kinds.h"

#include <inttypes.h>
#include <stdio.h>

#include "handle.h"
#include "cells.h"

struct tally {
  struct object object;
  DELAYED_LOADS;
  struct cell_position position;
  atomic_i64 base;
};
_Static_assert(sizeof(struct tally) <= CACHE_LINE, "an object fills one cache line");

void *ilk_tally_new(void)
{
  void *handle;
  struct tally *t = (struct tally *)handle_reserve(KIND_TALLY, &handle);
  if (t && cells_take(&t->position))
    return handle_publish(&t->object, handle, 0);
  if (t)
    handle_recycle(handle);
  return fail_null(ILK_ENOMEM);
}

static inline struct tally_cache_entry *tally_cache_entry_of(struct thread *record, void *tally)
{
  return &record->tally_cache[handle_index(tally) % TALLY_CACHE_SIZE];
}

/* The tally is no longer live: removes it from every thread-local cache (I3). */
static void forget(void *tally)
{
  /* The other records cache nothing. */
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r)) {
    uintptr_t named = (uintptr_t)tally;
    /* The thread may cache another tally there at this moment; then that entry stays. */
    cas_relaxed(&tally_cache_entry_of(r, tally)->tally, &named,
                tally_cache_none(handle_index(tally) % TALLY_CACHE_SIZE));
  }
}

int ilk_tally_free(void *tally)
{
  int result = handle_close(tally, KIND_TALLY);
  /* Also if it was already closed: the free that closed it may not have done this yet. */
  forget(tally);
  if (result != ILK_OK)
    return fail(result);
  cells_free(&((struct tally *)handle_object(tally))->position);
  handle_recycle(tally);
  return ILK_OK;
}

static inline int add(struct cell *cell, int64_t delta)
{
  store_relaxed(&cell->value, (int64_t)((uint64_t)load_relaxed(&cell->value) + (uint64_t)delta));
  return ILK_OK;
}

/* The tally is not in the thread-local cache, or is not live. */
COLD static int add_slow(void *tally, int64_t delta)
{
  for (;;) {
    struct call c;
    int begun = call_begin(&c, tally, KIND_TALLY);
    if (begun != ILK_OK)
      return fail(begun);
    struct tally *t = (struct tally *)c.object;
    struct thread *me = c.me;
    struct cell *cell = cells_find(&me->tallies, &t->position);
    if (!cell)
      cell = cells_make(&me->tallies, &t->position);
    if (cell) {
      struct tally_cache_entry *entry = tally_cache_entry_of(me, tally);
      entry->cell = cell;
      store_relaxed(&entry->tally, (uintptr_t)tally); /* forget() runs after this pin has ended */
      add(cell, delta);
    }
    struct cell_position position = t->position;
    call_end(&c);
    if (cell)
      return ILK_OK;
    if (!cells_allocate(&me->tallies, &position))
      return fail(ILK_ENOMEM);
  }
}

int ilk_tally_add(void *tally, int64_t delta)
{
  struct thread *me = thread_current;
  if (likely(me)) {
    struct tally_cache_entry *entry = tally_cache_entry_of(me, tally);
    if (likely(load_relaxed(&entry->tally) == (uintptr_t)tally))
      return add(entry->cell, delta);
  }
  return add_slow(tally, delta);
}

/* The sum since the tally was made, without regard to resets. */
static int64_t all_cells(struct tally *t)
{
  uint64_t sum = 0;
  struct thread *r;
  for (uint32_t i = 0; (r = thread_at(i)); i++) {
    struct cell *cell = cells_find(&r->tallies, &t->position);
    if (cell)
      sum += (uint64_t)load_relaxed(&cell->value);
  }
  return (int64_t)sum;
}

static int64_t sum_of(struct tally *t)
{
  /* Acquire: the base is loaded first, so the cells loaded later include every add that the base
     includes. */
  uint64_t base = (uint64_t)load_acquire(&t->base);
  return (int64_t)((uint64_t)all_cells(t) - base);
}

int64_t ilk_tally_sum(void *tally)
{
  struct call c;
  int begun = call_begin(&c, tally, KIND_TALLY);
  if (begun != ILK_OK)
    return fail_value(begun);
  struct tally *t = (struct tally *)c.object;
  int64_t sum = sum_of(t);
  call_end(&c);
  return sum;
}

int ilk_tally_reset(void *tally)
{
  struct call c;
  int begun = call_begin(&c, tally, KIND_TALLY);
  if (begun != ILK_OK)
    return fail(begun);
  struct tally *t = (struct tally *)c.object;
  store_release(&t->base, all_cells(t)); /* pairs with sum_of() */
  call_end(&c);
  return ILK_OK;
}

static void describe(struct object *object, char *text, size_t size)
{
  snprintf(text, size, "sum %" PRId64, sum_of((struct tally *)object));
}

const struct kind_operations tally_operations = {.name = "tally", .describe = describe};
