/* The release of a contended mutex: hand-off and deferred wakes. State transitions and invariants
   are in mutex_state.h. Checked by test/models/mutex.pml and deferred.pml. */
#include "mutex.h"
#include "mutex_state.h"

/* HANDOFF is set: hands the mutex to the first waiter, or frees it if none is present. False: the
   head has changed; two threads unlocked an unowned mutex at once, or it was reset. */
static bool hand_over(const struct call *c, uint64_t head)
{
  struct mutex *m = mutex_of(c);
  waitq_lock(&m->object);
  if (load_relaxed(&m->object.head) != head) {
    waitq_unlock(&m->object);
    return false;
  }
  and_relaxed(&m->object.tag_flags, ~SPECIAL_MARKED);
  struct wait_slot *next = first_present(m);
  uint32_t state = FREE;
  if (next) {
    waitq_remove(&m->object, &m->queue, next);
    bool remain = first_present(m);
    store_relaxed(&m->has_waiters, remain);
    state = thread_id(next->thread) | (is_fair(m) && remain ? HANDOFF : 0);
  }
  store_release(&m->object.head, head_of(c->handle, state));
  if (next)
    waitq_signal(next, SIGNAL_GIVEN);
  waitq_unlock(&m->object);
  if (next)
    waitq_wake(next);
  return true;
}

/* Releases a pinned mutex that is locked, with that head. False: the head has changed. */
static bool release(const struct call *c, uint64_t head)
{
  struct mutex *m = mutex_of(c);
  if (head_state(head) & HANDOFF)
    return hand_over(c, head);
  if (is_fair(m))
    return cas_release(&m->object.head, &head, head_of(c->handle, FREE));
  if (load_relaxed(&m->object.tag_flags) & SPECIAL_MARKED) /* a store had erased HANDOFF (I3) */
    and_relaxed(&m->object.tag_flags, ~SPECIAL_MARKED);
  /* Dekker with mutex_request_wake(). */
  if (fence_light(&m->object.head, head_of(c->handle, FREE), &m->has_waiters))
    mutex_wake_first(m);
  return true;
}

/* After a release; `crossed`: by another thread than the one that locked it. */
static void finish_release(const struct call *c, bool crossed)
{
  struct mutex *m = mutex_of(c);
  /* The locker may not have left the queue yet, and so not set `has_waiters` for the rest (I2).
     If yet another thread locks the mutex meanwhile, its release sees the request. */
  if (crossed && load_relaxed(&m->object.waiters)) {
    if (!is_fair(m)) /* whose HANDOFF does the same */
      mutex_request_wake(m);
    mutex_wake_first(m);
  }
  if (c->me->held == c->handle)
    c->me->held = NULL;
  if (load_relaxed(&c->me->deferred_count))
    waitq_wake_deferred(c->me);
}

int mutex_unlock_pinned(const struct call *c, uint32_t *depth)
{
  struct mutex *m = mutex_of(c);
  struct thread *me = c->me;
  if (depth)
    *depth = 0;
  for (;;) {
    /* Acquire: pairs with the CAS of the thread that locked an unowned mutex; we then see the count
       of waiters as that thread did. */
    uint64_t head = load_acquire(&m->object.head);
    if (!head_is(head, c->handle)) {
      if (call_retry(c, -1) != ILK_OK)
        return ILK_EHANDLE;
      continue;
    }
    if (head_state(head) == FREE || (is_owned(m) && holder(head) != thread_id(me))) {
      waitq_wake_deferred(me); /* a reset may have taken it from us */
      return ILK_EPERM;
    }
    if (mutex_depth(m) && !depth) {
      store_relaxed(&m->depth, mutex_depth(m) - 1);
      if (mutex_depth(m) == 0)
        and_relaxed(&m->object.tag_flags, ~SPECIAL_NESTED);
      return ILK_OK;
    }
    if (mutex_depth(m)) {
      *depth = mutex_depth(m);
      mutex_forget_depth(m);
    }
    bool crossed = holder(head) != thread_id(me);
    /* Invalidates `held` of the thread that locked it (I6). If a free came first, it may have
       retired the mutex, whose head is not ours to store then (I9). */
    if (crossed && !head_is(or_seq_cst(&m->object.tag_flags, SPECIAL_CROSSED), c->handle)) {
      if (call_retry(c, -1) != ILK_OK)
        return ILK_EHANDLE;
      continue;
    }
    if (load_relaxed(&m->object.tag_flags) & SPECIAL_DEFERRED)
      and_relaxed(&m->object.tag_flags, ~SPECIAL_DEFERRED);
    if (release(c, head)) {
      finish_release(c, crossed);
      return ILK_OK;
    }
  }
}

bool mutex_wake_at_unlock(void *handle, struct thread *me, struct wait_slot *slot)
{
  if (!handle || me->held != handle)
    return false;
  /* Pin: our `held` may be an unowned mutex that another thread has unlocked and freed. */
  if (handle_enter_timed(me, PIN_INSPECT, handle, KIND_MUTEX, 0) != ILK_OK)
    return false;
  struct mutex *m = (struct mutex *)handle_object(handle);
  bool later = is_owned(m) && waitq_defer_wake(me, slot);
  if (later) {
    or_seq_cst(&m->object.tag_flags, SPECIAL_DEFERRED);
    /* Dekker with ilk_mutex_reset(), which takes the mutex, then loads our deferred wakes (all
       seq_cst). */
    if (holder(load_seq_cst(&m->object.head)) != thread_id(me))
      waitq_wake_deferred(me);
  }
  handle_leave(me, PIN_INSPECT);
  return later;
}
