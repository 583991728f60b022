/* Locks and waiting in the caller's own memory. The lock's law is wordlock.h's. Nothing
   of the word is touched after the step that releases it, nor by a wake at all: the
   caller may unmap it at once.

   Private words hold the library's id of the thread. No handle names such a lock, so a
   dying thread cannot look at what it holds, but only knows how many; if any, it has every
   waiter for such a lock look again, and whoever finds the holder dead takes it.

   Shared words hold the system's id of the thread, which differs between processes (of one
   pid namespace). Nobody can tell there who is dead. */
#include "block.h"
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

static inline int begin(struct wordlock *w, void *address, int flags)
{
  int result = check(address, flags);
  if (unlikely(result != ILK_OK))
    return result;
  struct self *me = self_get();
  if (unlikely(!me))
    return ILK_ENOMEM;
  bool shared = flags & ILK_SHARED;
  uint32_t id = shared ? (uint32_t)load_relaxed(&me->native_id) & WORDLOCK_HOLDER : self_id(me);
  *w = (struct wordlock){.word = address, .me = me, .id = id, .shared = shared};
  return ILK_OK;
}

static inline int lock_for(void *address, int flags, int64_t timeout_ns)
{
  struct wordlock w;
  int result = begin(&w, address, flags);
  if (unlikely(result != ILK_OK))
    return result;
  result = likely(wordlock_take(w.word, w.id)) ? ILK_OK : wordlock_lock(&w, timeout_ns);
  if (likely(result >= 0) && !w.shared)
    w.me->words_held++;
  return result;
}

int ilk_word_lock(void *address, int flags)
{
  return answer(lock_for(address, flags, -1));
}

int ilk_word_timedlock(void *address, int flags, int64_t timeout_ns)
{
  return answer(lock_for(address, flags, timeout_ns));
}

int ilk_word_trylock(void *address, int flags)
{
  int result = lock_for(address, flags, 0);
  return answer(result == ILK_ETIMEDOUT ? ILK_EBUSY : result);
}

int ilk_word_unlock(void *address, int flags)
{
  struct wordlock w;
  int result = begin(&w, address, flags);
  if (unlikely(result != ILK_OK))
    return fail(result);
  result = likely(wordlock_give(w.word, w.id)) ? ILK_OK : wordlock_unlock(&w, false);
  if (likely(result == ILK_OK) && !w.shared)
    w.me->words_held--;
  return answer(result);
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
