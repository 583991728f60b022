#include <windows.h>

#include "os.h"

_Static_assert(sizeof(os_lock) == sizeof(SRWLOCK), "types_windows.h");

void os_lock_acquire(os_lock *lock)
{
  AcquireSRWLockExclusive((SRWLOCK *)&lock->slim);
}

void os_lock_release(os_lock *lock)
{
  ReleaseSRWLockExclusive((SRWLOCK *)&lock->slim);
}

/* Converts whole seconds and the rest separately: the count times a billion does not fit into 64
   bits. */
int64_t os_clock(void)
{
  LARGE_INTEGER frequency, count;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&count);
  int64_t per_second = frequency.QuadPart, seconds = count.QuadPart / per_second,
          rest = count.QuadPart % per_second;
  return seconds * NS_PER_S + rest * NS_PER_S / per_second;
}

void os_yield(void)
{
  if (!SwitchToThread()) /* no other thread is ready on this processor */
    Sleep(0);
}

int64_t os_thread_id(void)
{
  return (int64_t)GetCurrentThreadId();
}

/* The id may have been reused, by another process too. */
bool os_thread_is_gone(int64_t id)
{
  HANDLE thread = OpenThread(SYNCHRONIZE | THREAD_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)id);
  if (!thread)
    return GetLastError() == ERROR_INVALID_PARAMETER;
  bool gone = GetProcessIdOfThread(thread) != GetCurrentProcessId() ||
              WaitForSingleObject(thread, 0) == WAIT_OBJECT_0;
  CloseHandle(thread);
  return gone;
}

/* --- started threads ----------------------------------------------------------------- */

static DWORD WINAPI run(void *start)
{
  ((struct os_start *)start)->function(start);
  return 0;
}

bool os_thread_start(struct os_start *start)
{
  HANDLE thread = CreateThread(NULL, 0, run, start, 0, NULL);
  if (thread)
    CloseHandle(thread);
  return thread != NULL;
}

/* An exit within the function runs the exit hook, which every thread can have: see
   os_exit_hook_set(). */
void os_call_with_cleanup(void (*function)(void *), void *argument, void (*cleanup)(void *),
                          void *cleanup_argument)
{
  function(argument);
  cleanup(cleanup_argument);
}

/* --- thread exit --------------------------------------------------------------------- */

static void (*exit_hook)(void *record);
static _Thread_local void *exit_record;

/* Runs under the loader's lock, so it must not wait for a thread that may need that lock. The hook
   acquires guards only. A guard is held for a moment, and its holder neither loads a library nor
   allocates. The hook does not run when the process ends: the system has killed the other threads
   by then, perhaps while they held a guard.

   The callbacks of other modules may run later and call the library. The exit of such a thread is
   detected by os_thread_is_gone(). */
static void NTAPI thread_detach(void *module, DWORD reason, void *reserved)
{
  (void)module;
  (void)reserved;
  if (reason != DLL_THREAD_DETACH)
    return;
  while (exit_record) {
    void *record = exit_record;
    exit_record = NULL;
    exit_hook(record);
  }
}

/* The linker sorts these sections by name into the list of callbacks. */
__attribute__((section(".CRT$XLD"), used)) PIMAGE_TLS_CALLBACK interlock_thread_detach =
  thread_detach;

/* The callback must outlive all threads that have a record, so the library stays loaded. */
bool os_exit_hook_new(void (*hook)(void *record))
{
  HMODULE self;
  exit_hook = hook;
  return GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                            (const char *)&exit_hook, &self);
}

bool os_exit_hook_set(void *record)
{
  exit_record = record;
  return true;
}

void *os_exit_hook_get(void)
{
  return exit_record;
}

bool os_exit_hook_is_safe(void)
{
  return true;
}

/* --- cancellation, fork, output ------------------------------------------------------- */

int os_cancel_disable(void)
{
  return 0;
}

void os_cancel_restore(int before)
{
  (void)before;
}

int64_t os_process_id(void)
{
  return (int64_t)GetCurrentProcessId();
}

void os_fork_handlers(void (*before)(void), void (*parent)(void), void (*child)(void))
{
  (void)before;
  (void)parent;
  (void)child;
}

void os_write_error(const char *text, size_t length)
{
  DWORD written;
  WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, (DWORD)length, &written, NULL);
}
