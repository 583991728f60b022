/* Cancelling. Every wait goes through block(), which checks a flag after it has published the wait
   and whenever it wakes.

       wait:    publish;  check the flag;  sleep
       cancel:  set the flag;  search for published waits, and wake them

   The cancel makes two passes. First it wakes all threads, so that their waits end in parallel;
   then it force wakes, one at a time, those that it missed.

   All operations are seq_cst: if the cancel does not see a wait, the wait sees the flag. A wait
   that the cancel sees may still be between its check and its sleep, so its thread is woken until
   that sleep has ended. A cancelled wait returns to its object whatever was handed to it. */
#include <limits.h>

#include "block.h"
#include "wait.h"

int ilk_cancelled(void)
{
  return load_relaxed(&block_cancelled) != 0;
}

int ilk_cancel(int on)
{
  store_seq_cst(&block_cancelled, on != 0);
  if (!on)
    return ILK_OK;
  struct blocked b;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    if (block_load(r, &b))
      wait_wake(b.word, INT_MAX, b.flags & BLOCK_SHARED);
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    if (block_load(r, &b))
      block_force_wake(r, &b);
  return ILK_OK;
}
