/* Where the library allocates and frees: never under a lock of its own, nor within a pin, for
   which a free waits. An allocator may have a lock and fork handlers of its own. At a fork its
   prepare handler may run before ours; then the allocator's lock is taken before ours, and a
   thread that took them the other way round would hang the fork. Builds with assertions check
   it at every call. */
#ifndef INTERLOCK_MEMORY_H
#define INTERLOCK_MEMORY_H

#include <stdbool.h>

#include "common.h"

/* All zero, on cache lines of its own; NULL: no memory. What is large takes room only once it
   is touched. */
void *memory_new(size_t size);
void memory_free(void *memory, size_t size); /* NULL: nothing happens */

/* The same in whole pages of its own, from the system itself: so it may also be called in a signal handler, which
   may have interrupted the allocator, and under a lock of the program's. */
void *memory_new_pages(size_t size);
void memory_free_pages(void *memory, size_t size);

/* An array that grows: begins as NULL, and ends by size 0. Not zero, nor on lines of its own. NULL: no
   memory, and the array stays as it was. */
void *memory_resize(void *array, size_t size);

#ifndef NDEBUG
/* Does the calling thread hold no lock of the library, and no pin? */
bool memory_may_be_used(void);
#endif

#endif
