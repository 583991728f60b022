/* The ring of a queue, after Dmitry Vyukov's bounded MPMC queue: puts claim positions. A get has no
   step that another thread could have to wait for: it reads the item first, and then takes it with
   one compare-and-swap. No thread waits here (see queue.c). Checked by test/models/queue_ring.pml.

   A position is n * lap + index, where index < capacity <= lap and lap is a power of two. So a
   queue of any capacity from 1 on holds exactly that many items. A position has 63 bits, which do
   not wrap.

       tail          the next put's position, and RING_CLOSED
       head          the next get's position; head <= tail <= head + lap
       head_known    a past value of the head (I5)

       tail -> next                 put; the ring is not full
       tail -> tail | RING_CLOSED   close; no put can claim a position afterwards
       head -> next                 get; the item at that position is complete

   A slot's sequence number (`sequence`, 0 at first) is the last position that was completed there,
   + 1. The item belongs to the put from its claim until it stores the sequence number:

       put:   tail -> next;  item = ...;  sequence = position + 1
       get:   sequence == position + 1;  read the item;  head -> next

   A put may be preempted between its claim and that store. Then its position is neither empty nor
   complete, and gets return RING_UNFINISHED until the put has continued. Full is exact: head + lap
   == tail at the moment when the put loads head, because it loads the same tail before and after
   that, and no position decreases. Empty is exact, too: head == tail when the get loads tail,
   between two loads of the same head.

   Invariants:
   I1  Between the claim and the store of `sequence`, only the put that claimed the position writes
       to its slot. `sequence` is stored with release and loaded with acquire, and publishes the
       item.
   I2  A put claims a position, and a get takes one, by a seq_cst compare-and-swap, and the loads
       that detect empty and full are seq_cst. So this is Dekker: one thread claims or takes, then
       loads the number of waiters; another registers as a waiter, then checks whether the ring is
       empty (full).
   I3  A ring that a get finds closed and empty stays closed and empty.
   I4  A get whose compare-and-swap succeeds has read the item of that position: only a put that has
       seen a greater head writes to the slot again, and the head never decreases.
   I5  `head_known` is a past value of the head, so it is never too great. Puts that find space by
       it need not load the head, whose cache line is written by gets. */
#ifndef INTERLOCK_QUEUE_RING_H
#define INTERLOCK_QUEUE_RING_H

#include "atomic.h"
#include "common.h"

#define RING_CLOSED (UINT64_C(1) << 63)

/* Returned by a get, in addition to result codes: the put of the oldest item has claimed its
   position and not completed it. */
#define RING_UNFINISHED 1

struct ring_slot {
  atomic_u64 sequence;
  /* Atomic, because a get may read it while a put writes it; it then discards what it read. */
  atomic_i64 item;
};

struct ring_slots {
  atomic_u64 tail;
  atomic_u64 head_known;
  _Alignas(CACHE_LINE) atomic_u64 head;
  _Alignas(CACHE_LINE) struct ring_slot slot[];
};

struct ring {
  struct ring_slots *slots; /* these three never change */
  uint64_t capacity;
  uint64_t lap; /* positions from one lap to the next: the capacity, rounded up to a power of two */
};

/* False: no memory. */
bool ring_new(struct ring *r, uint64_t capacity);
void ring_free(struct ring *r);

void ring_close(struct ring *r);
bool ring_is_closed(const struct ring *r);

/* The number of claimed positions: exact at some moment during the call. */
uint64_t ring_size(const struct ring *r);

/* For a fork's child, where claims that were not completed never will be. */
void ring_after_fork(struct ring *r);

static inline uint64_t ring_index(const struct ring *r, uint64_t position)
{
  return position & (r->lap - 1);
}

static inline uint64_t ring_next(const struct ring *r, uint64_t position)
{
  return ring_index(r, position) + 1 < r->capacity ? position + 1 : (position | (r->lap - 1)) + 1;
}

/* After a failed compare-and-swap: a pause, longer each time, so that a thread that succeeds does
   several more while the cache line is its own. `pauses` is 0 at first. */
COLD void ring_back_off(uint32_t *pauses);

/* Puts at that position. False: it is not the tail any more, which is stored there. */
static inline bool ring_put_at(const struct ring *r, uint64_t *tail, int64_t item)
{
  struct ring_slots *slots = r->slots;
  struct ring_slot *slot = &slots->slot[ring_index(r, *tail)];
  if (unlikely(!cas_seq_cst(&slots->tail, tail, ring_next(r, *tail))))
    return false;
  store_relaxed(&slot->item, item);
  store_release(&slot->sequence, *tail + 1); /* pairs with the get */
  return true;
}

enum ring_got { RING_GOT, RING_NOT_COMPLETE, RING_NOT_HEAD };

/* Gets from that position. RING_NOT_HEAD: it is not the head any more, which is stored there. */
static inline enum ring_got ring_get_at(const struct ring *r, uint64_t *head, int64_t *item)
{
  struct ring_slots *slots = r->slots;
  struct ring_slot *slot = &slots->slot[ring_index(r, *head)];
  if (unlikely(load_acquire(&slot->sequence) != *head + 1)) /* pairs with the put */
    return RING_NOT_COMPLETE;
  int64_t seen = load_relaxed(&slot->item);
  if (unlikely(!cas_seq_cst(&slots->head, head, ring_next(r, *head))))
    return RING_NOT_HEAD;
  *item = seen;
  return RING_GOT;
}

/* For fast paths: no loops. False: nothing has changed, and the reason is open. */
static inline bool ring_put_fast(const struct ring *r, int64_t item)
{
  uint64_t tail = load_relaxed(&r->slots->tail);
  /* RING_CLOSED makes the difference greater than any lap. Acquire: I4, as in ring_put(). */
  return likely(tail - load_acquire(&r->slots->head_known) < r->lap) && ring_put_at(r, &tail, item);
}

static inline bool ring_get_fast(const struct ring *r, int64_t *item)
{
  uint64_t head = load_relaxed(&r->slots->head);
  return likely(ring_get_at(r, &head, item) == RING_GOT);
}

/* One attempt: ILK_OK; ILK_EBUSY: full; ILK_ECLOSED. */
static inline int ring_put(const struct ring *r, int64_t item)
{
  struct ring_slots *slots = r->slots;
  /* Acquire: comes before the load of the head. Else that could be of an earlier moment, and a
     queue that was never full would seem full. */
  uint64_t tail = load_acquire(&slots->tail);
  uint32_t pauses = 0;
  for (;;) {
    if (unlikely(tail & RING_CLOSED))
      return ILK_ECLOSED;
    /* Acquire: pairs with the get that advanced the head so far, after it had read its item (I4).
       If `tail` is stale and less than `head_known`, the difference wraps, so the tail is loaded
       again below. */
    if (unlikely(tail - load_acquire(&slots->head_known) >= r->lap)) {
      uint64_t head = load_seq_cst(&slots->head);
      store_release(&slots->head_known, head); /* passes on what that load acquired */
      if (unlikely(tail - head >= r->lap)) {
        /* The first load may have returned a value from before this call. */
        uint64_t again = load_seq_cst(&slots->tail);
        if (again == tail)
          return ILK_EBUSY;
        tail = again;
        continue;
      }
    }
    if (likely(ring_put_at(r, &tail, item)))
      return ILK_OK;
    ring_back_off(&pauses);
    tail = load_acquire(&slots->tail);
  }
}

/* One attempt: ILK_OK; ILK_EBUSY: empty; ILK_ECLOSED: empty and closed; RING_UNFINISHED. */
static inline int ring_get(const struct ring *r, int64_t *item)
{
  struct ring_slots *slots = r->slots;
  uint64_t head = load_relaxed(&slots->head);
  uint32_t pauses = 0;
  for (;;) {
    enum ring_got got = ring_get_at(r, &head, item);
    if (got == RING_GOT)
      return ILK_OK;
    if (got == RING_NOT_HEAD) {
      ring_back_off(&pauses);
      head = load_relaxed(&slots->head);
      continue;
    }
    uint64_t tail = load_seq_cst(&slots->tail), again = load_seq_cst(&slots->head);
    if (again != head)
      head = again;
    else if ((tail & ~RING_CLOSED) != head)
      return RING_UNFINISHED;
    else
      return tail & RING_CLOSED ? ILK_ECLOSED : ILK_EBUSY;
  }
}

#endif
