#include "wordlock.h"

#include "backoff.h"
#include "repeated.h"
#include "spin.h"
#include "wake.h"

#define FREE WORDLOCK_FREE
#define HOLDER WORDLOCK_HOLDER
#define STARVING WORDLOCK_STARVING
#define CONTENDED WORDLOCK_CONTENDED
#define RESERVED WORDLOCK_RESERVED
#define OWNER_DEAD WORDLOCK_OWNER_DEAD

#define STARVING_AFTER NS_PER_MS
#define PATIENCE NS_PER_MS
/* A repeated wait has starved already. It sets STARVING if it sleeps for as long as this, and so is
   likely to be asleep at the release that is for it. */
#define LONG_SLEEP (10 * NS_PER_MS)

/* What the caller has done so far: an attempt depends on this and on the word. */
enum waiter_state {
  FRESH,         /* has not slept */
  TRY,           /* will not sleep */
  SLEPT,         /* has slept, or has found its CONTENDED erased */
  SLEPT_STARVING /* fell asleep last with STARVING in the word */
};

static bool has_slept(enum waiter_state waiter_state)
{
  return waiter_state == SLEPT || waiter_state == SLEPT_STARVING;
}

/* The word's new value when `id` acquires it; it is free, or its holder is dead. */
static uint32_t taken(uint32_t seen, uint32_t id, enum waiter_state waiter_state)
{
  uint32_t bits = seen & ~HOLDER;
  if (seen == RESERVED && waiter_state != SLEPT)
    bits = CONTENDED;
  if (has_slept(waiter_state))
    bits |= CONTENDED; /* others may sleep (I2) */
  return id | bits;
}

/* One attempt. ILK_OK, ILK_OWNER_DIED: acquired; ILK_EDEADLK: the caller holds it; ILK_EBUSY: not
   acquired, and `*seen` is the value that prevented it. */
static int attempt(const struct wordlock *w, enum waiter_state waiter_state, uint32_t *seen)
{
  *seen = load_acquire(w->word); /* for thread_find() */
  for (;;) {
    uint32_t holder = *seen & HOLDER;
    if (holder == w->id)
      return ILK_EDEADLK;
    if (*seen == RESERVED && waiter_state == FRESH)
      return ILK_EBUSY;
    if (holder && (w->shared || thread_find(holder)))
      return ILK_EBUSY;
    int result = holder || *seen == OWNER_DEAD ? ILK_OWNER_DIED : ILK_OK;
    /* Acquire: pairs with the release of the last unlock, and, if this fails, for thread_find().
       Release: for the thread_find() of others. */
    if (cas_acq_rel(w->word, seen, taken(*seen, w->id, waiter_state)))
      return result;
  }
}

/* One sleep: while the word is `seen`; or, if `pause` is not NULL, a pause. */
static int sleep_until(const struct wordlock *w, uint32_t seen, struct block_sleep *pause,
                       int64_t until, int flags)
{
  if (w->handle)
    block_prepare_wait(handle_object(w->handle));
  else
    flags |= w->shared ? BLOCK_WORD | BLOCK_SHARED : BLOCK_WORD;
  int64_t index = w->handle ? w->index : w->shared ? 0 : seen & HOLDER;
  int result = block_with(w->me, w->handle, index, w->word, seen, pause, until, flags);
  if (w->handle)
    block_finish_wait(handle_object(w->handle));
  return result == ILK_ETIMEDOUT && flags & BLOCK_PART ? ILK_OK : result;
}

/* Sleeps while the word is `seen`. */
static int sleep_on(const struct wordlock *w, uint32_t seen, int64_t deadline, int flags)
{
  int64_t until = deadline;
  if (seen == RESERVED && deadline - clock_now() > PATIENCE)
    until = clock_now() + PATIENCE;
  return sleep_until(w, seen, NULL, until, until < deadline ? flags | BLOCK_PART : flags);
}

static enum wait_result sleep_apart(struct block_sleep *sleep, int64_t until)
{
  (void)sleep;
  atomic_u32 own = 0; /* no thread wakes it */
  return wait_on(&own, 0, until, 0);
}

/* A pause (backoff.h). The caller may have consumed a wake that another waiter needs. If CONTENDED
   is set, the next release makes up for that (I2). Then no waiter is woken here: it would only fall
   asleep again, behind those that came after it. */
static int pause_until(const struct wordlock *w, uint32_t seen, int64_t end)
{
  if (!(seen & CONTENDED))
    wake(w->word, 1, w->shared);
  return sleep_until(w, seen, &(struct block_sleep){sleep_apart}, end, BLOCK_PART);
}

/* After the caller has set CONTENDED, which made the word `marked`: false if a release may have
   erased it unseen (I6); recheck. */
static bool is_settled(const struct wordlock *w, uint32_t marked)
{
  if (w->shared || !(marked & HOLDER))
    return true; /* no release by a store */
  struct thread *holder = thread_find(marked & HOLDER);
  if (!holder)
    return false; /* it has died */
  /* Heavy side of Dekker: count, then recheck; a release stores, then loads the count. Release: the
     holder that finds the count finds CONTENDED. */
  add_seq_cst(&holder->word_marks, 1);
  fence_heavy();
  return load_seq_cst(w->word) == marked;
}

static int wait_for(const struct wordlock *w, int64_t timeout_ns)
{
  int64_t since = clock_now(), deadline = clock_deadline(timeout_ns);
  int flags = w->shared ? 0 : repeated_flags(w->me, w->word), result = ILK_OK;
  bool starves = flags & BLOCK_FIRST && deadline - since >= LONG_SLEEP;
  enum waiter_state waiter_state = FRESH;
  int64_t pause_end = 0; /* not 0: has just paused */
  for (;;) {
    uint32_t seen;
    int got = attempt(w, waiter_state, &seen);
    if (got != ILK_EBUSY)
      return got;
    int64_t now = waiter_state == FRESH ? since : clock_now();
    starves = starves || now - since > STARVING_AFTER;
    bool may_pause = !starves && !pause_end && result == ILK_OK;
    pause_end = may_pause ? backoff_pause_end(since, now, deadline) : 0;
    if (pause_end) {
      result = pause_until(w, seen, pause_end);
      continue;
    }
    uint32_t marked = seen | CONTENDED;
    if (starves && result == ILK_OK)
      marked |= STARVING;
    if (marked != seen) {
      bool sets_contended = !(seen & CONTENDED);
      /* Relaxed: it publishes nothing, and the sleep begins by comparing the same word. */
      if (!cas_relaxed(w->word, &seen, marked))
        continue;
      if (sets_contended && !is_settled(w, marked)) {
        if (waiter_state == FRESH)
          waiter_state = SLEPT; /* others may sleep, and rely on this thread (I2) */
        continue;
      }
    }
    if (result != ILK_OK)
      return result;
    result = sleep_on(w, marked, deadline, flags);
    waiter_state = marked & STARVING ? SLEPT_STARVING : SLEPT;
  }
}

/* Spins until an attempt succeeds, another thread sleeps on the word, or the spin has lasted long
   enough. Returns the result of the last attempt. */
static int spin_for(const struct wordlock *w)
{
  uint32_t seen;
  int result = attempt(w, FRESH, &seen);
  struct spin spin = spin_begin_lock(w->me);
  while (result == ILK_EBUSY && !(seen & CONTENDED) && spin_again(&spin)) {
    result = attempt(w, FRESH, &seen);
    if (result >= 0)
      spin_won(&spin);
  }
  return result;
}

int wordlock_lock(const struct wordlock *w, int64_t timeout_ns)
{
  if (timeout_ns == 0) {
    uint32_t seen;
    int result = attempt(w, TRY, &seen);
    return result < 0 ? ILK_ETIMEDOUT : result; /* a try never waits, so it cannot deadlock */
  }
  int result = spin_for(w);
  if (result == ILK_EBUSY)
    result = wait_for(w, timeout_ns);
  repeated_end(w->me, w->word, result);
  return result;
}

int wordlock_wake(atomic_u32 *word)
{
  wake(word, 1, false);
  return ILK_OK;
}

int wordlock_unlock(const struct wordlock *w, bool owner_dead)
{
  uint32_t seen = load_relaxed(w->word), given;
  do {
    if ((seen & HOLDER) != w->id)
      return ILK_EPERM;
    given = owner_dead ? OWNER_DEAD : seen & STARVING ? RESERVED : FREE;
    /* Release: pairs with the acquire of the next lock. The last touch of the word (I3). */
  } while (!cas_release(w->word, &seen, given));
  if (seen & CONTENDED)
    wake(w->word, 1, w->shared);
  return ILK_OK;
}

void wordlock_holder_died(atomic_u32 *word, uint32_t dead)
{
  uint32_t seen = load_relaxed(word);
  /* The word changes, so a waiter that is about to sleep does not. Acquire and release: pass on to
     the next holder what the dead thread had acquired. */
  while ((seen & HOLDER) == dead)
    if (cas_acq_rel(word, &seen, OWNER_DEAD)) {
      wake(word, 1, false);
      return;
    }
}
