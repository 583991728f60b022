#include <windows.h>

#include "os.h"

int os_cpu_count(void)
{
  DWORD_PTR own, all;
  if (GetProcessAffinityMask(GetCurrentProcess(), &own, &all) && own)
    return __builtin_popcountll(own);
  /* The process runs in several groups, so it has no mask. */
  DWORD n = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
  return n ? (int)n : 1;
}

/* FlushProcessWriteBuffers() does nothing under Wine. */
bool os_barrier_register(void)
{
  return !GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version");
}

bool os_barrier(void)
{
  FlushProcessWriteBuffers();
  return true;
}
