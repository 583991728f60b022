#include "os.h"

#include <pthread.h>
#include <unistd.h>

int64_t os_thread_id(void)
{
  return (int64_t)(intptr_t)pthread_self();
}

bool os_thread_is_gone(int64_t id)
{
  (void)id;
  return false;
}

int os_cpu_count(void)
{
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (int)n : 1;
}

bool os_barrier_register(void)
{
  return false;
}

bool os_barrier(void)
{
  return false;
}

bool os_each_touched(void *memory, size_t size,
                     bool (*visit)(void *part, size_t size, void *context), void *context)
{
  return visit(memory, size, context);
}
