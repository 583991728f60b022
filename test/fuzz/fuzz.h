/* A fuzzer of the C interface: random programs, run by threads, and checked against sequential
   models.

   program.c   makes a program from a seed, and prints it
   calls.c     the calls of the library: how each is made
   run.c       runs a program and records its history: each call, its thread, its times and its result
   model.c     what each call means if calls come one after another
   linear.c    searches an order of the calls that agrees with the times, the results and the model
   fuzz.c      the options; runs programs in processes of their own; shrinks one that fails

   The same model serves for one thread and for many: a history of one thread has only one order. */
#ifndef FUZZ_H
#define FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef _WIN32
#include "../windows/posix.h" /* first: it keeps names of the system's headers out of the way */
#endif
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interlock.h"

#define THREADS 4 /* of a program; thread 0, before them, is the one that runs it */
#define SLOTS 4   /* objects that a program names; one that was freed may be made anew */
#define OPS 40    /* of a thread */

enum kind {
  MUTEX,
  RWLOCK,
  SEMAPHORE,
  CONDITION,
  EVENT,
  BARRIER,
  LATCH,
  ONCE,
  COUNTER,
  TALLY,
  LOCKARRAY,
  QUEUE,
  THREAD,
  LOCAL,
  SLICES,
  /* Locks in memory: the handle is an address, which is never freed. */
  WORD,
  ROBUST,
  KINDS
};

static inline bool is_in_memory(int kind)
{
  return kind >= WORD;
}

enum call {
  MUTEX_LOCK,
  MUTEX_UNLOCK,
  MUTEX_IS_LOCKED,
  MUTEX_DEPTH,
  MUTEX_RESET,
  READ_LOCK,
  READ_UNLOCK,
  WRITE_LOCK,
  WRITE_UNLOCK,
  DOWNGRADE,
  ACQUIRE,
  RELEASE,
  SEMAPHORE_VALUE,
  CONDITION_WAIT,
  NOTIFY,
  NOTIFY_ALL,
  EVENT_SET,
  EVENT_CLEAR,
  EVENT_IS_SET,
  EVENT_WAIT,
  BARRIER_WAIT,
  BARRIER_ABORT,
  BARRIER_RESET,
  BARRIER_IS_BROKEN,
  LATCH_ADD,
  LATCH_COUNT_DOWN,
  LATCH_WAIT,
  LATCH_VALUE,
  ONCE_BEGIN,
  ONCE_END,
  COUNTER_LOAD,
  COUNTER_STORE,
  COUNTER_EXCHANGE,
  COUNTER_ADD,
  COUNTER_COMPARE_EXCHANGE,
  COUNTER_WAIT,
  TALLY_ADD,
  TALLY_SUM,
  TALLY_RESET,
  LOCK_AT,
  UNLOCK_AT,
  LOCK_PAIR,
  UNLOCK_PAIR,
  LOCK_RANGE,
  UNLOCK_RANGE,
  PUT,
  GET,
  CLOSE,
  IS_CLOSED,
  QUEUE_SIZE,
  JOIN,
  LOCAL_SET,
  LOCAL_GET,
  SLICES_GET,
  WORD_LOCK,
  WORD_UNLOCK,
  ROBUST_LOCK,
  ROBUST_UNLOCK,
  FREE,   /* of any kind */
  CANCEL, /* of no object, as the next: all waits are cancelled for a moment */
  FORK,   /* the child makes some calls on every object, and checks its own history */
  REPORT,
  SLEEP,
  CALLS,
  /* The entries of a history that are not calls. */
  BLOCKED = CALLS, /* a wait was asleep at that moment: it had to be */
  EXITED,          /* the thread's end */
  GIVEN_UP,        /* the mutex, by a condition's wait */
  TAKEN_BACK,
  NOT_HELD, /* a condition's wait found so */
};

/* Timeouts besides nanoseconds >= 0. */
#define FOREVER (-1)
#define TRY (-2)

/* Which handle a call gets. */
enum handle {
  RIGHT,
  NOTHING,    /* NULL */
  FREED,      /* since before the program */
  OF_ANOTHER, /* kind */
  FLIPPED,    /* one bit of the right one */
  GARBAGE,
  HANDLES
};

struct op {
  uint8_t call, slot, handle, pause; /* pause: before the call (see run.c) */
  uint8_t parts; /* not 0: a resumable wait, or a repeated one (see call_make()) */
  int64_t a, b, timeout;
};

struct slot {
  uint8_t kind, flags;
  int64_t a; /* its constructor's argument; parties of a barrier, maximum of a semaphore, ... */
};

struct program {
  uint64_t seed;
  int threads, slots;
  struct slot slot[SLOTS];
  struct {
    int ops;
    bool exits; /* by pthread_exit() */
    struct op op[OPS];
  } thread[THREADS];
};

/* An object that a run has made. */
struct object {
  struct slot made;
  int slot;
  void *handle;
  _Alignas(8) unsigned char memory[ILK_ROBUST_SIZE]; /* of a lock in memory */
};

/* What other calls on the same object overlapped a call: bits. */
enum beside {
  BESIDE_ANY = 1,
  BESIDE_ATTEMPT = 2, /* to acquire it */
  BESIDE_RELEASE = 4,
  BESIDE_MULTI = 8,   /* several locks of an array */
  BESIDE_WRITER = 16, /* BLOCKED alone: a writer was asleep too */
  BESIDE_CANCEL = 32, /* on any object */
  BESIDE_FREE = 64,
  BESIDE_PUT = 128, /* into a queue */
  BESIDE_CUT_PUT =
    256 /* one that a fork cut off: its place counts until then, its item is dropped */
};

/* A call in a history, or one of the other things. Times are numbers that count up. */
struct entry {
  struct op op;
  int call;                   /* enum call */
  int thread, object, second; /* indices of objects, or -1; second: a condition's mutex */
  unsigned beside;
  int64_t called;         /* when */
  int64_t begin;          /* the same, or later, if it is known not to have happened before */
  _Atomic int64_t end;    /* 0: pending */
  bool may_have_happened; /* pending at a fork: it did, or not */
  int64_t value;
  int result;
};

/* --- calls.c -------------------------------------------------------------------------- */

enum call_flags {
  WAITS = 1,
  ATTEMPT = 2,
  RELEASES = 4,
  MULTI = 8,
  HAS_TRY = 16,
  LOOKS =
    32, /* at the state, or its own record, alone: a free that is not through yet may go unseen */
};

struct call_type {
  const char *name;
  int kind, weight, flags;
  int (*make)(void *handle, const struct op *op, void *second, int64_t *value);
};

extern const struct call_type call_types[CALLS];
extern const char *const kind_names[KINDS];

/* Makes the call. A wait that is resumable or repeated means what one call means. */
int call_make(void *handle, const struct op *op, void *second, int64_t *value);

bool object_new(struct object *o);
int object_free(int kind, void *handle); /* a kind that has handles */
extern _Atomic int started_threads;      /* of kind THREAD, that have not come to their end */

/* --- program.c --------------------------------------------------------------------------- */

void program_make(struct program *p, uint64_t seed);
void program_print(const struct program *p);
void op_print(const struct op *op, int kind);

/* An object of that kind; a random call on it, with the right handle; and what undoes an
   acquisition (CALLS: nothing does). */
struct slot slot_make(int kind);
struct op op_make(const struct slot *s, uint64_t *chance);
int undoing(int call);
bool op_arguments_are_wrong(const struct op *op);

/* The next of a sequence of random numbers. */
static inline uint64_t random_next(uint64_t *state)
{
  /* SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA
     2014. */
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/* --- model.c -------------------------------------------------------------------------------- */

#define PLACES 8 /* >= THREADS + 1; locks of an array, items of a queue, values of threads */

/* An object's state. Compared byte by byte: no padding. */
struct state {
  int64_t value;
  int64_t item[PLACES];
  int8_t owner[PLACES]; /* thread + 1, or 0, or DEAD */
  int8_t depth[PLACES]; /* of each thread */
  int16_t items;
  int8_t freed, closed;
  int32_t unused;
};

void model_begin(const struct object *o, struct state *s);

/* Whether that entry can come next, with its result. If so, changes the state. */
bool model_step(const struct object *o, struct state *s, const struct entry *e);

/* --- linear.c ------------------------------------------------------------------------------- */

#define ENTRIES 256 /* of one object */

enum verdict { LINEARIZABLE, NOT_LINEARIZABLE, UNDECIDED };

/* n <= ENTRIES entries of one object, in any order; they are sorted. */
enum verdict linear_check(const struct object *o, struct entry *entries, int n);

/* --- run.c ---------------------------------------------------------------------------------- */

struct counts {
  /* Deaths: seen as ILK_OWNER_DIED. */
  int64_t programs, calls, histories, undecided, stalls, forks, deaths, cancels;
};

/* Runs the program once. False: something was wrong, and is reported on stderr. */
bool run(const struct program *p, struct counts *counts);

#endif
