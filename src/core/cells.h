/* Cells: for an object of a kind that keeps a value for each thread, the thread's own
   place for it, found in a few instructions and written by that thread alone.

   An object takes a number, small and dense, for as long as it lives, and a serial, which is
   never given again. Each thread's record has cells by number, in levels that double in
   size. The near levels are arrays of cells; a far level is a directory of chunks. Arrays,
   directories and chunks are made when the thread first needs them, so what a thread pays
   goes with the objects that it uses, not with those that there are. A cell is valid for the
   object whose serial it bears, so one that is left over from a number's last object is as good
   as none.

   Invariants:
   I1  What was once made neither moves nor goes, nor is it another record's: so any
       thread may read any cell at any time.
   I2  Only the thread of a cell's record writes it.
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
#define CELLS_NEAR 7       /* levels: 4, 8, ..., 256 cells */
#define CELLS_FAR 17
#define CELLS_CHUNK 256

/* NULL: not made yet. */
typedef _Atomic(struct cell *) cells_array;

/* A record's cells. The far levels are always NULL among the near ones, so that one look at
   a level suffices for most. */
struct cells {
  cells_array near[CELLS_NEAR + CELLS_FAR];
  _Atomic(cells_array *) far[CELLS_FAR]; /* directories; the first has two chunks */
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

/* cells_at() for a far level, or where there is no room yet. */
COLD struct cell *cells_at_far(struct cells *cells, const struct cells_place *place);

/* The cell at that place, whatever it is valid for; NULL: there is no room for it yet. */
static inline struct cell *cells_at(struct cells *cells, const struct cells_place *place)
{
  /* Acquire: pairs with the release that made the array. */
  struct cell *array = load_acquire(&cells->near[place->level]);
  return likely(array) ? &array[place->offset] : cells_at_far(cells, place);
}

/* The cell for that place, NULL: it has no value. Any thread may ask. */
static inline struct cell *cells_find(struct cells *cells, const struct cells_place *place)
{
  struct cell *cell = cells_at(cells, place);
  /* Acquire: pairs with the release that made the cell valid. */
  return likely(cell && load_acquire(&cell->serial) == place->serial) ? cell : NULL;
}

/* The calling thread's own cell for that place, made valid with the value 0; NULL: there is no
   room for it yet. So: leave the pin, cells_add_room(), and begin again. */
COLD struct cell *cells_make(struct cells *own, const struct cells_place *place);

/* Room in the calling thread's own cells. Not within a pin, for it allocates. False: no memory. */
COLD bool cells_add_room(struct cells *own, const struct cells_place *place);

/* Nothing is set any more. By the thread whose cells they are. */
void cells_clear(struct cells *own);

void cells_before_fork(void);
void cells_after_fork(bool child);

#endif
