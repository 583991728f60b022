/* Threads and time: the calling thread's number, the number of CPUs, yield, clock, and sleep. */
#include "block.h"
#include "gil.h"
#include "os.h"

int64_t ilk_thread_id(void)
{
  struct thread *me = thread_self();
  return me ? thread_id(me) : fail_value(ILK_ENOMEM);
}

int64_t ilk_thread_native_id(void)
{
  return os_thread_id();
}

int ilk_thread_yield(void)
{
  os_yield();
  return ILK_OK;
}

int ilk_cpu_count(void)
{
  return os_cpu_count();
}

int64_t ilk_clock(void)
{
  return clock_now();
}

int ilk_sleep(int64_t ns)
{
  if (ns < 0)
    return fail(ILK_EINVAL);
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  int64_t deadline = clock_deadline(ns);
  atomic_u32 never = 0;
  int result;
  do
    result = block(me, NULL, 0, &never, 0, deadline, 0);
  while (result == ILK_OK);
  gil_reacquire(me);
  return result == ILK_ETIMEDOUT ? ILK_OK : fail(result);
}
