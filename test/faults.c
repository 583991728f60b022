#include "faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "faults_control.h"

static _Atomic int64_t calls[FAULTS];
static _Atomic int failing = FAULTS; /* which kind */
static int64_t failing_from;
static bool failing_on;

_Atomic int64_t fault_blocks, fault_pages;

/* --- control ------------------------------------------------------------------------------ */

void faults_begin(int kind, int64_t n, bool on)
{
  failing = FAULTS;
  for (int i = 0; i < FAULTS; i++)
    calls[i] = 0;
  failing_from = n;
  failing_on = on;
  failing = kind;
}

int64_t faults_end(void)
{
  int kind = failing;
  failing = FAULTS;
  return kind == FAULTS ? 0 : calls[kind];
}

/* From the load on: INTERLOCK_FAULT="kind n on". The library's own constructors make the first
   calls. */
static void read_environment(void)
{
  static bool done;
  const char *text = done ? NULL : getenv("INTERLOCK_FAULT");
  int kind, on;
  long long n;
  done = true;
  if (text && sscanf(text, "%d %lld %d", &kind, &n, &on) == 3)
    faults_begin(kind, n, on);
}

bool fault_now(enum fault kind)
{
  read_environment();
  int64_t n = ++calls[kind];
  return kind == (enum fault)failing && (failing_on ? n >= failing_from : n == failing_from);
}

/* --- memory -------------------------------------------------------------------------------- */

int fault_memalign(void **memory, size_t alignment, size_t size)
{
  int result = fault_now(FAULT_MEMORY) ? ENOMEM : posix_memalign(memory, alignment, size);
  fault_blocks += result == 0;
  return result;
}

void *fault_realloc(void *memory, size_t size)
{
  if (fault_now(FAULT_MEMORY))
    return NULL;
  void *moved = realloc(memory, size);
  fault_blocks += moved && !memory;
  return moved;
}

void fault_free(void *memory)
{
  fault_blocks -= memory != NULL;
  free(memory);
}

void *fault_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
  if (fault_now(FAULT_PAGES)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void *pages = mmap(address, size, protection, flags, file, offset);
  if (pages != MAP_FAILED)
    fault_pages += (int64_t)size;
  return pages;
}

int fault_munmap(void *address, size_t size)
{
  fault_pages -= (int64_t)size;
  return munmap(address, size);
}

/* A call that fails leaves any value behind. */
int fault_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
  if (!fault_now(FAULT_SLEEP))
    return pthread_cond_init(condition, attributes);
  memset(condition, 0xa5, sizeof *condition);
  return EAGAIN;
}

/* --- system calls ----------------------------------------------------------------------------- */

#ifdef __linux__

/* The kind of a call; FAULTS: one that does not fail. */
static enum fault kind_of(long number, long second)
{
#ifdef SYS_futex
  if (number == SYS_futex)
    return (second & FUTEX_CMD_MASK) == FUTEX_WAKE ? FAULTS : FAULT_SLEEP;
#endif
#ifdef SYS_futex_time64
  if (number == SYS_futex_time64)
    return (second & FUTEX_CMD_MASK) == FUTEX_WAKE ? FAULTS : FAULT_SLEEP;
#endif
#ifdef SYS_membarrier
  if (number == SYS_membarrier)
    return FAULT_BARRIER;
#endif
  if (number == SYS_gettid || number == SYS_tgkill)
    return FAULT_TASK;
  return number == SYS_openat || number == SYS_lseek || number == SYS_read ? FAULT_FILE : FAULTS;
}

/* With as many arguments as any call has, like syscall() of the C library. */
long fault_syscall(long number, ...)
{
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++)
    a[i] = va_arg(arguments, long);
  va_end(arguments);
  enum fault kind = kind_of(number, a[1]);
  if (kind != FAULTS && fault_now(kind)) {
    errno = EPERM;
    return -1;
  }
  return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#endif
