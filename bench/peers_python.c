/* CPython's own locks, from the libpythons that ILK_BENCH_LIBPYTHON names (paths with
   colons between), else from the first that the loader finds. They need no interpreter. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loops.h"

static void *(*allocate)(void);
static void (*deallocate)(void *);
static int (*acquire)(void *, int);
static void (*release)(void *);
static void (*mutex_acquire)(void *);
static void (*mutex_release)(void *);

static void look_into(const char *path)
{
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return;
  if (!allocate) {
    *(void **)&deallocate = dlsym(library, "PyThread_free_lock");
    *(void **)&acquire = dlsym(library, "PyThread_acquire_lock");
    *(void **)&release = dlsym(library, "PyThread_release_lock");
    *(void **)&allocate = dlsym(library, "PyThread_allocate_lock");
  }
  if (!mutex_acquire) { /* since 3.13 */
    *(void **)&mutex_release = dlsym(library, "PyMutex_Unlock");
    *(void **)&mutex_acquire = dlsym(library, "PyMutex_Lock");
  }
}

static void look(void)
{
  static bool done;
  if (done)
    return;
  done = true;
  const char *named = getenv("ILK_BENCH_LIBPYTHON");
  if (named && *named) {
    char *paths = strdup(named), *rest = paths;
    for (char *path; (path = strsep(&rest, ":"));)
      look_into(path);
    free(paths);
  }
  for (int minor = 19; minor >= 9 && !allocate; minor--) {
    char name[64];
    snprintf(name, sizeof name, "libpython3.%d.so.1.0", minor);
    look_into(name);
  }
}

static void *thread_make(const struct cell *cell)
{
  (void)cell;
  look();
  return allocate ? allocate() : NULL;
}

static inline void thread_lock(void *l)
{
  acquire(l, 1);
}

static inline void thread_unlock(void *l)
{
  release(l);
}

static void thread_unmake(void *l)
{
  deallocate(l);
}

LOCK_PEER(thread, "PyThread_acquire_lock", PARKS, 0);

static void *mutex_make(const struct cell *cell)
{
  (void)cell;
  look();
  return mutex_acquire ? line_alloc(1) : NULL;
}

static inline void mutex_lock(void *m)
{
  mutex_acquire(m);
}

static inline void mutex_unlock(void *m)
{
  mutex_release(m);
}

static void mutex_unmake(void *m)
{
  free(m);
}

LOCK_PEER(mutex, "PyMutex", PARKS, 1);

const struct peer *const python_peers[] = {&thread, &mutex, NULL};
