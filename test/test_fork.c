/* guard.c: what a child finds. */
#include "support.h"

static struct {
  void *owned[4], *unowned[2], *mine[2], *semaphore, *counter;
} all;

static const int owned_flags[] = {0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE};

static void make_all(void)
{
  for (int i = 0; i < 4; i++)
    all.owned[i] = ilk_mutex_new(owned_flags[i]);
  for (int i = 0; i < 2; i++) {
    all.unowned[i] = ilk_mutex_new(ILK_UNOWNED | (i ? ILK_FAIR : 0));
    all.mine[i] = ilk_mutex_new(i ? ILK_RECURSIVE : 0);
  }
  all.semaphore = ilk_semaphore_new(2, 5);
  all.counter = ilk_counter_new(40);
}

static void free_all(void)
{
  for (int i = 0; i < 4; i++)
    expect(ilk_mutex_free(all.owned[i]), ILK_OK);
  for (int i = 0; i < 2; i++) {
    expect(ilk_mutex_free(all.unowned[i]), ILK_OK);
    expect(ilk_mutex_free(all.mine[i]), ILK_OK);
  }
  expect(ilk_semaphore_free(all.semaphore), ILK_OK);
  expect(ilk_counter_free(all.counter), ILK_OK);
}

/* --- another thread holds, and others wait ---------------------------------------------------- */

static struct {
  pthread_barrier_t begin;
  _Atomic bool over;
} holding;

static void lock_theirs(void)
{
  for (int i = 0; i < 4; i++) {
    expect(ilk_mutex_lock(all.owned[i]), ILK_OK);
    if (owned_flags[i] & ILK_RECURSIVE)
      expect(ilk_mutex_lock(all.owned[i]), ILK_OK);
  }
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_lock(all.unowned[i]), ILK_OK);
}

static void unlock_theirs(void)
{
  for (int i = 0; i < 4; i++) {
    expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
    if (owned_flags[i] & ILK_RECURSIVE)
      expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
  }
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_unlock(all.unowned[i]), ILK_OK);
}

static void *hold_theirs(void *unused)
{
  (void)unused;
  lock_theirs();
  pthread_barrier_wait(&holding.begin);
  while (!holding.over)
    nap(MS);
  unlock_theirs();
  return NULL;
}

static int call_wait_for_50(void *c, int64_t timeout_ns)
{
  return ilk_counter_timedwait(c, 50, timeout_ns);
}

static void check_child(void *with_waiters)
{
  /* Its holder did not survive: this is reported once. */
  for (int i = 0; i < 4; i++) {
    expect(ilk_mutex_is_locked(all.owned[i]), 1);
    expect(i % 2 ? ilk_mutex_trylock(all.owned[i]) : ilk_mutex_lock(all.owned[i]), ILK_OWNER_DIED);
    expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
    expect(ilk_mutex_unlock(all.owned[i]), ILK_EPERM); /* its depth died too */
    expect(ilk_mutex_timedlock(all.owned[i], 0), ILK_OK);
    expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
  }
  /* Unowned ones stay as they were, until reset. */
  for (int i = 0; i < 2; i++) {
    expect(ilk_mutex_is_locked(all.unowned[i]), 1);
    expect(ilk_mutex_trylock(all.unowned[i]), ILK_EBUSY);
    expect(ilk_mutex_timedlock(all.unowned[i], MS), ILK_ETIMEDOUT);
    expect(ilk_mutex_free(all.unowned[i]), ILK_EBUSY);
    expect(ilk_mutex_reset(all.unowned[i]), ILK_OK);
    expect(ilk_mutex_is_locked(all.unowned[i]), 0);
    expect(ilk_mutex_lock(all.unowned[i]), ILK_OK);
    expect(ilk_mutex_unlock(all.unowned[i]), ILK_OK);
  }
  /* What the forking thread held, it holds. */
  for (int i = 0; i < 2; i++) {
    expect(ilk_mutex_trylock(all.mine[i]), i ? ILK_OK : ILK_EBUSY);
    for (int depth = i ? 3 : 1; depth > 0; depth--)
      expect(ilk_mutex_unlock(all.mine[i]), ILK_OK);
    expect(ilk_mutex_unlock(all.mine[i]), ILK_EPERM);
  }
  expect(ilk_semaphore_value(all.semaphore), with_waiters ? 0 : 2);
  expect(ilk_semaphore_release(all.semaphore, 3), ILK_OK);
  for (int i = with_waiters ? 3 : 5; i > 0; i--)
    expect(ilk_semaphore_acquire(all.semaphore), ILK_OK);
  expect(ilk_semaphore_timedacquire(all.semaphore, MS), ILK_ETIMEDOUT);
  expect(ilk_counter_fetch_add(all.counter, 2), 40);
  expect(ilk_counter_wait(all.counter, 42), ILK_OK);
  expect(ilk_counter_timedwait(all.counter, 43, MS), ILK_ETIMEDOUT);
  expect(ilk_thread_native_id(), own_tid());
  expect(ilk_thread_native_id(), getpid());
  must(ilk_thread_id() > 0);

  /* The waiters stayed behind: nothing here is busy. */
  free_all();
  expect(ilk_live(), 0);
}

/* The child's own threads meet on what the parent made. */
static void check_child_with_threads(void *unused)
{
  (void)unused;
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_unlock(all.mine[i]), ILK_OK);
  expect(ilk_mutex_unlock(all.mine[1]), ILK_OK);
  struct waiter waiters[8];
  for (int i = 0; i < 4; i++) {
    expect(ilk_mutex_lock(all.owned[i]), ILK_OWNER_DIED);
    waiter_sleep(&waiters[i], call_visit, all.owned[i], -1);
  }
  for (int i = 0; i < 2; i++)
    waiter_sleep(&waiters[4 + i], call_visit, all.unowned[i], -1);
  expect(ilk_semaphore_acquire(all.semaphore), ILK_OK);
  expect(ilk_semaphore_acquire(all.semaphore), ILK_OK);
  waiter_sleep(&waiters[6], ilk_semaphore_timedacquire, all.semaphore, -1);
  waiter_sleep(&waiters[7], call_wait_for_50, all.counter, -1);
  for (int i = 0; i < 8; i++)
    expect(waiters[i].result, PENDING);
  for (int i = 0; i < 4; i++)
    expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_reset(all.unowned[i]), ILK_OK);
  expect(ilk_semaphore_release(all.semaphore, 1), ILK_OK);
  expect(ilk_counter_store(all.counter, 50), ILK_OK);
  for (int i = 0; i < 8; i++)
    expect(waiter_end(&waiters[i]), ILK_OK);
  free_all();
}

static void lock_mine(void)
{
  expect(ilk_mutex_lock(all.mine[0]), ILK_OK);
  expect(ilk_mutex_lock(all.mine[1]), ILK_OK);
  expect(ilk_mutex_lock(all.mine[1]), ILK_OK);
}

static void unlock_mine(void)
{
  expect(ilk_mutex_unlock(all.mine[0]), ILK_OK);
  expect(ilk_mutex_unlock(all.mine[1]), ILK_OK);
  expect(ilk_mutex_unlock(all.mine[1]), ILK_OK);
}

START_TEST(fork_while_held_cpython_112275)
{
  make_all();
  pthread_barrier_init(&holding.begin, NULL, 2);
  pthread_t holder = start(hold_theirs, NULL);
  lock_mine();
  pthread_barrier_wait(&holding.begin);
  in_child(check_child, NULL);
  if (!TSAN) /* which is not made for threads in the child of a process with threads */
    in_child(check_child_with_threads, NULL);

  /* The parent never noticed. */
  for (int i = 0; i < 4; i++)
    expect(ilk_mutex_trylock(all.owned[i]), ILK_EBUSY);
  unlock_mine();
  holding.over = true;
  join(holder);
  expect(ilk_semaphore_value(all.semaphore), 2);
  expect(ilk_counter_load(all.counter), 40);
  free_all();
}
END_TEST

START_TEST(fork_while_waited_for)
{
  make_all();
  pthread_barrier_init(&holding.begin, NULL, 2);
  pthread_t holder = start(hold_theirs, NULL);
  lock_mine();
  pthread_barrier_wait(&holding.begin);
  expect(ilk_semaphore_acquire(all.semaphore), ILK_OK);
  expect(ilk_semaphore_acquire(all.semaphore), ILK_OK);
  struct waiter waiters[12];
  int n = 0;
  for (int i = 0; i < 4; i++) {
    waiter_sleep(&waiters[n++], call_visit, all.owned[i], -1);
    waiter_sleep(&waiters[n++], call_visit, all.owned[i], 3600 * SECOND);
  }
  for (int i = 0; i < 2; i++)
    waiter_sleep(&waiters[n++], call_visit, all.unowned[i], -1);
  waiter_sleep(&waiters[n++], ilk_semaphore_timedacquire, all.semaphore, -1);
  waiter_sleep(&waiters[n++], call_wait_for_50, all.counter, -1);
  in_child(check_child, &all);
  for (int i = 0; i < n; i++)
    expect(waiters[i].result, PENDING);
  holding.over = true;
  join(holder);
  unlock_mine();
  expect(ilk_semaphore_release(all.semaphore, 1), ILK_OK);
  expect(ilk_counter_store(all.counter, 50), ILK_OK);
  for (int i = 0; i < n; i++)
    expect(waiter_end(&waiters[i]), ILK_OK);
  free_all();
}
END_TEST

/* --- at any moment
   ------------------------------------------------------------------------------ */

static void *use_everything(void *unused)
{
  (void)unused;
  while (!holding.over) {
    void *m = below(2) ? all.owned[below(4)] : all.unowned[below(2)];
    if (ilk_mutex_timedlock(m, below(2) ? -1 : below(100) * US) >= 0) {
      jitter();
      expect(ilk_mutex_unlock(m), ILK_OK);
    }
    if (ilk_semaphore_timedacquire(all.semaphore, below(100) * US) == ILK_OK)
      expect(ilk_semaphore_release(all.semaphore, 1), ILK_OK);
    ilk_counter_fetch_add(all.counter, 1);
    void *c = ilk_counter_new(1);
    must(c != NULL);
    expect(ilk_counter_free(c), ILK_OK);
  }
  return NULL;
}

/* Whatever the other threads were in the middle of, the child can use, and free, it all. */
static void use_all_in_child(void *unused)
{
  (void)unused;
  for (int i = 0; i < 4; i++) {
    must(ilk_mutex_lock(all.owned[i]) >= 0);
    expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
    expect(ilk_mutex_trylock(all.owned[i]), ILK_OK);
    expect(ilk_mutex_unlock(all.owned[i]), ILK_OK);
  }
  for (int i = 0; i < 2; i++) {
    expect(ilk_mutex_reset(all.unowned[i]), ILK_OK);
    expect(ilk_mutex_lock(all.unowned[i]), ILK_OK);
    expect(ilk_mutex_unlock(all.unowned[i]), ILK_OK);
  }
  int64_t value = ilk_semaphore_value(all.semaphore);
  must(value >= 0 && value <= 2);
  expect(ilk_semaphore_release(all.semaphore, 5 - value), ILK_OK);
  for (int i = 0; i < 5; i++)
    expect(ilk_semaphore_acquire(all.semaphore), ILK_OK);
  int64_t count = ilk_counter_load(all.counter);
  expect(ilk_counter_fetch_add(all.counter, 1), count);
  void *handles[20];
  for (int i = 0; i < 20; i++)
    must((handles[i] = i % 2 ? ilk_counter_new(i) : ilk_mutex_new(0)) != NULL);
  for (int i = 0; i < 20; i++)
    expect(i % 2 ? ilk_counter_free(handles[i]) : ilk_mutex_free(handles[i]), ILK_OK);
  free_all();
  must(ilk_live() <= 3); /* each of three threads may have left one behind */
}

START_TEST(fork_at_any_moment)
{
  make_all();
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    threads[i] = start(use_everything, NULL);
  for (int64_t end = stress_end(300); now() < end;) {
    in_child(use_all_in_child, NULL);
    nap(below(300) * US);
  }
  holding.over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  expect(ilk_semaphore_value(all.semaphore), 2);
  free_all();
}
END_TEST

static void fork_again(void *unused)
{
  if (!TSAN)
    in_child(check_child_with_threads, unused);
  check_child(unused);
}

/* A child's child, of a thread that is not the first. */
static void *fork_from_here(void *unused)
{
  (void)unused;
  lock_mine();
  pthread_barrier_wait(&holding.begin);
  in_child(fork_again, NULL);
  unlock_mine();
  return NULL;
}

START_TEST(fork_from_another_thread)
{
  make_all();
  pthread_barrier_init(&holding.begin, NULL, 2);
  pthread_t forker = start(fork_from_here, NULL);
  lock_theirs();
  pthread_barrier_wait(&holding.begin);
  join(forker);
  unlock_theirs();
  free_all();
}
END_TEST

#define MANY 100000

static void child_has_written_little(void *unused)
{
  (void)unused;
  must(proc_bytes("smaps_rollup", "Private_Dirty") < 3 << 20);
}

/* Their slots fill 6.4 MB, which the child shares with its parent as long as neither writes
   there. */
START_TEST(many_handles_are_not_copied)
{
  if (TSAN || ASAN || proc_bytes("smaps_rollup", "Private_Dirty") < 0)
    return;
  static void *handles[MANY];
  for (int i = 0; i < MANY; i++)
    must((handles[i] = i % 4 == 0   ? ilk_mutex_new(0)
                       : i % 4 == 1 ? ilk_rwlock_new(0)
                       : i % 4 == 2 ? ilk_condition_new(0)
                                    : ilk_barrier_new(2)));
  in_child(child_has_written_little, NULL);
  for (int i = 0; i < MANY; i++)
    expect((i % 4 == 0   ? ilk_mutex_free
            : i % 4 == 1 ? ilk_rwlock_free
            : i % 4 == 2 ? ilk_condition_free
                         : ilk_barrier_free)(handles[i]),
           ILK_OK);
}
END_TEST

#define FREED 100

/* The objects that the parent has freed stay freed. Their slots are used for others. */
static void check_freed(void *freed)
{
  expect(ilk_live(), 0);
  void **handles = freed;
  for (int round = 0; round < 10; round++)
    for (int i = 0; i < FREED; i++) {
      expect(ilk_mutex_trylock(handles[i]), ILK_EHANDLE);
      void *mutex = ilk_mutex_new(0);
      expect(ilk_live(), 1);
      expect(ilk_mutex_lock(mutex), ILK_OK);
      expect(ilk_mutex_unlock(mutex), ILK_OK);
      expect(ilk_mutex_free(mutex), ILK_OK);
    }
  expect(ilk_live(), 0);
}

/* The parent frees them shortly before the fork, so that their slots are not reused yet. */
START_TEST(freed_before_the_fork)
{
  static void *freed[FREED];
  for (int i = 0; i < FREED; i++)
    must((freed[i] = ilk_mutex_new(0)));
  for (int i = 0; i < FREED; i++)
    expect(ilk_mutex_free(freed[i]), ILK_OK);
  expect(ilk_rwlock_free(ilk_rwlock_new(0)), ILK_OK); /* a kind whose slots are free at once */
  in_child(check_freed, freed);
  check_freed(freed);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("fork");
  TCase *forks = test_case(s, "fork", 30);
  tcase_add_test(forks, fork_while_held_cpython_112275);
  tcase_add_test(forks, fork_while_waited_for);
  tcase_add_test(forks, fork_at_any_moment);
  tcase_add_test(forks, fork_from_another_thread);
  tcase_add_test(forks, many_handles_are_not_copied);
  tcase_add_test(forks, freed_before_the_fork);
  return run_suite(s);
}
