/* An owned mutex in 4 bytes, all zero = unlocked: the one algorithm of the lock array and of locks
   in the caller's memory.

   Source: the third mutex of Ulrich Drepper, "Futexes Are Tricky", with the holder's id in the
   word; and a starvation mode, after Go's sync.Mutex.

   The word:

       FREE                         unlocked, no thread sleeps
       id                           locked by that thread, no thread sleeps
       id | CONTENDED               locked, and a thread may sleep
       id | CONTENDED | STARVING    the same, and the release is for a thread that has slept
       CONTENDED | STARVING         RESERVED: free, for a thread that has slept
       CONTENDED                    OWNER_DEAD: free, and its last holder died

   State transitions:

       lock         FREE -> id [| CONTENDED]
                        any thread; CONTENDED if it has slept
       lock         RESERVED -> id | CONTENDED | STARVING
                        a thread that last fell asleep without STARVING
       lock         RESERVED -> id | CONTENDED
                        a thread that last fell asleep under STARVING; a try
       owner died   OWNER_DEAD -> id | CONTENDED
                        any thread
       owner died   dead id -> id, other bits kept
                        any thread; CONTENDED if it has slept
       wait         id [| CONTENDED] -> id | CONTENDED [| STARVING]
                        a waiter, before it sleeps or leaves
       unlock       id [| CONTENDED] -> FREE
                        the holder, which then wakes one if CONTENDED
       unlock       id | CONTENDED | STARVING -> RESERVED
                        the holder, which then wakes one
       owner died   id, with any bits -> OWNER_DEAD
                        any thread, if the holder is dead; then wakes one
                        a holder that undoes its acquisition from a dead thread; then wakes one if
                        CONTENDED

   Every transition is a compare-and-swap of the whole word, except id -> FREE where no other bit
   was set: a plain store, as in the mutex (I6). Between processes that is a compare-and-swap,
   too, and compilers may inline it as one (ilk_word_id()). An acquisition has acquire order, and
   pairs with the release order of every transition that frees the word. It has release order,
   too: a thread that loads the id finds the holder's record in thread_find().

   Invariants:
   I1  Only the holder, or a thread that finds it dead, changes the id of a locked word.
   I2  If a thread sleeps on the word, CONTENDED is set; or a thread that was woken or has set
       CONTENDED has not rechecked yet; or a release by a store has erased CONTENDED, and has yet to
       wake one. A waiter sets CONTENDED, and sleeps only while the word has exactly that value. A
       thread that has slept, or has found its CONTENDED erased, acquires with CONTENDED; one that
       leaves without the lock sets CONTENDED, since it may have consumed a wake; one that pauses
       (wordlock.c) wakes another, unless CONTENDED is set.
   I3  After the release the word's memory is not touched: it may be unmapped. The wake uses its
       address alone; a thread that is woken by mistake rechecks.
   I4  A try may acquire a RESERVED or OWNER_DEAD word. A thread that has not slept yet sleeps on
       RESERVED for PATIENCE at most, and then counts as one that has slept. So these states lock no
       thread out, even if all that had slept are gone.
   I5  Between processes I2 does not hold, because a woken thread may be killed before it rechecks.
       So no thread sleeps there for long without comparing the word (block()). If it finds the word
       changed, it rechecks; if the word is free, it acquires with CONTENDED, and its release wakes
       the next.
   I6  A release by a store loads the holder's `word_marks`, finds only the holder's id in the word,
       stores FREE, and loads `word_marks` again. A waiter that sets CONTENDED where it was clear
       then increments the holder's `word_marks`, runs the heavy fence, and rechecks the word before
       it sleeps or leaves. Dekker: either its recheck finds the store, or the second load finds the
       increment. The first load cannot have found it: then the holder would have found CONTENDED,
       too. So if a release erases CONTENDED and the waiter's recheck misses that, the release finds
       another count, and wakes one. `word_marks` counts for all words that the thread holds, so
       such a wake may be for nothing. Waiters that find CONTENDED set by another rely on that
       thread: if it finds the store, it acquires with CONTENDED, or sets it again.

   Bound on starvation: a thread that has waited for STARVING_AFTER (a quarter longer, if it
   pauses), wakes, and finds that another overtook it, sets STARVING and sleeps again. A repeated
   wait (repeated.h) sets it at once if it will sleep for LONG_SLEEP. From then on only threads that
   have slept acquire the word, longest asleep first, until the first that fell asleep under STARVING
   has had it. That is this thread, unless another falls asleep between its CAS and its sleep. So it
   waits for that time, and then for one critical section of each thread that slept at that moment.
   It may be overtaken by such a thread; by a try; by repeated waits, at one of two releases; by a
   thread whose PATIENCE or pause ends, or that wakes without a reason, before the woken thread runs;
   and, with futexes, by real-time threads (wait.h). If STARVING is clear after that, or a release by
   a store has erased it, the thread sets it again when it wakes next.

   Checked by test/models/wordlock.pml, and in the library's own sources by the scenarios
   word... and lockarray... of test/models/real. */
#ifndef INTERLOCK_WORDLOCK_H
#define INTERLOCK_WORDLOCK_H

#include "atomic.h"
#include "fence.h"
#include "thread_record.h"

#define WORDLOCK_FREE UINT32_C(0)
#define WORDLOCK_HOLDER ID_MAX
#define WORDLOCK_STARVING (UINT32_C(1) << 30)
#define WORDLOCK_CONTENDED (UINT32_C(1) << 31)
#define WORDLOCK_RESERVED (WORDLOCK_CONTENDED | WORDLOCK_STARVING)
#define WORDLOCK_OWNER_DEAD WORDLOCK_CONTENDED

/* The caller, and the lock it calls for. */
struct wordlock {
  atomic_u32 *word;
  struct thread *me;
  uint32_t id;  /* the caller's id, as stored in the word */
  bool shared;  /* between processes: then dead holders cannot be detected */
  void *handle; /* for block(): the object and the index in it; or NULL */
  int64_t index;
};

/* FREE -> id. The prefetch is for arrays of locks that are larger than a cache. */
static inline bool wordlock_acquire(atomic_u32 *word, uint32_t id)
{
  uint32_t seen = WORDLOCK_FREE;
  prefetch_write(word);
  return likely(cas_acq_rel(word, &seen, id));
}

/* The result of a release by a store. */
enum wordlock_released {
  WORDLOCK_RELEASED,
  WORDLOCK_ERASED, /* released, and perhaps CONTENDED was erased: call wordlock_wake() */
  WORDLOCK_REFUSED /* nothing has changed: take the slow path */
};

static inline bool wordlock_is_held_by(atomic_u32 *word, const struct thread *me)
{
  /* Relaxed: only the caller itself stores its id. */
  return (load_relaxed(word) & WORDLOCK_HOLDER) == thread_id(me);
}

/* id -> FREE, by a store (I6). Not between processes. */
static inline enum wordlock_released wordlock_release(atomic_u32 *word, struct thread *me)
{
  /* Acquire: a CONTENDED that is counted is found in the word. */
  uintptr_t marks = load_acquire(&me->word_marks);
  /* Relaxed: only the caller itself stores its id. */
  if (unlikely(load_relaxed(word) != thread_id(me)))
    return WORDLOCK_REFUSED;
  /* Dekker with is_settled(). */
  bool counted = fence_light(word, WORDLOCK_FREE, &me->word_marks) != marks;
  return likely(!counted) ? WORDLOCK_RELEASED : WORDLOCK_ERASED;
}

/* Wakes a thread that sleeps on the word, whose memory may be gone. ILK_OK. */
COLD int wordlock_wake(atomic_u32 *word);

/* The same by a compare-and-swap. */
static inline bool wordlock_release_shared(atomic_u32 *word, uint32_t id)
{
  uint32_t seen = id;
  return likely(cas_release(word, &seen, WORDLOCK_FREE));
}

/* The slow path; it may be called without a wordlock_acquire() before it. ILK_OK, ILK_OWNER_DIED:
   acquired; ILK_ETIMEDOUT (for a try, too), ILK_EDEADLK, ILK_ECANCELED. */
COLD int wordlock_lock(const struct wordlock *w, int64_t timeout_ns);

/* The slow path; it may be called without a wordlock_release() before it. ILK_OK, ILK_EPERM.
   `owner_dead`: the next lock returns ILK_OWNER_DIED. */
COLD int wordlock_unlock(const struct wordlock *w, bool owner_dead);

/* The thread `dead` is gone: if it holds the word, frees it as OWNER_DEAD and wakes a waiter. */
void wordlock_holder_died(atomic_u32 *word, uint32_t dead);

/* The holder's id; 0: not locked. Acquire: for thread_find(). */
static inline uint32_t wordlock_holder(atomic_u32 *word)
{
  return load_acquire(word) & WORDLOCK_HOLDER;
}

#endif
