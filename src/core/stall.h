/* A message on stderr, once in a process, about a wait that began with Python's GIL held and has
   lasted a second. */
#ifndef INTERLOCK_STALL_H
#define INTERLOCK_STALL_H

#include "thread_record.h"

/* True if the message is enabled (ilk_gil_probe). */
bool stall_is_probed(void);

/* Called by a blocked thread, with no guard held: prints the message if it is due. */
COLD void stall_check(struct thread *me);

#endif
