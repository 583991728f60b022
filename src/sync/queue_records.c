/* Queues of records, made of two queues of slot numbers (see queue.c).

   A slot's number is in `unused`, in `used`, or with the one put or get that has taken it from
   there; so only that call touches the slot. The queues order the copies: what a put wrote happens
   before the get of its number, and what a get read happens before the next put to that slot.

   `used` can hold all numbers, and a put finds a queue full only if it is. So the second step of a
   call never waits for another put or get. It may wait until a free of its queue is decided,
   because the number must not be lost if that free fails. What is no queue is refused before the
   first step, so the second step fails only if its queue has been closed or freed. A put then
   refuses the record. It loses the number, which does not matter, because no put succeeds any
   more. */
#include <string.h>

#include "common.h"

/* Are the size, the addresses and the queue of the second step valid? */
static int check(const void *slots, int64_t size, const void *record, void *second)
{
  if ((uint64_t)size > SIZE_MAX / 2 || (size > 0 && (!slots || !record)))
    return fail(ILK_EINVAL);
  int closed = ilk_queue_is_closed(second);
  return closed < 0 ? closed : ILK_OK;
}

static char *slot(void *slots, int64_t size, int64_t number)
{
  return (char *)slots + number * size;
}

int ilk_queue_putrecord(void *used, void *unused, void *slots, int64_t size, void *record,
                        int64_t timeout_ns)
{
  int64_t number;
  int result = check(slots, size, record, used);
  if (result != ILK_OK)
    return result;
  result = ilk_queue_timedget(unused, &number, timeout_ns);
  if (result != ILK_OK)
    return result;
  if (size > 0) /* else the addresses may be NULL */
    memcpy(slot(slots, size, number), record, (size_t)size);
  return ilk_queue_put(used, number);
}

int ilk_queue_getrecord(void *used, void *unused, void *slots, int64_t size, void *record,
                        int64_t timeout_ns)
{
  int64_t number;
  int result = check(slots, size, record, unused);
  if (result != ILK_OK)
    return result;
  result = ilk_queue_timedget(used, &number, timeout_ns);
  if (result != ILK_OK)
    return result;
  if (size > 0)
    memcpy(record, slot(slots, size, number), (size_t)size);
  /* If this fails, the queue is closed or freed, and no put will use the slot. The call has
     succeeded all the same, so the last error stays. */
  int error = ilk_last_error();
  if (ilk_queue_put(unused, number) != ILK_OK)
    fail(error);
  return ILK_OK;
}
