/* The contended mutex: attempts, and the wait in the queue. State transitions and invariants are in
   mutex_state.h, the release in mutex_release.c. Checked by test/models/mutex.pml. */
#include "backoff.h"
#include "block.h"
#include "mutex_state.h"
#include "resumable.h"
#include "spin.h"

void mutex_forget_depth(struct mutex *m)
{
  store_relaxed(&m->depth, 0);
  and_relaxed(&m->object.tag_flags, ~SPECIAL_NESTED);
}

/* One attempt. ILK_OK, ILK_OWNER_DIED: acquired; ILK_EBUSY: another thread holds it; ILK_EDEADLK:
   the caller holds it; ILK_EOVERFLOW; ILK_EHANDLE: a free is in progress, and may still fail. */
static int attempt(const struct call *c)
{
  struct mutex *m = mutex_of(c);
  uint32_t id = thread_id(c->me);
  /* seq_cst: the load on the heavy side, after mutex_request_wake(). Acquire: pairs with the
     holder's CAS, so thread_find() finds its record. */
  uint64_t head = load_seq_cst(&m->object.head);
  for (;;) {
    if (!head_is(head, c->handle))
      return ILK_EHANDLE;
    if (head_state(head) == FREE) {
      if (cas_acq_rel(&m->object.head, &head, head_of(c->handle, id)))
        return ILK_OK;
      continue;
    }
    if (!is_owned(m))
      return ILK_EBUSY;
    if (holder(head) == id) {
      if (!(m->flags & ILK_RECURSIVE))
        return ILK_EDEADLK;
      if (mutex_depth(m) == UINT32_MAX - 1)
        return ILK_EOVERFLOW;
      if (mutex_depth(m) == 0)
        or_relaxed(&m->object.tag_flags, SPECIAL_NESTED);
      store_relaxed(&m->depth, mutex_depth(m) + 1);
      return ILK_OK;
    }
    if (thread_find(holder(head)))
      return ILK_EBUSY;
    /* The holder is dead, so it stores nothing any more; of the threads that replace it, one CAS
       succeeds. */
    if (cas_acq_rel(&m->object.head, &head,
                    head_of(c->handle, id | (head_state(head) & HANDOFF)))) {
      mutex_forget_depth(m);
      return ILK_OWNER_DIED;
    }
  }
}

/* With the queue locked: makes the next release hand the mutex to the first waiter, unless that
   release erases the mark (I3). False: the mutex is free. */
static bool mark_handoff(struct mutex *m)
{
  uint64_t head = load_relaxed(&m->object.head);
  while (head_state(head) != FREE) {
    if (head_state(head) & HANDOFF || cas_relaxed(&m->object.head, &head, head | HANDOFF)) {
      if (!is_fair(m))
        or_relaxed(&m->object.tag_flags, SPECIAL_MARKED);
      return true;
    }
  }
  return false;
}

static bool is_starving(const struct wait_slot *waiter)
{
  return clock_now() - waiter->since > STARVING;
}

/* With the queue locked, after a release or the holder's death: signals the first waiter, unless it
   is signalled already. Returns the slot to wake, or NULL. If another thread has barged in, its
   unlock will wake; if the mutex is fair or the waiter starves, HANDOFF is set for that unlock,
   unless the mutex is free again by then. */
static struct wait_slot *signal_first(struct mutex *m)
{
  struct wait_slot *wake = NULL, *first = first_present(m);
  /* seq_cst: the load on the heavy side, for an unlock that has requested a wake itself. */
  bool is_free = !is_held(m, load_seq_cst(&m->object.head));
  if (first && !is_free && (is_fair(m) || is_starving(first)))
    is_free = !mark_handoff(m);
  bool on_its_way = first && load_relaxed(&first->signal) != SIGNAL_NONE;
  if (first && is_free && !on_its_way) {
    waitq_signal(first, SIGNAL_WOKEN);
    wake = first;
  }
  /* Clear a stale request: no waiter is present, or the first is signalled and sets `has_waiters`
     again if it fails to acquire (I2). Until then releases have nothing to do here. */
  if (!first || wake || on_its_way)
    store_relaxed(&m->has_waiters, 0);
  return wake;
}

void mutex_wake_first(struct mutex *m)
{
  waitq_lock(&m->object);
  for (;;) {
    struct wait_slot *wake = signal_first(m);
    waitq_unlock(&m->object);
    if (!wake || waitq_wake(wake) || is_fair(m)) /* a fair mutex passes no waiter over */
      return;
    waitq_lock(&m->object);
    if (waitq_wake_is_lost(&m->queue, wake))
      wake->away = true;
  }
}

void mutex_request_wake(struct mutex *m)
{
  store_seq_cst(&m->has_waiters, 1);
  /* Heavy side of Dekker: request, then recheck; a release stores, then loads `has_waiters`. */
  fence_heavy();
}

/* Joins the queue, or comes back to its slot in it. A fair mutex gets HANDOFF first, so that no
   thread can overtake. Only the first waiter requests a wake (I2), because the heavy fence
   interrupts the thread that holds the mutex. False: not joined; `*taken` is what attempt()
   returned. */
static bool join(const struct call *c, struct wait_slot *mine, int *taken)
{
  struct mutex *m = mutex_of(c);
  int64_t since = clock_now();
  waitq_lock(&m->object);
  while (is_fair(m) && !mark_handoff(m)) {
    *taken = attempt(c);
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
  if (first && !is_fair(m)) /* a fair mutex is released by CAS, which fails once HANDOFF is set */
    mutex_request_wake(m);
  return true;
}

/* With the queue locked: leaves it; or, at the end of a part (`keeps_slot`), stays in it, away.
   True: other waiters are present. */
static bool leave(struct mutex *m, struct wait_slot *mine, bool keeps_slot)
{
  if (keeps_slot)
    mine->away = true;
  else
    waitq_remove(&m->object, &m->queue, mine);
  bool remain = first_present(m);
  store_relaxed(&m->has_waiters, remain); /* for those behind: they rely on us (I2) */
  if (is_fair(m) && remain)
    mark_handoff(m);
  return remain;
}

/* With the queue locked: one attempt of a waiter in the queue. `last`: it leaves if this one fails,
   so it sets no HANDOFF. */
static int check(const struct call *c, struct wait_slot *mine, bool last)
{
  struct mutex *m = mutex_of(c);
  store_relaxed(&mine->signal, SIGNAL_NONE);
  mine->away = false;
  if (is_fair(m) && first_present(m) != mine)
    return ILK_EBUSY;
  bool mark = !last && (is_fair(m) || is_starving(mine));
  int taken;
  do
    taken = attempt(c);
  while (taken == ILK_EBUSY && mark && !mark_handoff(m));
  return taken;
}

#define WOKEN_SPIN 40 /* pauses */

/* For a woken waiter, if another thread has barged in. Normally only one waiter is woken at a time
   (I4), so it spins longer than others: that costs less than another sleep. */
static void await_release(struct mutex *m, struct thread *me)
{
  struct spin spin = spin_begin_lock(me);
  if (spin.limit < WOKEN_SPIN)
    spin.limit = WOKEN_SPIN;
  while (head_state(load_relaxed(&m->object.head)) != FREE && spin_again(&spin))
    ;
}

/* A pause (backoff.h). Meanwhile the slot is away (I8). Other waiters relied on the caller to
   request the next wake, so it does that for them, and rechecks (I2). Called with the queue locked,
   and unlocks it. */
static int pause_until(const struct call *c, struct wait_slot *mine, int64_t end, int flags)
{
  struct mutex *m = mutex_of(c);
  int taken;
  bool remain = leave(m, mine, true);
  waitq_unlock(&m->object);
  if (remain) {
    mutex_request_wake(m);
    mutex_wake_first(m);
  }
  int result = block(c->me, c->handle, 0, &mine->signal, SIGNAL_NONE, end, flags | BLOCK_PART);
  join(c, mine, &taken);
  return result == ILK_ETIMEDOUT ? ILK_OK : result;
}

static int wait_in_queue(const struct call *c, struct wait_slot *mine, int64_t timeout_ns,
                         int flags)
{
  struct mutex *m = mutex_of(c);
  int64_t deadline = clock_deadline(timeout_ns);
  int result = ILK_OK, taken;
  if (!join(c, mine, &taken))
    return taken;

  /* Other threads change a waiter's slot only with the queue locked. With it locked, too, the
     waiter decides what to do: return, acquire, leave or sleep (I4). */
  for (;;) {
    if (!is_fair(m) && load_relaxed(&mine->signal) == SIGNAL_WOKEN)
      await_release(m, c->me);
    waitq_lock(&m->object);
    enum signal signal = load_relaxed(&mine->signal);
    bool given = signal == SIGNAL_GIVEN;
    if (given) /* in a kept slot GIVEN would mean a notify (P3 of resumable.h) */
      store_relaxed(&mine->signal, SIGNAL_NONE);
    taken = given ? ILK_OK : check(c, mine, result != ILK_OK);
    /* The waker cleared `has_waiters`. After a failed attempt, set it again and recheck, before all
       else (I2). */
    bool again = signal == SIGNAL_WOKEN && taken < 0 && !is_fair(m);
    int64_t pause_end = 0;
    if (again && taken == ILK_EBUSY && result == ILK_OK && !is_starving(mine))
      pause_end = backoff_pause_end(mine->since, clock_now(), deadline);
    if (pause_end) {
      result = pause_until(c, mine, pause_end, flags);
      continue;
    }
    bool leaves = (taken == ILK_EBUSY || result == ILK_EHANDLE) && result != ILK_OK && !again;
    if (!given && (taken >= 0 || leaves))
      leave(m, mine, leaves && result != ILK_EHANDLE && resumable_is_kept(mine));
    waitq_unlock(&m->object);

    if (taken >= 0)
      return taken;
    if (leaves) {
      if (is_fair(m))
        mutex_wake_first(m);
      return result;
    }
    if (again)
      mutex_request_wake(m);
    else if (taken == ILK_EHANDLE) /* freed; or a free that finds us waiting will fail */
      result = handle_check_waiter(c->handle) == ILK_EHANDLE ? ILK_EHANDLE : result;
    else if (!is_fair(m) || !waitq_spin(c->me, mine))
      result = block(c->me, c->handle, 0, &mine->signal, SIGNAL_NONE, deadline, flags);
  }
}

int mutex_lock_pinned(const struct call *c, int64_t timeout_ns, int flags)
{
  struct mutex *m = mutex_of(c);
  struct wait_slot *mine = resumable_slot(c->me, c->handle);
  struct spin spin = spin_begin_lock(c->me);
  for (;;) {
    int result = attempt(c);
    if (result == ILK_EHANDLE) {
      if ((result = call_retry(c, timeout_ns)) != ILK_OK)
        return result;
      continue;
    }
    if (timeout_ns == 0 && result == ILK_EDEADLK)
      return ILK_ETIMEDOUT; /* a try never waits, so it cannot deadlock */
    if (result != ILK_EBUSY) {
      spin_won(&spin);
      return result;
    }
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    /* No thread spins while others wait; for a fair mutex it does so in the queue. */
    if (is_fair(m) || load_relaxed(&m->object.waiters) || !spin_again(&spin)) {
      result = wait_in_queue(c, mine, timeout_ns, flags);
      if (result != ILK_EHANDLE || (result = call_retry(c, timeout_ns)) != ILK_OK)
        return result;
    }
  }
}
