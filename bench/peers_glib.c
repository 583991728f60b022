#include <glib.h>
#include <stdlib.h>

#include "loops.h"

static void *mutex_make(const struct cell *cell)
{
  (void)cell;
  GMutex *m = line_alloc(sizeof *m);
  g_mutex_init(m);
  return m;
}

static inline void mutex_lock(void *m)
{
  g_mutex_lock(m);
}

static inline void mutex_unlock(void *m)
{
  g_mutex_unlock(m);
}

static void mutex_unmake(void *m)
{
  g_mutex_clear(m);
  free(m);
}

LOCK_PEER(mutex, "GMutex", PARKS, sizeof(GMutex));

static void *rw_make(const struct cell *cell)
{
  (void)cell;
  GRWLock *rw = line_alloc(sizeof *rw);
  g_rw_lock_init(rw);
  return rw;
}

static inline void rw_read_lock(void *rw)
{
  g_rw_lock_reader_lock(rw);
}

static inline void rw_read_unlock(void *rw)
{
  g_rw_lock_reader_unlock(rw);
}

static inline void rw_write_lock(void *rw)
{
  g_rw_lock_writer_lock(rw);
}

static inline void rw_write_unlock(void *rw)
{
  g_rw_lock_writer_unlock(rw);
}

static void rw_unmake(void *rw)
{
  g_rw_lock_clear(rw);
  free(rw);
}

RWLOCK_PEER(rw, "GRWLock", PARKS, sizeof(GRWLock));

const struct peer *const glib_peers[] = {&mutex, &rw, NULL};
