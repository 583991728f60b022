/* The close of a handle, and what a call does when it meets one. See handle.h; for calls in signal
   handlers (C1 ...), handle_counted.c.

   State transitions of a close, as other threads see them:

       open -> undecided    CLOSING is set in the head and in the cached tag. Calls that would pin
                            the object wait; a call with a time-out of 0 times out.
       undecided -> open    A thread waits in the object, or it is busy: the close fails. Or a
                            counted pin has come, or the head has changed: the close starts again.
                            Or a call still pins the object after a while: the close starts again
                            after a pause, so that other calls are not blocked by that one.
       undecided -> closed  The cached tag is cleared. From then on the handle is not live.
       closed -> retired    If the object is retired, which happens at once: the table's lock is
                            held from the start of the close. The tag in the head is cleared, too;
                            the state stays.
       closed, retired -> unused   No call is inside. The slot may be reused.

   Invariants:
   I1  A handle is live until its close is decided: while the tag in `head` is its own, and
       `tag_flags` has it, too; either may have CLOSING. `tag_flags` is set after the head, and
       cleared when the close is decided. Pinned calls check `tag_flags`.
   I2  The tags of a live object change only while the table's lock is held. The lock is not held
       while a close waits. A slot that is taken from the free list has no tag and belongs to the
       thread that takes it, until that thread makes the object live, without the lock.
   I3  A slot is reused only when its object was closed or retired, and no call pins it any more, in
       a record or by a count. (A call that comes later finds that the handle is not live.)
   I4  Each wait that `waiters` counts is of a thread that pins the object, or a resumable wait
       between two parts (P4 in resumable.h). So no thread waits in an object that was closed.
   I5  No thread sleeps in a retired object. A waiter counts itself, then checks the tag, then
       sleeps (block()). A free sets CLOSING in both copies of the tag, then loads `waiters`, and
       retires the object only if that is 0. All of these are seq_cst: either the free sees the
       waiter, or the waiter sees the tag. It then waits for the decision; if the object is retired,
       it returns ILK_EHANDLE.
   I6  Calls inside an object that may be retired change its head only by compare-and-swap with the
       tag, or as the holder of the mutex that it is. (A thread that unlocks an unowned mutex for
       another first makes its `retires` false: mutex_state.h, I9.) So the head of a retired object
       does not change, apart from its state.

   Checked by test/models/handle.pml, handler.pml and retire.pml, and by the scenarios handle* of
   test/models/real. */
#include "backoff.h"
#include "handle.h"
#include "handle_table.h"
#include "os.h"
#include "waitq.h"

/* How long a close that starts again leaves the object open for the calls that have waited. Each of
   them sleeps for less. */
#define REOPENED (4 * BACKOFF_LONGEST)

/* How long a waiter sleeps before it rechecks a close that is undecided. */
#define UNDECIDED (BACKOFF_LONGEST / 32)

/* --- pins ----------------------------------------------------------------------------- */

/* A thread that pins the object, or NULL. */
static struct thread *pinner(void *handle)
{
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    for (int i = 0; i < PINS; i++)
      /* Heavy side; pairs with handle_leave() too. */
      if (load_seq_cst(&r->pin[i]) == (uintptr_t)handle)
        return r;
  return NULL;
}

/* --- closing -------------------------------------------------------------------------- */

/* Results of an attempt, in addition to result codes. */
#define AGAIN 1           /* the close starts again soon, */
#define AGAIN_LATER 2     /* or after a while */
#define NOT_RETIRED AGAIN /* to be closed, not retired */

struct closing {
  struct object *object;
  void *handle;
  const struct kind_operations *kind;
  uint64_t head; /* with CLOSING */
};

static bool is_waited_for(const struct closing *c)
{
  return load_seq_cst(&c->object->waiters) &&
         !(c->kind->satisfied && c->kind->satisfied(c->object));
}

static bool is_busy(const struct closing *c, uint64_t head)
{
  return c->kind->busy && c->kind->busy(c->object, head_state(head));
}

/* With the table locked: sets CLOSING, unless a thread waits in the object, or a short check finds
   it busy. From then on compare-and-swaps of the head fail, and calls that pin load CLOSING. The
   cached tag gets it first and loses it last, so no call pins while the head has it. */
static int begin_close(struct closing *c)
{
  uint64_t head = load_acquire(&c->object->head);
  if (!head_is(head & ~CLOSING, c->handle))
    return ILK_EHANDLE;
  if (head & CLOSING) /* another thread closes it; the cached tag shows whether that is decided */
    return handle_is_undecided(c->object, c->handle) ? AGAIN : ILK_EHANDLE;
  do {
    if (is_waited_for(c) || (!c->kind->busy_takes_long && is_busy(c, head))) {
      and_seq_cst(&c->object->tag_flags, ~CLOSING);
      return ILK_EBUSY;
    }
    if (!(load_relaxed(&c->object->tag_flags) & CLOSING))
      or_seq_cst(&c->object->tag_flags, CLOSING);
    c->head = head | CLOSING;
  } while (!cas_seq_cst(&c->object->head, &head, c->head));
  return ILK_OK;
}

/* Waits until no thread pins the object. ILK_OK; ILK_EBUSY: a thread waits in the object;
   AGAIN_LATER: it takes too long. */
static int await_pins(const struct closing *c)
{
  fence_heavy(); /* from here on, pins that were set before CLOSING are visible */
  struct backoff backoff = {0};
  struct thread *inside;
  /* seq_cst: Dekker with enter_counted(). */
  for (; (inside = pinner(c->handle)) || load_seq_cst(handle_count_of(c->handle));
       backoff_wait(&backoff)) {
    if (inside)
      /* Its wait may be satisfied, and its wake deferred (see waitq.h). */
      waitq_wake_thread(inside);
    if (is_waited_for(c))
      return ILK_EBUSY;
    if (backoff_is_longest(&backoff))
      return AGAIN_LATER;
  }
  return ILK_OK;
}

/* With the table locked: decides the close. Closes the object for good, or opens it again. */
static int end_close(const struct closing *c, int result)
{
  store_seq_cst(&handle_deciding, (uintptr_t)c->handle); /* C2; pairs with enter_counted() */
  /* A counted call pins the object now, or has changed it and ended. Or the object is a mutex that
     was reset, or unlocked by two threads at once, which stores a head without CLOSING. */
  if (result == ILK_OK &&
      (load_seq_cst(handle_count_of(c->handle)) || load_seq_cst(&c->object->head) != c->head))
    result = AGAIN;
  if (result == ILK_OK) {
    and_seq_cst(&c->object->tag_flags, UINT32_MAX);
  } else {
    and_seq_cst(&c->object->head, ~CLOSING); /* keeps other changes of the state */
    and_seq_cst(&c->object->tag_flags, ~CLOSING);
  }
  store_release(&handle_deciding, 0); /* a call that loads this sees the decision */
  return result;
}

/* With the table locked: for signal handlers of the calling thread (C1). NULL: it decides none. */
static void set_closing(void *handle)
{
  struct thread *me = thread_current;
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
  /* The last call may have begun a resumable wait, which has no pin between its parts. And it may
     have changed state that is not in the head. */
  if (result == ILK_OK && (is_waited_for(c) || is_busy(c, c->head)))
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
  if (likely(thread_current))
    return close_now(c);
  os_signals signals; /* without a record, `closing` cannot be set */
  os_signals_block(&signals);
  int result = close_now(c);
  os_signals_restore(&signals);
  return result;
}

int handle_close(void *handle, enum kind kind)
{
  if (!handle_is(handle, kind))
    return ILK_EHANDLE;
  struct closing c = {handle_object(handle), handle, kind_operations[kind], 0};
  struct backoff backoff = {0};
  int result;
  while ((result = close_once(&c)) > ILK_OK)
    if (result == AGAIN)
      backoff_wait(&backoff);
    else
      backoff_sleep(REOPENED);
  return result;
}

/* --- retiring --------------------------------------------------------------------------- */

bool handle_retires(struct object *object)
{
  (void)object;
  return true;
}

/* With the table locked. */
static int close_and_retire(struct closing *c)
{
  if (!handle_retired_has_space())
    return NOT_RETIRED;
  int result = begin_close(c);
  if (result != ILK_OK)
    return result;
  set_closing(c->handle);
  /* seq_cst: after CLOSING was set; Dekker with handle_check_waiter() (I5). */
  bool waited_for = load_seq_cst(&c->object->waiters);
  bool retires = !waited_for && c->kind->retires(c->object);
  result = end_close(c, retires ? ILK_OK : NOT_RETIRED);
  set_closing(NULL);
  if (result == ILK_OK) {
    /* Without the tag. The state remains for calls that are inside. Release: one that loads it
       comes after the change that made the state, such as an event's set. */
    store_release(&c->object->head, head_state(c->head));
    handle_retired_add(c->handle);
  }
  return result;
}

/* Ends the life of the handle as handle_close() does, but waits for no call (I5). The slot is then
   recycled later. ILK_OK; ILK_EHANDLE; ILK_EBUSY; or NOT_RETIRED: call handle_close(). */
static int handle_retire(void *handle, enum kind kind)
{
  if (!handle_is(handle, kind))
    return ILK_EHANDLE;
  /* A thread without a record cannot set `closing` (C1). */
  if (unlikely(!kind_operations[kind]->retires || !thread_self()))
    return NOT_RETIRED;
  struct closing c = {handle_object(handle), handle, kind_operations[kind], 0};
  handle_table_lock();
  int result = close_and_retire(&c);
  bool many = handle_retired_are_many();
  handle_table_unlock();
  if (unlikely(many))
    handle_retired_recycle(false);
  return result;
}

int handle_free(void *handle, enum kind kind)
{
  int result;
  do {
    result = handle_retire(handle, kind);
    if (result == NOT_RETIRED && (result = handle_close(handle, kind)) == ILK_OK)
      handle_recycle(handle);
    /* Read locks and resumable waits of a thread whose exit went unnoticed end only now. */
  } while (unlikely(result == ILK_EBUSY) && load_relaxed(&thread_unnoticed_count) &&
           thread_end_unnoticed());
  return return_code(result);
}

/* --- calls that meet a close ------------------------------------------------------------ */

int handle_check_waiter(void *handle)
{
  struct object *object = handle_object(handle);
  /* seq_cst: Dekker with handle_retire() (I5). */
  uint64_t tag_flags = load_seq_cst(&object->tag_flags);
  if (likely(head_is(tag_flags, handle)))
    return ILK_OK;
  if (!head_is_undecided(tag_flags, handle))
    return ILK_EHANDLE;
  backoff_sleep(UNDECIDED);
  return ILK_EBUSY;
}

int handle_enter_slow(struct thread *me, enum pin pin, void *handle, int64_t timeout_ns)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  do {
    handle_leave(me, pin);
    if (!handle_is_undecided(object, handle))
      return ILK_EHANDLE;
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    backoff_wait(&backoff);
  } while (!head_is(fence_light(&me->pin[pin], (uintptr_t)handle, &object->tag_flags), handle));
  return ILK_OK;
}

int call_retry(const struct call *c, int64_t timeout_ns)
{
  struct backoff backoff = {0};
  call_end(c);
  while (load_acquire(&c->object->head) & CLOSING && handle_is_undecided(c->object, c->handle)) {
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    backoff_wait(&backoff);
  }
  return handle_enter_timed(c->me, PIN_INNER, c->handle, handle_kind(c->handle), timeout_ns);
}
