/* The shape of a call on an object: it begins, which pins the object, does its work, and ends.

       struct call c;
       int result = call_begin(&c, handle, KIND_LATCH);
       if (result != ILK_OK)
         return fail(result);
       ...
       call_end(&c);

   A call whose fast path is one compare-and-swap of the head does this only in its slow path
   (handle.h). */
#ifndef INTERLOCK_CALL_H
#define INTERLOCK_CALL_H

#include "gil.h"
#include "handle.h"

struct call {
  struct thread *me;
  void *handle;
  struct object *object;
};

/* ILK_OK: the object is pinned. ILK_ENOMEM: the thread has no record. ILK_EHANDLE: this is no live
   handle of that kind. ILK_ETIMEDOUT: the time-out is 0, and a close is undecided. */
static inline int call_begin_timed(struct call *c, void *handle, enum kind kind, int64_t timeout_ns)
{
  *c = (struct call){thread_self(), handle, handle_object(handle)};
  return unlikely(!c->me) ? ILK_ENOMEM
                          : handle_enter_timed(c->me, PIN_INNER, handle, kind, timeout_ns);
}

static inline int call_begin(struct call *c, void *handle, enum kind kind)
{
  return call_begin_timed(c, handle, kind, -1);
}

static inline void call_end(const struct call *c)
{
  handle_leave(c->me, PIN_INNER);
}

/* The end of a call that may have waited. */
static inline void call_end_wait(const struct call *c)
{
  call_end(c);
  gil_reacquire(c->me);
}

/* For a call that finds CLOSING in the head and is not a waiter: ends it, and begins it again once
   the close is decided. */
static inline int call_retry(const struct call *c, int64_t timeout_ns)
{
  return handle_retry(c->me, PIN_INNER, c->handle, timeout_ns);
}

#endif
