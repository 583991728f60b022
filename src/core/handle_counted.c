/* Calls in signal handlers against the close of a handle.

   Such a call cannot pin with its thread's record if the handler has interrupted a call that uses
   the pin, or the creation of the record. Then the pin is counted, in one of a few counters, chosen
   by the index of the slot. A counted call may also have to continue while a close is undecided:
   its thread may be the one that closes, or may hold the table's lock, which the close needs.

       counted call                         close, with the table's lock
       count += 1                           deciding = handle
       load deciding, then the tag          load count; if not 0, reopen
       ...                                  else the cached tag is cleared
       count -= 1                           deciding = 0

   Invariants:
   C1  If a thread's record names the handle in `closing`, that thread alone decides the close. So
       its signal handlers may continue while the close is undecided. A thread without a record
       blocks its signals instead.
   C2  A counted call whose thread may hold the table's lock (handle_table_mine, or a fork is under
       way) does not wait for a close that has not reached its decision. It continues if it loads
       another value than its handle from `deciding`, and then CLOSING from the cached tag: the
       decision that follows loads its count (Dekker) and reopens the object.
   C3  A counted call waits only for a decision that another thread is making with the table's lock,
       or, if its thread cannot hold that lock, for a close. In both cases its thread does not hold
       it, so the decision does not wait for it. The close may wait for a pin of that thread, but
       not without bound: a close that takes too long reopens the object.

   Checked by test/models/handler.pml. */
#include "backoff.h"
#include "guard.h"
#include "handle.h"
#include "handle_table.h"

/* There are several counters, so that a pin rarely delays the free of another object. */
#define COUNTS 64
static atomic_u32 counts[COUNTS];
atomic_word handle_deciding;

atomic_u32 *handle_count_of(void *handle)
{
  return &counts[handle_index(handle) % COUNTS];
}

void handle_leave_counted(void *handle)
{
  uint32_t count = load_relaxed(handle_count_of(handle));
  /* seq_cst: what the call did happens before a close loads the lower count. The count is 0 in a
     fork's child, if the call began before the fork. */
  while (count && !cas_seq_cst(handle_count_of(handle), &count, count - 1))
    ;
}

/* True if the call must not wait although CLOSING is set. `decided_now`: from `handle_deciding`,
   which was loaded before the cached tag. */
static bool may_not_wait(void *handle, bool decided_now)
{
  struct thread *own = thread_current;
  return (own && load_relaxed(&own->closing) == (uintptr_t)handle) ||  /* C1 */
         ((handle_table_mine || fork_is_under_way()) && !decided_now); /* C2 */
}

static bool enter_counted(void *handle)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  for (;;) {
    add_seq_cst(handle_count_of(handle), 1); /* seq_cst: Dekker with await_pins() and end_close() */
    bool decided_now = load_seq_cst(&handle_deciding) == (uintptr_t)handle;
    uint64_t tag_flags = load_seq_cst(&object->tag_flags);
    if (head_is(tag_flags, handle) ||
        (head_is(tag_flags & ~CLOSING, handle) && may_not_wait(handle, decided_now)))
      return true;
    handle_leave_counted(handle);
    if (!handle_is_undecided(object, handle))
      return false;
    backoff_wait(&backoff);
  }
}

struct object *handle_enter_safely_slow(struct thread **me, void *handle, enum kind kind)
{
  *me = NULL;
  if (!handle_is(handle, kind))
    return NULL;
  struct thread *own = thread_self_safely();
  if (own && !load_relaxed(&own->pin[PIN_INNER])) {
    struct object *object = handle_enter_fast(own, PIN_INNER, handle, kind);
    if (object) {
      *me = own;
      return object;
    }
    handle_leave(own, PIN_INNER);
  }
  return enter_counted(handle) ? handle_object(handle) : NULL;
}

void handle_counted_after_fork(void)
{
  for (int i = 0; i < COUNTS; i++)
    update_relaxed(&counts[i], 0);
  update_relaxed(&handle_deciding, 0);
}
