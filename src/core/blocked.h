/* What a thread is blocked on. block() publishes it in the thread's record. Other threads load it:
   to end waits, to find deadlock cycles, for the report, and at thread exit. */
#ifndef INTERLOCK_BLOCKED_H
#define INTERLOCK_BLOCKED_H

#include "handle.h"
#include "thread_record.h"
#include "wait.h"

enum block_flags {
  BLOCK_SHARED = WAIT_SHARED,
  BLOCK_FIRST = WAIT_FIRST,
  BLOCK_ALWAYS = 4, /* does not fail: ignores cancels, yields where the system refuses
                       to sleep, leaves a deadlock cycle to another thread to report */
  /* The word is in the caller's memory and belongs to no object. With an index, it is a private
     word lock: its lower ID_BITS bits are the id of the thread that holds it. */
  BLOCK_WORD = 8,
  BLOCK_PART = 16, /* the wait goes on after the deadline */
};

/* Begins an episode: publishes what the calling thread is about to block on. Returns when the wait
   began. The caller ends the episode. */
int64_t block_publish(struct thread *me, void *handle, int64_t index, atomic_u32 *word,
                      int64_t deadline, int flags);

/* What a thread is blocked on, as loaded by another thread. */
struct blocked {
  uint32_t episode;
  int flags;
  void *handle;
  int64_t index;
  atomic_u32 *word; /* to wake its sleepers; never read, because the memory may be gone */
  int64_t since, deadline;
};

/* Loads what the thread is blocked on. False: it is not blocked. */
bool block_load(struct thread *record, struct blocked *b);

/* Pins an object for which some thread waits; NULL: it is gone. The caller then calls
   handle_leave(me, PIN_INSPECT). */
struct object *block_pin(struct thread *me, void *handle);

/* The id of the thread that must act for a wait to end; 0: no particular thread. It may change at
   any moment. */
uint32_t block_awaited(struct thread *me, void *handle, int64_t index);

/* Force wake: wakes the thread until that sleep has ended. */
void block_force_wake(struct thread *record, const struct blocked *b);

#endif
