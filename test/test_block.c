/* block.c: timeouts, signals and deadlock cycles, for every kind that waits. */
#include "support.h"

/* --- every call that may wait, on an object where it has to ------------------------------ */

static int acquire_plain(void *s, int64_t timeout_ns)
{
  return timeout_ns < 0 ? ilk_semaphore_acquire(s) : ilk_semaphore_timedacquire(s, timeout_ns);
}

static void *new_mutex_locked_elsewhere(int flags);

static void *new_plain(void)
{
  return new_mutex_locked_elsewhere(0);
}
static void *new_recursive(void)
{
  return new_mutex_locked_elsewhere(ILK_RECURSIVE);
}
static void *new_fair(void)
{
  return new_mutex_locked_elsewhere(ILK_FAIR);
}
static void *new_unowned(void)
{
  return new_mutex_locked_elsewhere(ILK_UNOWNED);
}
static void *new_unowned_fair(void)
{
  return new_mutex_locked_elsewhere(ILK_UNOWNED | ILK_FAIR);
}
static void *new_semaphore(void)
{
  return ilk_semaphore_new(0, 0);
}
static void *new_counter(void)
{
  return ilk_counter_new(0);
}

/* Lets one waiter proceed. */
static int release_one(void *s)
{
  return ilk_semaphore_release(s, 1);
}
static int add_one(void *c)
{
  return ilk_counter_fetch_add(c, 1) == 0 ? ILK_OK : ilk_last_error();
}

static const struct {
  void *(*make)(void);
  int (*wait)(void *, int64_t);
  int (*let_on)(void *);
  int (*free)(void *);
} waits[] = {
  {new_plain, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {new_recursive, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {new_fair, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {new_unowned, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {new_unowned_fair, call_visit, ilk_mutex_unlock, ilk_mutex_free},
  {new_semaphore, acquire_plain, release_one, ilk_semaphore_free},
  {new_counter, call_wait_for_1, add_one, ilk_counter_free},
};

/* Locked by the test's main thread; the waits are other threads'. */
static void *new_mutex_locked_elsewhere(int flags)
{
  void *m = ilk_mutex_new(flags);
  expect(ilk_mutex_lock(m), ILK_OK);
  return m;
}

static struct {
  int (*wait)(void *, int64_t);
} measured;

static int wait_and_measure(void *handle, int64_t timeout_ns)
{
  int64_t before = now();
  int result = measured.wait(handle, timeout_ns);
  if (result == ILK_ETIMEDOUT)
    must(now() - before >= timeout_ns);
  return result;
}

START_TEST(time_out_is_never_early)
{
  void *handle = waits[_i].make();
  measured.wait = waits[_i].wait;
  const int64_t timeouts[] = {0, 1, 999, 10 * US, 100 * US, MS, MS + 1, 7 * MS};
  for (int i = 0; i < LENGTH(timeouts); i++)
    for (int round = 0; round < 5; round++)
      expect(elsewhere(wait_and_measure, handle, timeouts[i]), ILK_ETIMEDOUT);
  expect(waits[_i].let_on(handle), ILK_OK);
  expect(elsewhere(wait_and_measure, handle, 0), ILK_OK);
  expect(waits[_i].free(handle), ILK_OK);
}
END_TEST

/* A negative timeout waits forever, a huge one does not overflow. */
START_TEST(huge_and_negative_time_outs_parking_lot_111)
{
  const int64_t timeouts[] = {
    INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, INT64_C(1) << 53, 86400 * 365 * SECOND, -1,
    -2,        INT64_MIN,     INT64_MIN + 1};
  void *handles[LENGTH(timeouts)];
  struct waiter waiters[LENGTH(timeouts)];
  for (int i = 0; i < LENGTH(timeouts); i++) {
    handles[i] = waits[_i].make();
    waiter_sleep(&waiters[i], waits[_i].wait, handles[i], timeouts[i]);
  }
  nap(20 * MS);
  for (int i = 0; i < LENGTH(timeouts); i++) {
    expect(waiters[i].result, PENDING);
    expect(waits[_i].let_on(handles[i]), ILK_OK);
    expect(waiter_end(&waiters[i]), ILK_OK);
    expect(waits[_i].free(handles[i]), ILK_OK);
  }
}
END_TEST

/* Signals end no wait early, and none as a timeout. No record of a waiter on a stack is left
   behind for a later wake. */
START_TEST(waiter_on_stack_gone_after_eintr_cpython_148820)
{
  for (int round = 0; round < 3; round++) {
    void *handle = waits[_i].make();
    struct waiter waiters[4];
    pthread_t threads[LENGTH(waiters)];
    struct storm storm;
    measured.wait = waits[_i].wait;
    for (int i = 0; i < LENGTH(waiters); i++) {
      waiter_start(&waiters[i], wait_and_measure, handle,
                   i < 2    ? (5 + 5 * i) * MS
                   : i == 2 ? 3600 * SECOND
                            : -1);
      threads[i] = waiters[i].thread;
    }
    storm_start(&storm, threads, LENGTH(threads));
    nap(15 * MS);
    expect(waiters[2].result, PENDING);
    expect(waiters[3].result, PENDING);
    for (int i = 0; i < 2; i++) {
      while (waiters[i].result == PENDING)
        sched_yield();
      expect(waiters[i].result, ILK_ETIMEDOUT);
    }
    expect(waits[_i].let_on(handle), ILK_OK);
    if (waits[_i].let_on == release_one)
      expect(waits[_i].let_on(handle), ILK_OK);
    while (waiters[2].result == PENDING || waiters[3].result == PENDING)
      sched_yield();
    storm_end(&storm);
    for (int i = 0; i < LENGTH(waiters); i++)
      expect(waiter_end(&waiters[i]), i < 2 ? ILK_ETIMEDOUT : ILK_OK);
    expect(waits[_i].free(handle), ILK_OK);
  }
}
END_TEST

/* A signal handler runs in the last moment before a wake: EINTR, EAGAIN and a real wake mix,
   and no wait with an hour to go returns that its deadline has passed. */
static struct {
  void *there, *back;
  _Atomic bool over;
} rally;

static void *rally_other(void *unused)
{
  (void)unused;
  for (bool over = false; !over;) {
    expect(ilk_semaphore_timedacquire(rally.there, 3600 * SECOND), ILK_OK);
    over = rally.over;
    expect(ilk_semaphore_release(rally.back, 1), ILK_OK);
  }
  return NULL;
}

static void *rally_one(void *end)
{
  while (!rally.over) {
    rally.over = now() >= *(int64_t *)end;
    expect(ilk_semaphore_release(rally.there, 1), ILK_OK);
    expect(ilk_semaphore_timedacquire(rally.back, 3600 * SECOND), ILK_OK);
  }
  return NULL;
}

START_TEST(eagain_reported_as_timeout_llvm_203411)
{
  rally.there = ilk_semaphore_new(0, 0);
  rally.back = ilk_semaphore_new(0, 0);
  rally.over = false;
  int64_t end = stress_end(150);
  pthread_t threads[2] = {start(rally_one, &end), start(rally_other, NULL)};
  struct storm storm;
  storm_start(&storm, threads, 2);
  while (!rally.over)
    nap(MS);
  storm_end(&storm);
  for (int i = 0; i < 2; i++)
    join(threads[i]);
  expect(ilk_semaphore_free(rally.there), ILK_OK);
  expect(ilk_semaphore_free(rally.back), ILK_OK);
}
END_TEST

/* --- deadlock cycles
   ------------------------------------------------------------------------------- */

enum { RING_MAX = 10 };

static struct ring {
  int n;
  void *mutexes[RING_MAX];
  pthread_barrier_t all_hold;
  _Atomic int next, told;
  _Atomic int64_t closed; /* when the last of them began to wait */
} ring;

static void *wait_for_neighbour(void *unused)
{
  (void)unused;
  int i = ring.next++;
  void *own = ring.mutexes[i], *neighbours = ring.mutexes[(i + 1) % ring.n];
  expect(ilk_mutex_lock(own), ILK_OK);
  pthread_barrier_wait(&ring.all_hold);
  ring.closed = now();
  int result = ilk_mutex_lock(neighbours);
  if (result == ILK_EDEADLK) {
    must(now() - ring.closed < PATIENCE);
    expect(ilk_last_error(), ILK_EDEADLK);
    ring.told++;
  } else {
    expect(result, ILK_OK);
    expect(ilk_mutex_unlock(neighbours), ILK_OK);
  }
  expect(ilk_mutex_unlock(own), ILK_OK);
  return NULL;
}

static void ring_new(int n, int flags)
{
  ring.n = n;
  ring.next = ring.told = 0;
  ring.closed = 0;
  pthread_barrier_init(&ring.all_hold, NULL, (unsigned)n);
  for (int i = 0; i < n; i++)
    ring.mutexes[i] = ilk_mutex_new(flags);
}

static void ring_free(void)
{
  for (int i = 0; i < ring.n; i++)
    expect(ilk_mutex_free(ring.mutexes[i]), ILK_OK);
}

static const struct {
  int n, flags;
} cycles[] = {{2, 0},  {2, ILK_FAIR}, {2, ILK_RECURSIVE}, {3, 0}, {3, ILK_FAIR | ILK_RECURSIVE},
              {10, 0}, {10, ILK_FAIR}};

START_TEST(deadlock_cycle_is_reported)
{
  ring_new(cycles[_i].n, cycles[_i].flags);
  in_threads(ring.n, wait_for_neighbour, NULL);
  expect(ring.told, 1);
  ring_free();
}
END_TEST

/* A deadlock cycle is found also if its threads are interrupted all the time. */
START_TEST(deadlock_cycle_in_a_storm_of_signals)
{
  ring_new(cycles[_i].n, cycles[_i].flags);
  pthread_t threads[RING_MAX];
  struct storm storm;
  for (int i = 0; i < ring.n; i++)
    threads[i] = start(wait_for_neighbour, NULL);
  storm_start(&storm, threads, ring.n);
  int64_t limit = now() + PATIENCE;
  while (!ring.told && now() < limit)
    nap(MS);
  must(ring.told >= 1);
  storm_end(&storm);
  for (int i = 0; i < ring.n; i++)
    join(threads[i]);
  ring_free();
}
END_TEST

/* Other threads that wait for one of the cycle's mutexes, some with a deadline, do not keep it
   from being reported, and it is not reported to them. */
static _Atomic bool bystanders_over;

static void *impatient_bystander(void *mutex)
{
  while (!bystanders_over) {
    int result = call_visit(mutex, 20 * MS);
    must(result == ILK_OK || result == ILK_ETIMEDOUT);
  }
  return NULL;
}

START_TEST(deadlock_cycle_with_bystanders)
{
  ring_new(cycles[_i].n, cycles[_i].flags);
  pthread_t threads[RING_MAX];
  for (int i = 0; i < ring.n; i++)
    threads[i] = start(wait_for_neighbour, NULL);
  struct waiter patient;
  pthread_t impatient[2];
  while (!ring.closed) /* each holds its own; the cycle may be broken by now */
    sched_yield();
  waiter_start(&patient, call_visit, ring.mutexes[0], -1);
  for (int i = 0; i < 2; i++)
    impatient[i] = start(impatient_bystander, ring.mutexes[i]);
  for (int i = 0; i < ring.n; i++)
    join(threads[i]);
  must(ring.told >= 1);
  bystanders_over = true;
  for (int i = 0; i < 2; i++)
    join(impatient[i]);
  expect(waiter_end(&patient), ILK_OK);
  ring_free();
}
END_TEST

/* A wait with a deadline ends by itself: not a deadlock cycle. */
static int lock_both(void *pair, int64_t timeout_ns)
{
  void **mutexes = pair;
  expect(ilk_mutex_lock(mutexes[0]), ILK_OK);
  pthread_barrier_wait(&ring.all_hold);
  int result = ilk_mutex_timedlock(mutexes[1], timeout_ns);
  if (result == ILK_OK)
    expect(ilk_mutex_unlock(mutexes[1]), ILK_OK);
  expect(ilk_mutex_unlock(mutexes[0]), ILK_OK);
  return result;
}

START_TEST(no_deadlock_cycle_with_a_deadline)
{
  ring_new(2, cycles[_i].flags);
  void *backwards[2] = {ring.mutexes[1], ring.mutexes[0]};
  struct waiter w;
  waiter_start(&w, lock_both, backwards, -1);
  expect(lock_both(ring.mutexes, 300 * MS), ILK_ETIMEDOUT);
  expect(waiter_end(&w), ILK_OK);
  ring_free();
}
END_TEST

/* Any thread may unlock unowned mutexes, so a cycle of them may end. */
START_TEST(no_deadlock_cycle_of_unowned)
{
  ring_new(2, ILK_UNOWNED | (_i ? ILK_FAIR : 0));
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_lock(ring.mutexes[i]), ILK_OK);
  struct waiter waiters[2];
  for (int i = 0; i < 2; i++)
    waiter_start(&waiters[i], call_visit, ring.mutexes[i], -1);
  nap(250 * MS);
  for (int i = 0; i < 2; i++) {
    expect(waiters[i].result, PENDING);
    expect(ilk_mutex_unlock(ring.mutexes[i]), ILK_OK);
    expect(waiter_end(&waiters[i]), ILK_OK);
  }
  ring_free();
}
END_TEST

/* A chain is not a deadlock cycle, however long its threads wait; nor is one whose last thread
   waits for something that no thread holds. */
static void *semaphore_at_the_end;

static void *link_of_chain(void *unused)
{
  (void)unused;
  int i = ring.next++;
  expect(ilk_mutex_lock(ring.mutexes[i]), ILK_OK);
  pthread_barrier_wait(&ring.all_hold);
  if (i + 1 < ring.n) {
    expect(ilk_mutex_lock(ring.mutexes[i + 1]), ILK_OK);
    expect(ilk_mutex_unlock(ring.mutexes[i + 1]), ILK_OK);
  } else {
    expect(ilk_semaphore_acquire(semaphore_at_the_end), ILK_OK);
  }
  expect(ilk_mutex_unlock(ring.mutexes[i]), ILK_OK);
  return NULL;
}

START_TEST(no_deadlock_cycle_in_a_chain)
{
  ring_new(5, cycles[_i].flags);
  semaphore_at_the_end = ilk_semaphore_new(0, 0);
  struct waiter w;
  pthread_t threads[5];
  for (int i = 0; i < 5; i++)
    threads[i] = start(link_of_chain, NULL);
  waiter_start(&w, call_visit, ring.mutexes[0], -1);
  nap(250 * MS);
  expect(ilk_semaphore_release(semaphore_at_the_end, 1), ILK_OK);
  for (int i = 0; i < 5; i++)
    join(threads[i]);
  must(waiter_end(&w) == ILK_OK);
  expect(ilk_semaphore_free(semaphore_at_the_end), ILK_OK);
  ring_free();
}
END_TEST

/* Threads that always lock in one order, and hold for longer than a wait lasts before the search
   for a cycle: there are chains of waiters all the time, never a deadlock cycle. */
static int64_t philosophers_end;

static void *philosopher(void *unused)
{
  (void)unused;
  while (now() < philosophers_end) {
    int low = (int)below(ring.n - 1), high = low + 1 + (int)below(ring.n - 1 - low);
    expect(ilk_mutex_lock(ring.mutexes[low]), ILK_OK);
    expect(ilk_mutex_lock(ring.mutexes[high]), ILK_OK);
    nap(below(30) * MS);
    expect(ilk_mutex_unlock(ring.mutexes[below(2) ? low : high]), ILK_OK);
    if (ilk_mutex_unlock(ring.mutexes[low]) != ILK_OK)
      expect(ilk_mutex_unlock(ring.mutexes[high]), ILK_OK);
  }
  return NULL;
}

START_TEST(no_deadlock_cycle_when_locks_are_ordered)
{
  ring_new(4, cycles[_i].flags & ~ILK_RECURSIVE);
  philosophers_end = stress_end(250);
  in_threads(8, philosopher, NULL);
  ring_free();
}
END_TEST

int main(void)
{
  Suite *s = suite_create("block");
  TCase *time = test_case(s, "time", 20);
  tcase_add_loop_test(time, time_out_is_never_early, 0, LENGTH(waits));
  tcase_add_loop_test(time, huge_and_negative_time_outs_parking_lot_111, 0, LENGTH(waits));
  tcase_add_loop_test(time, waiter_on_stack_gone_after_eintr_cpython_148820, 0, LENGTH(waits));
  tcase_add_test(time, eagain_reported_as_timeout_llvm_203411);

  TCase *cycle = test_case(s, "cycle", 20);
  tcase_add_loop_test(cycle, deadlock_cycle_is_reported, 0, LENGTH(cycles));
  tcase_add_loop_test(cycle, deadlock_cycle_in_a_storm_of_signals, 0, 4);
  tcase_add_loop_test(cycle, deadlock_cycle_with_bystanders, 0, 4);
  tcase_add_loop_test(cycle, no_deadlock_cycle_with_a_deadline, 0, 2);
  tcase_add_loop_test(cycle, no_deadlock_cycle_of_unowned, 0, 2);
  tcase_add_loop_test(cycle, no_deadlock_cycle_in_a_chain, 0, 2);
  tcase_add_loop_test(cycle, no_deadlock_cycle_when_locks_are_ordered, 0, 2);
  return run_suite(s);
}
