#include "block.h"

#include "cycle.h"
#include "gil.h"
#include "guard.h"
#include "os.h"
#include "stall.h"
#include "waitq.h"
#include "wake.h"

atomic_u32 block_cancelled;

/* A wait without a deadline searches for a deadlock cycle once it has lasted this long (cycle.c).
   If the search is inconclusive, it is repeated after a pause, which grows. */
#define CYCLE_DELAY (100 * NS_PER_MS)
#define CYCLE_PAUSE NS_PER_MS

/* A wait that has lasted this long may print a message (see stall.c). */
#define STALL_DELAY NS_PER_S

/* In shared memory a waiter may be killed after it was woken and before it rechecks. The wake that
   it took is then lost to the other waiters. So each waiter compares the word this often. */
#define SHARED_WATCH (100 * NS_PER_MS)

/* A thread that exits wakes the waiters for its private words, but may not touch the words. A
   waiter that runs a signal handler at that moment misses the wake. So each waiter checks the
   holder this often. */
#define HOLDER_WATCH NS_PER_S

/* A thread may have acquired in one of its last destructors, and be gone unnoticed (thread_life.c).
   So a waiter asks the system about the holder after this time, and then each time that its wait
   has become twice as long. */
#define HOLDER_DELAY (100 * NS_PER_MS)

int block_wake(atomic_u32 *epoch, int n)
{
  add_seq_cst(epoch, 1);
  return wake(epoch, n, false);
}

/* One sleep of block(). A field whose name ends in `_at` is a time at which the sleep is
   interrupted; WAIT_FOREVER: never. */
struct episode {
  struct thread *me;
  void *handle;
  int64_t index;
  atomic_u32 *word;
  uint32_t expected;
  struct block_sleep *sleep; /* NULL: the sleep is on the word */
  int64_t deadline;
  int flags;
  bool may_be_gone;  /* a thread may have exited unnoticed (thread_life.c) */
  bool may_deadlock; /* a deadlock cycle is searched for */
  int64_t since;
  int64_t search_at;       /* to end threads that are gone, and to search for a cycle */
  int64_t pause;           /* before the search is repeated, if it was inconclusive */
  int64_t watch_at, watch; /* to compare the word and check the holder; the interval */
  int64_t holder_at;       /* to ask the system about the holder */
  int64_t stall_at;
};

static bool is_cancelled(const struct episode *e)
{
  return !(e->flags & BLOCK_ALWAYS) && load_seq_cst(&block_cancelled);
}

static bool holder_is_dead(const struct episode *e)
{
  uint32_t holder = block_awaited(e->me, e->handle, e->index);
  return holder && !thread_find(holder);
}

/* True if a certain thread must act for the wait to end, so that it can be part of a deadlock
   cycle. */
static bool has_holder(const struct episode *e)
{
  if (!e->handle)
    return e->flags & BLOCK_WORD && e->index;
  const struct kind_operations *operations = kind_operations[handle_kind(e->handle)];
  return operations && operations->holder;
}

static int64_t watch_interval(const struct episode *e)
{
  if (e->flags & BLOCK_SHARED)
    return SHARED_WATCH;
  return !e->handle && has_holder(e) ? HOLDER_WATCH : 0;
}

/* True: report a deadlock cycle. */
COLD static bool search_cycle(struct episode *e)
{
  bool always = e->flags & BLOCK_ALWAYS;
  struct thread *other;
  enum cycle found = cycle_find(e->me, always, &other);
  if (found == CYCLE_AGAIN) {
    e->search_at = clock_now() + e->pause;
    e->pause = e->pause < CYCLE_DELAY ? 2 * e->pause : e->pause;
  }
  struct blocked b;
  if (other && block_load(other, &b)) /* it may have searched before this wait closed the cycle */
    block_force_wake(other, &b);
  return found == CYCLE_FOUND && !always;
}

static int64_t earlier(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

/* A result in addition to the codes of block(): sleep again. */
#define SLEEP_AGAIN 1

/* The sleep was interrupted before the deadline: does what is due now. */
static int interrupted(struct episode *e, int64_t now)
{
  if (now >= e->search_at) {
    e->search_at = e->may_be_gone ? now + CYCLE_DELAY : WAIT_FOREVER;
    if (e->may_be_gone && thread_end_unnoticed())
      return ILK_OK;
    if (e->may_deadlock && search_cycle(e))
      return ILK_EDEADLK;
  }
  if (now >= e->holder_at) {
    e->holder_at = now + (now - e->since);
    if (thread_end_if_gone(block_awaited(e->me, e->handle, e->index)))
      return ILK_OK;
  }
  if (now >= e->watch_at)
    e->watch_at = now + e->watch; /* the holder is checked next, and wait_on() compares */
  if (now >= e->stall_at) {
    e->stall_at = WAIT_FOREVER;
    stall_check(e->me);
  }
  return SLEEP_AGAIN;
}

static int sleep_once(struct episode *e)
{
  if (is_cancelled(e))
    return ILK_ECANCELED;
  if (holder_is_dead(e))
    return ILK_OK; /* it may have exited before it could load this wait */
  /* The sleep alone would not do: if the word changes all the time, each sleep ends before the
     system checks the deadline. */
  if (e->since >= e->deadline)
    return ILK_ETIMEDOUT;
  int64_t until = earlier(earlier(e->deadline, e->search_at), earlier(e->stall_at, e->watch_at));
  until = earlier(until, e->holder_at);
  int flags = e->flags & (WAIT_SHARED | WAIT_FIRST);
  enum wait_result slept =
    e->sleep ? e->sleep->until(e->sleep, until) : wait_on(e->word, e->expected, until, flags);
  if (slept == WAIT_WOKEN) {
    wake_measure(e->word, e->since);
    return is_cancelled(e) ? ILK_ECANCELED : ILK_OK;
  }
  if (slept == WAIT_REFUSED) {
    if (!(e->flags & BLOCK_ALWAYS))
      return ILK_ENOTSUP;
    os_yield();
    return ILK_OK;
  }
  int64_t now = clock_now();
  return now >= e->deadline ? ILK_ETIMEDOUT : interrupted(e, now);
}

static int sleep_until_woken(struct episode *e)
{
  struct thread *me = e->me;
  /* A thread whose wake was deferred may have to act before this sleep can end. */
  if (load_relaxed(&me->deferred_count))
    waitq_wake_deferred(me);
  gil_release(me);
  e->may_be_gone = unlikely(load_relaxed(&thread_unnoticed_count));
  if (e->may_be_gone)
    thread_end_unnoticed();
  bool suspended = fork_suspend(); /* the thread that will wake this one may need the guards */
  e->since = block_publish(me, e->handle, e->index, e->word, e->deadline, e->flags);
  e->may_deadlock = e->deadline == WAIT_FOREVER && has_holder(e);
  e->search_at = e->may_deadlock || e->may_be_gone ? e->since + CYCLE_DELAY : WAIT_FOREVER;
  e->pause = CYCLE_PAUSE;
  e->watch = watch_interval(e);
  e->watch_at = e->watch ? e->since + e->watch : WAIT_FOREVER;
  e->holder_at = has_holder(e) ? e->since + HOLDER_DELAY : WAIT_FOREVER;
  /* Not for a plain sleep, which waits for no thread. */
  bool may_stall = (e->handle || e->flags & BLOCK_WORD) && stall_is_probed();
  e->stall_at = may_stall ? e->since + STALL_DELAY : WAIT_FOREVER;
  wake_expect(me, e->word);
  int result;
  while ((result = sleep_once(e)) == SLEEP_AGAIN) {
    e->flags |= BLOCK_FIRST; /* it stays before those that fell asleep later */
    /* A wake does not end this kind of sleep, so its next part counts as another sleep: a force
       wake waits for the end of this one. */
    if (e->sleep)
      add_seq_cst(&me->episode, 2);
  }
  add_seq_cst(&me->episode, 1);
  if (unlikely(suspended))
    fork_resume();
  return result;
}

int block_with(struct thread *me, void *handle, int64_t index, atomic_u32 *word, uint32_t expected,
               struct block_sleep *sleep, int64_t deadline, int flags)
{
  int live = handle ? handle_check_waiter(handle) : ILK_OK;
  if (unlikely(live != ILK_OK))
    return live == ILK_EBUSY ? ILK_OK : live;
  struct episode e = {.me = me,
                      .handle = handle,
                      .index = index,
                      .word = word,
                      .expected = expected,
                      .sleep = sleep,
                      .deadline = deadline,
                      .flags = flags};
  return sleep_until_woken(&e);
}

int block_until_on(const struct call *c, atomic_u32 *epoch_word, int64_t deadline,
                   int (*check)(const struct call *c, void *context, int ended), void *context)
{
  int checked, ended = ILK_OK;
  block_prepare_wait(c->object);
  for (;;) {
    uint32_t epoch = load_seq_cst(epoch_word);
    /* A free that finds this thread waiting fails and restores the head. */
    while ((checked = check(c, context, ended)) == ILK_EHANDLE &&
           handle_check_waiter(c->handle) != ILK_EHANDLE)
      ;
    if (checked != ILK_EBUSY || ended != ILK_OK)
      break;
    ended = block(c->me, c->handle, 0, epoch_word, epoch, deadline, 0);
  }
  block_finish_wait(c->object);
  return checked != ILK_EBUSY ? checked : ended;
}

int block_until(const struct call *c, int64_t deadline,
                int (*check)(const struct call *c, void *context, int ended), void *context)
{
  return block_until_on(c, &c->object->epoch, deadline, check, context);
}
