#include <tbb/concurrent_queue.h>
#include <tbb/queuing_mutex.h>
#include <tbb/spin_mutex.h>
#include <tbb/spin_rw_mutex.h>

#include "loops.h"

/* A lock and the harness's own way of placing it: one to a line. */
template <class T> struct alignas(LINE) lined {
  T value;
};

template <class T> static void *make(const struct cell *)
{
  return new lined<T>;
}

template <class T> static void unmake(void *p)
{
  delete static_cast<lined<T> *>(p);
}

template <class T> static inline T &at(void *p)
{
  return static_cast<lined<T> *>(p)->value;
}

#define spin_make make<tbb::spin_mutex>
#define spin_unmake unmake<tbb::spin_mutex>

static inline void spin_lock(void *p)
{
  at<tbb::spin_mutex>(p).lock();
}

static inline void spin_unlock(void *p)
{
  at<tbb::spin_mutex>(p).unlock();
}

LOCK_PEER(spin, "tbb::spin_mutex", 0, sizeof(tbb::spin_mutex));

#define queuing_make make<tbb::queuing_mutex>
#define queuing_unmake unmake<tbb::queuing_mutex>

/* A thread holds one at a time here, so one place in the queue will do. */
static thread_local tbb::queuing_mutex::scoped_lock place;

static inline void queuing_lock(void *p)
{
  place.acquire(at<tbb::queuing_mutex>(p));
}

static inline void queuing_unlock(void *)
{
  place.release();
}

LOCK_PEER(queuing, "tbb::queuing_mutex", 0, sizeof(tbb::queuing_mutex));

#define rw_make make<tbb::spin_rw_mutex>
#define rw_unmake unmake<tbb::spin_rw_mutex>

static inline void rw_read_lock(void *p)
{
  at<tbb::spin_rw_mutex>(p).lock_shared();
}

static inline void rw_read_unlock(void *p)
{
  at<tbb::spin_rw_mutex>(p).unlock_shared();
}

static inline void rw_write_lock(void *p)
{
  at<tbb::spin_rw_mutex>(p).lock();
}

static inline void rw_write_unlock(void *p)
{
  at<tbb::spin_rw_mutex>(p).unlock();
}

RWLOCK_PEER(rw, "tbb::spin_rw_mutex", 0, sizeof(tbb::spin_rw_mutex));

using bounded = tbb::concurrent_bounded_queue<int64_t>;

static void *queue_make(const struct cell *cell)
{
  auto *queue = new bounded;
  queue->set_capacity(cell->capacity);
  return queue;
}

static inline void queue_put(void *p, int64_t item)
{
  static_cast<bounded *>(p)->push(item);
}

static inline int64_t queue_get(void *p)
{
  int64_t item = 0;
  static_cast<bounded *>(p)->pop(item);
  return item;
}

static inline int queue_tryput(void *p, int64_t item)
{
  return static_cast<bounded *>(p)->try_push(item);
}

static inline int queue_tryget(void *p, int64_t *item)
{
  return static_cast<bounded *>(p)->try_pop(*item);
}

static void queue_unmake(void *p)
{
  delete static_cast<bounded *>(p);
}

#define tryqueue_make queue_make
#define tryqueue_tryput queue_tryput
#define tryqueue_tryget queue_tryget
#define tryqueue_unmake queue_unmake

QUEUE_PEER(queue, "tbb::concurrent_bounded_queue", PARKS, 0);
TRYQUEUE_PEER(tryqueue, "tbb::concurrent_bounded_queue", PARKS, 0);

extern "C" const struct peer *const tbb_peers[] = {&spin,  &queuing,  &rw,
                                                   &queue, &tryqueue, nullptr};
