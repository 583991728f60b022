/* Queue: a ring (queue_ring.h) and two event counts whose wakers claim waiters (claims.h). Threads
   wait on one until the queue is not full, and on the other until it is not empty. The event counts
   are in the object's slot, which no put or get writes while no thread waits. A waiter registers
   and then checks the ring. The change that it waits for is that a put claims a position, or that a
   get takes an item; the thread that made it checks for waiters at the end of its call. That is I2
   of the ring, so no fence is needed. Checked by test/models/queue.pml.

   A get may find the put of the oldest item between its two steps, a few instructions apart. Then
   it retries a few times. If the put has still not continued, its thread does not run. A try then
   returns ILK_EBUSY, and a wait polls (backoff.h): the put wakes a get only at its end, and perhaps
   another one.

   Invariants:
   I1  A thread sleeps without polling only if it saw the queue empty (full) after it registered. So
       each later put (get) wakes one, unless all that sleep are about to be woken by earlier ones
       (I3 of claims.h).
   I2  A woken thread sleeps again only if it registers anew and sees the queue empty (full) again.
       So no item is left while a get sleeps, unless a wake for it is about to be made.
   I3  A polling get may have consumed the wake for an item behind the unfinished one. So it wakes
       another get if it abandons its wait. It sleeps on a word of its own, where it consumes no
       further wakes. */
#include "kinds.h"

#include <inttypes.h>
#include <stdio.h>

#include "backoff.h"
#include "block.h"
#include "handle.h"
#include "claims.h"
#include "repeated.h"
#include "queue_ring.h"
#include "spin.h"

/* The two directions through a queue. */
enum way { PUT, GET };

struct queue {
  struct object object;     /* its `waiters` counts both sides; its `epoch` is not used */
  struct claims waiting[2]; /* for PUT: until the queue is not full; for GET: not empty */
  struct ring ring;
};
_Static_assert(sizeof(struct queue) <= CACHE_LINE, "an object fills one cache line");

void *ilk_queue_new(int64_t capacity)
{
  if (capacity < 1)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct queue *q = (struct queue *)handle_reserve(KIND_QUEUE, &handle);
  if (q && ring_new(&q->ring, (uint64_t)capacity))
    return handle_publish(&q->object, handle, 0);
  if (q)
    handle_recycle(handle);
  return fail_null(ILK_ENOMEM);
}

int ilk_queue_free(void *queue)
{
  int result = handle_close(queue, KIND_QUEUE);
  if (result != ILK_OK)
    return fail(result);
  ring_free(&((struct queue *)handle_object(queue))->ring);
  handle_recycle(queue);
  return ILK_OK;
}

/* --- put and get --------------------------------------------------------------------- */

/* Retries for a while if the oldest item's put is between its two steps. */
static int attempt(struct queue *q, enum way way, int64_t *item)
{
  for (int spin = 0;; spin++) {
    int result = way == PUT ? ring_put(&q->ring, *item) : ring_get(&q->ring, item);
    if (result != RING_UNFINISHED || spin == SPINS)
      return result;
    cpu_relax();
  }
}

static inline bool must_wait(int result)
{
  return result == ILK_EBUSY || result == RING_UNFINISHED;
}

/* Yields or sleeps for a short time. Returns what ended the wait, like block(). */
static int poll(const struct call *c, struct backoff *backoff, int64_t deadline)
{
  int64_t ns = backoff_next(backoff);
  if (!ns) {
    os_yield();
    return ILK_OK;
  }
  atomic_u32 own = 0; /* I3 */
  int64_t until = clock_now() + ns;
  bool ends = until >= deadline;
  int result = block(c->me, c->handle, 0, &own, 0, ends ? deadline : until, ends ? 0 : BLOCK_PART);
  return result == ILK_ETIMEDOUT && !ends ? ILK_OK : result;
}

/* As block_until(), on the event count of one side. */
static int wait(const struct call *c, enum way way, int64_t *item, int64_t timeout_ns)
{
  struct queue *q = (struct queue *)c->object;
  struct claims *side = &q->waiting[way];
  int64_t deadline = clock_deadline(timeout_ns);
  struct backoff backoff = {0};
  int flags = repeated_flags(c->me, &side->epoch), result = ILK_OK, done;
  block_prepare_wait(&q->object);
  for (;;) {
    uint32_t epoch = claims_enter(side);
    done = attempt(q, way, item);
    bool ends = !must_wait(done) || result != ILK_OK;
    if (!ends && done == ILK_EBUSY)
      result = block(c->me, c->handle, 0, &side->epoch, epoch, deadline, flags);
    claims_leave(side);
    if (ends)
      break;
    if (done == RING_UNFINISHED)
      result = poll(c, &backoff, deadline);
  }
  if (done == RING_UNFINISHED && claims_are_waiting(side)) /* I3 */
    claims_wake(side);
  block_finish_wait(&q->object);
  result = must_wait(done) ? result : done;
  repeated_end(c->me, &side->epoch, result);
  return result;
}

/* If a queue with space for so many items is full, the gets have work for a while. So a put that
   waits rechecks as rarely as for a lock (spin_begin_lock()). Otherwise puts and gets would
   alternate at one slot, and its cache line would move for each item. */
#define MANY 16

/* The queue is full (empty), or the oldest item's put is between its two steps. Spins while no
   other thread waits on this side, then yields, then waits. A call with a time-out does not yield:
   a yield may last longer. Returns the result of the call. */
static int spin_and_wait(const struct call *c, enum way way, int64_t *item, int64_t timeout_ns)
{
  struct queue *q = (struct queue *)c->object;
  bool rarely = way == PUT && q->ring.capacity >= MANY;
  struct spin spin = rarely ? spin_begin_lock(c->me) : spin_begin(c->me);
  int result;
  do
    result = attempt(q, way, item);
  while (result == ILK_EBUSY && !(load_relaxed(&q->waiting[way].waiters) & UNCLAIMED) &&
         spin_again(&spin));
  if (!must_wait(result))
    spin_won(&spin);
  const atomic_u64 *steps = way == PUT ? &q->ring.slots->head : &q->ring.slots->tail;
  while (result == ILK_EBUSY && timeout_ns < 0 && spin_yield(&spin, steps))
    result = attempt(q, way, item);
  return must_wait(result) ? wait(c, way, item, timeout_ns) : result;
}

/* Called pinned; unpins at its end. */
static int pass(const struct call *c, enum way way, int64_t *item, int64_t timeout_ns)
{
  struct queue *q = (struct queue *)c->object;
  int result = attempt(q, way, item);
  if (must_wait(result))
    result = timeout_ns == 0 ? ILK_ETIMEDOUT : spin_and_wait(c, way, item, timeout_ns);
  struct claims *other = &q->waiting[way == PUT ? GET : PUT];
  if (result == ILK_OK && claims_are_waiting(other))
    claims_wake(other);
  call_end_wait(c);
  return result;
}

static __attribute__((noinline)) int put_slow(void *handle, int64_t item, int64_t timeout_ns)
{
  struct call c;
  int begun = call_begin_timed(&c, handle, KIND_QUEUE, timeout_ns);
  return begun != ILK_OK ? begun : pass(&c, PUT, &item, timeout_ns);
}

static __attribute__((noinline)) int get_slow(void *handle, void *item, int64_t timeout_ns)
{
  struct call c;
  int begun = call_begin_timed(&c, handle, KIND_QUEUE, timeout_ns);
  if (begun != ILK_OK)
    return begun;
  if (!item || (uintptr_t)item % sizeof(int64_t) != 0) {
    call_end(&c);
    return ILK_EINVAL;
  }
  return pass(&c, GET, item, timeout_ns);
}

/* --- the fast paths: one attempt. They make no calls, so their values stay in registers --- */

/* NULL: nothing is pinned, or the pin is set again by the slow path. */
static inline struct queue *pin_fast(struct thread *me, void *handle)
{
  return likely(me) ? (struct queue *)handle_enter_fast(me, PIN_INNER, handle, KIND_QUEUE) : NULL;
}

static __attribute__((noinline)) int wake_and_leave(struct thread *me, struct claims *other)
{
  claims_wake(other);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

/* The end of a put or get that has succeeded: wakes one thread that waits for it, and unpins. */
static inline int leave(struct thread *me, struct claims *other)
{
  if (unlikely(claims_are_waiting(other)))
    return wake_and_leave(me, other);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

/* The result of a call; a try passes a timeout of 0. */
static inline int put(void *handle, int64_t item, int64_t timeout_ns)
{
  struct thread *me = thread_current;
  struct queue *q = pin_fast(me, handle);
  if (unlikely(!q || !ring_put_fast(&q->ring, item)))
    return put_slow(handle, item, timeout_ns);
  return leave(me, &q->waiting[GET]);
}

static inline int get(void *handle, void *item, int64_t timeout_ns)
{
  if (unlikely(!item || (uintptr_t)item % sizeof(int64_t) != 0))
    return get_slow(handle, item, timeout_ns);
  struct thread *me = thread_current;
  struct queue *q = pin_fast(me, handle);
  if (unlikely(!q || !ring_get_fast(&q->ring, item)))
    return get_slow(handle, item, timeout_ns);
  return leave(me, &q->waiting[PUT]);
}

int ilk_queue_put(void *queue, int64_t item)
{
  return return_code(put(queue, item, -1));
}

int ilk_queue_tryput(void *queue, int64_t item)
{
  return try_code(put(queue, item, 0));
}

int ilk_queue_timedput(void *queue, int64_t item, int64_t timeout_ns)
{
  return return_code(put(queue, item, timeout_ns));
}

int ilk_queue_get(void *queue, void *item)
{
  return return_code(get(queue, item, -1));
}

int ilk_queue_tryget(void *queue, void *item)
{
  return try_code(get(queue, item, 0));
}

int ilk_queue_timedget(void *queue, void *item, int64_t timeout_ns)
{
  return return_code(get(queue, item, timeout_ns));
}

/* --- the rest -------------------------------------------------------------------------- */

int ilk_queue_close(void *queue)
{
  struct call c;
  int begun = call_begin(&c, queue, KIND_QUEUE);
  if (begun != ILK_OK)
    return fail(begun);
  struct queue *q = (struct queue *)c.object;
  ring_close(&q->ring); /* seq_cst, as when a put claims: before the new epochs */
  claims_wake_all(&q->waiting[PUT]);
  claims_wake_all(&q->waiting[GET]);
  call_end(&c);
  return ILK_OK;
}

int ilk_queue_is_closed(void *queue)
{
  struct call c;
  int begun = call_begin(&c, queue, KIND_QUEUE);
  if (begun != ILK_OK)
    return fail(begun);
  struct queue *q = (struct queue *)c.object;
  bool closed = ring_is_closed(&q->ring);
  call_end(&c);
  return closed;
}

int64_t ilk_queue_size(void *queue)
{
  struct call c;
  int begun = call_begin(&c, queue, KIND_QUEUE);
  if (begun != ILK_OK)
    return fail_value(begun);
  struct queue *q = (struct queue *)c.object;
  int64_t size = (int64_t)ring_size(&q->ring);
  call_end(&c);
  return size;
}

static void describe(struct object *object, char *text, size_t size)
{
  struct queue *q = (struct queue *)object;
  snprintf(text, size, "%" PRIu64 " of %" PRIu64 " items%s", ring_size(&q->ring), q->ring.capacity,
           ring_is_closed(&q->ring) ? ", closed" : "");
}

static void after_fork(struct object *object)
{
  struct queue *q = (struct queue *)object;
  for (int way = PUT; way <= GET; way++)
    update_relaxed(&q->waiting[way].waiters, 0);
  ring_after_fork(&q->ring);
}

const struct kind_operations queue_operations = {
  .name = "queue",
  .describe = describe,
  .after_fork = after_fork,
};
