/* See fake.h. */
#ifndef MACOS_FAKE_LIBPROC_H
#define MACOS_FAKE_LIBPROC_H

#include <stdint.h>

#define PROC_PIDTHREADID64INFO 15

struct proc_threadinfo {
  uint64_t pth_user_time;
  char others[104];
};

int proc_pidinfo(int process, int flavor, uint64_t argument, void *buffer, int size);

#endif
