/* The ring of a queue: places that are claimed by position, and then used: after Dmitry
   Vyukov's bounded MPMC queue, with the turn counted in laps, as in Erik Rigtorp's, so that
   any capacity from 1 on is held exactly. Nobody waits here (see queue.c).

   A position is lap << index_bits | index, index < capacity; 64 bits of it do not come round.

       tail    the next put's position, and RING_CLOSED
       head    the next get's position; head <= tail <= head + capacity

       tail -> next               a put that found the place's turn to be its own
       tail -> tail|RING_CLOSED   close; no put can claim from then on
       head -> next               a get that found the place's turn to be its own

   A place's turn, all zero at first:

       2 * lap          for the put of that lap; the item is its own from its claim on
       2 * lap + 1      for the get of that lap

       2 * lap -> 2 * lap + 1 -> 2 * (lap + 1)    who claimed the position

   The claim and the turn are two steps. In between, a few instructions, the next in line
   may find a place whose turn is not its own though the ring is not full (not empty): then
   the answer is RING_UNFINISHED, for only what is true is answered. Hence full is head +
   capacity == tail, at the moment of the look at head, and empty is head == tail.

   Invariants:
   I1  Between claim and turn, a place is touched by who claimed it, alone. Turns are
       released and acquired, and carry the item.
   I2  Claims are swaps, and empty and full are told from looks, that are all seq_cst. So of
       one who claims and then looks for announcements, and one who announces itself and
       then looks whether the ring is empty (full), at least one sees the other.
   I3  A get that sees the ring closed and empty knows that it stays so. */
#ifndef INTERLOCK_QUEUE_RING_H
#define INTERLOCK_QUEUE_RING_H

#include "atomic.h"
#include "common.h"

#define RING_CLOSED (UINT64_C(1) << 63)

/* What attempts answer besides codes: another's claim is not carried out yet. */
#define RING_UNFINISHED 1

struct place {
  atomic_u64 turn;
  int64_t item;
};

struct places {
  atomic_u64 tail;
  _Alignas(CACHE_LINE) atomic_u64 head;
  _Alignas(CACHE_LINE) struct place place[];
};

struct ring {
  struct places *places; /* these three never change */
  uint64_t capacity;
  uint32_t index_bits;
};

/* False: no memory. */
bool ring_new(struct ring *r, uint64_t capacity);
void ring_free(struct ring *r);

void ring_close(struct ring *r);
bool ring_is_closed(const struct ring *r);

/* Exact, at some moment of the call. */
uint64_t ring_size(const struct ring *r);

/* In a fork's child, where claims that were not carried out never will be. */
void ring_after_fork(struct ring *r);

static inline uint64_t ring_index(const struct ring *r, uint64_t position)
{
  return position & ((UINT64_C(1) << r->index_bits) - 1);
}

static inline uint64_t ring_lap(const struct ring *r, uint64_t position)
{
  return position >> r->index_bits;
}

static inline uint64_t ring_one_lap(const struct ring *r)
{
  return UINT64_C(1) << r->index_bits;
}

static inline uint64_t ring_next(const struct ring *r, uint64_t position)
{
  return ring_index(r, position) + 1 < r->capacity ? position + 1
                                                   : (ring_lap(r, position) + 1) << r->index_bits;
}

static inline struct place *ring_place(const struct ring *r, uint64_t position)
{
  return &r->places->place[ring_index(r, position)];
}

/* One attempt: ILK_OK; ILK_EBUSY: full; ILK_ECLOSED; RING_UNFINISHED: a get has claimed an item
   and is about to take it. */
static inline int ring_put(const struct ring *r, int64_t item)
{
  struct places *places = r->places;
  uint64_t tail = load_relaxed(&places->tail);
  for (;;) {
    if (unlikely(tail & RING_CLOSED))
      return ILK_ECLOSED;
    struct place *place = ring_place(r, tail);
    uint64_t mine = 2 * ring_lap(r, tail);
    if (likely(load_acquire(&place->turn) == mine)) { /* pairs with the get one lap before */
      if (!cas_seq_cst(&places->tail, &tail, ring_next(r, tail)))
        continue;
      place->item = item;
      store_release(&place->turn, mine + 1); /* pairs with the get */
      return ILK_OK;
    }
    uint64_t head = load_seq_cst(&places->head), again = load_seq_cst(&places->tail);
    if (again != tail)
      tail = again;
    else
      return head + ring_one_lap(r) == tail ? ILK_EBUSY : RING_UNFINISHED;
  }
}

/* ILK_OK; ILK_EBUSY: empty; ILK_ECLOSED: empty for ever; RING_UNFINISHED: a put has claimed its
   place and is about to fill it. */
static inline int ring_get(const struct ring *r, int64_t *item)
{
  struct places *places = r->places;
  uint64_t head = load_relaxed(&places->head);
  for (;;) {
    struct place *place = ring_place(r, head);
    uint64_t mine = 2 * ring_lap(r, head) + 1;
    if (likely(load_acquire(&place->turn) == mine)) { /* pairs with the put */
      if (!cas_seq_cst(&places->head, &head, ring_next(r, head)))
        continue;
      *item = place->item;
      store_release(&place->turn, mine + 1); /* pairs with the put one lap on */
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
