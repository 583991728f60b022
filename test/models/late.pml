/* A condition's wakes that are put off until the notifier's unlock (src/core/waitq.h, src/sync/condition.c,
   I7 of src/sync/mutex_state.h). A notifier locks the mutex and takes two waiters, one of them with a time-out,
   out of the queue; they sleep on, and it may put off fewer than that (LATE_MOST). Then it unlocks,
   or exits, or blocks elsewhere, or stays within for ever, or until a free is over. Another thread takes
   the mutex from it by a reset, at any moment, or unlocks it (an unowned one), or frees the
   condition. In order: all of these accesses are seq_cst, or under the queue's lock.

   Checked: once nothing moves, nobody sleeps who was notified, but for a mutex that is still the
   notifier's, which stays within (assertion); nor who should have been; a free is not stuck (invalid
   end state); a wait answers OK if it was notified and only then; nobody touches a condition that is freed.

   Mutants, each of which must fail: NO_JOIN (a waiter gives up the mutex before it joins), NO_SECOND
   (one whose time is up does not look whether it was notified), NO_AGAIN (a woken one does not look), NO_MARK
   (the mutex is not marked, so that the unlock is the fast one), NO_UNLOCK (the slow one wakes
   nobody), NO_EXIT (nor does an exit), NO_BLOCK (nor who blocks), NO_RESET (nor a reset), NO_LOOK (who puts off
   does not look whether the mutex is still its own), NO_OWNED (a mutex that any thread may
   unlock is good enough), NO_ROOM (no wake when the
   list is full), NO_ROUSE (a free does not wake those that pin the condition), NO_UNPIN (a waiter
   pins it until it has the mutex). */

#define N 3 /* the notifier is 1 */
#ifndef LATE_MOST
#define LATE_MOST 1
#endif

#define NONE 0
#define GIVEN 1

bool owned, forced, special;  /* the mutex: SPECIAL_UNOWNED, _FORCED, _LATE */
byte holder;
bool dead;                    /* the notifier */
bool queued[N + 1], signal[N + 1], asleep[N + 1], pinned[N + 1];
byte first;                   /* in the queue, if both are */
byte waiters;
byte late[LATE_MOST], count;  /* the notifier's list */
bool closing, freed;

/* What the assertions go by. */
bool ready;                   /* what is waited for; guarded by the mutex */
bool sent, stays, again[N + 1];
bool taken;                   /* the mutex, by force: then nobody need find a waiter in the queue */

#define TOUCH assert(!freed)

inline wake(w)
{
  asleep[w] = false
}

/* Of the notifier's list, by anybody; it alone forgets them. */
inline wake_late(mine)
{
  n = count;
  i = 0;
  do
  :: i < n -> wake(late[i]); i++
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

/* While a free has not decided, one waits. */
inline enter()
{
  if
  :: atomic { !closing && !freed -> pinned[me] = true; ok = true }
  :: atomic { freed -> ok = false }
  fi
}

/* By a waiter: it has no wakes to give. */
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
  bool told, late_now, ok;
end_lock:
  lock();
  do
  :: ready && (again[me] || timed) -> unlock(); break
  :: else -> /* a second time, one waits for nothing: no late wake is to end that */
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
     late_now = false;
     do
     :: atomic { signal[me] == NONE && !late_now -> asleep[me] = true };
end_sleep:
        if
        :: !asleep[me]
        :: atomic { timed -> late_now = true; asleep[me] = false }
        fi;
#ifdef NO_AGAIN
        if
        :: !late_now -> told = true; break
        :: else
        fi
#endif
     :: signal[me] == GIVEN -> told = true; break
     :: late_now ->
        d_step {
          TOUCH;
#ifdef NO_SECOND
          told = false;
#else
          told = !queued[me];
#endif
          if
          :: queued[me] -> remove(me)
          :: else
          fi
        }
        break
     od;
     assert(told == (signal[me] == GIVEN));
#ifndef NO_UNPIN
     pinned[me] = false;
#endif
     told = false; late_now = false;
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
  :: holds && count < LATE_MOST ->
#else
  if
  :: holds && owned && count < LATE_MOST ->
#endif
     late[count] = w;
     count++;
#ifndef NO_MARK
     special = true;
#endif
#ifndef NO_LOOK
     if
     :: holder != me -> wake_late(true)
     :: else
     fi
#endif
  :: else ->
     if
     :: holds && owned ->
        wake_late(true);
#ifndef NO_ROOM
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
     :: holder != me /* ILK_EPERM: who took it has given them */
     fi;
#ifndef NO_UNLOCK
     wake_late(true)
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
     wake_late(true)
#endif
  :: holds -> /* blocks */
#ifndef NO_BLOCK
     wake_late(true);
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
     :: was -> wake_late(false)
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
#ifndef NO_ROUSE
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
