/* macOS's calls, on Linux. Where its manual leaves a choice to the system, this one is unkind:

   - a sleep on an address ends early or without a reason, and by errors that mean "again";
   - the variables of a thread have their first values again before each round of the destructors
     at thread exit, as after dyld has freed them.

   INTERLOCK_FAKE_MACOS=11 in the environment: a macOS before 14.4, without sleeps on addresses. */
#include "fake.h"
#undef dlsym
#undef pthread_key_create
#undef pthread_setspecific

#include <errno.h>
#include <fcntl.h>
#include <libproc.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

/* --- sleeps on addresses --------------------------------------------------------------- */

enum { SHARED = 1, ABSOLUTE_TIME = 32 };

static long futex(void *word, int operation, uint32_t value, const struct timespec *time,
                  uint32_t flags)
{
  return syscall(SYS_futex, word, operation | (flags & SHARED ? 0 : FUTEX_PRIVATE_FLAG), value,
                 time, NULL, 0);
}

static int fails(int error)
{
  errno = error;
  return -1;
}

static int sync_wait(void *word, uint64_t expected, size_t size, uint32_t flags, uint32_t clock,
                     uint64_t timeout_ns)
{
  static atomic_uint calls;
  if (!word || size != sizeof(uint32_t) || flags & ~(uint32_t)SHARED || clock != ABSOLUTE_TIME ||
      timeout_ns == 0)
    return fails(EINVAL);
  switch (atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % 16) {
  case 3: return fails(EINTR);
  case 7: return fails(EFAULT);
  case 11: return 0; /* as if woken */
  case 15: timeout_ns -= timeout_ns / 8; break;
  }
  struct timespec time = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                          .tv_nsec = (long)(timeout_ns % NS_PER_S)};
  long result = futex(word, FUTEX_WAIT, (uint32_t)expected, &time, flags);
  return result == 0 || errno == EAGAIN ? 0 : -1;
}

static int sync_wake(void *word, size_t size, int n, uint32_t flags)
{
  if (!word || size != sizeof(uint32_t) || flags & ~(uint32_t)SHARED)
    return fails(EINVAL);
  return futex(word, FUTEX_WAKE, (uint32_t)n, NULL, flags) > 0 ? 0 : fails(ENOENT);
}

static int sync_wake_any(void *word, size_t size, uint32_t flags)
{
  return sync_wake(word, size, 1, flags);
}

static int sync_wake_all(void *word, size_t size, uint32_t flags)
{
  return sync_wake(word, size, INT_MAX, flags);
}

void *fake_dlsym(void *library, const char *name)
{
  const char *version = getenv("INTERLOCK_FAKE_MACOS");
  if (library != RTLD_DEFAULT || (version && strcmp(version, "11") == 0))
    return NULL;
  if (strcmp(name, "os_sync_wait_on_address_with_timeout") == 0)
    return (void *)(uintptr_t)sync_wait;
  if (strcmp(name, "os_sync_wake_by_address_any") == 0)
    return (void *)(uintptr_t)sync_wake_any;
  if (strcmp(name, "os_sync_wake_by_address_all") == 0)
    return (void *)(uintptr_t)sync_wake_all;
  return NULL;
}

/* --- other calls ----------------------------------------------------------------------- */

uint64_t clock_gettime_nsec_np(clockid_t clock)
{
  struct timespec now;
  if (clock != CLOCK_UPTIME_RAW || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
    return 0;
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int pthread_threadid_np(void *thread, uint64_t *id)
{
  if (thread)
    return ESRCH;
  *id = (uint64_t)syscall(SYS_gettid);
  return 0;
}

/* macOS forgets any thread that has ended. Linux keeps the main one as a zombie, to which signals
   can be sent. By bare system calls, which are no cancellation points. */
static bool main_thread_has_ended(void)
{
  char text[64];
  int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return false;
  long size = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  text[size > 0 ? size : 0] = 0;
  return strstr(text, ") Z") != NULL;
}

int proc_pidinfo(int process, int flavor, uint64_t thread, void *buffer, int size)
{
  if (flavor != PROC_PIDTHREADID64INFO || size < (int)sizeof(struct proc_threadinfo)) {
    errno = EINVAL;
    return 0;
  }
  if (syscall(SYS_tgkill, (long)process, (long)thread, 0L) == -1)
    return 0;
  if (thread == (uint64_t)process && main_thread_has_ended()) {
    errno = ESRCH;
    return 0;
  }
  memset(buffer, 0, sizeof(struct proc_threadinfo));
  return (int)sizeof(struct proc_threadinfo);
}

int pthread_cond_timedwait_relative_np(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                       const struct timespec *time)
{
  uint64_t until = clock_gettime_nsec_np(CLOCK_UPTIME_RAW) + (uint64_t)time->tv_sec * NS_PER_S +
                   (uint64_t)time->tv_nsec;
  struct timespec deadline = {.tv_sec = (time_t)(until / NS_PER_S),
                              .tv_nsec = (long)(until % NS_PER_S)};
  return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &deadline);
}

/* --- thread exit ----------------------------------------------------------------------- */

static pthread_key_t variables; /* created first, so its destructor runs first in each round */
static bool has_variables;

/* Of the program or library that this file is in. */
static int lose_variables(struct dl_phdr_info *object, size_t size, void *unused)
{
  (void)size;
  (void)unused;
  const ElfW(Phdr) *tls = NULL;
  bool is_ours = false;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &object->dlpi_phdr[i];
    uintptr_t start = object->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_TLS)
      tls = p;
    else if (p->p_type == PT_LOAD && (uintptr_t)&variables - start < p->p_memsz)
      is_ours = true;
  }
  if (!is_ours || !tls || !object->dlpi_tls_data)
    return 0;
  char *values = object->dlpi_tls_data;
  memcpy(values, (const void *)(object->dlpi_addr + tls->p_vaddr), tls->p_filesz);
  memset(values + tls->p_filesz, 0, tls->p_memsz - tls->p_filesz);
  return 1;
}

static void begin_round(void *value)
{
  pthread_setspecific(variables, value);
  dl_iterate_phdr(lose_variables, NULL);
}

int fake_key_create(pthread_key_t *key, void (*destructor)(void *))
{
  if (!has_variables)
    has_variables = pthread_key_create(&variables, begin_round) == 0;
  return pthread_key_create(key, destructor);
}

int fake_setspecific(pthread_key_t key, const void *value)
{
  if (has_variables)
    pthread_setspecific(variables, &variables);
  return pthread_setspecific(key, value);
}
