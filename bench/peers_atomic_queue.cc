#include <atomic_queue/atomic_queue.h>

#include "loops.h"

/* An element that is 0 is an empty slot, so items are stored one higher. A thread that has won a
   slot spins until the slot's last user is done with it. */
using queue_type = atomic_queue::AtomicQueueB<int64_t>;

static void *queue_make(const struct cell *cell)
{
  return new queue_type((unsigned)cell->capacity);
}

static inline int queue_tryput(void *p, int64_t item)
{
  return static_cast<queue_type *>(p)->try_push(item + 1);
}

static inline int queue_tryget(void *p, int64_t *item)
{
  int64_t element;
  if (!static_cast<queue_type *>(p)->try_pop(element))
    return 0;
  *item = element - 1;
  return 1;
}

static void queue_unmake(void *p)
{
  delete static_cast<queue_type *>(p);
}

TRYQUEUE_PEER(queue, "atomic_queue", PARKS, 0);

extern "C" const struct peer *const atomic_queue_peers[] = {&queue, nullptr};
