/* Queue: a ring (queue_ring.h), and two event counts (see block.h), one for those who wait
   until it is not full, one for those until it is not empty. They are in the slot, where no
   put or get writes as long as nobody waits. Who waits announces itself and then looks; the
   change that it waits for is a claim, and who made one looks for announcements once its
   step is done: the ring's I2, so there is no need of a fence.

   A put or get that meets another's claim which is not carried out waits for that step, a
   few instructions away.

   Invariants:
   I1  Who sleeps saw the queue empty (full) after its announcement and after it read the turn
       of the event count, so each later put (get) sees the announcement and wakes one.
   I2  A woken thread sleeps again only if it sees the queue empty (full) again. So at any
       time since the queue was last empty, no item is left while a get sleeps: each came
       with a wake, and each wake found a sleeper who takes one, or that nobody slept. */
#include "queue.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>

#include "block.h"
#include "gil.h"
#include "queue_ring.h"
#include "spin.h"

#define SPINS 40 /* looks before others may run */

/* Those who wait until the queue is not full, or not empty. */
struct side {
  atomic_u32 waiters, turn;
};

struct queue {
  struct object object; /* its `waiters` counts both sides'; its `turn` is not used */
  struct side putters, getters;
  struct ring ring;
};
_Static_assert(sizeof(struct queue) <= CACHE_LINE, "an object fills one cache line");

void *ilk_queue_new(int64_t capacity)
{
  if (capacity < 1)
    return fail_null(ILK_EINVAL);
  struct ring ring;
  if (!ring_new(&ring, (uint64_t)capacity))
    return fail_null(ILK_ENOMEM);
  void *handle;
  struct queue *q = (struct queue *)handle_reserve(KIND_QUEUE, &handle);
  if (!q) {
    ring_free(&ring);
    return fail_null(ILK_ENOMEM);
  }
  q->ring = ring;
  return handle_publish(&q->object, handle, 0);
}

int ilk_queue_free(void *queue)
{
  int result = handle_close(queue, KIND_QUEUE, NULL);
  if (result != ILK_OK)
    return fail(result);
  ring_free(&((struct queue *)handle_object(queue))->ring);
  handle_recycle(queue, true);
  return ILK_OK;
}

/* --- put and get --------------------------------------------------------------------- */

/* The two ways through a queue, as constants of inlined functions. */
enum way { PUT, GET };

/* An attempt that waits for the step that another is about to make. */
static inline int attempt(struct queue *q, enum way way, int64_t *item)
{
  for (int spin = 0;; spin++) {
    int result = way == PUT ? ring_put(&q->ring, *item) : ring_get(&q->ring, item);
    if (likely(result != RING_UNFINISHED))
      return result;
    if (spin < SPINS)
      cpu_relax();
    else
      sched_yield();
  }
}

static inline struct side *own_side(struct queue *q, enum way way)
{
  return way == PUT ? &q->putters : &q->getters;
}

static inline struct side *other_side(struct queue *q, enum way way)
{
  return way == PUT ? &q->getters : &q->putters;
}

COLD static void side_wake(struct side *side, int n)
{
  add_seq_cst(&side->turn, 1);
  wait_wake(&side->turn, n, false);
}

static int wait(struct queue *q, enum way way, void *handle, struct self *me, int64_t *item, int64_t timeout_ns)
{
  struct side *side = own_side(q, way);
  int64_t deadline = clock_deadline(timeout_ns);
  int result = ILK_OK, done;
  block_announce(&q->object);
  add_seq_cst(&side->waiters, 1);
  for (;;) {
    uint32_t turn = load_seq_cst(&side->turn);
    done = attempt(q, way, item);
    if (done != ILK_EBUSY || result != ILK_OK)
      break;
    result = block(me, handle, 0, &side->turn, turn, deadline, 0);
  }
  sub_seq_cst(&side->waiters, 1);
  block_withdraw(&q->object);
  return done != ILK_EBUSY ? done : result;
}

/* The end of a put or get: wakes one that waits for it, and unpins. */
static inline int leave(struct queue *q, enum way way, struct self *me, int result)
{
  if (likely(result == ILK_OK) && unlikely(load_seq_cst(&other_side(q, way)->waiters)))
    side_wake(other_side(q, way), 1);
  handle_leave(me, PIN_INNER);
  return result;
}

/* The queue was full (empty). */
static __attribute__((noinline)) int pass_slow(struct queue *q, enum way way, void *handle, struct self *me,
                                               int64_t *item, int64_t timeout_ns)
{
  int result = ILK_EBUSY;
  struct spin spin = spin_begin(me);
  while (result == ILK_EBUSY && !load_relaxed(&own_side(q, way)->waiters) && spin_again(&spin))
    result = attempt(q, way, item);
  if (result != ILK_EBUSY)
    spin_won(&spin);
  else
    result = wait(q, way, handle, me, item, timeout_ns);
  leave(q, way, me, result);
  gil_reacquire(me);
  return result;
}

/* Pinned, and unpinned at its end. */
static inline int pass(struct queue *q, enum way way, void *handle, struct self *me, int64_t *item,
                       int64_t timeout_ns)
{
  int result = attempt(q, way, item);
  if (unlikely(result == ILK_EBUSY)) {
    if (timeout_ns != 0)
      return pass_slow(q, way, handle, me, item, timeout_ns);
    result = ILK_ETIMEDOUT;
  }
  return leave(q, way, me, result);
}

/* The answer of a call; a try's is for pass() with no time. */
static inline int put(void *handle, int64_t item, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (unlikely(!me))
    return ILK_ENOMEM;
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, handle, KIND_QUEUE);
  if (unlikely(!q))
    return ILK_EHANDLE;
  return pass(q, PUT, handle, me, &item, timeout_ns);
}

static inline int get(void *handle, void *item, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (unlikely(!me))
    return ILK_ENOMEM;
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, handle, KIND_QUEUE);
  if (unlikely(!q))
    return ILK_EHANDLE;
  if (unlikely(!item || (uintptr_t)item % sizeof(int64_t) != 0)) {
    handle_leave(me, PIN_INNER);
    return ILK_EINVAL;
  }
  return pass(q, GET, handle, me, item, timeout_ns);
}

static int answer_try(int result)
{
  return answer(result == ILK_ETIMEDOUT ? ILK_EBUSY : result);
}

int ilk_queue_put(void *queue, int64_t item)
{
  return answer(put(queue, item, -1));
}

int ilk_queue_tryput(void *queue, int64_t item)
{
  return answer_try(put(queue, item, 0));
}

int ilk_queue_timedput(void *queue, int64_t item, int64_t timeout_ns)
{
  return answer(put(queue, item, timeout_ns));
}

int ilk_queue_get(void *queue, void *item)
{
  return answer(get(queue, item, -1));
}

int ilk_queue_tryget(void *queue, void *item)
{
  return answer_try(get(queue, item, 0));
}

int ilk_queue_timedget(void *queue, void *item, int64_t timeout_ns)
{
  return answer(get(queue, item, timeout_ns));
}

/* --- the rest -------------------------------------------------------------------------- */

int ilk_queue_close(void *queue)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, queue, KIND_QUEUE);
  if (!q)
    return fail(ILK_EHANDLE);
  ring_close(&q->ring); /* seq_cst, as a claim is: before the look at waiters */
  struct side *sides[] = {&q->putters, &q->getters};
  for (int i = 0; i < 2; i++)
    if (load_seq_cst(&sides[i]->waiters))
      side_wake(sides[i], INT_MAX);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

int ilk_queue_is_closed(void *queue)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, queue, KIND_QUEUE);
  if (!q)
    return fail(ILK_EHANDLE);
  bool closed = ring_is_closed(&q->ring);
  handle_leave(me, PIN_INNER);
  return closed;
}

int64_t ilk_queue_size(void *queue)
{
  struct self *me = self_get();
  if (!me)
    return fail_value(ILK_ENOMEM);
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, queue, KIND_QUEUE);
  if (!q)
    return fail_value(ILK_EHANDLE);
  int64_t size = (int64_t)ring_size(&q->ring);
  handle_leave(me, PIN_INNER);
  return size;
}

/* The object is live: the table is locked, or it is pinned. */
static void describe(void *handle, struct object *object, char *text, size_t size)
{
  (void)handle;
  struct queue *q = (struct queue *)object;
  if (load_relaxed(&object->head) >> 32 & TAG_CLOSING) { /* its ring may be gone */
    snprintf(text, size, "being freed");
    return;
  }
  snprintf(text, size, "%" PRIu64 " of %" PRIu64 " items%s", ring_size(&q->ring), q->ring.capacity,
           ring_is_closed(&q->ring) ? ", closed" : "");
}

static void after_fork(struct object *object)
{
  struct queue *q = (struct queue *)object;
  for (int i = 0; i < 2; i++)
    update_relaxed(&(i ? &q->getters : &q->putters)->waiters, 0);
  ring_after_fork(&q->ring);
}

const struct kind_operations queue_operations = {
    .name = "queue",
    .describe = describe,
    .after_fork = after_fork,
};
