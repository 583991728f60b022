/* Deadlock cycles: threads that all wait without a deadline, each for a lock that the next one holds. */
#ifndef INTERLOCK_CYCLE_H
#define INTERLOCK_CYCLE_H

#include "self.h"

/* Called for each thread that must act before a certain waiter can go on (kind_operations.each_blocker).
   It takes no lock. The visitor ignores the waiter itself. */
struct cycle_visitor {
  void (*visit)(struct cycle_visitor *, struct self *record);
  bool *readers_visited; /* all readers of this lock have been visited; set by the kind */
};

enum cycle {
  CYCLE_NONE,
  CYCLE_FOUND,
  CYCLE_AGAIN /* unknown: another thread searches, or threads moved meanwhile; call again, after a pause */
};

/* For a thread that is blocked without a deadline: is it in a deadlock cycle? If it is, exactly one thread
   of the cycle is to report it: the caller, once this has returned CYCLE_FOUND with *other == NULL;
   else, for a caller that cannot (`always`, see block.h), the thread *other, which must be made to
   search again. */
enum cycle cycle_find(struct self *me, bool always, struct self **other);

/* In a fork's child. */
void cycle_after_fork(void);

#endif
