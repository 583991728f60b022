/* Allocation. The library never allocates or frees while it holds one of its locks or pins an
   object. An allocator may have a lock and fork handlers. If its prepare handler runs before ours,
   a fork locks the allocator first and our locks second; a thread that locks in the opposite order
   could deadlock with the fork. Builds with assertions check each call. */
#ifndef INTERLOCK_MEMORY_H
#define INTERLOCK_MEMORY_H

#include <stdbool.h>

#include "common.h"

/* Zeroed, and on cache lines of its own. NULL: no memory. The pages of a large block take memory
   once they are touched. */
void *memory_new(size_t size);
void memory_free(void *memory, size_t size); /* may be NULL */

/* Resizes an array, as realloc() does. NULL is an empty array; size 0 frees it. NULL is returned if
   there is no memory, and the array stays as it was. */
void *memory_resize(void *array, size_t size);

#ifndef NDEBUG
/* True if the calling thread holds none of the library's locks and no pin. In thread_record.c. */
bool memory_may_be_used(void);
#endif

#endif
