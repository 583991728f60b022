/* once.c. */
#include "shapes.h"

static void *new_once(void)
{
  void *o = ilk_once_new(0);
  must(o != NULL);
  return o;
}

static void free_once(void *o)
{
  expect(ilk_once_free(o), ILK_OK);
}

/* In the shape of a waiter's call. */
static int call_begin(void *o, int64_t unused)
{
  (void)unused;
  return ilk_once_begin(o);
}

static int call_end(void *o, int64_t succeeded)
{
  return ilk_once_end(o, (int)succeeded);
}

/* Begins, and does it; so that it exits with nothing begun. */
static int call_do(void *o, int64_t succeeded)
{
  int result = ilk_once_begin(o);
  if (result == 1)
    expect(ilk_once_end(o, (int)succeeded), ILK_OK);
  return result;
}

START_TEST(new_checks_its_flags)
{
  const int bad[] = {ILK_RECURSIVE, ILK_FAIR, ILK_UNOWNED, ILK_SHARED, ILK_PADDED, 32, -1};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_once_new(bad[i]), ILK_EINVAL);
}
END_TEST

START_TEST(every_call_checks_its_handle)
{
  void *freed = new_once(), *other = ilk_counter_new(0);
  free_once(freed);
  void *bad[] = {NULL, freed, other, (void *)-1, (void *)1, &freed, (void *)((uintptr_t)other ^ 1)};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_once_begin(bad[i]), ILK_EHANDLE);
    expect(ilk_once_end(bad[i], 1), ILK_EHANDLE);
    expect(ilk_once_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_counter_free(other), ILK_OK);
}
END_TEST

START_TEST(begin_and_end)
{
  void *o = new_once();
  expect(ilk_once_end(o, 1), ILK_EPERM); /* not begun */
  expect(ilk_once_begin(o), 1);
  expect(ilk_once_begin(o), ILK_EDEADLK);
  expect(ilk_once_free(o), ILK_EBUSY);
  expect(elsewhere(call_end, o, 1), ILK_EPERM);
  expect(ilk_once_end(o, 0), ILK_OK);
  expect(ilk_once_end(o, 0), ILK_EPERM);
  expect(elsewhere(call_do, o, 0), 1); /* not done after all */
  expect(ilk_once_begin(o), 1);
  expect(ilk_once_end(o, -7), ILK_OK); /* anything but 0 */
  for (int i = 0; i < 3; i++)
    expect(ilk_once_begin(o), 0);
  expect(ilk_once_end(o, 1), ILK_EPERM);
  expect(ilk_once_end(o, 0), ILK_EPERM);
  expect(elsewhere(call_begin, o, 0), 0);
  free_once(o);
}
END_TEST

START_TEST(begin_waits_while_another_does_it)
{
  void *o = new_once();
  expect(ilk_once_begin(o), 1);
  struct waiter w[4];
  for (int i = 0; i < 4; i++)
    waiter_sleep(&w[i], call_do, o, 1);
  nap(120 * MS); /* they have searched for a cycle, and do not wake by themselves again */
  expect(ilk_once_free(o), ILK_EBUSY);
  expect(ilk_once_end(o, 1), ILK_OK);
  for (int i = 0; i < 4; i++)
    expect(waiter_end(&w[i]), 0);
  free_once(o);
}
END_TEST

static int call_timedbegin(void *o, int64_t timeout_ns)
{
  return ilk_once_timedbegin(o, timeout_ns);
}

START_TEST(tries_and_deadlines)
{
  void *o = new_once();
  expect(ilk_once_trybegin(o), 1);
  expect(ilk_once_trybegin(o), ILK_EBUSY); /* a try does not wait */
  expect(ilk_once_timedbegin(o, 0), ILK_ETIMEDOUT);
  expect(ilk_once_timedbegin(o, MS), ILK_EDEADLK);
  int64_t begin = now();
  expect(elsewhere(call_timedbegin, o, 0), ILK_ETIMEDOUT);
  expect(elsewhere(call_timedbegin, o, 3 * MS), ILK_ETIMEDOUT);
  must(now() - begin >= 3 * MS);
  struct waiter w;
  waiter_sleep(&w, call_timedbegin, o, 3600 * SECOND);
  expect(ilk_once_end(o, 1), ILK_OK);
  expect(waiter_end(&w), 0);
  expect(ilk_once_trybegin(o), 0);
  expect(ilk_once_timedbegin(o, 0), 0);
  free_once(o);
  expect(ilk_once_trybegin(o), ILK_EHANDLE);
  expect(ilk_once_timedbegin(o, 0), ILK_EHANDLE);
}
END_TEST

/* After a failure one of the waiters does it, and the others wait for that one. */
START_TEST(failure_passes_it_on_to_one)
{
  for (int failures = 0; failures < 2; failures++) {
    void *o = new_once();
    expect(ilk_once_begin(o), 1);
    struct waiter w[4];
    for (int i = 0; i < 4; i++)
      waiter_sleep(&w[i], call_do, o, !failures);
    expect(ilk_once_end(o, 0), ILK_OK);
    int told = 0;
    for (int i = 0; i < 4; i++)
      told += waiter_end(&w[i]);
    expect(told, failures ? 4 : 1);
    free_once(o);
  }
}
END_TEST

/* --- runners that die
   -------------------------------------------------------------------------- */

START_TEST(the_thread_that_began_exited)
{
  void *o = new_once();
  expect(elsewhere(call_begin, o, 0), 1);
  expect(ilk_once_begin(o), 1);
  expect(ilk_once_end(o, 0), ILK_OK);
  expect(elsewhere(call_begin, o, 0), 1);
  free_once(o); /* no thread uses it any more */
}
END_TEST

static struct {
  void *once;
  _Atomic bool begun, die;
} doomed;

static void *begin_and_die(void *unused)
{
  (void)unused;
  expect(ilk_once_begin(doomed.once), 1);
  doomed.begun = true;
  while (!doomed.die)
    sched_yield();
  return NULL;
}

START_TEST(the_thread_that_began_exits_while_others_wait)
{
  for (int round = 0; round < 5; round++) {
    doomed.once = new_once();
    doomed.begun = doomed.die = false;
    pthread_t thread = start(begin_and_die, NULL);
    while (!doomed.begun)
      sched_yield();
    struct waiter w[3];
    for (int i = 0; i < 3; i++)
      waiter_sleep(&w[i], call_do, doomed.once, 1);
    if (round == 0)
      nap(120 * MS); /* they have searched for a cycle, and do not wake by themselves again */
    doomed.die = true;
    join(thread);
    int told = 0;
    for (int i = 0; i < 3; i++)
      told += waiter_end(&w[i]);
    expect(told, 1);
    free_once(doomed.once);
  }
}
END_TEST

static void after_fork(void *mine)
{
  expect(ilk_once_begin(mine), ILK_EDEADLK); /* the thread that forked began it */
  if (!TSAN) {                               /* which knows no thread in such a child */
    struct waiter own;
    waiter_sleep(&own, call_do, mine, 1);
    expect(ilk_once_end(mine, 1), ILK_OK);
    expect(waiter_end(&own), 0);
  }
  expect(ilk_once_begin(doomed.once), 1);
  expect(ilk_once_end(doomed.once, 1), ILK_OK);
  expect(ilk_once_begin(doomed.once), 0);
  free_once(doomed.once);
}

START_TEST(bug_12_fork_while_another_does_it)
{
  doomed.once = new_once();
  doomed.begun = doomed.die = false;
  void *mine = new_once();
  expect(ilk_once_begin(mine), 1);
  pthread_t thread = start(begin_and_die, NULL);
  while (!doomed.begun)
    sched_yield();
  struct waiter w;
  waiter_sleep(&w, call_do, doomed.once, 1);
  in_child(after_fork, mine);
  doomed.die = true;
  join(thread);
  expect(waiter_end(&w), 1);
  expect(ilk_once_end(mine, 1), ILK_OK);
  free_once(doomed.once);
  free_once(mine);
}
END_TEST

/* --- deadlock cycles
   -------------------------------------------------------------------------------------- */

struct party {
  void *mine, *other;
  pthread_barrier_t *both;
  bool through_mutex;
  int result;
};

/* Does `mine`, and on the way needs `other`. */
static void *need_the_other(void *argument)
{
  struct party *p = argument;
  expect(p->through_mutex ? ilk_mutex_lock(p->mine) : ilk_once_begin(p->mine), !p->through_mutex);
  pthread_barrier_wait(p->both);
  p->result = ilk_once_begin(p->other);
  if (p->result == 1) /* after the other one's failure */
    expect(ilk_once_end(p->other, 1), ILK_OK);
  expect(p->through_mutex ? ilk_mutex_unlock(p->mine) : ilk_once_end(p->mine, p->result >= 0),
         ILK_OK);
  return NULL;
}

START_TEST(deadlock_cycle_of_two)
{
  void *a = new_once(), *b = new_once();
  pthread_barrier_t both;
  pthread_barrier_init(&both, NULL, 2);
  struct party p[2] = {{.mine = a, .other = b, .both = &both},
                       {.mine = b, .other = a, .both = &both}};
  int64_t begin = now();
  pthread_t threads[2] = {start(need_the_other, &p[0]), start(need_the_other, &p[1])};
  join(threads[0]);
  join(threads[1]);
  must(now() - begin < PATIENCE);
  must(p[0].result == ILK_EDEADLK || p[1].result == ILK_EDEADLK);
  free_once(a);
  free_once(b);
}
END_TEST

START_TEST(deadlock_cycle_through_a_mutex)
{
  void *m = ilk_mutex_new(0), *o = new_once();
  pthread_barrier_t both;
  pthread_barrier_init(&both, NULL, 2);
  struct party p = {.mine = m, .other = o, .both = &both, .through_mutex = true};
  expect(ilk_once_begin(o), 1);
  pthread_t thread = start(need_the_other, &p);
  pthread_barrier_wait(&both);
  int result = ilk_mutex_lock(m);
  must(result == ILK_EDEADLK || result == ILK_OK);
  if (result == ILK_OK) /* the cycle was reported to the other thread, which did not wait on */
    expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_once_end(o, 1), ILK_OK);
  join(thread);
  /* It may be reported to both. */
  must(p.result == ILK_EDEADLK || (result == ILK_EDEADLK && p.result == 0));
  expect(ilk_mutex_free(m), ILK_OK);
  free_once(o);
}
END_TEST

START_TEST(cancel_ends_a_wait)
{
  void *o = new_once();
  expect(ilk_once_begin(o), 1);
  struct waiter w;
  waiter_sleep(&w, call_begin, o, 0);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_once_end(o, 1), ILK_OK);
  free_once(o);
}
END_TEST

static void *new_begun(void)
{
  void *o = new_once();
  expect(ilk_once_begin(o), 1);
  return o;
}

static int succeed(void *o)
{
  return ilk_once_end(o, 1);
}

static int wait_for_it(void *o, int64_t unused)
{
  int result = call_begin(o, unused);
  must(result != 1); /* done by another */
  return result;
}

static const struct shape shape = {new_begun, wait_for_it, succeed, ilk_once_free, HAS_NO_TIME};

START_TEST(bug_3_signals_end_no_wait)
{
  signals_end_no_wait(&shape);
}
END_TEST

/* --- a once that runs twice
   --------------------------------------------------------------------------- */

enum { ONCES = 64, THREADS = 4 };

static struct {
  void *once[ONCES];
  int64_t runs[ONCES], tries[ONCES]; /* plain: the once must order them */
  pthread_barrier_t round;
} race;

static void *do_all(void *failing)
{
  for (int i = 0; i < ONCES; i++) {
    if (i % 16 == 0)
      pthread_barrier_wait(&race.round);
    int result;
    while ((result = ilk_once_begin(race.once[i])) == 1) {
      race.tries[i]++;
      jitter();
      bool succeeds = !failing || below(3) == 0;
      race.runs[i] += succeeds;
      expect(ilk_once_end(race.once[i], succeeds), ILK_OK);
    }
    expect(result, 0);
    expect(race.runs[i], 1);
    must(race.tries[i] >= 1);
  }
  return NULL;
}

START_TEST(done_once_and_seen_by_all)
{
  pthread_barrier_init(&race.round, NULL, THREADS);
  for (int64_t end = stress_end(250); now() < end;) {
    for (int i = 0; i < ONCES; i++) {
      race.once[i] = new_once();
      race.runs[i] = race.tries[i] = 0;
    }
    in_threads(THREADS, do_all, (void *)(intptr_t)_i);
    for (int i = 0; i < ONCES; i++)
      free_once(race.once[i]);
  }
}
END_TEST

/* --- freed
   ------------------------------------------------------------------------------------------------ */

START_TEST(bug_1_freed_by_the_first_through)
{
  freed_by_the_first_through(&shape);
}
END_TEST

static void use(void *o)
{
  int result = ilk_once_begin(o);
  must(result == 0 || result == 1 || result == ILK_EHANDLE);
  if (result == 1)
    expect(ilk_once_end(o, below(20) == 0), ILK_OK); /* it cannot be freed before */
  else
    must((result = ilk_once_end(o, 1)) == ILK_EPERM || result == ILK_EHANDLE);
}

START_TEST(freed_while_hammered)
{
  freed_while_used(new_once, use, ilk_once_free);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("once");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_flags);
  tcase_add_test(calls, every_call_checks_its_handle);
  tcase_add_test(calls, begin_and_end);
  tcase_add_test(calls, begin_waits_while_another_does_it);
  tcase_add_test(calls, tries_and_deadlines);
  tcase_add_test(calls, failure_passes_it_on_to_one);
  tcase_add_test(calls, the_thread_that_began_exited);
  tcase_add_test(calls, the_thread_that_began_exits_while_others_wait);
  tcase_add_test(calls, bug_12_fork_while_another_does_it);
  tcase_add_test(calls, deadlock_cycle_of_two);
  tcase_add_test(calls, deadlock_cycle_through_a_mutex);
  tcase_add_test(calls, cancel_ends_a_wait);
  tcase_add_test(calls, bug_3_signals_end_no_wait);

  TCase *load = test_case(s, "load", 20);
  tcase_add_loop_test(load, done_once_and_seen_by_all, 0, 2);
  tcase_add_test(load, bug_1_freed_by_the_first_through);
  tcase_add_test(load, freed_while_hammered);
  return run_suite(s);
}
