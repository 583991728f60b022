/* Cancelling: every wait goes through block(), which looks at a flag after it has
   announced itself and whenever it wakes.

       a wait:  announce;  look at the flag;  sleep
       cancel:  set the flag;  look for announced waits, and rouse them

   In two passes: first all are woken, so that they end side by side, and then those that were
   missed, one by one.

   All seq_cst: a wait whose announcement cancel does not see sees the flag. One that is
   seen may still be between its look and its sleep, so it is woken until that sleep
   is over. A cancelled wait gives back to its object whatever was handed to it. */
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
  for (struct self *r = self_first_live(); r; r = self_next_live(r))
    if (block_look(r, &b))
      wait_wake(b.word, INT_MAX, b.flags & BLOCK_SHARED);
  for (struct self *r = self_first_live(); r; r = self_next_live(r))
    if (block_look(r, &b))
      block_rouse(r, &b);
  return ILK_OK;
}
