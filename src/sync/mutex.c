/* The mutex: public functions and fast paths. State transitions and invariants are in
   mutex_state.h, slow paths in mutex_queue.c. */
#include "mutex.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "handle.h"
#include "kinds.h"
#include "mutex_state.h"

void *ilk_mutex_new(int flags)
{
  if (flags & ~(ILK_RECURSIVE | ILK_FAIR | ILK_UNOWNED) ||
      (flags & ILK_RECURSIVE && flags & ILK_UNOWNED))
    return fail_null(ILK_EINVAL);
  void *handle;
  struct mutex *m = (struct mutex *)handle_reserve(KIND_MUTEX, &handle);
  if (!m)
    return fail_null(ILK_ENOMEM);
  m->flags = flags;
  store_relaxed(&m->object.tag_flags, (flags & ILK_FAIR ? SPECIAL_FAIR : 0) |
                                        (flags & ILK_UNOWNED ? SPECIAL_UNOWNED : 0));
  return handle_publish(&m->object, handle, FREE);
}

/* --- lock -------------------------------------------------------------------- */

static int lock_pinned(const struct call *c, int64_t timeout_ns)
{
  int result = mutex_lock_pinned(c, timeout_ns, 0);
  if (result >= 0)
    c->me->held = c->handle;
  return result;
}

/* Everything but an uncontended lock of a live handle. */
COLD static int lock_slow(void *handle, int64_t timeout_ns)
{
  return call_waiting(handle, KIND_MUTEX, timeout_ns, lock_pinned);
}

/* FREE -> id, and the check of the handle's tag, in one step. */
static inline bool lock_fast(void *handle)
{
  struct thread *me = thread_current;
  struct object *object = handle_object(handle);
  if (unlikely(!me || !handle_is(handle, KIND_MUTEX)))
    return false;
  uint64_t head = head_of(handle, FREE);
  /* Acquire: pairs with the last unlock's release. Release: a thread that loads our id finds our
     record in thread_find(). */
  if (unlikely(!cas_acq_rel(&object->head, &head, head_of(handle, thread_id(me)))))
    return false;
  me->held = handle;
  return true;
}

int ilk_mutex_lock(void *mutex)
{
  return lock_fast(mutex) ? ILK_OK : return_code(lock_slow(mutex, -1));
}

int ilk_mutex_timedlock(void *mutex, int64_t timeout_ns)
{
  return lock_fast(mutex) ? ILK_OK : return_code(lock_slow(mutex, timeout_ns));
}

int ilk_mutex_trylock(void *mutex)
{
  return lock_fast(mutex) ? ILK_OK : try_code(lock_slow(mutex, 0));
}

/* --- unlock ------------------------------------------------------------------- */

COLD static int unlock_slow(void *handle)
{
  struct call c;
  int begun = call_begin(&c, handle, KIND_MUTEX);
  if (begun != ILK_OK)
    return fail(begun);
  int result = mutex_unlock_pinned(&c, NULL);
  call_end(&c);
  return return_code(result);
}

/* After a release that saw `has_waiters`, of a mutex that the caller has pinned; unpins it. */
COLD static int wake_pinned(struct mutex *m, struct thread *me)
{
  mutex_wake_first(m);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

/* The same for one that is not pinned. If it has been freed since, no thread waits. */
COLD static int wake_slow(void *handle, struct thread *me)
{
  struct mutex *m = (struct mutex *)handle_enter(me, PIN_INNER, handle, KIND_MUTEX);
  return m ? wake_pinned(m, me) : ILK_OK;
}

/* For an unowned mutex that the caller locked, without any other slow-path flag. Pinned, because
   another thread may unlock it at the same time, by mistake, and free it. */
static inline int unlock_unowned(struct mutex *m, void *handle, struct thread *me)
{
  uint64_t tag_flags = fence_light(&me->pin[PIN_INNER], (uintptr_t)handle, &m->object.tag_flags);
  if (unlikely(!head_is(tag_flags, handle)))
    return unlock_slow(handle);
  me->held = NULL;
  /* Dekker with mutex_request_wake(). */
  if (unlikely(fence_light(&m->object.head, head_of(handle, FREE), &m->has_waiters)))
    return wake_pinned(m, me);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

/* By the holder: the mutex is not freed before the store below. Between the load of `tag_flags` and
   the store, another thread may set HANDOFF (I3) or reset the mutex (I6), but change nothing
   else. */
static inline int unlock_held(struct mutex *m, void *handle, struct thread *me)
{
  /* `tag_flags` has the tag: it differs if the mutex was taken away and freed. */
  uint64_t tag_flags = load_relaxed(&m->object.tag_flags);
  if (unlikely(tag_flags != head_of(handle, SIMPLE)))
    return tag_flags == head_of(handle, SPECIAL_UNOWNED) ? unlock_unowned(m, handle, me)
                                                         : unlock_slow(handle);
  /* Dekker with mutex_request_wake(). */
  uint32_t has_waiters = fence_light(&m->object.head, head_of(handle, FREE), &m->has_waiters);
  me->held = NULL;
  return likely(!has_waiters) ? ILK_OK : wake_slow(handle, me);
}

int ilk_mutex_unlock(void *mutex)
{
  struct thread *me = thread_current;
  /* `held` is the mutex locked last (I6), or NULL, which leads to slot 0, whose `tag_flags` matches
     no handle. For a mutex locked earlier, check the head. */
  if (likely(me && me->held == mutex))
    return unlock_held((struct mutex *)handle_held_object(mutex), mutex, me);
  struct object *object = handle_object(mutex);
  if (me && handle_is(mutex, KIND_MUTEX) &&
      load_relaxed(&object->head) == head_of(mutex, thread_id(me)))
    return unlock_held((struct mutex *)object, mutex, me);
  return unlock_slow(mutex);
}

/* How often the caller holds it; an unowned mutex: 1 while any thread holds it. The depth is exact,
   because only the holder changes it. */
static int depth_of(struct mutex *m, struct thread *me)
{
  uint32_t id = holder(load_acquire(&m->object.head));
  if (!id || (is_owned(m) && id != thread_id(me)))
    return 0;
  if (!is_owned(m))
    return 1;
  return mutex_depth(m) < INT_MAX ? (int)mutex_depth(m) + 1 : INT_MAX;
}

int mutex_check_held(void *handle, struct thread *me)
{
  struct mutex *m = (struct mutex *)handle_enter(me, PIN_INNER, handle, KIND_MUTEX);
  if (!m)
    return ILK_EHANDLE;
  bool held = depth_of(m, me);
  handle_leave(me, PIN_INNER);
  return held ? ILK_OK : ILK_EPERM;
}

int mutex_release_all(void *handle, struct thread *me, uint32_t *depth)
{
  struct call c = {me, handle, handle_enter(me, PIN_INNER, handle, KIND_MUTEX)};
  if (!c.object)
    return ILK_EHANDLE;
  int result = mutex_unlock_pinned(&c, depth);
  call_end(&c);
  return result;
}

int mutex_reacquire(void *handle, struct thread *me, uint32_t depth)
{
  struct call c = {me, handle, handle_enter(me, PIN_INNER, handle, KIND_MUTEX)};
  if (!c.object)
    return ILK_EHANDLE;
  struct mutex *m = mutex_of(&c);
  int result = mutex_lock_pinned(&c, -1, BLOCK_ALWAYS);
  if (result >= 0) {
    me->held = handle;
    store_relaxed(&m->depth, mutex_depth(m) + depth);
    if (depth)
      or_relaxed(&m->object.tag_flags, SPECIAL_NESTED);
  }
  call_end(&c);
  return result;
}

/* --- the rest ------------------------------------------------------------------ */

int ilk_mutex_is_locked(void *mutex)
{
  struct object *object = handle_object(mutex);
  if (!handle_is(mutex, KIND_MUTEX))
    return fail(ILK_EHANDLE);
  uint64_t head = load_acquire(&object->head);
  if (!head_is_undecided(head, mutex))
    return fail(ILK_EHANDLE);
  return head_state(head) != FREE;
}

int ilk_mutex_depth(void *mutex)
{
  struct call c;
  int begun = call_begin(&c, mutex, KIND_MUTEX);
  if (begun != ILK_OK)
    return fail(begun);
  struct mutex *m = mutex_of(&c);
  int depth = depth_of(m, c.me);
  call_end(&c);
  return depth;
}

/* Takes it by force, so that no thread can lock it before the depth is right; then unlocks it.
   False: a free is in progress, and may still fail. */
static bool make_free(const struct call *c)
{
  struct mutex *m = mutex_of(c);
  /* Acquire: pairs with the holder's CAS, so thread_find() finds its record. */
  uint64_t head = load_acquire(&m->object.head);
  struct thread *was;
  do {
    if (!head_is(head, c->handle))
      return false;
    was = thread_find(holder(head));
    /* The flag comes first: the holder's next unlock must be the slow one (I6). */
    if (was && was != c->me)
      or_seq_cst(&m->object.tag_flags, is_owned(m) ? SPECIAL_FORCED : SPECIAL_CROSSED);
    /* seq_cst: Dekker with mutex_wake_at_unlock(). We take the mutex, then load the deferred
       wakes. */
  } while (!cas_seq_cst(&m->object.head, &head, head_of(c->handle, thread_id(c->me))));
  if (was)
    waitq_wake_deferred(was);
  mutex_forget_depth(m);
  store_release(&m->object.head, head_of(c->handle, FREE));
  return true;
}

int ilk_mutex_reset(void *mutex)
{
  struct call c;
  int begun = call_begin(&c, mutex, KIND_MUTEX);
  if (begun != ILK_OK)
    return fail(begun);
  struct mutex *m = mutex_of(&c);
  if (c.me->held == mutex)
    c.me->held = NULL;
  for (;;) {
    waitq_lock(&m->object);
    bool made_free = make_free(&c);
    waitq_unlock(&m->object);
    if (likely(made_free))
      break;
    if (call_retry(&c, -1) != ILK_OK)
      return fail(ILK_EHANDLE);
  }
  mutex_wake_first(m);
  call_end(&c);
  return ILK_OK;
}

/* A mutex is not freed while it is locked, except by a dead holder. */
static bool is_busy(struct object *object, uint32_t state)
{
  return is_held((struct mutex *)object, state);
}

/* If a reset took the mutex from a live thread, an unlock by that thread may still be about to
   store (I6). */
static bool is_reusable(struct object *object)
{
  return !(load_relaxed(&object->tag_flags) & SPECIAL_FORCED);
}

/* False if a store of the head may still be under way: by a thread from which a reset took it, or
   by one of two that unlock an unowned mutex at once, by mistake (I9). Relaxed: the caller has set
   CLOSING in the same word by an RMW. */
static bool operation_retires(struct object *object)
{
  return !(load_relaxed(&object->tag_flags) & (SPECIAL_FORCED | SPECIAL_CROSSED));
}

int ilk_mutex_free(void *mutex)
{
  return handle_free(mutex, KIND_MUTEX);
}

static uint32_t operation_holder(struct object *object, int64_t index)
{
  (void)index;
  /* seq_cst: a waiter loads this after it has published what it waits for (see thread_find()). */
  return is_owned((struct mutex *)object) ? holder(load_seq_cst(&object->head)) : 0;
}

static void operation_holder_died(struct object *object, int64_t index)
{
  (void)index;
  mutex_wake_first((struct mutex *)object);
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  struct mutex *m = (struct mutex *)object;
  uint32_t id = holder(load_relaxed(&object->head));
  if (!id)
    snprintf(text, size, "unlocked");
  else if (is_owned(m) && mutex_depth(m))
    snprintf(text, size, "locked by thread %u, count %" PRIu64, id, (uint64_t)mutex_depth(m) + 1);
  else if (is_owned(m))
    snprintf(text, size, "locked by thread %u", id);
  else
    snprintf(text, size, "locked (unowned), last by thread %u", id);
}

static void operation_after_fork(struct object *object)
{
  struct mutex *m = (struct mutex *)object;
  if (m->queue.first)
    m->queue = (struct waitq){0};
  update_relaxed(&m->has_waiters, 0);
  update_relaxed(&object->head, load_relaxed(&object->head) & ~(uint64_t)HANDOFF);
}

const struct kind_operations mutex_operations = {
  .name = "mutex",
  .keeps_slots = true,
  .holder = operation_holder,
  .holder_died = operation_holder_died,
  .busy = is_busy,
  .reusable = is_reusable,
  .retires = operation_retires,
  .describe = operation_describe,
  .after_fork = operation_after_fork,
};
