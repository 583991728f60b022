/* mutex.c: the result of each call, and the order in which threads acquire. test_stress.c tests
   exclusion under load, test_block.c deadlock cycles and timeouts. */
#include <limits.h>

#include "support.h"

static const int all_flags[] = {
  0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE, ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR,
};
static const int owned_flags[] = {0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE};
static const int fair_flags[] = {ILK_FAIR, ILK_FAIR | ILK_RECURSIVE, ILK_FAIR | ILK_UNOWNED};
static const int unowned_flags[] = {ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR};

static void *new_mutex(int flags)
{
  void *m = ilk_mutex_new(flags);
  must(m != NULL);
  return m;
}

static void free_mutex(void *m)
{
  expect(ilk_mutex_free(m), ILK_OK);
}

START_TEST(new_refuses_unknown_flags)
{
  const int bad[] = {8,
                     16,
                     32,
                     -1,
                     INT_MIN,
                     1 << 30,
                     ILK_RECURSIVE | ILK_UNOWNED,
                     ILK_RECURSIVE | ILK_UNOWNED | ILK_FAIR,
                     ILK_FAIR | 8};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_mutex_new(bad[i]), ILK_EINVAL);
}
END_TEST

START_TEST(lock_and_unlock)
{
  void *m = new_mutex(all_flags[_i]);
  for (int round = 0; round < 3; round++) {
    expect(ilk_mutex_is_locked(m), 0);
    expect(round == 0   ? ilk_mutex_lock(m)
           : round == 1 ? ilk_mutex_trylock(m)
                        : ilk_mutex_timedlock(m, SECOND),
           ILK_OK);
    expect(ilk_mutex_is_locked(m), 1);
    expect(elsewhere(call_trylock, m, 0), ILK_EBUSY);
    expect(elsewhere(ilk_mutex_timedlock, m, 0), ILK_ETIMEDOUT);
    expect(elsewhere(ilk_mutex_timedlock, m, MS), ILK_ETIMEDOUT);
    expect(ilk_mutex_is_locked(m), 1);
    expect(ilk_mutex_unlock(m), ILK_OK);
  }
  free_mutex(m);
}
END_TEST

START_TEST(unlock_of_one_that_nobody_holds)
{
  void *m = new_mutex(all_flags[_i]);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  expect(ilk_mutex_is_locked(m), 0);
  free_mutex(m);
}
END_TEST

START_TEST(unlock_by_another_thread)
{
  bool owned = !(all_flags[_i] & ILK_UNOWNED);
  void *m = new_mutex(all_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(elsewhere(call_unlock, m, 0), owned ? ILK_EPERM : ILK_OK);
  expect(ilk_mutex_is_locked(m), owned);
  expect(ilk_mutex_unlock(m), owned ? ILK_OK : ILK_EPERM);
  free_mutex(m);
}
END_TEST

START_TEST(lock_of_ones_own)
{
  int flags = owned_flags[_i];
  void *m = new_mutex(flags);
  bool recursive = flags & ILK_RECURSIVE;
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_lock(m), recursive ? ILK_OK : ILK_EDEADLK);
  expect(ilk_mutex_timedlock(m, -1), recursive ? ILK_OK : ILK_EDEADLK);
  expect(ilk_mutex_timedlock(m, 3600 * SECOND), recursive ? ILK_OK : ILK_EDEADLK);
  expect(ilk_mutex_timedlock(m, 0), recursive ? ILK_OK : ILK_ETIMEDOUT);
  expect(ilk_mutex_trylock(m), recursive ? ILK_OK : ILK_EBUSY);
  for (int i = 0; i < (recursive ? 5 : 0); i++)
    expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_is_locked(m), 1);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  free_mutex(m);
}
END_TEST

START_TEST(lock_of_ones_own_unowned)
{
  void *m = new_mutex(unowned_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_trylock(m), ILK_EBUSY);
  expect(ilk_mutex_timedlock(m, 0), ILK_ETIMEDOUT);
  expect(ilk_mutex_timedlock(m, 2 * MS), ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_is_locked(m), 0);
  free_mutex(m);
}
END_TEST

/* A thread that never held an unowned mutex may unlock it for a waiter. */
START_TEST(unowned_is_unlocked_for_a_waiter)
{
  void *m = new_mutex(unowned_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_lock, m, 0);
  expect(elsewhere(call_unlock, m, 0), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_is_locked(m), 1); /* its taker exited, which an unowned one does not mind */
  expect(ilk_mutex_unlock(m), ILK_OK);
  free_mutex(m);
}
END_TEST

static struct {
  void *mutex;
  pthread_barrier_t begins, ends;
  bool last; /* written before a round begins, and read in it */
} rounds;
enum { ROUNDS = JITTERED ? 3000 : 30000 };

static void *run_rounds(void *unused)
{
  (void)unused;
  for (bool last = false; !last;) {
    pthread_barrier_wait(&rounds.begins);
    last = rounds.last;
    expect(ilk_mutex_lock(rounds.mutex), ILK_OK);
    pthread_barrier_wait(&rounds.ends);
  }
  return NULL;
}

/* Two threads lock, a third unlocks twice, each time as soon as it can: the thread that has just
   acquired it may still be in the queue in which the other sleeps. On a busy machine a round may
   take a tenth of a second, so the time ends it, too. */
START_TEST(unowned_is_unlocked_as_it_is_taken)
{
  rounds.mutex = new_mutex(unowned_flags[_i]);
  expect(ilk_mutex_lock(rounds.mutex), ILK_OK);
  pthread_barrier_init(&rounds.begins, NULL, 3);
  pthread_barrier_init(&rounds.ends, NULL, 3);
  pthread_t threads[] = {start(run_rounds, NULL), start(run_rounds, NULL)};
  int64_t end = stress_end(5000);
  rounds.last = false;
  for (int i = 1; !rounds.last; i++) {
    rounds.last = i == ROUNDS || now() > end;
    pthread_barrier_wait(&rounds.begins);
    if (below(2)) /* both are asleep, or not */
      spin(below(2000));
    for (int unlocks = 0; unlocks < 2;)
      unlocks += ilk_mutex_unlock(rounds.mutex) == ILK_OK;
    pthread_barrier_wait(&rounds.ends);
  }
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  expect(ilk_mutex_unlock(rounds.mutex), ILK_OK);
  free_mutex(rounds.mutex);
}
END_TEST

START_TEST(recursive_depth)
{
  void *m = new_mutex(ILK_RECURSIVE | (_i ? ILK_FAIR : 0));
  enum { DEPTH = 1000 };
  for (int i = 0; i < DEPTH; i++)
    expect(i % 3 == 0   ? ilk_mutex_lock(m)
           : i % 3 == 1 ? ilk_mutex_trylock(m)
                        : ilk_mutex_timedlock(m, 0),
           ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_visit, m, -1);
  for (int i = 0; i < DEPTH - 1; i++)
    expect(ilk_mutex_unlock(m), ILK_OK);
  expect(elsewhere(call_trylock, m, 0), ILK_EBUSY);
  expect(w.result, PENDING);
  expect(ilk_mutex_free(m), ILK_EBUSY);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  free_mutex(m);
}
END_TEST

static int call_depth(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_depth(m);
}

START_TEST(depth_is_the_callers)
{
  int flags = all_flags[_i];
  int most = flags & ILK_RECURSIVE ? 5 : 1;
  void *m = new_mutex(flags);
  expect(ilk_mutex_depth(m), 0);
  for (int depth = 1; depth <= most; depth++) {
    expect(ilk_mutex_lock(m), ILK_OK);
    expect(ilk_mutex_depth(m), depth);
    expect(elsewhere(call_depth, m, 0), flags & ILK_UNOWNED ? 1 : 0);
  }
  for (int depth = most; depth-- > 0;) {
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(ilk_mutex_depth(m), depth);
  }
  if (!(flags & ILK_UNOWNED)) { /* of a thread that is gone, until it is taken from it */
    expect(elsewhere(call_lock, m, 0), ILK_OK);
    expect(ilk_mutex_depth(m), 0);
    expect(ilk_mutex_lock(m), ILK_OWNER_DIED);
    expect(ilk_mutex_depth(m), 1);
    expect(ilk_mutex_reset(m), ILK_OK);
    expect(ilk_mutex_depth(m), 0);
  }
  free_mutex(m);
  expect(ilk_mutex_depth(m), ILK_EHANDLE);
  expect(ilk_mutex_depth(NULL), ILK_EHANDLE);
}
END_TEST

static int call_free(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_free(m);
}

START_TEST(free_while_in_use)
{
  void *m = new_mutex(all_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_EBUSY);
  expect(elsewhere(call_free, m, 0), ILK_EBUSY);
  struct waiter w;
  waiter_sleep(&w, call_visit, m, -1);
  expect(ilk_mutex_free(m), ILK_EBUSY);
  expect(w.result, PENDING);
  expect(ilk_mutex_is_locked(m), 1);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_EHANDLE);
}
END_TEST

/* Locked here, unlocked by another thread, which is an unowned one's right, and freed: it is
   gone, whatever this thread remembers of it, and what is in its place is not its own. */
START_TEST(unlock_of_a_freed_one_spares_its_successor)
{
  enum { SUCCESSORS = 4 };
  for (int kind = 0; kind < 3; kind++) {
    void *m = new_mutex(unowned_flags[_i]), *successors[SUCCESSORS];
    expect(ilk_mutex_lock(m), ILK_OK);
    expect(elsewhere(call_unlock, m, 0), ILK_OK);
    expect(elsewhere(call_free, m, 0), ILK_OK);
    for (int i = 0; i < SUCCESSORS; i++)
      successors[i] = kind == 0   ? new_mutex(0)
                      : kind == 1 ? ilk_counter_new(0)
                                  : ilk_semaphore_new(0, 0);
    expect(ilk_mutex_unlock(m), ILK_EHANDLE);
    for (int i = 0; i < SUCCESSORS; i++) {
      if (kind == 0) {
        expect(ilk_mutex_trylock(successors[i]), ILK_OK);
        expect(ilk_mutex_unlock(successors[i]), ILK_OK);
        free_mutex(successors[i]);
      } else if (kind == 1) {
        expect(ilk_counter_load(successors[i]), 0);
        expect(ilk_counter_free(successors[i]), ILK_OK);
      } else {
        expect(ilk_semaphore_value(successors[i]), 0);
        expect(ilk_semaphore_free(successors[i]), ILK_OK);
      }
    }
  }
}
END_TEST

static int lock_and_reset_elsewhere(void *m, int64_t unused)
{
  (void)unused;
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(elsewhere(call_reset, m, 0), ILK_OK);
  expect(elsewhere(call_free, m, 0), ILK_OK);
  void *successors[4];
  for (int i = 0; i < 4; i++)
    successors[i] = new_mutex(0);
  int result = ilk_mutex_unlock(m);
  for (int i = 0; i < 4; i++) {
    expect(ilk_mutex_trylock(successors[i]), ILK_OK);
    expect(ilk_mutex_unlock(successors[i]), ILK_OK);
    free_mutex(successors[i]);
  }
  return result;
}

/* The same, taken away by force. */
START_TEST(unlock_after_reset_and_free)
{
  expect(elsewhere(lock_and_reset_elsewhere, new_mutex(all_flags[_i]), 0), ILK_EHANDLE);
}
END_TEST

/* --- order ------------------------------------------------------------------------- */

static struct {
  int order[16]; /* guarded by the mutex under test */
  int n;
} arrivals;

static int arrive(void *argument, int64_t number)
{
  int result = ilk_mutex_lock(argument);
  arrivals.order[arrivals.n++] = (int)number;
  expect(ilk_mutex_unlock(argument), ILK_OK);
  return result;
}

START_TEST(fair_is_first_come_first_served)
{
  enum { N = 8 };
  struct waiter waiters[N], impatient;
  void *m = new_mutex(fair_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  for (int i = 0; i < N; i++) {
    waiter_sleep(&waiters[i], arrive, m, i);
    if (i == N / 2) /* a waiter that times out does not disturb the order */
      waiter_sleep(&impatient, ilk_mutex_timedlock, m, 5 * MS);
  }
  expect(waiter_end(&impatient), ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(arrive(m, N), ILK_OK); /* awake, and yet last */
  for (int i = 0; i < N; i++)
    expect(waiter_end(&waiters[i]), ILK_OK);
  expect(arrivals.n, N + 1);
  for (int i = 0; i <= N; i++)
    expect(arrivals.order[i], i);
  free_mutex(m);
}
END_TEST

/* A try does not acquire a fair mutex while a thread waits for it. */
START_TEST(fair_is_not_overtaken)
{
  void *m = new_mutex(fair_flags[_i]);
  for (int round = 0; round < 50; round++) {
    arrivals.n = 0;
    struct waiter w;
    expect(ilk_mutex_lock(m), ILK_OK);
    waiter_sleep(&w, arrive, m, 1);
    expect(ilk_mutex_unlock(m), ILK_OK);
    int result;
    do
      result = ilk_mutex_trylock(m);
    while (result == ILK_EBUSY);
    expect(result, ILK_OK);
    expect(arrivals.n, 1);
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
  }
  free_mutex(m);
}
END_TEST

struct greedy {
  void *mutex;
  _Atomic bool over;
};

static void *relock_in_a_tight_loop(void *argument)
{
  struct greedy *g = argument;
  while (!g->over) {
    expect(ilk_mutex_lock(g->mutex), ILK_OK);
    spin(20000);
    expect(ilk_mutex_unlock(g->mutex), ILK_OK);
  }
  return NULL;
}

/* One thread holds it nearly always; another must acquire it, again and again. */
START_TEST(mu_starvation_test)
{
  struct greedy g = {.mutex = new_mutex(all_flags[_i])};
  pthread_t greedy = start(relock_in_a_tight_loop, &g);
  for (int i = 0; i < 20; i++) {
    expect(ilk_mutex_lock(g.mutex), ILK_OK);
    expect(ilk_mutex_unlock(g.mutex), ILK_OK);
    nap(100 * US);
  }
  g.over = true;
  join(greedy);
  free_mutex(g.mutex);
}
END_TEST

/* Each waiter that acquires has others behind it that only its unlock can wake. */
START_TEST(woken_waiter_marks_contended_musl_e7655ed3)
{
  enum { N = 8 };
  struct waiter waiters[N];
  void *m = new_mutex(all_flags[_i]);
  for (int round = 0; round < 10; round++) {
    expect(ilk_mutex_lock(m), ILK_OK);
    for (int i = 0; i < N; i++)
      if (i % 2)
        waiter_start(&waiters[i], call_visit, m, -1);
      else
        waiter_sleep(&waiters[i], call_visit, m, -1);
    expect(ilk_mutex_unlock(m), ILK_OK);
    for (int i = 0; i < N; i++)
      expect(waiter_end(&waiters[i]), ILK_OK);
  }
  free_mutex(m);
}
END_TEST

/* A waiter that timed out counts no more: unlock finds none, and it can be freed. */
START_TEST(stale_waiter_count_after_timeout_musl_159d1f6c)
{
  void *m = new_mutex(all_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  struct waiter waiters[4];
  for (int i = 0; i < LENGTH(waiters); i++)
    waiter_start(&waiters[i], ilk_mutex_timedlock, m, (i + 1) * MS);
  for (int i = 0; i < LENGTH(waiters); i++)
    expect(waiter_end(&waiters[i]), ILK_ETIMEDOUT);
  expect(ilk_mutex_unlock(m), ILK_OK);
  free_mutex(m);
}
END_TEST

/* --- reset ------------------------------------------------------------------------- */

START_TEST(reset_makes_it_free)
{
  int flags = all_flags[_i];
  void *m = new_mutex(flags);
  expect(ilk_mutex_reset(m), ILK_OK);
  expect(ilk_mutex_is_locked(m), 0);
  expect(ilk_mutex_lock(m), ILK_OK);
  if (flags & ILK_RECURSIVE)
    expect(ilk_mutex_lock(m), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_visit, m, -1);
  expect(ilk_mutex_reset(m), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_is_locked(m), 0);
  expect(ilk_mutex_unlock(m), ILK_EPERM);

  /* A recursive one's depth is forgotten too. */
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_is_locked(m), 0);
  free_mutex(m);
}
END_TEST

START_TEST(reset_by_another_thread)
{
  void *m = new_mutex(all_flags[_i]);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(elsewhere(call_reset, m, 0), ILK_OK);
  expect(ilk_mutex_is_locked(m), 0);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  expect(elsewhere(call_visit, m, -1), ILK_OK);
  free_mutex(m);
}
END_TEST

static void *barge(void *argument)
{
  struct greedy *g = argument;
  while (!g->over)
    if (ilk_mutex_trylock(g->mutex) >= 0)
      expect(ilk_mutex_unlock(g->mutex), ILK_OK);
  return NULL;
}

/* Sleepers acquire after a reset, however many threads barge ahead of them. */
START_TEST(reset_lets_sleepers_on)
{
  struct greedy g = {.mutex = new_mutex(all_flags[_i])};
  pthread_t bargers[2];
  for (int i = 0; i < 2; i++)
    bargers[i] = start(barge, &g);
  for (int64_t end = stress_end(60); now() < end;) {
    struct waiter w;
    expect(ilk_mutex_lock(g.mutex), ILK_OK);
    waiter_start(&w, call_visit, g.mutex, -1);
    nap(below(200) * US);
    expect(ilk_mutex_reset(g.mutex), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
  }
  g.over = true;
  for (int i = 0; i < 2; i++)
    join(bargers[i]);
  free_mutex(g.mutex);
}
END_TEST

/* --- a process with one thread -------------------------------------------------------- */

enum { VISITS = 1000 };
static int visited;

static void *visit_often(void *m)
{
  for (int i = 0; i < VISITS; i++) {
    expect(ilk_mutex_lock(m), ILK_OK);
    visited++;
    expect(ilk_mutex_unlock(m), ILK_OK);
  }
  return NULL;
}

/* Taken while there was one thread only, it still excludes the second; and again
   after the process has had one thread in between. */
START_TEST(lock_skipped_one_thread_musl_e01b5939)
{
  void *m = new_mutex(all_flags[_i]);
  for (int round = 0; round < 2; round++) {
    expect(ilk_mutex_lock(m), ILK_OK);
    struct waiter w;
    waiter_sleep(&w, call_visit, m, -1);
    expect(w.result, PENDING);
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(waiter_end(&w), ILK_OK);
    visited = 0;
    in_threads(3, visit_often, m);
    expect(visited, 3 * VISITS);
  }
  free_mutex(m);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("mutex");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_refuses_unknown_flags);
  tcase_add_loop_test(calls, lock_and_unlock, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, unlock_of_one_that_nobody_holds, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, unlock_by_another_thread, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, lock_of_ones_own, 0, LENGTH(owned_flags));
  tcase_add_loop_test(calls, lock_of_ones_own_unowned, 0, LENGTH(unowned_flags));
  tcase_add_loop_test(calls, unowned_is_unlocked_for_a_waiter, 0, LENGTH(unowned_flags));
  tcase_add_loop_test(calls, unowned_is_unlocked_as_it_is_taken, 0, LENGTH(unowned_flags));
  tcase_add_loop_test(calls, recursive_depth, 0, 2);
  tcase_add_loop_test(calls, depth_is_the_callers, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, free_while_in_use, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, unlock_of_a_freed_one_spares_its_successor, 0, LENGTH(unowned_flags));
  tcase_add_loop_test(calls, unlock_after_reset_and_free, 0, LENGTH(all_flags));

  TCase *order = test_case(s, "order", 20);
  tcase_add_loop_test(order, fair_is_first_come_first_served, 0, LENGTH(fair_flags));
  tcase_add_loop_test(order, fair_is_not_overtaken, 0, LENGTH(fair_flags));
  tcase_add_loop_test(order, mu_starvation_test, 0, LENGTH(all_flags));
  tcase_add_loop_test(order, woken_waiter_marks_contended_musl_e7655ed3, 0, LENGTH(all_flags));
  tcase_add_loop_test(order, stale_waiter_count_after_timeout_musl_159d1f6c, 0, LENGTH(all_flags));
  tcase_add_loop_test(order, lock_skipped_one_thread_musl_e01b5939, 0, LENGTH(all_flags));

  TCase *reset = test_case(s, "reset", 20);
  tcase_add_loop_test(reset, reset_makes_it_free, 0, LENGTH(all_flags));
  tcase_add_loop_test(reset, reset_by_another_thread, 0, LENGTH(all_flags));
  tcase_add_loop_test(reset, reset_lets_sleepers_on, 0, LENGTH(all_flags));
  return run_suite(s);
}
