/* A word on stderr, once, about a wait that has lasted a second and began with Python's GIL held. */
#ifndef INTERLOCK_STALL_H
#define INTERLOCK_STALL_H

#include "self.h"

/* Is anything to be said at all (ilk_gil_probe)? */
bool stall_is_probed(void);

/* By a blocked thread, which holds no lock of the library's. */
COLD void stall_check(struct self *me);

#endif
