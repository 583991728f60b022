/* Locks and waiting in the caller's own memory. The lock's law is wordlock.h's. Nothing
   of the word is touched after the step that releases it, nor by a wake at all: the
   caller may unmap it at once.

   Private words hold the library's id of the thread. No handle names such a lock, and
   compiled code takes it without a call (ilk_word_id), so a dying thread does not know what
   it holds. If it ever used such locks, it has every waiter for one look again, and whoever
   finds the holder dead takes it.

   Shared words hold the system's id of the thread, which differs between processes (of one
   pid namespace). Nobody can tell there who is dead. */
#include "block.h"
#include "gil.h"
#include "wait.h"
#include "wordlock.h"

/* May the flags be used with that address? */
static int check(void *address, int flags)
{
  if (!address || (uintptr_t)address % sizeof(atomic_u32) || flags & ~ILK_SHARED)
    return ILK_EINVAL;
  return flags & ILK_SHARED && !wait_has_shared ? ILK_ENOTSUP : ILK_OK;
}

/* --- the lock ---------------------------------------------------------------------- */

/* What stands in a word that the caller holds. */
static inline uint32_t holder_id(const struct self *me, int flags)
{
  return flags & ILK_SHARED ? (uint32_t)load_relaxed(&((struct self *)me)->native_id) & WORDLOCK_HOLDER : self_id(me);
}

/* One change of the word, if nothing is in the way: else false, and nothing is done. No call
   is made in here, so that what the fast path needs stays in registers. */
static inline bool change_fast(void *address, int flags, bool (*change)(atomic_u32 *word, uint32_t id))
{
  struct self *me = self_current;
  if (unlikely(!me || check(address, flags) != ILK_OK))
    return false;
  me->uses_words = true;
  return likely(change(address, holder_id(me, flags)));
}

static int begin(struct wordlock *w, void *address, int flags)
{
  int result = check(address, flags);
  if (result != ILK_OK)
    return result;
  struct self *me = self_get();
  if (!me)
    return ILK_ENOMEM;
  me->uses_words = true;
  *w = (struct wordlock){.word = address, .me = me, .id = holder_id(me, flags), .shared = flags & ILK_SHARED};
  return ILK_OK;
}

COLD static int lock_slow(void *address, int flags, int64_t timeout_ns)
{
  struct wordlock w;
  int result = begin(&w, address, flags);
  if (result != ILK_OK)
    return result;
  result = wordlock_lock(&w, timeout_ns);
  gil_reacquire(w.me);
  return result;
}

COLD static int unlock_slow(void *address, int flags)
{
  struct wordlock w;
  int result = begin(&w, address, flags);
  return answer(result == ILK_OK ? wordlock_unlock(&w, false) : result);
}

int ilk_word_lock(void *address, int flags)
{
  return change_fast(address, flags, wordlock_take) ? ILK_OK : answer(lock_slow(address, flags, -1));
}

int ilk_word_timedlock(void *address, int flags, int64_t timeout_ns)
{
  return change_fast(address, flags, wordlock_take) ? ILK_OK : answer(lock_slow(address, flags, timeout_ns));
}

int ilk_word_trylock(void *address, int flags)
{
  if (change_fast(address, flags, wordlock_take))
    return ILK_OK;
  int result = lock_slow(address, flags, 0);
  return answer(result == ILK_ETIMEDOUT ? ILK_EBUSY : result);
}

int ilk_word_unlock(void *address, int flags)
{
  return change_fast(address, flags, wordlock_give) ? ILK_OK : unlock_slow(address, flags);
}

int ilk_word_id(void)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  me->uses_words = true;
  return (int)self_id(me);
}

/* --- waiting ------------------------------------------------------------------------- */

int ilk_word_wait(void *address, int expected, int flags, int64_t timeout_ns)
{
  int result = check(address, flags);
  if (result != ILK_OK)
    return fail(result);
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  atomic_u32 *word = address;
  /* seq_cst: what the caller did before comes before the look, as in a wake after a change. */
  if (load_seq_cst(word) != (uint32_t)expected)
    return ILK_OK;
  if (timeout_ns == 0)
    return fail(ILK_ETIMEDOUT);
  bool shared = flags & ILK_SHARED;
  result = block(me, NULL, 0, word, (uint32_t)expected, clock_deadline(timeout_ns),
                 BLOCK_WORD | (shared ? BLOCK_SHARED : 0));
  /* The wake may have been for another process, which is not being cancelled. */
  if (result == ILK_ECANCELED && shared)
    wait_wake(word, 1, true);
  gil_reacquire(me);
  return answer(result);
}

int ilk_word_wake(void *address, int n, int flags)
{
  int result = check(address, flags);
  if (result == ILK_OK && n < 0)
    result = ILK_EINVAL;
  if (result != ILK_OK)
    return fail(result);
  return wait_wake(address, n, flags & ILK_SHARED);
}
