#include <nsync.h>
#include <stdlib.h>

#include "loops.h"

static void *mutex_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(sizeof(nsync_mu));
}

static inline void mutex_lock(void *m)
{
  nsync_mu_lock(m);
}

static inline void mutex_unlock(void *m)
{
  nsync_mu_unlock(m);
}

static void mutex_unmake(void *m)
{
  free(m);
}

LOCK_PEER(mutex, "nsync_mu", PARKS, sizeof(nsync_mu));

#define rw_make mutex_make
#define rw_write_lock mutex_lock
#define rw_write_unlock mutex_unlock
#define rw_unmake mutex_unmake

static inline void rw_read_lock(void *m)
{
  nsync_mu_rlock(m);
}

static inline void rw_read_unlock(void *m)
{
  nsync_mu_runlock(m);
}

RWLOCK_PEER(rw, "nsync_mu", PARKS, sizeof(nsync_mu));

/* Its broadcast moves the waiters to the mutex's queue. */
struct broadcast {
  nsync_mu mutex;
  nsync_cv side[2];
};

static void *broadcast_make(const struct cell *cell)
{
  (void)cell;
  return line_alloc(sizeof(struct broadcast));
}

static inline void broadcast_lock(void *p)
{
  nsync_mu_lock(&((struct broadcast *)p)->mutex);
}

static inline void broadcast_unlock(void *p)
{
  nsync_mu_unlock(&((struct broadcast *)p)->mutex);
}

static inline void broadcast_wait(void *p, int side)
{
  struct broadcast *b = p;
  nsync_cv_wait(&b->side[side], &b->mutex);
}

static inline void broadcast_wake_all(void *p, int side)
{
  nsync_cv_broadcast(&((struct broadcast *)p)->side[side]);
}

static void broadcast_unmake(void *p)
{
  free(p);
}

BROADCAST_PEER(broadcast, "nsync_cv", PARKS, sizeof(struct broadcast));

const struct peer *const nsync_peers[] = {&mutex, &rw, &broadcast, NULL};
