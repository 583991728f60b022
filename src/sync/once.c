/* Once. The thread that performs the action holds the object like an owned mutex, so that its death
   and deadlock cycles are detected.

   The state, the lower half of the object's head, is one of:

       NEW     no thread has begun, or the last one did not succeed
       id      that thread performs the action
       DONE    the action is done

   State transitions, all by compare-and-swap:

       NEW -> id        any thread       begin, returns 1
       dead id -> id'   any thread       begin, returns 1
       id -> DONE       that thread      end, succeeded
       id -> NEW        that thread      end, failed

   Invariants:
   I1  Only the thread itself changes a live id. It is alive and the object is busy, so the head
       does not contain CLOSING then.
   I2  DONE is final. A begin that sees it needs only that one load, whose acquire pairs with the
       release of end.
   I3  Waiters use the object's event count (block.h). Every end wakes them all: after a failure the
       first to recheck begins, and the others wait for it. ilk_once_end() stays pinned until it has
       woken them, so if the first of them frees the object, the free waits for the rest, and the
       slot is not reused before that call has ended. */
#include "kinds.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "handle.h"

#define NEW UINT32_C(0)
#define DONE (UINT32_C(1) << 31)

_Static_assert(ILK_OWNER_DIED == 1,
               "the thread that takes over from a dead one gets ILK_OWNER_DIED, and so begins");
#define BEGUN 1 /* the caller performs the action */

void *ilk_once_new(int flags)
{
  if (flags)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct object *o = handle_reserve(KIND_ONCE, &handle);
  return o ? handle_publish(o, handle, NEW) : fail_null(ILK_ENOMEM);
}

static uint32_t runner(uint64_t head)
{
  return head_state(head) & ID_MAX;
}

/* --- begin -------------------------------------------------------------------------- */

/* Called pinned. One attempt: ILK_OK: done. BEGUN: the caller performs the action. ILK_EBUSY:
   another thread performs it. ILK_EDEADLK: the caller itself has begun it. ILK_EHANDLE: the object
   is being freed; the free may still fail. */
static int attempt(struct object *o, void *handle, struct thread *me)
{
  for (;;) {
    /* Acquire: pairs with the end that succeeded. seq_cst: after the load of `epoch`, see
       block.h. */
    uint64_t head = load_seq_cst(&o->head);
    if (head_state(head) == DONE)
      return ILK_OK; /* also while it is being freed: that free may wait for this thread */
    if (!head_is(head, handle))
      return ILK_EHANDLE;
    if (runner(head) == thread_id(me))
      return ILK_EDEADLK;
    if (runner(head) && thread_find(runner(head)))
      return ILK_EBUSY;
    /* Acquire: pairs with the end that failed. What a dead thread did is ordered by thread_find().
       Release: a thread that loads our id finds our record in thread_find(). */
    if (cas_acq_rel(&o->head, &head, head_of(handle, thread_id(me))))
      return BEGUN;
  }
}

static int check(const struct call *c, void *context, int ended)
{
  (void)context, (void)ended;
  return attempt(c->object, c->handle, c->me);
}

static int begin_pinned(const struct call *c, int64_t timeout_ns)
{
  int result;
  while ((result = attempt(c->object, c->handle, c->me)) == ILK_EHANDLE)
    if ((result = call_retry(c, timeout_ns)) != ILK_OK)
      return result;
  if (timeout_ns == 0 && (result == ILK_EBUSY || result == ILK_EDEADLK))
    return ILK_ETIMEDOUT; /* a try never waits, so it cannot deadlock */
  return result == ILK_EBUSY ? block_until(c, clock_deadline(timeout_ns), check, NULL) : result;
}

COLD static int begin_slow(void *handle, int64_t timeout_ns)
{
  return call_waiting(handle, KIND_ONCE, timeout_ns, begin_pinned);
}

static inline bool is_done(void *once)
{
  /* Acquire: pairs with the end that succeeded. */
  uint64_t head = load_acquire(&handle_object(once)->head);
  return handle_is(once, KIND_ONCE) && head == head_of(once, DONE);
}

int ilk_once_begin(void *once)
{
  return likely(is_done(once)) ? ILK_OK : return_code(begin_slow(once, -1));
}

int ilk_once_timedbegin(void *once, int64_t timeout_ns)
{
  return likely(is_done(once)) ? ILK_OK : return_code(begin_slow(once, timeout_ns));
}

int ilk_once_trybegin(void *once)
{
  return likely(is_done(once)) ? ILK_OK : try_code(begin_slow(once, 0));
}

/* --- end ----------------------------------------------------------------------------- */

int ilk_once_end(void *once, int succeeded)
{
  struct call c;
  int begun = call_begin(&c, once, KIND_ONCE);
  if (begun != ILK_OK)
    return fail(begun);
  struct object *o = c.object;
  uint64_t mine = head_of(once, thread_id(c.me));
  /* Release: a thread that sees DONE sees what was done. seq_cst: before the load of `waiters`. */
  bool ended = cas_seq_cst(&o->head, &mine, head_of(once, succeeded ? DONE : NEW));
  if (ended && load_seq_cst(&o->waiters))
    block_wake(&o->epoch, INT_MAX);
  call_end(&c);
  return ended ? ILK_OK : fail(ILK_EPERM);
}

/* --- the rest -------------------------------------------------------------------------- */

static bool is_busy(struct object *o, uint32_t state)
{
  (void)o;
  return state != NEW && state != DONE && thread_find(state);
}

int ilk_once_free(void *once)
{
  return handle_free(once, KIND_ONCE);
}

static uint32_t operation_holder(struct object *o, int64_t index)
{
  (void)index;
  return runner(load_relaxed(&o->head));
}

static void operation_holder_died(struct object *o, int64_t index)
{
  (void)index;
  block_wake(&o->epoch, INT_MAX);
}

static bool operation_is_satisfied(struct object *o)
{
  return head_state(load_seq_cst(&o->head)) == DONE;
}

static void operation_describe(struct object *o, char *text, size_t size)
{
  uint64_t head = load_acquire(&o->head);
  if (runner(head))
    snprintf(text, size, "begun by thread %u", (unsigned)runner(head));
  else
    snprintf(text, size, "%s", head_state(head) == DONE ? "done" : "not begun");
}

const struct kind_operations once_operations = {
  .name = "once",
  .holder = operation_holder,
  .holder_died = operation_holder_died,
  .satisfied = operation_is_satisfied,
  .busy = is_busy,
  .retires = handle_retires,
  .describe = operation_describe,
};
