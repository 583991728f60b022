/* Pairs and ranges of a lock array.

   Their locks are acquired in ascending order of the index, so that no two groups wait for each
   other. A call that fails releases the locks it has acquired; those it had acquired from dead
   threads become OWNER_DEAD, so that the next lock of each returns ILK_OWNER_DIED. */
#include "clock.h"
#include "lockarray.h"

/* --- with the array pinned, and indices in range --------------------------------- */

COLD static int lock_slow(const struct call *c, int64_t i, int64_t timeout_ns)
{
  struct wordlock w = lockarray_lock_at(c, i);
  return wordlock_lock(&w, timeout_ns);
}

COLD static int unlock_slow(const struct call *c, int64_t i, bool owner_dead)
{
  struct wordlock w = lockarray_lock_at(c, i);
  return wordlock_unlock(&w, owner_dead);
}

static inline int unlock(const struct call *c, int64_t i)
{
  atomic_u32 *word = lockarray_word(lockarray_of(c), i);
  enum wordlock_released released = wordlock_release(word, c->me);
  if (likely(released == WORDLOCK_RELEASED))
    return ILK_OK;
  return released == WORDLOCK_ERASED ? wordlock_wake(word) : unlock_slow(c, i, false);
}

static bool holds(const struct call *c, int64_t i)
{
  /* Relaxed: only the caller itself stores its id. */
  return (load_relaxed(lockarray_word(lockarray_of(c), i)) & WORDLOCK_HOLDER) == thread_id(c->me);
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
  return likely(wordlock_acquire(lockarray_word(lockarray_of(c), i), thread_id(c->me)))
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

/* --- the calls -------------------------------------------------------------------- */

static bool is_pair(const struct call *c, int64_t i, int64_t j)
{
  return lockarray_has(lockarray_of(c), i) && lockarray_has(lockarray_of(c), j);
}

static bool is_range(const struct call *c, int64_t begin, int64_t end)
{
  return 0 <= begin && begin <= end && end <= lockarray_of(c)->n;
}

/* The frame of every call: the result of operate(), if is_valid() says that the array has these
   locks. Both are constants in each caller, and inlined. */
static inline int with_group(void *array, int64_t i, int64_t j, int64_t timeout_ns,
                             bool (*is_valid)(const struct call *c, int64_t i, int64_t j),
                             int (*operate)(const struct call *c, int64_t i, int64_t j,
                                            int64_t timeout_ns))
{
  struct call c;
  int result = call_begin_timed(&c, array, KIND_LOCKARRAY, timeout_ns);
  if (unlikely(result != ILK_OK))
    return result;
  result = likely(is_valid(&c, i, j)) ? operate(&c, i, j, timeout_ns) : ILK_EINVAL;
  call_end_wait(&c);
  return result;
}

int ilk_lockarray_lock_pair(void *array, int64_t i, int64_t j)
{
  return return_code(with_group(array, i, j, -1, is_pair, lock_pair));
}

int ilk_lockarray_timedlock_pair(void *array, int64_t i, int64_t j, int64_t timeout_ns)
{
  return return_code(with_group(array, i, j, timeout_ns, is_pair, lock_pair));
}

int ilk_lockarray_trylock_pair(void *array, int64_t i, int64_t j)
{
  return try_code(with_group(array, i, j, 0, is_pair, lock_pair));
}

int ilk_lockarray_unlock_pair(void *array, int64_t i, int64_t j)
{
  return return_code(with_group(array, i, j, -1, is_pair, unlock_pair));
}

int ilk_lockarray_lock_range(void *array, int64_t begin, int64_t end)
{
  return return_code(with_group(array, begin, end, -1, is_range, lock_range));
}

int ilk_lockarray_timedlock_range(void *array, int64_t begin, int64_t end, int64_t timeout_ns)
{
  return return_code(with_group(array, begin, end, timeout_ns, is_range, lock_range));
}

int ilk_lockarray_trylock_range(void *array, int64_t begin, int64_t end)
{
  return try_code(with_group(array, begin, end, 0, is_range, lock_range));
}

int ilk_lockarray_unlock_range(void *array, int64_t begin, int64_t end)
{
  return return_code(with_group(array, begin, end, -1, is_range, unlock_range));
}
