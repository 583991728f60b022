/* The memory of all objects' slots: handle_slots, of which handle_limit may be used (handle.h). The
   region starts small and grows in place, because a call computes the address of the slot from the
   handle. */
#ifndef INTERLOCK_REGION_H
#define INTERLOCK_REGION_H

#include <stdbool.h>
#include <stdint.h>

void region_setup(void); /* once, when the library is loaded */

/* Makes more than `have` slots available. With no lock held. False: no memory, or the maximum is
   reached. */
bool region_grow(uint32_t have);

void region_before_fork(void);
void region_after_fork(bool child);

#endif
