/* Queue: a ring of cells. A put or get first claims a position, by compare-and-swap, then
   uses the position's cell, which has a turn that says whose it is: after Dmitry Vyukov's
   bounded MPMC queue, with the turn counted in laps, as in Erik Rigtorp's, so that any
   capacity from 1 on is held exactly.

   A position is lap << index_bits | index, index < capacity; 64 bits of it do not come round.

       tail    the next put's position, and CLOSED
       head    the next get's position; head <= tail <= head + capacity

       tail -> next          a put that found the cell's turn to be its own
       tail -> tail|CLOSED   close; no put can claim from then on
       head -> next          a get that found the cell's turn to be its own

   A cell's turn, all zero at first:

       2 * lap          for the put of that lap; the item is its own from its claim on
       2 * lap + 1      for the get of that lap

       2 * lap -> 2 * lap + 1 -> 2 * (lap + 1)    who claimed the position

   The claim and the turn are two steps. In between, a few instructions, the next in line
   may find a cell whose turn is not its own though the queue is not full (not empty): it
   waits for that step, and answers only what is true. Hence full is head + capacity ==
   tail, at the moment of the look at head, and empty is head == tail.

   Waiting: two event counts (see block.h), one for each side, in the slot, where no put or
   get writes as long as nobody waits. The step of the turn is the change that a waiter
   waits for, and the light side of the fence; who waits announces itself, runs the heavy
   side, and then looks.

   Invariants:
   I1  Between claim and turn, a cell is touched by who claimed it, alone. Turns are
       released and acquired, and carry the item.
   I2  Who sleeps saw the queue empty (full) after its announcement and after it read the turn
       of the event count, so each later put (get) sees the announcement and wakes one.
   I3  A woken thread sleeps again only if it sees the queue empty (full) again. So at any
       time since the queue was last empty, no item is left while a get sleeps: each came
       with a wake, and each wake found a sleeper who takes one, or that nobody slept.
   I4  A get that sees the queue closed and empty knows that it stays so. */
#include "queue.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "block.h"
#include "spin.h"

#define CLOSED (UINT64_C(1) << 63)

/* What attempts answer besides codes: another's claim is not carried out yet. */
#define UNFINISHED 1

#define SPINS 40 /* looks before others may run */

struct place {
  atomic_u64 turn;
  int64_t item;
};

struct ring {
  _Alignas(CACHE_LINE) void *memory; /* as it was allocated */
  atomic_u64 tail;
  _Alignas(CACHE_LINE) atomic_u64 head;
  _Alignas(CACHE_LINE) struct place cells[];
};

/* Those who wait until the queue is not full, or not empty. */
struct side {
  atomic_u32 waiters, turn;
};

struct queue {
  struct object object; /* its `waiters` counts both sides'; its `turn` is not used */
  uint64_t capacity;
  struct ring *ring;
  struct side putters, getters;
  uint32_t index_bits;
};
_Static_assert(sizeof(struct queue) <= CACHE_LINE, "an object fills one cache line");

/* --- making and freeing ---------------------------------------------------------- */

static uint32_t bits_for(uint64_t capacity)
{
  return capacity == 1 ? 0 : 64 - (uint32_t)__builtin_clzll(capacity - 1);
}

/* All zero is right, so memory that is not used yet need not exist. */
static struct ring *new_ring(uint64_t capacity)
{
  size_t most = (SIZE_MAX / 2 - sizeof(struct ring) - CACHE_LINE) / sizeof(struct place);
  if (capacity > most)
    return NULL;
  void *memory = calloc(1, sizeof(struct ring) + (size_t)capacity * sizeof(struct place) + CACHE_LINE - 1);
  if (!memory)
    return NULL;
  struct ring *ring = (struct ring *)(((uintptr_t)memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1));
  ring->memory = memory;
  return ring;
}

void *ilk_queue_new(int64_t capacity)
{
  if (capacity < 1)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct ring *ring = new_ring((uint64_t)capacity);
  struct queue *q = ring ? (struct queue *)handle_reserve(KIND_QUEUE, &handle) : NULL;
  if (!q) {
    free(ring ? ring->memory : NULL);
    return fail_null(ILK_ENOMEM);
  }
  q->capacity = (uint64_t)capacity;
  q->index_bits = bits_for(q->capacity);
  q->ring = ring;
  return handle_publish(&q->object, handle, 0);
}

int ilk_queue_free(void *queue)
{
  int result = handle_close(queue, KIND_QUEUE, NULL);
  if (result != ILK_OK)
    return fail(result);
  free(((struct queue *)handle_object(queue))->ring->memory);
  handle_recycle(queue, true);
  return ILK_OK;
}

/* --- positions --------------------------------------------------------------------- */

static uint64_t index_of(const struct queue *q, uint64_t position)
{
  return position & ((UINT64_C(1) << q->index_bits) - 1);
}

static uint64_t lap_of(const struct queue *q, uint64_t position)
{
  return position >> q->index_bits;
}

static struct place *cell_at(const struct queue *q, uint64_t position)
{
  return &q->ring->cells[index_of(q, position)];
}

static uint64_t next(const struct queue *q, uint64_t position)
{
  return index_of(q, position) + 1 < q->capacity ? position + 1 : (lap_of(q, position) + 1) << q->index_bits;
}

static uint64_t previous(const struct queue *q, uint64_t position)
{
  return index_of(q, position) > 0 ? position - 1
                                   : ((lap_of(q, position) - 1) << q->index_bits) + q->capacity - 1;
}

static uint64_t one_lap(const struct queue *q)
{
  return UINT64_C(1) << q->index_bits;
}

/* Items from the position `head` to `tail`. */
static uint64_t distance(const struct queue *q, uint64_t head, uint64_t tail)
{
  return (lap_of(q, tail) - lap_of(q, head)) * q->capacity + index_of(q, tail) - index_of(q, head);
}

/* --- put and get --------------------------------------------------------------------- */

/* One attempt: ILK_OK; ILK_EBUSY: full; ILK_ECLOSED; UNFINISHED: a get has claimed an item
   and is about to take it. */
static inline int attempt_put(struct queue *q, int64_t *item)
{
  struct ring *ring = q->ring;
  uint64_t tail = load_relaxed(&ring->tail);
  for (;;) {
    if (unlikely(tail & CLOSED))
      return ILK_ECLOSED;
    struct place *cell = cell_at(q, tail);
    uint64_t mine = 2 * lap_of(q, tail);
    if (likely(load_acquire(&cell->turn) == mine)) { /* pairs with the get one lap before */
      /* seq_cst: with the looks for empty and full below. */
      if (!cas_seq_cst(&ring->tail, &tail, next(q, tail)))
        continue;
      cell->item = *item;
      fence_store(&cell->turn, mine + 1); /* Dekker with wait(); pairs with the get */
      return ILK_OK;
    }
    uint64_t head = load_seq_cst(&ring->head), again = load_seq_cst(&ring->tail);
    if (again != tail)
      tail = again;
    else
      return head + one_lap(q) == tail ? ILK_EBUSY : UNFINISHED;
  }
}

/* ILK_OK; ILK_EBUSY: empty; ILK_ECLOSED: empty for ever; UNFINISHED: a put has claimed its
   place and is about to fill it. */
static inline int attempt_get(struct queue *q, int64_t *item)
{
  struct ring *ring = q->ring;
  uint64_t head = load_relaxed(&ring->head);
  for (;;) {
    struct place *cell = cell_at(q, head);
    uint64_t mine = 2 * lap_of(q, head) + 1;
    if (likely(load_acquire(&cell->turn) == mine)) { /* pairs with the put */
      if (!cas_seq_cst(&ring->head, &head, next(q, head)))
        continue;
      *item = cell->item;
      fence_store(&cell->turn, mine + 1); /* Dekker with wait(); pairs with the put one lap on */
      return ILK_OK;
    }
    uint64_t tail = load_seq_cst(&ring->tail), again = load_seq_cst(&ring->head);
    if (again != head)
      head = again;
    else if ((tail & ~CLOSED) != head)
      return UNFINISHED;
    else
      return tail & CLOSED ? ILK_ECLOSED : ILK_EBUSY;
  }
}

/* The two ways through a queue, as constants of inlined functions. */
enum way { PUT, GET };

/* An attempt that waits for the step that another is about to make. */
static inline int attempt(struct queue *q, enum way way, int64_t *item)
{
  for (int spin = 0;; spin++) {
    int result = way == PUT ? attempt_put(q, item) : attempt_get(q, item);
    if (likely(result != UNFINISHED))
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
  fence_heavy(); /* announced, then looks; the other side makes its step, then looks here */
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

static inline int pass(struct queue *q, enum way way, void *handle, struct self *me, int64_t *item,
                       int64_t timeout_ns)
{
  int result = attempt(q, way, item);
  if (unlikely(result == ILK_EBUSY)) {
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    struct spin spin = spin_begin(me);
    while (result == ILK_EBUSY && !load_relaxed(&own_side(q, way)->waiters) && spin_again(&spin))
      result = attempt(q, way, item);
    if (result != ILK_EBUSY)
      spin_won(&spin);
    if (result == ILK_EBUSY)
      result = wait(q, way, handle, me, item, timeout_ns);
  }
  if (likely(result == ILK_OK) && unlikely(fence_load(&other_side(q, way)->waiters)))
    side_wake(other_side(q, way), 1);
  return result;
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
  int result = pass(q, PUT, handle, me, &item, timeout_ns);
  handle_leave(me, PIN_INNER);
  return result;
}

static inline int get(void *handle, void *item, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (unlikely(!me))
    return ILK_ENOMEM;
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, handle, KIND_QUEUE);
  if (unlikely(!q))
    return ILK_EHANDLE;
  bool usable = item && (uintptr_t)item % sizeof(int64_t) == 0;
  int result = usable ? pass(q, GET, handle, me, item, timeout_ns) : ILK_EINVAL;
  handle_leave(me, PIN_INNER);
  return result;
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
  or_seq_cst(&q->ring->tail, CLOSED); /* before the look at waiters; pairs with wait() */
  struct side *sides[] = {&q->putters, &q->getters};
  for (int i = 0; i < 2; i++)
    if (load_seq_cst(&sides[i]->waiters))
      side_wake(sides[i], INT_MAX);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

static uint64_t size_of(struct queue *q)
{
  /* The tail is the same before and after the look at head: so both are of that moment. */
  uint64_t tail = load_seq_cst(&q->ring->tail), head, again;
  while (head = load_seq_cst(&q->ring->head), again = load_seq_cst(&q->ring->tail), again != tail)
    tail = again;
  return distance(q, head, tail & ~CLOSED);
}

int64_t ilk_queue_size(void *queue)
{
  struct self *me = self_get();
  if (!me)
    return fail_value(ILK_ENOMEM);
  struct queue *q = (struct queue *)handle_enter(me, PIN_INNER, queue, KIND_QUEUE);
  if (!q)
    return fail_value(ILK_EHANDLE);
  int64_t size = (int64_t)size_of(q);
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
  snprintf(text, size, "%" PRIu64 " of %" PRIu64 " items%s", size_of(q), q->capacity,
           load_relaxed(&q->ring->tail) & CLOSED ? ", closed" : "");
}

/* The claims that were not carried out never will be. A get's: its item is gone with its
   thread. A put's: its place is a hole; the items before it move up, one place for each
   hole, and the head follows. */
static void after_fork(struct object *object)
{
  struct queue *q = (struct queue *)object;
  struct side none = {0};
  q->putters = q->getters = none;
  uint64_t tail = load_relaxed(&q->ring->tail) & ~CLOSED, head = load_relaxed(&q->ring->head);
  uint64_t first = lap_of(q, tail) ? tail - one_lap(q) : 0, fill = tail;
  for (uint64_t p = tail; p != first;) {
    p = previous(q, p);
    struct place *cell = cell_at(q, p);
    uint64_t got = 2 * lap_of(q, p) + 2;
    if (p < head) {
      if (load_relaxed(&cell->turn) != got)
        store_relaxed(&cell->turn, got);
    } else if (load_relaxed(&cell->turn) == got - 1) {
      fill = previous(q, fill);
      if (fill != p) {
        cell_at(q, fill)->item = cell->item;
        store_relaxed(&cell_at(q, fill)->turn, 2 * lap_of(q, fill) + 1);
        store_relaxed(&cell->turn, got);
      }
    } else {
      store_relaxed(&cell->turn, got);
    }
  }
  if (fill > head)
    store_relaxed(&q->ring->head, fill);
}

const struct kind_operations queue_operations = {
    .name = "queue",
    .describe = describe,
    .after_fork = after_fork,
};
