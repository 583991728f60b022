/* Atomic counter. The value needs all 64 bits, so unlike a lock's state it cannot
   stand beside the handle's tag: every call pins (handle.h), which costs the light
   side of the asymmetric fence. Waiters use the object's event count (block.h). */
#include "counter.h"

#include <limits.h>
#include <stdio.h>

#include "block.h"

struct counter {
  struct object object;
  atomic_i64 value;
};
_Static_assert(sizeof(struct counter) <= CACHE_LINE, "an object fills one cache line");

void *ilk_counter_new(int64_t initial)
{
  void *handle;
  struct counter *c = (struct counter *)handle_reserve(KIND_COUNTER, &handle);
  if (!c)
    return fail_null(ILK_ENOMEM);
  store_relaxed(&c->value, initial);
  return handle_publish(&c->object, handle, 0);
}

static inline struct counter *enter(struct self *me, void *handle)
{
  return (struct counter *)handle_enter(me, PIN_INNER, handle, KIND_COUNTER);
}

/* After a change of the value, which was seq_cst (see block.h). */
static inline void changed(struct counter *c)
{
  if (unlikely(load_seq_cst(&c->object.waiters)))
    block_wake(&c->object, INT_MAX);
}

/* The shape of every call: within a pin, `expression` answers the value. */
#define WITH_COUNTER(handle, c, expression)                                                     \
  struct self *me = self_get();                                                                 \
  if (unlikely(!me))                                                                            \
    return fail_value(ILK_ENOMEM);                                                              \
  struct counter *c = enter(me, handle);                                                        \
  if (unlikely(!c))                                                                             \
    return fail_value(ILK_EHANDLE);                                                             \
  int64_t result = (expression);                                                                \
  changed(c);                                                                                   \
  handle_leave(me, PIN_INNER);                                                                  \
  return result

int64_t ilk_counter_load(void *c)
{
  struct self *me = self_get();
  if (unlikely(!me))
    return fail_value(ILK_ENOMEM);
  struct counter *counter = enter(me, c);
  if (unlikely(!counter))
    return fail_value(ILK_EHANDLE);
  int64_t value = load_seq_cst(&counter->value);
  handle_leave(me, PIN_INNER);
  return value;
}

int64_t ilk_counter_exchange(void *c, int64_t value)
{
  WITH_COUNTER(c, counter, exchange_seq_cst(&counter->value, value));
}

int64_t ilk_counter_fetch_add(void *c, int64_t delta)
{
  WITH_COUNTER(c, counter, add_seq_cst(&counter->value, delta));
}

static inline int64_t compare_exchange(struct counter *c, int64_t expected, int64_t desired)
{
  cas_seq_cst(&c->value, &expected, desired);
  return expected; /* as it was, or what was seen instead */
}

int64_t ilk_counter_compare_exchange(void *c, int64_t expected, int64_t desired)
{
  WITH_COUNTER(c, counter, compare_exchange(counter, expected, desired));
}

int ilk_counter_store(void *c, int64_t value)
{
  struct self *me = self_get();
  if (unlikely(!me))
    return fail(ILK_ENOMEM);
  struct counter *counter = enter(me, c);
  if (unlikely(!counter))
    return fail(ILK_EHANDLE);
  store_seq_cst(&counter->value, value);
  changed(counter);
  handle_leave(me, PIN_INNER);
  return ILK_OK;
}

static int wait(struct counter *c, void *handle, struct self *me, int64_t at_least, int64_t timeout_ns)
{
  if (load_seq_cst(&c->value) >= at_least)
    return ILK_OK;
  if (timeout_ns == 0)
    return ILK_ETIMEDOUT;
  int64_t deadline = clock_deadline(timeout_ns);
  int result = ILK_OK;
  block_announce(&c->object);
  for (;;) {
    uint32_t turn = load_seq_cst(&c->object.turn);
    if (load_seq_cst(&c->value) >= at_least) {
      result = ILK_OK;
      break;
    }
    if (result != ILK_OK)
      break;
    result = block(me, handle, 0, &c->object.turn, turn, deadline, 0);
  }
  block_withdraw(&c->object);
  return result;
}

int ilk_counter_timedwait(void *c, int64_t at_least, int64_t timeout_ns)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  struct counter *counter = enter(me, c);
  if (!counter)
    return fail(ILK_EHANDLE);
  int result = wait(counter, c, me, at_least, timeout_ns);
  handle_leave(me, PIN_INNER);
  return answer(result);
}

int ilk_counter_wait(void *c, int64_t at_least)
{
  return ilk_counter_timedwait(c, at_least, -1);
}

int ilk_counter_free(void *c)
{
  return handle_free(c, KIND_COUNTER, NULL);
}

static void operation_describe(void *handle, struct object *object, char *text, size_t size)
{
  (void)handle;
  snprintf(text, size, "value %lld", (long long)load_relaxed(&((struct counter *)object)->value));
}

const struct kind_operations counter_operations = {.name = "counter", .describe = operation_describe};
