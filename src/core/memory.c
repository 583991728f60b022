#include "memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

/* Blocks of this size or more are whole pages. */
#define LARGE 65536

void *memory_new(size_t size)
{
  assert(memory_may_be_used());
  if (size >= LARGE)
    return os_pages_new(size);
  void *memory = os_memory_new(CACHE_LINE, size);
  return memory ? memset(memory, 0, size) : NULL;
}

void *memory_resize(void *array, size_t size)
{
  assert(memory_may_be_used());
  if (size)
    return realloc(array, size);
  free(array);
  return NULL;
}

void memory_free(void *memory, size_t size)
{
  assert(memory_may_be_used());
  if (size < LARGE)
    os_memory_free(memory);
  else if (memory)
    os_pages_free(memory, size);
}
