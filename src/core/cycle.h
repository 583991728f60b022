/* Deadlock cycles: threads that all wait without a deadline, each for a lock that the next one
   holds. */
#ifndef INTERLOCK_CYCLE_H
#define INTERLOCK_CYCLE_H

#include "thread_record.h"

/* For kind_operations.each_blocker. visit() is called for each thread that must act before a
   certain waiter can continue. It acquires no lock, and ignores the waiter itself. */
struct cycle_visitor {
  void (*visit)(struct cycle_visitor *, struct thread *record);
  bool *readers_visited; /* the kind sets it once all readers of this lock have been visited */
};

enum cycle {
  CYCLE_NONE,
  CYCLE_FOUND,
  /* Inconclusive: another thread searches, or threads ran meanwhile. Call again after a pause. */
  CYCLE_AGAIN
};

/* Searches for a deadlock cycle through the caller, which is blocked without a deadline. Exactly
   one thread of a cycle reports it: the caller, if this returns CYCLE_FOUND with *other == NULL. A
   caller that cannot report (`always`: BLOCK_ALWAYS) gets a thread that can in *other, and must
   force wake it, so that it searches again. */
enum cycle cycle_find(struct thread *me, bool always, struct thread **other);

extern const struct fork_module cycle_fork; /* guard.h */

#endif
