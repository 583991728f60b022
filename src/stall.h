/* A wait that has lasted a second may have stalled: its thread keeps Python's GIL, which
   whoever could end it needs. */
#ifndef INTERLOCK_STALL_H
#define INTERLOCK_STALL_H

#include "self.h"

bool stall_is_probed(void);

/* By a blocked thread, which holds no lock of the library's: asks the probe, and warns
   if that is so and it has not yet warned. */
COLD void stall_look(struct self *me);

#endif
