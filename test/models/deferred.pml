/* Deferred wakes: a condition's notify defers wakes until the notifier unlocks the mutex (src/core/waitq.h,
   src/sync/condition.c, I7 of src/sync/mutex_state.h). A notifier locks the mutex and takes two waiters, one
   of them with a timeout, out of the queue. They stay asleep; the notifier may defer fewer wakes than that
   (DEFERRED_MAX). Then it unlocks, or exits, or blocks elsewhere, or never unlocks, or unlocks only once a free
   has succeeded. At any moment another thread takes the mutex from it by a reset, or unlocks it (an unowned
   mutex), or frees the condition. Memory is sequentially consistent: all of these accesses are seq_cst, or
   under the queue's lock.

   Checked: once no thread can proceed, no notified waiter sleeps, unless the notifier still holds the mutex
   and never unlocks it (assertion); no waiter sleeps that should have been notified (assertion); a free does
   not hang (invalid end state); a wait returns OK if and only if it was notified; no thread touches a freed
   condition.

   Mutants, each of which must fail:
   NO_JOIN      a waiter releases the mutex before it joins the queue
   NO_SECOND    a waiter whose deadline has passed does not check whether it was notified
   NO_AGAIN     a woken waiter does not recheck its signal
   NO_MARK      the mutex does not get SPECIAL_DEFERRED, so the unlock takes the fast path
   NO_UNLOCK    the slow unlock delivers no deferred wakes
   NO_EXIT      nor does a thread's exit
   NO_BLOCK     nor does a thread that blocks
   NO_RESET     nor does a reset
   NO_CHECK      the notifier does not check that it still holds the mutex after it has deferred a wake
   NO_OWNED     wakes are deferred for an unowned mutex, too, which any thread may unlock
   NO_FULL      no wake if the list is full
   NO_FORCED     a free does not wake the threads that pin the condition
   NO_UNPIN     a waiter pins the condition until it has the mutex */

#define N 3 /* the notifier is 1 */
#ifndef DEFERRED_MAX
#define DEFERRED_MAX 1
#endif

#define NONE 0
#define GIVEN 1

bool owned, forced, special;  /* the mutex: SPECIAL_UNOWNED, _FORCED, _DEFERRED */
byte holder;
bool dead;                    /* the notifier */
bool queued[N + 1], signal[N + 1], asleep[N + 1], pinned[N + 1];
byte first;                   /* of the two waiters, if both are in the queue */
byte waiters;
byte deferred[DEFERRED_MAX], count;  /* the notifier's list */
bool closing, freed;

/* For the assertions. */
bool ready;                   /* the state that the waiters wait for; guarded by the mutex */
bool sent, stays, again[N + 1];
bool taken;                   /* the mutex was taken by force; then a notify may miss a waiter */

#define TOUCH assert(!freed)

inline wake(w)
{
  asleep[w] = false
}

/* Any thread may wake those on the notifier's list; only the notifier empties it. */
inline wake_deferred(mine)
{
  n = count;
  i = 0;
  do
  :: i < n -> wake(deferred[i]); i++
  :: else -> break
  od;
  if
  :: mine -> count = 0
  :: else
  fi;
  n = 0; i = 0
}

inline lock()
{
  atomic { holder == 0 || (holder == 1 && dead) -> holder = me }
}

/* Waits while a free is undecided. */
inline enter()
{
  if
  :: atomic { !closing && !freed -> pinned[me] = true; ok = true }
  :: atomic { freed -> ok = false }
  fi
}

/* By a waiter, which has no deferred wakes. */
inline unlock()
{
  atomic {
    if
    :: holder == me -> holder = 0
    :: else
    fi
  }
}

/* --- the waiters --- */

inline join()
{
  d_step {
    TOUCH;
    queued[me] = true; signal[me] = NONE; waiters++;
    if
    :: !queued[5 - me] -> first = me
    :: else
    fi
  }
}

inline remove(w)
{
  queued[w] = false; waiters--; first = 5 - w
}

proctype waiter(byte me; bool timed)
{
  bool notified, timed_out, ok;
end_lock:
  lock();
  do
  :: ready && (again[me] || timed) -> unlock(); break
  :: else -> /* the second wait has no notify: no deferred wake may end it */
     if
     :: ready -> again[me] = true
     :: else
     fi;
     enter();
     if
     :: !ok -> unlock(); break
     :: else
     fi;
#ifdef NO_JOIN
     unlock(); join();
#else
     join(); unlock();
#endif
     timed_out = false;
     do
     :: atomic { signal[me] == NONE && !timed_out -> asleep[me] = true };
end_sleep:
        if
        :: !asleep[me]
        :: atomic { timed -> timed_out = true; asleep[me] = false }
        fi;
#ifdef NO_AGAIN
        if
        :: !timed_out -> notified = true; break
        :: else
        fi
#endif
     :: signal[me] == GIVEN -> notified = true; break
     :: timed_out ->
        d_step {
          TOUCH;
#ifdef NO_SECOND
          notified = false;
#else
          notified = !queued[me];
#endif
          if
          :: queued[me] -> remove(me)
          :: else
          fi
        }
        break
     od;
     assert(notified == (signal[me] == GIVEN));
#ifndef NO_UNPIN
     pinned[me] = false;
#endif
     notified = false; timed_out = false;
end_back:
     lock();
#ifdef NO_UNPIN
     pinned[me] = false
#endif
  od
}

/* --- the notifier --- */

inline give(w)
{
#ifdef NO_OWNED
  if
  :: holds && count < DEFERRED_MAX ->
#else
  if
  :: holds && owned && count < DEFERRED_MAX ->
#endif
     deferred[count] = w;
     count++;
#ifndef NO_MARK
     special = true;
#endif
#ifndef NO_CHECK
     if
     :: holder != me -> wake_deferred(true)
     :: else
     fi
#endif
  :: else ->
     if
     :: holds && owned ->
        wake_deferred(true);
#ifndef NO_FULL
        wake(w)
#endif
     :: else -> wake(w)
     fi
  fi
}

/* Up to `most`. */
inline notify(most)
{
  enter();
  if
  :: ok ->
     d_step {
       TOUCH;
       one = 0; two = 0;
       if
       :: waiters > 0 -> one = first; remove(one); signal[one] = GIVEN
       :: else
       fi;
       if
       :: waiters > 0 && most > 1 -> two = first; remove(two); signal[two] = GIVEN
       :: else
       fi
     }
     if
     :: one -> give(one)
     :: else
     fi;
     if
     :: two -> give(two)
     :: else
     fi;
     pinned[me] = false
  :: else
  fi
}

inline unlock_held()
{
  if
  :: atomic { owned && !special && !forced && holder == me -> holder = 0 }
  :: atomic { !(owned && !special && !forced && holder == me) -> skip }
     if
     :: atomic { holder == me -> special = false; holder = 0 }
     :: holder != me /* ILK_EPERM: the thread that took the mutex has delivered the wakes */
     fi;
#ifndef NO_UNLOCK
     wake_deferred(true)
#endif
  fi
}

proctype notifier()
{
  byte me = 1, i = 0, n = 0, one, two;
  bool ok, holds = true;
end_lock:
  lock();
  ready = true;
  if
  :: true -> notify(2)
  :: true -> notify(1); notify(1)
  :: true -> unlock_held(); holds = false; notify(2)
  fi;
  sent = true;
  if
  :: !holds
  :: holds -> unlock_held()
  :: holds -> /* exits */
     dead = true;
#ifndef NO_EXIT
     wake_deferred(true)
#endif
  :: holds -> /* blocks */
#ifndef NO_BLOCK
     wake_deferred(true);
#endif
end_blocks:
     false
  :: holds -> stays = true;
end_stays:
     false
  :: holds -> stays = true;
end_free:
     freed;
     unlock_held()
  fi
}

/* --- another thread --- */

proctype meddler()
{
  byte me = N + 1, i = 0, n = 0;
  bool was, busy;
  if
  :: owned -> /* resets the mutex */
     atomic { taken = true; was = (holder == 1 && !dead); forced = forced || was; holder = me }
#ifndef NO_RESET
     if
     :: was -> wake_deferred(false)
     :: else
     fi;
#endif
     holder = 0
  :: !owned -> /* unlocks it */
     atomic {
       taken = true;
       if
       :: holder == 1 -> holder = 0
       :: else
       fi
     }
  :: true -> /* frees the condition */
     if
     :: waiters > 0
     :: waiters == 0 ->
        closing = true;
        do
        :: waiters > 0 -> closing = false; break
        :: atomic { waiters == 0 && !pinned[1] && !pinned[2] && !pinned[3] -> freed = true; closing = false }; break
        :: waiters == 0 && (pinned[2] && asleep[2] || pinned[3] && asleep[3]) ->
#ifndef NO_FORCED
           i = 2;
           do
           :: i <= N && pinned[i] -> wake(i); i++
           :: i <= N && !pinned[i] -> i++
           :: else -> break
           od;
           i = 0
#else
           atomic { !(pinned[2] && asleep[2] || pinned[3] && asleep[3]) }
#endif
        od
     fi
  :: true
  fi;
  timeout;
  d_step {
    i = 2;
    do
    :: i <= N ->
       assert(!(asleep[i] && signal[i] == GIVEN && !(stays && holder == 1 && owned)));
       assert(!(asleep[i] && signal[i] == NONE && sent && !again[i] && !taken));
       i++
    :: else -> break
    od
  }
}

init {
  atomic {
    if
    :: owned = true
    :: owned = false
    fi;
    run notifier(); run waiter(2, false); run waiter(3, true); run meddler()
  }
}
