/* Local: one value per thread, in the thread's own cell (cells.h), which no other thread reads.

   Invariants:
   I1  A cell is set for a local only if it has the local's serial. A cell that is left over from
       another local with the same number does not.
   I2  The thread that reserves a record clears the cells that the record's previous thread left
       (thread_reserve()). A fork's child needs nothing: it keeps the values of the thread that
       forked.
   I3  A call pins the local while it uses the cell. Otherwise a free could give the local's number
       to another local meanwhile. */
#include "kinds.h"

#include "handle.h"
#include "cells.h"

struct local {
  struct object object;
  DELAYED_LOADS;
  struct cell_position position;
};
_Static_assert(sizeof(struct local) <= CACHE_LINE, "an object fills one cache line");

void *ilk_local_new(void)
{
  void *handle;
  struct local *l = (struct local *)handle_reserve(KIND_LOCAL, &handle);
  if (l && cells_take(&l->position))
    return handle_publish(&l->object, handle, 0);
  if (l)
    handle_recycle(handle);
  return fail_null(ILK_ENOMEM);
}

int ilk_local_free(void *local)
{
  int result = handle_close(local, KIND_LOCAL);
  if (result != ILK_OK)
    return fail(result);
  cells_free(&((struct local *)handle_object(local))->position);
  handle_recycle(local);
  return ILK_OK;
}

/* The thread's first value for this local, or the handle is not live. */
COLD static int set_slow(void *local, void *value)
{
  for (;;) {
    struct call c;
    int begun = call_begin(&c, local, KIND_LOCAL);
    if (begun != ILK_OK)
      return fail(begun);
    struct local *l = (struct local *)c.object;
    struct thread *me = c.me;
    /* NULL needs no cell: that is what a get without one returns. */
    struct cell *cell = value ? cells_make(&me->locals, &l->position) : NULL;
    if (cell)
      store_relaxed(&cell->value, (intptr_t)value);
    struct cell_position position = l->position;
    call_end(&c);
    if (cell || !value)
      return ILK_OK;
    if (!cells_allocate(&me->locals, &position))
      return fail(ILK_ENOMEM);
  }
}

int ilk_local_set(void *local, void *value)
{
  struct thread *me = thread_current;
  struct local *l =
    likely(me) ? (struct local *)handle_enter(me, PIN_INNER, local, KIND_LOCAL) : NULL;
  if (unlikely(!l))
    return set_slow(local, value);
  struct cell *cell = cells_find(&me->locals, &l->position);
  if (likely(cell))
    store_relaxed(&cell->value, (intptr_t)value);
  handle_leave(me, PIN_INNER);
  return likely(cell) ? ILK_OK : set_slow(local, value);
}

void *ilk_local_get(void *local)
{
  struct call c;
  int begun = call_begin(&c, local, KIND_LOCAL);
  if (unlikely(begun != ILK_OK))
    return fail_null(begun);
  struct local *l = (struct local *)c.object;
  struct cell *cell = cells_find(&c.me->locals, &l->position);
  void *value = cell ? (void *)(intptr_t)load_relaxed(&cell->value) : NULL;
  call_end(&c);
  return value;
}

const struct kind_operations local_operations = {.name = "local"};
