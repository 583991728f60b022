/* What only Windows has: callbacks at thread exit, and libraries that can be unloaded. */
#include "support.h"

/* --- a callback after the library's
   -------------------------------------------------------------- */

static struct {
  _Atomic bool on;
  _Atomic int runs;
  void *mutex;
} late;

/* The program's callbacks run after those of its libraries. So the library gives the thread a
   second record, whose end it does not notice. */
static void NTAPI program_detach(void *module, DWORD reason, void *reserved)
{
  (void)module, (void)reserved;
  if (reason != DLL_THREAD_DETACH || !late.on)
    return;
  expect(ilk_mutex_trylock(late.mutex), ILK_OK);
  late.runs++;
}

__attribute__((section(".CRT$XLY"), used)) PIMAGE_TLS_CALLBACK test_program_detach = program_detach;

static DWORD WINAPI use_and_exit(void *unused)
{
  (void)unused;
  ilk_thread_id();
  return 0;
}

START_TEST(what_is_locked_in_a_later_callback_is_a_dead_threads)
{
  late.mutex = ilk_mutex_new(0);
  for (int i = 1; i <= 50; i++) {
    late.on = true;
    HANDLE thread = CreateThread(NULL, 0, use_and_exit, NULL, 0, NULL);
    must(thread != NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    late.on = false;
    expect(late.runs, i);
    expect(call_visit(late.mutex, -1), ILK_OWNER_DIED);
    expect(call_visit(late.mutex, 0), ILK_OK);
  }
  expect(ilk_mutex_free(late.mutex), ILK_OK);
}
END_TEST

static DWORD WINAPI lock_and_exit(void *mutex)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  ExitThread(0);
}

START_TEST(exit_thread_is_an_exit)
{
  void *m = ilk_mutex_new(0);
  HANDLE thread = CreateThread(NULL, 0, lock_and_exit, m, 0, NULL);
  must(thread != NULL);
  WaitForSingleObject(thread, INFINITE);
  CloseHandle(thread);
  expect(call_visit(m, -1), ILK_OWNER_DIED);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

/* test_robust.c is skipped on Windows. */
START_TEST(robust_locks_are_refused)
{
  char lock[ILK_ROBUST_SIZE] __attribute__((aligned(8))) = {0};
  expect(ilk_robust_lock(lock), ILK_ENOTSUP);
  expect(ilk_robust_timedlock(lock, MS), ILK_ENOTSUP);
  expect(ilk_robust_trylock(lock), ILK_ENOTSUP);
  expect(ilk_robust_unlock(lock), ILK_ENOTSUP);
  expect(ilk_last_error(), ILK_ENOTSUP);
}
END_TEST

/* --- the library stays
   ----------------------------------------------------------------------------- */

/* After FreeLibrary() x18 is 0, and no thread-local variable can be read. */
START_TEST(free_library_does_not_unload_it)
{
  if (wine_on_arm64())
    skip_test("Wine for arm64 loses x18 in FreeLibrary()");
  HMODULE library = GetModuleHandleA("libinterlock-0.dll");
  must(library != NULL);
  void *m = ilk_mutex_new(0);
  for (int i = 0; i < 100; i++)
    FreeLibrary(library);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

/* --- what is exported
   ------------------------------------------------------------------------------ */

START_TEST(only_the_api_is_exported)
{
  const char *base = (const char *)GetModuleHandleA("libinterlock-0.dll");
  must(base != NULL);
  const IMAGE_NT_HEADERS *header =
    (const IMAGE_NT_HEADERS *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
  const IMAGE_DATA_DIRECTORY *directory =
    &header->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT];
  const IMAGE_EXPORT_DIRECTORY *exports =
    (const IMAGE_EXPORT_DIRECTORY *)(base + directory->VirtualAddress);
  const DWORD *names = (const DWORD *)(base + exports->AddressOfNames);
  must(exports->NumberOfNames > 100);
  for (DWORD i = 0; i < exports->NumberOfNames; i++)
    if (strncmp(base + names[i], "ilk_", 4) != 0)
      ck_abort_msg("%s is exported", base + names[i]);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("windows");
  TCase *exits = test_case(s, "exit", 20);
  tcase_add_test(exits, what_is_locked_in_a_later_callback_is_a_dead_threads);
  tcase_add_test(exits, exit_thread_is_an_exit);
  TCase *library = test_case(s, "library", 20);
  tcase_add_test(library, robust_locks_are_refused);
  tcase_add_test(library, free_library_does_not_unload_it);
  tcase_add_test(library, only_the_api_is_exported);
  return run_suite(s);
}
