/* The asymmetric fence of src/base/fence.h. Its heavy side may find that the system's barrier is denied.
   Total store order: a plain store stays in its thread's buffer until it drains, at any moment; a barrier
   drains all buffers. The light and heavy sides run Dekker's protocol repeatedly, used here as a lock: a
   light thread enters if it does not see the heavy one, and the heavy thread enters once it sees no light
   one. Checked: they are never inside at the same time.

   A bounded wait is modelled by its effect: what was in a buffer when the wait began has left it when the
   wait ends.

   Mutants, each of which must fail:
     NO_RESULT    the heavy side does not check whether the barrier was denied
     NO_WAIT      the heavy side only changes the kind of fence
     NO_AGAIN     it waits once, for stores that are in flight then, and not at later heavy sides
     NO_EXCHANGE  light sides still use plain stores, and the heavy side waits once */

#define LIGHTS 2
#define ROUNDS 2

bool asymmetric = true;
bool denied = false;
bool wants[LIGHTS];    /* a light side's store, in memory */
bool buffered[LIGHTS]; /* ... or still in its buffer */
bool heavy_wants = false;
byte light_inside = 0;
bool heavy_inside = false;
bool waited = false;

active proctype sandbox()
{
  denied = true
}

active [LIGHTS] proctype light()
{
  byte me = _pid - 1;
  byte round;
  bool plain, seen;
  for (round : 1 .. ROUNDS) {
    plain = asymmetric;
#ifdef NO_EXCHANGE
    plain = true;
#endif
    if
    :: plain -> buffered[me] = true
    :: else -> wants[me] = true
    fi;
    seen = heavy_wants;
    if
    :: !seen ->
      d_step { light_inside++; assert(!heavy_inside) }
      light_inside--
    :: else
    fi;
    d_step { buffered[me] = false; wants[me] = false }
  }
}

/* Buffers drain at any moment. */
active proctype memory()
{
end:
  do
  :: d_step { buffered[0] -> wants[0] = true; buffered[0] = false }
  :: d_step { buffered[1] -> wants[1] = true; buffered[1] = false }
  od
}

inline barrier_all()
{
  d_step {
    if
    :: buffered[0] -> wants[0] = true; buffered[0] = false
    :: else
    fi;
    if
    :: buffered[1] -> wants[1] = true; buffered[1] = false
    :: else
    fi
  }
}

active proctype heavy()
{
  byte round;
  bool works;
  for (round : 1 .. ROUNDS) {
    heavy_wants = true;
    atomic {
      works = !denied;
#ifdef NO_RESULT
      if
      :: works -> barrier_all()
      :: else -> works = true
      fi
#else
      if
      :: works -> barrier_all()
      :: else
      fi
#endif
    }
    if
    :: works
    :: else ->
      asymmetric = false;
#if defined(NO_AGAIN) || defined(NO_EXCHANGE)
      if
      :: !waited -> barrier_all(); waited = true
      :: else
      fi
#elif !defined(NO_WAIT)
      barrier_all() /* after the wait, what was buffered has drained */
#endif
    fi;
    if
    :: !wants[0] && !wants[1] ->
      d_step { heavy_inside = true; assert(light_inside == 0) }
      heavy_inside = false
    :: else
    fi;
    heavy_wants = false
  }
}
