/* The mutex of src/sync/mutex.c, not fair (I1 to I4 of mutex_state.h). Memory is total store order, with the
   asymmetric fence: the store of an unlock stays in its thread's store buffer until it drains at an arbitrary
   moment, or until a heavy fence drains all buffers.

   Two scenarios: each thread unlocks what it has locked; or the mutex is unowned, some threads only lock, and
   another unlocks as often.

   Checked: mutual exclusion (assertion), and no lost wake (a waiter that sleeps forever is an invalid end
   state).

   Mutants, each of which must fail:
   NO_HEAVY     a waiter does not run the heavy fence
   NO_RECHECK   a waiter sleeps without an attempt after it has joined
   NO_WAKE      an unlock does not load `has_waiters`
   NO_REWANT    a woken waiter does not set `has_waiters` again
   NO_SIGNAL    a release that finds a first waiter does not signal it
   NO_REMAIN    a hand-off does not set `has_waiters` for the waiters that remain
   NO_GIVEN     a hand-off does not signal the new holder
   NO_BARGING   a release that finds the mutex locked again clears `has_waiters`, so that holder's release wakes no
                waiter
   NO_PATIENCE  a woken waiter gives up before it has set `has_waiters` again
   NO_FIRST     no waiter sets `has_waiters` when it joins, not even the first
   NO_WORD      a waiter that gives up clears `has_waiters`, on which others rely
   NO_CROSSED   a thread that unlocks what another has locked checks `has_waiters` alone, which the locker may not
                have set yet */

#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define FREE 0
#define HANDOFF 8

#define NONE 0
#define WOKEN 1
#define GIVEN 2

byte state = FREE;
bool has_waiters = false;
bool pending[N + 1];  /* a store of FREE in its thread's store buffer */
byte signal[N + 1];
chan queue = [N] of { byte };
bool queue_lock;
byte inside = 0;

/* The state as a thread loads it: its own buffered store comes first. */
#define SEEN (pending[me] -> FREE : state)

inline drain(t)
{
  if
  :: pending[t] -> state = FREE; pending[t] = false
  :: else
  fi
}

/* Every read-modify-write first drains the thread's own buffer, as on x86. */
inline attempt(taken)
{
  d_step {
    drain(me);
    if
    :: state == FREE -> state = me; taken = true
    :: else -> taken = false
    fi
  }
}

inline mark_handoff(marked)
{
  d_step {
    drain(me);
    marked = state != FREE;
    if
    :: state != FREE && state < HANDOFF -> state = state + HANDOFF
    :: else
    fi
  }
}

inline lock_queue()
{
  atomic { !queue_lock -> queue_lock = true; drain(me) }
}

inline unlock_queue()
{
  queue_lock = false
}

inline wake_first()
{
  lock_queue();
  d_step {
    if
    :: nempty(queue) ->
       queue ? <first>;
       if
#ifndef NO_SIGNAL
       :: signal[first] == NONE && SEEN == FREE -> signal[first] = WOKEN; has_waiters = false
#endif
       :: signal[first] != NONE -> has_waiters = false /* it has been signalled, and will set `has_waiters` again */
       :: else ->
#ifdef NO_BARGING
          has_waiters = false
#endif
       fi
    :: else -> has_waiters = false
    fi;
    first = 0
  }
  unlock_queue()
}

/* With the queue locked once: checks the signal, attempts, leaves or stays. */
inline check()
{
  lock_queue();
  d_step {
    woken = signal[me] == WOKEN;
    if
    :: woken -> signal[me] = NONE
    :: else
    fi
  }
  if
  :: signal[me] == GIVEN -> taken = true
  :: else ->
     attempt(taken);
     if /* starving, or not */
     :: !taken && !given_up ->
        do
        :: mark_handoff(marked);
           if
           :: marked -> break
           :: else -> attempt(taken); if :: taken -> break :: else fi
           fi
        od
     :: true
     fi;
     if
#ifdef NO_PATIENCE
     :: taken || given_up ->
#else
     :: taken || (given_up && !woken) ->
#endif
#ifdef NO_WORD
        d_step { queue ?? eval(me); has_waiters = taken && nempty(queue) }
#else
        d_step { queue ?? eval(me); has_waiters = nempty(queue) }
#endif
     :: else
     fi
  fi;
  unlock_queue()
}

inline request_wake()
{
  d_step { drain(me); has_waiters = true }
#ifndef NO_HEAVY
  d_step { t = 1; do :: t <= N -> drain(t); t++ :: else -> break od; t = 0 }
#else
  skip
#endif
}

inline lock()
{
  attempt(taken);
  if
  :: taken
  :: else ->
     lock_queue();
     d_step { first = empty(queue); queue ! me; signal[me] = NONE }
     unlock_queue();
     if
#ifndef NO_FIRST
     :: first -> request_wake() /* those behind rely on the first */
#endif
     :: else
     fi;
     first = 0;
#ifdef NO_RECHECK
     if :: signal[me] != NONE :: timed -> given_up = true fi;
#endif
     do
     :: check();
        if
#ifdef NO_PATIENCE
        :: taken || given_up -> break
#else
        :: taken || (given_up && !woken) -> break
#endif
        :: else
        fi;
        if
        :: woken -> /* the waker has cleared `has_waiters`: set it again, and recheck */
#ifndef NO_REWANT
           request_wake()
#endif
        :: !woken && signal[me] != NONE
        :: !woken && timed -> given_up = true
        fi
     od
  fi
}

inline unlock()
{
  if
  :: SEEN == me -> /* after this check, a HANDOFF may still be set before the store */
     pending[me] = true;
#ifndef NO_WAKE
     if
     :: has_waiters -> wake_first()
     :: else
     fi
#endif
  :: else ->
     lock_queue();
     d_step {
       if
       :: nempty(queue) -> queue ? first; state = first;
#ifndef NO_REMAIN
          has_waiters = nempty(queue);
#endif
#ifndef NO_GIVEN
          signal[first] = GIVEN
#endif
       :: else -> state = FREE
       fi;
       first = 0
     }
     unlock_queue()
  fi
}

proctype thread(byte me; bool timed)
{
  byte round = 0, t = 0, first = 0;
  bool taken, given_up, marked, woken;
  do
  :: round < ROUNDS ->
     taken = false;
     given_up = false;
     lock();
     if
     :: taken ->
        inside++;
        assert(inside == 1);
        inside--;
        unlock()
     :: else -> assert(timed)
     fi;
     round++
  :: else -> break
  od
}

/* For an unowned mutex: only locks. */
proctype consumer(byte me)
{
  byte t = 0, first = 0;
  bool taken, given_up, marked, woken, timed;
  lock();
  assert(taken)
}

/* For an unowned mutex: only unlocks, once for each consumer. */
proctype producer(byte me)
{
  byte round = 0, seen, first = 0, t = 0;
  do
  :: round < N - 1 ->
     SEEN != FREE;
     seen = SEEN;
     if
     :: seen > HANDOFF ->
        lock_queue();
        d_step {
          if
          :: state == seen ->
             round++;
             if
             :: nempty(queue) -> queue ? first; has_waiters = nempty(queue); state = first; signal[first] = GIVEN
             :: else -> state = FREE
             fi
          :: else
          fi;
          first = 0
        }
        unlock_queue()
     :: else ->
        drain(me); /* the or_seq_cst of SPECIAL_CROSSED */
        pending[me] = true;
        round++;
        if
        :: has_waiters -> wake_first()
        :: else
        fi;
#ifndef NO_CROSSED
        if
        :: nempty(queue) -> request_wake(); wake_first()
        :: else
        fi
#endif
     fi
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
    if
    :: run thread(1, false);
       run thread(2, false);
#if N > 2
       run thread(3, true)
#endif
    :: state = N; /* locked by the producer */
       run consumer(1);
#if N > 2
       run consumer(2);
#endif
       run producer(N)
    fi
  }
}
