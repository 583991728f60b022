/* The word lock of src/sync/wordlock.c (I1 to I4 of wordlock.h). Memory is total store order, with the asymmetric
   fence: the store of an unlock stays in its thread's store buffer until it drains at an arbitrary moment, or until a
   heavy fence drains all buffers. The last thread may give up at any time, also with a wake that it has consumed.

   Checked: mutual exclusion (assertion), and no lost wake (a waiter that sleeps forever is an invalid end state).
   Deaths of holders are in the scenarios word_dead of test/models/real.

   Mutants, each of which must fail:
   NO_HEAVY      a waiter that has set CONTENDED does not run the heavy fence
   NO_MARK       it does not count in the holder's `word_marks`
   NO_RECHECK    it does not recheck after the fence, before it leaves
   NO_SLEPT      if the recheck fails, it counts as one that has not slept
   NO_CONTENDED  a thread that has slept acquires without CONTENDED
   NO_PASS       a waiter leaves without CONTENDED
   NO_WAKE       a release by a store does not load `word_marks` again
   NO_ORDER      it loads `word_marks` first after the word
   NO_SLOW       a release by a compare-and-swap does not wake
   NO_PATIENCE   a thread that has not slept sleeps on RESERVED without an end
   NO_RESERVED   a thread that has slept does not acquire a RESERVED word */

#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define FREE 0
#define HOLDER 3 /* mask */
#define CONTENDED 4
#define STARVING 8
#define RESERVED 12

#define FRESH 0
#define SLEPT 1
#define SLEPT_STARVING 2

byte word = FREE;
bool pending[N + 1]; /* a store of FREE in its thread's store buffer */
byte marks[N + 1];
bool woken[N + 1];
chan sleepers = [N] of { byte };
byte inside = 0;

/* The word as a thread loads it: its own buffered store comes first. */
#define SEEN (pending[me] -> FREE : word)

inline drain(t)
{
  if
  :: pending[t] -> word = FREE; pending[t] = false
  :: else
  fi
}

/* Every read-modify-write first drains the thread's own buffer, as on x86. */
inline attempt()
{
  d_step {
    drain(me);
    seen = word;
    if
#ifdef NO_RESERVED
    :: (seen & HOLDER) != 0 || seen == RESERVED -> taken = false
#else
    :: (seen & HOLDER) != 0 || (seen == RESERVED && state == FRESH) -> taken = false
#endif
    :: else ->
       taken = true;
       word = me + (seen & (CONTENDED + STARVING));
       if
       :: seen == RESERVED && state != SLEPT -> word = me + CONTENDED
       :: else
       fi;
#ifndef NO_CONTENDED
       if
       :: state != FRESH -> word = word | CONTENDED
       :: else
       fi
#endif
    fi
  }
}

/* The system drains the buffer before it searches for sleepers. */
inline wake_one()
{
  d_step {
    drain(me);
    if
    :: len(sleepers) > 0 -> sleepers ? first; woken[first] = true; first = 0
    :: else
    fi
  }
}

/* false: the word has changed. */
inline settle()
{
#ifndef NO_MARK
  d_step { drain(me); marks[seen & HOLDER]++ }
#endif
#ifndef NO_HEAVY
  d_step { t = 1; do :: t <= N -> drain(t); t++ :: else -> break od; t = 0 }
#endif
#ifdef NO_RECHECK
  settled = true
#else
  settled = SEEN == marked
#endif
}

inline sleep_on()
{
  d_step {
    drain(me);
    woken[me] = word != marked;
    if
    :: !woken[me] -> sleepers ! me
    :: else
    fi
  }
  if
  :: woken[me] ->
     if
     :: timed -> given_up = true /* cancelled, with a wake that it has consumed */
     :: true
     fi
  :: timed -> d_step { given_up = true; if :: woken[me] :: else -> sleepers ?? eval(me) fi }
#ifndef NO_PATIENCE
  :: marked == RESERVED -> d_step { if :: woken[me] :: else -> sleepers ?? eval(me) fi }
#endif
  fi;
  woken[me] = false
}

inline lock()
{
  do
  :: attempt();
     if
     :: taken -> break
     :: else
     fi;
     marked = seen | CONTENDED;
     if
     :: state != FRESH && !given_up -> marked = marked | STARVING
     :: true
     fi;
#ifdef NO_PASS
     if :: given_up -> break :: else fi;
#endif
     settled = true;
     if
     :: marked == seen
     :: else ->
        d_step {
          drain(me);
          swapped = word == seen;
          if
          :: swapped -> word = marked
          :: else
          fi
        }
        if
        :: swapped && !(seen & CONTENDED) -> settle()
        :: else
        fi
     fi;
     if
     :: marked != seen && !swapped /* again */
     :: else ->
        if
        :: !settled ->
#ifndef NO_SLEPT
           if :: state == FRESH -> state = SLEPT :: else fi
#else
           skip
#endif
        :: settled && given_up -> break
        :: settled && !given_up ->
           sleep_on();
           state = (marked & STARVING -> SLEPT_STARVING : SLEPT)
        fi
     fi;
     swapped = false
  od
}

inline unlock()
{
#ifndef NO_ORDER
  before = marks[me];
#endif
  if
  :: SEEN == me -> /* a waiter may still set bits before the store */
#ifdef NO_ORDER
     before = marks[me];
#endif
     pending[me] = true;
#ifndef NO_WAKE
     if
     :: marks[me] != before -> wake_one()
     :: else
     fi
#endif
  :: else ->
     d_step {
       drain(me);
       seen = word;
       word = (seen & STARVING -> RESERVED : FREE)
     }
#ifndef NO_SLOW
     if
     :: seen & CONTENDED -> wake_one()
     :: else
     fi
#endif
  fi;
  before = 0
}

proctype thread(byte me; bool timed)
{
  byte round = 0, t = 0, first = 0, seen, marked, before = 0, state;
  bool taken, given_up, swapped, settled;
  do
  :: round < ROUNDS ->
     d_step { given_up = false; swapped = false; state = FRESH }
     lock();
     if
     :: taken ->
        inside++;
        assert(inside == 1);
        inside--;
        unlock()
     :: else -> assert(timed)
     fi;
     d_step { seen = 0; marked = 0; taken = false; settled = false; round++ }
  :: else -> break
  od
}

/* Buffers drain at arbitrary moments. */
proctype memory()
{
end:
  do
  :: d_step { pending[1] -> drain(1) }
  :: d_step { pending[2] -> drain(2) }
  :: d_step { pending[N] -> drain(N) }
  od
}

init {
  atomic {
    run memory();
    run thread(1, false);
    run thread(2, false);
    run thread(3, true)
  }
}
