#include "region.h"

#include <sys/mman.h>

#include "guard.h"
#include "handle.h"

/* The cached tag of slot 0, where NULL leads: it matches no handle, and so not NULL. */
#define NEVER 1

union slot *handle_slots = &handle_none;
atomic_u32 handle_limit;
union slot handle_none = {.object = {.tag_flags = NEVER}};

/* Slots are added in steps, to leave the program its address space (ulimit -v) and the memory that it may lock (mlockall). */
#define GROWTH 1024
#define GROWTH_BYTES (GROWTH * sizeof(union slot))
#define REGION_BYTES (HANDLE_SLOTS_MAX * sizeof(union slot))

/* The region starts at least this far below the address where the system maps next. The system continues downwards from there,
   so the region has space to grow. The farthest address is tried first. The region is aligned to its full size, so that the
   regions of several copies of the library do not obstruct each other. */
#define FARTHEST ((uintptr_t)1 << (UINTPTR_MAX > UINT32_MAX ? 40 : 28))
#define NEAREST (4 * REGION_BYTES)
#define COPIES 8

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0 /* without it an address is a hint, which is followed where nothing is mapped */
#endif

/* Held while the region grows. It is not the table's lock: only threads that need new slots wait for the system. */
static pthread_mutex_t growth_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t slots_reserved; /* reserved address space, in use or not: see reserve() */

/* Maps slots at that address or fails. */
static bool map_at(void *address, int flags)
{
  void *mapped = mmap(address, GROWTH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (mapped == address)
    return true;
  if (mapped != MAP_FAILED)
    munmap(mapped, GROWTH_BYTES);
  return false;
}

/* Finds an address with free space above it and maps the first slots there; NULL: none was found. */
static union slot *map_far_away(void)
{
  void *next = mmap(NULL, GROWTH_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (next == MAP_FAILED)
    return NULL;
  munmap(next, GROWTH_BYTES);
  for (uintptr_t distance = FARTHEST; distance >= NEAREST; distance /= 2)
    for (uintptr_t copy = 0; distance < (uintptr_t)next / 2 && copy < COPIES; copy++) {
      void *address = (void *)(((uintptr_t)next - distance) / REGION_BYTES * REGION_BYTES - copy * REGION_BYTES);
      if (map_at(address, 0)) /* ThreadSanitizer replaces a hint that it cannot follow by address 0 */
        return address;
    }
  return NULL;
}

/* Where the address cannot be chosen: reserves as much address space as there is. */
static union slot *reserve(void)
{
  for (uint32_t n = HANDLE_SLOTS_MAX; n >= GROWTH; n /= 2) {
    void *address = mmap(NULL, n * sizeof(union slot), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
      continue;
    slots_reserved = n;
    return map_at(address, MAP_FIXED) ? address : NULL;
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
  store_relaxed(&handle_slots[0].object.tag_flags, NEVER);
  store_relaxed(&handle_limit, GROWTH);
}

bool region_grow(uint32_t have)
{
  guard_lock(&growth_lock);
  uint32_t limit = load_relaxed(&handle_limit);
  bool grown = limit > have; /* another thread has grown it */
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
