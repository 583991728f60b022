/* The waiters of a counter (src/sync/counter.c): a change wakes them only if the value reaches `least`. All
   operations are sequentially consistent. Checked: no waiter sleeps forever that waits for the final value
   (an invalid end state).

   Mutants, each of which must fail:
     NO_LEAST  a waiter does not lower `least`
     NO_AGAIN  a woken waiter does not lower it again
     NO_ORDER  a waker advances the epoch first, and then raises `least`
     NO_EPOCH   a waiter lowers `least`, and then loads the epoch */

#define GREATEST 9
#define WAITERS 2

byte value = 0;
byte least = GREATEST;
byte waiting = 0;
byte epoch = 0;
byte asleep = 0; /* bits */

active [WAITERS] proctype waiter()
{
  byte awaited = _pid + 1; /* 1, 2 */
  byte seen, my_epoch;
  bool said = false;
  waiting++;
  do
  :: true ->
#ifdef NO_EPOCH
    atomic {
      if
      :: awaited < least -> least = awaited
      :: else
      fi
    }
    my_epoch = epoch;
#else
    my_epoch = epoch;
#ifndef NO_LEAST
    atomic {
      if
#ifdef NO_AGAIN
      :: awaited < least && !said -> least = awaited
#else
      :: awaited < least -> least = awaited
#endif
      :: else
      fi;
      said = true
    }
#endif
#endif
    seen = value;
    if
    :: seen >= awaited -> break
    :: else
    fi;
    atomic {
      if
      :: epoch == my_epoch -> asleep = asleep | (1 << _pid)
      :: else
      fi
    }
    !(asleep & (1 << _pid)) /* an invalid end state if it is never woken */
  od;
  waiting--
}

inline change(to)
{
  atomic {
    if
    :: value < 2 -> value = to /* so it ends as 2 */
    :: else
    fi
  }
  if
  :: waiting > 0 ->
    d_step { seen_value = value };
    if
    :: seen_value >= least ->
#ifdef NO_ORDER
      epoch++;
      asleep = 0;
      least = GREATEST
#else
      least = GREATEST;
      epoch++;
      asleep = 0
#endif
    :: else
    fi
  :: else
  fi
}

/* One changes the value to a satisfied one and back; the other finally satisfies both waiters. */
active proctype first()
{
  byte seen_value;
  change(1)
}

active proctype second()
{
  byte seen_value;
  change(0);
  change(2)
}
