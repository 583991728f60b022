/* Where the slots of all objects are: handle_slots, of which handle_limit are in use (handle.h).
   The region begins small and grows in place, for who has a handle goes straight to its slot. */
#ifndef INTERLOCK_REGION_H
#define INTERLOCK_REGION_H

#include <stdbool.h>
#include <stdint.h>

/* More slots than `have`. With no lock held. False: no memory, or as many as there may be. */
bool region_grow(uint32_t have);

void region_before_fork(void);
void region_after_fork(bool child);

#endif
