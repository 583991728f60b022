/* The readers-writer lock: reading. State transitions and invariants are in rwlock_state.h. Checked
   by test/models/rwlock.pml. */
#include "block.h"
#include "rwlock_state.h"

/* After a reader has left or retracted its read, and saw that a thread may wait for it. Nothing
   keeps the lock alive any more; if it has been freed, no thread waits. */
COLD void rwlock_wake_waiters(void *handle, struct thread *me)
{
  struct rwlock *rw = (struct rwlock *)handle_enter(me, PIN_INNER, handle, KIND_RWLOCK);
  if (!rw)
    return;
  uint32_t state = head_state(load_seq_cst(&rw->object.head)); /* the load after the leaving (I4) */
  if (state & WRITER_PARKED)
    block_wake(&rw->object.epoch, 1);
  else if (state & HAS_WAITERS && !(state & WRITER))
    rwlock_wake(rw);
  handle_leave(me, PIN_INNER);
}

/* Clears the handle published in entry i with a full fence, then checks the head. */
COLD static void retract(struct thread *me, void *handle, uint32_t i)
{
  store_seq_cst(&me->reads_published[i], 0);
  rwlock_wake_waiters(handle, me);
}

/* Sets the bias, unless the last revocation was too recent. */
static __attribute__((noinline)) void restore_bias(struct rwlock *rw)
{
  store_relaxed(&rw->calm, 0);
  if (clock_now() < load_relaxed(&rw->biased_from))
    return;
  uint64_t head = load_relaxed(&rw->object.head);
  while (!(head_state(head) & ~(COUNT_MASK | PUBLISHED)) &&
         !cas_release(&rw->object.head, &head, (head | BIASED) & ~(uint64_t)PUBLISHED))
    ;
}

/* Notes a counted read. After CALM of them without a write the bias comes back. */
static inline void note_calm(struct rwlock *rw, uint32_t state)
{
  uint32_t calm = load_relaxed(&rw->calm) + 1;
  store_relaxed(&rw->calm, calm);
  if (unlikely(calm >= CALM) && !(state & BIASED))
    restore_bias(rw);
}

int rwlock_count_in(const struct call *c, bool queued)
{
  struct rwlock *rw = rwlock_of(c);
  uint64_t head = load_relaxed(&rw->object.head);
  do {
    if (!queued && !head_is(head, c->handle))
      return ILK_EHANDLE;
    if (!rwlock_is_open_to_read(head_state(head), queued))
      return ILK_EBUSY;
    /* Acquire: pairs with the last write unlock. */
  } while (!cas_acquire(&rw->object.head, &head, head + 1));
  note_calm(rw, head_state(head));
  return ILK_OK;
}

static int read_pinned(const struct call *c, int64_t timeout_ns)
{
  struct rwlock *rw = rwlock_of(c);
  struct thread *me = c->me;
  int held = rwlock_hold_find(me, c->handle);
  if (held >= 0)
    return me->reads_more[held] == UINT32_MAX ? ILK_EOVERFLOW : (me->reads_more[held]++, ILK_OK);
  if (load_relaxed(&rw->writer) == thread_id(me))
    return timeout_ns == 0 ? ILK_ETIMEDOUT : ILK_EDEADLK;
  if (!rwlock_hold_is_possible(me))
    return ILK_EOVERFLOW;
  /* Next time, the fast path may publish one entry more. seq_cst: writers see the limit before the
     entry. */
  if (me->reads < READS_FAST && me->reads >= load_relaxed(&me->reads_limit))
    store_seq_cst(&me->reads_limit, me->reads + 1);

  int result = rwlock_acquire(c, ROLE_READER, timeout_ns);
  if (result != ILK_OK)
    return result;
  rwlock_hold_add_counted(me, c->handle);
  return rwlock_acquired(rw);
}

COLD static int read_slow(void *handle, int64_t timeout_ns)
{
  return call_waiting(handle, KIND_RWLOCK, timeout_ns, read_pinned);
}

/* If no bit but COUNT is set: counts the reader, in the record's next entry. Returns the result, or
   -1: take the slow path. */
static inline int read_counted(void *handle)
{
  struct thread *me = thread_current;
  struct rwlock *rw = (struct rwlock *)handle_object(handle);
  if (unlikely(!me || !handle_is(handle, KIND_RWLOCK) || me->reads >= READS_FAST))
    return -1;
  uint64_t head = load_relaxed(&rw->object.head), open = head_of(handle, 0);
  if (unlikely(head - open > COUNT_MASK || !cas_acquire(&rw->object.head, &head, head + 1)))
    return -1;
  hold_push_counted(me, handle);
  note_calm(rw, head_state(head));
  return rwlock_acquired(rw);
}

static __attribute__((noinline)) int read_unpublished(void *handle, int64_t timeout_ns)
{
  int result = read_counted(handle);
  return likely(result >= 0) ? result : return_code(read_slow(handle, timeout_ns));
}

/* The head has changed: retracts the handle, for which a writer may wait, and reads another way. */
COLD static int read_retracted(struct thread *me, void *handle, uint32_t i, int64_t timeout_ns)
{
  retract(me, handle, i);
  return read_unpublished(handle, timeout_ns);
}

/* Publishes the handle in entry i, the next one, if BIASED is the only bit set. */
static inline int read_published(struct thread *me, void *handle, uint32_t i, int64_t timeout_ns)
{
  struct object *object = handle_object(handle);
  uint64_t open = head_of(handle, BIASED);
  if (unlikely(!handle_is(handle, KIND_RWLOCK)) || load_relaxed(&object->head) != open)
    return read_unpublished(handle, timeout_ns);
  /* Dekker with drain(). The load's acquire pairs with the last write unlock. */
  if (unlikely(fence_light(&me->reads_published[i], (uintptr_t)handle, &object->head) != open))
    return read_retracted(me, handle, i, timeout_ns);
  me->reads = i + 1;
  return ILK_OK;
}

static __attribute__((noinline)) int read_another(void *handle, int64_t timeout_ns)
{
  struct thread *me = thread_current;
  if (me && me->reads < load_relaxed(&me->reads_limit))
    return read_published(me, handle, me->reads, timeout_ns);
  return read_unpublished(handle, timeout_ns);
}

/* The thread's only read lock has a fixed entry, so the fast path does not wait for a value just
   stored. */
static inline int read_lock(void *handle, int64_t timeout_ns)
{
  struct thread *me = thread_current;
  return likely(me && me->reads == 0) ? read_published(me, handle, 0, timeout_ns)
                                      : read_another(handle, timeout_ns);
}

int ilk_rwlock_read_lock(void *rwlock)
{
  return read_lock(rwlock, -1);
}

int ilk_rwlock_read_timedlock(void *rwlock, int64_t timeout_ns)
{
  return read_lock(rwlock, timeout_ns);
}

int ilk_rwlock_read_trylock(void *rwlock)
{
  int result = ilk_rwlock_read_timedlock(rwlock, 0);
  return unlikely(result == ILK_ETIMEDOUT) ? fail(ILK_EBUSY) : result;
}

/* The caller is counted in the head, which keeps the lock from being freed until this step.
   Release: our reads happen before the next writer's writes. A request for a wake is set in the
   same word, so the later of the two steps finds the other. */
static inline void count_out(struct thread *me, void *handle)
{
  uint32_t state = head_state(sub_seq_cst(&handle_held_object(handle)->head, 1));
  if (unlikely((state & COUNT_MASK) == 1 && state & (WRITER_PARKED | HAS_WAITERS)))
    rwlock_wake_waiters(handle, me);
}

/* Releases the lock in entry i, counted or published, and wakes the threads that wait for it. */
static void read_leave(struct thread *me, uint32_t i)
{
  void *handle = (void *)hold_counted(me, i);
  if (handle) {
    store_relaxed(&me->reads_counted[i], 0);
    count_out(me, handle);
  } else {
    handle = (void *)load_relaxed(&me->reads_published[i]);
    if (head_state(fence_light(&me->reads_published[i], 0, &handle_object(handle)->head)) != BIASED)
      retract(me, handle, i);
  }
  hold_trim(me);
}

COLD static int read_unlock_slow(void *handle)
{
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  int i = handle ? rwlock_hold_find(me, handle) : -1; /* an empty entry holds NULL */
  if (i >= 0) {
    if (me->reads_more[i])
      me->reads_more[i]--;
    else
      read_leave(me, (uint32_t)i);
    return ILK_OK;
  }
  if (!handle_enter(me, PIN_INNER, handle, KIND_RWLOCK))
    return fail(ILK_EHANDLE);
  handle_leave(me, PIN_INNER);
  return fail(ILK_EPERM);
}

/* Releases a handle that is published once, in entry i, the last. */
static inline int leave_published(struct thread *me, void *handle, uint32_t i)
{
  /* Dekker with drain(). After the store the lock may be freed; then no thread waits for it. */
  uint64_t head = fence_light(&me->reads_published[i], 0, &handle_held_object(handle)->head);
  me->reads = i;
  if (i)
    hold_trim(me);
  if (unlikely(head != head_of(handle, BIASED)))
    retract(me, handle, i);
  return ILK_OK;
}

/* For a counted read lock, or one of several. */
static __attribute__((noinline)) int read_unlock_other(void *handle)
{
  struct thread *me = thread_current;
  uint32_t i;
  if (unlikely(!me || !handle || (i = me->reads - 1) >= READS_MAX || me->reads_more[i]))
    return read_unlock_slow(handle);
  if (load_relaxed(&me->reads_published[i]) == (uintptr_t)handle)
    return leave_published(me, handle, i);
  if (unlikely(hold_counted(me, i) != (uintptr_t)handle))
    return read_unlock_slow(handle);
  store_relaxed(&me->reads_counted[i], 0);
  me->reads = i;
  if (unlikely(i))
    hold_trim(me);
  count_out(me, handle);
  return ILK_OK;
}

int ilk_rwlock_read_unlock(void *rwlock)
{
  struct thread *me = thread_current;
  if (likely(me && me->reads == 1 && rwlock &&
             load_relaxed(&me->reads_published[0]) == (uintptr_t)rwlock && !me->reads_more[0]))
    return leave_published(me, rwlock, 0);
  return read_unlock_other(rwlock);
}

void rwlock_thread_exit(struct thread *me)
{
  while (me->reads) {
    me->reads_more[me->reads - 1] = 0;
    read_leave(me, me->reads - 1);
  }
}
