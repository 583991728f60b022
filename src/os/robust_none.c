/* A system without robust mutexes. */
#include "robust_mutex.h"

int robust_check(void *address)
{
  (void)address;
  return ILK_ENOTSUP;
}

int robust_try(void *address)
{
  return robust_check(address);
}

int robust_try_until(void *address, int64_t until)
{
  (void)until;
  return robust_check(address);
}

int robust_release(void *address)
{
  return robust_check(address);
}

void robust_setup(void)
{
}
