/* Retired slots. See handle_close.c: I5, I6 and handle_retire().

   A free retires an object: it closes the handle at once, and puts the slot on a list. A call that
   had pinned the object before may still be inside, so the slot is not reused yet. Once the list
   is long enough, one thread runs the heavy fence, loads the pins of all records, and returns the
   slots that no pin names to the free list. So a few hundred frees share one fence and one search.

   Invariants:
   R1  A slot is on the list from the free until it is recycled. The list is guarded by the table's
       lock, and only the thread that is `recycler` removes slots from it.
   R2  The recycler copies the list before it runs the heavy fence. For each slot of that copy, the
       tag was cleared before the fence. So if a call set its pin in time to find the tag, the pin
       is visible to the loads that follow the fence (Dekker, fence.h). A call that sets its pin
       later does not find the tag.
   R3  No call is inside with a counted pin: end_close() loads the count.

   Source: hazard pointers (Michael, IEEE TPDS 2004), with an asymmetric fence. Checked by
   test/models/retire.pml. */
#include "backoff.h"
#include "handle.h"
#include "handle_table.h"

#ifndef RETIRED_MAX      /* test/models/real sets smaller ones */
#define RETIRED_MAX 256  /* while the list is full, no object is retired */
#define RETIRED_MANY 192 /* from this length on, slots are recycled */
#endif

static void *retired[RETIRED_MAX];
static uint32_t retired_count;
/* The thread that recycles retired slots now, or NULL. */
static struct thread *recycler;

bool handle_retired_has_space(void)
{
  return retired_count < RETIRED_MAX;
}

void handle_retired_add(void *handle)
{
  retired[retired_count++] = handle;
  handle_count_freed();
}

bool handle_retired_are_many(void)
{
  return retired_count >= RETIRED_MANY && !recycler;
}

/* --- recycling ------------------------------------------------------------------------ */

/* Removes the handles that some thread pins from the copied list. */
static void remove_pinned(void **handles, uint32_t n)
{
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    for (int pin = 0; pin < PINS; pin++) {
      /* Heavy side; pairs with handle_leave() too. */
      uintptr_t pinned = load_seq_cst(&r->pin[pin]);
      for (uint32_t i = 0; pinned && i < n; i++)
        if ((uintptr_t)handles[i] == pinned)
          handles[i] = NULL;
    }
}

/* With the table locked. `handles` are the first n retired slots; NULL where one is pinned. */
static bool recycle(void *const *handles, uint32_t n)
{
  uint32_t kept = 0;
  for (uint32_t i = 0; i < retired_count; i++)
    if (i < n && handles[i])
      handle_slot_put_back(handles[i], true);
    else
      retired[kept++] = retired[i];
  bool any = kept < retired_count;
  retired_count = kept;
  return any;
}

/* With the table locked: waits while another thread recycles, since it is about to free slots. */
static void await_recycler(const struct thread *me)
{
  struct backoff backoff = {0};
  while (recycler && recycler != me) {
    handle_table_unlock();
    backoff_wait(&backoff);
    handle_table_lock();
  }
}

bool handle_retired_recycle(bool waits)
{
  void *handles[RETIRED_MAX];
  struct thread *me = thread_self();
  if (!me)
    return false;
  handle_table_lock();
  if (waits)
    await_recycler(me);
  uint32_t n = recycler ? 0 : retired_count;
  if (n)
    recycler = me;
  for (uint32_t i = 0; i < n; i++)
    handles[i] = retired[i];
  handle_table_unlock();
  if (!n)
    return false;
  fence_heavy(); /* pins that were set before the tags were cleared are visible now (R2) */
  remove_pinned(handles, n);
  handle_table_lock();
  bool any = recycle(handles, n);
  recycler = NULL;
  handle_table_unlock();
  return any;
}

/* The list stays as it is. The other threads pin nothing any more. */
void handle_retired_after_fork(void)
{
  if (recycler != thread_current)
    recycler = NULL;
}
