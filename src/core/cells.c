#include "cells.h"

#include <string.h>

#include "guard.h"
#include "memory.h"

#define FIRST (UINT32_C(1) << CELLS_FIRST_BITS)
#define LEVELS (CELLS_NEAR + CELLS_FAR)
/* More than there can be handles. */
#define NUMBERS_MAX ((UINT32_C(1) << (CELLS_FIRST_BITS + LEVELS)) - FIRST)

_Static_assert(FIRST << CELLS_NEAR == 2 * CELLS_CHUNK, "the first directory has two chunks");

static uint32_t level_size(uint32_t level)
{
  return FIRST << level;
}

/* --- numbers ------------------------------------------------------------------------ */

#define CAPACITY_FIRST 16

static os_lock numbers_lock = OS_LOCK_INIT;
static uint32_t numbers_used; /* numbers below this were in use at least once */
static uint32_t *returned;    /* those of them that are free */
static size_t returned_count;
static size_t returned_capacity; /* at least numbers_used, so the return of a number cannot fail */
static uint64_t last_serial;

/* Takes a number that was returned, or a new one if `returned` has space for it. */
static bool number_take(uint32_t *number)
{
  if (!returned_count && numbers_used == returned_capacity)
    return false;
  /* The number that was returned last: the threads have probably allocated its cell. */
  *number = returned_count ? returned[--returned_count] : numbers_used++;
  return true;
}

/* With the lock held: exchanges the array in use for a larger one. */
static void swap_if_larger(uint32_t **array, size_t *capacity)
{
  if (*capacity <= returned_capacity)
    return;
  uint32_t *grown = *array;
  size_t grown_capacity = *capacity;
  if (returned_count)
    memcpy(grown, returned, returned_count * sizeof *grown);
  *array = returned;
  *capacity = returned_capacity;
  returned = grown;
  returned_capacity = grown_capacity;
}

bool cells_take(struct cell_position *position)
{
  uint32_t number = 0, *spare = NULL;
  size_t spare_capacity = 0;
  uint64_t serial;
  bool taken;
  for (;;) {
    guard_lock(&numbers_lock);
    swap_if_larger(&spare, &spare_capacity);
    taken = number_take(&number);
    size_t capacity = returned_capacity ? 2 * returned_capacity : CAPACITY_FIRST;
    serial = ++last_serial;
    guard_unlock(&numbers_lock);
    uint32_t *grown =
      taken || capacity > NUMBERS_MAX ? NULL : memory_resize(spare, capacity * sizeof *spare);
    if (!grown)
      break;
    spare = grown;
    spare_capacity = capacity;
  }
  memory_resize(spare, 0);
  if (!taken)
    return false;
  /* A level begins at number level_size(level) - FIRST. */
  uint32_t level = 31 - (uint32_t)__builtin_clz(number + FIRST) - CELLS_FIRST_BITS;
  *position = (struct cell_position){level, number + FIRST - level_size(level), serial};
  return true;
}

void cells_free(const struct cell_position *position)
{
  guard_lock(&numbers_lock);
  returned[returned_count++] = position->offset + level_size(position->level) - FIRST;
  guard_unlock(&numbers_lock);
}

/* --- a record's cells --------------------------------------------------------------- */

struct cell *cells_at_far(struct cells *cells, const struct cell_position *position)
{
  if (position->level < CELLS_NEAR)
    return NULL;
  /* Acquire: both pair with the releases in cells_allocate(). */
  cells_array *directory = load_acquire(&cells->far[position->level - CELLS_NEAR]);
  struct cell *chunk = directory ? load_acquire(&directory[position->offset / CELLS_CHUNK]) : NULL;
  return chunk ? &chunk[position->offset % CELLS_CHUNK] : NULL;
}

/* Allocates an array of n cells, unless there is one. Only the owning thread does. */
static bool make_array(cells_array *array, uint32_t n)
{
  if (load_relaxed(array))
    return true;
  struct cell *cells = memory_new(n * sizeof *cells);
  if (!cells)
    return false;
  store_release(array, cells); /* zeroed: no object has serial 0 */
  return true;
}

bool cells_allocate(struct cells *own, const struct cell_position *position)
{
  if (position->level < CELLS_NEAR)
    return make_array(&own->near[position->level], level_size(position->level));
  uint32_t far = position->level - CELLS_NEAR;
  cells_array *directory = load_relaxed(&own->far[far]);
  if (!directory) {
    directory = memory_new(level_size(position->level) / CELLS_CHUNK * sizeof *directory);
    if (!directory)
      return false;
    store_release(&own->far[far], directory);
  }
  return make_array(&directory[position->offset / CELLS_CHUNK], CELLS_CHUNK);
}

struct cell *cells_make(struct cells *own, const struct cell_position *position)
{
  struct cell *cell = cells_at(own, position);
  if (!cell)
    return NULL;
  store_relaxed(&cell->value, 0);
  /* Release: a thread that loads the serial does not load a value of the number's earlier
     object. */
  store_release(&cell->serial, position->serial);
  return cell;
}

static void clear_array(struct cell *array, uint32_t n)
{
  for (uint32_t i = 0; array && i < n; i++)
    store_relaxed(&array[i].serial, 0);
}

void cells_clear(struct cells *own)
{
  for (uint32_t l = 0; l < CELLS_NEAR; l++)
    clear_array(load_relaxed(&own->near[l]), level_size(l));
  for (uint32_t l = 0; l < CELLS_FAR; l++) {
    cells_array *directory = load_relaxed(&own->far[l]);
    uint32_t chunks = level_size(CELLS_NEAR + l) / CELLS_CHUNK;
    for (uint32_t i = 0; directory && i < chunks; i++)
      clear_array(load_relaxed(&directory[i]), CELLS_CHUNK);
  }
}

const struct fork_module cells_fork = {&numbers_lock, 1, NULL};
