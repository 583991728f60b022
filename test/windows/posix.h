/* What the tests use of POSIX, for Windows: what it has in another form; and what it does not have. A test that calls one of
   the latter is skipped, with the reason. winpthreads has the threads, <time.h> and <unistd.h>. */
#ifndef WINDOWS_POSIX_H
#define WINDOWS_POSIX_H

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
/* Names that the tests use for something else. */
#define WORD windows_word
#define tell windows_tell
#include <windows.h>
#include <psapi.h>
#include <tlhelp32.h>
#include <io.h>
#undef WORD
#undef tell
#undef far
#undef near
#undef small

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* --- skipped tests --------------------------------------------------------------- */

/* The exit status of a test that is skipped; its last line of output is the reason. */
#define SKIPPED 77

/* A copy of the standard error stream: a test may have put another in its place. */
static int report_file_ = -1;

static inline void report_open(void)
{
  report_file_ = _dup(2);
}

static inline void report_text(const char *text)
{
  fflush(NULL);
  _write(report_file_ < 0 ? 2 : report_file_, text, (unsigned)strlen(text));
}

__attribute__((noreturn)) static inline void skip_test(const char *reason)
{
  report_text(reason);
  _exit(SKIPPED);
}

#define NO_FORK "Windows has no fork()"
#define NO_SIGNALS "Windows has no signals"
#define NO_CANCEL "Windows cancels no threads"
#define NO_SANDBOX "Windows has no seccomp"
#define NO_LIMITS "Windows has no setrlimit()"

/* --- files ------------------------------------------------------------------------ */

/* Under Wine there are such files, and they are another process's. */
#define NO_PROC "Windows has no /proc"

static inline FILE *posix_fopen(const char *path, const char *mode)
{
  if (!strncmp(path, "/proc/", 6))
    skip_test(NO_PROC);
  return fopen(path, mode);
}
#define fopen posix_fopen

static inline int posix_access(const char *path, int mode)
{
  if (!strncmp(path, "/proc/", 6))
    skip_test(NO_PROC);
  return _access(path, mode);
}
#define access posix_access

static inline int posix_dup2(int from, int to)
{
  return _dup2(from, to) == 0 ? to : -1;
}
#define dup2 posix_dup2

/* %p as on Linux and in the report: 0x and as many digits as there are. */
static inline int posix_vsnprintf(char *text, size_t size, const char *format, va_list arguments)
{
  char changed[1024];
  size_t n = 0;
  for (; *format && n < sizeof changed - 8; format++)
    if (format[0] == '%' && format[1] == 'p') {
      memcpy(changed + n, "0x%I64x", 7);
      n += 7;
      format++;
    } else {
      changed[n++] = *format;
    }
  changed[n] = 0;
  return vsnprintf(text, size, changed, arguments);
}

__attribute__((format(printf, 3, 4))) static inline int posix_snprintf(char *text, size_t size,
                                                                       const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  int n = posix_vsnprintf(text, size, format, arguments);
  va_end(arguments);
  return n;
}
#define vsnprintf posix_vsnprintf
#define snprintf posix_snprintf

static inline ssize_t pread(int file, void *buffer, size_t size, int64_t offset)
{
  int64_t before = _telli64(file);
  if (_lseeki64(file, offset, SEEK_SET) < 0)
    return -1;
  ssize_t n = _read(file, buffer, (unsigned)size);
  _lseeki64(file, before, SEEK_SET);
  return n;
}

/* --- processes -------------------------------------------------------------------- */

#define WIFSIGNALED(status) ((status) < 0)
#define WTERMSIG(status) (-(status))
#define WIFEXITED(status) ((status) >= 0)
#define WEXITSTATUS(status) (status)
#define WNOHANG 1

static inline pid_t fork(void)
{
  skip_test(NO_FORK);
}

static inline pid_t waitpid(pid_t child, int *status, int options)
{
  (void)child, (void)status, (void)options;
  skip_test(NO_FORK);
}

static inline int kill(pid_t child, int signal)
{
  (void)child, (void)signal;
  skip_test(NO_FORK);
}

typedef int id_t;
typedef struct {
  pid_t si_pid;
} siginfo_t;
#define P_PID 0
#define WEXITED 0
#define WNOWAIT 0
static inline int waitid(int type, id_t id, siginfo_t *info, int options)
{
  (void)type, (void)id, (void)info, (void)options;
  skip_test(NO_FORK);
}

static inline bool child_runs(pid_t child)
{
  (void)child;
  skip_test(NO_FORK);
}

static inline int pause(void)
{
  skip_test(NO_SIGNALS);
}

static inline unsigned alarm(unsigned seconds)
{
  (void)seconds; /* the runner ends a test that hangs */
  return 0;
}

#undef pthread_atfork
static inline int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
  (void)prepare, (void)parent, (void)child;
  return 0; /* they would never run */
}

/* --- signals ---------------------------------------------------------------------- */

#define SIGUSR1 10
#define SIGKILL 9
#define SA_RESTART 0

struct sigaction {
  void (*sa_handler)(int);
  int sa_flags;
};

static inline int sigaction(int signal, const struct sigaction *action, struct sigaction *before)
{
  (void)signal, (void)action, (void)before;
  skip_test(NO_SIGNALS);
}

#undef pthread_cancel
#define pthread_cancel(thread) ((void)(thread), skip_test(NO_CANCEL), 0)
#undef pthread_kill
#define pthread_kill(thread, signal) ((void)(thread), (void)(signal), skip_test(NO_SIGNALS), 0)

/* --- memory ----------------------------------------------------------------------- */

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 0
#define MAP_SHARED 1
#define MAP_ANONYMOUS 0
#define MAP_FAILED NULL

static inline void *mmap(void *address, size_t size, int protection, int flags, int file,
                         int64_t offset)
{
  (void)flags, (void)file, (void)offset;
  return VirtualAlloc(address, size, MEM_RESERVE | MEM_COMMIT,
                      protection ? PAGE_READWRITE : PAGE_NOACCESS);
}

static inline int munmap(void *memory, size_t size)
{
  (void)size;
  return VirtualFree(memory, 0, MEM_RELEASE) ? 0 : -1;
}

static inline int mprotect(void *memory, size_t size, int protection)
{
  DWORD before;
  return VirtualProtect(memory, size,
                        protection & PROT_WRITE ? PAGE_READWRITE
                        : protection            ? PAGE_READONLY
                                                : PAGE_NOACCESS,
                        &before)
           ? 0
           : -1;
}

#define _SC_PAGESIZE 1
#define _SC_NPROCESSORS_ONLN 2
static inline long sysconf(int name)
{
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return (long)(name == _SC_PAGESIZE ? info.dwPageSize : info.dwNumberOfProcessors);
}

#define RLIMIT_DATA 0
#define RLIMIT_AS 1
#define RLIM_INFINITY UINT64_MAX
typedef uint64_t rlim_t;
struct rlimit {
  rlim_t rlim_cur, rlim_max;
};

static inline int setrlimit(int resource, const struct rlimit *limit)
{
  (void)resource, (void)limit;
  skip_test(NO_LIMITS);
}

/* --- processors ------------------------------------------------------------------- */

#define sched_getcpu() ((int)GetCurrentProcessorNumber())
typedef DWORD_PTR cpu_set_t;
#define CPU_ZERO(set) (*(set) = 0)
#define CPU_SET(i, set) (*(set) |= (cpu_set_t)1 << (i))
#define CPU_ISSET(i, set) ((*(set) >> (i) & 1) != 0)
#define CPU_COUNT(set) __builtin_popcountll(*(set))
#define CPU_SETSIZE 64

static inline int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set)
{
  DWORD_PTR system;
  (void)process, (void)size;
  return GetProcessAffinityMask(GetCurrentProcess(), set, &system) ? 0 : -1;
}

static inline int sched_setaffinity(pid_t process, size_t size, const cpu_set_t *set)
{
  (void)process, (void)size;
  return SetProcessAffinityMask(GetCurrentProcess(), *set) ? 0 : -1;
}

static inline bool make_batch(pid_t process)
{
  (void)process;
  return false;
}

/* --- threads ---------------------------------------------------------------------- */

__attribute__((noreturn)) void pthread_exit(void *result);

/* winpthreads has 256 rounds, which take minutes; four are the least that POSIX has. */
#undef PTHREAD_DESTRUCTOR_ITERATIONS
#define PTHREAD_DESTRUCTOR_ITERATIONS 4

static inline int own_tid(void)
{
  return (int)GetCurrentThreadId();
}

#define SYS_gettid 0
#define syscall(number) own_tid()

#ifdef __aarch64__
#define INSTRUCTION Pc
#define STACK Sp
#else
#define INSTRUCTION Rip
#define STACK Rsp
#endif

struct standstill {
  DWORD64 instruction, stack;
};

/* Where a thread is; zeros if it is gone. Not one that runs: it is stopped for a moment. */
static inline struct standstill thread_place(int tid)
{
  struct standstill place = {0, 0};
  HANDLE thread = OpenThread(THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT, FALSE, (DWORD)tid);
  if (!thread)
    return place;
  CONTEXT context = {.ContextFlags = CONTEXT_CONTROL};
  if (SuspendThread(thread) != (DWORD)-1) {
    if (GetThreadContext(thread, &context))
      place = (struct standstill){context.INSTRUCTION, context.STACK};
    ResumeThread(thread);
  }
  CloseHandle(thread);
  return place;
}

/* 'S' for a thread that sleeps: one that is in ntdll, which makes the system calls, and stays at the same place. '?' for
   one that is gone. Wine does not tell what a thread waits for, as Windows does. */
static inline char thread_state(int tid)
{
  struct standstill first = thread_place(tid);
  if (!first.instruction)
    return '?';
  HMODULE module;
  if (!GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                            GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                          (const char *)(uintptr_t)first.instruction, &module) ||
      module != GetModuleHandleA("ntdll"))
    return 'R';
  for (int i = 0; i < 5; i++) {
    Sleep(1);
    struct standstill next = thread_place(tid);
    if (next.instruction != first.instruction || next.stack != first.stack)
      return next.instruction ? 'R' : '?';
  }
  return 'S';
}

static inline int64_t memory_in_use(void)
{
  PROCESS_MEMORY_COUNTERS counters;
  return K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)
           ? (int64_t)counters.WorkingSetSize
           : -1;
}

/* The bytes of address space in use, and the threads. */
static inline void process_size(int64_t *mapped, int64_t *threads)
{
  MEMORY_BASIC_INFORMATION part;
  *mapped = *threads = 0;
  for (char *at = NULL; VirtualQuery(at, &part, sizeof part);
       at = (char *)part.BaseAddress + part.RegionSize)
    if (part.State != MEM_FREE)
      *mapped += (int64_t)part.RegionSize;
  HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  THREADENTRY32 thread = {.dwSize = sizeof thread};
  for (BOOL found = Thread32First(all, &thread); found; found = Thread32Next(all, &thread))
    *threads += thread.th32OwnerProcessID == GetCurrentProcessId();
  CloseHandle(all);
}

/* That of all threads is in the program's header. */
#define pthread_attr_getstacksize posix_attr_getstacksize
static inline int pthread_attr_getstacksize(const pthread_attr_t *attributes, size_t *size)
{
  (void)attributes;
  const char *program = (const char *)GetModuleHandleA(NULL);
  const IMAGE_NT_HEADERS *header =
    (const IMAGE_NT_HEADERS *)(program + ((const IMAGE_DOS_HEADER *)program)->e_lfanew);
  *size = header->OptionalHeader.SizeOfStackReserve;
  return 0;
}

/* As the library's clock does. */
static inline int64_t clock_ns(void)
{
  LARGE_INTEGER frequency, count;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&count);
  int64_t f = frequency.QuadPart, n = count.QuadPart;
  return n / f * 1000000000 + n % f * 1000000000 / f;
}

/* --- libraries -------------------------------------------------------------------- */

#define RTLD_NOW 0
#define RTLD_LOCAL 0

static inline void *dlopen(const char *path, int flags)
{
  (void)flags;
  return (void *)LoadLibraryA(path);
}

static inline void *dlsym(void *library, const char *name)
{
  return (void *)(uintptr_t)GetProcAddress((HMODULE)library, name);
}

typedef struct {
  const char *dli_fname;
} Dl_info;

/* The file that a function is in. */
static inline int dladdr(const void *function, Dl_info *info)
{
  static char path[MAX_PATH];
  HMODULE module;
  if (!GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                            GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                          function, &module))
    return 0;
  info->dli_fname = path;
  return GetModuleFileNameA(module, path, sizeof path) != 0;
}

static inline int dlclose(void *library)
{
  return FreeLibrary((HMODULE)library) ? 0 : -1;
}

#endif
