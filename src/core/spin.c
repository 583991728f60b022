#include "spin.h"

#include "os.h"

uint32_t spin_most = SPIN_MOST;

void spin_setup(void)
{
  if (os_cpu_count() == 1)
    spin_most = 0;
}
