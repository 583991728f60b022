/* fork(): the rooms' locks are held while the process is copied, so the child
   finds whole structures; then each room drops what the other threads were doing. */
#ifndef INTERLOCK_FORK_H
#define INTERLOCK_FORK_H

/* Once, when the library is loaded. */
void fork_handlers_install(void);

#endif
