/* What every source of the library includes: the public header and a few words. */
#ifndef INTERLOCK_COMMON_H
#define INTERLOCK_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include "interlock.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A slow path: out of line and out of the way of the fast one. */
#define COLD __attribute__((cold, noinline))

/* For data that another source defines: no detour through the offset table. */
#define HIDDEN __attribute__((visibility("hidden")))

#define CACHE_LINE 64

/* Records `code` as this thread's last error and answers it. */
int fail(int code);
/* The same for functions that answer a value, or a handle. */
int64_t fail_value(int code);
void *fail_null(int code);

/* A room's result as a call's answer: failures are recorded. */
static inline int answer(int result)
{
  return unlikely(result < 0) ? fail(result) : result;
}

#endif
