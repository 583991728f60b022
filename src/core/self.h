/* The calling thread's record: who it is, what it is inside of, what it waits
   for. Records are made at a thread's first call that needs one, recycled after
   its exit, and never unmapped, so that any thread may read any record. */
#ifndef INTERLOCK_SELF_H
#define INTERLOCK_SELF_H

#include <stddef.h>

#include "atomic.h"
#include "cells.h"
#include "common.h"

/* Ids are handed out in turn, from 1 to ID_MAX; one is given again only after all
   others were, so that a lock whose holder has exited is not taken for its
   successor's. 0 is nobody. */
#define ID_BITS 30
#define ID_MAX ((UINT32_C(1) << ID_BITS) - 1)

/* Threads that may use the library at the same time. */
#define THREADS_MAX 65536

/* Readers-writer locks that a thread may read at the same time. */
#define READS_MAX 64
#define READS_FAST 32 /* so many places may be published */

/* Wakes that a thread may put off until its unlock (see waitq.h). */
#define LATE_MOST 8

/* A thread pins the object it works on (see handle.h). A call that is made within
   another call's pin uses the other place; block() has one for its looks at objects
   that other threads wait for. */
enum pin { PIN_OUTER, PIN_INNER, PIN_LOOK, PINS };

/* Tallies that a record names, each at the place that its index' remainder says. */
#define RECENT 64

/* A tally that the thread has added to, and its cell: see tally.c. */
struct recent {
  atomic_word tally; /* a handle, or recent_none() */
  struct cell *cell;
};

/* What an empty place says: something that is not looked for there, as NULL is in the first. */
static inline uintptr_t recent_none(uint32_t place)
{
  return place == 0;
}

struct waitq;

/* A place in a queue of waiters (see waitq.h). `queue` and what stands between it and `kept_for` are
   guarded by that queue's lock. */
struct queue_place {
  atomic_u32 signal;             /* what its thread sleeps on */
  uint8_t role;                  /* which kind of waiter, where a queue has several */
  bool away;                     /* its thread does not react now: wakes and hand-overs are for others */
  uint8_t nesting;               /* its thread's own: waits in parts for the same object that began before */
  _Atomic(struct waitq *) queue; /* the one it is in, or NULL */
  struct queue_place *next, *previous;
  int64_t since;       /* when the wait began, however many parts it has had */
  void *mutex;         /* in a condition's queue: what its thread locks again when it is notified */
  void *kept_for;      /* its thread's own: the object of a wait in parts (see parts.h), or NULL */
  struct self *thread; /* never changes */
};

/* The first is for waits that end with their call, the others are for waits in parts. */
#define PLACES 8

struct self {
  /* Read by all, at times in a loop, and hardly ever written: on a line of its own. */
  _Alignas(CACHE_LINE) atomic_u32 id; /* 0: the record is nobody's */
  atomic_u32 reads_limit; /* places of reads_published in use so far, at least one; grows only */
  atomic_i64 native_id;
  uint32_t place; /* among all records */
  atomic_u32 is_last; /* made as its thread exits, the end of which may go unnoticed (see self.c) */
  struct self *next_free;

  /* Written by its own thread at every call; the pins are read by who frees. */
  _Alignas(CACHE_LINE) atomic_word pin[PINS];
  uint32_t spin_limit, spin_waits; /* see spin.h */
  atomic_word closing;    /* the handle whose close it decides (see handle_close.c) */
  void *held;             /* the mutex it locked last and has not unlocked, if simple (see mutex.c) */
  void *gil_state;        /* Python's state of this thread, while a wait has released the GIL (see gil.h) */
  struct gil_hooks *gil_hooks; /* what reacquires it */
  bool uses_words;        /* it may hold private word locks (see word.c) */
  uint32_t reads;         /* places in use below, some may be empty (see rwlock.c) */

  /* What it is blocked on: written by its thread, read by any (see block.h). */
  _Alignas(CACHE_LINE) atomic_u32 episode; /* odd while blocked; counts up */
  atomic_u32 blocked_flags;
  atomic_word blocked_handle; /* 0: on no object */
  atomic_i64 blocked_index;   /* which part of the object */
  atomic_word blocked_word;   /* the address it sleeps on */
  atomic_i64 blocked_since;
  atomic_i64 blocked_deadline;
  atomic_u32 blocked_reads; /* places in use below, see `reads` */

  /* Its places in queues of waiters. */
  _Alignas(CACHE_LINE) struct queue_place places[PLACES];
  uint32_t parts; /* waits in parts that it has begun and not ended */

  /* Of the search for deadlock cycles, which one thread at a time runs (see cycle.c). */
  uint32_t search_episode, search_reported;
  uint64_t search;
  struct self *search_from, *search_next;

  /* Whom it has still to wake: written by its thread, read by any (see waitq.h). */
  atomic_u32 late_count;
  _Atomic(struct queue_place *) late[LATE_MOST];

  /* The locks it holds for reading: published, for writers to see, or counted. */
  _Alignas(CACHE_LINE) atomic_word reads_published[READS_MAX];
  atomic_word reads_counted[READS_MAX]; /* others read these while it is blocked */
  uint32_t reads_more[READS_MAX]; /* reads beyond the first, of those that have no place of their own; 0 in an empty place */

  /* Values of its own for objects that keep one for each thread (see cells.h). A line apart:
     read at every add, by others at every sum, and hardly ever written. */
  _Alignas(CACHE_LINE) struct cells tallies; /* they outlive the thread, for their sums */
  struct cells locals;                       /* the next thread clears them */
  struct recent recent[RECENT];
};

/* Initial-exec where the C library allows it in a loaded library: one load, no call. */
extern HIDDEN _Thread_local struct self *self_current ILK_TLS_MODEL;

/* The same, but never NULL; the record of a thread that has none is nobody's, and its pins are in use. So one look at
   a pin tells whether the thread may use it: it may also be in use because the caller is a signal handler that has
   interrupted another call. */
extern HIDDEN _Thread_local struct self *self_pinnable ILK_TLS_MODEL;

COLD struct self *self_create(void);

/* A record, with its id, for a thread that is about to begin: it adopts it, or, if it does
   not begin, who reserved abandons it. NULL: no memory, or too many threads. */
struct self *self_reserve(void);
void self_abandon(struct self *record);

/* Makes it the calling thread's. False: the system has no memory to tell us of the thread's exit;
   then whoever ends the thread calls self_leave(). */
bool self_adopt(struct self *record);
/* The thread exits: what it holds is a dead thread's from now on. */
void self_leave(struct self *record);

/* Last records there are; and ends those whose threads are gone, in their place: with no guard held.
   True: there was one. */
extern HIDDEN atomic_u32 self_last_count;
COLD bool self_end_last(void);

/* NULL when there is no memory for a record. */
static inline struct self *self_get(void)
{
  struct self *me = self_current;
  return likely(me) ? me : self_create();
}

/* The same for a call that may be made in a signal handler, whatever that has interrupted. NULL: also where the system
   does not let a handler make a record. */
COLD struct self *self_get_safely(void);

/* A thread's own id; nobody else writes it. */
static inline uint32_t self_id(const struct self *me)
{
  return load_relaxed(&((struct self *)me)->id);
}

/* The live thread of that id, or NULL: it has exited, or stayed behind a fork. */
struct self *self_find(uint32_t id);

/* All records: for (r = self_first(); r; r = self_next(r)). Some are nobody's. And those of live threads
   alone, which are few after many have come and gone. NULL: there are no more from that place on. */
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
