/* What of the ring is not on the way of every put and get: see queue_ring.h. */
#include "queue_ring.h"

#include "memory.h"

static uint32_t bits_for(uint64_t capacity)
{
  return capacity == 1 ? 0 : 64 - (uint32_t)__builtin_clzll(capacity - 1);
}

static size_t size_for(uint64_t capacity)
{
  return sizeof(struct places) + (size_t)capacity * sizeof(struct place);
}

bool ring_new(struct ring *r, uint64_t capacity)
{
  size_t most = (SIZE_MAX / 2 - sizeof(struct places)) / sizeof(struct place);
  if (capacity > most)
    return false;
  r->places = memory_new(size_for(capacity)); /* all zero is right */
  if (!r->places)
    return false;
  r->capacity = capacity;
  r->index_bits = bits_for(capacity);
  return true;
}

void ring_free(struct ring *r)
{
  memory_free(r->places, size_for(r->capacity));
}

void ring_close(struct ring *r)
{
  or_seq_cst(&r->places->tail, RING_CLOSED);
}

bool ring_is_closed(const struct ring *r)
{
  return load_relaxed(&r->places->tail) & RING_CLOSED;
}

uint64_t ring_size(const struct ring *r)
{
  /* The tail is the same before and after the look at head: so both are of that moment. */
  uint64_t tail = load_seq_cst(&r->places->tail), head, again;
  while (head = load_seq_cst(&r->places->head), again = load_seq_cst(&r->places->tail), again != tail)
    tail = again;
  tail &= ~RING_CLOSED;
  return (ring_lap(r, tail) - ring_lap(r, head)) * r->capacity + ring_index(r, tail) - ring_index(r, head);
}

static uint64_t previous(const struct ring *r, uint64_t position)
{
  return ring_index(r, position) > 0 ? position - 1
                                     : ((ring_lap(r, position) - 1) << r->index_bits) + r->capacity - 1;
}

/* A get's claim that was not carried out: its item is gone with its thread. A put's: its place
   is a hole; the items before it move up, one place for each hole, and the head follows. */
void ring_after_fork(struct ring *r)
{
  uint64_t tail = load_relaxed(&r->places->tail) & ~RING_CLOSED, head = load_relaxed(&r->places->head);
  uint64_t first = ring_lap(r, tail) ? tail - ring_one_lap(r) : 0, fill = tail;
  for (uint64_t p = tail; p != first;) {
    p = previous(r, p);
    struct place *place = ring_place(r, p);
    uint64_t got = 2 * ring_lap(r, p) + 2;
    if (p < head) {
      if (load_relaxed(&place->turn) != got)
        store_relaxed(&place->turn, got);
    } else if (load_relaxed(&place->turn) == got - 1) {
      fill = previous(r, fill);
      if (fill != p) {
        ring_place(r, fill)->item = place->item;
        store_relaxed(&ring_place(r, fill)->turn, 2 * ring_lap(r, fill) + 1);
        store_relaxed(&place->turn, got);
      }
    } else {
      store_relaxed(&place->turn, got);
    }
  }
  if (fill > head)
    store_relaxed(&r->places->head, fill);
}
