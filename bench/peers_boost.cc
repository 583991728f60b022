#include <boost/lockfree/queue.hpp>

#include "loops.h"

/* fixed_sized: no more nodes than at the beginning, so that it can be full. */
using queue_type = boost::lockfree::queue<int64_t, boost::lockfree::fixed_sized<true>>;

static void *queue_make(const struct cell *cell)
{
  return new queue_type((size_t)cell->capacity);
}

static inline int queue_tryput(void *p, int64_t item)
{
  return static_cast<queue_type *>(p)->bounded_push(item);
}

static inline int queue_tryget(void *p, int64_t *item)
{
  return static_cast<queue_type *>(p)->pop(*item);
}

static void queue_unmake(void *p)
{
  delete static_cast<queue_type *>(p);
}

TRYQUEUE_PEER(queue, "boost::lockfree::queue", PARKS, 0);

extern "C" const struct peer *const boost_peers[] = {&queue, nullptr};
