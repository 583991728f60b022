/* Repeated waits, for kinds whose waiters sleep on a word. Some threads wait with a short time-out
   again and again, and want what they wait for at the end: Python's main thread, or a loop that also
   checks a flag. Each wait would fall asleep behind all others. So a wait for a word repeats the
   thread's last wait if that timed out on the same word, and one repetition in FIRST_OF is woken
   before the others. Not each, because threads that repeat their waits would then lock out those
   that do not.

   (Kinds with a queue of their own keep the thread's slot in it: resumable.h.) */
#ifndef INTERLOCK_REPEATED_H
#define INTERLOCK_REPEATED_H

#include "block.h"

#define FIRST_OF 4

/* The wait that one which begins now repeats; NULL: none. */
static inline const struct timed_out *repeated_wait(const struct thread *me, const atomic_u32 *word)
{
  return me->timed_out.word == word ? &me->timed_out : NULL;
}

/* BLOCK_FIRST, or 0. */
static inline int repeated_flags(const struct timed_out *last)
{
  return last && last->waits % FIRST_OF == 1 ? BLOCK_FIRST : 0;
}

/* Ends a wait with that result. It began at `since`, or the first that it repeats did. `state`: what
   the next one is to know. */
static inline void repeated_end(struct thread *me, atomic_u32 *word, int result, int64_t since,
                                int state)
{
  uint32_t waits = me->timed_out.word == word ? me->timed_out.waits : 0;
  me->timed_out = result == ILK_ETIMEDOUT ? (struct timed_out){word, since, waits + 1, state}
                                          : (struct timed_out){0};
}

#endif
