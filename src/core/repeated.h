/* Repeated waits, for kinds whose waiters sleep on a word. A thread may wait for one thing in many
   waits with a short time-out: Python's main thread, or a loop that also checks a flag. Each of
   them would fall asleep behind all other waiters. So a thread whose last wait timed out on the
   same word is woken before the others (WAIT_FIRST of wait.h). After such a wait has succeeded, the
   next wake is for the longest asleep. Both decide only the order in which threads are woken.

   (In kinds with a queue of their own, a resumable wait keeps the thread's slot: resumable.h.) */
#ifndef INTERLOCK_REPEATED_H
#define INTERLOCK_REPEATED_H

#include "block.h"
#include "wait.h"

/* The flags for block() of a wait that begins now: BLOCK_FIRST, or 0. */
static inline int repeated_flags(const struct thread *me, const atomic_u32 *word)
{
  return me->timed_out_on == word ? BLOCK_FIRST : 0;
}

/* At the end of each wait, with its result. */
static inline void repeated_end(struct thread *me, const atomic_u32 *word, int result)
{
  if (unlikely(me->timed_out_on == word) && result >= 0)
    wait_was_first(word);
  me->timed_out_on = result == ILK_ETIMEDOUT ? word : NULL;
}

#endif
