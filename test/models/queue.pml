/* The waiters of a queue (src/sync/queue.c), under sequential consistency; queue_ring.pml checks its ring.
   Capacity 1 or 2; two puts, and three gets, one of which abandons its wait at any moment. A put claims its
   position, and completes it later. A get that finds the oldest position claimed and not complete does not
   sleep as if the queue were empty: it polls. Checked: no thread sleeps forever while there is an item to
   take, or space to put.

   Mutants, each of which must fail:
     NO_POLL      a get sleeps before an incomplete position as if the queue were empty
     NO_WORD      a polling get sleeps on the word of the gets that wait for a wake, and may consume theirs
     NO_PASS      a get that abandons its wait before an incomplete position keeps its wake
     NO_PREPARE  a waiter checks first and then registers
     NO_WAKE      a get does not wake a put */

#define OK 0
#define BUSY 1
#define UNFINISHED 2

#define PUTS 0
#define GETS 1

byte capacity; /* 1 or 2 */
byte tail = 0, head = 0;
bool complete[2]; /* by position: there are no more puts */

byte waiting[2], count[2]; /* a side's waiters, and its event count */
byte asleep[2];            /* sleepers on that word, one bit each */

/* Advances the event count of a side, and wakes one of its sleeping threads, whichever. */
inline wake_if_awaited(side)
{
  if
  :: waiting[side] ->
     atomic {
       count[side]++;
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

inline fall_asleep(side)
{
  d_step {
    if
    :: count[side] == my_count -> asleep[side] = asleep[side] | (1 << me)
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
  byte mine, my_count, result;
  claim();
  if
  :: result == BUSY ->
     waiting[PUTS]++;
     do
     :: my_count = count[PUTS];
        claim();
        if
        :: result == OK -> break
        :: else
        fi;
        sleep(PUTS)
     od;
     waiting[PUTS]--
  :: else
  fi;
  complete[mine] = true;
  wake_if_awaited(GETS)
}

proctype get(byte me; bool leaves)
{
  byte my_count, result;
  bool over = false; /* it abandons the wait after its next attempt */
#ifndef NO_PREPARE
  waiting[GETS]++;
#endif
  do
  :: my_count = count[GETS];
     take();
     if
     :: result == OK || over -> break
     :: else
     fi;
#ifdef NO_PREPARE
     waiting[GETS]++;
     my_count = count[GETS];
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
     fi
#ifdef NO_PREPARE
     ; waiting[GETS]--
#endif
  od;
#ifndef NO_PREPARE
  waiting[GETS]--;
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
  assert(!asleep[PUTS] || tail - head == capacity)
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
