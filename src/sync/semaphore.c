/* Counting semaphore. The value is the state, the lower half of the object's head.

       value -> value - 1     acquire, if value > 0
       value -> value + n     release, if value + n <= maximum

   Each is one compare-and-swap of the head, which also checks the handle. Waiters use the object's
   event count (block.h): the change of the value and the load of `waiters` are seq_cst. Every
   release wakes as many waiters as it lets through. A woken waiter that finds the value taken
   sleeps again, because the thread that took it was let through in its place.

   Resumable waits (resumable.h). The system wakes those that sleep on one word in the order in
   which they fell asleep, and a resumable wait falls asleep anew in each part. So resumable waits
   sleep on an epoch of their own. Each has a place: the value that `passed` will have when all
   other waiters that came before it have been woken. `least` is the lowest place of those that
   sleep:

       part:     t = resumed_epoch;  attempt;  least = min(least, place);  attempt;
                 sleep while resumed_epoch == t
       release:  value += n;  loads `waiters` and `least`;  if there is a place:
                 wakes the other waiters before that place;  least = NO_PLACE;
                 resumed_epoch += 1;  wakes all resumable waits;  wakes other waiters;
                 it stops when it has woken n

   No wake is lost: all operations are seq_cst, so either the release sees the place, or the second
   attempt sees the value. A waiter whose place was overwritten is woken, or does not fall asleep,
   and stores its place again before its next attempt. (`least` in counter.c is the same protocol.)

   The places decide only which waiters are woken first, and not exactly. All resumable waits are
   woken together, so the order among them is not kept. A wait that ends without a wake counts as
   passed, too, unless a resumable wait is before it: those behind it move up. */
#include "kinds.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "resumable.h"
#include "spin.h"

struct semaphore {
  struct object object;
  atomic_u32 maximum;       /* never changes */
  atomic_u32 resumed_epoch; /* on which resumable waits sleep */
  atomic_u32 resumed;       /* the number of resumable waits that sleep, or are about to */
  atomic_u64 passed;        /* other waiters that were woken, or left; approximate */
  atomic_u64 least;         /* the lowest place of a resumable wait, or NO_PLACE */
};
#define NO_PLACE UINT64_MAX
_Static_assert(sizeof(struct semaphore) <= CACHE_LINE, "an object fills one cache line");
_Static_assert(offsetof(struct semaphore, maximum) == sizeof(struct object), "see DELAYED_LOADS");

void *ilk_semaphore_new(int64_t initial, int64_t maximum)
{
  if (maximum <= 0)
    maximum = INT32_MAX;
  if (initial < 0 || maximum > INT32_MAX || initial > maximum)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct semaphore *s = (struct semaphore *)handle_reserve(KIND_SEMAPHORE, &handle);
  if (!s)
    return fail_null(ILK_ENOMEM);
  store_relaxed(&s->maximum, (uint32_t)maximum);
  store_relaxed(&s->least, NO_PLACE);
  return handle_publish(&s->object, handle, (uint32_t)initial);
}

/* One attempt. ILK_OK: acquired. ILK_EBUSY: the value is 0. ILK_EHANDLE: the head does not match
   the handle. */
static inline int attempt(struct object *object, void *handle)
{
  uint64_t head = load_seq_cst(&object->head);
  do {
    if (unlikely(!head_is(head, handle)))
      return ILK_EHANDLE;
    if (head_state(head) == 0)
      return ILK_EBUSY;
    /* Acquire: pairs with the release that let this thread through. */
  } while (unlikely(!cas_acquire(&object->head, &head, head - 1)));
  return ILK_OK;
}

static int check(const struct call *c, void *context, int ended)
{
  (void)context, (void)ended;
  return attempt(c->object, c->handle);
}

/* The place of a wait that begins. Relaxed: it decides only the order. */
static uint64_t operation_begin(struct object *object)
{
  struct semaphore *s = (struct semaphore *)object;
  uint32_t waiters = load_relaxed(&object->waiters), resumed = load_relaxed(&s->resumed);
  return load_relaxed(&s->passed) + (waiters > resumed ? waiters - resumed : 0);
}

static int check_resumed(const struct call *c, void *context, int ended)
{
  struct semaphore *s = (struct semaphore *)c->object;
  int result = attempt(c->object, c->handle);
  if (result != ILK_EBUSY || ended != ILK_OK)
    return result; /* leaves no place, which the next release would take for another waiter's */
  uint64_t place = *(const uint64_t *)context, least = load_seq_cst(&s->least);
  while (place < least && !cas_seq_cst(&s->least, &least, place))
    ;
  return attempt(c->object, c->handle);
}

static int wait_plainly(const struct call *c, int64_t deadline)
{
  struct semaphore *s = (struct semaphore *)c->object;
  uint64_t place = operation_begin(c->object);
  int result = block_until(c, deadline, check, NULL);
  if (result != ILK_OK && place < load_relaxed(&s->least))
    add_relaxed(&s->passed, 1);
  return result;
}

static int wait(const struct call *c, int64_t deadline)
{
  struct semaphore *s = (struct semaphore *)c->object;
  struct wait_slot *mine = resumable_slot(c->me, c->handle);
  if (likely(!resumable_is_kept(mine)))
    return wait_plainly(c, deadline);
  if (mine->begun_in == NO_PLACE)
    mine->begun_in = operation_begin(c->object);
  add_relaxed(&s->resumed, 1);
  int result = block_until_on(c, &s->resumed_epoch, deadline, check_resumed, &mine->begun_in);
  sub_relaxed(&s->resumed, 1);
  if (result == ILK_OK)
    mine->begun_in = NO_PLACE; /* it was used; the next wait begins with another */
  return result;
}

static int acquire_pinned(const struct call *c, int64_t timeout_ns)
{
  struct spin spin = spin_begin(c->me);
  for (;;) {
    int result = attempt(c->object, c->handle);
    if (result == ILK_EHANDLE) {
      if ((result = call_retry(c, timeout_ns)) != ILK_OK)
        return result;
      continue;
    }
    if (result == ILK_OK) {
      spin_won(&spin);
      return ILK_OK;
    }
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    if (load_relaxed(&c->object->waiters) || !spin_again(&spin))
      return wait(c, clock_deadline(timeout_ns));
  }
}

COLD static int acquire_slow(void *handle, int64_t timeout_ns)
{
  return call_waiting(handle, KIND_SEMAPHORE, timeout_ns, acquire_pinned);
}

static inline bool acquire_fast(void *handle)
{
  return likely(handle_is(handle, KIND_SEMAPHORE)) &&
         likely(attempt(handle_object(handle), handle) == ILK_OK);
}

int ilk_semaphore_timedacquire(void *s, int64_t timeout_ns)
{
  return acquire_fast(s) ? ILK_OK : return_code(acquire_slow(s, timeout_ns));
}

int ilk_semaphore_acquire(void *s)
{
  return acquire_fast(s) ? ILK_OK : return_code(acquire_slow(s, -1));
}

int ilk_semaphore_tryacquire(void *s)
{
  return acquire_fast(s) ? ILK_OK : try_code(acquire_slow(s, 0));
}

static int wake_others(struct semaphore *s, int n)
{
  int woken = n > 0 ? block_wake(&s->object.epoch, n) : 0;
  add_relaxed(&s->passed, (uint64_t)woken);
  return woken;
}

/* wake_waiters() if resumable waits sleep; `place`: the lowest of theirs. */
COLD static void wake_in_order(struct semaphore *s, uint64_t place, int n)
{
  uint64_t passed = load_relaxed(&s->passed), before = place > passed ? place - passed : 0;
  n -= wake_others(s, before < (uint64_t)n ? (int)before : n);
  if (n == 0)
    return;
  store_seq_cst(&s->least, NO_PLACE);
  n -= block_wake(&s->resumed_epoch, INT_MAX);
  wake_others(s, n);
}

/* Wakes up to n waiters, in their order. The semaphore is pinned. */
static void wake_waiters(struct semaphore *s, int n)
{
  uint64_t place = load_seq_cst(&s->least);
  if (unlikely(place != NO_PLACE))
    wake_in_order(s, place, n);
  else
    wake_others(s, n);
}

/* Called after a release that saw waiters. The semaphore may have been freed since; then no thread
   waits. */
COLD static int wake_slow(void *handle, int64_t n)
{
  struct thread *me;
  struct object *object = handle_enter_safely(&me, handle, KIND_SEMAPHORE);
  if (object) {
    wake_waiters((struct semaphore *)object, (int)n);
    handle_leave_safely(me, handle);
  }
  return ILK_OK;
}

static inline bool is_awaited(struct object *object)
{
  return load_seq_cst(&object->waiters);
}

static inline int64_t headroom_of(struct object *object, uint64_t head)
{
  return (int64_t)load_relaxed(&((struct semaphore *)object)->maximum) - head_state(head);
}

/* The head does not permit a release. Waits until a free in progress is decided, and returns
   whether the handle is still live. A call that can pin only by a count may have to continue before
   that (C2 of handle_counted.c): it keeps the pin, and *counted is set. */
COLD static bool is_live(void *handle, bool *counted)
{
  struct thread *me;
  if (!handle_enter_safely(&me, handle, KIND_SEMAPHORE))
    return false;
  *counted = !me;
  if (me)
    handle_leave(me, PIN_INNER);
  return true;
}

/* release_slow() without the wake. *counted: a counted pin remains. */
static int add(struct object *object, void *handle, int64_t n, bool *counted)
{
  uint64_t head = load_relaxed(&object->head);
  for (;;) {
    while (unlikely(!handle_may_change(*counted, head, handle))) {
      if (!is_live(handle, counted))
        return ILK_EHANDLE;
      head = load_relaxed(&object->head);
    }
    /* The maximum never changes; the compare-and-swap confirms that it was this object's. */
    int64_t capacity = headroom_of(object, head);
    if (unlikely(n <= 0 || n > capacity)) {
      /* The compare-and-swap confirms errors, too: a second load could be as old as the first.
         Release: the load of the maximum comes before a free. */
      if (cas_acq_rel(&object->head, &head, head))
        return n < 0 ? ILK_EINVAL : n == 0 ? ILK_OK : ILK_EOVERFLOW;
      continue;
    }
    /* seq_cst: before the load of `waiters`; pairs with check(). */
    if (likely(cas_seq_cst(&object->head, &head, head + (uint64_t)n)))
      return ILK_OK;
  }
}

/* Everything but one compare-and-swap of a live handle's head. */
static __attribute__((noinline)) int release_slow(void *handle, int64_t n)
{
  if (!handle_is(handle, KIND_SEMAPHORE))
    return fail(ILK_EHANDLE);
  struct object *object = handle_object(handle);
  bool counted = false;
  int result = add(object, handle, n, &counted);
  if (result == ILK_OK && n > 0 && is_awaited(object))
    wake_slow(handle, n);
  if (counted)
    handle_leave_counted(handle);
  return return_code(result);
}

int ilk_semaphore_release(void *s, int64_t n)
{
  struct object *object = handle_object(s);
  uint64_t head = load_relaxed(&object->head);
  /* As in release_slow(). */
  if (unlikely(!handle_is(s, KIND_SEMAPHORE) || !head_is(head, s) || n <= 0 ||
               n > headroom_of(object, head) ||
               !cas_seq_cst(&object->head, &head, head + (uint64_t)n)))
    return release_slow(s, n);
  return likely(!is_awaited(object)) ? ILK_OK : wake_slow(s, n);
}

int64_t ilk_semaphore_value(void *s)
{
  struct object *object = handle_object(s);
  uint64_t head = load_acquire(&object->head);
  if (!handle_is(s, KIND_SEMAPHORE) || !head_is_undecided(head, s))
    return fail_value(ILK_EHANDLE);
  return head_state(head);
}

int ilk_semaphore_free(void *s)
{
  return handle_free(s, KIND_SEMAPHORE);
}

static void operation_after_fork(struct object *object)
{
  update_relaxed(&((struct semaphore *)object)->resumed, 0);
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  uint32_t value = head_state(load_relaxed(&object->head));
  uint32_t maximum = load_relaxed(&((struct semaphore *)object)->maximum);
  if (maximum == INT32_MAX)
    snprintf(text, size, "value %u", value);
  else
    snprintf(text, size, "value %u of %u", value, maximum);
}

const struct kind_operations semaphore_operations = {
  .name = "semaphore",
  .begin = operation_begin,
  .retires = handle_retires,
  .describe = operation_describe,
  .after_fork = operation_after_fork,
};
