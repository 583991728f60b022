/* The table of handles: takes slots, makes objects live, returns slots, and visits all live
   objects. See handle.h. The close of a handle is in handle_close.c. */
#include "handle.h"

#include "clock.h"
#include "guard.h"
#include "handle_table.h"
#include "region.h"

_Static_assert(sizeof(union slot) == CACHE_LINE, "an object fills one cache line");

/* A slot that is not in use: its link in the free list, and how often it was used. */
struct free_slot {
  struct object object;
  /* Atomic: a delayed call for the slot's earlier object may still load these words. */
  atomic_u32 next; /* index + 1; 0 ends the list */
  atomic_u32 uses;
};

static os_lock table_lock = OS_LOCK_INIT;
_Thread_local bool handle_table_mine ILK_TLS_MODEL;

/* Slots below this were used at least once; slot 0 is for NULL. */
static uint32_t slots_used = 1;
static uint32_t free_first, free_last; /* index + 1: first in, first out */
static int64_t live;                   /* slots that are taken, and not retired or recycled */

void handle_table_lock(void)
{
  handle_table_mine = true;
  atomic_signal_fence(memory_order_seq_cst);
  guard_lock(&table_lock);
}

void handle_table_unlock(void)
{
  guard_unlock(&table_lock);
  atomic_signal_fence(memory_order_seq_cst);
  handle_table_mine = false;
}

static struct free_slot *slot_at(uint32_t index)
{
  return (struct free_slot *)&handle_slots[index];
}

/* --- making and freeing ------------------------------------------------------------ */

#define GENERATION_MASK ((UINT32_C(1) << HANDLE_GENERATION_BITS) - 1)

/* The generation before the first of each slot. */
static uint32_t generation_first;

/* Random, so that another copy of the library in the process chooses another number: its addresses
   differ, and perhaps the time. */
void handle_setup(void)
{
  uint64_t seed = (uint64_t)clock_now() ^ (uintptr_t)&generation_first;
  seed = (seed ^ seed >> 32) * UINT64_C(0x9e3779b97f4a7c15);
  generation_first = (uint32_t)(seed >> 32) & GENERATION_MASK;
}

/* Takes a slot from the free list, or one that was never used, and counts it as live. 0: there is
   none among `*limit` slots. */
static uint32_t take_slot(uint32_t *limit)
{
  uint32_t index = 0;
  handle_table_lock();
  *limit = load_relaxed(&handle_limit);
  if (free_first) {
    index = free_first - 1;
    free_first = load_relaxed(&slot_at(index)->next);
    if (!free_first)
      free_last = 0;
  } else if (slots_used < *limit) {
    index = slots_used++;
  }
  live += index != 0;
  handle_table_unlock();
  return index;
}

struct object *handle_reserve(enum kind kind, void **handle)
{
  uint32_t index, limit;
  bool again = true;
  /* After both of these have failed it tries once more: another thread may have recycled slots. */
  while (!(index = take_slot(&limit)) && again)
    again = region_grow(limit) || handle_retired_recycle(true);
  if (!index)
    return NULL;

  struct free_slot *slot = slot_at(index);
  uint32_t generation = (generation_first + load_relaxed(&slot->uses) + 1) & GENERATION_MASK;
  *handle = handle_make(TAG_LIVE | (uint32_t)kind << TAG_KIND_SHIFT | generation, index);
  /* Atomically: a delayed call for the slot's earlier object may still load these. Relaxed: that
     call follows no address that it loads here, and handle_publish() publishes the new object. */
  store_relaxed(&slot->object.tag_flags, 0);
  store_relaxed(&slot->object.waiters, 0);
  store_relaxed(&slot->object.epoch, 0);
  for (size_t i = sizeof(struct object) / 8; i < CACHE_LINE / 8; i++)
    store_relaxed((atomic_u64 *)&handle_slots[index] + i, 0);
  return &slot->object;
}

void *handle_publish(struct object *object, void *handle, uint32_t state)
{
  /* Without the table's lock: no other thread has the handle yet (I2 of handle_close.c). Release:
     a report meets the object in the table; handle_each() and the report's pin acquire these. */
  store_release(&object->head, head_of(handle, state));
  store_release(&object->tag_flags, head_of(handle, head_state(load_relaxed(&object->tag_flags))));
  return handle;
}

void handle_slot_put_back(void *handle, bool reusable)
{
  uint32_t index = handle_index(handle);
  uint32_t uses = (handle_tag(handle) - generation_first) & GENERATION_MASK;
  struct free_slot *slot = slot_at(index);
  bool used_up = uses == GENERATION_MASK;
  /* The kind's flags stay. Release: a call that finds it freed comes after the free. */
  store_release(&slot->object.tag_flags, head_state(load_relaxed(&slot->object.tag_flags)));
  store_release(&slot->object.head, 0);
  if (!reusable || (used_up && !HANDLE_GENERATIONS_WRAP))
    return;
  store_relaxed(&slot->next, 0);
  store_relaxed(&slot->uses, uses);
  if (free_last)
    store_relaxed(&slot_at(free_last - 1)->next, index + 1);
  else
    free_first = index + 1;
  free_last = index + 1;
}

void handle_count_freed(void)
{
  live--;
}

void handle_recycle(void *handle)
{
  const struct kind_operations *operations = kind_operations[handle_kind(handle)];
  bool reusable = !operations->reusable || operations->reusable(handle_object(handle));
  handle_table_lock();
  handle_count_freed();
  handle_slot_put_back(handle, reusable);
  handle_table_unlock();
}

int64_t handle_live(void)
{
  handle_table_lock();
  int64_t n = live;
  handle_table_unlock();
  return n;
}

static void each(void (*visit)(void *, void *), void *context)
{
  for (uint32_t i = 0; i < slots_used; i++)
    if (load_acquire(&handle_slots[i].object.head) >> 32)
      visit(handle_of(&handle_slots[i].object), context);
}

void handle_each(void (*visit)(void *, void *), void *context)
{
  handle_table_lock();
  each(visit, context);
  handle_table_unlock();
}

static void object_after_fork(void *handle, void *context)
{
  (void)context;
  struct object *object = handle_held_object(handle);
  if (!handle_is_undecided(object, handle)) {
    /* Another thread, which does not exist here, was making it, or freeing what it owns. It is
       unknown how far that thread came. What is left leaks, and so does the slot. */
    store_relaxed(&object->tag_flags, 0);
    store_relaxed(&object->head, 0);
    return;
  }
  live++;
  if (load_relaxed(&object->head) & CLOSING) { /* by a thread that does not exist here */
    and_relaxed(&object->head, ~CLOSING);
    and_relaxed(&object->tag_flags, ~CLOSING);
  }
  update_relaxed(&object->waiters, 0);
  const struct kind_operations *operations = kind_operations[handle_kind(handle)];
  if (operations && operations->after_fork)
    operations->after_fork(object);
}

static void repair(void)
{
  live = 0;
  each(object_after_fork, NULL);
  handle_counted_after_fork();
  handle_retired_after_fork();
}

const struct fork_module handle_fork = {&table_lock, 1, repair};
