/* Cells: for an object of a kind that keeps a value for each thread, the thread's own
   place for it, found in a few instructions and written by that thread alone.

   An object takes a number, small and dense, for as long as it lives, and a serial, which is
   never given again. Each thread's record has cells by number, in levels that double in
   size, made when first needed; a cell is valid for the object whose serial it bears, so
   one that is left over from a number's last object is as good as none.

   Invariants:
   I1  A level, once made, neither moves nor goes, nor is it another record's: so any
       thread may read any cell at any time.
   I2  Only the thread of a cell's record writes it, or who retires the record of a thread
       that is gone.
   I3  No two live objects have the same number, and no two objects ever the same serial. */
#ifndef INTERLOCK_CELLS_H
#define INTERLOCK_CELLS_H

#include "atomic.h"
#include "common.h"

struct cell {
  atomic_u64 serial; /* of the object that the value is for; 0: of none */
  atomic_i64 value;
};

#define CELLS_FIRST_BITS 2 /* the first level fills a cache line */
#define CELLS_LEVELS 24

/* A record's cells. */
struct cells {
  _Atomic(struct cell *) level[CELLS_LEVELS]; /* NULL: not made yet */
};

/* An object's place in every record's cells. */
struct cells_place {
  uint32_t level, offset;
  uint64_t serial;
};

/* False: no memory. */
bool cells_take(struct cells_place *place);
/* Nobody uses the place any more. */
void cells_give_back(const struct cells_place *place);

/* The cell for that place, NULL: it has no value. Any thread may ask. */
static inline struct cell *cells_find(struct cells *cells, const struct cells_place *place)
{
  /* Acquire: pairs with the release that made the level, and the one that made the cell valid. */
  struct cell *level = load_acquire(&cells->level[place->level]);
  if (unlikely(!level))
    return NULL;
  struct cell *cell = &level[place->offset];
  return likely(load_acquire(&cell->serial) == place->serial) ? cell : NULL;
}

/* The calling thread's own cell for that place, made valid with the value 0; NULL: no memory. */
COLD struct cell *cells_make(struct cells *own, const struct cells_place *place);

/* Nothing is set any more. */
void cells_clear(struct cells *cells);

void cells_before_fork(void);
void cells_after_fork(bool child);

#endif
