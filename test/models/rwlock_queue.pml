/* The counted layer of the readers-writer lock (src/sync/rwlock_state.h): newcomers that barge, waiters that
   are woken and then make an attempt, the drain, timeouts, downgrade. Memory is sequentially consistent: each
   step is a compare-and-swap of the one head, or under the queue's lock. Readers that publish are in
   rwlock.pml.

   Threads with a timeout make resumable waits (src/core/resumable.h): at the deadline they may stay in the queue,
   away, and come back, or never. A writer whose part ends while it drains gives up here; that it may stay is in
   the scenarios resumable_drain* of real/.

   The variables `wanted`, `asleep`, `stop` and `turn` are HAS_WAITERS, WRITER_PARKED,
   WRITER_WAITING and the epoch.

   Checked: no reader with a writer, no two writers, no writer during a downgrade, no newcomer that joins
   readers past a sleeping writer or enters a reserved lock (assertions); no lost wake (invalid end states).

   Mutants, each of which must fail:
   NO_REQUEST    HAS_WAITERS is not set for a waiter that sleeps
   NO_JOIN      a waiter sleeps without an attempt after it has joined
   NO_PASS      a waiter that times out does not settle, and so swallows a wake
   NO_NEXT      a waiter that acquires does not settle
   NO_WAKE      a leaving reader does not check the head
   NO_RELEASE   nor does a leaving writer
   NO_GIVEUP    nor does a writer that ends its drain
   NO_STOP      a reader joins past a sleeping writer
   NO_RESERVED  a newcomer enters a reserved lock
   NO_EPOCH      the draining writer is not woken
   NO_PARKED    it checks before it sets WRITER_PARKED
   NO_ONESTEP   a downgrade releases the lock first
   NO_SKIP      a waiter that is away counts as the first
   NO_AWAY      a waiter that goes away does not settle
   NO_RETURN    a waiter that comes back does not settle before it sleeps */

#define THREADS 4
#ifndef WAKES
#define WAKES 1
#endif

byte count = 0;
bool writer = false, asleep = false, wanted = false, stop = false, reserved = false; /* the head */
bool locked = false;      /* the queue */
byte queue[THREADS], queued = 0;
bool writes[THREADS];     /* each thread's role, */
bool signal[THREADS];     /* signal, */
bool dozes[THREADS];      /* and whether it has settled, and sleeps unless it is signalled */
bool away[THREADS];
byte turn = 0;
byte reading = 0, writing = 0, version = 0;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

/* With the queue locked. A single step, because besides the head nothing that it reads can change. */
inline settle()
{
  d_step {
    goes = false; sleeps = false;
    wanted = false; stop = false; reserved = false;
    n = 0;
    f = 0;
#ifndef NO_SKIP
    do
    :: f < queued && away[queue[f]] -> f++
    :: else -> break
    od;
#endif
    if
    :: f < queued ->
       goes = !writer && (!writes[queue[f]] || count == 0);
       sleeps = !goes && !signal[queue[f]];
#ifndef NO_REQUEST
       wanted = sleeps;
#endif
       i = f;
       do
       :: i < queued ->
          if
          :: writes[queue[i]] && !away[queue[i]] && !(i == f && !sleeps) -> stop = true
          :: else
          fi;
          i++
       :: else -> break
       od;
       reserved = starves;
       i = f;
       do
       :: goes && i < queued && n < WAKES && (!writes[queue[i]] || i == f || away[queue[i]]) ->
          if
          :: !signal[queue[i]] && (!away[queue[i]] || i == f) -> signal[queue[i]] = true; n++
          :: else
          fi;
          if
          :: writes[queue[i]] && !(away[queue[i]] && i != f) -> break
          :: else -> i++
          fi
       :: else -> break
       od
    :: else
    fi;
    i = 0; n = 0; f = 0; goes = false; sleeps = false
  }
}

/* The first waiter may or may not starve by now. */
inline settle_now()
{
  if
  :: starves = true
  :: starves = false
  fi;
  settle();
  starves = false
}

inline wake()
{
  lock();
  settle_now();
  unlock()
}

inline leave_queue()
{
  d_step {
    i = 0;
    do
    :: queue[i] != me -> i++
    :: else -> break
    od;
    do
    :: i + 1 < queued -> queue[i] = queue[i + 1]; i++
    :: else -> break
    od;
    queued--;
    queue[queued] = 0;
    i = 0
  }
}

#ifdef NO_RESERVED
#define KEEPS_OUT false
#else
#define KEEPS_OUT reserved
#endif
#ifdef NO_STOP
#define STOPS false
#else
#define STOPS stop
#endif

/* A newcomer's attempt, with the assertions that the waiters rely on. */
inline arrive()
{
  atomic {
    if
    :: !writer && !KEEPS_OUT && (writes[me] || !STOPS || count == 0) ->
       assert(!reserved);
       i = 0;
       do
       :: i < queued ->
          assert(!(!writes[me] && count > 0 && dozes[queue[i]] && writes[queue[i]] && !signal[queue[i]]));
          i++
       :: else -> break
       od;
       i = 0;
       if
       :: writes[me] -> writer = true
       :: else -> count++
       fi;
       taken = true
    :: else
    fi
  }
}

inline wait_in_queue()
{
  lock();
  d_step { queue[queued] = me; queued++ }
#ifdef NO_JOIN
  signal[me] = false; dozes[me] = true; unlock();
  if
  :: signal[me]
  :: timed -> late = true
  fi;
  lock();
#endif
  do
  :: dozes[me] = false;
     d_step {
       f = 0;
       do
       :: away[queue[f]] -> f++
       :: else -> break
       od;
       first = queue[f];
       f = 0
     }
     atomic { /* WRITER_WAITING and RESERVED apply to newcomers only */
       if
       :: (first == me || signal[me]) && !writer ->
          if
          :: writes[me] -> writer = true
          :: else -> count++
          fi;
          taken = true
       :: else
       fi;
       signal[me] = false
     }
     if
     :: taken -> leave_queue()
     :: !taken && late ->
        if
        :: leave_queue()
        :: !stayed -> stays = true; stayed = true; away[me] = true
        fi
     :: else
     fi;
#ifdef NO_AWAY
     if :: stays :: else -> settle_now() fi;
#else
#ifdef NO_RETURN
     if :: back :: else -> settle_now() fi;
#else
#ifdef NO_PASS
     if :: late && !taken :: else -> settle_now() fi;
#else
#ifdef NO_NEXT
     if :: taken :: else -> settle_now() fi;
#else
     settle_now();
#endif
#endif
#endif
#endif
     atomic { dozes[me] = !taken && !late; unlock() }
     back = stays;
     if
     :: stays ->
        if
        :: true -> end_away: false
        :: true
        fi;
        stays = false; late = false
     :: !stays && (taken || late) -> break
     :: else ->
        if
        :: signal[me]
        :: timed -> late = true
        fi
     fi;
     lock();
     away[me] = false
  od;
  dozes[me] = false
}

/* With WRITER set. */
inline drain()
{
  do
  :: count == 0 -> asleep = false; break
  :: count > 0 ->
#ifndef NO_PARKED
     asleep = true;
#endif
     seen = turn;
     if
     :: count == 0 -> skip
     :: else ->
#ifdef NO_PARKED
        asleep = true;
#endif
        if
        :: turn != seen
        :: timed && count > 0 -> /* gives up */
           taken = false;
           atomic { saw = wanted; writer = false; asleep = false }
#ifndef NO_GIVEUP
           if :: saw -> wake() :: else fi;
#endif
           break
        fi
     fi
  od
}

inline read_leave()
{
  reading--;
  atomic { count--; saw = (count == 0) && (asleep || wanted) }
#ifndef NO_WAKE
  if
  :: saw ->
     if
     :: asleep ->
#ifndef NO_EPOCH
        turn++
#else
        skip
#endif
     :: !asleep && wanted && !writer -> wake()
     :: else
     fi
  :: else
  fi
#endif
}

proctype thread(byte me; bool timed)
{
  byte i = 0, n = 0, f = 0, first = 0, seen = 0;
  bool stays = false, stayed = false, back = false;
  bool taken = false, late = false, saw = false, starves = false, goes = false, sleeps = false;
  arrive();
  if
  :: !taken -> wait_in_queue()
  :: else
  fi;
  if
  :: taken && writes[me] -> drain()
  :: else
  fi;
  if
  :: taken && writes[me] ->
     atomic { writing++; assert(writing == 1 && reading == 0); version++ }
     seen = version;
     if
     :: atomic { writing--; saw = wanted; writer = false; asleep = false }
#ifndef NO_RELEASE
        if :: saw -> wake() :: else fi
#endif
     :: true -> /* downgrade */
#ifdef NO_ONESTEP
        atomic { writing--; saw = wanted; writer = false; asleep = false }
        atomic { !writer -> count++; reading++ }
#else
        atomic { writing--; reading++; saw = wanted; writer = false; asleep = false; count++ }
#endif
        if :: saw -> wake() :: else fi;
        assert(version == seen && writing == 0);
        read_leave()
     fi
  :: taken && !writes[me] ->
     atomic { reading++; assert(writing == 0) }
     read_leave()
  :: else
  fi
}

init {
  atomic {
    writes[0] = true;
    writes[1] = true;
    run thread(0, false);
    run thread(1, true);
    run thread(2, false);
    run thread(3, true)
  }
}
