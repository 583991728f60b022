/* The readers-writer lock, where it is contended: who goes next. The law of the state is in
   rwlock_state.h. */
#include "block.h"
#include "rwlock_state.h"

static void give(struct rwlock *rw, struct self *record)
{
  waitq_remove(&rw->object, &rw->queue, record);
  waitq_signal(record, SIGNAL_GIVEN);
  waitq_wake(record);
}

/* With the queue locked, by the one who has WRITER: lets in the readers at the front,
   gives WRITER to the writer behind them, or takes it off. `staying`: 1 if the caller
   becomes a reader. */
void rwlock_grant(struct rwlock *rw, uint32_t staying)
{
  uint32_t readers = 0;
  struct self *r = rw->queue.first;
  for (; r && r->queue_role == ROLE_READER; r = r->queue_next)
    readers++;
  struct self *writer = r;
  uint32_t left = writer ? (writer->queue_next ? QUEUED : 0) | WRITER : 0;
  store_relaxed(&rw->writer, writer ? self_id(writer) : 0);
  /* Nobody else changes a state with WRITER, but readers that leave while a writer
     drains, and QUEUED, which needs the queue's lock. Release: pairs with the acquire of
     who reads or writes next. */
  uint64_t head = load_relaxed(&rw->object.head), next;
  do
    next = (head & ~(uint64_t)(WRITER | QUEUED)) + readers + staying + left;
  while (!cas_acq_rel(&rw->object.head, &head, next));
  while (readers--)
    give(rw, rw->queue.first);
  if (writer)
    give(rw, writer);
}

static bool writer_is_dead(struct rwlock *rw)
{
  uint32_t writer = load_relaxed(&rw->writer);
  /* Once more, after the look for the thread: dead, it says no more, so it did not release. */
  return writer && !self_find(writer) && load_relaxed(&rw->writer) == writer &&
         head_state(load_relaxed(&rw->object.head)) & WRITER;
}

/* A writer that is gone is released by whoever finds out. */
bool rwlock_recover(struct rwlock *rw)
{
  if (likely(!writer_is_dead(rw)))
    return false;
  waitq_lock(&rw->object);
  bool dead = writer_is_dead(rw);
  if (dead) {
    store_relaxed(&rw->died, 1);
    rwlock_grant(rw, 0);
  }
  waitq_unlock(&rw->object);
  return dead;
}

/* Sleeps until the lock is given: ILK_OK; else it is not, and we are out of the queue.
   ILK_EBUSY: no need to wait, try again. */
int rwlock_wait_in_queue(struct rwlock *rw, void *handle, struct self *me, enum queue_role role, int64_t deadline)
{
  int result = ILK_OK;
  waitq_lock(&rw->object);
  uint64_t head = load_relaxed(&rw->object.head);
  do
    if (!head_is(head, handle) || !(head_state(head) & WRITER)) {
      waitq_unlock(&rw->object);
      return ILK_EBUSY;
    }
  while (!cas_relaxed(&rw->object.head, &head, head | QUEUED));
  me->queue_role = role;
  waitq_append(&rw->object, &rw->queue, me);
  waitq_unlock(&rw->object);

  while (load_relaxed(&me->signal) != SIGNAL_GIVEN && result == ILK_OK) {
    result = block(me, handle, 0, &me->signal, SIGNAL_NONE, deadline, 0);
    rwlock_recover(rw);
  }

  waitq_lock(&rw->object);
  bool given = load_acquire(&me->signal) == SIGNAL_GIVEN; /* pairs with waitq_signal() */
  if (!given) {
    waitq_remove(&rw->object, &rw->queue, me);
    if (!rw->queue.first)
      and_relaxed(&rw->object.head, ~(uint64_t)QUEUED);
  }
  waitq_unlock(&rw->object);
  return given ? ILK_OK : result;
}
