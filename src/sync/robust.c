/* Locks between processes that survive the death of their holder, on top of the system's robust
   mutex: only the kernel detects every death at once. A process id would not do, because it may be
   reused, or belong to another namespace. A wait is a series of short waits through block_with(),
   which ends it when waits are cancelled; the system's mutex cannot. */
#include "block.h"
#include "gil.h"
#include "robust_mutex.h"

#define ALIGNMENT 8

static int check(void *address)
{
  return !address || (uintptr_t)address % ALIGNMENT ? ILK_EINVAL : robust_check(address);
}

struct part {
  struct block_sleep sleep;
  void *address;
  int result; /* ILK_ETIMEDOUT: not locked yet */
};

static enum wait_result wait_part(struct block_sleep *sleep, int64_t until)
{
  struct part *p = (struct part *)sleep;
  p->result = robust_try_until(p->address, until);
  return p->result == ILK_ETIMEDOUT ? WAIT_TIMEDOUT : WAIT_WOKEN;
}

COLD static int lock_slow(void *address, int64_t timeout_ns)
{
  struct thread *me = thread_self();
  if (!me)
    return ILK_ENOMEM;
  /* musl's try does not tell a lock of the caller's from another thread's, but a wait does, even
     one that ends at once. It is made here, because block_with() makes none if the deadline has
     passed or waits are cancelled. */
  struct part p = {
    .sleep = {wait_part}, .address = address, .result = robust_try_until(address, 0)};
  int64_t deadline = clock_deadline(timeout_ns);
  int result = ILK_OK;
  while (result == ILK_OK && p.result == ILK_ETIMEDOUT)
    result = block_with(me, NULL, 0, address, 0, &p.sleep, deadline, BLOCK_WORD | BLOCK_SHARED);
  gil_reacquire(me);
  return p.result == ILK_ETIMEDOUT ? result : p.result;
}

static int lock(void *address, int64_t timeout_ns)
{
  int result = check(address);
  if (result != ILK_OK)
    return result;
  result = robust_try(address);
  if (timeout_ns == 0 && (result == ILK_EBUSY || result == ILK_EDEADLK))
    return ILK_ETIMEDOUT; /* a try never waits, so it cannot deadlock */
  return result == ILK_EBUSY ? lock_slow(address, timeout_ns) : result;
}

int ilk_robust_lock(void *address)
{
  return return_code(lock(address, -1));
}

int ilk_robust_timedlock(void *address, int64_t timeout_ns)
{
  return return_code(lock(address, timeout_ns));
}

int ilk_robust_trylock(void *address)
{
  return try_code(lock(address, 0));
}

int ilk_robust_unlock(void *address)
{
  int result = check(address);
  return return_code(result == ILK_OK ? robust_release(address) : result);
}
