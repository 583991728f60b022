/* Started threads. The object's state, the lower half of its head, is the id of its thread, and
   never changes. The id is reserved before the thread begins (thread_reserve()), and released when
   the thread exits, however that happens: the function returns, pthread_exit() or pthread_cancel().
   So

       the thread has returned  <=>  no thread has its id (thread_find() returns NULL)

   and the exit need not write to the object. Thread exit searches for threads that wait for
   something the dead thread holds. A joining thread waits for something that only that thread can
   provide, its end; so to the search for deadlock cycles and to thread exit, the thread is the
   object's holder.

   Invariants:
   I1  A thread's start and exit do not use its handle; an exit reaches the object only through a
       thread that waits for it, and pins it. So the handle may be freed while the thread runs, and
       the thread cannot affect the slot's next object.
   I2  An exit first releases the id and then checks for waiters. A waiter registers and then checks
       the id (block()). So no waiter sleeps through the exit.
   I3  The thread that joins frees the handle, outside its own pin. If several join, one frees it,
       and the others return ILK_EHANDLE.
   I4  Releasing the id is a release, and finding it gone an acquire (thread_record.c): a join sees
       everything that the thread did.
   I5  In a fork's child, all ids but the forking thread's are already released. */
#include "kinds.h"

#include <limits.h>
#include <stdio.h>

#include "backoff.h"
#include "block.h"
#include "gil.h"
#include "memory.h"
#include "os.h"

/* What ilk_thread_start() passes to the new thread, which frees it. */
struct start {
  struct os_start start;
  struct thread *record;
  void (*function)(void *);
  void *argument;
};

static void leave(void *record)
{
  thread_leave(record);
}

static void call(void *start)
{
  struct start s = *(struct start *)start;
  memory_free(start, sizeof s);
  s.function(s.argument);
}

/* If the system cannot report this thread's exit, leave() does, however the function ends. A thread
   that is cancelled, or calls pthread_exit(), does not return from run(). AddressSanitizer would
   then treat what it has marked in the frame as still in use when the system ends the thread. */
__attribute__((no_sanitize("address"))) static void run(struct os_start *start)
{
  struct thread *record = ((struct start *)start)->record;
  if (likely(thread_adopt(record)))
    call(start);
  else
    os_call_with_cleanup(call, start, leave, record);
}

void *ilk_thread_start(void *function, void *argument)
{
  if (!function)
    return fail_null(ILK_EINVAL);
  struct start *start = memory_new(sizeof *start);
  struct thread *record = thread_reserve(false);
  void *handle;
  struct object *object = handle_reserve(KIND_THREAD, &handle);
  if (start && record && object) {
    uint32_t id = thread_id(record); /* the thread may have exited before the handle is published */
    *start = (struct start){{run}, record, (void (*)(void *))(uintptr_t)function, argument};
    if (os_thread_start(&start->start))
      return handle_publish(object, handle, id);
  }
  memory_free(start, sizeof *start);
  if (object)
    handle_recycle(handle);
  if (record)
    thread_abandon(record);
  return fail_null(ILK_ENOMEM);
}

static uint32_t thread_of(struct object *object)
{
  return head_state(load_relaxed(&object->head));
}

static bool has_returned(struct object *object)
{
  return !thread_find(thread_of(object));
}

static int check(const struct call *c, void *context, int ended)
{
  (void)context, (void)ended;
  return has_returned(c->object) ? ILK_OK : ILK_EBUSY;
}

static int wait(const struct call *c, int64_t timeout_ns)
{
  if (has_returned(c->object))
    return ILK_OK;
  if (timeout_ns == 0)
    return ILK_ETIMEDOUT;
  if (thread_of(c->object) == thread_id(c->me))
    return ILK_EDEADLK;
  return block_until(c, clock_deadline(timeout_ns), check, NULL);
}

static int join(const struct call *c, int64_t timeout_ns)
{
  int64_t deadline = timeout_ns == 0 ? 0 : clock_deadline(timeout_ns);
  int result = wait(c, timeout_ns);
  call_end(c);
  if (result != ILK_OK)
    return result;
  /* Busy only until the other joining threads have left. None of them sleeps any more, but one may
     run a signal handler. */
  struct backoff backoff = {0};
  while ((result = handle_close(c->handle, KIND_THREAD)) == ILK_EBUSY) {
    if (clock_now() >= deadline)
      return ILK_ETIMEDOUT;
    backoff_wait(&backoff);
  }
  if (result == ILK_OK)
    handle_recycle(c->handle);
  return result;
}

int ilk_thread_timedjoin(void *thread, int64_t timeout_ns)
{
  struct call c;
  int result = call_begin_timed(&c, thread, KIND_THREAD, timeout_ns);
  if (result != ILK_OK)
    return fail(result);
  result = join(&c, timeout_ns);
  gil_reacquire(c.me);
  return return_code(result);
}

int ilk_thread_join(void *thread)
{
  return ilk_thread_timedjoin(thread, -1);
}

int ilk_thread_free(void *thread)
{
  return handle_free(thread, KIND_THREAD);
}

static uint32_t operation_holder(struct object *object, int64_t index)
{
  (void)index;
  return thread_of(object);
}

static void operation_holder_died(struct object *object, int64_t index)
{
  (void)index;
  block_wake(&object->epoch, INT_MAX);
}

static void describe(struct object *object, char *text, size_t size)
{
  snprintf(text, size, has_returned(object) ? "returned, was thread %u" : "running, thread %u",
           (unsigned)thread_of(object));
}

const struct kind_operations thread_operations = {
  .name = "thread",
  .holder = operation_holder,
  .holder_died = operation_holder_died,
  .describe = describe,
};
