/* The contended readers-writer lock: the queue and its wakes. State transitions and invariants are
   in rwlock_state.h. Checked by test/models/rwlock_queue.pml. */
#include "block.h"
#include "cycle.h"
#include "resumable.h"
#include "rwlock_state.h"
#include "spin.h"

/* Slots to wake once the queue is unlocked, because woken threads need its lock. If more than WAKES
   can proceed, the first of these to get in wakes the rest. */
#define WAKES 8
struct wakes {
  int n;
  struct wait_slot *wait_slots[WAKES];
};

/* Is the first in the queue a writer that drained, and are readers inside (I7)? */
static bool are_held_back(const struct rwlock *rw, uint64_t head)
{
  const struct wait_slot *front = rw->queue.first;
  return front && front->role == ROLE_DRAINER && head_state(head) & COUNT_MASK;
}

/* With the queue locked, after each change of it, each failed attempt of a waiter, and each change
   of the state that saw HAS_WAITERS: sets HAS_WAITERS, WRITER_WAITING and RESERVED as the queue
   requires, and signals the waiters at its front if they can proceed (I3). */
static void settle(struct rwlock *rw, struct wakes *wakes)
{
  struct wait_slot *first = waitq_present(rw->queue.first);
  bool writes = first && first->role == ROLE_WRITER;
  bool starves = first && (rw->fair || clock_now() - first->since > STARVING);
  bool held_back, proceeds;
  uint64_t head = load_relaxed(&rw->object.head), next;
  do {
    held_back = are_held_back(rw, head);
    proceeds = first && !held_back && !(head_state(head) & (writes ? WRITER | COUNT_MASK : WRITER));
    bool sleeps = first && !proceeds && load_relaxed(&first->signal) == SIGNAL_NONE;
    next = head & ~(uint64_t)(HAS_WAITERS | WRITER_WAITING | RESERVED);
    if (sleeps || held_back)
      next |= HAS_WAITERS;
    if (rw->writers > (writes && !sleeps))
      next |= WRITER_WAITING;
    if (starves || held_back)
      next |= RESERVED;
  } while (next != head && !cas_relaxed(&rw->object.head, &head, next));
  if (!held_back && rw->queue.first && rw->queue.first->role == ROLE_DRAINER)
    rw->queue.first->role = ROLE_WRITER; /* the readers for which it waited have left */

  wakes->n = 0;
  for (struct wait_slot *p = first; proceeds && p && wakes->n < WAKES;
       p = writes ? NULL : waitq_present(p->next)) {
    if (!writes && p->role == ROLE_WRITER)
      break;
    if (waitq_signal(p, SIGNAL_WOKEN))
      wakes->wait_slots[wakes->n++] = p;
  }
}

/* Only writers that are present set WRITER_WAITING, so the others are not counted. */
static void set_away(struct rwlock *rw, struct wait_slot *slot, bool away)
{
  if (slot->role == ROLE_WRITER && slot->away != away)
    rw->writers += away ? -1u : 1u;
  slot->away = away;
}

/* Marks as away the waiters that were signalled but not found asleep, except the caller itself.
   True: there are some, so settle once more. A fair lock passes no waiter over. */
static bool pass_by(struct rwlock *rw, const struct wakes *wakes)
{
  bool any = false;
  for (int i = 0; i < wakes->n; i++) {
    struct wait_slot *slot = wakes->wait_slots[i];
    if (rw->fair || slot->thread == thread_current || !waitq_wake_is_lost(&rw->queue, slot))
      continue;
    set_away(rw, slot, true);
    any = true;
  }
  return any;
}

/* Settles, unlocks the queue, and wakes the waiters that can proceed. */
static void settle_and_unlock(struct rwlock *rw)
{
  struct wakes wakes;
  settle(rw, &wakes);
  for (;;) {
    waitq_unlock(&rw->object);
    int missed = 0;
    for (int i = 0; i < wakes.n; i++)
      if (!waitq_wake(wakes.wait_slots[i]))
        wakes.wait_slots[missed++] = wakes.wait_slots[i];
    wakes.n = missed;
    if (!wakes.n)
      return;
    waitq_lock(&rw->object);
    if (!pass_by(rw, &wakes))
      break;
    settle(rw, &wakes);
  }
  waitq_unlock(&rw->object);
}

void rwlock_wake(struct rwlock *rw)
{
  waitq_lock(&rw->object);
  settle_and_unlock(rw);
}

void rwlock_release_writer(struct rwlock *rw, uint32_t staying)
{
  store_relaxed(&rw->writer, 0);
  uint64_t head = load_relaxed(&rw->object.head);
  /* Release: pairs with the acquire of the next reader or writer. */
  while (
    !cas_acq_rel(&rw->object.head, &head, (head & ~(uint64_t)(WRITER | WRITER_PARKED)) + staying))
    ;
  if (head_state(head) & HAS_WAITERS)
    rwlock_wake(rw);
}

bool rwlock_writer_is_dead(struct rwlock *rw)
{
  uint32_t writer = load_acquire(&rw->writer); /* for thread_find() */
  /* Recheck after the search: the thread may have released the lock and then exited. If its id is
     still here, it did not release it. */
  return writer && !thread_find(writer) && load_relaxed(&rw->writer) == writer &&
         head_state(load_relaxed(&rw->object.head)) & WRITER;
}

bool rwlock_recover(struct rwlock *rw)
{
  if (likely(!rwlock_writer_is_dead(rw)))
    return false;
  waitq_lock(&rw->object); /* of the threads that find the writer dead, one releases */
  bool dead = rwlock_writer_is_dead(rw);
  if (dead) {
    store_relaxed(&rw->died, 1);
    store_relaxed(&rw->writer, 0); /* other threads no longer find it dead */
  }
  waitq_unlock(&rw->object);
  if (dead)
    rwlock_release_writer(rw, 0);
  return dead;
}

static int attempt(const struct call *c, enum queue_role role, bool queued)
{
  return role == ROLE_READER ? rwlock_count_in(c, queued) : rwlock_take_writer(c, queued);
}

static void leave(struct rwlock *rw, struct wait_slot *mine)
{
  set_away(rw, mine, true); /* no longer counts a writer */
  waitq_remove(&rw->object, &rw->queue, mine);
}

/* Joins the queue; or, in the same role, comes back to its slot in it. */
static void join(struct rwlock *rw, struct wait_slot *mine, enum queue_role role)
{
  if (mine->role == ROLE_DRAINER)
    mine->role = ROLE_WRITER;
  if (waitq_has(&rw->queue, mine) && mine->role != role)
    leave(rw, mine);
  if (waitq_has(&rw->queue, mine)) {
    set_away(rw, mine, false);
    return;
  }
  mine->role = (uint8_t)role;
  mine->since = clock_now();
  rw->writers += role == ROLE_WRITER;
  waitq_append(&rw->object, &rw->queue, mine);
}

void rwlock_keep_front(struct rwlock *rw, struct wait_slot *mine)
{
  waitq_lock(&rw->object);
  if (waitq_has(&rw->queue, mine)) /* away: the last part acquired without it */
    waitq_remove(&rw->object, &rw->queue, mine);
  mine->role = ROLE_DRAINER;
  mine->since = clock_now();
  waitq_prepend_away(&rw->object, &rw->queue, mine);
  settle_and_unlock(rw);
}

static int wait_in_queue(const struct call *c, enum queue_role role, int64_t deadline)
{
  struct rwlock *rw = rwlock_of(c);
  struct wait_slot *mine = resumable_slot(c->me, c->handle);
  int result = ILK_OK;
  waitq_lock(&rw->object);
  join(rw, mine, role);
  for (;;) {
    /* With the queue locked once: the attempt, and whether we leave or stay. */
    set_away(rw, mine, false);
    bool at_front =
      waitq_present(rw->queue.first) == mine || load_relaxed(&mine->signal) == SIGNAL_WOKEN;
    bool taken = at_front && !are_held_back(rw, load_relaxed(&rw->object.head)) &&
                 attempt(c, role, true) == ILK_OK;
    store_relaxed(&mine->signal, SIGNAL_NONE);
    if (!taken && result != ILK_OK && resumable_is_kept(mine))
      set_away(rw, mine, true);
    else if (taken || result != ILK_OK)
      leave(rw, mine);
    bool fair = rw->fair;
    settle_and_unlock(rw);
    if (taken || result != ILK_OK)
      return taken ? ILK_OK : result;
    if (!fair || !waitq_spin(c->me, mine))
      result = block(c->me, c->handle, (int64_t)role, &mine->signal, SIGNAL_NONE, deadline, 0);
    rwlock_recover(rw);
    waitq_lock(&rw->object);
  }
}

int rwlock_acquire(const struct call *c, enum queue_role role, int64_t timeout_ns)
{
  struct rwlock *rw = rwlock_of(c);
  struct spin spin = spin_begin_lock(c->me);
  for (;;) {
    int result = attempt(c, role, false);
    if (result == ILK_OK) {
      spin_won(&spin);
      return ILK_OK;
    }
    if (result == ILK_EHANDLE) {
      if ((result = call_retry(c, timeout_ns)) != ILK_OK)
        return result;
      continue;
    }
    if (rwlock_recover(rw))
      continue;
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    /* No spinning past a sleeping waiter. */
    if (load_relaxed(&rw->object.waiters) || !spin_again(&spin))
      return wait_in_queue(c, role, clock_deadline(timeout_ns));
  }
}

/* --- deadlock cycles ------------------------------------------------------------------------ */

static void visit_readers(struct rwlock *rw, struct cycle_visitor *visitor)
{
  if (*visitor->readers_visited)
    return;
  *visitor->readers_visited = true;
  if (!(head_state(load_acquire(&rw->object.head)) & (COUNT_MASK | BIASED | PUBLISHED)))
    return; /* no thread reads (I2) */
  void *handle = handle_of(&rw->object);
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    if (load_acquire(&r->episode) & 1 && rwlock_is_read_by(r, handle))
      visitor->visit(visitor, r);
}

/* The writers before the waiter; all of them if it has left. One that is away keeps no thread out,
   or has a deadline (I7), and so is part of no cycle. */
static void visit_queued_writers(struct rwlock *rw, struct thread *waiter,
                                 struct cycle_visitor *visitor)
{
  waitq_lock(&rw->object);
  uint32_t writers = rw->writers;
  for (struct wait_slot *p = rw->queue.first; p && p->thread != waiter && writers; p = p->next)
    if (p->role == ROLE_WRITER && !p->away) {
      visitor->visit(visitor, p->thread);
      writers--;
    }
  waitq_unlock(&rw->object);
}

void rwlock_each_blocker(struct object *object, struct thread *waiter, int64_t role,
                         struct cycle_visitor *visitor)
{
  struct rwlock *rw = (struct rwlock *)object;
  uint32_t id = load_relaxed(&rw->writer);
  struct thread *writer = id ? thread_find(id) : NULL;
  if (writer)
    visitor->visit(visitor, writer); /* may be the waiter itself, if it drains */
  if (role == ROLE_WRITER)
    visit_readers(rw, visitor);
  else
    visit_queued_writers(rw, waiter, visitor);
}
