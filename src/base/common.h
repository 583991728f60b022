/* Included by every source of the library. */
#ifndef INTERLOCK_COMMON_H
#define INTERLOCK_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include "interlock.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A slow path: out of line, and placed apart from the fast path. */
#define COLD __attribute__((cold, noinline))

/* For data that another source defines: accessed without the global offset table. */
#define HIDDEN __attribute__((visibility("hidden")))

#define CACHE_LINE 64

/* Records `code` as this thread's last error and returns it. */
int fail(int code);
/* The same for functions that return a value, or a handle. */
int64_t fail_value(int code);
void *fail_null(int code);

/* Turns an internal result into the result of a public call: a failure is recorded. */
static inline int return_code(int result)
{
  return unlikely(result < 0) ? fail(result) : result;
}

/* Turns the result of a wait with a time-out of 0 into that of a try. */
static inline int try_code(int result)
{
  return return_code(result == ILK_ETIMEDOUT ? ILK_EBUSY : result);
}

#endif
