/* The readers-writer lock: constructor, writing, and operations for other modules. State
   transitions and invariants are in rwlock_state.h, reading in rwlock_read.c, the queue in
   rwlock_queue.c. */
#include "kinds.h"

#include <stdio.h>

#include "block.h"
#include "resumable.h"
#include "rwlock_state.h"

void *ilk_rwlock_new(int flags)
{
  if (flags & ~ILK_FAIR)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct rwlock *rw = (struct rwlock *)handle_reserve(KIND_RWLOCK, &handle);
  if (!rw)
    return fail_null(ILK_ENOMEM);
  rw->fair = flags & ILK_FAIR ? 1 : 0;
  return handle_publish(&rw->object, handle, 0);
}

/* --- writing --------------------------------------------------------------------------- */

int rwlock_take_writer(const struct call *c, bool queued)
{
  struct rwlock *rw = rwlock_of(c);
  uint64_t head = load_relaxed(&rw->object.head), next;
  do {
    if (!queued && !head_is(head, c->handle))
      return ILK_EHANDLE;
    if (!rwlock_is_open_to_write(head_state(head), queued))
      return ILK_EBUSY;
    next = head | WRITER;
    if (head_state(head) & BIASED)
      next ^= BIASED | PUBLISHED;
    /* seq_cst: the heavy side's store. Acquire: pairs with the last unlocks' release. */
  } while (!cas_seq_cst(&rw->object.head, &head, next));
  /* A thread that loads it finds our record in thread_find(). */
  store_release(&rw->writer, thread_id(c->me));
  return ILK_OK;
}

/* After BIASED was cleared, no reader that publishes later stays (I2). Does a record still publish
   the handle? This is expensive, so the bias stays off for a multiple of the time it took. */
static bool revoke_bias(const struct call *c)
{
  struct rwlock *rw = rwlock_of(c);
  int64_t begin = clock_now();
  fence_heavy(); /* heavy side: clear BIASED, then scan the records (I2) */
  bool published = rwlock_is_published(c->handle);
  int64_t end = clock_now();
  store_relaxed(&rw->biased_from, end + INHIBIT * (end - begin));
  return published;
}

/* With WRITER set: waits for the readers inside to leave. If the wait ends early, it releases
   WRITER; a part of a resumable wait then stays at the front of the queue, away (I7). */
static int drain(const struct call *c, bool tries, int64_t deadline)
{
  struct rwlock *rw = rwlock_of(c);
  store_relaxed(&rw->calm, 0);
  bool revoked = head_state(load_relaxed(&rw->object.head)) & PUBLISHED;
  bool published = revoked && revoke_bias(c);
  int result = ILK_OK;
  bool prepared = false;
  for (int checks = 0;; checks++) {
    uint32_t epoch = load_seq_cst(&rw->object.epoch);
    published = published && rwlock_is_published(c->handle);
    if (!published && !(head_state(load_seq_cst(&rw->object.head)) & COUNT_MASK)) {
      if (revoked || prepared)
        and_relaxed(&rw->object.head, ~(uint64_t)(PUBLISHED | WRITER_PARKED));
      result = ILK_OK;
      break;
    }
    if (result != ILK_OK)
      break;
    if (checks < SPINS) {
      cpu_relax();
    } else if (tries) {
      result = ILK_ETIMEDOUT;
    } else if (!prepared) {
      prepared = true;
      block_prepare_wait(&rw->object);
      /* Set WRITER_PARKED, then recheck before the sleep (I4). */
      or_seq_cst(&rw->object.head, WRITER_PARKED);
    } else {
      result = block(c->me, c->handle, ROLE_WRITER, &rw->object.epoch, epoch, deadline, 0);
    }
  }
  if (prepared)
    block_finish_wait(&rw->object);
  if (result != ILK_OK) {
    struct wait_slot *mine = resumable_slot(c->me, c->handle);
    if (resumable_is_kept(mine) && !tries)
      rwlock_keep_front(rw, mine);
    rwlock_release_writer(rw, 0);
  }
  return result;
}

static int write_pinned(const struct call *c, int64_t timeout_ns)
{
  struct rwlock *rw = rwlock_of(c);
  bool tries = timeout_ns == 0;
  if (load_relaxed(&rw->writer) == thread_id(c->me) || rwlock_hold_find(c->me, c->handle) >= 0)
    return tries ? ILK_ETIMEDOUT : ILK_EDEADLK;
  if (tries && head_state(load_relaxed(&rw->object.head)) & COUNT_MASK)
    return ILK_ETIMEDOUT;
  int64_t deadline = tries ? 0 : clock_deadline(timeout_ns);
  int result = rwlock_acquire(c, ROLE_WRITER, timeout_ns);
  if (result == ILK_OK)
    result = drain(c, tries, deadline);
  return result == ILK_OK ? rwlock_acquired(rw) : result;
}

COLD static int write_slow(void *handle, int64_t timeout_ns)
{
  return call_waiting(handle, KIND_RWLOCK, timeout_ns, write_pinned);
}

/* State 0 (free, not biased, no waiters): sets WRITER. Returns the result, or -1: take the slow
   path. */
static inline int write_fast(void *handle)
{
  struct thread *me = thread_current;
  struct rwlock *rw = (struct rwlock *)handle_object(handle);
  if (unlikely(!me || !handle_is(handle, KIND_RWLOCK)))
    return -1;
  uint64_t head = head_of(handle, 0);
  if (unlikely(!cas_acquire(&rw->object.head, &head, head_of(handle, WRITER))))
    return -1;
  store_release(&rw->writer, thread_id(me)); /* as in rwlock_take_writer() */
  store_relaxed(&rw->calm, 0);
  return rwlock_acquired(rw);
}

int ilk_rwlock_write_lock(void *rwlock)
{
  int result = write_fast(rwlock);
  return likely(result >= 0) ? result : return_code(write_slow(rwlock, -1));
}

int ilk_rwlock_write_timedlock(void *rwlock, int64_t timeout_ns)
{
  int result = write_fast(rwlock);
  return likely(result >= 0) ? result : return_code(write_slow(rwlock, timeout_ns));
}

int ilk_rwlock_write_trylock(void *rwlock)
{
  int result = write_fast(rwlock);
  return likely(result >= 0) ? result : try_code(write_slow(rwlock, 0));
}

COLD static int write_unlock_slow(void *handle, uint32_t staying)
{
  struct call c;
  int begun = call_begin(&c, handle, KIND_RWLOCK);
  if (begun != ILK_OK)
    return fail(begun);
  struct rwlock *rw = rwlock_of(&c);
  int result = ILK_OK;
  if (load_relaxed(&rw->writer) != thread_id(c.me)) {
    result = ILK_EPERM;
  } else if (staying && !rwlock_hold_is_possible(c.me)) {
    result = ILK_EOVERFLOW;
  } else {
    if (staying)
      rwlock_hold_add_counted(c.me, handle);
    rwlock_release_writer(rw, staying);
  }
  call_end(&c);
  return return_code(result);
}

int ilk_rwlock_write_unlock(void *rwlock)
{
  struct thread *me = thread_current;
  struct rwlock *rw = (struct rwlock *)handle_object(rwlock);
  uint64_t head = head_of(rwlock, WRITER);
  /* The cached tag, because a load of the head that was just swapped would stall. Acquire: the tag
     is loaded after the writer. It is still this object's, so the writer was, too: it is this
     thread, and the lock is not freed before the compare-and-swap below. */
  if (unlikely(!me || !handle_is(rwlock, KIND_RWLOCK) ||
               load_acquire(&rw->writer) != thread_id(me) ||
               load_relaxed(&rw->object.tag_flags) != head_of(rwlock, 0)))
    return write_unlock_slow(rwlock, 0);
  store_relaxed(&rw->writer, 0);
  if (likely(cas_release(&rw->object.head, &head, head_of(rwlock, 0))))
    return ILK_OK;
  /* The head changed: a waiter joined. (No free can have begun: the lock is busy.) */
  store_release(&rw->writer, thread_id(me));
  return write_unlock_slow(rwlock, 0);
}

int ilk_rwlock_downgrade(void *rwlock)
{
  return write_unlock_slow(rwlock, 1);
}

/* --- the rest ----------------------------------------------------------------------------- */

static bool is_busy(struct object *object, uint32_t state)
{
  return (state & WRITER && !rwlock_writer_is_dead((struct rwlock *)object)) ||
         state & COUNT_MASK || rwlock_is_published(handle_of(object));
}

int ilk_rwlock_free(void *rwlock)
{
  return handle_free(rwlock, KIND_RWLOCK);
}

static uint32_t operation_holder(struct object *object, int64_t index)
{
  (void)index;
  return load_relaxed(&((struct rwlock *)object)->writer);
}

static void operation_holder_died(struct object *object, int64_t index)
{
  (void)index;
  rwlock_recover((struct rwlock *)object);
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  struct rwlock *rw = (struct rwlock *)object;
  uint32_t state = head_state(load_acquire(&object->head)), readers = state & COUNT_MASK;
  uint32_t writer = load_relaxed(&rw->writer);
  uintptr_t handle = (uintptr_t)handle_of(object);
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    for (uint32_t i = 0, n = load_acquire(&r->reads_limit); i < n; i++)
      readers += load_acquire(&r->reads_published[i]) == handle;
  if (state & WRITER && readers)
    snprintf(text, size, "thread %u waits to write until %u readers leave", writer, readers);
  else if (state & WRITER)
    snprintf(text, size, "locked for writing by thread %u", writer);
  else if (readers)
    snprintf(text, size, "%u readers", readers);
  else
    snprintf(text, size, "free");
}

/* Only the forking thread's own read locks remain; a writer among the other threads is a dead
   one. */
static void operation_after_fork(struct object *object)
{
  struct rwlock *rw = (struct rwlock *)object;
  struct thread *me = thread_current;
  uint64_t head = load_relaxed(&object->head);
  void *handle = handle_of(object);
  uint32_t count = 0;
  for (uint32_t i = 0; me && i < me->reads; i++)
    count += load_relaxed(&me->reads_counted[i]) == (uintptr_t)handle;
  if (rw->queue.first)
    rw->queue = (struct waitq){0};
  if (rw->writers)
    rw->writers = 0;
  /* A writer that was draining has written nothing. */
  if (head_state(head) & WRITER && head_state(head) & (COUNT_MASK | PUBLISHED)) {
    head &= ~(uint64_t)WRITER;
    update_relaxed(&rw->writer, 0);
  }
  if (head_state(head) & WRITER && !load_relaxed(&rw->writer))
    store_relaxed(&rw->writer, WRITER_LOST);
  update_relaxed(&object->head, (head & ~(uint64_t)(COUNT_MASK | WRITER_PARKED | HAS_WAITERS |
                                                    WRITER_WAITING | RESERVED)) |
                                  count);
}

const struct kind_operations rwlock_operations = {
  .name = "rwlock",
  .keeps_slots = true,
  .holder = operation_holder,
  .each_blocker = rwlock_each_blocker,
  .busy = is_busy,
  .holder_died = operation_holder_died,
  .describe = operation_describe,
  .thread_exit = rwlock_thread_exit,
  .pass_on = rwlock_wake_waiters,
  .after_fork = operation_after_fork,
};
