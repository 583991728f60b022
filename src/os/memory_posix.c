#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "os.h"

void *os_memory_new(size_t alignment, size_t size)
{
  void *memory;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

void os_memory_free(void *memory)
{
  free(memory);
}

/* LeakSanitizer must treat what these pages refer to as reachable. NULL in a program without it;
   Apple's linker refuses a name that no library has. */
#ifdef __ELF__
extern void __lsan_register_root_region(const void *, size_t) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *, size_t) __attribute__((weak));
#else
#define __lsan_register_root_region ((void (*)(const void *, size_t))NULL)
#define __lsan_unregister_root_region ((void (*)(const void *, size_t))NULL)
#endif

void *os_pages_new(size_t size)
{
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return NULL;
  if (__lsan_register_root_region)
    __lsan_register_root_region(pages, size);
  return pages;
}

void os_pages_free(void *pages, size_t size)
{
  if (__lsan_unregister_root_region)
    __lsan_unregister_root_region(pages, size);
  munmap(pages, size);
}

/* --- the region ----------------------------------------------------------------------- */

/* The region starts at least this far below the address where the system maps next. The system
   continues downwards from there, so the region has space to grow. The farthest address is tried
   first. The region is aligned to its full size, so that the regions of several copies of the
   library do not obstruct each other. */
#define FARTHEST ((uintptr_t)1 << (UINTPTR_MAX > UINT32_MAX ? 40 : 28))
#define NEAREST(maximum) (4 * (maximum))
#define COPIES 8

#ifndef MAP_FIXED_NOREPLACE
/* without it an address is a hint, which is followed where nothing is mapped */
#define MAP_FIXED_NOREPLACE 0
#endif

static size_t reserved; /* bytes of address space, in use or not: see reserve() */

/* Maps memory at that address or fails. */
static bool map_at(void *address, size_t size, int flags)
{
  void *mapped =
    mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (mapped == address)
    return true;
  if (mapped != MAP_FAILED)
    munmap(mapped, size);
  return false;
}

/* Finds an address with free space above it and maps the first bytes there; NULL: none was
   found. */
static void *map_far_away(size_t first, size_t maximum)
{
  void *next = mmap(NULL, first, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (next == MAP_FAILED)
    return NULL;
  munmap(next, first);
  for (uintptr_t distance = FARTHEST; distance >= NEAREST(maximum); distance /= 2)
    for (uintptr_t copy = 0; distance < (uintptr_t)next / 2 && copy < COPIES; copy++) {
      void *address = (void *)(((uintptr_t)next - distance) / maximum * maximum - copy * maximum);
      /* ThreadSanitizer replaces a hint that it cannot follow by address 0. */
      if (map_at(address, first, 0))
        return address;
    }
  return NULL;
}

/* Where the address cannot be chosen: reserves as much address space as there is. */
static void *reserve(size_t first, size_t maximum)
{
  for (size_t size = maximum; size >= first; size /= 2) {
    void *address = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
      continue;
    reserved = size;
    return map_at(address, first, MAP_FIXED) ? address : NULL;
  }
  return NULL;
}

void *os_region_new(size_t first, size_t maximum)
{
  void *region = map_far_away(first, maximum);
  return region ? region : reserve(first, maximum);
}

bool os_region_grow(void *region, size_t have, size_t more)
{
  return map_at((char *)region + have, more, have < reserved ? MAP_FIXED : MAP_FIXED_NOREPLACE);
}
