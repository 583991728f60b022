/* Tally: each thread adds to a cell of its own (cells.h), so adders share nothing that is
   written; who asks for the sum goes round all records. The idea is that of
   java.util.concurrent's Striped64 and of the kernel's per-CPU counters, carried
   to one cell for each thread: no add is a read-modify-write.

   The sum is all cells - base, each a 64-bit number that wraps.

       cell -> cell + delta     its thread alone, a relaxed load and a relaxed store    add
       base -> all cells        any thread, by a store                                  reset

   Invariants:
   I1  The cell of a thread that is gone stays, and counts; the next thread with that
       record goes on with it. So it is in a fork's child with all others' cells.
   I2  A cell counts only for the tally whose serial it bears, and begins with 0 for it.
   I3  A thread's recent tallies are live: its record names one, with the cell, from within a
       pin, and every free takes the name out of all records before it answers. So the handle alone,
       found there, tells all, and an add does not pin. If the tally is freed at that moment, the
       add goes to a cell of its own thread, under a serial that nobody asks for any more.

   Relaxed suffices: "quiet" adders are those whose adds happen before the sum, by what the
   caller does; and one cell's adds are seen in their order, so none is counted twice. */
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>

#include "cells.h"

struct tally {
  struct object object;
  LATE_LOOKS;
  struct cells_place place;
  atomic_i64 base;
};
_Static_assert(sizeof(struct tally) <= CACHE_LINE, "an object fills one cache line");

void *ilk_tally_new(void)
{
  struct cells_place place;
  if (!cells_take(&place))
    return fail_null(ILK_ENOMEM);
  void *handle;
  struct tally *t = (struct tally *)handle_reserve(KIND_TALLY, &handle);
  if (!t) {
    cells_give_back(&place);
    return fail_null(ILK_ENOMEM);
  }
  t->place = place;
  return handle_publish(&t->object, handle, 0);
}

static inline struct recent *recent_place(struct self *record, void *tally)
{
  return &record->recent[handle_index(tally) % RECENT];
}

/* No longer live: nobody names it any more (I3). */
static void forget(void *tally)
{
  for (struct self *r = self_first_live(); r; r = self_next_live(r)) { /* the others name nothing */
    uintptr_t named = (uintptr_t)tally;
    /* Its thread may name another there at this moment: then that stays. */
    cas_relaxed(&recent_place(r, tally)->tally, &named, recent_none(handle_index(tally) % RECENT));
  }
}

int ilk_tally_free(void *tally)
{
  int result = handle_close(tally, KIND_TALLY, NULL);
  forget(tally); /* also if it was closed already: that free may not have come to it yet */
  if (result != ILK_OK)
    return fail(result);
  cells_give_back(&((struct tally *)handle_object(tally))->place);
  handle_recycle(tally, true);
  return ILK_OK;
}

static inline struct tally *enter(struct self *me, void *handle)
{
  return (struct tally *)handle_enter(me, PIN_INNER, handle, KIND_TALLY);
}

static inline int add(struct cell *cell, int64_t delta)
{
  store_relaxed(&cell->value, (int64_t)((uint64_t)load_relaxed(&cell->value) + (uint64_t)delta));
  return ILK_OK;
}

/* Not a recent one, or no such tally. */
COLD static int add_slow(void *tally, int64_t delta)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  for (;;) {
    struct tally *t = enter(me, tally);
    if (!t)
      return fail(ILK_EHANDLE);
    struct cell *cell = cells_find(&me->tallies, &t->place);
    if (!cell)
      cell = cells_make(&me->tallies, &t->place);
    if (cell) {
      struct recent *recent = recent_place(me, tally);
      recent->cell = cell;
      store_relaxed(&recent->tally, (uintptr_t)tally); /* forget() comes after the pin */
      add(cell, delta);
    }
    struct cells_place place = t->place;
    handle_leave(me, PIN_INNER);
    if (cell)
      return ILK_OK;
    if (!cells_add_room(&me->tallies, &place))
      return fail(ILK_ENOMEM);
  }
}

int ilk_tally_add(void *tally, int64_t delta)
{
  struct self *me = self_current;
  if (likely(me)) {
    struct recent *recent = recent_place(me, tally);
    if (likely(load_relaxed(&recent->tally) == (uintptr_t)tally))
      return add(recent->cell, delta);
  }
  return add_slow(tally, delta);
}

/* Since it was made, whatever the resets. */
static int64_t all_cells(struct tally *t)
{
  uint64_t sum = 0;
  for (struct self *r = self_first(); r; r = self_next(r)) {
    struct cell *cell = cells_find(&r->tallies, &t->place);
    if (cell)
      sum += (uint64_t)load_relaxed(&cell->value);
  }
  return (int64_t)sum;
}

static int64_t sum_of(struct tally *t)
{
  /* Acquire: the base first, so a reset at the same time never shows adds below it. */
  uint64_t base = (uint64_t)load_acquire(&t->base);
  return (int64_t)((uint64_t)all_cells(t) - base);
}

int64_t ilk_tally_sum(void *tally)
{
  struct self *me = self_get();
  if (!me)
    return fail_value(ILK_ENOMEM);
  struct tally *t = enter(me, tally);
  if (!t)
    return fail_value(ILK_EHANDLE);
  int64_t sum = sum_of(t);
  handle_leave(me, PIN_INNER);
  return sum;
}

int ilk_tally_reset(void *tally)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct tally *t = enter(me, tally);
  if (!t)
    return fail(ILK_EHANDLE);
  store_release(&t->base, all_cells(t)); /* pairs with sum_of() */
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

static void describe(void *handle, struct object *object, char *text, size_t size)
{
  (void)handle;
  snprintf(text, size, "sum %" PRId64, sum_of((struct tally *)object));
}

const struct kind_operations tally_operations = {.name = "tally", .describe = describe};
