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

extern "C" const struct peer *const absl_peers[] = {&mutex, &rw, nullptr};
