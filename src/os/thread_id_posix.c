#include <pthread.h>

#include "os.h"

int64_t os_thread_id(void)
{
  return (int64_t)(intptr_t)pthread_self();
}

bool os_thread_is_gone(int64_t id)
{
  (void)id;
  return false;
}
