/* The check for circles of src/block.c: a thread that sleeps walks the chain of holders, and
   reads each link while the threads in it go on. Here nobody is ever in a circle, for all that
   hold two took them in the order D, A, B, C; so the check must find none, whenever it looks.
   Checked: it finds none (assertion), and no thread hangs.

   Mutants, each of which must fail: NO_SECOND (one walk is believed), NO_EPISODE (two walks
   are compared by their threads alone, not by their sleeps: the fourth thread is for this, since
   one that waits for the walker cannot go on, and so the link to it is no other sleep's). */

#define NONE 0
#define WALKER 1
#define MIDDLE 2
#define PASSER 3
#define LAST 4

#define A 1
#define B 2
#define C 3
#define D 4

#ifndef ROUNDS
#define ROUNDS 2
#endif

byte holder[5];
byte blocked[5]; /* on which lock */
byte episode[5]; /* odd: it sleeps */

inline lock(l)
{
  if
  :: atomic { holder[l] == NONE -> holder[l] = me }
  :: atomic { holder[l] != NONE -> blocked[me] = l; episode[me]++ }
     atomic { holder[l] == NONE -> holder[l] = me };
     episode[me]++
  fi
}

inline unlock(l)
{
  holder[l] = NONE
}

/* To `r`, the first again if there is a circle, or NONE; `sum` tells the episodes. */
inline walk(sum)
{
  r = WALKER;
  sum = 0;
  do
  :: seen = episode[r];
     if
     :: seen % 2 == 0 -> r = NONE
     :: else ->
#ifndef NO_EPISODE
        sum = sum * 8 + seen;
#endif
        on = blocked[r];
        r = holder[on]
     fi;
     if
     :: r == NONE || r == WALKER -> break
     :: else
     fi
  od
}

/* Holds A, sleeps on B, and looks for a circle at any moment of that sleep. */
proctype walker()
{
  byte me = WALKER, r, seen, on;
  int first, second;
  lock(A);
  if
  :: atomic { holder[B] == NONE -> holder[B] = me }
  :: atomic { holder[B] != NONE -> blocked[me] = B; episode[me]++ }
     walk(first);
     if
     :: r == WALKER ->
#ifdef NO_SECOND
        assert(false)
#else
        walk(second);
        assert(!(r == WALKER && first == second))
#endif
     :: else
     fi;
     atomic { holder[B] == NONE -> holder[B] = me };
     episode[me]++
  fi;
  unlock(B);
  unlock(A)
}

proctype middle()
{
  byte me = MIDDLE;
  lock(B); lock(C); unlock(C); unlock(B)
}

/* Holds C, and then D, never both. */
proctype passer()
{
  byte me = PASSER, round = 0;
  do
  :: round < ROUNDS -> lock(C); unlock(C); lock(D); unlock(D); round++
  :: else -> break
  od
}

proctype last()
{
  byte me = LAST, round = 0;
  do
  :: round < ROUNDS -> lock(D); lock(A); unlock(A); unlock(D); round++
  :: else -> break
  od
}

init {
  atomic { run walker(); run middle(); run passer(); run last() }
}
