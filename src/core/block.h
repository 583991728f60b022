/* Every blocking wait goes through here: the deadline, cancelling, and the check
   search for deadlock cycles (cycle.h) are in this room alone. */
#ifndef INTERLOCK_BLOCK_H
#define INTERLOCK_BLOCK_H

#include "clock.h"
#include "handle.h"
#include "self.h"
#include "wait.h"

enum block_flags {
  BLOCK_SHARED = 1, /* the word is shared between processes */
  BLOCK_ALWAYS = 2, /* neither cancelled nor refused; nor ended by a deadlock cycle: another thread reports it */
  BLOCK_WORD = 4,   /* it is in the caller's memory, and belongs to no object */
};

/* Sleeps while *word == expected, at most until `deadline`. ILK_OK: look again (the
   word changed, a wake, or no reason at all); ILK_ETIMEDOUT: the deadline has passed;
   ILK_ECANCELED: ilk_cancel(1); ILK_EDEADLK: it would never end; ILK_ENOTSUP: the system does
   not let threads sleep. The caller looks once more after each of these, but for its own word
   (BLOCK_WORD). `handle` (or NULL)
   and `index` name what is waited for, to the search for deadlock cycles and the report. Without
   a handle, `index` is the id of the thread that must act as long as *word == expected,
   or 0: that thread's death ends the sleep. It releases Python's GIL, if this thread holds
   it: a call that comes here ends with gil_reacquire() (see gil.h). */
int block(struct self *me, void *handle, int64_t index, atomic_u32 *word, uint32_t expected,
          int64_t deadline, int flags);

/* The same for a sleep that is not wait_on(): sleep->until() returns what wait_on() would, and is called again
   if the time is up before the deadline. `word` is for others to see, and to wake. */
struct block_sleep {
  enum wait_result (*until)(struct block_sleep *, int64_t until);
};
int block_with(struct self *me, atomic_u32 *word, struct block_sleep *sleep, int64_t deadline, int flags);

/* What a thread is blocked on, as another thread sees it. */
struct blocked {
  uint32_t episode;
  int flags;
  void *handle;
  int64_t index;
  atomic_u32 *word; /* to be woken, never to be read: it may be gone */
  int64_t since, deadline;
};

/* False: it is not blocked. */
bool block_look(struct self *record, struct blocked *b);

/* For a look at what some thread waits for: the object, pinned, or NULL. Then handle_leave(me, PIN_LOOK). */
struct object *block_pin(struct self *me, void *handle);

/* The thread that must act for a wait to end; 0: none in particular. A guess. */
uint32_t block_awaited(struct self *me, void *handle, int64_t index);

/* Has it look again: wakes it until that sleep is over. */
void block_rouse(struct self *record, const struct blocked *b);

/* Not 0: every wait ends with ILK_ECANCELED (see cancel.c). */
extern HIDDEN atomic_u32 block_cancelled;

/* An object without a queue: its waiters announce themselves, read `turn`, look at
   the object, and sleep on the turn they read; who changes the object looks at
   `waiters`, and takes the next turn before it wakes. An event count.

       waiter:  waiters += 1;  t = turn;  look;  sleep while turn == t
       waker:   change;  look at waiters;  turn += 1;  wake

   All are seq_cst: if the waker's look misses the announcement, the change comes
   before the waiter's look; if it does not, the turn changes after the change, so a
   waiter that looked too early does not fall asleep, or is woken. */
static inline void block_announce(struct object *object)
{
  add_seq_cst(&object->waiters, 1);
}

static inline void block_withdraw(struct object *object)
{
  sub_seq_cst(&object->waiters, 1);
}

/* Within a pin: has up to n waiters look again. */
void block_wake(struct object *object, int n);

#endif
