/* The library's seams to the system, as the engine has them: in place of os_linux.c, wait_linux.c,
   threads_posix.c, memory.c and region.c. */
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "cells.h"
#include "claims.h"
#include "guard.h"
#include "handle.h"
#include "handle_table.h"
#include "memory.h"
#include "mutex_state.h"
#include "os.h"
#include "region.h"
#include "wait.h"

/* --- wait.h --- */

const char wait_backend[] = "model";
bool wait_has_shared = true;

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, int flags)
{
  (void)flags;
  return model_wait((void *)word, expected, deadline) == MODEL_WOKEN ? WAIT_WOKEN : WAIT_TIMEDOUT;
}

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  (void)shared;
  return model_wake((void *)word, n);
}

void wait_was_first(const atomic_u32 *word)
{
  (void)word;
}

/* The scenarios unmap nothing. */
bool wait_read(atomic_u32 *word, uint32_t *value)
{
  *value = load_acquire(word);
  return true;
}

void wait_setup(void)
{
}

const struct fork_module wait_fork = {NULL, 0, NULL};

/* --- os.h --- */

int64_t os_thread_id(void)
{
  return thread_current ? (int64_t)thread_current->index + 1 : 1;
}

bool os_thread_is_gone(int64_t id)
{
  (void)id;
  return false;
}

bool os_exit_hook_new(void (*hook)(void *record))
{
  (void)hook; /* the engine ends a thread itself */
  return true;
}

bool os_exit_hook_set(void *record)
{
  (void)record;
  return true;
}

void *os_exit_hook_get(void)
{
  return NULL;
}

bool os_exit_hook_is_safe(void)
{
  return true;
}

int64_t os_clock(void)
{
  return model_clock();
}

void os_yield(void)
{
  model_yield();
}

bool os_thread_start(struct os_start *start)
{
  (void)start; /* the scenarios start threads of the engine's */
  return false;
}

void os_call_with_cleanup(void (*function)(void *), void *argument, void (*cleanup)(void *),
                          void *cleanup_argument)
{
  function(argument);
  cleanup(cleanup_argument);
}

int os_cancel_disable(void)
{
  return 0;
}

void os_cancel_restore(int before)
{
  (void)before;
}

int64_t os_process_id(void)
{
  return 1;
}

void os_fork_handlers(void (*before)(void), void (*parent)(void), void (*child)(void))
{
  (void)before, (void)parent, (void)child;
}

void os_write_error(const char *text, size_t length)
{
  (void)text, (void)length;
}

int os_cpu_count(void)
{
  return 2;
}

bool os_barrier_register(void)
{
  return !getenv("MODEL_SYMMETRIC");
}

bool os_barrier(void)
{
  static struct site site __attribute__((section("model_sites"))) = {
    .file = "seams.c", .name = "barrier", .operation = SITE_FENCE};
  return model_barrier(&site, __func__);
}

bool os_each_touched(void *memory, size_t size,
                     bool (*visit)(void *part, size_t size, void *context), void *context)
{
  return visit(memory, size, context);
}

/* --- memory.h: nothing is used twice in an execution, and the thread that frees memory writes to it --- */

void __tsan_write_range(void *memory, long size);

#define ARENA 1048576
#define SLOTS 16
static struct {
  union slot slots[SLOTS];
  _Alignas(CACHE_LINE) unsigned char arena[ARENA];
  char end;
} shared;
char *const seams_shared_begin = (char *)&shared, *const seams_shared_end = &shared.end;
static size_t arena_used;
static long blocks; /* allocated and not freed */

/* What the first words of new memory have in them before they are zeroed; 0: nothing. */
static uint64_t rubbish;

void *memory_new(size_t size)
{
  size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
  if (size > ARENA - arena_used)
    abort();
  void *memory = shared.arena + arena_used;
  arena_used += size;
  blocks++;
  for (int i = 0; rubbish && i < 2; i++) {
    ((uint64_t *)memory)[i] = rubbish;
    store_relaxed((atomic_u64 *)memory + i, 0);
  }
  return memory;
}

void memory_free(void *memory, size_t size)
{
  if (!memory)
    return;
  __tsan_write_range(memory, (long)size);
  blocks--;
}

void *os_pages_new(size_t size)
{
  return memory_new(size);
}

void os_pages_free(void *pages, size_t size)
{
  memory_free(pages, size);
}

void *memory_resize(void *array, size_t size)
{
  void *memory = size ? memory_new(2 * size) : NULL;
  return array && memory ? memcpy(memory, array, size) : memory;
}

/* --- region.h --- */

union slot *handle_slots = shared.slots;
atomic_u32 handle_limit = SLOTS;
union slot handle_none = {.object = {.tag_flags = 1}};

bool region_grow(uint32_t have)
{
  (void)have;
  return false;
}

void region_setup(void)
{
}

const struct fork_module region_fork = {NULL, 0, NULL};

/* All as when the program began: see engine.hpp. */
void seams_reset(void)
{
  memset(shared.arena, 0, arena_used);
  memset(shared.slots, 0, sizeof shared.slots);
  shared.slots[0].object.tag_flags = 1;
  arena_used = 0;
  blocks = 0;
}

/* --- what scenarios cannot say through interlock.h --- */

/* Two waits that differ in all that a thread publishes about its wait. */
static atomic_u32 words[2];
enum {
  FIRST_DEADLINE = 40000000
}; /* the second wait begins later; not far away, see model_wait() */

void seams_wait(int which)
{
  void *handle = (void *)(uintptr_t)(1 + which);
  block(thread_current, handle, 1 + which, &words[which], 0, FIRST_DEADLINE + which,
        which ? BLOCK_ALWAYS : 0);
}

/* Which of the two waits block_load() finds; -1: none. -2: some of the one and some of the other. */
int seams_load(struct thread *record)
{
  struct blocked b;
  if (!block_load(record, &b))
    return -1;
  int which = b.since >= FIRST_DEADLINE;
  bool fits = b.handle == (void *)(uintptr_t)(1 + which) && b.index == 1 + which &&
              b.word == &words[which] && b.deadline == FIRST_DEADLINE + which &&
              b.flags == (which ? BLOCK_ALWAYS : 0);
  return fits ? which : -2;
}

/* The calling thread's value of an object with that serial, at the beginning of a level of cells,
   after that of an earlier object there. What is allocated has rubbish in it before: the serial
   itself, or pointers to such a cell. */
enum { SERIAL = 9 };
static struct cell rubbish_cell = {SERIAL, 99};

void seams_cell_set(int level, bool pointers)
{
  struct cells *own = &thread_current->tallies;
  struct cell_position position = {(uint32_t)level, 0, SERIAL};
  rubbish = pointers ? (uintptr_t)&rubbish_cell : SERIAL;
  if (!cells_allocate(own, &position))
    abort();
  rubbish = 0;
  struct cell_position earlier = {(uint32_t)level, 0, SERIAL - 1};
  store_relaxed(&cells_make(own, &earlier)->value, 99);
  store_relaxed(&cells_make(own, &position)->value, 1);
}

/* 0: that thread has none yet. */
int seams_cell_get(struct thread *record, int level)
{
  struct cell_position position = {(uint32_t)level, 0, SERIAL};
  struct cell *cell = cells_find(&record->tallies, &position);
  return cell ? (int)load_relaxed(&cell->value) : 0;
}

/* As if the thread were in a signal handler that has interrupted a call which pins that object. */
void seams_interrupted(void *pinned)
{
  store_release(&thread_current->pin[PIN_INNER], (uintptr_t)pinned);
}

void *seams_pinned(void)
{
  return (void *)load_acquire(&thread_current->pin[PIN_INNER]);
}

/* The episode of its wait; 0: it does not wait. */
uint32_t seams_blocked(struct thread *record)
{
  struct blocked b;
  return block_load(record, &b) ? b.episode : 0;
}

/* Does it sleep for a part of its wait? */
bool seams_pauses(struct thread *record)
{
  struct blocked b;
  return block_load(record, &b) && b.flags & BLOCK_PART;
}

/* Will the next release hand the mutex to the first waiter? */
bool seams_is_marked(void *mutex)
{
  return load_relaxed(&handle_object(mutex)->head) & HANDOFF;
}

/* Does the thread pause, or is it between two parts? */
bool seams_is_away(struct thread *record)
{
  return record->wait_slots[0].away;
}

long seams_blocks(void)
{
  return blocks;
}

/* As if spinning had paid before. */
void seams_spin(void)
{
  thread_current->spin_limit = 4;
}

/* A thread that is inside the object inspects it, as in a wait. False: it finds the object gone. */
bool seams_inspects_own(void *handle)
{
  struct thread *me = thread_current;
  if (!handle_enter(me, PIN_INNER, handle, handle_kind(handle)))
    return true; /* freed before */
  bool found = block_pin(me, handle);
  handle_leave(me, PIN_INSPECT);
  handle_leave(me, PIN_INNER);
  return found;
}

static struct claims claims;

void seams_claims_wait(void)
{
  claims_enter(&claims);
  claims_leave(&claims);
}

void seams_claims_wake(void)
{
  claims_wake(&claims);
}

/* Registered threads, claimed or not; in all. */
uint32_t seams_claims_count(void)
{
  return load_relaxed(&claims.waiters);
}

/* As a free by another thread that finds the object busy at last: calls meet CLOSING, which is then
   undone. The object is open. */
void seams_close_refused(void *handle)
{
  struct object *object = handle_object(handle);
  handle_table_lock();
  or_seq_cst(&object->tag_flags, CLOSING);
  or_seq_cst(&object->head, CLOSING);
  handle_table_unlock();
  model_yield();
  handle_table_lock();
  and_seq_cst(&object->head, ~CLOSING);
  and_seq_cst(&object->tag_flags, ~CLOSING);
  handle_table_unlock();
}
