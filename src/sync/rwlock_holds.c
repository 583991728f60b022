/* The readers-writer lock: a thread's read locks, in its own record (rwlock_state.h). */
#include "rwlock_state.h"

static void *hold_handle(const struct thread *me, uint32_t i)
{
  uintptr_t counted = hold_counted(me, i);
  return (void *)(counted ? counted : load_relaxed(&me->reads_published[i]));
}

int rwlock_hold_find(const struct thread *me, const void *handle)
{
  for (uint32_t i = 0; i < me->reads; i++)
    if (hold_handle(me, i) == handle)
      return (int)i;
  return -1;
}

/* A lock that the fast path has read again has several entries: merges them into one and a count. A
   counted entry is kept if there is one. A waiting writer needs no wake: it waits for the kept
   entry, whose release wakes it. */
static bool merge_holds(struct thread *me)
{
  bool merged = false;
  for (uint32_t i = 0; i < READS_MAX; i++)
    for (uint32_t j = 0; hold_handle(me, i) && j < READS_MAX; j++) {
      bool drops = j != i && hold_handle(me, j) == hold_handle(me, i) &&
                   (hold_counted(me, i) || !hold_counted(me, j));
      if (!drops || me->reads_more[i] >= UINT32_MAX - me->reads_more[j])
        continue;
      me->reads_more[i] += 1 + me->reads_more[j];
      me->reads_more[j] = 0;
      if (hold_counted(me, j)) {
        store_relaxed(&me->reads_counted[j], 0);
        sub_seq_cst(&handle_held_object(hold_handle(me, i))->head, 1);
      }
      store_release(&me->reads_published[j], 0);
      merged = true;
    }
  return merged;
}

bool rwlock_hold_is_possible(struct thread *me)
{
  if (me->reads < READS_MAX)
    return true;
  for (uint32_t i = 0; i < READS_MAX; i++)
    if (hold_is_empty(me, i))
      return true;
  return merge_holds(me);
}

/* On top, or in the first empty entry. Any entry will do: no writer searches the records for
   counted reads. */
void rwlock_hold_add_counted(struct thread *me, void *handle)
{
  if (me->reads < READS_MAX) {
    hold_push_counted(me, handle);
    return;
  }
  uint32_t i = 0;
  while (!hold_is_empty(me, i))
    i++;
  store_relaxed(&me->reads_counted[i], (uintptr_t)handle);
}

bool rwlock_is_published(const void *handle)
{
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    for (uint32_t i = 0, n = load_seq_cst(&r->reads_limit); i < n; i++)
      if (load_seq_cst(&r->reads_published[i]) == (uintptr_t)handle)
        return true;
  return false;
}

/* Acquire: the caller then rechecks the thread's episode, to learn whether it was blocked
   throughout. */
bool rwlock_is_read_by(struct thread *record, const void *handle)
{
  for (uint32_t i = 0, n = load_acquire(&record->blocked_reads); i < n && i < READS_MAX; i++)
    if (load_acquire(&record->reads_published[i]) == (uintptr_t)handle ||
        load_acquire(&record->reads_counted[i]) == (uintptr_t)handle)
      return true;
  return false;
}
