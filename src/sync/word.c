/* Locks and waits in the caller's own memory. State transitions of the lock are in wordlock.h. No
   call touches the word after the step that releases it, and a wake never does: the caller may
   unmap it at once.

   Private words hold the library's thread id. No handle names such a lock, and compiled code may
   acquire it without a call (ilk_word_id), so a thread that exits has no list of those it holds. If
   it ever used one, its exit makes all waiters of private words recheck, and one that finds its
   holder dead acquires the lock.

   Shared words hold the system's thread id, which is unique across the processes of one pid
   namespace. Dead holders cannot be detected there. */
#include "block.h"
#include "gil.h"
#include "os.h"
#include "spin.h"
#include "wake.h"
#include "wordlock.h"

/* Are the address and the flags valid? */
static int check(void *address, int flags)
{
  if (!address || (uintptr_t)address % sizeof(atomic_u32) || flags & ~ILK_SHARED)
    return ILK_EINVAL;
  return flags & ILK_SHARED && !wait_has_shared ? ILK_ENOTSUP : ILK_OK;
}

/* --- the lock ---------------------------------------------------------------------- */

/* The id that the caller stores in a word; 0: the system has refused to tell it. */
static inline uint32_t holder_id(const struct thread *me, int flags)
{
  if (!(flags & ILK_SHARED))
    return thread_id(me);
  (void)fork_is_under_way(); /* in a fork's child the system's id is another */
  return (uint32_t)load_relaxed(&me->native_id) & WORDLOCK_HOLDER;
}

/* check() of a private word, with fewer branches. */
static inline bool is_private(void *address, int flags)
{
  uintptr_t misaligned = (uintptr_t)address % sizeof(atomic_u32);
  return likely(!((uintptr_t)flags | misaligned) && address);
}

/* The fast paths: one change of the word. False, WORDLOCK_REFUSED: nothing has changed, take the
   slow path. They make no calls, so that their values stay in registers. */
static inline bool lock_fast(void *address, int flags)
{
  struct thread *me = thread_current;
  if (unlikely(!me) || (!is_private(address, flags) && check(address, flags) != ILK_OK))
    return false;
  me->uses_words = true;
  uint32_t id = holder_id(me, flags);
  if (unlikely(flags & ILK_SHARED && !id))
    return false;
  return likely(wordlock_acquire(address, id));
}

static inline enum wordlock_released unlock_fast(void *address, int flags)
{
  struct thread *me = thread_current;
  if (unlikely(!me))
    return WORDLOCK_REFUSED;
  if (is_private(address, flags))
    return wordlock_release(address, me);
  if (check(address, flags) != ILK_OK)
    return WORDLOCK_REFUSED;
  uint32_t id = holder_id(me, flags);
  return id && wordlock_release_shared(address, id) ? WORDLOCK_RELEASED : WORDLOCK_REFUSED;
}

static int begin(struct wordlock *w, void *address, int flags)
{
  int result = check(address, flags);
  if (result != ILK_OK)
    return result;
  struct thread *me = thread_self();
  if (!me)
    return ILK_ENOMEM;
  me->uses_words = true;
  uint32_t id = holder_id(me, flags);
  if (!id) { /* a sandbox may have refused it for a while */
    store_relaxed(&me->native_id, os_thread_id());
    id = holder_id(me, flags);
  }
  *w = (struct wordlock){.word = address, .me = me, .id = id, .shared = flags & ILK_SHARED};
  return id ? ILK_OK : ILK_ENOTSUP;
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
  return return_code(result == ILK_OK ? wordlock_unlock(&w, false) : result);
}

int ilk_word_lock(void *address, int flags)
{
  return lock_fast(address, flags) ? ILK_OK : return_code(lock_slow(address, flags, -1));
}

int ilk_word_timedlock(void *address, int flags, int64_t timeout_ns)
{
  return lock_fast(address, flags) ? ILK_OK : return_code(lock_slow(address, flags, timeout_ns));
}

int ilk_word_trylock(void *address, int flags)
{
  return lock_fast(address, flags) ? ILK_OK : try_code(lock_slow(address, flags, 0));
}

int ilk_word_unlock(void *address, int flags)
{
  enum wordlock_released released = unlock_fast(address, flags);
  if (likely(released == WORDLOCK_RELEASED))
    return ILK_OK;
  return released == WORDLOCK_ERASED ? wordlock_wake(address) : unlock_slow(address, flags);
}

int ilk_word_id(void)
{
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  me->uses_words = true;
  return (int)thread_id(me);
}

/* --- waiting ------------------------------------------------------------------------- */

/* The threads that are about to sleep or asleep in ilk_word_wait(), by the slot of the word. A wake
   that finds none makes no system call. Dekker:

       waiter:  count += 1;  fence;  sleep if the word is `expected`
       waker:   (the caller has changed the word);  fence;  load the count

   If the waker's load misses the waiter, the waiter finds the word changed. Shared words are not
   counted: their waiters may be in another process. In a fork's child the waiters of the parent
   remain counted, so a wake may make a system call for nothing. */
static atomic_u32 waiters[WAKE_SLOTS];

static int sleep_on(struct thread *me, atomic_u32 *word, uint32_t expected, int64_t deadline)
{
  add_relaxed(&waiters[wake_slot(word)], 1);
  fence_seq_cst();
  int result = block(me, NULL, 0, word, expected, deadline, BLOCK_WORD);
  sub_relaxed(&waiters[wake_slot(word)], 1);
  return result;
}

static int sleep_on_shared(struct thread *me, atomic_u32 *word, uint32_t expected, int64_t deadline)
{
  int result = block(me, NULL, 0, word, expected, deadline, BLOCK_WORD | BLOCK_SHARED);
  /* We may have consumed a wake that another process needs; only this process is cancelled. */
  if (result == ILK_ECANCELED)
    wake(word, 1, true);
  return result;
}

int ilk_word_wait(void *address, int expected, int flags, int64_t timeout_ns)
{
  int result = check(address, flags);
  if (result != ILK_OK)
    return fail(result);
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  atomic_u32 *word = address;
  /* seq_cst: orders the caller's earlier stores before this load; the caller's protocol may be
     Dekker's. */
  if (load_seq_cst(word) != (uint32_t)expected)
    return ILK_OK;
  if (timeout_ns == 0)
    return fail(ILK_ETIMEDOUT);
  struct spin spin = spin_begin(me);
  while (spin_again(&spin))
    if (load_acquire(word) != (uint32_t)expected) { /* pairs with the change */
      spin_won(&spin);
      return ILK_OK;
    }
  int64_t deadline = clock_deadline(timeout_ns);
  result = flags & ILK_SHARED ? sleep_on_shared(me, word, (uint32_t)expected, deadline)
                              : sleep_on(me, word, (uint32_t)expected, deadline);
  gil_reacquire(me);
  return return_code(result);
}

int ilk_word_wake(void *address, int n, int flags)
{
  int result = check(address, flags);
  if (result == ILK_OK && n < 0)
    result = ILK_EINVAL;
  if (result != ILK_OK)
    return fail(result);
  fence_seq_cst(); /* pairs with sleep_on() */
  if (!(flags & ILK_SHARED) && !load_relaxed(&waiters[wake_slot(address)]))
    return 0;
  return wake(address, n, flags & ILK_SHARED);
}
