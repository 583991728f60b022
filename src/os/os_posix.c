/* For systems that have nothing better. */
#include "os.h"

#include <unistd.h>

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
