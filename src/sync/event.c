/* Event: a flag, and the number of times that it was set.

   The law of the state, the lower half of the object's head:

       generation << 1          not set
       generation << 1 | SET    set, for the generation-th time

       g << 1        -> (g + 1) << 1 | SET    any thread    set
       g << 1 | SET  -> g << 1                any thread    clear
       any           -> itself                any thread    set when set, clear when not

   all by compare-and-swap, so together with the check of the handle.

   Invariants:
   I1  A waiter saw a state that was not set. It may go on once the state is another:
       set, or set and cleared since. (The 31 bits would have to come round to
       the same number while it looks away once.)
   I2  Setting what is set is a compare-and-swap too, and not a load: of a thread that
       writes and then sets, and one that clears and then reads, either the first sees
       the flag cleared and sets it, or the second sees what was written. (All changes
       are one chain of release and acquire, so a waiter also sees what came
       before any of the sets, not only before the one that changed the flag.)
   I3  Waiters use the object's event count (block.h). Who sets is pinned until it has woken
       them, so a free by the first that gets through waits for it, and for them. */
#include "event.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "gil.h"
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

/* Pinned. True: it is now what `next` makes of `*was`; false: it is being freed. */
static inline bool change(struct object *e, void *handle, bool counted, uint32_t (*next)(uint32_t), uint32_t *was)
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

/* Pinned, and unpinned at its end. False: it is being freed. */
static inline bool set_pinned(struct object *e, void *event, struct self *me)
{
  uint32_t was;
  bool changed = change(e, event, !me, after_set, &was);
  if (changed && !(was & SET) && load_seq_cst(&e->waiters))
    block_wake(e, INT_MAX);
  handle_leave_safely(me, event);
  return changed;
}

/* All that is not simple: see handle_enter_safely(). */
COLD static int set_slow(void *event)
{
  struct self *me;
  struct object *e;
  while ((e = handle_enter_safely_slow(&me, event, KIND_EVENT)))
    if (set_pinned(e, event, me))
      return ILK_OK;
  return fail(ILK_EHANDLE);
}

int ilk_event_set(void *event)
{
  struct self *me = self_pinnable;
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
  struct self *me = self_get();
  if (unlikely(!me))
    return fail(ILK_ENOMEM);
  struct object *e = handle_enter(me, PIN_INNER, event, KIND_EVENT);
  if (unlikely(!e))
    return fail(ILK_EHANDLE);
  uint32_t was;
  while (unlikely(!change(e, event, false, after_clear, &was)))
    if (handle_retry(me, PIN_INNER, event, -1) != ILK_OK)
      return fail(ILK_EHANDLE);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

/* --- wait ------------------------------------------------------------------------ */

static int wait(struct object *e, void *handle, struct self *me, uint32_t unset, int64_t timeout_ns)
{
  int64_t deadline = clock_deadline(timeout_ns);
  int result = ILK_OK;
  block_announce(e);
  for (;;) {
    uint32_t turn = load_seq_cst(&e->turn);
    if (head_state(load_seq_cst(&e->head)) != unset) {
      result = ILK_OK;
      break;
    }
    if (result != ILK_OK)
      break;
    result = block(me, handle, 0, &e->turn, turn, deadline, 0);
  }
  block_withdraw(e);
  return result;
}

/* A free that is under way changes the tag, not the state; and as long as we are
   pinned it does not come to its end, so the state alone is looked at. */
static int wait_pinned(struct object *e, void *handle, struct self *me, int64_t timeout_ns)
{
  uint32_t unset = head_state(load_acquire(&e->head));
  if (unset & SET)
    return ILK_OK;
  if (timeout_ns == 0)
    return ILK_ETIMEDOUT;
  struct spin spin = spin_begin(me);
  while (!load_relaxed(&e->waiters) && spin_again(&spin))
    if (head_state(load_acquire(&e->head)) != unset) {
      spin_won(&spin);
      return ILK_OK;
    }
  return wait(e, handle, me, unset, timeout_ns);
}

COLD static int wait_slow(void *handle, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  int result = handle_enter_timed(me, PIN_INNER, handle, KIND_EVENT, timeout_ns);
  if (result != ILK_OK)
    return fail(result);
  result = wait_pinned(handle_object(handle), handle, me, timeout_ns);
  handle_leave(me, PIN_INNER);
  gil_reacquire(me);
  return answer(result);
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
  uint64_t head = load_acquire(&handle_object(event)->head) & ~((uint64_t)TAG_CLOSING << 32);
  if (!handle_is(event, KIND_EVENT) || !head_is(head, event))
    return fail(ILK_EHANDLE);
  return head_state(head) & SET;
}

/* --- the rest --------------------------------------------------------------------- */

int ilk_event_free(void *event)
{
  return handle_free(event, KIND_EVENT, NULL);
}

static bool operation_let_go(struct object *e)
{
  return head_state(load_seq_cst(&e->head)) & SET;
}

static void operation_describe(void *handle, struct object *e, char *text, size_t size)
{
  (void)handle;
  snprintf(text, size, "%s", head_state(load_acquire(&e->head)) & SET ? "set" : "not set");
}

const struct kind_operations event_operations = {
    .name = "event",
    .let_go = operation_let_go,
    .describe = operation_describe,
};
