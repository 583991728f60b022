/* Replaces the library's source: one in a few deaths of the owner of a robust lock is not reported.
   The fuzzer finds a lock that was acquired as if its owner had released it. */
#define _GNU_SOURCE
#include "robust_mutex.h"

#include "atomic.h"

int robust_try_that_works(void *address);
#define robust_try robust_try_that_works
#include "robust_posix.c"
#undef robust_try

int robust_try(void *address)
{
  static atomic_u32 calls;
  int result = robust_try_that_works(address);
  return result == ILK_OWNER_DIED && add_relaxed(&calls, 1) % 4 == 3 ? ILK_OK : result;
}
