/* Memory for large things: whole pages, all zero, which take room only once they are
   touched. */
#ifndef INTERLOCK_PAGES_H
#define INTERLOCK_PAGES_H

#include <stddef.h>
#include <sys/mman.h>

static inline void *pages_new(size_t size)
{
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? NULL : pages;
}

static inline void pages_release(void *pages, size_t size)
{
  munmap(pages, size);
}

#endif
