#define _GNU_SOURCE
#include "os.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t os_thread_id(void)
{
  return syscall(SYS_gettid);
}

int os_cpu_count(void)
{
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return CPU_COUNT(&set);
  long n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than the set can hold */
  return n > 0 ? (int)n : 1;
}

bool os_barrier(void)
{
  return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool os_barrier_register(void)
{
  long have = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return have > 0 && (have & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 && os_barrier();
}
