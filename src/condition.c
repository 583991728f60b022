/* Condition: a queue of sleepers, first in, first out. Each sleeps on its own record's
   signal, so no later waiter can steal a notify (glibc 25847).

       waiter:  join the queue;  give up the mutex;  sleep;  leave the queue;
                unpin the condition;  take the mutex back
       notify:  take n out of the queue, each with SIGNAL_GIVEN;  wake them, but those
                that need a mutex which the caller holds, when it unlocks it

   Invariants:
   I1  A waiter joins before it gives up the mutex: a notify by a thread that locked the
       mutex since then finds it in the queue (and sees waiters > 0 without a lock).
   I2  Who is out of the queue has been notified. A waiter whose time is up takes itself
       out with the queue locked, and if it finds that it is out already, then the
       notify was its own: it answers ILK_OK, and none is lost.
   I3  A wait in parts stays a waiter between them, in the count `between` and in the
       object's `waiters` instead of in the queue. Notifies that find the queue empty are
       `owed` to those, owed <= between, and the next part, or the end, takes one. Who changes
       places adds to `waiters` before it takes from it, for those that look without the lock.
   I4  Before the mutex, which may have a queue for the same record, the waiter has left
       this one, and unpinned the condition, which may be freed by then. */
#include "condition.h"

#include <limits.h>

#include "block.h"
#include "gil.h"
#include "mutex.h"
#include "waitq.h"

#define BATCH 32 /* woken at a time, once the queue is unlocked */

struct condition {
  struct object object;
  LATE_LOOKS;
  uint32_t between, owed; /* I3 */
  struct waitq queue;
};
_Static_assert(sizeof(struct condition) <= CACHE_LINE, "an object fills one cache line");

void *ilk_condition_new(int flags)
{
  if (flags)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct object *c = handle_reserve(KIND_CONDITION, &handle);
  return c ? handle_publish(c, handle, 0) : fail_null(ILK_ENOMEM);
}

/* --- notify -------------------------------------------------------------------------- */

/* Pinned. Those that come while it runs are none of its business: it ends. */
static void notify_pinned(struct condition *c, struct self *me, uint32_t n)
{
  for (bool first = true; n > 0; first = false) {
    struct self *woken[BATCH];
    void *mutex[BATCH];
    int count = 0;
    waitq_lock(&c->object);
    uint32_t waiters = load_relaxed(&c->object.waiters);
    if (first && n > waiters)
      n = waiters;
    while (n > 0 && count < BATCH && c->queue.first) {
      struct self *record = c->queue.first;
      waitq_remove(&c->object, &c->queue, record);
      mutex[count] = record->queue_mutex; /* the next line lets the thread go on, to another condition perhaps */
      waitq_signal(record, SIGNAL_GIVEN);
      woken[count++] = record;
      n--;
    }
    if (!c->queue.first) {
      uint32_t most = c->between - c->owed;
      c->owed += n < most ? n : most;
      n = 0;
    }
    waitq_unlock(&c->object);
    /* A record is never unmapped; a wake that comes late finds a thread that looks again. */
    for (int i = 0; i < count; i++)
      if (!mutex_wake_at_unlock(mutex[i], me, woken[i])) {
        waitq_wake_late(me); /* in the order in which they came */
        waitq_wake(woken[i]);
      }
  }
}

COLD static int notify_slow(void *handle, uint32_t n)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct condition *c = (struct condition *)handle_enter(me, PIN_INNER, handle, KIND_CONDITION);
  if (!c)
    return fail(ILK_EHANDLE);
  notify_pinned(c, me, n);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

int ilk_condition_notify(void *condition, int n)
{
  struct object *object = handle_object(condition);
  /* Nobody waits: two loads. What we look at is that condition's if it lives still, and
     if not, any answer will do. Acquire: the looks are in this order. */
  if (likely(n >= 0) && handle_is(condition, KIND_CONDITION) &&
      head_is(load_acquire(&object->head), condition) && !load_acquire(&object->waiters))
    return ILK_OK;
  int result = notify_slow(condition, n < 0 ? 0 : (uint32_t)n);
  return result == ILK_OK && n < 0 ? fail(ILK_EINVAL) : result;
}

int ilk_condition_notify_all(void *condition)
{
  return ilk_condition_notify(condition, INT_MAX);
}

/* --- wait ----------------------------------------------------------------------------- */

/* With the queue locked: one less between two parts; none, in a fork's child. True: it was owed a notify. */
static bool come_back(struct condition *c)
{
  if (!c->between)
    return false;
  c->between--;
  sub_seq_cst(&c->object.waiters, 1);
  bool owed = c->owed > 0;
  c->owed -= owed;
  return owed;
}

/* False: no need to, a notify came between two parts. */
static bool join(struct condition *c, struct self *me, void *mutex, bool part)
{
  waitq_lock(&c->object);
  me->queue_mutex = mutex;
  waitq_append(&c->object, &c->queue, me);
  bool owed = part && come_back(c);
  if (owed)
    waitq_remove(&c->object, &c->queue, me);
  waitq_unlock(&c->object);
  return !owed;
}

/* False: a notify was faster. True: out of the queue, of a part into `between`. */
static bool leave(struct condition *c, struct self *me, bool part)
{
  waitq_lock(&c->object);
  bool queued = load_relaxed(&me->signal) != SIGNAL_GIVEN;
  if (queued) {
    if (part) {
      c->between++;
      add_seq_cst(&c->object.waiters, 1);
    }
    waitq_remove(&c->object, &c->queue, me);
  }
  waitq_unlock(&c->object);
  return queued;
}

/* In the queue, and then out of it: ILK_OK: notified; or what else ended the wait. */
static int sleep_in_queue(struct condition *c, void *handle, struct self *me, int64_t deadline, bool part)
{
  int result = ILK_OK;
  while (result == ILK_OK) {
    if (load_acquire(&me->signal) == SIGNAL_GIVEN) /* pairs with waitq_signal() */
      return ILK_OK;
    result = block(me, handle, 0, &me->signal, SIGNAL_NONE, deadline, 0);
  }
  return leave(c, me, part) ? result : ILK_OK;
}

/* The whole of it; `part`: of a wait in parts. */
static int wait(void *condition, void *mutex, int64_t timeout_ns, bool part)
{
  struct self *me = self_get();
  if (!me)
    return ILK_ENOMEM;
  struct condition *c = (struct condition *)handle_enter(me, PIN_OUTER, condition, KIND_CONDITION);
  if (!c)
    return ILK_EHANDLE;
  int64_t deadline = clock_deadline(timeout_ns);
  uint32_t depth;
  if (!join(c, me, mutex, part)) {
    handle_leave(me, PIN_OUTER);
    return ILK_OK;
  }
  int result = mutex_give_up(mutex, me, &depth);
  if (result != ILK_OK) {
    if (!leave(c, me, false))
      notify_pinned(c, me, 1); /* that notify was for another */
    handle_leave(me, PIN_OUTER);
    return result;
  }
  result = sleep_in_queue(c, condition, me, deadline, part);
  handle_leave(me, PIN_OUTER);
  int taken = mutex_take_back(mutex, me, depth);
  if (taken != ILK_OK && part && result != ILK_OK) /* what we answer ends the wait */
    ilk_condition_wait_end(condition);
  gil_reacquire(me);
  return taken == ILK_OK ? result : taken;
}

int ilk_condition_timedwait(void *condition, void *mutex, int64_t timeout_ns)
{
  return answer(wait(condition, mutex, timeout_ns, false));
}

int ilk_condition_wait(void *condition, void *mutex)
{
  return ilk_condition_timedwait(condition, mutex, -1);
}

int ilk_condition_wait_part(void *condition, void *mutex, int64_t timeout_ns)
{
  return answer(wait(condition, mutex, timeout_ns, true));
}

/* Begins or ends a wait in parts. */
static int begin_or_end(void *condition, bool begin)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct condition *c = (struct condition *)handle_enter(me, PIN_INNER, condition, KIND_CONDITION);
  if (!c)
    return fail(ILK_EHANDLE);
  bool owed = false;
  waitq_lock(&c->object);
  if (begin) {
    c->between++;
    add_seq_cst(&c->object.waiters, 1);
  } else {
    owed = come_back(c);
  }
  waitq_unlock(&c->object);
  handle_leave(me, PIN_INNER);
  return owed;
}

int ilk_condition_wait_begin(void *condition)
{
  return begin_or_end(condition, true);
}

int ilk_condition_wait_end(void *condition)
{
  return begin_or_end(condition, false);
}

/* --- the rest -------------------------------------------------------------------------- */

int ilk_condition_free(void *condition)
{
  return handle_free(condition, KIND_CONDITION, NULL);
}

static void operation_after_fork(struct object *object)
{
  struct condition *c = (struct condition *)object;
  if (c->queue.first)
    c->queue = (struct waitq){0};
  if (c->between || c->owed)
    c->between = c->owed = 0;
}

const struct kind_operations condition_operations = {
    .name = "condition",
    .after_fork = operation_after_fork,
};
