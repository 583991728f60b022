/* Retired objects (src/core/handle_close.c, handle_retired.c), under total store order with the asymmetric fence, as in handle.pml.
   Two threads use the object through its handle, and wait in it; they are woken at any moment.
   Two more threads free it. A free does not wait for pins: it sets CLOSING, loads the number of waiters, and
   retires the object if there are none. One of the freeing threads then recycles the slot: it runs the heavy fence
   and loads the pins; if there are none, another object is made in the slot. Checked: no thread touches that
   object, at most one free succeeds, and no thread sleeps in a retired object, where nothing would wake it.

   Mutants, each of which must fail:
     NO_HEAVY   the slot is recycled without the heavy fence
     NO_SCAN    the slot is recycled without a check of the pins
     NO_EARLY   the pins are checked before the tag is cleared, not after it
     NO_LIVE    a thread marks its record as in use only after its first pin
     NO_RELOAD  a free does not load the number of waiters after it has set CLOSING
     NO_TAG     a waiter does not check the tag before it sleeps
     NO_COUNT   a waiter checks the tag before it is counted, not after it
     NO_WAIT    a waiter that sees CLOSING sleeps, and does not wait for the decision
     NO_OPEN    a waiter that sees CLOSING takes the object for a retired one */

#define T 2

mtype = { OPEN, UNDECIDED, RETIRED };
mtype tag = OPEN;
bool reused = false; /* another object is in the slot */
byte pinned[T + 1], stored[T + 1];
bool buffered[T + 1];
bool live[T + 1]; /* the record is in use */
byte waiters = 0;
byte frees = 0; /* that succeeded */
byte asleep = 0;
bool locked = false;

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

proctype call(byte me)
{
  bool inside = false, gone = false, seen_open;
#ifndef NO_LIVE
  live[me] = true; /* a read-modify-write */
#endif
  do
  :: store(1);
     if
     :: atomic { tag == OPEN -> inside = true }; break
     :: tag == RETIRED -> store(0); break
     :: tag == UNDECIDED -> store(0); tag != UNDECIDED /* then again */
     fi
  od;
  if
  :: inside ->
     live[me] = true;
     assert(!reused); /* touches the object */
#ifdef NO_COUNT
     seen_open = tag == OPEN;
#endif
     d_step { drain(me); waiters++ } /* a read-modify-write */
     do
     :: assert(!reused);
#ifndef NO_TAG
#ifndef NO_COUNT
        if
        :: tag == OPEN -> seen_open = true
        :: tag == RETIRED -> gone = true; break
#ifdef NO_WAIT
        :: tag == UNDECIDED -> seen_open = true
#else
#ifdef NO_OPEN
        :: tag == UNDECIDED -> gone = true; break
#else
        :: tag == UNDECIDED -> tag != UNDECIDED; seen_open = false
#endif
#endif
        fi;
#endif
#else
        seen_open = true;
#endif
        if
        :: seen_open ->
           d_step { assert(tag != RETIRED); asleep++ }
           asleep--; /* woken at any moment, but nothing wakes it in a retired object */
           if
           :: break
           :: true /* spuriously */
           fi
        :: else
        fi
     od;
     assert(!reused);
     assert(!gone || tag == RETIRED);
     d_step { drain(me); waiters-- }
     store(0)
  :: else
  fi
}

proctype free()
{
  byte t;
  bool none;
#ifdef NO_EARLY
  d_step {
    t = 1; do :: t <= T -> drain(t); t++ :: else -> break od;
    none = true;
    t = 1; do :: t <= T -> none = none && !(live[t] && pinned[t]); t++ :: else -> break od
  };
#endif
  atomic { !locked -> locked = true }; /* the table */
  if
  :: tag == RETIRED -> goto unlock
  :: tag == OPEN && waiters > 0 -> goto unlock
  :: tag == OPEN && waiters == 0
  fi;
  tag = UNDECIDED;
#ifndef NO_RELOAD
  if
  :: waiters > 0 -> tag = OPEN; goto unlock /* then handle_close(): handle.pml */
  :: waiters == 0
  fi;
#endif
  d_step { assert(asleep == 0); frees++; tag = RETIRED };
  locked = false;
#ifndef NO_EARLY
#ifndef NO_HEAVY
  d_step { t = 1; do :: t <= T -> drain(t); t++ :: else -> break od };
#endif
  none = true;
#ifndef NO_SCAN
  t = 1;
  do
  :: t > T -> break
  :: t <= T -> none = none && !(live[t] && pinned[t]); t++
  od;
#endif
#endif
  if
  :: none -> reused = true
  :: else /* it stays on the list */
  fi;
  goto over;
unlock:
  locked = false;
over:
  assert(frees <= 1)
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
  atomic { run memory(); run call(1); run call(2); run free(); run free() }
}
