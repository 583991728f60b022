/* Waiting by futex. See futex(2), and Ulrich Drepper, "Futexes Are Tricky". */
#define _GNU_SOURCE
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "guard.h"
#include "os.h"

const char wait_backend[] = "futex";
bool wait_has_shared = true;

/* For calls without a time-out. */
#ifdef SYS_futex
#define FUTEX_NUMBER SYS_futex
#else
#define FUTEX_NUMBER SYS_futex_time64
#endif

/* The kernel's 64-bit time, whatever the width of time_t. */
struct kernel_time {
  int64_t seconds, nanoseconds;
};

static long futex_wait(atomic_u32 *word, int operation, uint32_t expected,
                       const struct kernel_time *until, uint32_t bits)
{
#ifdef SYS_futex_time64
  long result = syscall(SYS_futex_time64, word, operation, expected, until, NULL, bits);
  if (result == 0 || errno != ENOSYS)
    return result;
#endif
#ifdef SYS_futex
  struct {
    long seconds, nanoseconds;
  } native;
  if (until) {
    native.seconds = until->seconds > LONG_MAX ? LONG_MAX : (long)until->seconds;
    native.nanoseconds = (long)until->nanoseconds;
  }
  return syscall(SYS_futex, word, operation, expected, until ? &native : NULL, NULL, bits);
#else
  return -1;
#endif
}

/* The bits of a sleeper. A wake with bits wakes those that have one of them, a wake without bits
   all. */
#define FIRST UINT32_C(1)
#define OTHERS (FUTEX_BITSET_MATCH_ANY & ~FIRST)

/* By the word's address. */
#define SLOTS 64
static struct {
  /* How many threads sleep, or are about to, with FIRST. So a wake for others needs no second call.
     A fork's child may count threads that it does not have; its wakes then cost a call more. */
  atomic_u32 firsts;
  /* Not 0: the next wake ignores FIRST (wait_was_first()). A wake that finds no thread with FIRST
     leaves it. */
  atomic_u32 others_next;
} slots[SLOTS];

static uint32_t slot_of(const atomic_u32 *word)
{
  return ((uintptr_t)word / sizeof *word * UINT32_C(2654435769) >> 16) % SLOTS;
}

enum wait_result wait_on(atomic_u32 *word, uint32_t expected, int64_t deadline, int flags)
{
  /* The bitset form takes an absolute deadline on the monotonic clock. */
  int operation = FUTEX_WAIT_BITSET | (flags & WAIT_SHARED ? 0 : FUTEX_PRIVATE_FLAG);
  bool first = flags == WAIT_FIRST; /* not if shared */
  bool interrupted = false;
  atomic_u32 *firsts = &slots[slot_of(word)].firsts;
  struct kernel_time until = {deadline / NS_PER_S, deadline % NS_PER_S};
  int before = errno; /* the caller may be a signal handler, which must not change errno */
  long result;
  if (unlikely(first))
    add_relaxed(firsts, 1); /* a wake that misses it wakes in the system's order */
  /* EINTR is no wake: a signal handler ran. Many signals must not look like many wakes. (After a
     handler with SA_RESTART the system itself goes on with a sleep that has no deadline, as the
     last in its queue.) */
  while ((result = futex_wait(word, operation, expected, deadline == WAIT_FOREVER ? NULL : &until,
                              first ? FIRST : OTHERS)) == -1 &&
         errno == EINTR)
    if (!first && !(flags & WAIT_SHARED)) {
      /* It has left the system's queue. So that it stays before those that came later: */
      first = interrupted = true;
      add_relaxed(firsts, 1);
    }
  if (unlikely(first))
    sub_relaxed(firsts, 1);
  if (interrupted && result == 0)
    wait_was_first(word); /* it may have overtaken one that came earlier */
  int error = result == 0 ? 0 : errno;
  errno = before;
  if (error == 0 || error == EAGAIN) /* woken, or the word is not `expected` */
    return WAIT_WOKEN;
  return error == ETIMEDOUT ? WAIT_TIMEDOUT : WAIT_REFUSED;
}

static int futex_wake(atomic_u32 *word, int operation, int n, uint32_t bits)
{
  if (n <= 0)
    return 0; /* the kernel would wake one */
  long woken = syscall(FUTEX_NUMBER, word, operation, n, NULL, NULL, bits);
  return woken > 0 ? (int)woken : 0; /* EFAULT: the memory is gone, and so are its sleepers */
}

int wait_wake(atomic_u32 *word, int n, bool shared)
{
  int before = errno, woken = 0;
  uint32_t slot = slot_of(word);
  if (unlikely(load_relaxed(&slots[slot].firsts)) && !shared) {
    bool ignores_first = load_relaxed(&slots[slot].others_next);
    /* Before the wake: a woken thread may set it again at once. */
    store_relaxed(&slots[slot].others_next, 0);
    if (!ignores_first)
      woken = futex_wake(word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, n, FIRST);
  }
  woken += futex_wake(word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), n - woken, 0);
  errno = before;
  return woken;
}

void wait_was_first(const atomic_u32 *word)
{
  store_relaxed(&slots[slot_of(word)].others_next, 1);
}

/* process_vm_readv(2) fails where there is no memory, but may read the bytes one at a time. The
   futex call then compares the whole word atomically; it wakes and moves no thread. */
bool wait_read(atomic_u32 *word, uint32_t *value)
{
  struct iovec to = {value, sizeof *value}, from = {word, sizeof *value};
  *value = 0;
  if (syscall(SYS_process_vm_readv, (long)getpid(), &to, 1UL, &from, 1UL, 0UL) !=
      (long)sizeof *value)
    return false;
  atomic_u32 target = 0;
  return syscall(FUTEX_NUMBER, word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0, 0L, &target,
                 *value) >= 0;
}

void wait_setup(void)
{
}

const struct fork_module wait_fork = {NULL, 0, NULL};
