/* Lock array: n words, each an owned mutex with the algorithm of wordlock.h, in zeroed memory, so
   that a large array costs nothing until its locks are used.

   The words' memory is released when the array is freed, so every call pins the array, and touches
   words only while it is pinned. Waiters sleep on the word itself and are counted in the object's
   `waiters`. A free checks every word for a live holder, before the close and once the pins are
   gone; a count of locked words would be a cache line that all locks share. Pages that were never
   touched hold no lock; where the system reports them, the check skips them.

   Pairs and ranges of locks are in lockarray_group.c. */
#include "lockarray.h"

#include <stdio.h>

#include "kinds.h"
#include "memory.h"
#include "os.h"

#define PADDED_SHIFT 4
_Static_assert(sizeof(atomic_u32) << PADDED_SHIFT == CACHE_LINE, "padded: a line each");

static size_t size_of(const struct lockarray *a)
{
  return (size_t)a->n * sizeof(atomic_u32) << a->shift;
}

void *ilk_lockarray_new(int64_t n, int flags)
{
  if (n < 1 || flags & ~ILK_PADDED)
    return fail_null(ILK_EINVAL);
  unsigned shift = flags & ILK_PADDED ? PADDED_SHIFT : 0;
  if ((uint64_t)n > PTRDIFF_MAX / sizeof(atomic_u32) >> shift)
    return fail_null(ILK_ENOMEM);
  void *handle;
  struct lockarray *a = (struct lockarray *)handle_reserve(KIND_LOCKARRAY, &handle);
  if (!a)
    return fail_null(ILK_ENOMEM);
  a->n = n;
  a->shift = shift;
  a->words = memory_new(size_of(a));
  if (!a->words) {
    handle_abandon(handle);
    return fail_null(ILK_ENOMEM);
  }
  return handle_publish(&a->object, handle, 0);
}

struct visitor {
  const struct lockarray *array;
  bool (*visit)(int64_t i, uint32_t holder, void *context);
  void *context;
};

static bool visit_part(void *part, size_t size, void *context)
{
  const struct visitor *v = context;
  const struct lockarray *a = v->array;
  atomic_u32 *begin = part, *end = (atomic_u32 *)((char *)part + size);
  for (atomic_u32 *word = begin; word < end; word += (size_t)1 << a->shift) {
    uint32_t holder = wordlock_holder(word);
    if (unlikely(holder) &&
        v->visit((int64_t)((size_t)(word - a->words) >> a->shift), holder, v->context))
      return true;
  }
  return false;
}

/* Visits each lock that a thread holds, live or dead, until visit() returns true. */
static bool each_held(const struct lockarray *a,
                      bool (*visit)(int64_t i, uint32_t holder, void *context), void *context)
{
  struct visitor v = {a, visit, context};
  return os_each_touched(a->words, size_of(a), visit_part, &v);
}

static bool is_alive(int64_t i, uint32_t holder, void *context)
{
  (void)i;
  (void)context;
  return thread_find(holder);
}

static bool is_busy(struct object *object, uint32_t state)
{
  (void)state;
  return each_held((struct lockarray *)object, is_alive, NULL);
}

/* Spares an array that is in use a close that fails, during which tries would fail. */
static bool is_busy_now(void *array)
{
  struct call c;
  if (call_begin(&c, array, KIND_LOCKARRAY) != ILK_OK)
    return false;
  bool busy = is_busy(c.object, 0);
  call_end(&c);
  return busy;
}

int ilk_lockarray_free(void *array)
{
  int result = is_busy_now(array) ? ILK_EBUSY : handle_close(array, KIND_LOCKARRAY);
  if (result != ILK_OK)
    return fail(result);
  struct lockarray *a = (struct lockarray *)handle_object(array);
  memory_free(a->words, size_of(a));
  handle_recycle(array);
  return ILK_OK;
}

/* --- the calls for one lock --------------------------------------------------------- */

/* For the fast paths, which change one word. They make no calls, so that their values stay in
   registers. NULL: nothing is pinned, or the pin is set again by the slow path. */
static inline struct lockarray *pin_fast(struct thread *me, void *array)
{
  if (unlikely(!me))
    return NULL;
  return (struct lockarray *)handle_enter_fast(me, PIN_INNER, array, KIND_LOCKARRAY);
}

/* False: the array has not changed. */
static inline bool lock_fast(void *array, int64_t i)
{
  struct thread *me = thread_current;
  struct lockarray *a = pin_fast(me, array);
  if (unlikely(!a))
    return false;
  bool done = likely(lockarray_has(a, i)) && wordlock_acquire(lockarray_word(a, i), thread_id(me));
  handle_leave(me, PIN_INNER);
  return done;
}

COLD static int lock_for(void *array, int64_t i, int64_t timeout_ns)
{
  struct call c;
  int result = call_begin_timed(&c, array, KIND_LOCKARRAY, timeout_ns);
  if (result != ILK_OK)
    return result;
  result = ILK_EINVAL;
  if (lockarray_has(lockarray_of(&c), i)) {
    struct wordlock w = lockarray_lock_at(&c, i);
    result = wordlock_lock(&w, timeout_ns);
  }
  call_end_wait(&c);
  return result;
}

int ilk_lockarray_lock(void *array, int64_t i)
{
  return likely(lock_fast(array, i)) ? ILK_OK : return_code(lock_for(array, i, -1));
}

int ilk_lockarray_timedlock(void *array, int64_t i, int64_t timeout_ns)
{
  return likely(lock_fast(array, i)) ? ILK_OK : return_code(lock_for(array, i, timeout_ns));
}

int ilk_lockarray_trylock(void *array, int64_t i)
{
  return likely(lock_fast(array, i)) ? ILK_OK : try_code(lock_for(array, i, 0));
}

COLD static int unlock_for(void *array, int64_t i)
{
  struct call c;
  int result = call_begin(&c, array, KIND_LOCKARRAY);
  if (result != ILK_OK)
    return fail(result);
  result = ILK_EINVAL;
  if (lockarray_has(lockarray_of(&c), i)) {
    struct wordlock w = lockarray_lock_at(&c, i);
    result = wordlock_unlock(&w, false);
  }
  call_end(&c);
  return return_code(result);
}

int ilk_lockarray_unlock(void *array, int64_t i)
{
  struct thread *me = thread_current;
  struct lockarray *a = pin_fast(me, array);
  if (unlikely(!a))
    return unlock_for(array, i);
  enum wordlock_released released = WORDLOCK_REFUSED;
  atomic_u32 *word = NULL;
  if (likely(lockarray_has(a, i))) {
    word = lockarray_word(a, i);
    released = wordlock_release(word, me);
  }
  handle_leave(me, PIN_INNER);
  if (likely(released == WORDLOCK_RELEASED))
    return ILK_OK;
  /* Unpinned: the wake uses the address alone. */
  return released == WORDLOCK_ERASED ? wordlock_wake(word) : unlock_for(array, i);
}

/* --- operations for other modules --------------------------------------------------- */

/* The index may belong to another object: the caller read it from a record that may change
   meanwhile. */
static uint32_t operation_holder(struct object *object, int64_t index)
{
  struct lockarray *a = (struct lockarray *)object;
  return lockarray_has(a, index) ? wordlock_holder(lockarray_word(a, index)) : 0;
}

static void operation_holder_died(struct object *object, int64_t index)
{
  uint32_t holder = operation_holder(object, index);
  if (holder && !thread_find(holder))
    wordlock_holder_died(lockarray_word((struct lockarray *)object, index), holder);
}

#define NAMED 4 /* held locks that the report names */

struct held {
  int64_t count;
  char names[NAMED * 48];
  size_t length;
};

static bool name_held(int64_t i, uint32_t holder, void *context)
{
  struct held *held = context;
  if (held->count++ < NAMED)
    held->length +=
      (size_t)snprintf(held->names + held->length, sizeof held->names - held->length,
                       "%s[%lld] by thread %u", held->length ? ", " : ": ", (long long)i, holder);
  return false;
}

static void operation_describe(struct object *object, char *text, size_t size)
{
  struct lockarray *a = (struct lockarray *)object;
  struct held held = {0};
  each_held(a, name_held, &held);
  snprintf(text, size, "%lld of %lld locked%s%s", (long long)held.count, (long long)a->n,
           held.names, held.count > NAMED ? ", ..." : "");
}

/* No after_fork: in a fork's child each word has its holder's id, which shows whether that thread
   is dead. */
const struct kind_operations lockarray_operations = {
  .name = "lockarray",
  .holder = operation_holder,
  .holder_died = operation_holder_died,
  .busy = is_busy,
  .busy_takes_long = true,
  .describe = operation_describe,
};
