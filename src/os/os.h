/* Everything that the library needs of the system, apart from sleeping on a word (wait.h) and
   robust mutexes (robust_mutex.h). A new platform provides these three headers' functions in files
   of its own in this folder; src/meson.build chooses the files. Nothing outside this folder calls
   the system. */
#ifndef INTERLOCK_OS_H
#define INTERLOCK_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types os_lock and os_signals, and as inline functions:

     os_lock_init(), os_lock_acquire(), os_lock_release()
         A lock that is held for a moment; OS_LOCK_INIT initializes a static one. It need not be
         recursive or fair.
     os_signals_block(), os_signals_restore()
         Around code that a signal handler of the same thread must not interrupt, because the
         handler's calls could wait for what the code holds. Empty where there are no signal
         handlers.
     os_error_get(), os_error_set()
         The thread's error number, which a call in a signal handler must not change. */
#ifdef _WIN32
#include "types_windows.h"
#else
#include "types_posix.h"
#endif

/* --- time ---------------------------------------------------------------------------- */

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* Monotonic, in nanoseconds, never negative. */
int64_t os_clock(void);

/* --- threads ------------------------------------------------------------------------- */

int os_cpu_count(void); /* processors that this process may use; at least 1 */
void os_yield(void);

/* The system's id of the calling thread; 0: the system refuses. */
int64_t os_thread_id(void);
/* False: it exists, or its id has been reused, or the system does not say. */
bool os_thread_is_gone(int64_t id);

/* Runs start->function(start) in a new, detached thread. The function, or the caller if the system
   refuses (false), frees what `start` is the first part of. */
struct os_start {
  void (*function)(struct os_start *start);
};
bool os_thread_start(struct os_start *start);

/* function(argument), then cleanup(cleanup_argument), also if the thread is cancelled or exits
   within the function. */
void os_call_with_cleanup(void (*function)(void *), void *argument, void (*cleanup)(void *),
                          void *cleanup_argument);

/* Calls hook(record) when a thread that has called os_exit_hook_set(record) exits. The hook may
   call os_exit_hook_set() to be called once more, later in the exit. os_exit_hook_get() returns the
   record that is set; NULL: none, or the hook has been called. While a thread exits, before and
   between calls of the hook, the system may give its _Thread_local variables their first values
   again. os_exit_hook_new() is called once, when the library is loaded. False: the system
   refuses. */
bool os_exit_hook_new(void (*hook)(void *record));
bool os_exit_hook_set(void *record);
void *os_exit_hook_get(void);
bool os_exit_hook_is_safe(void); /* os_exit_hook_set() may be called in a signal handler */

/* Between these, no call of the thread is a cancellation point. */
int os_cancel_disable(void);
void os_cancel_restore(int before);

/* --- processes ----------------------------------------------------------------------- */

int64_t os_process_id(void);

/* Calls before() in the forking thread, then parent() in it and child() in its copy. Nothing where
   there is no fork. */
void os_fork_handlers(void (*before)(void), void (*parent)(void), void (*child)(void));

/* A full memory barrier in all threads of this process. os_barrier_register() is called once, when
   the library is loaded, and returns whether the system has one. os_barrier() may still fail, if a
   sandbox denies the call later. */
bool os_barrier_register(void);
bool os_barrier(void);

/* Writes the text to the standard error stream, at once and without a lock or an allocation. */
void os_write_error(const char *text, size_t length);

/* --- memory -------------------------------------------------------------------------- */

/* From the system's allocator, aligned to a power of two, with any contents. NULL: no memory. */
void *os_memory_new(size_t alignment, size_t size);
void os_memory_free(void *memory); /* may be NULL */

/* Zeroed pages, without the allocator, so also in a signal handler that has interrupted it. NULL:
   no memory. */
void *os_pages_new(size_t size);
void os_pages_free(void *pages, size_t size);

/* Makes a region of zeroed memory, of `first` bytes, that can grow in place to `maximum` bytes. It
   is aligned to `maximum` where that is possible. NULL: no memory. os_region_grow() adds `more`
   bytes to the `have` bytes of the region; false: no memory, or something else is mapped there.
   Neither takes address space or memory that is not used yet, where the system permits.
   os_region_grow() is called by one thread at a time. */
void *os_region_new(size_t first, size_t maximum);
bool os_region_grow(void *region, size_t have, size_t more);

/* Calls visit() for each part of the memory, in whole pages, that was ever touched; or for all of
   it where the system does not say. Stops and returns true when visit() returns true. */
bool os_each_touched(void *memory, size_t size,
                     bool (*visit)(void *part, size_t size, void *context), void *context);

#endif
