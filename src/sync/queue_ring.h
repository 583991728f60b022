/* The ring of a queue: places that puts claim by position, after Dmitry Vyukov's bounded MPMC
   queue. A get has no step that another thread could wait for: it reads the item first, and then
   takes it with one compare-and-swap. Nobody waits here (see queue.c).

   A position is n * lap + index, index < capacity <= lap, a power of two; 63 bits of it do not
   come round. So any capacity from 1 on is held exactly.

       tail    the next put's position, and RING_CLOSED
       head    the next get's position; head <= tail <= head + lap

       tail -> next               a put; the ring is not full
       tail -> tail|RING_CLOSED   close; no put can claim a position from then on
       head -> next               a get; the item at that position is complete

   A place's turn, all zero at first: the last position that was completed there, + 1. The item
   belongs to the put from its claim until then:

       put:   tail -> next;  item = ...;  turn = position + 1
       get:   turn == position + 1;  read the item;  head -> next

   A put may be preempted between its claim and its turn. Then its position is neither empty nor
   complete, and gets find RING_UNFINISHED until the put has gone on. Full is exact, head + lap ==
   tail at the moment at which head was loaded, and so is empty, head == tail.

   Invariants:
   I1  Between claim and turn, only the put that claimed the place writes there. Turns are released
       and acquired, and carry the item.
   I2  Claims and takes are seq_cst compare-and-swaps, and the loads that tell empty and full are seq_cst.
       So of a thread that claims or takes and then loads the number of waiters, and one that announces
       itself as a waiter and then checks whether the ring is empty (full), at least one sees the other.
   I3  A get that finds the ring closed and empty knows that it stays so.
   I4  A get whose compare-and-swap succeeds has read the item of that position: the place is written
       again only by a put that has seen a greater head, and the head never returns.
   I5  head_known is a head of some moment, so it is never too great. Puts that find room by it need
       not load the head, whose cache line gets write. */
#ifndef INTERLOCK_QUEUE_RING_H
#define INTERLOCK_QUEUE_RING_H

#include "atomic.h"
#include "common.h"

#define RING_CLOSED (UINT64_C(1) << 63)

/* What a get returns besides codes: the oldest item's put has claimed its place, and not completed it. */
#define RING_UNFINISHED 1

struct place {
  atomic_u64 turn;
  atomic_i64 item; /* atomic, for a get may read it in vain while a put writes */
};

struct places {
  atomic_u64 tail;
  atomic_u64 head_known;
  _Alignas(CACHE_LINE) atomic_u64 head;
  _Alignas(CACHE_LINE) struct place place[];
};

struct ring {
  struct places *places; /* these three never change */
  uint64_t capacity;
  uint64_t lap; /* positions from one lap to the next: the capacity, rounded up to a power of two */
};

/* False: no memory. */
bool ring_new(struct ring *r, uint64_t capacity);
void ring_free(struct ring *r);

void ring_close(struct ring *r);
bool ring_is_closed(const struct ring *r);

/* Claimed positions: exact, at some moment of the call. */
uint64_t ring_size(const struct ring *r);

/* In a fork's child, where claims that were not carried out never will be. */
void ring_after_fork(struct ring *r);

static inline uint64_t ring_index(const struct ring *r, uint64_t position)
{
  return position & (r->lap - 1);
}

static inline uint64_t ring_next(const struct ring *r, uint64_t position)
{
  return ring_index(r, position) + 1 < r->capacity ? position + 1 : (position | (r->lap - 1)) + 1;
}

static inline struct place *ring_place(const struct ring *r, uint64_t position)
{
  return &r->places->place[ring_index(r, position)];
}

/* One attempt: ILK_OK; ILK_EBUSY: full; ILK_ECLOSED. */
static inline int ring_put(const struct ring *r, int64_t item)
{
  struct places *places = r->places;
  uint64_t tail = load_relaxed(&places->tail);
  for (;;) {
    if (unlikely(tail & RING_CLOSED))
      return ILK_ECLOSED;
    /* Acquire: pairs with the get that made the head so great, and had read its item (I4). */
    if (unlikely(tail - load_acquire(&places->head_known) >= r->lap)) {
      uint64_t head = load_seq_cst(&places->head);
      store_release(&places->head_known, head); /* hands on what that load acquired */
      if (unlikely(tail - head >= r->lap)) {
        uint64_t again = load_seq_cst(&places->tail); /* the first load may be of before this call */
        if (again == tail)
          return ILK_EBUSY;
        tail = again;
        continue;
      }
    }
    if (unlikely(!cas_seq_cst(&places->tail, &tail, ring_next(r, tail))))
      continue;
    struct place *place = ring_place(r, tail);
    store_relaxed(&place->item, item);
    store_release(&place->turn, tail + 1); /* pairs with the get */
    return ILK_OK;
  }
}

/* ILK_OK; ILK_EBUSY: empty; ILK_ECLOSED: empty for ever; RING_UNFINISHED. */
static inline int ring_get(const struct ring *r, int64_t *item)
{
  struct places *places = r->places;
  uint64_t head = load_relaxed(&places->head);
  for (;;) {
    struct place *place = ring_place(r, head);
    if (likely(load_acquire(&place->turn) == head + 1)) { /* pairs with the put */
      int64_t seen = load_relaxed(&place->item);
      if (unlikely(!cas_seq_cst(&places->head, &head, ring_next(r, head))))
        continue;
      *item = seen;
      return ILK_OK;
    }
    uint64_t tail = load_seq_cst(&places->tail), again = load_seq_cst(&places->head);
    if (again != head)
      head = again;
    else if ((tail & ~RING_CLOSED) != head)
      return RING_UNFINISHED;
    else
      return tail & RING_CLOSED ? ILK_ECLOSED : ILK_EBUSY;
  }
}

#endif
