/* Pins against frees (src/core/handle.h), under total store order with the asymmetric fence: a pin stays in
   its thread's store buffer until it drains, at any moment, or a heavy fence drains all buffers. Two threads
   use the object through its handle. One of them may wait in it; in the other a signal handler calls again
   while the thread is inside. Two more threads free the object, and one of them makes another object in the
   slot. Checked: no thread touches an object of another generation, at most one free succeeds, a free is
   refused while a thread waits, and no call hangs.

   Mutants, each of which must fail:
     NO_HEAVY   the freeing thread does not run the heavy side
     NO_CHECK    a call does not check the tag after it has pinned
     NO_SCAN    the freeing thread does not check the pins
     NO_LIVE    a thread marks its record as in use, for that check, only after its first pin
     NO_REOPEN  a close waits for a pin without bound, and so for a call that waits for the close
     NO_TWICE   a second close does not see that the first is in progress */

#define T 2

byte generation = 1; /* the tag; 0: free */
bool closing = false;
byte pinned[T + 1], stored[T + 1];
bool buffered[T + 1];
bool live[T + 1]; /* the record is in use */
byte waiters = 0;
bool signal = false; /* ends the wait, at any moment */

inline drain(t)
{
  if
  :: buffered[t] -> pinned[t] = stored[t]; buffered[t] = false
  :: else
  fi
}

inline store(value)
{
  d_step { drain(me); buffered[me] = true; stored[me] = value }
}

proctype call(byte me; bool waits)
{
  bool inside = false;
#ifndef NO_LIVE
  live[me] = true; /* a read-modify-write */
#endif
  do
  :: store(1);
#ifndef NO_CHECK
     if
     :: generation == 1 && !closing -> inside = true; break
     :: generation != 1 -> store(0); break
     :: generation == 1 && closing -> store(0); !closing || generation != 1 /* then again */
     fi
#else
     inside = true;
     break
#endif
  od;
  if
  :: inside ->
     live[me] = true;
     assert(generation == 1); /* touches the object */
     if
     :: waits ->
        d_step { drain(me); waiters++ } /* a read-modify-write */
        do
        :: signal -> break
        :: assert(generation == 1) -> break /* woken, checks, leaves */
        od;
        assert(generation == 1);
        d_step { drain(me); waiters-- }
     :: !waits -> /* or a signal handler runs here, whose call waits while this pin is held */
        !closing || generation != 1
     :: !waits
     fi;
     assert(generation == 1);
     store(0)
  :: else
  fi
}

byte frees = 0; /* that succeeded */

proctype free()
{
  byte t;
  bool busy = false;
again:
  atomic { /* with the table locked */
    if
    :: generation != 1 -> goto over
#ifndef NO_TWICE
    :: generation == 1 && closing -> goto again_later
    :: generation == 1 && !closing && waiters > 0 -> goto over
    :: generation == 1 && !closing && waiters == 0 -> closing = true
#else
    :: generation == 1 && waiters > 0 -> goto over
    :: generation == 1 && waiters == 0 -> closing = true
#endif
    fi
  }
#ifndef NO_HEAVY
  d_step { t = 1; do :: t <= T -> drain(t); t++ :: else -> break od }
#endif
#ifndef NO_SCAN
  t = 1;
  do
  :: t > T -> break
  :: t <= T && !(live[t] && pinned[t]) -> t++
  :: t <= T && live[t] && pinned[t] && waiters > 0 -> busy = true; break
#ifndef NO_REOPEN
  :: t <= T && live[t] && pinned[t] && waiters == 0 -> closing = false; goto again
#endif
  od;
#endif
  if
  :: busy -> closing = false
  :: else ->
     assert(waiters == 0);
     d_step { frees++; generation = 2; closing = false } /* freed, and another object made in the slot */
  fi;
  goto over;
again_later:
  !closing || generation != 1;
  goto again;
over:
  assert(frees <= 1);
  signal = true
}

proctype memory()
{
end:
  do
  :: d_step { buffered[1] -> drain(1) }
  :: d_step { buffered[2] -> drain(2) }
  od
}

init {
  atomic { run memory(); run call(1, false); run call(2, true); run free(); run free() }
}
