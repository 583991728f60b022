/* Lock array: n words, each an owned mutex with the algorithm of wordlock.h, in zeroed memory, so
   that a large array costs nothing until its locks are used.

   The words' memory is released when the array is freed, so every call pins the array, and touches
   words only while it is pinned. Waiters sleep on the word itself and are counted in the object's
   `waiters`. A free checks every word for a live holder, before the close and once the pins are
   gone; a count of locked words would be a cache line that all locks share. Pages that were never
   touched hold no lock; where the system reports them, the check skips them.

   The locks of a pair or a range are acquired in ascending order of the index, so that no two
   groups wait for each other. A call that fails releases the locks it has acquired; those it had
   acquired from dead threads become OWNER_DEAD, so that the next lock of each returns
   ILK_OWNER_DIED. */
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
  /* These never change. */
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

/* The array of a call. */
static inline struct lockarray *array_of(const struct call *c)
{
  return (struct lockarray *)c->object;
}

/* The lock at an index in range, for the slow paths of wordlock.h. */
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

/* --- with the array pinned, and indices in range ---------------------------------------- */

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

static inline int unlock(const struct call *c, int64_t i)
{
  atomic_u32 *word = word_at(array_of(c), i);
  enum wordlock_released released = wordlock_release(word, c->me);
  if (likely(released == WORDLOCK_RELEASED))
    return ILK_OK;
  return released == WORDLOCK_ERASED ? wordlock_wake(word) : unlock_slow(c, i, false);
}

static bool holds(const struct call *c, int64_t i)
{
  /* Relaxed: only the caller itself stores its id. */
  return (load_relaxed(word_at(array_of(c), i)) & WORDLOCK_HOLDER) == thread_id(c->me);
}

/* Locks with the time that is left until the deadline; at least tries. */
COLD static int lock_until(const struct call *c, int64_t i, int64_t deadline)
{
  if (deadline == WAIT_FOREVER)
    return lock_slow(c, i, -1);
  int64_t left = deadline - clock_now();
  return lock_slow(c, i, left > 0 ? left : 0);
}

static inline int lock_by(const struct call *c, int64_t i, int64_t deadline)
{
  return likely(wordlock_acquire(word_at(array_of(c), i), thread_id(c->me)))
           ? ILK_OK
           : lock_until(c, i, deadline);
}

static int lock_pair(const struct call *c, int64_t i, int64_t j, int64_t timeout_ns)
{
  int64_t deadline = clock_deadline(timeout_ns);
  int64_t low = i < j ? i : j, high = i < j ? j : i;
  int first = lock_by(c, low, deadline);
  if (first < 0 || low == high)
    return first;
  int second = lock_by(c, high, deadline);
  if (second < 0)
    unlock_slow(c, low, first == ILK_OWNER_DIED);
  return second == ILK_OK ? first : second;
}

static int unlock_pair(const struct call *c, int64_t i, int64_t j, int64_t unused)
{
  (void)unused;
  if (!holds(c, i) || !holds(c, j))
    return ILK_EPERM;
  unlock(c, i);
  if (i != j)
    unlock(c, j);
  return ILK_OK;
}

/* The locks of a range that were acquired from dead threads, as runs of indices in ascending order.
   If there are more than RUNS of them, the last run spans the locks between; those are then
   reported as a dead thread's, too. */
#define RUNS 16

struct dead_locks {
  int n;
  struct {
    int64_t first, last;
  } run[RUNS];
};

static void add_dead(struct dead_locks *dead, int64_t i)
{
  if (dead->n == 0 || (dead->run[dead->n - 1].last + 1 < i && dead->n < RUNS))
    dead->run[dead->n++].first = i;
  dead->run[dead->n - 1].last = i;
}

/* Releases the locks from begin to before `end`, last first. */
COLD static void undo_range(const struct call *c, int64_t begin, int64_t end,
                            const struct dead_locks *dead)
{
  int run = dead->n - 1;
  for (int64_t i = end; i-- > begin;) {
    while (run >= 0 && i < dead->run[run].first)
      run--;
    unlock_slow(c, i, run >= 0 && i <= dead->run[run].last);
  }
}

static int lock_range(const struct call *c, int64_t begin, int64_t end, int64_t timeout_ns)
{
  int64_t deadline = clock_deadline(timeout_ns);
  struct dead_locks dead;
  dead.n = 0;
  for (int64_t i = begin; i < end; i++) {
    int result = lock_by(c, i, deadline);
    if (unlikely(result < 0)) {
      undo_range(c, begin, i, &dead);
      return result;
    }
    if (unlikely(result == ILK_OWNER_DIED))
      add_dead(&dead, i);
  }
  return dead.n ? ILK_OWNER_DIED : ILK_OK;
}

static int unlock_range(const struct call *c, int64_t begin, int64_t end, int64_t unused)
{
  (void)unused;
  for (int64_t i = begin; i < end; i++)
    if (!holds(c, i))
      return ILK_EPERM;
  for (int64_t i = begin; i < end; i++)
    unlock(c, i);
  return ILK_OK;
}

/* --- the calls -------------------------------------------------------------------------- */

static bool has_pair(const struct call *c, int64_t i, int64_t j)
{
  return has(array_of(c), i) && has(array_of(c), j);
}

static bool has_range(const struct call *c, int64_t begin, int64_t end)
{
  return 0 <= begin && begin <= end && end <= array_of(c)->n;
}

/* The frame of every call but the fast paths: the result of operate(), if exists() says that the
   array has these locks. Both are constants in each caller, and inlined. */
static inline int with_locks(void *array, int64_t i, int64_t j, int64_t timeout_ns,
                             bool (*exists)(const struct call *c, int64_t i, int64_t j),
                             int (*operate)(const struct call *c, int64_t i, int64_t j,
                                            int64_t timeout_ns))
{
  struct call c;
  int result = call_begin_timed(&c, array, KIND_LOCKARRAY, timeout_ns);
  if (unlikely(result != ILK_OK))
    return result;
  result = likely(exists(&c, i, j)) ? operate(&c, i, j, timeout_ns) : ILK_EINVAL;
  call_end_wait(&c);
  return result;
}

static int lock_one(const struct call *c, int64_t i, int64_t unused, int64_t timeout_ns)
{
  (void)unused;
  return lock_slow(c, i, timeout_ns);
}

static int unlock_one(const struct call *c, int64_t i, int64_t unused, int64_t never)
{
  (void)unused;
  (void)never;
  return unlock_slow(c, i, false);
}

COLD static int lock_for(void *array, int64_t i, int64_t timeout_ns)
{
  return with_locks(array, i, i, timeout_ns, has_pair, lock_one);
}

COLD static int unlock_for(void *array, int64_t i)
{
  return with_locks(array, i, i, -1, has_pair, unlock_one);
}

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
  bool done = likely(has(a, i)) && wordlock_acquire(word_at(a, i), thread_id(me));
  handle_leave(me, PIN_INNER);
  return done;
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

int ilk_lockarray_unlock(void *array, int64_t i)
{
  struct thread *me = thread_current;
  struct lockarray *a = pin_fast(me, array);
  if (unlikely(!a))
    return return_code(unlock_for(array, i));
  enum wordlock_released released = WORDLOCK_REFUSED;
  atomic_u32 *word = NULL;
  if (likely(has(a, i))) {
    word = word_at(a, i);
    released = wordlock_release(word, me);
  }
  handle_leave(me, PIN_INNER);
  if (likely(released == WORDLOCK_RELEASED))
    return ILK_OK;
  /* Unpinned: the wake uses the address alone. */
  return released == WORDLOCK_ERASED ? wordlock_wake(word) : return_code(unlock_for(array, i));
}

int ilk_lockarray_lock_pair(void *array, int64_t i, int64_t j)
{
  return return_code(with_locks(array, i, j, -1, has_pair, lock_pair));
}

int ilk_lockarray_timedlock_pair(void *array, int64_t i, int64_t j, int64_t timeout_ns)
{
  return return_code(with_locks(array, i, j, timeout_ns, has_pair, lock_pair));
}

int ilk_lockarray_trylock_pair(void *array, int64_t i, int64_t j)
{
  return try_code(with_locks(array, i, j, 0, has_pair, lock_pair));
}

int ilk_lockarray_unlock_pair(void *array, int64_t i, int64_t j)
{
  return return_code(with_locks(array, i, j, -1, has_pair, unlock_pair));
}

int ilk_lockarray_lock_range(void *array, int64_t begin, int64_t end)
{
  return return_code(with_locks(array, begin, end, -1, has_range, lock_range));
}

int ilk_lockarray_timedlock_range(void *array, int64_t begin, int64_t end, int64_t timeout_ns)
{
  return return_code(with_locks(array, begin, end, timeout_ns, has_range, lock_range));
}

int ilk_lockarray_trylock_range(void *array, int64_t begin, int64_t end)
{
  return try_code(with_locks(array, begin, end, 0, has_range, lock_range));
}

int ilk_lockarray_unlock_range(void *array, int64_t begin, int64_t end)
{
  return return_code(with_locks(array, begin, end, -1, has_range, unlock_range));
}

/* --- operations for other modules --------------------------------------------------- */

/* The index may belong to another object: the caller read it from a record that may change
   meanwhile. */
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
