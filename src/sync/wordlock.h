/* An owned mutex in 4 bytes, all zero = unlocked: the one algorithm of the lock array
   and of the locks in the caller's memory.

   Source: the third mutex of Ulrich Drepper, "Futexes Are Tricky", with the holder's id
   in the word; and a mode for the starving, after Go's sync.Mutex.

   The law of the word:

       FREE                         nobody holds it, nobody sleeps
       id                           held by that thread, nobody sleeps
       id | CONTENDED               held, and somebody may sleep
       id | CONTENDED | STARVING    the same, and the release is for those who slept
       CONTENDED | STARVING         RESERVED: free, for a thread that slept
       CONTENDED                    ORPHAN: free, and its last holder died

       FREE -> id [| CONTENDED]               any thread; CONTENDED if it slept       lock
       RESERVED -> id | CONTENDED | STARVING  who slept                               lock
       RESERVED -> id | CONTENDED             who slept last with STARVING seen; a try
       ORPHAN -> id | CONTENDED               any thread                              owner died
       dead id -> id, CONTENDED and STARVING as they were: any thread                 owner died
       id -> id | CONTENDED [| STARVING]      a waiter, before it sleeps
       id [| CONTENDED] -> FREE               the holder, then wakes one if CONTENDED unlock
       id | CONTENDED | STARVING -> RESERVED  the holder, then wakes one              unlock
       id -> ORPHAN                           for the dead; by a holder who gives up what it
                                              took from the dead; then wakes one

   Every change is a compare-and-swap of the whole word; taking it is an acquire, and
   pairs with the release of every change that makes it free.

   Invariants:
   I1  Only the holder, or who found it dead, changes the id of a held word.
   I2  If a thread sleeps on the word, CONTENDED is set, or a thread that was woken has
       not looked yet. A waiter sets CONTENDED and sleeps on exactly that word; one that
       slept takes the word with CONTENDED, and one that gives up sets it once more,
       for the wake that it may have consumed.
   I3  After the release nothing of the word is touched: it may be unmapped. The wake
       uses its address alone, and whom it reaches by mistake looks again.
   I4  RESERVED and ORPHAN are free to a try. A lock that has not slept sleeps PATIENCE on
       RESERVED and then has slept; so they never lock anybody out, even if those
       who slept have gone.

   I5  Between processes I2 does not hold: the thread that was woken may be killed before it looks. So there nobody
       sleeps for long without comparing the word (block()); one that finds it changed looks, takes it with
       CONTENDED if it is free, and its release wakes the next.

   How long can one starve? A thread that has waited for STARVING_AFTER, wakes, and finds
   that another overtook it, sets STARVING and sleeps again. From then on the word goes
   to its sleepers alone, longest asleep first, until the first that fell asleep under
   STARVING has had it: at the latest to this thread itself. So it waits for
   STARVING_AFTER, and then for one section of each thread that slept at that moment.
   Tries alone can overtake it. */
#ifndef INTERLOCK_WORDLOCK_H
#define INTERLOCK_WORDLOCK_H

#include "atomic.h"
#include "self.h"

#define WORDLOCK_FREE UINT32_C(0)
#define WORDLOCK_HOLDER ID_MAX
#define WORDLOCK_STARVING (UINT32_C(1) << 30)
#define WORDLOCK_CONTENDED (UINT32_C(1) << 31)
#define WORDLOCK_RESERVED (WORDLOCK_CONTENDED | WORDLOCK_STARVING)
#define WORDLOCK_ORPHAN WORDLOCK_CONTENDED

/* Who calls, and for what. */
struct wordlock {
  atomic_u32 *word;
  struct self *me;
  uint32_t id;   /* the caller's, as it stands in the word */
  bool shared;   /* between processes: then nobody can tell who is dead */
  void *handle;  /* for block(): the object and the part of it, or NULL */
  int64_t index;
};

/* FREE -> id. */
static inline bool wordlock_take(atomic_u32 *word, uint32_t id)
{
  uint32_t seen = WORDLOCK_FREE;
  return likely(cas_acquire(word, &seen, id));
}

/* id -> FREE. */
static inline bool wordlock_give(atomic_u32 *word, uint32_t id)
{
  uint32_t seen = id;
  return likely(cas_release(word, &seen, WORDLOCK_FREE));
}

/* All that wordlock_take() cannot do: ILK_OK, ILK_OWNER_DIED: taken; ILK_ETIMEDOUT (a
   try too), ILK_EDEADLK, ILK_ECANCELED. */
COLD int wordlock_lock(const struct wordlock *w, int64_t timeout_ns);

/* All that wordlock_give() cannot do: ILK_OK, ILK_EPERM. `orphan`: the next to lock it is
   told ILK_OWNER_DIED. */
COLD int wordlock_unlock(const struct wordlock *w, bool orphan);

/* The thread `dead` is gone; if it holds the word, a waiter is told. */
void wordlock_holder_died(atomic_u32 *word, uint32_t dead);

/* The holder's id, 0: nobody. */
static inline uint32_t wordlock_holder(atomic_u32 *word)
{
  return load_relaxed(word) & WORDLOCK_HOLDER;
}

/* The same for a word that another thread waits for, whose memory may be gone. 0 also where it cannot be told. */
uint32_t wordlock_holder_afar(atomic_u32 *word);

#endif
