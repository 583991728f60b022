/* Thread records: a thread's id, the objects that it pins, the locks that it holds, and what it
   waits for. A record is created at a thread's first call that needs one, reused after its exit,
   and never unmapped, so that any thread may read any record. */
#ifndef INTERLOCK_THREAD_RECORD_H
#define INTERLOCK_THREAD_RECORD_H

#include <stddef.h>

#include "atomic.h"
#include "cells.h"
#include "common.h"

/* Ids are assigned in order from 1 to ID_MAX, and an id is reused only once all others have been
   used. So a lock whose holder has exited does not seem to be held by any of the next 2^30 threads
   or so. 0 is no thread. */
#define ID_BITS 30
#define ID_MAX ((UINT32_C(1) << ID_BITS) - 1)

/* The number of threads that can use the library at the same time. Fewer in a model. */
#ifndef THREADS_MAX
#define THREADS_MAX 65536
#endif

/* The number of readers-writer locks that a thread can hold for reading at the same time. */
#define READS_MAX 64
#define READS_FAST 32 /* locks beyond this many are counted, not published */

/* The number of wakes that a thread can defer until its unlock (see waitq.h). */
#define DEFERRED_MAX 64

/* The hazard pointers of a thread, which pin the objects that it works on (see handle.h). Calls use
   PIN_INNER. A call that pins another object meanwhile uses PIN_OUTER for one of the two: a
   condition's wait, the report, thread exit. PIN_INSPECT is for block(), which inspects objects
   that other threads wait for, and for a notify. */
enum pin { PIN_OUTER, PIN_INNER, PIN_INSPECT, PINS };

/* The size of the thread-local cache of tallies, which is indexed by the slot modulo
   TALLY_CACHE_SIZE. */
#define TALLY_CACHE_SIZE 64

/* An entry of that cache: a tally to which the thread has added, and its cell. See tally.c. */
struct tally_cache_entry {
  atomic_word tally; /* a handle, or tally_cache_none() */
  struct cell *cell;
};

/* The value of an empty entry. No handle that is looked up in that entry equals it. */
static inline uintptr_t tally_cache_none(uint32_t index)
{
  return index == 0;
}

struct waitq;

/* A slot in a queue of waiters (see waitq.h). `role`, `away` and the members from `queue` to
   `mutex` are guarded by the lock of that queue. */
struct wait_slot {
  atomic_u32 signal; /* the word on which its thread sleeps */
  uint8_t role;      /* enum queue_role, where a queue has several */
  bool away;         /* wakes and hand-offs pass it over */
  /* Private to its thread: how many earlier resumable waits for the same object there are. */
  uint8_t nesting;
  _Atomic(struct waitq *) queue; /* the queue that it is in, or NULL */
  struct wait_slot *next, *previous;
  int64_t since; /* when the wait began, or its first part */
  /* In a condition's queue: the mutex that its thread reacquires once notified. */
  void *mutex;
  /* Private to its thread: the object of a resumable wait (see resumable.h), or NULL; and what the
     wait began with, in a kind without a queue. */
  void *resumable_for;
  uint64_t begun_in;
  struct thread *thread; /* never changes */
};

/* The first slot is for waits that end with their call, the others are for resumable waits. */
#define WAIT_SLOTS 8

struct thread {
  /* Read by all threads, at times in a loop, and rarely written: on a cache line of its own. */
  _Alignas(CACHE_LINE) atomic_u32 id; /* 0: the record is unused */
  /* Elements of reads_published that were ever in use, at least 1; only grows. */
  atomic_u32 reads_limit;
  atomic_i64 native_id;
  uint32_t index;  /* index among all records */
  int exit_rounds; /* calls of the exit hook of its thread */
  /* Not 0: the exit of its thread may go unnoticed (see thread_life.c). */
  atomic_u32 exits_unnoticed;
  struct thread *next_free;

  /* Written by its own thread at every call. The pins are read by threads that free. */
  _Alignas(CACHE_LINE) atomic_word pin[PINS];
  uint32_t spin_limit, spin_waits, spin_failures; /* see spin.h */
  int64_t yields_after; /* it does not yield before that time (see spin.c) */
  atomic_word closing;  /* the handle whose close this thread decides (see handle_close.c) */
  void *held;           /* the mutex that it locked last, or NULL (I6 in mutex_state.h) */
  /* Counts the marks that waiters set in words that it holds (I6 in wordlock.h). Written by the
     waiters, rarely. */
  atomic_word word_marks;
  bool uses_words;                /* it may hold private word locks (see word.c) */
  const atomic_u32 *timed_out_on; /* the word of its last wait, if that timed out (repeated.h) */
  /* Elements in use of reads_*, some of which may be empty (see rwlock_state.h). */
  uint32_t reads;
  /* Python's state of this thread, while a wait has released the GIL (see gil.h). */
  void *gil_state;
  struct gil_hooks *gil_hooks; /* the hooks that reacquire it */

  /* What the thread is blocked on. Written by it, read by any thread (see blocked.h). */
  _Alignas(CACHE_LINE) atomic_u32 episode; /* odd while blocked; counts up */
  atomic_u32 blocked_flags;
  atomic_word blocked_handle; /* 0: on no object */
  atomic_i64 blocked_index;   /* which part of the object */
  atomic_word blocked_word;   /* the address on which it sleeps */
  atomic_i64 blocked_since;
  atomic_i64 blocked_deadline;
  atomic_u32 blocked_reads; /* `reads` when it blocked */

  /* Its slots in queues of waiters. */
  _Alignas(CACHE_LINE) struct wait_slot wait_slots[WAIT_SLOTS];
  uint32_t resumable_waits; /* the number of resumable waits that it has begun and not ended */

  /* For the search for deadlock cycles, which one thread at a time runs (see cycle.c). */
  uint32_t search_episode, search_reported;
  uint64_t search;
  struct thread *search_from, *search_next;

  /* Its deferred wakes. Written by its thread, read by any thread (see waitq.h). */
  atomic_u32 deferred_count;
  _Atomic(struct wait_slot *) deferred[DEFERRED_MAX];

  /* The locks that it holds for reading: published, so that writers can see them, or counted. */
  _Alignas(CACHE_LINE) atomic_word reads_published[READS_MAX];
  atomic_word reads_counted[READS_MAX]; /* read by other threads while this one is blocked */
  /* Recursive reads that have no element of their own; 0 in an empty element. */
  uint32_t reads_more[READS_MAX];

  /* Its values for objects that have one for each thread (see cells.h). On a cache line of its own:
     read at every add, and by other threads at every sum, and rarely written. */
  _Alignas(CACHE_LINE) struct cells tallies; /* kept after the thread has exited, for the sums */
  struct cells locals;                       /* cleared when the record is reserved again */
  struct tally_cache_entry tally_cache[TALLY_CACHE_SIZE];
};

/* The record of the calling thread, or NULL. Initial-exec where the C library allows it: one load,
   no call. */
extern HIDDEN _Thread_local struct thread *thread_current ILK_TLS_MODEL;

/* The same, but never NULL: a thread without a record has a dummy record, whose pins are in use. So
   one load of a pin shows whether the thread can use it. It is also in use if the caller is a
   signal handler that has interrupted another call. */
extern HIDDEN _Thread_local struct thread *thread_pinnable ILK_TLS_MODEL;

COLD struct thread *thread_create_record(void);

/* Reserves a record, with its id, for a thread that is about to start. That thread adopts it; if it
   does not start, the thread that reserved the record abandons it. `safely`: with async-signal-safe
   steps only; otherwise, if no record is free, it ends those of threads that are gone, which
   acquires locks. NULL: no memory, or too many threads. */
struct thread *thread_reserve(bool safely);
void thread_abandon(struct thread *record);

/* Makes the record the calling thread's. False: the system has no memory to report the thread's
   exit, so the code that ends the thread calls thread_leave(). */
bool thread_adopt(struct thread *record);
/* Ends the life of the record, at the exit of its thread or after it. What the thread holds is a
   dead thread's from then on. */
void thread_leave(struct thread *record);

/* The number of records with `exits_unnoticed`. thread_end_unnoticed() does the work of the exit
   for those whose threads are gone, with no guard held. True: there was one. */
extern HIDDEN atomic_u32 thread_unnoticed_count;
COLD bool thread_end_unnoticed(void);

/* The same for the thread with that id, if the system says that it is gone. */
COLD bool thread_end_if_gone(uint32_t id);

/* The record of the calling thread, which is created if need be. NULL: no memory. */
static inline struct thread *thread_self(void)
{
  struct thread *me = thread_current;
  return likely(me) ? me : thread_create_record();
}

/* The same for a call in a signal handler, whatever the handler has interrupted. NULL also where a
   handler cannot create a record on this system. */
COLD struct thread *thread_self_safely(void);

/* The id of the calling thread, or of a record that the caller has reserved. */
static inline uint32_t thread_id(const struct thread *me)
{
  return load_relaxed(&me->id);
}

/* The live thread with that id. NULL: it has exited, or does not exist in this fork's child. */
struct thread *thread_find(uint32_t id);

/* The record with that index, used or unused: for (i = 0; (r = thread_at(i)); i++). And the first
   record of a live thread from that index on; those are few after many threads have exited. NULL:
   there are no more. */
struct thread *thread_at(uint32_t index);
struct thread *thread_live_from(uint32_t index);

static inline struct thread *thread_first_live(void)
{
  return thread_live_from(0);
}

static inline struct thread *thread_next_live(struct thread *record)
{
  return thread_live_from(record->index + 1);
}

/* The work of a thread's exit that needs other modules (thread_exit.c). */
struct thread_exit_work {
  /* The thread has its id: releases what its record lists. */
  void (*release)(struct thread *me);
  /* No thread finds it by its id any more: wakes those that wait for what `dead` holds. */
  void (*wake)(struct thread *me, uint32_t dead);
};

void thread_setup(const struct thread_exit_work *work); /* once, when the library is loaded */

extern const struct fork_module thread_fork; /* guard.h */

#endif
