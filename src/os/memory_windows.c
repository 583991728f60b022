#include <malloc.h>
#include <windows.h>

#include "os.h"

void *os_memory_new(size_t alignment, size_t size)
{
  return _aligned_malloc(size, alignment);
}

void os_memory_free(void *memory)
{
  _aligned_free(memory);
}

void *os_pages_new(size_t size)
{
  return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void os_pages_free(void *pages, size_t size)
{
  (void)size;
  VirtualFree(pages, 0, MEM_RELEASE);
}

/* --- the region ----------------------------------------------------------------------- */

/* Another thread may take the addresses between the search and the reservation. */
#define TRIES 8

/* Reserves address space that is aligned to its size. NULL: none was found. It takes no memory
   until it is committed. */
static void *reserve_aligned(size_t size)
{
  for (int i = 0; i < TRIES; i++) {
    void *space = VirtualAlloc(NULL, 2 * size, MEM_RESERVE, PAGE_READWRITE);
    if (!space)
      return NULL;
    VirtualFree(space, 0, MEM_RELEASE);
    void *aligned = (void *)(((uintptr_t)space + size - 1) / size * size);
    void *region = VirtualAlloc(aligned, size, MEM_RESERVE, PAGE_READWRITE);
    if (region)
      return region;
  }
  return NULL;
}

void *os_region_new(size_t first, size_t maximum)
{
  void *region = reserve_aligned(maximum);
  if (!region)
    region = VirtualAlloc(NULL, maximum, MEM_RESERVE, PAGE_READWRITE);
  return region && os_region_grow(region, 0, first) ? region : NULL;
}

bool os_region_grow(void *region, size_t have, size_t more)
{
  return VirtualAlloc((char *)region + have, more, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

bool os_each_touched(void *memory, size_t size,
                     bool (*visit)(void *part, size_t size, void *context), void *context)
{
  return visit(memory, size, context);
}
