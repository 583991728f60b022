/* The parts of the ring that are not on the fast path of every put and get: see queue_ring.h. */
#include "queue_ring.h"

#include "memory.h"
#include "spin.h"

static size_t bytes_for(uint64_t capacity)
{
  return sizeof(struct ring_slots) + (size_t)capacity * sizeof(struct ring_slot);
}

bool ring_new(struct ring *r, uint64_t capacity)
{
  size_t most = (SIZE_MAX / 2 - sizeof(struct ring_slots)) / sizeof(struct ring_slot);
  if (capacity > most)
    return false;
  r->slots = memory_new(bytes_for(capacity)); /* all zero is the initial state */
  if (!r->slots)
    return false;
  r->capacity = capacity;
  for (r->lap = 1; r->lap < capacity; r->lap *= 2)
    ;
  return true;
}

void ring_free(struct ring *r)
{
  memory_free(r->slots, bytes_for(r->capacity));
}

void ring_close(struct ring *r)
{
  or_seq_cst(&r->slots->tail, RING_CLOSED);
}

bool ring_is_closed(const struct ring *r)
{
  return load_relaxed(&r->slots->tail) & RING_CLOSED;
}

#define BACK_OFF_DOUBLINGS 2

void ring_back_off(uint32_t *pauses)
{
  if (!*pauses)
    *pauses = spin_lock_first;
  for (uint32_t i = 0; i < *pauses; i++)
    cpu_relax();
  if (*pauses < spin_lock_first << BACK_OFF_DOUBLINGS)
    *pauses *= 2;
}

uint64_t ring_size(const struct ring *r)
{
  /* The tail is the same before and after the load of the head, so both values are from that
     moment. */
  uint64_t head, tail, again = load_seq_cst(&r->slots->tail);
  do {
    tail = again;
    head = load_seq_cst(&r->slots->head);
    again = load_seq_cst(&r->slots->tail);
  } while (again != tail);
  tail &= ~RING_CLOSED;
  uint64_t laps = tail / r->lap - head / r->lap;
  return laps * r->capacity + ring_index(r, tail) - ring_index(r, head);
}

static struct ring_slot *slot_at(const struct ring *r, uint64_t position)
{
  return &r->slots->slot[ring_index(r, position)];
}

static uint64_t previous(const struct ring *r, uint64_t position)
{
  return ring_index(r, position) > 0 ? position - 1 : position - r->lap + r->capacity - 1;
}

/* A put that was between its claim and its completion leaves a hole. The items before the hole move
   up, one slot per hole, and the head follows. */
void ring_after_fork(struct ring *r)
{
  uint64_t tail = load_relaxed(&r->slots->tail) & ~RING_CLOSED,
           head = load_relaxed(&r->slots->head);
  uint64_t fill = tail;
  for (uint64_t p = tail; p != head;) {
    p = previous(r, p);
    struct ring_slot *from = slot_at(r, p);
    if (load_relaxed(&from->sequence) != p + 1)
      continue;
    fill = previous(r, fill);
    if (fill == p)
      continue;
    struct ring_slot *to = slot_at(r, fill);
    store_relaxed(&to->item, load_relaxed(&from->item));
    store_relaxed(&to->sequence, fill + 1);
  }
  if (fill != head)
    store_relaxed(&r->slots->head, fill);
}
