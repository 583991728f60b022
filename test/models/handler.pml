/* Calls in signal handlers against frees (src/core/handle_close.c). Two threads free the object, and a third
   makes others, which also acquires the table's lock. In each thread a handler runs at any moment, and calls
   with a counted pin. Everything is sequentially consistent, like the operations of both sides. Checked: no
   thread uses the object once it is freed, at most one free succeeds, and no call hangs.

   Mutants, each of which must fail:
     NO_DECIDING  a call does not load `deciding`
     NO_RECOUNT   the decision does not load the count
     NO_MINE      a handler waits although its thread holds the table's lock
     NO_EARLY     handle_table_mine is set after the lock was acquired
     NO_LATE      handle_table_mine is cleared before the lock is released
     NO_CLOSING   a handler of the thread that closes waits
     NO_OWNER     a thread sets `closing` before it is known to be the one that closes
     NO_ORDER     `deciding` is cleared before the decision is visible in the cached tag
     NO_CLEAR     `deciding` is not cleared: the next close seems to be decided from its begin */

#define THREADS 3

/* The cached tag. */
bool live = true, under_way = false;

bool locked = false;
bool mine[THREADS], closing[THREADS];
bool deciding = false;
byte count = 0, frees = 0;

bool handled[THREADS]; /* the thread is interrupted */

proctype handler(byte me)
{
  bool decided_now, inside = false;
  handled[me] = true;
  do
  :: count++;
     decided_now = deciding;
     if
     :: live && !under_way -> inside = true; break
     :: live && under_way && closing[me] -> inside = true; break
#ifndef NO_MINE
#ifndef NO_DECIDING
     :: live && under_way && !closing[me] && mine[me] && !decided_now -> inside = true; break
     :: live && under_way && !closing[me] && (!mine[me] || decided_now) -> count--
#else
     :: live && under_way && !closing[me] && mine[me] -> inside = true; break
     :: live && under_way && !closing[me] && !mine[me] -> count--
#endif
#else
     :: live && under_way && !closing[me] -> count--
#endif
     :: !live -> count--; break
     fi;
     if
     :: !live -> break
     :: else
     fi;
     !under_way || !live /* then again */
  od;
  if
  :: inside ->
     assert(live); /* uses the object */
     assert(live);
     count--
  :: else
  fi;
  handled[me] = false
}

inline lock()
{
#ifndef NO_EARLY
  mine[me] = true;
#endif
  atomic { !locked -> locked = true };
  mine[me] = true
}

inline unlock()
{
#ifdef NO_LATE
  mine[me] = false;
#endif
  locked = false;
  mine[me] = false
}

proctype free(byte me) provided (!handled[me])
{
  bool good;
again:
  lock();
#ifdef NO_OWNER
  closing[me] = true;
#endif
  if
  :: !live -> unlock(); goto over
  :: live && under_way -> unlock(); !under_way || !live; goto again
  :: live && !under_way ->
     under_way = true;
#ifndef NO_CLOSING
     closing[me] = true
#endif
  fi;
  unlock();
  good = false;
  if
  :: count == 0 -> good = true
  :: true /* it takes too long */
  fi;
  lock();
  deciding = true;
#ifndef NO_RECOUNT
  if
  :: count > 0 -> good = false
  :: else
  fi;
#endif
#ifdef NO_ORDER
  deciding = false;
#endif
  if
  :: good -> d_step { live = false; under_way = false; frees++ }
  :: else -> under_way = false
  fi;
#ifndef NO_CLEAR
  deciding = false;
#endif
  closing[me] = false;
  unlock();
  if
  :: !good && live -> goto again
  :: else
  fi;
over:
  closing[me] = false;
  assert(frees <= 1)
}

proctype make(byte me) provided (!handled[me])
{
  lock();
  unlock()
}

init {
  atomic {
    run free(0); run free(1); run make(2);
    run handler(0); run handler(1); run handler(2)
  }
}
