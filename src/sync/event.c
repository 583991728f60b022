/* Event: a flag, and the number of times that it was set.

   The state, the lower half of the object's head, is one of:

       generation << 1          not set
       generation << 1 | SET    set, for the generation-th time

   State transitions, by any thread:

       g << 1        -> (g + 1) << 1 | SET    set
       g << 1 | SET  -> g << 1                clear
       any           -> itself                set of a set event, clear of a clear one

   Each is one compare-and-swap of the head, which also checks the handle.

   Invariants:
   I1  A waiter has loaded a state that was not set. It may proceed once the state differs: the
       event is set, or was set and cleared since. (It would miss this only if the 31 bits wrapped
       around to the same number between two of its checks.) A resumable wait compares with the
       state in which it began, so no set between two of its parts is lost.
   I2  Setting an event that is set is also a compare-and-swap, not a load. Suppose one thread
       writes and then sets, and another clears and then reads. Either the first finds the flag
       cleared and sets it, or the second sees what was written. (All changes form one
       release-acquire chain, so a waiter sees what came before each of the sets, not only before
       the one that changed the flag.)
   I3  Waiters use the object's event count (block.h). A set stays pinned until it has woken them,
       so if the first of them frees the event, the free waits for the rest, and the slot is not
       reused before the set has ended. */
#include "kinds.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "handle.h"
#include "resumable.h"
#include "spin.h"

#define SET UINT32_C(1)

void *ilk_event_new(int flags)
{
  if (flags)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct object *e = handle_reserve(KIND_EVENT, &handle);
  return e ? handle_publish(e, handle, 0) : fail_null(ILK_ENOMEM);
}

/* --- set and clear ------------------------------------------------------------- */

static uint32_t after_set(uint32_t state)
{
  return state & SET ? state : state + 2 + SET;
}

static uint32_t after_clear(uint32_t state)
{
  return state & ~SET;
}

/* Called pinned. True: the state was `*was` and is now next(*was). False: the event is being
   freed. */
static inline bool change(struct object *e, void *handle, bool counted, uint32_t (*next)(uint32_t),
                          uint32_t *was)
{
  uint64_t head = load_relaxed(&e->head);
  do {
    if (unlikely(!handle_may_change(counted, head, handle)))
      return false;
    *was = head_state(head);
    /* seq_cst: before the load of `waiters`, see block.h; and I2. */
  } while (unlikely(!cas_seq_cst(&e->head, &head, (head ^ *was) | next(*was))));
  return true;
}

/* Called pinned; unpins at its end. False: the event is being freed. */
static inline bool set_pinned(struct object *e, void *event, struct thread *me)
{
  uint32_t was;
  bool changed = change(e, event, !me, after_set, &was);
  if (changed && !(was & SET) && load_seq_cst(&e->waiters))
    block_wake(&e->epoch, INT_MAX);
  handle_leave_safely(me, event);
  return changed;
}

/* Everything but the simple case: see handle_enter_safely(). */
COLD static int set_slow(void *event)
{
  struct thread *me;
  struct object *e;
  while ((e = handle_enter_safely_slow(&me, event, KIND_EVENT)))
    if (set_pinned(e, event, me))
      return ILK_OK;
  return fail(ILK_EHANDLE);
}

int ilk_event_set(void *event)
{
  struct thread *me = thread_pinnable;
  if (unlikely(load_relaxed(&me->pin[PIN_INNER])))
    return set_slow(event);
  struct object *e = handle_enter_fast(me, PIN_INNER, event, KIND_EVENT);
  if (unlikely(!e))
    handle_leave(me, PIN_INNER);
  else if (likely(set_pinned(e, event, me)))
    return ILK_OK;
  return set_slow(event);
}

int ilk_event_clear(void *event)
{
  struct call c;
  int begun = call_begin(&c, event, KIND_EVENT);
  if (unlikely(begun != ILK_OK))
    return fail(begun);
  struct object *e = c.object;
  uint32_t was;
  while (unlikely(!change(e, event, false, after_clear, &was)))
    if (call_retry(&c, -1) != ILK_OK)
      return fail(ILK_EHANDLE);
  call_end(&c);
  return ILK_OK;
}

/* --- wait ------------------------------------------------------------------------ */

/* ILK_OK: the state differs from `*context`, in which the event was not set (I1). */
static int check(const struct call *c, void *context, int ended)
{
  (void)ended;
  const uint32_t *unset = context;
  return head_state(load_seq_cst(&c->object->head)) != *unset ? ILK_OK : ILK_EBUSY;
}

/* The state with which a wait compares: that in which a resumable wait began, without SET; else the
   present one, `now` (I1). */
static uint32_t unset_before(const struct call *c, uint32_t now)
{
  const struct wait_slot *mine = resumable_slot(c->me, c->handle);
  return resumable_is_kept(mine) ? (uint32_t)mine->begun_in & ~SET : now;
}

/* A free changes the tag, not the state, and the slot is not reused while this thread is pinned. So
   only the state is checked; block() checks the tag. */
static int wait_pinned(const struct call *c, int64_t timeout_ns)
{
  struct object *e = c->object;
  uint32_t state = head_state(load_acquire(&e->head));
  if (state & SET)
    return ILK_OK;
  if (timeout_ns == 0)
    return ILK_ETIMEDOUT;
  uint32_t unset = unset_before(c, state);
  if (state != unset)
    return ILK_OK;
  int64_t deadline = clock_deadline(timeout_ns);
  struct spin spin = spin_begin(c->me);
  while (!load_relaxed(&e->waiters) && spin_again(&spin))
    if (head_state(load_acquire(&e->head)) != unset) {
      spin_won(&spin);
      return ILK_OK;
    }
  return block_until(c, deadline, check, &unset);
}

COLD static int wait_slow(void *handle, int64_t timeout_ns)
{
  return return_code(call_waiting(handle, KIND_EVENT, timeout_ns, wait_pinned));
}

int ilk_event_timedwait(void *event, int64_t timeout_ns)
{
  /* Acquire: pairs with the sets. */
  uint64_t head = load_acquire(&handle_object(event)->head);
  if (likely(handle_is(event, KIND_EVENT) && head_is(head, event) && head_state(head) & SET))
    return ILK_OK;
  return wait_slow(event, timeout_ns);
}

int ilk_event_wait(void *event)
{
  return ilk_event_timedwait(event, -1);
}

int ilk_event_is_set(void *event)
{
  uint64_t head = load_acquire(&handle_object(event)->head);
  if (!handle_is(event, KIND_EVENT) || !head_is_undecided(head, event))
    return fail(ILK_EHANDLE);
  return head_state(head) & SET;
}

/* --- the rest --------------------------------------------------------------------- */

int ilk_event_free(void *event)
{
  return handle_free(event, KIND_EVENT);
}

/* Acquire: what the caller of ilk_wait_begin() checks next is not older than this state. */
static uint64_t operation_begin(struct object *e)
{
  return head_state(load_acquire(&e->head));
}

static bool operation_is_satisfied(struct object *e)
{
  return head_state(load_seq_cst(&e->head)) & SET;
}

static void operation_describe(struct object *e, char *text, size_t size)
{
  snprintf(text, size, "%s", head_state(load_acquire(&e->head)) & SET ? "set" : "not set");
}

const struct kind_operations event_operations = {
  .name = "event",
  .begin = operation_begin,
  .satisfied = operation_is_satisfied,
  .retires = handle_retires,
  .describe = operation_describe,
};
