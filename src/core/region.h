/* The memory of all objects' slots: handle_slots, of which handle_limit may be used. The region
   starts small and grows in place, because a call computes the address of the slot from the
   handle. */
#ifndef INTERLOCK_REGION_H
#define INTERLOCK_REGION_H

#include "object.h"

union slot {
  _Alignas(CACHE_LINE) struct object object;
  unsigned char line[CACHE_LINE];
};

/* As many as the index in a handle can name (handle.h). */
#define HANDLE_SLOTS_MAX (UINT32_C(1) << (UINTPTR_MAX > UINT32_MAX ? 24 : 18))

/* Constant once the library is loaded; slot 0 is never live. */
extern HIDDEN union slot *handle_slots;
extern HIDDEN atomic_u32 handle_limit; /* the number of slots that may be accessed */
extern HIDDEN union slot handle_none;  /* used for an index out of range: never live */

void region_setup(void); /* once, when the library is loaded */

/* Makes more than `have` slots available, unless another thread has. With no lock held. False: no
   memory, or the maximum is reached. */
bool region_grow(uint32_t have);

extern const struct fork_module region_fork; /* guard.h */

#endif
