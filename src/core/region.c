#include "region.h"

#include <sys/mman.h>

#include "guard.h"
#include "handle.h"

/* The seal of the slot for NULL, which so is no handle's, not even NULL's. */
#define NEVER 1

union slot *handle_slots = &handle_none;
atomic_u32 handle_limit;
union slot handle_none = {.object = {.seal = NEVER}};

/* Slots are added this many at a time, so the program keeps its address space (ulimit -v) and
   what it may lock (mlockall) for itself. */
#define GROWTH 1024
#define GROWTH_BYTES (GROWTH * sizeof(union slot))
#define REGION_BYTES (HANDLE_SLOTS_MAX * sizeof(union slot))

/* The region begins at least this far below where the system maps next, and so leaves room to
   grow: the system goes on downwards from there. The farthest is tried first. It is aligned to its
   full size, so that the regions of several copies of the library leave each other room, too. */
#define FARTHEST ((uintptr_t)1 << (UINTPTR_MAX > UINT32_MAX ? 40 : 28))
#define NEAREST (4 * REGION_BYTES)
#define COPIES 8

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0 /* as is any wish for an address where nothing is mapped */
#endif

/* Held while the region grows, and apart from the table's: only threads that need new slots wait
   for the system. */
static pthread_mutex_t growth_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t slots_reserved; /* address space that is ours although not in use: see reserve() */

/* Maps slots there, and nowhere else. */
static bool map_at(void *place, int flags)
{
  void *mapped = mmap(place, GROWTH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (mapped == place)
    return true;
  if (mapped != MAP_FAILED)
    munmap(mapped, GROWTH_BYTES);
  return false;
}

/* A place with room above it, with the first slots mapped; NULL: none was found. */
static union slot *map_far_away(void)
{
  void *next = mmap(NULL, GROWTH_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (next == MAP_FAILED)
    return NULL;
  munmap(next, GROWTH_BYTES);
  for (uintptr_t distance = FARTHEST; distance >= NEAREST; distance /= 2)
    for (uintptr_t copy = 0; distance < (uintptr_t)next / 2 && copy < COPIES; copy++) {
      void *place = (void *)(((uintptr_t)next - distance) / REGION_BYTES * REGION_BYTES - copy * REGION_BYTES);
      if (map_at(place, 0)) /* a wish: ThreadSanitizer turns one that it cannot grant into address 0 */
        return place;
    }
  return NULL;
}

/* Where the system does not let us choose: address space alone, as much as there is. */
static union slot *reserve(void)
{
  for (uint32_t n = HANDLE_SLOTS_MAX; n >= GROWTH; n /= 2) {
    void *place = mmap(NULL, n * sizeof(union slot), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
      continue;
    slots_reserved = n;
    return map_at(place, MAP_FIXED) ? place : NULL;
  }
  return NULL;
}

__attribute__((constructor(102))) static void make_region(void)
{
  union slot *slots = map_far_away();
  if (!slots)
    slots = reserve();
  if (!slots)
    return;
  handle_slots = slots;
  store_relaxed(&handle_slots[0].object.seal, NEVER);
  store_relaxed(&handle_limit, GROWTH);
}

bool region_grow(uint32_t have)
{
  guard_lock(&growth_lock);
  uint32_t limit = load_relaxed(&handle_limit);
  bool grown = limit > have; /* another thread was faster */
  if (!grown && limit && limit < HANDLE_SLOTS_MAX) {
    grown = map_at(&handle_slots[limit], limit < slots_reserved ? MAP_FIXED : MAP_FIXED_NOREPLACE);
    if (grown)
      store_release(&handle_limit, limit + GROWTH);
  }
  guard_unlock(&growth_lock);
  return grown;
}

void region_before_fork(void)
{
  guard_hold(&growth_lock);
}

void region_after_fork(bool child)
{
  (void)child;
  guard_release(&growth_lock);
}
