/* Atomic counter. The value needs all 64 bits, so unlike a lock's state it cannot share a word with
   the handle's tag: every call pins (handle.h), which costs the light side of the asymmetric fence.
   Waiters use the object's event count (block.h).

   Most changes concern no waiter, so a change wakes the waiters only if the value reaches `least`,
   the lowest of the values that they wait for (each its `at_least`):

       waiter:  t = epoch;  least = min(least, at_least);  loads the value;  sleeps while epoch == t
       waker:   changes the value;  loads `waiters`, the value, and `least`;  if value >= least:
                least = INT64_MAX;  epoch += 1;  wakes all

   All operations are seq_cst. Either the waker sees the waiter's `at_least` in `least`, or the
   waiter loads the value after the change. A waker raises `least` before it advances `epoch`. So a
   waiter whose minimum was overwritten either does not fall asleep or is woken, and it lowers
   `least` again before its next check. A waiter that leaves does not restore `least`, which costs
   one spurious wake. Checked by test/models/counter.pml. */
#include "kinds.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"

struct counter {
  struct object object;
  atomic_i64 value;
  atomic_i64 least; /* no thread sleeps for a lower value, unless its wake is under way */
};
_Static_assert(sizeof(struct counter) <= CACHE_LINE, "an object fills one cache line");

void *ilk_counter_new(int64_t initial)
{
  void *handle;
  struct counter *c = (struct counter *)handle_reserve(KIND_COUNTER, &handle);
  if (!c)
    return fail_null(ILK_ENOMEM);
  store_relaxed(&c->value, initial);
  store_relaxed(&c->least, INT64_MAX);
  return handle_publish(&c->object, handle, 0);
}

/* Called after a seq_cst change of the value (see block.h). */
static inline bool is_awaited(struct counter *c)
{
  return unlikely(load_seq_cst(&c->object.waiters));
}

/* --- the value --------------------------------------------------------------------- */

enum operation { LOAD, STORE, EXCHANGE, FETCH_ADD, COMPARE_EXCHANGE };

/* Returns the previous value; ILK_OK for a STORE. */
static inline int64_t operate(struct counter *c, enum operation operation, int64_t a, int64_t b)
{
  switch (operation) {
  case LOAD: return load_seq_cst(&c->value);
  case STORE: store_seq_cst(&c->value, a); return ILK_OK;
  case EXCHANGE: return exchange_seq_cst(&c->value, a);
  case FETCH_ADD: return add_seq_cst(&c->value, a);
  case COMPARE_EXCHANGE: break;
  }
  cas_seq_cst(&c->value, &a, b);
  return a; /* `expected` if it was stored, else the value seen */
}

/* The end of a call that changed the value while threads wait. */
COLD static int64_t wake(struct counter *c, void *handle, struct thread *me, int64_t result)
{
  if (load_seq_cst(&c->value) >= load_seq_cst(&c->least)) {
    store_seq_cst(&c->least, INT64_MAX);
    block_wake(&c->object.epoch, INT_MAX);
  }
  handle_leave_safely(me, handle);
  return result;
}

/* For the thread's first call, a call in a signal handler that has interrupted another call, or a
   handle that is not a live counter's. */
COLD static int64_t apply_slow(void *handle, enum operation operation, int64_t a, int64_t b)
{
  struct thread *me;
  struct counter *c = (struct counter *)handle_enter_safely(&me, handle, KIND_COUNTER);
  if (!c)
    return operation == STORE ? fail(ILK_EHANDLE) : fail_value(ILK_EHANDLE);
  int64_t result = operate(c, operation, a, b);
  if (is_awaited(c))
    return wake(c, handle, me, result);
  handle_leave_safely(me, handle);
  return result;
}

static inline __attribute__((always_inline)) int64_t apply(void *handle, enum operation operation,
                                                           int64_t a, int64_t b)
{
  /* A load is not async-signal-safe, which saves a check. */
  struct thread *me = operation == LOAD ? thread_current : thread_pinnable;
  if (unlikely(operation == LOAD ? !me : load_relaxed(&me->pin[PIN_INNER]) != 0))
    return apply_slow(handle, operation, a, b);
  struct counter *c = (struct counter *)handle_enter_fast(me, PIN_INNER, handle, KIND_COUNTER);
  if (unlikely(!c)) {
    handle_leave(me, PIN_INNER);
    return apply_slow(handle, operation, a, b);
  }
  int64_t result = operate(c, operation, a, b);
  if (operation != LOAD && is_awaited(c))
    return wake(c, handle, me, result);
  handle_leave(me, PIN_INNER);
  return result;
}

int64_t ilk_counter_load(void *c)
{
  return apply(c, LOAD, 0, 0);
}

int ilk_counter_store(void *c, int64_t value)
{
  return (int)apply(c, STORE, value, 0);
}

int64_t ilk_counter_exchange(void *c, int64_t value)
{
  return apply(c, EXCHANGE, value, 0);
}

int64_t ilk_counter_fetch_add(void *c, int64_t delta)
{
  return apply(c, FETCH_ADD, delta, 0);
}

int64_t ilk_counter_compare_exchange(void *c, int64_t expected, int64_t desired)
{
  return apply(c, COMPARE_EXCHANGE, expected, desired);
}

/* --- waiting ------------------------------------------------------------------------ */

static int check(const struct call *call, void *context, int ended)
{
  (void)ended;
  struct counter *c = (struct counter *)call->object;
  int64_t at_least = *(const int64_t *)context, least = load_seq_cst(&c->least);
  while (at_least < least && !cas_seq_cst(&c->least, &least, at_least))
    ;
  return load_seq_cst(&c->value) >= at_least ? ILK_OK : ILK_EBUSY;
}

static int wait(const struct call *call, int64_t at_least, int64_t timeout_ns)
{
  if (load_seq_cst(&((struct counter *)call->object)->value) >= at_least)
    return ILK_OK;
  if (timeout_ns == 0)
    return ILK_ETIMEDOUT;
  return block_until(call, clock_deadline(timeout_ns), check, &at_least);
}

int ilk_counter_timedwait(void *c, int64_t at_least, int64_t timeout_ns)
{
  struct call call;
  int result = call_begin_timed(&call, c, KIND_COUNTER, timeout_ns);
  if (result != ILK_OK)
    return fail(result);
  result = wait(&call, at_least, timeout_ns);
  call_end_wait(&call);
  return return_code(result);
}

int ilk_counter_wait(void *c, int64_t at_least)
{
  return ilk_counter_timedwait(c, at_least, -1);
}

/* --- the rest ------------------------------------------------------------------------ */

int ilk_counter_free(void *c)
{
  return handle_free(c, KIND_COUNTER);
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  snprintf(text, size, "value %lld", (long long)load_relaxed(&((struct counter *)object)->value));
}

const struct kind_operations counter_operations = {
  .name = "counter", .retires = handle_retires, .describe = operation_describe};
