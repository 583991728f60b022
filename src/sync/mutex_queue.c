/* The mutex, where it is contended: the attempt, the queue, the hand-over. The law of the
   state is in mutex_state.h. */
#include "backoff.h"
#include "block.h"
#include "mutex.h"
#include "mutex_state.h"
#include "parts.h"
#include "spin.h"

/* --- lock -------------------------------------------------------------------- */

/* As after a lock that is the first. */
void mutex_forget_depth(struct mutex *m)
{
  store_relaxed(&m->depth, 0);
  and_relaxed(&m->object.seal, ~SPECIAL_NESTED);
}

/* One attempt: ILK_OK, ILK_OWNER_DIED: taken; ILK_EBUSY: another holds it;
   ILK_EDEADLK: we do; ILK_EHANDLE: it is being freed, or is not freed after all. */
static int attempt(struct mutex *m, void *handle, struct self *me)
{
  /* seq_cst: a waiter's look on the heavy side. Acquire: the holder's id, and with it
     that thread's place in self_find(). */
  uint64_t head = load_seq_cst(&m->object.head);
  for (;;) {
    if (!head_is(head, handle))
      return ILK_EHANDLE;
    if (head_state(head) == FREE) {
      if (cas_acq_rel(&m->object.head, &head, head_of(handle, self_id(me))))
        return ILK_OK;
      continue;
    }
    if (!is_owned(m))
      return ILK_EBUSY;
    if (holder(head) == self_id(me)) {
      if (!(m->flags & ILK_RECURSIVE))
        return ILK_EDEADLK;
      if (mutex_depth(m) == UINT32_MAX - 1)
        return ILK_EOVERFLOW;
      if (mutex_depth(m) == 0)
        or_relaxed(&m->object.seal, SPECIAL_NESTED);
      store_relaxed(&m->depth, mutex_depth(m) + 1);
      return ILK_OK;
    }
    if (self_find(holder(head)))
      return ILK_EBUSY;
    /* Its holder is gone: nobody else changes the state, so no store of its can follow. */
    if (cas_acq_rel(&m->object.head, &head, head_of(handle, self_id(me) | (head_state(head) & HANDOFF)))) {
      mutex_forget_depth(m);
      return ILK_OWNER_DIED;
    }
  }
}

/* Asks that the next release go to the first in the queue. False: it is free. */
static bool mark_handoff(struct mutex *m)
{
  uint64_t head = load_relaxed(&m->object.head);
  while (head_state(head) != FREE) {
    if (head_state(head) & HANDOFF || cas_relaxed(&m->object.head, &head, head | HANDOFF)) {
      if (!is_fair(m))
        or_relaxed(&m->object.seal, SPECIAL_MARKED);
      return true;
    }
  }
  return false;
}

static bool is_starving(const struct queue_place *waiter)
{
  return clock_now() - waiter->since > STARVING;
}

/* Of those in the queue; one that is away keeps its place, and nobody waits for it. */
static struct queue_place *first_present(struct mutex *m)
{
  return waitq_present(m->queue.first);
}

/* With the queue locked, the mutex was made free: has the first in the queue look, unless it is on its
   way; the place to wake, or NULL. If somebody barged in, the wake is his unlock's to give; in a fair
   mutex, or for one that starves, that must be marked, and is if the mark finds it held. */
static struct queue_place *signal_first(struct mutex *m)
{
  struct queue_place *wake = NULL, *first = first_present(m);
  bool is_free = head_state(load_relaxed(&m->object.head)) == FREE;
  if (first && !is_free && (is_fair(m) || is_starving(first)))
    is_free = !mark_handoff(m);
  bool on_its_way = first && load_relaxed(&first->signal) != SIGNAL_NONE;
  if (first && is_free && !on_its_way) {
    waitq_signal(first, SIGNAL_WOKEN);
    wake = first;
  }
  /* Said by one that was given it meanwhile; or by a newcomer, while the first is on its way: that
     one will look, and say it anew. Until then releases have nothing to do here. */
  if (!first || wake || on_its_way)
    store_relaxed(&m->wanted, 0);
  return wake;
}

void mutex_wake_first(struct mutex *m)
{
  waitq_lock(&m->object);
  for (;;) {
    struct queue_place *wake = signal_first(m);
    waitq_unlock(&m->object);
    if (!wake || waitq_wake(wake) || is_fair(m)) /* a fair one waits for its first */
      return;
    waitq_lock(&m->object);
    if (waitq_wake_is_lost(&m->queue, wake))
      wake->away = true;
  }
}

/* With the queue locked: may this waiter take a free mutex? */
static bool is_my_turn(struct mutex *m, struct queue_place *mine)
{
  return !is_fair(m) || first_present(m) == mine;
}

/* Before a waiter's look: a release that comes after it is to wake somebody (I2). */
static void want_wake(struct mutex *m)
{
  store_seq_cst(&m->wanted, 1);
  fence_heavy(); /* says so, then looks; a release stores, then looks */
}

/* Joins the queue, or comes back to its place in it; a fair mutex is marked first, so that nobody can
   overtake. One that is not the first leaves it to those before it to ask for a wake (I2): the heavy fence
   disturbs the thread that holds the mutex. False: no need to, `*taken` is what attempt() returned. */
static bool join(struct mutex *m, void *handle, struct self *me, struct queue_place *mine, int *taken)
{
  int64_t since = clock_now();
  waitq_lock(&m->object);
  while (is_fair(m) && !mark_handoff(m)) {
    *taken = attempt(m, handle, me);
    if (*taken != ILK_EBUSY) {
      waitq_unlock(&m->object);
      return false;
    }
  }
  if (waitq_has(&m->queue, mine)) {
    mine->away = false;
  } else {
    mine->since = since;
    waitq_append(&m->object, &m->queue, mine);
  }
  bool first = first_present(m) == mine;
  waitq_unlock(&m->object);
  if (first && !is_fair(m)) /* a fair one's release is a swap, which HANDOFF stops */
    want_wake(m);
  return true;
}

/* With the queue locked: out of it; or, at the end of a part, away. */
static void leave(struct mutex *m, struct queue_place *mine, bool stays)
{
  if (stays)
    mine->away = true;
  else
    waitq_remove(&m->object, &m->queue, mine);
  bool remain = first_present(m);
  store_relaxed(&m->wanted, remain); /* the first of them is not signalled */
  if (is_fair(m) && remain)
    mark_handoff(m);
}

/* With the queue locked, for a waiter that still is in it: one look. */
static int look(struct mutex *m, void *handle, struct self *me, struct queue_place *mine, bool last)
{
  store_relaxed(&mine->signal, SIGNAL_NONE);
  mine->away = false;
  if (!is_my_turn(m, mine))
    return ILK_EBUSY;
  bool mark = !last && (is_fair(m) || is_starving(mine));
  int taken;
  do
    taken = attempt(m, handle, me);
  while (taken == ILK_EBUSY && mark && !mark_handoff(m));
  return taken;
}

/* Once woken, it is the only one on its way: a longer look is worth less than another sleep. */
static void await_release(struct mutex *m, struct self *me)
{
  struct spin spin = {me, 0, SPIN_MOST};
  while (head_state(load_relaxed(&m->object.head)) != FREE && spin_again(&spin))
    ;
}

static int wait_in_queue(struct mutex *m, void *handle, struct self *me, struct queue_place *mine, int64_t timeout_ns,
                         int flags)
{
  int64_t deadline = clock_deadline(timeout_ns);
  int result = ILK_OK, taken;
  struct backoff backoff = {0};
  if (!join(m, handle, me, mine, &taken))
    return taken;

  /* What others do to a waiter they do with the queue locked, and so does it what it
     decides: whether it was given the mutex, takes it, goes, or sleeps (I4). */
  for (;;) {
    if (!is_fair(m) && load_relaxed(&mine->signal) == SIGNAL_WOKEN)
      await_release(m, me);
    waitq_lock(&m->object);
    enum signal signal = load_relaxed(&mine->signal);
    bool given = signal == SIGNAL_GIVEN;
    if (given)
      store_relaxed(&mine->signal, SIGNAL_NONE); /* only a notify is kept for the next part (parts.h) */
    taken = given ? ILK_OK : look(m, handle, me, mine, result != ILK_OK);
    /* Who signalled took `wanted` back: it is said anew before anything is made of a look in vain. */
    bool again = signal == SIGNAL_WOKEN && taken < 0 && !is_fair(m);
    bool gives_up = taken == ILK_EBUSY && result != ILK_OK && !again;
    if (!given && (taken >= 0 || gives_up))
      leave(m, mine, gives_up && parts_is_kept(mine));
    waitq_unlock(&m->object);

    if (taken >= 0)
      return taken;
    if (gives_up) {
      if (is_fair(m))
        mutex_wake_first(m);
      return result;
    }
    if (again)
      want_wake(m);
    else if (taken == ILK_EHANDLE) /* a free that finds us waiting will take it back */
      backoff_wait(&backoff);
    else
      result = block(me, handle, 0, &mine->signal, SIGNAL_NONE, deadline, flags);
  }
}

/* `flags`: for block(). */
int mutex_lock_pinned(struct mutex *m, void *handle, struct self *me, int64_t timeout_ns, int flags)
{
  struct queue_place *mine = parts_place(me, handle);
  struct spin spin = spin_begin(me);
  for (;;) {
    int result = attempt(m, handle, me);
    if (result == ILK_EHANDLE) {
      if ((result = handle_retry(me, PIN_INNER, handle, timeout_ns)) != ILK_OK)
        return result;
      continue;
    }
    if (timeout_ns == 0 && result == ILK_EDEADLK)
      return ILK_ETIMEDOUT; /* a try waits for nobody */
    if (result != ILK_EBUSY) {
      spin_won(&spin);
      return result;
    }
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    /* Nobody spins past a sleeper, nor where order matters. */
    if (is_fair(m) || load_relaxed(&m->object.waiters) || !spin_again(&spin)) {
      result = wait_in_queue(m, handle, me, mine, timeout_ns, flags);
      if (result != ILK_EHANDLE || (result = handle_retry(me, PIN_INNER, handle, timeout_ns)) != ILK_OK)
        return result;
    }
  }
}

/* --- unlock ------------------------------------------------------------------- */

/* HANDOFF is in the head: gives the mutex to the first in the queue. False: the head
   changed, for an unowned mutex was unlocked by two at once. */
static bool hand_over(struct mutex *m, void *handle, uint64_t head)
{
  waitq_lock(&m->object);
  if (load_relaxed(&m->object.head) != head) {
    waitq_unlock(&m->object);
    return false;
  }
  and_relaxed(&m->object.seal, ~SPECIAL_MARKED);
  struct queue_place *next = first_present(m);
  uint32_t state = FREE;
  if (next) {
    waitq_remove(&m->object, &m->queue, next);
    bool remain = first_present(m);
    store_relaxed(&m->wanted, remain);
    state = self_id(next->thread) | (is_fair(m) && remain ? HANDOFF : 0);
  }
  store_release(&m->object.head, head_of(handle, state));
  if (next)
    waitq_signal(next, SIGNAL_GIVEN);
  waitq_unlock(&m->object);
  if (next)
    waitq_wake(next);
  return true;
}

/* Pinned, and held with the head `head`. False: it changed. */
static bool release(struct mutex *m, void *handle, uint64_t head)
{
  if (head_state(head) & HANDOFF)
    return hand_over(m, handle, head);
  if (is_fair(m))
    return cas_release(&m->object.head, &head, head_of(handle, FREE));
  if (load_relaxed(&m->object.seal) & SPECIAL_MARKED) /* a store erased the mark's HANDOFF (I3) */
    and_relaxed(&m->object.seal, ~SPECIAL_MARKED);
  if (fence_light(&m->object.head, head_of(handle, FREE), &m->wanted)) /* Dekker with wait_in_queue() */
    mutex_wake_first(m);
  return true;
}

/* One lock less; or, to a place for `depth`, none left. */
int mutex_unlock_pinned(struct mutex *m, void *handle, struct self *me, uint32_t *depth)
{
  if (depth)
    *depth = 0;
  for (;;) {
    /* Acquire: the queue as it was when another took what we unlock. */
    uint64_t head = load_acquire(&m->object.head);
    if (!head_is(head, handle)) {
      if (handle_retry(me, PIN_INNER, handle, -1) != ILK_OK)
        return ILK_EHANDLE;
      continue;
    }
    if (head_state(head) == FREE || (is_owned(m) && holder(head) != self_id(me))) {
      waitq_wake_late(me); /* it was taken from us by force */
      return ILK_EPERM;
    }
    if (mutex_depth(m) && !depth) {
      store_relaxed(&m->depth, mutex_depth(m) - 1);
      if (mutex_depth(m) == 0)
        and_relaxed(&m->object.seal, ~SPECIAL_NESTED);
      return ILK_OK;
    }
    if (mutex_depth(m)) {
      *depth = mutex_depth(m);
      mutex_forget_depth(m);
    }
    bool crossed = holder(head) != self_id(me);
    if (crossed)
      or_seq_cst(&m->object.seal, SPECIAL_CROSSED); /* who locked it must not believe its record (I6) */
    if (load_relaxed(&m->object.seal) & SPECIAL_LATE)
      and_relaxed(&m->object.seal, ~SPECIAL_LATE);
    if (release(m, handle, head)) {
      /* Who took it may not have left the queue yet, and so not said `wanted` for the rest. */
      if (crossed && load_relaxed(&m->object.waiters))
        mutex_wake_first(m);
      if (me->held == handle)
        me->held = NULL;
      if (load_relaxed(&me->late_count))
        waitq_wake_late(me);
      return ILK_OK;
    }
  }
}

bool mutex_wake_at_unlock(void *handle, struct self *me, struct queue_place *place)
{
  if (!handle || me->held != handle)
    return false;
  /* Pinned: an unowned mutex that another thread unlocked is still in our record, and may be gone. */
  if (handle_enter_timed(me, PIN_LOOK, handle, KIND_MUTEX, 0) != ILK_OK)
    return false;
  struct mutex *m = (struct mutex *)handle_object(handle);
  bool later = is_owned(m) && waitq_wake_later(me, place);
  if (later) {
    or_seq_cst(&m->object.seal, SPECIAL_LATE);
    /* Dekker with ilk_mutex_reset(): it takes the mutex, then looks whom we have put off. */
    if (holder(load_seq_cst(&m->object.head)) != self_id(me))
      waitq_wake_late(me);
  }
  handle_leave(me, PIN_LOOK);
  return later;
}
