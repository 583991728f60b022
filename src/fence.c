#include "fence.h"

#include "os.h"

#ifdef ILK_FENCE_SYMMETRIC

void fence_heavy(void)
{
}

#else

bool fence_is_asymmetric;

/* Before any other thread can be inside the library. A fork's child inherits
   the registration together with the memory. */
__attribute__((constructor(101))) static void probe(void)
{
  fence_is_asymmetric = os_barrier_register();
}

void fence_heavy(void)
{
  if (fence_is_asymmetric)
    os_barrier();
}

#endif
