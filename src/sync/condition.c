/* Condition: a first-in, first-out queue of sleeping threads. Each sleeps on the signal of its own
   queue slot, so no later waiter can steal a notify (glibc bug 25847).

       waiter:  join the queue;  release the mutex;  sleep;  leave the queue;
                unpin the condition;  reacquire the mutex
       notify:  take n waiters out of the queue, each with SIGNAL_GIVEN;  wake each, or, if it
                needs the owned mutex that the caller locked last, defer the wake until the caller
                unlocks that mutex (mutex_wake_at_unlock())

   Checked by test/models/deferred.pml (deferred wakes) and resumable.pml (resumable waits).

   Invariants:
   I1  A waiter joins before it releases the mutex. So a notify by a thread that has locked the
       mutex since then finds it in the queue (and loads waiters > 0 without the queue's lock).
   I2  Only a notify takes the slot of another thread out of the queue. A waiter that abandons its
       wait locks the queue and removes its slot. If the slot is out already, the waiter has been
       notified: the wait ends as if the notify had come in time, or, if the mutex could not be
       released, passes the notify on. So none is lost.
   I3  A resumable wait (resumable.h) has its slot in the queue from its begin on, also between two
       parts. So it receives a notify in its order, and a thread that begins to wait later does not
       take it.
   I4  Before a waiter reacquires the mutex, its slot has left this queue, because the wait for the
       mutex may use the same slot. Only the slot of a resumable wait may stay: it serves no other
       object. The waiter has also unpinned the condition, which may be freed from then on. */
#include <limits.h>

#include "block.h"
#include "handle.h"
#include "gil.h"
#include "kinds.h"
#include "mutex.h"
#include "resumable.h"
#include "spin.h"
#include "waitq.h"

#define BATCH 32 /* waiters notified at a time; they are woken once the queue is unlocked */

struct condition {
  struct object object;
  DELAYED_LOADS;
  struct waitq queue;
};
_Static_assert(sizeof(struct condition) <= CACHE_LINE, "an object fills one cache line");

/* The condition of a call that has pinned it. */
static struct condition *condition_of(const struct call *c)
{
  return (struct condition *)c->object;
}

void *ilk_condition_new(int flags)
{
  if (flags)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct object *c = handle_reserve(KIND_CONDITION, &handle);
  return c ? handle_publish(c, handle, 0) : fail_null(ILK_ENOMEM);
}

/* --- notify -------------------------------------------------------------------------- */

/* With the condition pinned. Notifies at most as many waiters as there are when it begins, so it
   ends even if waiters keep coming. */
static void notify_pinned(const struct call *c, uint32_t n)
{
  struct condition *condition = condition_of(c);
  /* Relaxed: a waiter that this call must notify joined before it (I1). */
  uint32_t waiters = load_relaxed(&condition->object.waiters);
  if (n > waiters)
    n = waiters;
  while (n > 0) {
    struct wait_slot *woken[BATCH];
    void *mutex[BATCH];
    int count = 0;
    waitq_lock(&condition->object);
    while (n > 0 && count < BATCH && condition->queue.first) {
      struct wait_slot *slot = condition->queue.first;
      if (resumable_is_kept(slot)) /* until the notify is accepted (P4 of resumable.h) */
        add_seq_cst(&condition->object.waiters, 1);
      waitq_remove(&condition->object, &condition->queue, slot);
      mutex[count] = slot->mutex; /* before the signal: after it, the thread may wait elsewhere */
      waitq_signal(slot, SIGNAL_GIVEN);
      woken[count++] = slot;
      n--;
    }
    if (!condition->queue.first)
      n = 0;
    waitq_unlock(&condition->object);
    /* A slot is never unmapped. If the wake comes late, the thread wakes without a reason and
       rechecks. */
    for (int i = 0; i < count; i++)
      if (!mutex_wake_at_unlock(mutex[i], c->me, woken[i])) {
        waitq_wake_deferred(c->me); /* wake in order: deferred wakes came first */
        waitq_wake(woken[i]);
      }
  }
}

COLD static int notify_slow(void *handle, int n)
{
  struct call c;
  int result = call_begin(&c, handle, KIND_CONDITION);
  if (result != ILK_OK)
    return fail(result);
  if (n < 0)
    result = ILK_EINVAL;
  else
    notify_pinned(&c, (uint32_t)n);
  call_end(&c);
  return return_code(result);
}

int ilk_condition_notify(void *condition, int n)
{
  struct object *object = handle_object(condition);
  /* No waiter: two loads. If the condition is freed between them, either result is right.
     Acquire: the head is loaded first. */
  if (likely(n >= 0) && handle_is(condition, KIND_CONDITION) &&
      head_is(load_acquire(&object->head), condition) && !load_acquire(&object->waiters))
    return ILK_OK;
  return notify_slow(condition, n);
}

int ilk_condition_notify_all(void *condition)
{
  return ilk_condition_notify(condition, INT_MAX);
}

/* --- wait ----------------------------------------------------------------------------- */

/* Accepts a notify, which has taken the slot out of the queue: no other thread writes its signal
   any more. The slot of a resumable wait was still counted (P4 of resumable.h). */
static void accept_notify(struct condition *condition, struct wait_slot *mine)
{
  store_relaxed(&mine->signal, SIGNAL_NONE);
  if (resumable_is_kept(mine))
    sub_seq_cst(&condition->object.waiters, 1);
}

/* Joins the queue at its end; a resumable wait keeps the slot it has. False: not joined, because a
   notify came between two parts. */
static bool join(struct condition *condition, struct wait_slot *mine, void *mutex)
{
  waitq_lock(&condition->object);
  bool notified = resumable_is_kept(mine) && load_relaxed(&mine->signal) == SIGNAL_GIVEN;
  mine->mutex = mutex;
  if (notified)
    accept_notify(condition, mine);
  else if (!waitq_has(&condition->queue, mine))
    waitq_append(&condition->object, &condition->queue, mine);
  waitq_unlock(&condition->object);
  return !notified;
}

/* False: a notify came first. True: the slot is out of the queue, or, if `keeps_slot`, still in
   it. */
static bool leave(struct condition *condition, struct wait_slot *mine, bool keeps_slot)
{
  waitq_lock(&condition->object);
  bool notified = load_relaxed(&mine->signal) == SIGNAL_GIVEN;
  if (notified)
    accept_notify(condition, mine);
  else if (!keeps_slot)
    waitq_remove(&condition->object, &condition->queue, mine);
  waitq_unlock(&condition->object);
  return !notified;
}

/* A notify is often a few steps away. No thread spins while others wait. */
static void await_notify(const struct call *c, const struct wait_slot *mine)
{
  if (load_relaxed(&c->object->waiters) > 1)
    return;
  struct spin spin = spin_begin(c->me);
  while (load_relaxed(&mine->signal) != SIGNAL_GIVEN)
    if (!spin_again(&spin))
      return;
  spin_won(&spin);
}

/* ILK_OK: notified. Else what ended the wait, or this part of it. */
static int sleep_in_queue(const struct call *c, struct wait_slot *mine, int64_t deadline)
{
  struct condition *condition = condition_of(c);
  int result = ILK_OK;
  await_notify(c, mine);
  while (result == ILK_OK) {
    if (load_acquire(&mine->signal) == SIGNAL_GIVEN) { /* pairs with waitq_signal() */
      accept_notify(condition, mine);
      return ILK_OK;
    }
    result = block(c->me, c->handle, 0, &mine->signal, SIGNAL_NONE, deadline, 0);
  }
  return leave(condition, mine, resumable_is_kept(mine)) ? result : ILK_OK;
}

/* Waits in that slot. The condition is pinned by PIN_OUTER, and is unpinned here (I4). */
static int wait_at(const struct call *c, void *mutex, struct wait_slot *mine, int64_t deadline)
{
  uint32_t depth;
  bool joined = join(condition_of(c), mine, mutex);
  int result = joined ? mutex_release_all(mutex, c->me, &depth) : mutex_check_held(mutex, c->me);
  bool released = joined && result == ILK_OK;
  if (released)
    result = sleep_in_queue(c, mine, deadline);
  else if (result != ILK_OK && !(joined && leave(condition_of(c), mine, false)))
    notify_pinned(c, 1); /* a notify came, but we do not wait: pass it on */
  handle_leave(c->me, PIN_OUTER);
  if (!released)
    return result;
  int taken = mutex_reacquire(mutex, c->me, depth);
  return taken == ILK_OK ? result : taken;
}

/* A notify that this thread received but cannot use goes to another waiter. Uses PIN_INNER. */
static void pass_on(void *handle, struct thread *me)
{
  struct call c = {me, handle, handle_enter(me, PIN_INNER, handle, KIND_CONDITION)};
  if (!c.object)
    return;
  notify_pinned(&c, 1);
  call_end(&c);
}

static int wait_part_at(const struct call *c, void *mutex, int64_t deadline)
{
  struct wait_slot *mine = resumable_find(c->me, c->handle);
  if (!mine)
    mine = resumable_begin(c->me, c->handle);
  if (!mine) {
    handle_leave(c->me, PIN_OUTER);
    return ILK_EOVERFLOW;
  }
  int result = wait_at(c, mutex, mine, deadline);
  /* Only these two results keep the wait. At its end, pass on a notify that has come since. */
  if (result != ILK_ETIMEDOUT && result != ILK_ECANCELED && resumable_end(c->me, mine))
    pass_on(c->handle, c->me);
  return result;
}

static int wait(void *condition, void *mutex, int64_t timeout_ns, bool part)
{
  struct thread *me = thread_self();
  if (!me)
    return ILK_ENOMEM;
  struct call c = {me, condition, handle_enter(me, PIN_OUTER, condition, KIND_CONDITION)};
  if (!c.object)
    return ILK_EHANDLE;
  int64_t deadline = clock_deadline(timeout_ns);
  int result =
    part ? wait_part_at(&c, mutex, deadline) : wait_at(&c, mutex, &me->wait_slots[0], deadline);
  gil_reacquire(me);
  return result;
}

int ilk_condition_timedwait(void *condition, void *mutex, int64_t timeout_ns)
{
  return return_code(wait(condition, mutex, timeout_ns, false));
}

int ilk_condition_wait(void *condition, void *mutex)
{
  return ilk_condition_timedwait(condition, mutex, -1);
}

int ilk_condition_wait_part(void *condition, void *mutex, int64_t timeout_ns)
{
  return return_code(wait(condition, mutex, timeout_ns, true));
}

int ilk_condition_wait_begin(void *condition)
{
  struct call c;
  int begun = call_begin(&c, condition, KIND_CONDITION);
  if (begun != ILK_OK)
    return fail(begun);
  struct wait_slot *mine = resumable_begin(c.me, condition);
  if (mine)
    join(condition_of(&c), mine, NULL);
  call_end(&c);
  return mine ? ILK_OK : fail(ILK_EOVERFLOW);
}

int ilk_condition_wait_end(void *condition)
{
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  struct wait_slot *mine =
    handle_is(condition, KIND_CONDITION) ? resumable_find(me, condition) : NULL;
  if (mine)
    return resumable_end(me, mine);
  if (!handle_enter(me, PIN_INNER, condition, KIND_CONDITION))
    return fail(ILK_EHANDLE);
  handle_leave(me, PIN_INNER);
  return 0;
}

/* --- the rest -------------------------------------------------------------------------- */

int ilk_condition_free(void *condition)
{
  return handle_free(condition, KIND_CONDITION);
}

static void operation_after_fork(struct object *object)
{
  struct condition *c = (struct condition *)object;
  if (c->queue.first)
    c->queue = (struct waitq){0};
  struct thread *me = thread_current;
  if (me && unlikely(me->resumable_waits))
    store_relaxed(&object->waiters, resumable_notified(me, handle_of(object)));
}

const struct kind_operations condition_operations = {
  .name = "condition",
  .pass_on = pass_on,
  .after_fork = operation_after_fork,
};
