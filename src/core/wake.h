/* Wakes, and how long a wake takes on this machine: from the call that wakes a thread until that
   thread runs. A wait spins for about as long before it sleeps (spin.h).

   Every 16th sleep of a thread is measured. The sleeper asks for that in the slot of its word,
   which other words share. The next thread that wakes a word of that slot stores the time there.
   That may be a wake of another word, so a measurement may be wrong. The estimate therefore follows
   the median: it moves toward each measurement by a sixteenth of itself, however far away that
   is. */
#ifndef INTERLOCK_WAKE_H
#define INTERLOCK_WAKE_H

#include "common.h"
#include "thread_record.h"
#include "wait.h"

/* The word's slot, by its address. */
#define WAKE_SLOT_BITS 6
#define WAKE_SLOTS (1 << WAKE_SLOT_BITS)
static inline uint32_t wake_slot(const atomic_u32 *word)
{
  return (uint32_t)((uintptr_t)word * UINT64_C(0x9e3779b97f4a7c15) >> (64 - WAKE_SLOT_BITS));
}

/* As wait_wake(). */
int wake(atomic_u32 *word, int n, bool shared);

/* Before and after a sleep on the word. `since`: clock_now() before wake_expect(). */
void wake_expect(struct thread *me, const atomic_u32 *word);
void wake_measure(const atomic_u32 *word, int64_t since);

#endif
