#include "region.h"

#include "guard.h"
#include "os.h"

/* `tag_flags` of slot 0, the slot that NULL names: it equals head_of() of no handle, not even of
   NULL. */
#define NEVER 1

union slot *handle_slots = &handle_none;
atomic_u32 handle_limit;
union slot handle_none = {.object = {.tag_flags = NEVER}};

/* Slots are added in steps, to leave the program its address space (ulimit -v) and the memory that
   it may lock (mlockall). */
#define GROWTH 1024
#define BYTES(slots) ((slots) * sizeof(union slot))

/* Held while the region grows. Not the table's lock, so that only threads that need new slots wait
   for the system. */
static os_lock growth_lock = OS_LOCK_INIT;

void region_setup(void)
{
  union slot *slots = os_region_new(BYTES(GROWTH), BYTES(HANDLE_SLOTS_MAX));
  if (!slots)
    return;
  handle_slots = slots;
  store_relaxed(&handle_slots[0].object.tag_flags, NEVER);
  store_relaxed(&handle_limit, GROWTH);
}

bool region_grow(uint32_t have)
{
  guard_lock(&growth_lock);
  uint32_t limit = load_relaxed(&handle_limit);
  bool grown = limit > have; /* another thread has grown it */
  if (!grown && limit && limit < HANDLE_SLOTS_MAX) {
    grown = os_region_grow(handle_slots, BYTES(limit), BYTES(GROWTH));
    if (grown)
      store_release(&handle_limit, limit + GROWTH);
  }
  guard_unlock(&growth_lock);
  return grown;
}

const struct fork_module region_fork = {&growth_lock, 1, NULL};
