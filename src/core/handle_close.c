/* How a handle is taken out of use, and what the calls do that meet it. See handle.h.

   A call in a signal handler cannot pin with the record of its thread, if the handler has interrupted a call that
   uses that pin, or the making of the record. Then the pin is counted, in one of a few counts, by the remainder of the
   slot. And such a call may have to go on while a close is undecided: its thread may be the one that closes, or hold
   the table's lock, which the close needs.

       counted call                         close, with the table's lock
       count += 1                           deciding = handle
       load deciding, then seal             load count: not 0, then reopen
       ...                                  else the seal loses its tag
       count -= 1                           deciding = 0

   Invariants:
   C1  Only the thread whose record names the handle in `closing` decides that close, so a handler of this thread may
       go on until it is decided.
   C2  A counted call that has loaded CLOSING in the seal, and before that not its handle in `deciding`, goes on if it
       cannot wait. The decision comes after its count, and sees that (Dekker).
   C3  A counted call waits only for a decision that a thread with the table's lock is making, or, outside of
       handle_table_mine, for a close. Neither needs anything of the thread that waits. */
#include "backoff.h"
#include "fork.h"
#include "handle.h"
#include "handle_table.h"
#include "signals.h"
#include "waitq.h"

/* So long the object is open again for calls that waited, each of which sleeps less. */
#define REOPENED (4 * BACKOFF_LONGEST)

/* Waits for a step of another thread, which may need the guards. NULL: for as long as REOPENED. */
static void wait_for_others(struct backoff *backoff)
{
  bool suspended = fork_suspend();
  if (backoff)
    backoff_wait(backoff);
  else
    backoff_sleep(REOPENED);
  if (suspended)
    fork_resume();
}

/* --- pins ----------------------------------------------------------------------------- */

/* A thread that is inside, or NULL. */
static struct self *pinner(void *handle)
{
  for (struct self *r = self_first_live(); r; r = self_next_live(r))
    for (int i = 0; i < PINS; i++)
      if (load_seq_cst(&r->pin[i]) == (uintptr_t)handle) /* heavy side; pairs with handle_leave() too */
        return r;
  return NULL;
}

/* Counted pins. There are several counts, so that a pin seldom delays the free of another object. */
#define COUNTS 64
static atomic_u32 counts[COUNTS];
static atomic_word deciding; /* the handle whose close is being decided; written with the table's lock */

static atomic_u32 *count_of(void *handle)
{
  return &counts[handle_index(handle) % COUNTS];
}

static bool is_waited_for(struct object *object, enum kind kind)
{
  const struct kind_operations *operations = kind_operations[kind];
  return load_seq_cst(&object->waiters) && !(operations->let_go && operations->let_go(object));
}

/* --- closing -------------------------------------------------------------------------- */

/* What a close comes to besides codes: it is to begin again, soon or after a while. */
#define AGAIN 1
#define AGAIN_LATER 2

struct closing {
  struct object *object;
  void *handle;
  enum kind kind;
  bool (*busy)(struct object *, uint32_t state); /* or NULL */
  uint64_t head; /* with CLOSING */
};

/* With the table locked: sets CLOSING, unless something objects. From then on compare-and-swaps of the head fail,
   and calls that pin see CLOSING. It is in the seal as long as it is in the head, so that a call that sees it in the
   head does not pin. */
static int begin_close(struct closing *c)
{
  uint64_t head = load_acquire(&c->object->head);
  if (!head_is(head & ~CLOSING, c->handle))
    return ILK_EHANDLE;
  if (head & CLOSING) /* another thread closes it; the seal tells whether that is decided */
    return handle_is_undecided(c->object, c->handle) ? AGAIN : ILK_EHANDLE;
  do {
    if (is_waited_for(c->object, c->kind) || (c->busy && c->busy(c->object, head_state(head)))) {
      and_seq_cst(&c->object->seal, ~CLOSING);
      return ILK_EBUSY;
    }
    if (!(load_relaxed(&c->object->seal) & CLOSING))
      or_seq_cst(&c->object->seal, CLOSING);
    c->head = head | CLOSING;
  } while (!cas_seq_cst(&c->object->head, &head, c->head));
  return ILK_OK;
}

/* Waits until nobody is inside: ILK_OK; ILK_EBUSY: one of them turns out to be a waiter; AGAIN_LATER: it takes
   too long. */
static int await_pins(const struct closing *c)
{
  fence_heavy(); /* pins that came before CLOSING are seen from here on */
  struct backoff backoff = {0};
  struct self *inside;
  /* seq_cst: Dekker with enter_counted(). */
  for (; (inside = pinner(c->handle)) || load_seq_cst(count_of(c->handle)); wait_for_others(&backoff)) {
    if (inside)
      waitq_wake_thread(inside); /* it may have been let go, and its wake put off (see waitq.h) */
    if (is_waited_for(c->object, c->kind))
      return ILK_EBUSY;
    if (backoff_is_longest(&backoff))
      return AGAIN_LATER;
  }
  return ILK_OK;
}

/* With the table locked: closes it for good, or opens it again. */
static int end_close(const struct closing *c, int result)
{
  store_seq_cst(&deciding, (uintptr_t)c->handle); /* C2; pairs with enter_counted() */
  /* A call in a handler may be inside, or have been. The last call inside may have stored a head without CLOSING. */
  if (result == ILK_OK && (load_seq_cst(count_of(c->handle)) || load_seq_cst(&c->object->head) != c->head))
    result = AGAIN;
  if (result == ILK_OK) {
    and_seq_cst(&c->object->seal, UINT32_MAX);
  } else {
    and_seq_cst(&c->object->head, ~CLOSING); /* and keeps what else changed */
    and_seq_cst(&c->object->seal, ~CLOSING);
  }
  store_release(&deciding, 0); /* a call that loads this sees the decision */
  return result;
}

/* For handlers of the calling thread: see C1. With the table locked. */
static void set_closing(void *handle)
{
  struct self *me = self_current;
  atomic_signal_fence(memory_order_seq_cst);
  if (likely(me))
    store_relaxed(&me->closing, (uintptr_t)handle);
  atomic_signal_fence(memory_order_seq_cst);
}

static int close_now(struct closing *c)
{
  handle_table_lock();
  int result = begin_close(c);
  if (result == ILK_OK)
    set_closing(c->handle);
  handle_table_unlock();
  if (result != ILK_OK)
    return result;
  result = await_pins(c);
  /* The last call inside may have begun a wait in parts, which is not pinned between them. And where the state is not
     in the head, it may have changed that. */
  if (result == ILK_OK &&
      (is_waited_for(c->object, c->kind) || (c->busy && c->busy(c->object, head_state(c->head)))))
    result = ILK_EBUSY;
  handle_table_lock();
  result = end_close(c, result);
  set_closing(NULL);
  handle_table_unlock();
  return result;
}

/* One attempt. */
static int close_once(struct closing *c)
{
  if (likely(self_current))
    return close_now(c);
  sigset_t signals; /* there is no record to set `closing` in */
  signals_block(&signals);
  int result = close_now(c);
  signals_restore(&signals);
  return result;
}

int handle_close(void *handle, enum kind kind, bool (*busy)(struct object *, uint32_t state))
{
  if (!handle_is(handle, kind))
    return ILK_EHANDLE;
  struct closing c = {handle_object(handle), handle, kind, busy, 0};
  struct backoff backoff = {0};
  int result;
  while ((result = close_once(&c)) > ILK_OK)
    wait_for_others(result == AGAIN ? &backoff : NULL);
  return result;
}

int handle_free(void *handle, enum kind kind, bool (*busy)(struct object *, uint32_t state))
{
  int result = handle_close(handle, kind, busy);
  if (result != ILK_OK)
    return fail(result);
  handle_recycle(handle, true);
  return ILK_OK;
}

/* --- calls that meet a close ------------------------------------------------------------ */

int handle_enter_slow(struct self *me, enum pin pin, void *handle, int64_t timeout_ns)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  do {
    handle_leave(me, pin);
    if (!handle_is_undecided(object, handle))
      return ILK_EHANDLE;
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    wait_for_others(&backoff);
  } while (!head_is(fence_light(&me->pin[pin], (uintptr_t)handle, &object->seal), handle));
  return ILK_OK;
}

int handle_retry(struct self *me, enum pin pin, void *handle, int64_t timeout_ns)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  handle_leave(me, pin);
  while (load_acquire(&object->head) & CLOSING && handle_is_undecided(object, handle)) {
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    wait_for_others(&backoff);
  }
  uint64_t seal = fence_light(&me->pin[pin], (uintptr_t)handle, &object->seal);
  return head_is(seal, handle) ? ILK_OK : handle_enter_slow(me, pin, handle, timeout_ns);
}

/* --- calls in signal handlers ------------------------------------------------------- */

void handle_leave_counted(void *handle)
{
  uint32_t count = load_relaxed(count_of(handle));
  /* seq_cst: what was done within comes before a close sees it gone. 0: this was before a fork. */
  while (count && !cas_seq_cst(count_of(handle), &count, count - 1))
    ;
}

/* May the call go on although CLOSING is set? `decided_now`: by `deciding`, which was loaded before the seal. */
static bool may_not_wait(void *handle, bool decided_now)
{
  struct self *own = self_current;
  return (own && load_relaxed(&own->closing) == (uintptr_t)handle) || /* C1 */
         (handle_table_mine && !decided_now);                         /* C2 */
}

static bool enter_counted(void *handle)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  for (;;) {
    add_seq_cst(count_of(handle), 1); /* seq_cst: Dekker with await_pins() and end_close() */
    bool decided_now = load_seq_cst(&deciding) == (uintptr_t)handle;
    uint64_t seal = load_seq_cst(&object->seal);
    if (head_is(seal, handle) || (head_is(seal & ~CLOSING, handle) && may_not_wait(handle, decided_now)))
      return true;
    handle_leave_counted(handle);
    if (!handle_is_undecided(object, handle))
      return false;
    backoff_wait(&backoff);
  }
}

struct object *handle_enter_safely_slow(struct self **me, void *handle, enum kind kind)
{
  *me = NULL;
  if (!handle_is(handle, kind))
    return NULL;
  struct self *own = self_get_safely();
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

void handle_close_after_fork(void)
{
  for (int i = 0; i < COUNTS; i++)
    update_relaxed(&counts[i], 0);
  update_relaxed(&deciding, 0);
}
