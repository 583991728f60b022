/* The barrier of src/sync/barrier_state.h: tickets, BROKEN, RESET and ACTING, with sleeping threads on the
   object's event count (block.h). Operations are sequentially consistent; each change of the state is one
   compare-and-swap. Each thread waits a few times: without a deadline, with a timeout, or in a resumable
   wait, where the last thread acts before the others proceed. Another thread aborts or resets, and then
   frees, at any moment. A free waits for the pins, whose order is checked in handle.pml.

   Assertions: a thread that returns OK was in a round that is complete; a thread that returns EBROKEN or a
   timeout was in a round that is broken; no round has both, however late a thread checks. The number of
   tickets shows how many threads are inside, and never falls below the end of a complete round (I1). No
   thread proceeds before the action is over. No thread touches a freed barrier. A free is refused only while
   a thread waits for something that has not happened. Once nothing moves, every thread that still sleeps has
   a reason to (assertion), and nothing else is stuck (invalid end states).

   Mutants, each of which must fail:
     NO_WAKE      the last to arrive wakes no thread
     NO_BREAK     a thread that abandons its wait wakes no thread
     NO_ABORT     an abort wakes no thread
     NO_END       the last thread out of a reset round wakes no thread
     NO_CLEAR     the last thread out of a reset round does not clear RESET
     NO_LATE      a thread that abandons its wait does not check whether the round is complete
     NO_RETURN    a thread that finds the round broken keeps its ticket
     NO_WAITING   a reset does not wait for the threads inside
     NO_SHUT      a thread arrives while the last one acts
     NO_ACTOR     a reset does not wait for the acting thread
     NO_TAKING    the acting thread finds the round broken and leaves ACTING set
     NO_PREPARE  a thread checks before it registers as a waiter
     NO_EPOCH      it loads the epoch after its check
     NO_PIN       the last to arrive is not pinned when it wakes the others
     NO_LETGO     a free is refused for threads on their way out
     NO_OUTSIDE   a free takes threads that wait for the end of a reset for satisfied */

#ifndef N
#define N 3
#endif
#ifndef PARTIES
#define PARTIES 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef FIRST
#define FIRST 0
#define SECOND 1
#define THIRD 2
#endif

/* What calls return. */
#define OK 0
#define TIMEDOUT 1
#define EBROKEN 2
#define EHANDLE 3

#define NONE 0
#define COMPLETE 1
#define BROKE 2

byte tickets = PARTIES; /* some rounds are complete, so a ticket too few is noticed */
bool broken, reset, acting;
byte waiters, outside;
bool turned[N + 1]; /* the epoch has changed since that thread loaded it */
bool closing, freed, pinned[N + 2];

/* State for the assertions. */
byte within;          /* threads in the current or broken round: */
bool member[N + 1];
byte fate[N + 1];     /* of the last round that the thread was in */
bool acts_now;
byte least = PARTIES; /* the end of the last complete round */
byte place[N + 1], goal_of[N + 1]; /* where a thread sleeps: 1 in a round, 2 outside */

#define INSIDE (tickets % PARTIES)
#define IS_OCCUPIED (acting || INSIDE > 0)
#ifdef NO_SHUT
#define IS_SHUT (reset)
#define IS_OPEN (!broken)
#else
#define IS_SHUT (reset || (acting && !broken))
#define IS_OPEN (!broken && !acting)
#endif
#define TOUCH assert(!freed)

#ifdef NO_LETGO
#define SATISFIED false
#else
#ifdef NO_OUTSIDE
#define SATISFIED (!acting && (broken || INSIDE == 0))
#else
#define SATISFIED ((broken || (!acting && INSIDE == 0)) && !(IS_SHUT && outside > 0))
#endif
#endif

/* After each change. */
inline check()
{
  assert(tickets >= least);
  assert(INSIDE == within)
}

inline tell(what)
{
  i = 1;
  do
  :: i <= N && member[i] -> fate[i] = what; i++
  :: i <= N && !member[i] -> i++
  :: else -> break
  od;
  i = 0
}

inline join()
{
  tickets++; within++; member[me] = true
}

inline part()
{
  assert(member[me]);
  tickets--; within--; member[me] = false
}

inline break_round()
{
  broken = true;
  tell(BROKE)
}

inline complete_round()
{
  assert(within == PARTIES && !acts_now && !broken);
  tell(COMPLETE);
  within = 0; member[1] = false; member[2] = false; member[N] = false;
  least = tickets
}

inline wake_all()
{
  TOUCH;
  if
  :: waiters > 0 -> d_step { turned[1] = true; turned[2] = true; turned[N] = true }
  :: else
  fi
}

/* --- breaking and leaving --- */

inline leave_broken(actor)
{
  d_step {
    TOUCH;
    if
    :: actor ->
#ifndef NO_TAKING
       acting = false;
#endif
       assert(member[me]);
       member[me] = false
    :: else -> part()
    fi;
    cleared = reset && !IS_OCCUPIED;
    if
    :: cleared ->
#ifndef NO_CLEAR
       reset = false; broken = false
#endif
    :: else
    fi;
    check()
  }
#ifndef NO_END
  if
  :: cleared -> wake_all()
  :: else
  fi
#endif
}

#ifdef NO_LATE
#define IS_COMPLETE false
#else
#define IS_COMPLETE (tickets >= goal)
#endif

inline abandon(why)
{
  atomic {
    TOUCH;
    if
    :: IS_COMPLETE -> result = OK
    :: !IS_COMPLETE && broken -> result = EBROKEN
    :: !IS_COMPLETE && !broken -> break_round(); check(); result = why; abandoned = true
    fi
  }
  if
  :: abandoned ->
     abandoned = false;
#ifndef NO_BREAK
     wake_all();
#endif
     leave_broken(false)
  :: !abandoned && result == EBROKEN ->
#ifndef NO_RETURN
     leave_broken(false)
#else
     skip
#endif
  :: else
  fi
}

inline break_up()
{
  atomic {
    TOUCH;
    if
    :: broken && !reset -> changed = false
    :: else -> break_round(); reset = false; changed = true
    fi
  }
#ifndef NO_ABORT
  if
  :: changed -> wake_all()
  :: else
  fi
#endif
}

#ifdef NO_ACTOR
#define WAITS (INSIDE > 0)
#else
#define WAITS IS_OCCUPIED
#endif

inline reset_it()
{
  atomic {
    TOUCH;
    if
#ifndef NO_WAITING
    :: WAITS -> changed = !(broken && reset); break_round(); reset = true
    :: !WAITS ->
#else
    :: true ->
#endif
       changed = broken;
       if
       :: broken -> broken = false; reset = false
       :: else
       fi;
       check()
    fi
  }
  if
  :: changed -> wake_all()
  :: else
  fi
}

inline wait_outside()
{
  d_step { TOUCH; outside++; waiters++; timed_out = false }
  do
  :: turned[me] = false;
     if
     :: atomic { !IS_SHUT -> result = OK }; break
     :: atomic { IS_SHUT && timed_out -> result = TIMEDOUT }
        if
        :: kind != 2 -> break_up()
        :: else
        fi;
        break
     :: atomic { IS_SHUT && !timed_out -> place[me] = 2 };
end_outside:
        if
        :: atomic { turned[me] -> place[me] = 0 }
        :: atomic { kind != 0 -> timed_out = true; place[me] = 0 }
        fi
     fi
  od;
  atomic { TOUCH; waiters--; outside--; timed_out = false }
}

/* --- wait --- */

/* Sets `goal`, and whether the thread is the last, or acts. */
inline arrive()
{
  acts = false; last = false;
  do
  :: atomic {
       IS_OPEN ->
       TOUCH;
       goal = tickets - INSIDE + PARTIES;
       if
       :: kind == 2 && INSIDE == PARTIES - 1 -> acting = true; acts = true; acts_now = true; member[me] = true
       :: else ->
          join();
          assert(!acts_now);
          if
          :: INSIDE == 0 -> complete_round(); last = true
          :: else
          fi
       fi;
       check();
       result = OK
     }
     if
     :: last ->
#ifdef NO_PIN
        leave();
#endif
#ifndef NO_WAKE
        wake_all()
#endif
     :: else
     fi;
     break
  :: atomic { !IS_OPEN && !IS_SHUT -> result = EBROKEN; fate[me] = BROKE }; break
  :: IS_SHUT ->
     wait_outside();
     if
     :: result != OK -> fate[me] = BROKE; break
     :: else
     fi
  od
}

/* Sleeps until the round is over, or for some time. */
inline sleep()
{
  d_step {
    TOUCH;
#ifndef NO_PREPARE
    waiters++;
#endif
    timed_out = false
  }
  do
  ::
#ifndef NO_EPOCH
     turned[me] = false;
#endif
     if
     :: atomic { tickets >= goal -> result = OK }; break
     :: atomic { tickets < goal && (broken || timed_out) -> result = (broken -> EBROKEN : TIMEDOUT) }
        if
        :: kind != 2 -> abandon((timed_out -> TIMEDOUT : EBROKEN))
        :: else
        fi;
        break
     :: atomic { tickets < goal && !broken && !timed_out -> place[me] = 1; goal_of[me] = goal };
#ifdef NO_EPOCH
        turned[me] = false;
#endif
#ifdef NO_PREPARE
        waiters++;
#endif
end_sleep:
        if
        :: atomic { turned[me] -> place[me] = 0; goal_of[me] = 0 }
        :: atomic { kind != 0 && !timed -> timed_out = true; timed = true; place[me] = 0; goal_of[me] = 0 }
        fi
#ifdef NO_PREPARE
        ; waiters--
#endif
     fi
  od;
  atomic {
    TOUCH;
#ifndef NO_PREPARE
    waiters--;
#endif
    timed_out = false;
    pinned[me] = false
  }
}

/* --- the frame of a call --- */

inline enter()
{
  if
  :: atomic { !closing && !freed -> pinned[me] = true; result = OK }
  :: atomic { freed -> result = EHANDLE }
  fi
}

inline leave()
{
  pinned[me] = false
}

/* Called by the acting thread. A d_step is a compare-and-swap. */
inline complete(succeeded)
{
  atomic {
    TOUCH;
    acts_now = false;
    if
    :: broken -> result = EBROKEN
    :: !broken && succeeded ->
       acting = false; join(); complete_round(); check(); result = OK
    :: !broken && !succeeded ->
       acting = false; break_round(); member[me] = false; check(); result = TIMEDOUT
    fi
  }
  if
  :: result == EBROKEN -> leave_broken(true)
  :: else -> wake_all()
  fi
}

/* kind: 0: no deadline, 1: with a timeout, 2: resumable wait */
proctype thread(byte me, kind)
{
  byte round = 0, result, goal = 0, i = 0;
  bool acts, last, timed_out = false, timed, cleared = false, changed = false, abandoned = false;
  do
  :: round == ROUNDS -> break
  :: round < ROUNDS ->
     enter();
     if
     :: result == EHANDLE -> break
     :: else
     fi;
     arrive();
     if
     :: kind == 2 || result != OK || last -> leave()
     :: else
     fi;
     if
     :: result == OK && !last && !acts ->
        do
        :: if
           :: kind == 2 -> enter()
           :: else
           fi;
           if
           :: result == EHANDLE -> break /* a free does not detect a thread between two parts */
           :: else -> sleep()
           fi;
           if
           :: result == OK || kind != 2 -> break
           :: else -> /* continues, if it can, or abandons the wait */
              if
              :: result == TIMEDOUT
              :: enter();
                 if
                 :: result == EHANDLE -> break
                 :: else -> abandon(TIMEDOUT); leave(); break
                 fi
              fi
           fi
        od
     :: acts ->
        enter();
        if
        :: result == OK ->
           if
           :: complete(true)
           :: complete(false)
           fi;
           leave()
        :: else -> acts_now = false
        fi
     :: else
     fi;
     atomic {
       if
       :: result != EHANDLE -> assert(fate[me] == (result == OK -> COMPLETE : BROKE))
       :: else
       fi;
       assert(!member[me] || freed);
       fate[me] = NONE; goal = 0; result = 0; last = false; acts = false; timed = false
     };
     round++
  od
}

inline waited_for(result)
{
  atomic {
    result = waiters > 0 && !(SATISFIED);
    assert(!result || (within > 0 && !broken) || acting || (IS_SHUT && outside > 0))
  }
}

inline free()
{
  waited_for(busy);
  if
  :: busy
  :: else ->
     closing = true;
     do
     :: waited_for(busy);
        if
        :: busy -> closing = false; break
        :: else ->
           if
           :: atomic { !(pinned[1] || pinned[2] || pinned[N]) -> freed = true; closing = false }; break
           :: waiters > 0 && !(SATISFIED)
           fi
        fi
     od
  fi
}

proctype meddler()
{
  byte me = N + 1, times = 0, i = 0, result;
  bool changed, busy;
  if
  :: enter(); if :: result == OK -> break_up(); leave() :: else fi
  :: enter(); if :: result == OK -> reset_it(); leave() :: else fi
#ifdef MORE
  :: enter(); if :: result == OK -> break_up(); leave() :: else fi;
     enter(); if :: result == OK -> reset_it(); leave() :: else fi
#endif
  :: true
  fi;
  if
  :: free()
  :: true
  fi;
  /* Nothing moves any more: the threads that sleep have a reason to. */
  timeout;
  d_step {
    times = 1;
    do
    :: times <= N ->
       assert(!(place[times] == 1 && (tickets >= goal_of[times] || broken)));
       assert(!(place[times] == 2 && !(IS_SHUT && (within > 0 || acts_now))));
       times++
    :: else -> break
    od
  }
}

init {
  atomic {
    run meddler();
    run thread(1, FIRST);
    run thread(2, SECOND);
#if N > 2
    run thread(3, THIRD)
#endif
  }
}
