/* Condition: a queue of sleepers, first in, first out. Each sleeps on the signal of its own place,
   so no later waiter can steal a notify (glibc 25847).

       waiter:  join the queue;  release the mutex;  sleep;  leave the queue;
                unpin the condition;  reacquire the mutex
       notify:  take n out of the queue, each with SIGNAL_GIVEN;  wake them, but those
                that need a mutex which the caller holds, when it unlocks it

   Invariants:
   I1  A waiter joins before it releases the mutex: a notify by a thread that locked the
       mutex since then finds it in the queue (and sees waiters > 0 without a lock).
   I2  A place out of the queue has been notified. A waiter whose time is up takes itself
       out with the queue locked, and if it finds that it is out already, then the
       notify was its own: it returns ILK_OK, and none is lost.
   I3  A wait in parts (parts.h) has its place in the queue from its begin on, and between two parts.
       So a notify that comes then is given to it in its turn, and to nobody who waits later.
   I4  Before the mutex, which may have a queue for the same thread, the waiter has left
       this one, or keeps its place there, and unpinned the condition, which may be freed by then. */
#include "condition.h"

#include <limits.h>

#include "block.h"
#include "gil.h"
#include "mutex.h"
#include "parts.h"
#include "waitq.h"

#define BATCH 32 /* woken at a time, once the queue is unlocked */

struct condition {
  struct object object;
  LATE_LOOKS;
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
    struct queue_place *woken[BATCH];
    void *mutex[BATCH];
    int count = 0;
    waitq_lock(&c->object);
    uint32_t waiters = load_relaxed(&c->object.waiters);
    if (first && n > waiters)
      n = waiters;
    while (n > 0 && count < BATCH && c->queue.first) {
      struct queue_place *place = c->queue.first;
      if (parts_is_kept(place))
        add_seq_cst(&c->object.waiters, 1); /* it counts until it takes note (P4 of parts.h) */
      waitq_remove(&c->object, &c->queue, place);
      mutex[count] = place->mutex; /* the next line lets the thread go on, to another condition perhaps */
      waitq_signal(place, SIGNAL_GIVEN);
      woken[count++] = place;
      n--;
    }
    if (!c->queue.first)
      n = 0;
    waitq_unlock(&c->object);
    /* A place is never unmapped; a wake that comes late finds a thread that looks again. */
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

/* A notify was given to the caller: it takes note (P3 of parts.h). Out of the queue, nobody else writes the signal. */
static void take_note(struct condition *c, struct queue_place *mine)
{
  store_relaxed(&mine->signal, SIGNAL_NONE);
  if (parts_is_kept(mine))
    sub_seq_cst(&c->object.waiters, 1);
}

/* At the end of the queue, or where a wait in parts is already. False: no need to, a notify came between two parts. */
static bool join(struct condition *c, struct queue_place *mine, void *mutex)
{
  waitq_lock(&c->object);
  bool notified = parts_is_kept(mine) && load_relaxed(&mine->signal) == SIGNAL_GIVEN;
  mine->mutex = mutex;
  if (notified)
    take_note(c, mine);
  else if (!waitq_has(&c->queue, mine))
    waitq_append(&c->object, &c->queue, mine);
  waitq_unlock(&c->object);
  return !notified;
}

/* False: a notify was faster. True: the place is out of the queue, or, if it stays, still in it. */
static bool leave(struct condition *c, struct queue_place *mine, bool stays)
{
  waitq_lock(&c->object);
  bool notified = load_relaxed(&mine->signal) == SIGNAL_GIVEN;
  if (notified)
    take_note(c, mine);
  else if (!stays)
    waitq_remove(&c->object, &c->queue, mine);
  waitq_unlock(&c->object);
  return !notified;
}

/* ILK_OK: notified; or what else ended the wait, or this part of it. */
static int sleep_in_queue(struct condition *c, void *handle, struct self *me, struct queue_place *mine, int64_t deadline)
{
  int result = ILK_OK;
  while (result == ILK_OK) {
    if (load_acquire(&mine->signal) == SIGNAL_GIVEN) { /* pairs with waitq_signal() */
      take_note(c, mine);
      return ILK_OK;
    }
    result = block(me, handle, 0, &mine->signal, SIGNAL_NONE, deadline, 0);
  }
  return leave(c, mine, parts_is_kept(mine)) ? result : ILK_OK;
}

/* At that place. Pinned; unpins the condition (I4). */
static int wait_at(struct condition *c, void *condition, void *mutex, struct self *me, struct queue_place *mine,
                   int64_t deadline)
{
  uint32_t depth;
  if (!join(c, mine, mutex)) {
    handle_leave(me, PIN_OUTER);
    return ILK_OK;
  }
  int result = mutex_give_up(mutex, me, &depth);
  if (result != ILK_OK) {
    if (!leave(c, mine, false))
      notify_pinned(c, me, 1); /* that notify was for another */
    handle_leave(me, PIN_OUTER);
    return result;
  }
  result = sleep_in_queue(c, condition, me, mine, deadline);
  handle_leave(me, PIN_OUTER);
  int taken = mutex_take_back(mutex, me, depth);
  return taken == ILK_OK ? result : taken;
}

static int wait_part_at(struct condition *c, void *condition, void *mutex, struct self *me, int64_t deadline)
{
  struct queue_place *mine = parts_find(me, condition);
  if (!mine)
    mine = parts_begin(me, condition);
  if (!mine) {
    handle_leave(me, PIN_OUTER);
    return ILK_EOVERFLOW;
  }
  int result = wait_at(c, condition, mutex, me, mine, deadline);
  /* All other results end the wait. A notify that has come since is for another. */
  if (result != ILK_ETIMEDOUT && result != ILK_ECANCELED && parts_end(me, mine))
    condition_pass_on(condition, me);
  return result;
}

static int wait(void *condition, void *mutex, int64_t timeout_ns, bool part)
{
  struct self *me = self_get();
  if (!me)
    return ILK_ENOMEM;
  struct condition *c = (struct condition *)handle_enter(me, PIN_OUTER, condition, KIND_CONDITION);
  if (!c)
    return ILK_EHANDLE;
  int64_t deadline = clock_deadline(timeout_ns);
  int result = part ? wait_part_at(c, condition, mutex, me, deadline)
                    : wait_at(c, condition, mutex, me, &me->places[0], deadline);
  gil_reacquire(me);
  return result;
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

int ilk_condition_wait_begin(void *condition)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct condition *c = (struct condition *)handle_enter(me, PIN_INNER, condition, KIND_CONDITION);
  if (!c)
    return fail(ILK_EHANDLE);
  struct queue_place *mine = parts_begin(me, condition);
  if (mine)
    join(c, mine, NULL);
  handle_leave(me, PIN_INNER);
  return mine ? ILK_OK : fail(ILK_EOVERFLOW);
}

int ilk_condition_wait_end(void *condition)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct queue_place *mine = handle_is(condition, KIND_CONDITION) ? parts_find(me, condition) : NULL;
  if (mine)
    return parts_end(me, mine);
  if (!handle_enter(me, PIN_INNER, condition, KIND_CONDITION))
    return fail(ILK_EHANDLE);
  handle_leave(me, PIN_INNER);
  return 0;
}

void condition_pass_on(void *handle, struct self *me)
{
  struct condition *c = (struct condition *)handle_enter(me, PIN_INNER, handle, KIND_CONDITION);
  if (!c)
    return;
  notify_pinned(c, me, 1);
  handle_leave(me, PIN_INNER);
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
  struct self *me = self_current;
  if (me && unlikely(me->parts))
    store_relaxed(&object->waiters, parts_notified(me, handle_of(object)));
}

const struct kind_operations condition_operations = {
    .name = "condition",
    .after_fork = operation_after_fork,
};
