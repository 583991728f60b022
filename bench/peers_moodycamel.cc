#include <concurrentqueue/blockingconcurrentqueue.h>
#include <concurrentqueue/lightweightsemaphore.h>

#include "loops.h"

using semaphore_type = moodycamel::LightweightSemaphore;
using queue_type = moodycamel::BlockingConcurrentQueue<int64_t>;

/* --- semaphore ------------------------------------------------------------------------ */

struct alignas(LINE) gate {
  explicit gate(int initial) : semaphore(initial)
  {
  }
  semaphore_type semaphore;
};

static void *semaphore_make(const struct cell *)
{
  return new gate(1);
}

static inline void semaphore_lock(void *p)
{
  static_cast<gate *>(p)->semaphore.wait();
}

static inline void semaphore_unlock(void *p)
{
  static_cast<gate *>(p)->semaphore.signal();
}

static void semaphore_unmake(void *p)
{
  delete static_cast<gate *>(p);
}

SEMAPHORE_PEER(semaphore, "moodycamel LightweightSemaphore", PARKS, sizeof(semaphore_type));

/* --- hand-over ---------------------------------------------------------------------------- */

static void *gates_make(const struct cell *)
{
  return new gate[2]{gate(0), gate(0)};
}

static inline void gates_give(void *p, int to)
{
  static_cast<gate *>(p)[to].semaphore.signal();
}

static inline void gates_take(void *p, int me)
{
  static_cast<gate *>(p)[me].semaphore.wait();
}

static void gates_unmake(void *p)
{
  delete[] static_cast<gate *>(p);
}

HANDOVER_PEER(gates, "moodycamel LightweightSemaphore", PARKS, 2 * sizeof(gate));

/* --- queue: without a bound, and items of different producers in no order
   ---------------------- */

static void *queue_make(const struct cell *cell)
{
  return new queue_type((size_t)cell->capacity);
}

static inline void queue_put(void *p, int64_t item)
{
  static_cast<queue_type *>(p)->enqueue(item);
}

static inline int64_t queue_get(void *p)
{
  int64_t item = 0;
  static_cast<queue_type *>(p)->wait_dequeue(item);
  return item;
}

static void queue_unmake(void *p)
{
  delete static_cast<queue_type *>(p);
}

QUEUE_PEER(queue, "moodycamel, without a bound", PARKS | WEAKER, 0);

using plain_type = moodycamel::ConcurrentQueue<int64_t>;

/* A producer has blocks of its own, so the capacity is at the least what is asked for. */
static void *plain_make(const struct cell *cell)
{
  return new plain_type((size_t)cell->capacity, 0, (size_t)(cell->threads + 1) / 2);
}

static inline int plain_tryput(void *p, int64_t item)
{
  return static_cast<plain_type *>(p)->try_enqueue(item);
}

static inline int plain_tryget(void *p, int64_t *item)
{
  return static_cast<plain_type *>(p)->try_dequeue(*item);
}

static void plain_unmake(void *p)
{
  delete static_cast<plain_type *>(p);
}

TRYQUEUE_PEER(plain, "moodycamel, in no order", PARKS | WEAKER, 0);

extern "C" const struct peer *const moodycamel_peers[] = {&semaphore, &gates, &queue, &plain,
                                                          nullptr};
