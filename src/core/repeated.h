/* Repeated waits, for kinds whose waiters sleep on a word. Some threads wait with a short time-out
   again and again, and want what they wait for at the end: Python's main thread, or a loop that also
   checks a flag. Each wait would fall asleep behind all others. So if the thread's last wait timed
   out on the same word, it is woken before the others (WAIT_FIRST of wait.h); but after such a wait
   has succeeded, the next wake is for the others. That decides only the order in which threads are
   woken.

   (Kinds with a queue of their own keep the thread's slot in it: resumable.h.) */
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
