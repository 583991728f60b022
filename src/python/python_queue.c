/* Methods of queues of integers. */
#include "python.h"

/* put(item, block=True, timeout=None) */
object python_queue_put(object self, object const *values, intptr_t n, object names)
{
  struct arguments arguments = {values, n, names};
  int64_t item;
  bool is_usual =
    n > 0 && is_int(values[0], &item) &&
    (likely(n == 1 && !names) || how_to_wait(&arguments, 1, "block", true) != HOW_PYTHON);
  if (likely(is_usual && ilk_queue_tryput(handle_for_call(self), item) == ILK_OK))
    return reference(python.none);
  return call_python(self, "_python_put", &arguments);
}

object python_queue_put_nowait(object self, object const *values, intptr_t n, object names)
{
  struct arguments arguments = {values, n, names};
  int64_t item;
  if (likely(n == 1 && !names && is_int(values[0], &item) &&
             ilk_queue_tryput(handle_for_call(self), item) == ILK_OK))
    return reference(python.none);
  return call_python(self, "_python_put_nowait", &arguments);
}

/* Gets the oldest item. False: there is none now, or Python is to get it. *item is NULL if Python
   has no memory for it, and raises MemoryError. Then the item is lost: put back, it would be behind
   the others, and their order would change without a word. */
static inline bool take(object self, object *item)
{
  int64_t value;
  if (unlikely(ilk_queue_tryget(handle_for_call(self), &value) != ILK_OK))
    return false;
  *item = python.new_int(value);
  return true;
}

/* get(block=True, timeout=None) */
object python_queue_get(object self, object const *values, intptr_t n, object names)
{
  struct arguments arguments = {values, n, names};
  object item;
  if (likely(((!n && !names) || how_to_wait(&arguments, 0, "block", true) != HOW_PYTHON) &&
             take(self, &item)))
    return item;
  return call_python(self, "_python_get", &arguments);
}

object python_queue_get_nowait(object self, object unused)
{
  (void)unused;
  object item;
  return likely(take(self, &item)) ? item : call_python_0(self, "_python_get_nowait");
}
