/* Forced into the library's sources (-include): each system call may fail, either only the n-th of
   a kind or all from the n-th on. The sources are unchanged. faults.c decides which calls fail;
   test_faults.c controls it.

   A wake never fails: then no library could wake a thread that already sleeps. */
#ifndef FAULTS_H
#define FAULTS_H

/* Some sources define it at their top, which is too late after this file. */
#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum fault {
  FAULT_MEMORY,  /* malloc and the like */
  FAULT_PAGES,   /* mmap */
  FAULT_THREAD,  /* pthread_create */
  FAULT_LOCAL,   /* thread-specific data */
  FAULT_SLEEP,   /* futex, to wait; what a condition variable needs */
  FAULT_BARRIER, /* membarrier */
  FAULT_FILE,    /* /proc/self/pagemap: open, seek, read */
  FAULT_TASK,    /* gettid, tgkill, sched_getaffinity */
  FAULT_YIELD,   /* sched_yield */
  FAULTS
};

/* Called for a call of that kind: returns whether it fails. */
bool fault_now(enum fault kind);

long fault_syscall(long number, ...);
int fault_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);

/* Memory that is allocated and not freed: blocks, and bytes of pages. */
extern _Atomic int64_t fault_blocks, fault_pages;

int fault_memalign(void **memory, size_t alignment, size_t size);
void *fault_realloc(void *memory, size_t size);
void fault_free(void *memory);
void *fault_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int fault_munmap(void *address, size_t size);

#ifndef FAULTS_NONE_HERE
#define posix_memalign fault_memalign
#define realloc fault_realloc
#define free fault_free
#define mmap fault_mmap
#define munmap fault_munmap
#define syscall fault_syscall
#define pthread_create(...) (fault_now(FAULT_THREAD) ? EAGAIN : pthread_create(__VA_ARGS__))
#define pthread_key_create(...) (fault_now(FAULT_LOCAL) ? EAGAIN : pthread_key_create(__VA_ARGS__))
#define pthread_setspecific(...)                                                                   \
  (fault_now(FAULT_LOCAL) ? ENOMEM : pthread_setspecific(__VA_ARGS__))
#define pthread_cond_init fault_cond_init
#define sched_getaffinity(...)                                                                     \
  (fault_now(FAULT_TASK) ? (errno = EPERM, -1) : sched_getaffinity(__VA_ARGS__))
#define sched_yield() (fault_now(FAULT_YIELD) ? (errno = EPERM, -1) : sched_yield())
#endif

#endif
