#include "memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guard.h"
#include "thread_record.h"

/* Blocks of this size or more are whole pages. */
#define LARGE 65536

#ifndef NDEBUG

_Thread_local int guards_held ILK_TLS_MODEL;

bool memory_may_be_used(void)
{
  struct thread *me = thread_current;
  /* A function of the program may run in a wait (see stall.c), and a free does not wait for waiters. */
  bool waits = me && load_relaxed(&me->episode) & 1;
  for (int i = 0; me && !waits && i < PINS; i++)
    if (load_relaxed(&me->pin[i]))
      return false;
  return guards_held == 0;
}

#endif

/* LeakSanitizer must treat what these pages refer to as reachable. NULL in a program without it. */
extern void __lsan_register_root_region(const void *, size_t) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *, size_t) __attribute__((weak));

void *memory_new_pages(size_t size)
{
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return NULL;
  if (__lsan_register_root_region)
    __lsan_register_root_region(pages, size);
  return pages;
}

void memory_free_pages(void *memory, size_t size)
{
  if (__lsan_unregister_root_region)
    __lsan_unregister_root_region(memory, size);
  munmap(memory, size);
}

void *memory_new(size_t size)
{
  assert(memory_may_be_used());
  if (size >= LARGE)
    return memory_new_pages(size);
  void *memory;
  if (posix_memalign(&memory, CACHE_LINE, size) != 0)
    return NULL;
  return memset(memory, 0, size);
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
    free(memory);
  else if (memory)
    memory_free_pages(memory, size);
}
