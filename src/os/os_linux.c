#define _GNU_SOURCE
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t os_thread_id(void)
{
  long id = syscall(SYS_gettid);
  return id > 0 ? id : 0;
}

/* A main thread that has left by pthread_exit() remains as a zombie, to which signals can be sent,
   until the process ends. proc_pid_stat(5): "pid (name) state ..."; a name has at most 15 bytes. */
static bool main_thread_is_gone(void)
{
  char text[64];
  int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return false;
  long size = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  text[size > 0 ? size : 0] = 0;
  const char *name_end = strrchr(text, ')');
  return name_end && strncmp(name_end, ") Z", 3) == 0;
}

/* 0: it exists. */
static int thread_error(long process, int64_t id)
{
  return syscall(SYS_tgkill, process, (long)id, 0L) == -1 ? errno : 0;
}

bool os_thread_is_gone(int64_t id)
{
  long process = getpid();
  int error = thread_error(process, id);
  if (error) /* a sandbox may deny the call with any error, also for a thread that exists */
    return error == ESRCH && thread_error(process, os_thread_id()) == 0;
  return id == process && main_thread_is_gone();
}

int os_cpu_count(void)
{
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return CPU_COUNT(&set);
  long n = sysconf(_SC_NPROCESSORS_ONLN); /* there are more processors than the set can hold */
  return n > 0 ? (int)n : 1;
}

bool os_barrier(void)
{
  return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool os_barrier_register(void)
{
  long have = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return have > 0 && (have & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
         os_barrier();
}

/* /proc/self/pagemap has 64 bits for each page of the address space (proc_pid_pagemap(5)). Read by
   bare system calls: the C library's are cancellation points. */
#define PAGE_TOUCHED (UINT64_C(3) << 62) /* present, or swapped out */
#define PAGES 512                        /* read at a time */

/* Reads the entries of the next n pages. */
static bool pages_read(int map, uint64_t *entries, size_t n)
{
  long size = (long)(n * sizeof *entries);
  return syscall(SYS_read, map, entries, size) == size;
}

static bool pages_seek(int map, uintptr_t address, size_t page)
{
  return syscall(SYS_lseek, map, (long)(address / page * sizeof(uint64_t)), SEEK_SET) >= 0;
}

/* Returns -1 if the map cannot be opened, or is not this process's: emulators show that of another
   address space. */
static int pagemap_open(size_t page)
{
  uint64_t entry = 0;
  int map = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (map >= 0 && pages_seek(map, (uintptr_t)&entry, page) && pages_read(map, &entry, 1) &&
      entry & PAGE_TOUCHED)
    return map;
  if (map >= 0)
    syscall(SYS_close, map);
  return -1;
}

bool os_each_touched(void *memory, size_t size,
                     bool (*visit)(void *part, size_t size, void *context), void *context)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  int map = size < PAGES * page ? -1 : pagemap_open(page);
  if (map < 0)
    return visit(memory, size, context);
  bool stopped = false, known = pages_seek(map, (uintptr_t)memory, page);
  uint64_t entries[PAGES];
  for (size_t at = 0; at < size && !stopped;) {
    size_t n = (size - at + page - 1) / page;
    n = n < PAGES ? n : PAGES;
    known = known && pages_read(map, entries, n);
    for (size_t i = 0; i < n && !stopped; i++, at += page)
      if (!known || entries[i] & PAGE_TOUCHED)
        stopped = visit((char *)memory + at, size - at < page ? size - at : page, context);
  }
  syscall(SYS_close, map);
  return stopped;
}
