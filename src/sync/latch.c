/* Latch. The count needs all 63 bits, so unlike a semaphore's value it cannot share a word with the
   handle's tag: every call pins (handle.h).

       count -> count + n    add, if count + n <= INT64_MAX
       count -> count - n    count_down, if n <= count

   Both are compare-and-swaps. A count of 0 releases all waiters, which use the object's event count
   (block.h). A count_down to 0 stays pinned until it has woken them, so a free by the first of them
   waits for the others, and the slot is not reused before the count_down has ended.

   A waiter proceeds when it sees a count of 0. It does not proceed if the count was 0 and has risen
   before the waiter checked. A wake does not prove that there was a zero for this waiter: the last
   count_down of an old set of tasks may run its wake so late that it wakes the waiters of a new
   set. */
#include "kinds.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "block.h"
#include "handle.h"
#include "spin.h"

struct latch {
  struct object object;
  atomic_i64 count; /* >= 0 */
};
_Static_assert(sizeof(struct latch) <= CACHE_LINE, "an object fills one cache line");

void *ilk_latch_new(int64_t count)
{
  if (count < 0)
    return fail_null(ILK_EINVAL);
  void *handle;
  struct latch *l = (struct latch *)handle_reserve(KIND_LATCH, &handle);
  if (!l)
    return fail_null(ILK_ENOMEM);
  store_relaxed(&l->count, count);
  return handle_publish(&l->object, handle, 0);
}

/* --- the count -------------------------------------------------------------------- */

static int add(struct latch *l, int64_t n)
{
  if (n < 0)
    return ILK_EINVAL;
  int64_t count = load_relaxed(&l->count);
  do {
    if (count > INT64_MAX - n)
      return ILK_EOVERFLOW;
    /* Release: a thread that waits for what was added sees what came before the add. */
  } while (unlikely(!cas_release(&l->count, &count, count + n)));
  return ILK_OK;
}

static int count_down(struct latch *l, int64_t n)
{
  if (n < 0)
    return ILK_EINVAL;
  int64_t count = load_relaxed(&l->count);
  do {
    if (n > count)
      return ILK_EINVAL;
    /* seq_cst: before the load of `waiters`, see block.h; pairs with is_zero(). */
  } while (unlikely(!cas_seq_cst(&l->count, &count, count - n)));
  if (count == n && unlikely(load_seq_cst(&l->object.waiters)))
    block_wake(&l->object.epoch, INT_MAX);
  return ILK_OK;
}

/* The frame of both: change() is a constant in each caller, and inlined. */
static inline int with_latch(void *latch, int64_t n, int (*change)(struct latch *l, int64_t n))
{
  struct call c;
  int result = call_begin(&c, latch, KIND_LATCH);
  if (unlikely(result != ILK_OK))
    return fail(result);
  result = change((struct latch *)c.object, n);
  call_end(&c);
  return return_code(result);
}

int ilk_latch_add(void *latch, int64_t n)
{
  return with_latch(latch, n, add);
}

int ilk_latch_count_down(void *latch, int64_t n)
{
  return with_latch(latch, n, count_down);
}

int64_t ilk_latch_value(void *latch)
{
  struct call c;
  int begun = call_begin(&c, latch, KIND_LATCH);
  if (unlikely(begun != ILK_OK))
    return fail_value(begun);
  struct latch *l = (struct latch *)c.object;
  int64_t count = load_seq_cst(&l->count);
  call_end(&c);
  return count;
}

/* --- wait -------------------------------------------------------------------------- */

static bool is_zero(struct latch *l)
{
  return load_seq_cst(&l->count) == 0;
}

static int check(const struct call *c, void *context, int ended)
{
  (void)context, (void)ended;
  return is_zero((struct latch *)c->object) ? ILK_OK : ILK_EBUSY;
}

static int wait(const struct call *c, int64_t timeout_ns)
{
  struct latch *l = (struct latch *)c->object;
  int64_t deadline = clock_deadline(timeout_ns);
  struct spin spin = spin_begin(c->me);
  while (!load_relaxed(&l->object.waiters) && spin_again(&spin))
    if (is_zero(l)) {
      spin_won(&spin);
      return ILK_OK;
    }
  return block_until(c, deadline, check, NULL);
}

COLD static int wait_and_end(const struct call *c, int64_t timeout_ns)
{
  int result = wait(c, timeout_ns);
  call_end_wait(c);
  return result;
}

static inline int timedwait(void *handle, int64_t timeout_ns)
{
  struct call c;
  int begun = call_begin_timed(&c, handle, KIND_LATCH, timeout_ns);
  if (unlikely(begun != ILK_OK))
    return begun;
  bool zero = is_zero((struct latch *)c.object);
  if (unlikely(!zero && timeout_ns != 0))
    return wait_and_end(&c, timeout_ns);
  call_end(&c);
  return zero ? ILK_OK : ILK_ETIMEDOUT;
}

int ilk_latch_timedwait(void *latch, int64_t timeout_ns)
{
  return return_code(timedwait(latch, timeout_ns));
}

int ilk_latch_wait(void *latch)
{
  return return_code(timedwait(latch, -1));
}

int ilk_latch_trywait(void *latch)
{
  return try_code(timedwait(latch, 0));
}

/* --- the rest ---------------------------------------------------------------------- */

int ilk_latch_free(void *latch)
{
  return handle_free(latch, KIND_LATCH);
}

static bool operation_is_satisfied(struct object *object)
{
  return is_zero((struct latch *)object);
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  snprintf(text, size, "count %" PRId64, load_seq_cst(&((struct latch *)object)->count));
}

const struct kind_operations latch_operations = {
  .name = "latch",
  .satisfied = operation_is_satisfied,
  .retires = handle_retires,
  .describe = operation_describe,
};
