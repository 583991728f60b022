/* Thread records: a thread's id, the objects that it pins, the locks that it holds, and what it waits for. A record is created
   at a thread's first call that needs one, reused after its exit, and never unmapped, so that any thread may read any
   record. */
#ifndef INTERLOCK_SELF_H
#define INTERLOCK_SELF_H

#include <stddef.h>

#include "atomic.h"
#include "cells.h"
#include "common.h"

/* Ids are assigned in order from 1 to ID_MAX, and an id is reused only after all others were. So a lock whose holder has exited
   does not seem to be held by a later thread. 0 is no thread. */
#define ID_BITS 30
#define ID_MAX ((UINT32_C(1) << ID_BITS) - 1)

/* The number of threads that can use the library at the same time. */
#define THREADS_MAX 65536

/* The number of readers-writer locks that a thread can hold for reading at the same time. */
#define READS_MAX 64
#define READS_FAST 32 /* how many of them can be published */

/* The number of wakes that a thread can defer until its unlock (see waitq.h). */
#define LATE_MOST 8

/* The hazard pointers of a thread, which pin the objects that it works on (see handle.h). A call inside another call's pin uses
   PIN_INNER; PIN_LOOK is for block(), which inspects objects that other threads wait for. */
enum pin { PIN_OUTER, PIN_INNER, PIN_LOOK, PINS };

/* The size of the thread-local cache of tallies, which is indexed by the slot modulo RECENT. */
#define RECENT 64

/* An entry of that cache: a tally to which the thread has added, and its cell. See tally.c. */
struct recent {
  atomic_word tally; /* a handle, or recent_none() */
  struct cell *cell;
};

/* The value of an empty entry: one that no lookup of that entry matches. */
static inline uintptr_t recent_none(uint32_t place)
{
  return place == 0;
}

struct waitq;

/* A slot in a queue of waiters (see waitq.h). The members from `queue` to `mutex` are guarded by the lock of that queue. */
struct queue_place {
  atomic_u32 signal;             /* the word on which its thread sleeps */
  uint8_t role;                  /* the kind of waiter, where a queue has several */
  bool away;                     /* its thread does not react now; wakes and hand-offs go to others */
  uint8_t nesting;               /* private to its thread: how many earlier resumable waits for the same object there are */
  _Atomic(struct waitq *) queue; /* the queue that it is in, or NULL */
  struct queue_place *next, *previous;
  int64_t since;       /* when the wait began, with all its parts */
  void *mutex;         /* in a condition's queue: the mutex that its thread reacquires once notified */
  void *kept_for;      /* private to its thread: the object of a resumable wait (see parts.h), or NULL */
  struct self *thread; /* never changes */
};

/* The first slot is for waits that end with their call, the others are for resumable waits. */
#define PLACES 8

struct self {
  /* Read by all threads, at times in a loop, and rarely written: on a cache line of its own. */
  _Alignas(CACHE_LINE) atomic_u32 id; /* 0: the record is unused */
  atomic_u32 reads_limit; /* elements of reads_published that were ever in use, at least 1; only grows */
  atomic_i64 native_id;
  uint32_t place; /* index among all records */
  atomic_u32 is_last; /* created while its thread exits, so that the end may go unnoticed (see self.c) */
  struct self *next_free;

  /* Written by its own thread at every call. The pins are read by threads that free. */
  _Alignas(CACHE_LINE) atomic_word pin[PINS];
  uint32_t spin_limit, spin_waits; /* see spin.h */
  atomic_word closing;    /* the handle whose close this thread decides (see handle_close.c) */
  void *held;             /* the mutex that it locked last and has not unlocked, if simple (see mutex.c) */
  void *gil_state;        /* Python's state of this thread, while a wait has released the GIL (see gil.h) */
  struct gil_hooks *gil_hooks; /* the hooks that reacquire it */
  bool uses_words;        /* it may hold private word locks (see word.c) */
  uint32_t reads;         /* elements in use of reads_*, some of which may be empty (see rwlock.c) */

  /* What the thread is blocked on. Written by it, read by any thread (see block.h). */
  _Alignas(CACHE_LINE) atomic_u32 episode; /* odd while blocked; counts up */
  atomic_u32 blocked_flags;
  atomic_word blocked_handle; /* 0: on no object */
  atomic_i64 blocked_index;   /* which part of the object */
  atomic_word blocked_word;   /* the address on which it sleeps */
  atomic_i64 blocked_since;
  atomic_i64 blocked_deadline;
  atomic_u32 blocked_reads; /* `reads` at that time */

  /* Its slots in queues of waiters. */
  _Alignas(CACHE_LINE) struct queue_place places[PLACES];
  uint32_t parts; /* the number of resumable waits that it has begun and not ended */

  /* For the search for deadlock cycles, which one thread at a time runs (see cycle.c). */
  uint32_t search_episode, search_reported;
  uint64_t search;
  struct self *search_from, *search_next;

  /* Its deferred wakes. Written by its thread, read by any thread (see waitq.h). */
  atomic_u32 late_count;
  _Atomic(struct queue_place *) late[LATE_MOST];

  /* The locks that it holds for reading: published, so that writers can see them, or counted. */
  _Alignas(CACHE_LINE) atomic_word reads_published[READS_MAX];
  atomic_word reads_counted[READS_MAX]; /* read by other threads while this one is blocked */
  uint32_t reads_more[READS_MAX]; /* recursive reads that have no element of their own; 0 in an empty element */

  /* Its values for objects that have one for each thread (see cells.h). On a cache line of its own: read at every add, and by
     other threads at every sum, and rarely written. */
  _Alignas(CACHE_LINE) struct cells tallies; /* kept after the thread has exited, for the sums */
  struct cells locals;                       /* cleared by the next thread that uses the record */
  struct recent recent[RECENT];
};

/* The record of the calling thread, or NULL. Initial-exec where the C library allows it: one load, no call. */
extern HIDDEN _Thread_local struct self *self_current ILK_TLS_MODEL;

/* The same, but never NULL: a thread without a record has a dummy record, whose pins are in use. So one load of a pin shows
   whether the thread can use it. It is also in use if the caller is a signal handler that has interrupted another call. */
extern HIDDEN _Thread_local struct self *self_pinnable ILK_TLS_MODEL;

COLD struct self *self_create(void);

/* Reserves a record, with its id, for a thread that is about to start. That thread adopts it; if it does not start, the thread
   that reserved the record abandons it. NULL: no memory, or too many threads. */
struct self *self_reserve(void);
void self_abandon(struct self *record);

/* Makes the record the calling thread's. False: the system has no memory to report the thread's exit, so the code that ends the
   thread calls self_leave(). */
bool self_adopt(struct self *record);
/* Called when the thread exits. What it holds is a dead thread's from then on. */
void self_leave(struct self *record);

/* The number of records with `is_last`. self_end_last() does the work of the exit for those whose threads are gone, with no
   guard held. True: there was one. */
extern HIDDEN atomic_u32 self_last_count;
COLD bool self_end_last(void);

/* The record of the calling thread, which is created if need be. NULL: no memory. */
static inline struct self *self_get(void)
{
  struct self *me = self_current;
  return likely(me) ? me : self_create();
}

/* The same for a call in a signal handler, whatever the handler has interrupted. NULL also where a handler cannot create a
   record on this system. */
COLD struct self *self_get_safely(void);

/* The id of the calling thread, which alone writes it. */
static inline uint32_t self_id(const struct self *me)
{
  return load_relaxed(&((struct self *)me)->id);
}

/* The live thread with that id. NULL: it has exited, or does not exist in this fork's child. */
struct self *self_find(uint32_t id);

/* The first record from that index on, used or unused: for (r = self_first(); r; r = self_next(r)). And the first record of a
   live thread; those are few after many threads have exited. NULL: there are no more. */
struct self *self_from(uint32_t place);
struct self *self_live_from(uint32_t place);

static inline struct self *self_first(void)
{
  return self_from(0);
}

static inline struct self *self_next(struct self *record)
{
  return self_from(record->place + 1);
}

static inline struct self *self_first_live(void)
{
  return self_live_from(0);
}

static inline struct self *self_next_live(struct self *record)
{
  return self_live_from(record->place + 1);
}

/* Around fork(); in the child only the calling thread's record stays alive. */
void self_before_fork(void);
void self_after_fork(bool child);

#endif
