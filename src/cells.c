#include "cells.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIRST (UINT32_C(1) << CELLS_FIRST_BITS)
/* More than there are handles. */
#define NUMBERS_MAX ((UINT32_C(1) << (CELLS_FIRST_BITS + CELLS_LEVELS)) - FIRST)

static pthread_mutex_t numbers_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t numbers_used; /* 0..numbers_used - 1 were given out at least once */
static uint32_t *returned;    /* and of these, those that are free: room for all */
static size_t returned_count, returned_room;
static uint64_t last_serial;

static size_t level_size(uint32_t level)
{
  return (size_t)FIRST << level;
}

/* A new number; room for its return is made now, for then there must be no failure. */
static bool number_add(uint32_t *number)
{
  if (numbers_used == NUMBERS_MAX)
    return false;
  if (numbers_used == returned_room) {
    size_t room = returned_room ? 2 * returned_room : 16;
    uint32_t *grown = realloc(returned, room * sizeof *grown);
    if (!grown)
      return false;
    returned = grown;
    returned_room = room;
  }
  *number = numbers_used++;
  return true;
}

bool cells_take(struct cells_place *place)
{
  uint32_t number;
  bool taken = true;
  pthread_mutex_lock(&numbers_lock);
  if (returned_count)
    number = returned[--returned_count]; /* the last, which the threads have a level for */
  else
    taken = number_add(&number);
  uint64_t serial = ++last_serial;
  pthread_mutex_unlock(&numbers_lock);
  if (!taken)
    return false;
  /* Level l begins at number (FIRST << l) - FIRST. */
  uint32_t level = 31 - (uint32_t)__builtin_clz(number + FIRST) - CELLS_FIRST_BITS;
  *place = (struct cells_place){level, number + FIRST - (FIRST << level), serial};
  return true;
}

void cells_give_back(const struct cells_place *place)
{
  pthread_mutex_lock(&numbers_lock);
  returned[returned_count++] = place->offset + (FIRST << place->level) - FIRST;
  pthread_mutex_unlock(&numbers_lock);
}

struct cell *cells_make(struct cells *own, const struct cells_place *place)
{
  struct cell *level = load_relaxed(&own->level[place->level]); /* nobody else writes it */
  if (!level) {
    size_t bytes = level_size(place->level) * sizeof *level;
    /* Whole cache lines: no two threads write to the same. */
    if (posix_memalign((void **)&level, CACHE_LINE, bytes) != 0)
      return NULL;
    memset((void *)level, 0, bytes);
    store_release(&own->level[place->level], level);
  }
  struct cell *cell = &level[place->offset];
  store_relaxed(&cell->value, 0);
  /* Release: who sees the serial sees no value of the number's last object. */
  store_release(&cell->serial, place->serial);
  return cell;
}

void cells_clear(struct cells *cells)
{
  for (uint32_t l = 0; l < CELLS_LEVELS; l++) {
    struct cell *level = load_relaxed(&cells->level[l]);
    for (size_t i = 0; level && i < level_size(l); i++)
      if (load_relaxed(&level[i].serial)) /* a page that was never used stays so */
        store_relaxed(&level[i].serial, 0);
  }
}

void cells_before_fork(void)
{
  pthread_mutex_lock(&numbers_lock);
}

void cells_after_fork(bool child)
{
  (void)child;
  pthread_mutex_unlock(&numbers_lock);
}
