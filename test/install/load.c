/* Loads the library of a wheel and uses it, in a program for the wheel's platform: see script/test-release.
       load LIBRARY */
#include <stdint.h>
#include <stdio.h>
#ifdef _WIN32
#include <windows.h>
#define OPEN(path) ((void *)LoadLibraryA(path))
#define SYMBOL(library, name) ((void *)GetProcAddress((HMODULE)library, name))
#define ERROR_TEXT "LoadLibrary fails"
#else
#include <dlfcn.h>
#define OPEN(path) dlopen(path, RTLD_NOW)
#define SYMBOL(library, name) dlsym(library, name)
#define ERROR_TEXT dlerror()
#endif

#define WAIT_NS 20000000 /* of a wait that times out */

typedef int (*of_handle)(void *);

int main(int argc, char **argv)
{
  void *library = argc == 2 ? OPEN(argv[1]) : NULL;
  if (!library) {
    printf("%s\n", ERROR_TEXT);
    return 1;
  }
  int (*version)(void) = (int (*)(void))SYMBOL(library, "ilk_version");
  void *(*mutex_new)(int) = (void *(*)(int))SYMBOL(library, "ilk_mutex_new");
  of_handle lock = (of_handle)SYMBOL(library, "ilk_mutex_lock");
  of_handle unlock = (of_handle)SYMBOL(library, "ilk_mutex_unlock");
  of_handle mutex_free = (of_handle)SYMBOL(library, "ilk_mutex_free");
  void *(*event_new)(int) = (void *(*)(int))SYMBOL(library, "ilk_event_new");
  int (*timedwait)(void *, int64_t) =
    (int (*)(void *, int64_t))SYMBOL(library, "ilk_event_timedwait");
  int64_t (*now)(void) = (int64_t (*)(void))SYMBOL(library, "ilk_clock");

  void *mutex = mutex_new(0), *event = event_new(0);
  int held = lock(mutex), again = lock(mutex), released = unlock(mutex), freed = mutex_free(mutex),
      stale = lock(mutex);
  int64_t begin = now();
  int timed_out = timedwait(event, WAIT_NS);
  int64_t waited = now() - begin;
  printf(
    "version %d, lock %d, second lock %d, unlock %d, free %d, lock of a freed one %d, wait %d after %lld ns\n",
    version(), held, again, released, freed, stale, timed_out, (long long)waited);
  return !(held == 0 && again == -6 && released == 0 && freed == 0 && stale == -3 &&
           timed_out == -1 && waited >= WAIT_NS);
}
