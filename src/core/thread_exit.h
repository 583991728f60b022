/* The work of a thread's exit: releases its read locks and resumable waits, and wakes the threads
   that wait for what it still holds. thread_leave() calls it. */
#ifndef INTERLOCK_THREAD_EXIT_H
#define INTERLOCK_THREAD_EXIT_H

#include "thread_record.h"

extern const struct thread_exit_work thread_exit_work;

#endif
