/* C++20's standard library. */
#include <atomic>
#include <barrier>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <semaphore>
#include <shared_mutex>

#include "loops.h"

template <class T> struct alignas(LINE) lined {
  template <class... A> explicit lined(A... a) : value(a...)
  {
  }
  T value;
};

template <class T, int... initial> static void *make(const struct cell *)
{
  return new lined<T>(initial...);
}

template <class T> static void unmake(void *p)
{
  delete static_cast<lined<T> *>(p);
}

template <class T> static inline T &at(void *p)
{
  return static_cast<lined<T> *>(p)->value;
}

/* --- readers-writer lock ------------------------------------------------------------- */

#define rw_make make<std::shared_mutex>
#define rw_unmake unmake<std::shared_mutex>

static inline void rw_read_lock(void *p)
{
  at<std::shared_mutex>(p).lock_shared();
}

static inline void rw_read_unlock(void *p)
{
  at<std::shared_mutex>(p).unlock_shared();
}

static inline void rw_write_lock(void *p)
{
  at<std::shared_mutex>(p).lock();
}

static inline void rw_write_unlock(void *p)
{
  at<std::shared_mutex>(p).unlock();
}

RWLOCK_PEER(rw, "std::shared_mutex", PARKS, sizeof(std::shared_mutex));

/* --- semaphore --------------------------------------------------------------------------- */

using counting = std::counting_semaphore<>;

#define semaphore_make make<counting, 1>
#define semaphore_unmake unmake<counting>

static inline void semaphore_lock(void *p)
{
  at<counting>(p).acquire();
}

static inline void semaphore_unlock(void *p)
{
  at<counting>(p).release();
}

SEMAPHORE_PEER(semaphore, "std::counting_semaphore", PARKS, sizeof(counting));

/* --- barrier ------------------------------------------------------------------------------- */

static void *barrier_make(const struct cell *cell)
{
  return new lined<std::barrier<>>(cell->threads);
}

#define barrier_unmake unmake<std::barrier<>>

static inline void barrier_wait(void *p)
{
  at<std::barrier<>>(p).arrive_and_wait();
}

BARRIER_PEER(barrier, "std::barrier", PARKS, sizeof(std::barrier<>));

/* --- hand-over ------------------------------------------------------------------------------ */

struct gates {
  gates() : left(0), right(0)
  {
  }
  alignas(LINE) std::binary_semaphore left;
  alignas(LINE) std::binary_semaphore right;
};

#define gate_make make<gates>
#define gate_unmake unmake<gates>

static inline void gate_give(void *p, int to)
{
  (to ? at<gates>(p).right : at<gates>(p).left).release();
}

static inline void gate_take(void *p, int me)
{
  (me ? at<gates>(p).right : at<gates>(p).left).acquire();
}

HANDOVER_PEER(gate, "std::binary_semaphore", PARKS, sizeof(gates));

/* int, which libstdc++ waits for by a futex of its own, without a table of waiters. */
struct flags {
  struct alignas(LINE) {
    std::atomic<int> given{0};
  } side[2];
};

#define flag_make make<flags>
#define flag_unmake unmake<flags>

static inline void flag_give(void *p, int to)
{
  std::atomic<int> &given = at<flags>(p).side[to].given;
  given.store(1, std::memory_order_release);
  given.notify_one();
}

static inline void flag_take(void *p, int me)
{
  std::atomic<int> &given = at<flags>(p).side[me].given;
  given.wait(0, std::memory_order_acquire);
  given.store(0, std::memory_order_relaxed);
}

HANDOVER_PEER(flag, "std::atomic::wait", PARKS, sizeof(flags));

struct turn {
  std::mutex mutex;
  std::condition_variable side[2];
  int now = -1;
};

#define condition_make make<turn>
#define condition_unmake unmake<turn>

static inline void condition_give(void *p, int to)
{
  turn &t = at<turn>(p);
  std::lock_guard<std::mutex> guard(t.mutex);
  t.now = to;
  t.side[to].notify_one();
}

static inline void condition_take(void *p, int me)
{
  turn &t = at<turn>(p);
  std::unique_lock<std::mutex> guard(t.mutex);
  t.side[me].wait(guard, [&] { return t.now == me; });
  t.now = -1;
}

HANDOVER_PEER(condition, "std::condition_variable", PARKS, sizeof(turn));

/* --- creation and destruction ---------------------------------------------------------------- */

static inline void *life_new()
{
  return new std::mutex;
}

static inline void life_free(void *p)
{
  delete static_cast<std::mutex *>(p);
}

static inline void life_lock(void *p)
{
  static_cast<std::mutex *>(p)->lock();
}

static inline void life_unlock(void *p)
{
  static_cast<std::mutex *>(p)->unlock();
}

LIFE_PEER(life, "std::mutex", PARKS);

extern "C" const struct peer *const std_peers[] = {&rw,   &semaphore, &barrier, &gate,
                                                   &flag, &condition, &life,    nullptr};
