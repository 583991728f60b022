/* Resumable waits (src/core/resumable.h): a thread makes a series of short timed waits, and keeps its place in
   the queue between them. Two scenarios, chosen at the start.

   A mutex. Thread 1 makes a resumable wait: at each timeout its slot stays in the queue, `away`. Then it
   comes back, or gives up, or never comes back. Thread 2 may run a signal handler while it sleeps; the
   handler may never return, unless a hand-off has given the thread the mutex. Thread 3 does neither. Memory
   is sequentially consistent here; the unlock's delayed store, and the heavy fence for it, are in mutex.pml.

   A condition. Thread 1 makes a resumable wait, and may exit between two parts. One notify comes after it has
   begun to wait; thread 2 begins to wait after that.

   Checked: mutual exclusion; no thread sleeps forever because another is away, or in a handler; a hand-off
   goes to the thread that came first, of those present; a notify goes to the thread that waited when it came,
   or, if that thread exits, to the next; no slot is left in the queue.

   Mutants, each of which must fail:
   NO_SKIP      a release goes to the first in the queue, even if it is away
   NO_SLOT     a thread that comes back joins at the end of the queue
   NO_RETURN    a thread that comes back stays marked as away
   NO_REWANT    a thread that comes back sleeps without setting `has_waiters`
   NO_REMAIN    a thread that goes away does not leave `has_waiters` set for the others
   NO_LOST      a wake that finds its thread in a handler is not given to the next waiter
   NO_END       the end of the wait leaves the slot in the queue
   NO_OWNER     a condition counts notifies for threads between two parts, and the next to wait takes one
   NO_RECHECK   a part that times out as it is notified loses the notify
   NO_PASSING      a notified thread exits, and the notify is lost */

#define N 3

#define FREE 0
#define HANDOFF 8

#define NONE 0
#define WOKEN 1
#define GIVEN 2

byte state = FREE;
bool has_waiters = false;
byte inside = 0;

bool queue_lock;
byte queue[N];
byte length = 0;
byte signal[N + 1];
byte ticket[N + 1];
byte tickets = 0;
bool queued[N + 1], away[N + 1];
bool asleep[N + 1]; /* in the system's wait, where a wake reaches it */

#ifdef NO_SKIP
#define PRESENT(t) true
#else
#define PRESENT(t) (!away[t])
#endif

/* A section that is a single step with the queue locked begins with `!queue_lock`; only check() takes
   several. */
inline lock_queue()
{
  atomic { !queue_lock -> queue_lock = true }
}

inline unlock_queue()
{
  queue_lock = false
}

/* The next three run within a d_step, with the queue locked. */
inline find_present()
{
  first = 0;
  i = 0;
  do
  :: i < length && first == 0 -> if :: PRESENT(queue[i]) -> first = queue[i] :: else fi; i++
  :: else -> break
  od;
  i = 0
}

inline append(t)
{
  queue[length] = t;
  length++;
  queued[t] = true;
  signal[t] = NONE;
  away[t] = false
}

inline remove(t)
{
  i = 0;
  do
  :: queue[i] != t -> i++
  :: else -> break
  od;
  do
  :: i + 1 < length -> queue[i] = queue[i + 1]; i++
  :: else -> break
  od;
  length--;
  queue[length] = 0;
  queued[t] = false;
  i = 0
}

/* --- the mutex ----------------------------------------------------------------------- */

inline attempt()
{
  d_step {
    if
    :: state == FREE -> state = me; taken = true
    :: else -> taken = false
    fi
  }
}

/* As mutex_wake_first(). */
inline wake_first()
{
  wake = 0;
  do
  :: d_step {
       !queue_lock ->
#ifndef NO_LOST
       if
       :: wake != 0 && queued[wake] && signal[wake] == WOKEN -> away[wake] = true
       :: else
       fi;
#endif
       wake = 0;
       find_present();
       if
       :: first == 0 -> has_waiters = false
       :: first != 0 && signal[first] != NONE -> has_waiters = false /* it has been signalled, and will set it again */
       :: first != 0 && signal[first] == NONE && state == FREE -> signal[first] = WOKEN; has_waiters = false; wake = first
       :: else
       fi;
       first = 0
     }
     if
     :: wake == 0 -> break
     :: d_step { wake != 0 && asleep[wake] -> asleep[wake] = false; wake = 0 }; break
     :: d_step { wake != 0 && !asleep[wake] -> skip }; /* not asleep: wake the next, too */
#ifdef NO_LOST
        wake = 0; break
#endif
     fi
  od
}

inline join()
{
  d_step {
    !queue_lock ->
#ifdef NO_SLOT
    if :: queued[me] -> remove(me) :: else fi;
#endif
    if
    :: queued[me] ->
#ifndef NO_RETURN
       away[me] = false
#endif
    :: else ->
       append(me);
       if
       :: ticket[me] == 0 -> tickets++; ticket[me] = tickets
       :: else
       fi
    fi;
    find_present();
    leads = first == me;
    first = 0
  }
#ifdef NO_REWANT
  if :: leads && part == 0 -> has_waiters = true :: else fi
#else
  if :: leads -> has_waiters = true :: else fi
#endif
}

/* With the queue locked. */
inline leave(stays)
{
  d_step {
    if
    :: stays -> away[me] = true
    :: else -> remove(me); ticket[me] = 0
    fi;
    find_present();
#ifndef NO_REMAIN
    has_waiters = first != 0;
#else
    has_waiters = false;
#endif
    first = 0
  }
}

inline check()
{
  lock_queue();
  woken = signal[me] == WOKEN;
  if
  :: signal[me] == GIVEN -> taken = true
  :: else ->
     d_step {
       signal[me] = NONE;
#ifndef NO_RETURN
       away[me] = false
#endif
     }
     attempt();
     if /* starving, or not */
     :: !taken && !timed ->
        do
        :: d_step { state != FREE && state < HANDOFF -> state = state + HANDOFF }; break
        :: d_step { state >= HANDOFF -> skip }; break
        :: d_step { state == FREE -> state = me; taken = true }; break
        od
     :: true
     fi;
     if
     :: taken || (timed && !woken) -> leave(!taken && parts)
     :: else
     fi
  fi;
  unlock_queue()
}

/* Returns once it has the mutex, or at the end of the part. */
inline lock()
{
  timed = false;
  attempt();
  if
  :: taken
  :: else ->
     join();
     do
     :: check();
        if :: taken || (timed && !woken) -> break :: else fi;
        if
        :: woken -> has_waiters = true
        :: else ->
           if
           :: d_step { signal[me] == NONE -> asleep[me] = true };
              if
              :: !asleep[me]
              :: d_step { asleep[me] && parts && part < 2 -> asleep[me] = false; timed = true }
              :: d_step { asleep[me] && handler -> asleep[me] = false; handler = false };
                 if
                 :: true /* the handler returns; the thread sleeps again */
                 :: true ->
end_handler:        signal[me] == GIVEN /* or it never returns, except that with the mutex it must */
                 fi
              fi
           :: signal[me] != NONE
           fi
        fi
     od
  fi
}

inline wait_end()
{
  d_step {
    !queue_lock ->
    if
#ifndef NO_END
    :: queued[me] -> remove(me); ticket[me] = 0
#endif
    :: else
    fi
  }
}

inline unlock()
{
  if
  :: d_step { state == me -> state = FREE };
     if
     :: has_waiters -> wake_first()
     :: else
     fi
  :: state > HANDOFF ->
     d_step {
       !queue_lock ->
       find_present();
       if
       :: first != 0 ->
          i = 1; /* no other present waiter has come before it */
          do
          :: i <= N -> assert(i == first || !queued[i] || away[i] || ticket[i] > ticket[first]); i++
          :: else -> break
          od;
          wake = first;
          remove(first);
          ticket[wake] = 0;
          state = wake;
          signal[wake] = GIVEN;
          find_present();
          has_waiters = first != 0;
          asleep[wake] = false;
          wake = 0
       :: else -> state = FREE
       fi;
       first = 0
     }
  fi
}

proctype thread(byte me; byte rounds; bool parts; bool handler)
{
  byte round = 0, part = 0, first = 0, wake = 0, i = 0;
  bool taken, timed, woken, leads;
  do
  :: round < rounds ->
     part = 0;
     do
     :: lock();
        if
        :: taken || !parts -> break
        :: else -> part++
        fi;
        if
        :: true
        :: true -> taken = false; break /* gives up */
        :: true -> end_away: false      /* never comes back */
        fi
     od;
     if
     :: parts -> wait_end()
     :: else
     fi;
     if
     :: taken ->
        inside++;
        assert(inside == 1);
        inside--;
        unlock()
     :: else -> assert(parts)
     fi;
     assert(!queued[me]);
     taken = false; timed = false; woken = false; leads = false;
     round++
  :: else -> break
  od
}

/* --- the condition ------------------------------------------------------------------------ */

bool began, notified, second_woken, second_must_wake;
byte owed = 0;

/* Notifies the first in the queue, whether it sleeps or is between two parts. */
inline notify()
{
  d_step {
    if
    :: length > 0 ->
#ifdef NO_OWNER
       if
       :: away[queue[0]] -> owed++
       :: else -> first = queue[0]; remove(first); signal[first] = GIVEN
       fi;
#else
       first = queue[0];
       remove(first);
       signal[first] = GIVEN;
#endif
       first = 0
    :: else
    fi
  }
}

#ifdef NO_OWNER
#define OWED (owed > 0)
#else
#define OWED false
#endif

proctype early()
{
  byte me = 1, part = 0, first = 0, i = 0;
  bool done = false;
  d_step { append(me); away[me] = true; began = true } /* ilk_condition_wait_begin() */
  do
  :: d_step { /* a part */
       if
       :: OWED -> owed--; done = true
       :: else -> done = signal[me] == GIVEN
       fi;
       away[me] = false
     }
     if
     :: done -> break
     :: else
     fi;
     if
     :: signal[me] == GIVEN -> break
     :: part < 2 -> /* its deadline has passed */
#ifdef NO_RECHECK
        d_step { signal[me] = NONE; away[me] = true }
#else
        d_step { done = signal[me] == GIVEN; away[me] = true }
#endif
        if
        :: done -> break
        :: else
        fi
     fi;
     part++;
     if
     :: true
     :: part == 2 -> /* exits, which ends the wait */
        d_step {
          done = signal[me] == GIVEN;
          if
          :: queued[me] -> remove(me)
          :: else
          fi;
          second_must_wake = done && queued[2]
        }
#ifndef NO_PASSING
        if
        :: done -> notify()
        :: else
        fi;
#endif
        goto gone
     fi
  od;
  assert(notified);
  assert(!second_woken);
gone:
  skip
}

proctype notifier()
{
  byte first = 0, i = 0;
  began;
  notified = true;
  notify();
  run second()
}

proctype second()
{
  byte me = 2, i = 0;
  bool done = false;
  d_step {
    if
    :: OWED -> owed--; done = true
    :: else -> append(me)
    fi
  }
end_second:
  done || signal[me] == GIVEN;
  second_woken = true
}

/* If thread 1 exits with a notify, the notify is passed on to thread 2. */
proctype first_waiter()
{
end_first:
  second_must_wake;
  second_woken
}

init {
  atomic {
    if
    :: run thread(1, 1, true, false);
       run thread(2, 1, false, true);
       run thread(3, 2, false, false)
    :: run early();
       run notifier();
       run first_waiter()
    fi
  }
}
