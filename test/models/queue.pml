/* The waiters of a queue (src/sync/queue.c), under sequential consistency; queue_ring.pml checks its ring.
   Capacity 1 or 2; two puts, and three gets, one of which abandons its wait at any moment. A put claims its
   position, and completes it later. A get that finds the oldest position claimed and not complete does not
   sleep as if the queue were empty: it polls. A thread that waits registers before each sleep, and a waker
   claims one of the registered threads (src/core/claims.h). Checked: no thread sleeps forever while there is an
   item to take, or space to put; at the end no thread is registered or claimed.

   Mutants, each of which must fail:
     NO_POLL      a get sleeps before an incomplete position as if the queue were empty
     NO_WORD      a polling get sleeps on the word of the gets that wait for a wake, and may consume theirs
     NO_PASS      a get that abandons its wait before an incomplete position keeps its wake
     NO_PREPARE   a waiter checks first and then registers
     NO_AGAIN     a woken thread that must sleep again does not register anew
     NO_EPOCH     a waiter loads the epoch after it has registered
     NO_CLAIM     a thread that leaves does not take a claim that was made meanwhile, but its own registration
     NO_ADVANCE   a waker does not advance the epoch
     NO_WAKE      a get does not wake a put */

#define OK 0
#define BUSY 1
#define UNFINISHED 2

#define PUTS 0
#define GETS 1

byte capacity; /* 1 or 2 */
byte tail = 0, head = 0;
bool complete[2]; /* by position: there are no more puts */

byte unclaimed[2], claimed[2], epoch[2]; /* of each side's event count */
byte asleep[2];                          /* the threads that sleep on that epoch, one bit each */

/* Claims one registered thread of a side, advances the epoch, and wakes one of its sleeping threads, whichever. */
inline wake_if_awaited(side)
{
  atomic {
    if
    :: unclaimed[side] -> unclaimed[side]--; claimed[side]++; wakes = true
    :: else -> wakes = false
    fi
  }
  if
  :: wakes ->
#ifndef NO_ADVANCE
     epoch[side]++;
#endif
     atomic {
       wakes = false;
       if
       :: asleep[side] & 1 -> asleep[side] = asleep[side] & ~1
       :: asleep[side] & 2 -> asleep[side] = asleep[side] & ~2
       :: asleep[side] & 4 -> asleep[side] = asleep[side] & ~4
       :: asleep[side] == 0
       fi
     }
  :: else
  fi
}

inline enter(side)
{
#ifndef NO_EPOCH
  my_epoch = epoch[side];
  unclaimed[side]++
#else
  unclaimed[side]++;
  my_epoch = epoch[side]
#endif
}

inline leave(side)
{
  d_step {
    if
#ifndef NO_CLAIM
    :: claimed[side] -> claimed[side]--
#endif
    :: else -> unclaimed[side]--
    fi
  }
}

inline fall_asleep(side)
{
  d_step {
    if
    :: epoch[side] == my_epoch -> asleep[side] = asleep[side] | (1 << me)
    :: else
    fi
  }
}

inline sleep(side)
{
  fall_asleep(side);
end_asleep: /* see nobody_is_forgotten() */
  !(asleep[side] & (1 << me))
}

/* A sleep that also ends by itself: at the deadline, or after a moment. */
inline nap(side)
{
  fall_asleep(side);
  asleep[side] = asleep[side] & ~(1 << me)
}

inline claim()
{
  d_step {
    if
    :: tail - head < capacity -> mine = tail; tail++; result = OK
    :: else -> result = BUSY
    fi
  }
}

inline take()
{
  d_step {
    if
    :: head == tail -> result = BUSY
    :: head < tail && complete[head] -> head++; result = OK
    :: else -> result = UNFINISHED
    fi
  }
}

proctype put(byte me)
{
  byte mine, my_epoch, result;
  bool wakes;
  claim();
  if
  :: result == BUSY ->
#ifdef NO_AGAIN
     unclaimed[PUTS]++;
#endif
     do
#ifdef NO_AGAIN
     :: my_epoch = epoch[PUTS];
#else
     :: enter(PUTS);
#endif
        claim();
        if
        :: result == OK -> break
        :: else
        fi;
        sleep(PUTS);
#ifndef NO_AGAIN
        leave(PUTS)
#endif
     od;
     leave(PUTS)
  :: else
  fi;
  complete[mine] = true;
  wake_if_awaited(GETS)
}

proctype get(byte me; bool leaves)
{
  byte my_epoch, result;
  bool wakes, over = false; /* it abandons the wait after its next attempt */
#ifdef NO_AGAIN
  unclaimed[GETS]++;
#endif
  do
#if defined(NO_AGAIN) || defined(NO_PREPARE)
  :: my_epoch = epoch[GETS];
#else
  :: enter(GETS);
#endif
     take();
     if
     :: result == OK || over -> break
     :: else
     fi;
#ifdef NO_PREPARE
     enter(GETS);
#endif
     if
#ifndef NO_POLL
     :: result == UNFINISHED ->
#ifdef NO_WORD
        nap(GETS);
#endif
        over = leaves
     :: result == BUSY && leaves ->
#else
     :: leaves ->
#endif
        nap(GETS);
        over = true
#ifndef NO_POLL
     :: result == BUSY && !leaves ->
#else
     :: !leaves ->
#endif
        sleep(GETS)
     fi;
#ifndef NO_AGAIN
     leave(GETS)
#endif
  od;
#ifndef NO_PREPARE
  leave(GETS);
#endif
  if
#ifndef NO_WAKE
  :: result == OK -> wake_if_awaited(PUTS)
#endif
#ifndef NO_PASS
  :: result == UNFINISHED -> wake_if_awaited(GETS)
#endif
  :: else
  fi
}

/* Once nothing else can run. */
proctype nobody_is_forgotten()
{
end:
  timeout;
  assert(!asleep[GETS] || tail == head);
  assert(!asleep[PUTS] || tail - head == capacity);
  assert(asleep[GETS] || asleep[PUTS] || unclaimed[GETS] + claimed[GETS] + unclaimed[PUTS] + claimed[PUTS] == 0)
}

init {
  atomic {
    if
    :: capacity = 1
    :: capacity = 2
    fi;
    run put(0); run put(1); run get(0, false); run get(1, false); run get(2, true); run nobody_is_forgotten()
  }
}
