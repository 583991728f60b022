/* Lock array: n words, each an owned mutex with the algorithm of wordlock.h, in zeroed memory, so
   that a large array costs nothing until its locks are used.

   The words are unmapped when the array is freed, so a call touches them only while it pins the
   array. Waiters sleep on the word itself and are counted in the object's `waiters`. A free
   searches every word for a live holder, twice: before the close, which spares an array in use a
   close that fails; and in the close, once no call pins the array. A count of locked words would be
   a cache line that all locks share. Pages that were never written hold no lock. The search skips
   them where the system can tell them from pages that are swapped out.

   The locks of a pair or a range are acquired in ascending order of the index, so two such calls
   never wait for each other, unless a caller holds another lock of the array. A call that fails
   releases the locks that it has acquired. Those that it had acquired from dead threads become
   OWNER_DEAD, so that the next thread to acquire one of them gets ILK_OWNER_DIED. */
#include <stdio.h>

#include "clock.h"
#include "handle.h"
#include "kinds.h"
#include "memory.h"
#include "os.h"
#include "wordlock.h"

struct lockarray {
  struct object object;
  DELAYED_LOADS;
  /* Constant once the array is published. */
  atomic_u32 *words;
  int64_t n;
  unsigned shift; /* log2 of the distance between locks, in words */
};
_Static_assert(sizeof(struct lockarray) <= CACHE_LINE, "an object fills one cache line");

static inline atomic_u32 *word_at(const struct lockarray *a, int64_t i)
{
  return &a->words[(size_t)i << a->shift];
}

static inline bool has(const struct lockarray *a, int64_t i)
{
  return (uint64_t)i < (uint64_t)a->n;
}

static inline struct lockarray *array_of(const struct call *c)
{
  return (struct lockarray *)c->object;
}

/* The lock at a valid index, for the slow paths of wordlock.h. */
static inline struct wordlock lock_at(const struct call *c, int64_t i)
{
  return (struct wordlock){.word = word_at(array_of(c), i),
                           .me = c->me,
                           .id = thread_id(c->me),
                           .handle = c->handle,
                           .index = i};
}

/* --- new and free -------------------------------------------------------------------- */

#define PADDED_SHIFT 4
_Static_assert(sizeof(atomic_u32) << PADDED_SHIFT == CACHE_LINE, "a padded lock fills a line");

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
    handle_recycle(handle);
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

/* Calls visit() for each lock that has a holder, live or dead, until it returns true. Returns
   whether it did. */
static bool each_held(const struct lockarray *a,
                      bool (*visit)(int64_t i, uint32_t holder, void *context), void *context)
{
  struct visitor v = {a, visit, context};
  return os_each_touched(a->words, size_of(a), visit_part, &v);
}

static bool holder_is_alive(int64_t i, uint32_t holder, void *context)
{
  (void)i;
  (void)context;
  return thread_find(holder);
}

static bool is_busy(struct object *object, uint32_t state)
{
  (void)state;
  return each_held((struct lockarray *)object, holder_is_alive, NULL);
}

/* Before the close, because tries fail while a close is undecided. The close checks again. */
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

/* --- with the array pinned, and valid indices ------------------------------------------- */

COLD static int lock_slow(const struct call *c, int64_t i, int64_t timeout_ns)
{
  struct wordlock w = lock_at(c, i);
  return wordlock_lock(&w, timeout_ns);
}

COLD static int unlock_slow(const struct call *c, int64_t i, bool owner_dead)
{
  struct wordlock w = lock_at(c, i);
  return wordlock_unlock(&w, owner_dead);
}

/* The locks that a call names, in ascending order of the index: first, first + step, ... last. None
   if first > last. */
struct group {
  int64_t first, last, step;
};

/* False: the array does not have all of these locks. */
static inline bool pair(const struct lockarray *a, int64_t i, int64_t j, struct group *group)
{
  if (unlikely(!has(a, i) || !has(a, j)))
    return false;
  int64_t low = i < j ? i : j, high = i < j ? j : i;
  *group = (struct group){low, high, low < high ? high - low : 1};
  return true;
}

static inline bool range(const struct lockarray *a, int64_t begin, int64_t end, struct group *group)
{
  if (unlikely(begin < 0 || end < begin || a->n < end))
    return false;
  *group = (struct group){begin, end - 1, 1};
  return true;
}

/* A deadline: the call only tries. */
#define TRIES 0

/* Locks with the time that is left. That is at least 1 ns, even after the deadline: a try would not
   report that the caller holds the lock. */
COLD static int lock_slow_until(const struct call *c, int64_t i, int64_t deadline)
{
  if (deadline == TRIES || deadline == WAIT_FOREVER)
    return lock_slow(c, i, deadline == TRIES ? 0 : -1);
  int64_t left = deadline - clock_now();
  return lock_slow(c, i, left > 1 ? left : 1);
}

/* Locks that a call has acquired from dead threads, as runs of indices in ascending order. Only
   RUNS runs are kept: after that the last one is extended, and locks inside it that had no dead
   owner are reported as a dead thread's, too. */
#define RUNS 16

struct owner_dead_runs {
  int n;
  struct {
    int64_t first, last;
  } run[RUNS];
};

static void add_owner_dead(struct owner_dead_runs *runs, int64_t i)
{
  if (runs->n == 0 || (runs->run[runs->n - 1].last + 1 < i && runs->n < RUNS))
    runs->run[runs->n++].first = i;
  runs->run[runs->n - 1].last = i;
}

/* Releases the locks before `failed`, last first. */
COLD static void undo(const struct call *c, const struct group *group, int64_t failed,
                      const struct owner_dead_runs *runs)
{
  int n = runs->n;
  for (int64_t i = failed - group->step; i >= group->first; i -= group->step) {
    while (n && i < runs->run[n - 1].first)
      n--;
    unlock_slow(c, i, n && i <= runs->run[n - 1].last);
  }
}

static inline int lock_group(const struct call *c, const struct group *group, int64_t timeout_ns)
{
  int64_t deadline = timeout_ns == 0 ? TRIES : clock_deadline(timeout_ns);
  struct owner_dead_runs runs;
  runs.n = 0;
  for (int64_t i = group->first; i <= group->last; i += group->step) {
    if (likely(wordlock_acquire(word_at(array_of(c), i), thread_id(c->me))))
      continue;
    int result = lock_slow_until(c, i, deadline);
    if (unlikely(result < 0)) {
      undo(c, group, i, &runs);
      return result;
    }
    if (unlikely(result == ILK_OWNER_DIED))
      add_owner_dead(&runs, i);
  }
  return runs.n ? ILK_OWNER_DIED : ILK_OK;
}

/* Releases all locks of the group, or none. */
static inline int unlock_group(const struct call *c, const struct group *group, int64_t unused)
{
  (void)unused;
  for (int64_t i = group->first; i <= group->last; i += group->step)
    if (!wordlock_is_held_by(word_at(array_of(c), i), c->me))
      return ILK_EPERM;
  for (int64_t i = group->first; i <= group->last; i += group->step) {
    atomic_u32 *word = word_at(array_of(c), i);
    enum wordlock_released released = wordlock_release(word, c->me);
    if (unlikely(released == WORDLOCK_ERASED))
      wordlock_wake(word);
    else if (unlikely(released == WORDLOCK_REFUSED))
      unlock_slow(c, i, false);
  }
  return ILK_OK;
}

static int lock_single(const struct call *c, const struct group *group, int64_t timeout_ns)
{
  return lock_slow(c, group->first, timeout_ns);
}

static int unlock_single(const struct call *c, const struct group *group, int64_t unused)
{
  (void)unused;
  return unlock_slow(c, group->first, false);
}

/* --- the calls -------------------------------------------------------------------------- */

/* Pins the array and returns the result of operate() for the group that find() makes of i and j.
   Both functions are constants in each caller, and so their calls are inlined. */
static inline int
call_for(void *array, int64_t i, int64_t j, int64_t timeout_ns,
         bool (*find)(const struct lockarray *a, int64_t i, int64_t j, struct group *group),
         int (*operate)(const struct call *c, const struct group *group, int64_t timeout_ns))
{
  struct call c;
  int result = call_begin_timed(&c, array, KIND_LOCKARRAY, timeout_ns);
  if (unlikely(result != ILK_OK))
    return result;
  struct group group;
  result = find(array_of(&c), i, j, &group) ? operate(&c, &group, timeout_ns) : ILK_EINVAL;
  call_end_wait(&c);
  return result;
}

COLD static int lock_call(void *array, int64_t i, int64_t timeout_ns)
{
  return call_for(array, i, i, timeout_ns, pair, lock_single);
}

COLD static int unlock_call(void *array, int64_t i)
{
  return call_for(array, i, i, -1, pair, unlock_single);
}

/* The pin of a fast path. It makes no calls, so that the path's values stay in registers. NULL:
   take the slow path. The pin may be set; the slow path uses the same one. */
static inline struct lockarray *pin_fast(struct thread *me, void *array)
{
  if (unlikely(!me))
    return NULL;
  return (struct lockarray *)handle_enter_fast(me, PIN_INNER, array, KIND_LOCKARRAY);
}

/* True: locked. False: nothing has changed; take the slow path. */
static inline bool lock_fast(void *array, int64_t i)
{
  struct thread *me = thread_current;
  struct lockarray *a = pin_fast(me, array);
  if (unlikely(!a))
    return false;
  bool done = likely(has(a, i)) && wordlock_acquire(word_at(a, i), thread_id(me));
  handle_leave(me, PIN_INNER);
  return done;
}

int ilk_lockarray_lock(void *array, int64_t i)
{
  return likely(lock_fast(array, i)) ? ILK_OK : return_code(lock_call(array, i, -1));
}

int ilk_lockarray_timedlock(void *array, int64_t i, int64_t timeout_ns)
{
  return likely(lock_fast(array, i)) ? ILK_OK : return_code(lock_call(array, i, timeout_ns));
}

int ilk_lockarray_trylock(void *array, int64_t i)
{
  return likely(lock_fast(array, i)) ? ILK_OK : try_code(lock_call(array, i, 0));
}

int ilk_lockarray_unlock(void *array, int64_t i)
{
  struct thread *me = thread_current;
  struct lockarray *a = pin_fast(me, array);
  if (unlikely(!a))
    return return_code(unlock_call(array, i));
  enum wordlock_released released = WORDLOCK_REFUSED;
  atomic_u32 *word = NULL;
  if (likely(has(a, i))) {
    word = word_at(a, i);
    released = wordlock_release(word, me);
  }
  handle_leave(me, PIN_INNER);
  if (likely(released == WORDLOCK_RELEASED))
    return ILK_OK;
  /* No longer pinned, so the word may be unmapped. The wake uses its address alone. */
  return released == WORDLOCK_ERASED ? wordlock_wake(word) : return_code(unlock_call(array, i));
}

int ilk_lockarray_lock_pair(void *array, int64_t i, int64_t j)
{
  return return_code(call_for(array, i, j, -1, pair, lock_group));
}

int ilk_lockarray_timedlock_pair(void *array, int64_t i, int64_t j, int64_t timeout_ns)
{
  return return_code(call_for(array, i, j, timeout_ns, pair, lock_group));
}

int ilk_lockarray_trylock_pair(void *array, int64_t i, int64_t j)
{
  return try_code(call_for(array, i, j, 0, pair, lock_group));
}

int ilk_lockarray_unlock_pair(void *array, int64_t i, int64_t j)
{
  return return_code(call_for(array, i, j, -1, pair, unlock_group));
}

int ilk_lockarray_lock_range(void *array, int64_t begin, int64_t end)
{
  return return_code(call_for(array, begin, end, -1, range, lock_group));
}

int ilk_lockarray_timedlock_range(void *array, int64_t begin, int64_t end, int64_t timeout_ns)
{
  return return_code(call_for(array, begin, end, timeout_ns, range, lock_group));
}

int ilk_lockarray_trylock_range(void *array, int64_t begin, int64_t end)
{
  return try_code(call_for(array, begin, end, 0, range, lock_group));
}

int ilk_lockarray_unlock_range(void *array, int64_t begin, int64_t end)
{
  return return_code(call_for(array, begin, end, -1, range, unlock_group));
}

/* --- operations for other modules --------------------------------------------------- */

/* The object is pinned. The index may be out of range: the caller loaded it from another thread's
   record, which may describe a wait for another object by now. */
static uint32_t operation_holder(struct object *object, int64_t index)
{
  struct lockarray *a = (struct lockarray *)object;
  return has(a, index) ? wordlock_holder(word_at(a, index)) : 0;
}

static void operation_holder_died(struct object *object, int64_t index)
{
  uint32_t holder = operation_holder(object, index);
  if (holder && !thread_find(holder))
    wordlock_holder_died(word_at((struct lockarray *)object, index), holder);
}

#define NAMED 4        /* held locks that the report names */
#define NAME_LENGTH 48 /* of ", [index] by thread id" */

struct held {
  int64_t count;
  char names[NAMED * NAME_LENGTH];
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
   survived the fork. */
const struct kind_operations lockarray_operations = {
  .name = "lockarray",
  .holder = operation_holder,
  .holder_died = operation_holder_died,
  .busy = is_busy,
  .busy_takes_long = true,
  .describe = operation_describe,
};
