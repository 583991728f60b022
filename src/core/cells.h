/* Cells: the value that each thread keeps for an object (a tally, a local, slices). A thread finds
   its cell in a few instructions, and only that thread writes it.

   An object has a number, small and reused, and a serial, which is never reused. A thread's record
   has cells by number, in levels that double in size. A near level is an array of cells; a far
   level is a directory of chunks of cells. Arrays, directories and chunks are allocated when the
   thread first needs them, so a thread pays for the objects that it uses, not for those that exist.
   A cell is valid for the object whose serial it contains. A cell that is left over from an earlier
   object with the same number is therefore invalid.

   Invariants:
   I1  An array, directory or chunk is never moved or freed, and stays with its record. So any
       thread may read any cell at any time.
   I2  Only the thread of a record writes its cells. Before that thread starts, the thread that
       reserves the record may clear them.
   I3  No two live objects have the same number, and no two objects, live or not, the same
       serial. */
#ifndef INTERLOCK_CELLS_H
#define INTERLOCK_CELLS_H

#include "atomic.h"
#include "common.h"

struct cell {
  atomic_u64 serial; /* of the object that the value belongs to; 0: none */
  atomic_i64 value;
};

#define CELLS_FIRST_BITS 2 /* the first level fills a cache line */
#define CELLS_NEAR 7       /* levels: 4, 8, ..., 256 cells */
#define CELLS_FAR 17
#define CELLS_CHUNK 256

/* NULL: not allocated yet. */
typedef _Atomic(struct cell *) cells_array;

/* A record's cells. `near` has elements for the far levels too, and those are always NULL. So an
   access to a near level needs one load and one check. */
struct cells {
  cells_array near[CELLS_NEAR + CELLS_FAR];
  _Atomic(cells_array *) far[CELLS_FAR]; /* directories; the first has two chunks */
};

/* The position of an object's cell, the same in every record. */
struct cell_position {
  uint32_t level, offset;
  uint64_t serial;
};

/* False: no memory. */
bool cells_take(struct cell_position *position);
/* No thread uses the position any more. */
void cells_free(const struct cell_position *position);

/* cells_at() for a far level, or where the cell is not allocated. */
COLD struct cell *cells_at_far(struct cells *cells, const struct cell_position *position);

/* The cell at that position, valid or not; NULL: not allocated yet. */
static inline struct cell *cells_at(struct cells *cells, const struct cell_position *position)
{
  /* Acquire: pairs with the release that made the array. */
  struct cell *array = load_acquire(&cells->near[position->level]);
  return likely(array) ? &array[position->offset] : cells_at_far(cells, position);
}

/* The valid cell for that position; NULL: there is no value. Any thread may call it for any
   record. */
static inline struct cell *cells_find(struct cells *cells, const struct cell_position *position)
{
  struct cell *cell = cells_at(cells, position);
  /* Acquire: pairs with the release that made the cell valid. */
  return likely(cell && load_acquire(&cell->serial) == position->serial) ? cell : NULL;
}

/* Makes the calling thread's cell for that position valid, with the value 0. NULL: it is not
   allocated yet. Then the caller unpins, calls cells_allocate(), and starts again. */
COLD struct cell *cells_make(struct cells *own, const struct cell_position *position);

/* Allocates the calling thread's cell for that position, so no object may be pinned. False: no
   memory. */
COLD bool cells_allocate(struct cells *own, const struct cell_position *position);

/* Makes all cells invalid. Called by the thread that reserves the record. */
void cells_clear(struct cells *own);

extern const struct fork_module cells_fork; /* guard.h */

#endif
