/* The search for deadlock cycles of src/core/cycle.c. A blocked thread follows the links from each blocked
   thread to one that holds what it waits for, while the threads on the path go on. Then it rechecks every
   link of the path, and after that every thread's episode of blocking. R is a readers-writer lock, read by
   two threads; the others are mutexes, which a release may hand to a waiter. No thread is ever in a deadlock
   cycle here, because all that hold two locks have acquired them in the order D, A, R, C. So the search must
   find none, whenever it runs.

   Checked: no cycle is found (assertion), and no thread hangs.

   Mutants, each of which must fail:
   NO_SECOND   the path is not rechecked
   NO_LINKS    the episodes are rechecked, but not the links
   NO_EPISODE  the links are rechecked, but not the episodes
   NO_SELF     a lock that was handed to its waiter counts as a link to that waiter itself */

#define NONE 0
#define WALKER 1
#define MIDDLE 2
#define PASSER 3
#define LAST 4

#define A 1
#define C 2
#define D 3
#define R 4

#ifndef ROUNDS
#define ROUNDS 2
#endif

byte holder[5];  /* of a mutex; the writer of R */
bool reads[5];   /* R */
byte blocked[5]; /* on which lock */
byte episode[5]; /* odd: blocked */

/* The search: the next thread of the path, and the episode in which a thread was met. */
byte next[5], during[5];

#define READERS (reads[MIDDLE] || reads[PASSER])

inline lock(l)
{
  if
  :: atomic { holder[l] == NONE -> holder[l] = me }
  :: atomic { holder[l] != NONE -> blocked[me] = l; episode[me]++ }
     sleep(l)
  fi
}

inline sleep(l)
{
  atomic {
    if
    :: holder[l] == NONE -> holder[l] = me
    :: holder[l] == me /* it was handed over */
    fi
  };
  episode[me]++
}

/* Frees the lock, or hands it to a thread that waits for it. */
inline unlock(l)
{
  atomic {
    if
    :: holder[l] = NONE
    :: episode[WALKER] % 2 && blocked[WALKER] == l -> holder[l] = WALKER
    :: episode[MIDDLE] % 2 && blocked[MIDDLE] == l -> holder[l] = MIDDLE
    :: episode[PASSER] % 2 && blocked[PASSER] == l -> holder[l] = PASSER
    :: episode[LAST] % 2 && blocked[LAST] == l -> holder[l] = LAST
    fi
  }
}

inline read()
{
  if
  :: atomic { holder[R] == NONE -> reads[me] = true }
  :: atomic { holder[R] != NONE -> blocked[me] = R; episode[me]++ }
     atomic { holder[R] == NONE -> reads[me] = true };
     episode[me]++
  fi
}

inline unread()
{
  reads[me] = false
}

/* Does thread `t` hold lock `l`? */
#define holds(t, l) (holder[l] == t || (l == R && reads[t]))

/* An arbitrary path along the links: r is WALKER again if it is a cycle, else NONE. */
inline search()
{
  r = WALKER;
  do
  :: seen = episode[r];
     if
     :: seen % 2 == 0 -> r = NONE; break
     :: else -> during[r] = seen
     fi;
     on = blocked[r];
     if
     :: holds(WALKER, on) -> q = WALKER
     :: holds(MIDDLE, on) -> q = MIDDLE
     :: holds(PASSER, on) -> q = PASSER
     :: holds(LAST, on) -> q = LAST
     :: !holds(WALKER, on) && !holds(MIDDLE, on) && !holds(PASSER, on) && !holds(LAST, on) -> r = NONE; break
     fi;
#ifdef NO_SELF
     if
     :: r == q && r != WALKER -> r = NONE; break
     :: else
     fi;
#else
     if
     :: r == q -> r = NONE; break
     :: else
     fi;
#endif
     next[r] = q;
     r = q;
     if
     :: r == WALKER -> break
     :: r != WALKER && next[r] != NONE -> r = NONE; break /* this thread was met before */
     :: else
     fi
  od
}

/* Rechecks the path: found stays true if nothing has changed. */
inline verify()
{
  found = true;
#ifndef NO_LINKS
  r = WALKER;
  do
  :: on = blocked[r];
     found = found && holds(next[r], on);
     r = next[r];
     if
     :: r == WALKER -> break
     :: else
     fi
  od;
#endif
#ifndef NO_EPISODE
  r = WALKER;
  do
  :: found = found && episode[r] == during[r];
     r = next[r];
     if
     :: r == WALKER -> break
     :: else
     fi
  od
#endif
}

inline search_cycle()
{
  search();
  if
  :: r == WALKER ->
#ifdef NO_SECOND
     assert(false)
#else
     verify();
     assert(!found)
#endif
  :: else
  fi;
  d_step { next[1] = NONE; next[2] = NONE; next[3] = NONE; next[4] = NONE; r = NONE; q = NONE; on = NONE; seen = 0; found = false }
}

/* Holds A, blocks on C or to write R, and searches at an arbitrary moment while it is blocked. */
proctype walker()
{
  byte me = WALKER, r, q, seen, on;
  bool found;
  lock(A);
  if
  :: if
     :: atomic { holder[C] == NONE -> holder[C] = me }
     :: atomic { holder[C] != NONE -> blocked[me] = C; episode[me]++ }
        search_cycle();
        sleep(C)
     fi;
     unlock(C)
  :: if
     :: atomic { holder[R] == NONE && !READERS -> holder[R] = me }
     :: atomic { holder[R] == NONE && READERS -> blocked[me] = R; episode[me]++ }
        search_cycle();
        atomic { holder[R] == NONE && !READERS -> holder[R] = me };
        episode[me]++
     fi;
     holder[R] = NONE
  fi;
  unlock(A)
}

proctype middle()
{
  byte me = MIDDLE;
  read(); lock(C); unlock(C); unread()
}

/* Reads R or holds C, then holds D, never both at once. */
proctype passer()
{
  byte me = PASSER, round = 0;
  do
  :: round < ROUNDS ->
     if
     :: read(); unread()
     :: lock(C); unlock(C)
     fi;
     lock(D); unlock(D); round++
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
