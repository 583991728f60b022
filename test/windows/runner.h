/* Runs the tests of a file on Windows, where Check cannot: each in a process of its own, which is ended if it hangs. The
   program starts itself once for each test, with the test's number in an environment variable; that process lets Check run
   this test alone. An assertion may fail in any thread, and ends the process. */
#ifndef WINDOWS_RUNNER_H
#define WINDOWS_RUNNER_H

#include <check.h>
#include <stdarg.h>

#include "posix.h"

#define CHOSEN "INTERLOCK_TEST" /* the variable */
#define TESTS_MAX 4096

struct runner_test {
  const char *file, *tcase, *name;
  int seconds;
};

static struct {
  struct runner_test tests[TESTS_MAX];
  int n, chosen; /* -1: this is the process that starts the others */
  const char *tcase;
  int seconds;
} runner_ = {.chosen = -2};

/* The tests that are added from now on are of that name, and take at most so many seconds. */
static inline void runner_tcase(const char *name, int seconds)
{
  runner_.tcase = name;
  runner_.seconds = seconds;
}

static inline TCase *runner_tcase_create(const char *name)
{
  runner_tcase(name, 60);
  return tcase_create(name);
}

static inline void runner_add(TCase *tcase, const TTest *test, int first, int end)
{
  if (runner_.chosen == -2) {
    const char *text = getenv(CHOSEN);
    runner_.chosen = text ? atoi(text) : -1;
  }
  for (int i = first; i < end; i++, runner_.n++) {
    if (runner_.n == TESTS_MAX)
      abort();
    runner_.tests[runner_.n] =
      (struct runner_test){test->file, runner_.tcase, test->name, runner_.seconds};
    if (runner_.n == runner_.chosen)
      (_tcase_add_test)(tcase, test, 0, 0, i, i + 1);
  }
}

#define _tcase_add_test(tcase, test, signal, status, first, end) runner_add(tcase, test, first, end)
#define tcase_create(name) runner_tcase_create(name)

__attribute__((noreturn)) static inline void runner_fail(const char *file, int line,
                                                         const char *expression, ...)
{
  static char text[4096];
  va_list arguments;
  va_start(arguments, expression);
  const char *format = va_arg(arguments, const char *);
  int n = snprintf(text, sizeof text, "%s:%d: ", file, line);
  if (format)
    vsnprintf(text + n, sizeof text - (size_t)n, format, arguments);
  else
    snprintf(text + n, sizeof text - (size_t)n, "%s", expression);
  report_text(text);
  va_end(arguments);
  _exit(1);
}

#define _ck_assert_failed runner_fail

/* What a process that has ended wrote, and its status; -1: it was ended, because it hung. */
static inline int runner_start(int number, int seconds, char *output, size_t size)
{
  char program[MAX_PATH], value[16];
  SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
  STARTUPINFOA startup = {.cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES};
  PROCESS_INFORMATION process;
  char folder[MAX_PATH], path[MAX_PATH];
  GetModuleFileNameA(NULL, program, sizeof program);
  GetTempPathA(sizeof folder, folder);
  if (!GetTempFileNameA(folder, "ilk", 0, path))
    return -1;
  HANDLE file =
    CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited,
                CREATE_ALWAYS, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
  snprintf(value, sizeof value, "%d", number);
  SetEnvironmentVariableA(CHOSEN, value);
  startup.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
  startup.hStdOutput = startup.hStdError = file;
  DWORD status = 1, n = 0;
  bool started = false;
  for (int i = 0; i < 20 && !started; i++) { /* Wine on a busy machine refuses now and then */
    Sleep(i ? 500 : 0);
    started = CreateProcessA(program, NULL, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &process);
  }
  if (!started) {
    snprintf(output, size, "CreateProcess() failed: %lu", GetLastError());
  } else {
    bool hangs = WaitForSingleObject(process.hProcess, (DWORD)seconds * 1000) != WAIT_OBJECT_0;
    if (hangs)
      TerminateProcess(process.hProcess, 1);
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &status);
    CloseHandle(process.hProcess);
    CloseHandle(process.hThread);
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    ReadFile(file, output, (DWORD)size - 1, &n, NULL);
    output[n] = 0;
    status = hangs ? (DWORD)-1 : status;
  }
  CloseHandle(file);
  return (int)status;
}

/* Lines after the first as comments of TAP. */
static inline void runner_print(const char *text)
{
  for (; *text; text++) {
    putchar(*text);
    if (*text == '\n' && text[1])
      fputs("# ", stdout);
  }
}

/* The last line, without its end. */
static inline const char *last_line(char *text)
{
  char *end = text + strlen(text);
  while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
    *--end = 0;
  while (end > text && end[-1] != '\n')
    end--;
  return end;
}

static inline int runner_run(Suite *suite)
{
  static char output[1 << 16];
  SetErrorMode(SEM_FAILCRITICALERRORS |
               SEM_NOGPFAULTERRORBOX); /* no windows that wait for a user */
  _setmode(1, _O_BINARY);
  _setmode(2, _O_BINARY);
  if (runner_.chosen >= 0) {
    report_open();
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int n = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    fflush(NULL);
    return failed || n != 1;
  }
  const char *only = getenv("CK_RUN_CASE");
  int failures = 0, number = 0;
  for (int i = 0; i < runner_.n; i++)
    number += !only || !strcmp(only, runner_.tests[i].tcase);
  printf("1..%d\n", number);
  number = 0;
  for (int i = 0; i < runner_.n; i++) {
    const struct runner_test *t = &runner_.tests[i];
    if (only && strcmp(only, t->tcase) != 0)
      continue;
    int status = runner_start(i, t->seconds, output, sizeof output);
    bool good = status == 0 || status == SKIPPED;
    const char *slash = strrchr(t->file, '/');
    printf("%s %d - %s:%s:%s", good ? "ok" : "not ok", ++number, slash ? slash + 1 : t->file,
           t->tcase, t->name);
    if (status == SKIPPED)
      printf(" # SKIP %s\n", last_line(output));
    else if (status == 0)
      puts("");
    else {
      printf(": %s%x\n# ", status == -1 ? "hangs " : "status ", (unsigned)status);
      last_line(output);
      runner_print(output);
      puts("");
    }
    fflush(stdout);
    failures += !good;
  }
  return failures != 0;
}

#endif
