#include "blocked.h"

#include <limits.h>

#include "backoff.h"
#include "clock.h"

#define FORCE_WAKE_PAUSE (NS_PER_MS / 50)

int64_t block_publish(struct thread *me, void *handle, int64_t index, atomic_u32 *word,
                      int64_t deadline, int flags)
{
  int64_t since = clock_now();
  /* Release: a thread that loads one of these also loads the end of the previous episode
     (block_load()). */
  store_release(&me->blocked_handle, (uintptr_t)handle);
  store_release(&me->blocked_index, index);
  store_release(&me->blocked_word, (uintptr_t)word);
  store_release(&me->blocked_deadline, deadline);
  store_release(&me->blocked_flags, (uint32_t)flags);
  store_release(&me->blocked_since, since);
  store_release(&me->blocked_reads, me->reads);
  /* seq_cst: before the loads of `block_cancelled` and of the holder. */
  add_seq_cst(&me->episode, 1);
  return since;
}

bool block_load(struct thread *record, struct blocked *b)
{
  /* seq_cst: Dekker with a wait that publishes its episode and then checks what the caller has just
     stored (a cancel, a thread's death). The other loads acquire: each comes before the next, and
     the second load of the episode, the last, shows whether all belong to one sleep. */
  b->episode = load_seq_cst(&record->episode);
  if (!(b->episode & 1))
    return false;
  b->handle = (void *)load_acquire(&record->blocked_handle);
  b->index = load_acquire(&record->blocked_index);
  b->word = (atomic_u32 *)load_acquire(&record->blocked_word);
  b->deadline = load_acquire(&record->blocked_deadline);
  b->flags = (int)load_acquire(&record->blocked_flags);
  b->since = load_acquire(&record->blocked_since);
  return load_acquire(&record->episode) == b->episode;
}

void block_force_wake(struct thread *record, const struct blocked *b)
{
  while (load_acquire(&record->episode) == b->episode) {
    wait_wake(b->word, INT_MAX, b->flags & BLOCK_SHARED);
    /* The thread may be between its last check and its sleep: wake again after a pause. */
    backoff_sleep(FORCE_WAKE_PAUSE);
  }
}

struct object *block_pin(struct thread *me, void *handle)
{
  /* This thread pins the object that it waits for itself. If that wait is already satisfied, a free
     may be waiting for this thread, so this thread must not wait for the free. */
  if (load_relaxed(&me->pin[PIN_INNER]) == (uintptr_t)handle)
    return handle_object(handle);
  /* Another thread's object may be freed meanwhile. An object that is being freed blocks no
     thread. */
  bool pinned = handle_enter_timed(me, PIN_INSPECT, handle, handle_kind(handle), 0) == ILK_OK;
  return pinned ? handle_object(handle) : NULL;
}

uint32_t block_awaited(struct thread *me, void *handle, int64_t index)
{
  if (!handle)
    return (uint32_t)index;
  const struct kind_operations *operations = kind_operations[handle_kind(handle)];
  struct object *object = operations && operations->holder ? block_pin(me, handle) : NULL;
  if (!object)
    return 0;
  uint32_t holder = operations->holder(object, index);
  handle_leave(me, PIN_INSPECT);
  return holder;
}
