#include <absl/synchronization/mutex.h>

#include "loops.h"

static void *mutex_make(const struct cell *)
{
  return new absl::Mutex;
}

static inline void mutex_lock(void *m)
{
  static_cast<absl::Mutex *>(m)->Lock();
}

static inline void mutex_unlock(void *m)
{
  static_cast<absl::Mutex *>(m)->Unlock();
}

static void mutex_unmake(void *m)
{
  delete static_cast<absl::Mutex *>(m);
}

LOCK_PEER(mutex, "absl::Mutex", PARKS, sizeof(absl::Mutex));

#define rw_make mutex_make
#define rw_write_lock mutex_lock
#define rw_write_unlock mutex_unlock
#define rw_unmake mutex_unmake

static inline void rw_read_lock(void *m)
{
  static_cast<absl::Mutex *>(m)->ReaderLock();
}

static inline void rw_read_unlock(void *m)
{
  static_cast<absl::Mutex *>(m)->ReaderUnlock();
}

RWLOCK_PEER(rw, "absl::Mutex", PARKS, sizeof(absl::Mutex));

struct broadcast {
  absl::Mutex mutex;
  absl::CondVar side[2];
};

static void *broadcasts_make(const struct cell *)
{
  return new broadcast;
}

static inline void broadcasts_lock(void *p)
{
  static_cast<broadcast *>(p)->mutex.Lock();
}

static inline void broadcasts_unlock(void *p)
{
  static_cast<broadcast *>(p)->mutex.Unlock();
}

static inline void broadcasts_wait(void *p, int side)
{
  auto b = static_cast<broadcast *>(p);
  b->side[side].Wait(&b->mutex);
}

static inline void broadcasts_wake_all(void *p, int side)
{
  static_cast<broadcast *>(p)->side[side].SignalAll();
}

static void broadcasts_unmake(void *p)
{
  delete static_cast<broadcast *>(p);
}

BROADCAST_PEER(broadcasts, "absl::CondVar", PARKS, sizeof(broadcast));

extern "C" const struct peer *const absl_peers[] = {&mutex, &rw, &broadcasts, nullptr};
