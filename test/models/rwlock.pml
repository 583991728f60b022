/* The biased layer of the readers-writer lock (src/sync/rwlock_state.h): readers that publish in their own
   record, and writers. Memory is total store order, with the asymmetric fence: the stores by which a reader
   publishes and clears its record may stay in its store buffer until it drains at an arbitrary moment, or until a
   heavy fence drains all buffers. The queue of waiters is in rwlock_queue.pml; here a reader or writer that
   finds WRITER set waits until it is clear.

   Checked: no reader with a writer, no two writers (assertions), no lost wake (invalid end states).

   Mutants, each of which must fail:
   NO_HEAVY      a writer does not run the heavy fence
   NO_CHECK       a reader does not load the head after it has published
   NO_WAKE       a leaving reader does not load the head
   NO_AGAIN      it does, but runs no full fence between the store that retracts its read
                 and its check of WRITER_PARKED
   NO_EPOCH       a leaving reader does not increment the epoch
   NO_PARKED     a writer checks before it sets WRITER_PARKED
   NO_PUBLISHED  a writer that gives up clears PUBLISHED, although readers may have published */

#define READERS 2
#define WRITERS 2
#ifndef ROUNDS
#define ROUNDS 2
#endif

bool biased = true, may_publish = false; /* BIASED, PUBLISHED */
bool writer = false;                     /* WRITER */
byte published[READERS + 1];             /* in memory */
bool buffered[READERS + 1];              /* a store is in the buffer, */
byte stored[READERS + 1];                /* of this value */
bool asleep = false;                     /* WRITER_PARKED */
byte epoch = 0;
byte reading = 0, writing = 0;

inline drain(t)
{
  if
  :: buffered[t] -> published[t] = stored[t]; buffered[t] = false
  :: else
  fi
}

/* One store at a time: the buffer is in order. */
inline store(value)
{
  d_step { drain(me); buffered[me] = true; stored[me] = value }
}

/* After a reader has left or cleared its record, and has loaded a head that is not BIASED alone. */
inline rwlock_wake_waiters()
{
#ifndef NO_AGAIN
  d_step { drain(me) };
#endif
#ifndef NO_EPOCH
  if
  :: asleep -> d_step { drain(me); epoch++ } /* a writer that sleeps on another epoch proceeds */
  :: else
  fi
#else
  skip
#endif
}

proctype reader(byte me)
{
  byte round = 0;
  do
  :: round == ROUNDS -> break
  :: round < ROUNDS ->
     if
     :: biased && !writer && !may_publish ->
        store(1);
#ifndef NO_CHECK
        if
        :: biased && !writer && !may_publish ->
#endif
           reading++;
           assert(writing == 0);
           reading--;
           store(0);
#ifndef NO_WAKE
           if
           :: !(biased && !writer && !may_publish) -> rwlock_wake_waiters()
           :: else
           fi;
#endif
           round++
#ifndef NO_CHECK
        :: else ->
           store(0);
           rwlock_wake_waiters()
        fi
#endif
     :: !biased && !writer -> round++ /* would be counted: nothing to publish */
     fi
  od
}

proctype write(bool timed)
{
  byte t, seen;
  bool clear, dirty;
  byte round = 0;
  do
  :: round == ROUNDS -> break
  :: round < ROUNDS ->
     atomic {
       !writer -> writer = true;
       if :: biased -> biased = false; may_publish = true :: else fi;
       dirty = may_publish
     }
#ifndef NO_HEAVY
     d_step { t = 1; do :: t <= READERS -> drain(t); t++ :: else -> break od }
#endif
#ifndef NO_PARKED
     asleep = true;
#endif
     do
     :: seen = epoch;
        if
        :: dirty ->
           clear = true;
           t = 1;
           do
           :: t <= READERS -> clear = clear && !published[t]; t++
           :: else -> break
           od
        :: else -> clear = true
        fi;
        if
        :: clear -> break
        :: else
        fi;
#ifdef NO_PARKED
        asleep = true;
#endif
        if
        :: epoch != seen
        :: timed -> break
        fi
     od;
     asleep = false;
     if
     :: clear ->
        may_publish = false;
        writing++;
        assert(writing == 1 && reading == 0);
        writing--
     :: else -> /* gave up */
#ifdef NO_PUBLISHED
        may_publish = false
#endif
     fi;
     atomic {
       writer = false;
       if /* the bias comes back, or not yet */
       :: biased = true; may_publish = false
       :: true
       fi
     };
     round++
  od
}

proctype memory()
{
end:
  do
  :: d_step { buffered[1] -> drain(1) }
  :: d_step { buffered[2] -> drain(2) }
  od
}

init {
  atomic {
    run memory();
    run reader(1);
    run reader(2);
    run write(false);
    run write(true)
  }
}
