/* identity.c and thread_record.c: thread ids, time, and what a thread leaves behind. */
#include "support.h"

#include <limits.h>

/* --- ids ---------------------------------------------------------------------------- */

enum { MANY = 60 };
static struct {
  pthread_barrier_t all_here;
  _Atomic int next;
  int64_t ids[MANY], native_ids[MANY];
} crowd;

static void *note_ids(void *unused)
{
  (void)unused;
  int i = crowd.next++;
  int64_t id = crowd.ids[i] = ilk_thread_id();
  crowd.native_ids[i] = ilk_thread_native_id();
  pthread_barrier_wait(&crowd.all_here); /* all alive at once */
  expect(ilk_thread_id(), id);
  expect(ilk_thread_native_id(), own_tid());
  return NULL;
}

START_TEST(ids_are_a_threads_own)
{
  int64_t own = ilk_thread_id();
  must(own >= 1 && own < INT64_C(1) << 30);
  expect(ilk_thread_native_id(), own_tid());
  pthread_barrier_init(&crowd.all_here, NULL, MANY);
  for (int round = 0; round < 3; round++) {
    crowd.next = 0;
    in_threads(MANY, note_ids, NULL);
    for (int i = 0; i < MANY; i++) {
      must(crowd.ids[i] >= 1 && crowd.ids[i] < INT64_C(1) << 30);
      must(crowd.ids[i] != own);
      for (int j = 0; j < i; j++) {
        must(crowd.ids[i] != crowd.ids[j]);
        must(crowd.native_ids[i] != crowd.native_ids[j]);
      }
    }
    expect(ilk_thread_id(), own);
  }
}
END_TEST

START_TEST(yield_and_cpu_count)
{
  expect(ilk_thread_yield(), ILK_OK);
  if (strcmp(ilk_backend(), "macos") == 0) { /* which binds no thread to a processor */
    expect(ilk_cpu_count(), sysconf(_SC_NPROCESSORS_ONLN));
    return;
  }
  cpu_set_t set, one;
  must(sched_getaffinity(0, sizeof set, &set) == 0);
  expect(ilk_cpu_count(), CPU_COUNT(&set));
  int cpu = 0;
  while (!CPU_ISSET(cpu, &set))
    cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  must(sched_setaffinity(0, sizeof one, &one) == 0);
  expect(ilk_cpu_count(), 1);
}
END_TEST

START_TEST(clock_is_monotonic)
{
  int64_t last = now();
  for (int i = 0; i < 10000; i++) {
    int64_t t = ilk_clock();
    must(t >= last);
    last = now();
    must(last >= t);
  }
}
END_TEST

START_TEST(sleep_is_never_short)
{
  expect(ilk_sleep(-1), ILK_EINVAL);
  expect(ilk_sleep(INT64_MIN), ILK_EINVAL);
  const int64_t lengths[] = {0, 1, 100, 10 * US, MS, 5 * MS};
  for (int i = 0; i < LENGTH(lengths); i++) {
    int64_t before = now();
    expect(ilk_sleep(lengths[i]), ILK_OK);
    must(now() - before >= lengths[i]);
  }
}
END_TEST

static int call_sleep(void *unused, int64_t ns)
{
  (void)unused;
  int64_t before = now();
  int result = ilk_sleep(ns);
  must(now() - before >= ns);
  return result;
}

START_TEST(sleep_in_a_storm_of_signals)
{
  struct waiter w;
  struct storm storm;
  waiter_start(&w, call_sleep, NULL, 30 * MS);
  storm_start(&storm, &w.thread, 1);
  while (w.result == PENDING)
    sched_yield();
  storm_end(&storm);
  expect(waiter_end(&w), ILK_OK);
}
END_TEST

START_TEST(sleep_for_ever_does_not_overflow)
{
  struct waiter w;
  waiter_sleep(&w, call_sleep, NULL, INT64_MAX);
  nap(20 * MS);
  expect(w.result, PENDING);
  pthread_detach(w.thread); /* the test's process ends without it */
}
END_TEST

/* --- threads that exit with a lock ------------------------------------------------------ */

static const int owned_flags[] = {0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE};
static const int unowned_flags[] = {ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR};

START_TEST(owner_died_for_a_later_thread)
{
  void *m = ilk_mutex_new(owned_flags[_i]);
  for (int round = 0; round < 4; round++) {
    expect(elsewhere(call_lock, m, 0), ILK_OK);
    expect(ilk_mutex_is_locked(m), 1);
    expect(ilk_mutex_unlock(m), ILK_EPERM);
    expect(round == 0   ? ilk_mutex_lock(m)
           : round == 1 ? ilk_mutex_trylock(m)
           : round == 2 ? ilk_mutex_timedlock(m, 0)
                        : ilk_mutex_timedlock(m, SECOND),
           ILK_OWNER_DIED);
    expect(elsewhere(call_trylock, m, 0), ILK_EBUSY);
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(ilk_mutex_lock(m), ILK_OK); /* reported once */
    expect(ilk_mutex_unlock(m), ILK_OK);
  }
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

/* A chain of waiters that each acquire a dead owner's lock and die too; the last one's lock may be
   freed. */
START_TEST(owner_died_again_and_again)
{
  void *m = ilk_mutex_new(owned_flags[_i]);
  expect(elsewhere(call_lock, m, 0), ILK_OK);
  for (int i = 0; i < 100; i++) /* the dead one's record and id are used again: not its lock */
    expect(elsewhere(call_lock, m, 0), ILK_OWNER_DIED);
  expect(ilk_mutex_free(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_EHANDLE);
}
END_TEST

/* Its record goes to the next thread, which does not hold its locks. */
START_TEST(next_thread_is_not_the_owner)
{
  void *m = ilk_mutex_new(owned_flags[_i]);
  expect(elsewhere(call_lock, m, 0), ILK_OK);
  expect(elsewhere(call_unlock, m, 0), ILK_EPERM);
  expect(ilk_mutex_is_locked(m), 1);
  expect(elsewhere(call_visit, m, 0), ILK_OWNER_DIED);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

static int lock_three_times(void *m, int64_t unused)
{
  (void)unused;
  for (int i = 0; i < 3; i++)
    expect(ilk_mutex_lock(m), ILK_OK);
  return ILK_OK;
}

START_TEST(owner_died_three_deep)
{
  void *m = ilk_mutex_new(ILK_RECURSIVE);
  expect(elsewhere(lock_three_times, m, 0), ILK_OK);
  expect(ilk_mutex_lock(m), ILK_OWNER_DIED);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  expect(elsewhere(call_visit, m, 0), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

struct holder {
  void *mutex;
  _Atomic int holds, leave;
};

static void *hold_until_released(void *argument)
{
  struct holder *h = argument;
  expect(ilk_mutex_lock(h->mutex), ILK_OK);
  h->holds = 1;
  while (!h->leave)
    sched_yield();
  return NULL;
}

START_TEST(owner_died_for_a_sleeping_thread)
{
  struct holder h = {.mutex = ilk_mutex_new(owned_flags[_i])};
  pthread_t holder = start(hold_until_released, &h);
  while (!h.holds)
    sched_yield();
  struct waiter waiters[4];
  for (int i = 0; i < LENGTH(waiters); i++)
    waiter_sleep(&waiters[i], call_visit, h.mutex, i % 2 ? -1 : 3600 * SECOND);
  h.leave = 1;
  join(holder);
  int died = 0;
  for (int i = 0; i < LENGTH(waiters); i++) {
    int result = waiter_end(&waiters[i]);
    must(result == ILK_OK || result == ILK_OWNER_DIED);
    died += result == ILK_OWNER_DIED;
  }
  expect(died, 1);
  expect(ilk_mutex_free(h.mutex), ILK_OK);
}
END_TEST

START_TEST(unowned_outlives_its_thread)
{
  void *m = ilk_mutex_new(unowned_flags[_i]);
  expect(elsewhere(call_lock, m, 0), ILK_OK);
  expect(ilk_mutex_is_locked(m), 1);
  expect(ilk_mutex_trylock(m), ILK_EBUSY);
  expect(ilk_mutex_timedlock(m, MS), ILK_ETIMEDOUT);
  expect(ilk_mutex_free(m), ILK_EBUSY);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(elsewhere(call_lock, m, 0), ILK_OK);
  expect(ilk_mutex_reset(m), ILK_OK);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

/* A holder, a waiter with a deadline, and one that waits forever: whatever comes first, the
   holder's exit or the deadline, the waiter without a deadline acquires the lock. */
static void *hold_for_a_while(void *argument)
{
  struct holder *h = argument;
  must(ilk_mutex_lock(h->mutex) >= 0);
  h->holds = 1;
  int64_t until = now() + h->leave * US;
  while (now() < until)
    ;
  return NULL;
}

START_TEST(timed_out_waiter_swallows_owners_death_parking_lot_465)
{
  for (int64_t end = stress_end(150); now() < end;) {
    struct holder h = {.mutex = ilk_mutex_new(owned_flags[_i]), .leave = 100};
    pthread_t holder = start(hold_for_a_while, &h);
    while (!h.holds)
      sched_yield();
    struct waiter timed[2], patient;
    waiter_start(&timed[0], call_visit, h.mutex, (40 + below(100)) * US);
    waiter_start(&timed[1], call_visit, h.mutex, (40 + below(100)) * US);
    waiter_start(&patient, call_visit, h.mutex, -1);
    join(holder);
    int died = 0;
    for (int i = 0; i < 2; i++) {
      int result = waiter_end(&timed[i]);
      must(result == ILK_OK || result == ILK_OWNER_DIED || result == ILK_ETIMEDOUT);
      died += result == ILK_OWNER_DIED;
    }
    int result = waiter_end(&patient);
    must(result == ILK_OK || result == ILK_OWNER_DIED);
    expect(died + (result == ILK_OWNER_DIED), 1);
    expect(ilk_mutex_free(h.mutex), ILK_OK);
  }
}
END_TEST

static void unlock_at_exit(void *mutex)
{
  expect(ilk_mutex_unlock(mutex), ILK_OK);
}

static pthread_key_t at_exit;

static void *lock_with_destructor(void *m)
{
  pthread_setspecific(at_exit, m);
  expect(ilk_mutex_lock(m), ILK_OK);
  return NULL;
}

/* A destructor of thread-local data still finds the thread the owner. */
START_TEST(destructor_unlocks)
{
  void *m = ilk_mutex_new(owned_flags[_i]);
  must(pthread_key_create(&at_exit, unlock_at_exit) == 0);
  join(start(lock_with_destructor, m));
  expect(ilk_mutex_trylock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

/* pthread_cancel() does not take effect within a wait: no call is a cancellation point. */
static void *cancelled_waiter(void *argument)
{
  struct holder *h = argument;
  h->holds = own_tid();
  expect(ilk_mutex_lock(h->mutex), ILK_OK);
  h->leave = 1;
  pthread_testcancel();
  return NULL;
}

START_TEST(wait_is_no_cancellation_point)
{
  struct holder h = {.mutex = ilk_mutex_new(0)};
  expect(ilk_mutex_lock(h.mutex), ILK_OK);
  pthread_t waiter = start(cancelled_waiter, &h);
  while (!h.holds)
    sched_yield();
  until_asleep(h.holds);
  pthread_cancel(waiter);
  nap(3 * MS);
  expect(h.leave, 0);
  expect(ilk_mutex_unlock(h.mutex), ILK_OK);
  void *result;
  pthread_join(waiter, &result);
  must(result == PTHREAD_CANCELED);
  expect(h.leave, 1);
  expect(ilk_mutex_trylock(h.mutex), ILK_OWNER_DIED); /* it died of it, holding */
  expect(ilk_mutex_unlock(h.mutex), ILK_OK);
  expect(ilk_mutex_free(h.mutex), ILK_OK);
}
END_TEST

static int lock_and_exit_at_once(void *m, int64_t unused)
{
  (void)unused;
  must(ilk_mutex_lock(m) >= 0);
  pthread_exit(NULL);
}

/* Many short-lived threads: records are used again, and no thread's death is mistaken for
   another's. */
START_TEST(many_short_lives)
{
  void *m = ilk_mutex_new(0), *mine = ilk_mutex_new(0);
  expect(ilk_mutex_lock(mine), ILK_OK);
  for (int i = 0; i < 500; i++) {
    expect(elsewhere(lock_and_exit_at_once, m, 0), PENDING);
    expect(elsewhere(call_trylock, mine, 0), ILK_EBUSY);
  }
  expect(ilk_mutex_lock(m), ILK_OWNER_DIED);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_unlock(mine), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  expect(ilk_mutex_free(mine), ILK_OK);
}
END_TEST

/* --- the last round of destructors ------------------------------------------------------------ */

static struct {
  pthread_key_t key;
  void *mutex;
  int rounds;
  bool sleeps; /* another waits for the mutex while the thread ends */
  bool late;   /* the thread does not call before */
  struct waiter waiter;
} last;

static void in_each_round(void *round)
{
  intptr_t n = (intptr_t)round;
  if (!last.late)
    ilk_thread_id();
  if (n == last.rounds) {
    expect(ilk_mutex_trylock(last.mutex), ILK_OK);
    if (last.sleeps)
      waiter_sleep(&last.waiter, call_visit, last.mutex, -1);
  } else {
    pthread_setspecific(last.key, (void *)(n + 1));
  }
}

static void *exit_slowly(void *unused)
{
  if (!last.late)
    ilk_thread_id();
  pthread_setspecific(last.key, (void *)(intptr_t)1);
  return unused;
}

static int count_threads(void)
{
  char text[400];
  ilk_report(text, sizeof text);
  const char *handles = strstr(text, "live handle");
  must(handles != NULL);
  return atoi(strchr(handles, ',') + 1);
}

/* A thread that calls in the last round of its destructors, after the library's own. Where the
   system cannot tell that it is gone, what it holds stays. */
START_TEST(what_is_locked_in_a_last_destructor_is_a_dead_threads)
{
  if (TSAN || ASAN)
    return; /* which end their own part of the thread in that round */
  last.late = _i;
  pthread_key_create(&last.key, in_each_round);
  last.mutex = ilk_mutex_new(0);
  for (last.rounds = 1; last.rounds <= PTHREAD_DESTRUCTOR_ITERATIONS; last.rounds++)
    for (int sleeps = 0; sleeps < 1 + EXIT_MAY_START_THREADS; sleeps++) {
      last.sleeps = sleeps;
      join(start(exit_slowly, NULL));
      if (sleeps)
        expect(waiter_end(&last.waiter), ILK_OWNER_DIED);
      else /* a joined thread may still be there for a moment */
        for (int result; (result = call_visit(last.mutex, last.late ? -1 : 0)) != ILK_OWNER_DIED;)
          expect(result, ILK_ETIMEDOUT);
      expect(call_visit(last.mutex, 0), ILK_OK);
    }
  expect(ilk_mutex_free(last.mutex), ILK_OK);
}
END_TEST

#ifdef __linux__

/* In a fork's child: the main thread is gone, the process is not. Without a join: in musl 1.2.3 no
   other thread of such a child can end once its main thread has. */
static void *wait_for_main(void *unused)
{
  (void)unused;
  while (last.waiter.result == PENDING)
    nap(MS);
  expect(last.waiter.result, ILK_OWNER_DIED);
  _exit(0);
}

static void in_its_last_round(void *round)
{
  in_each_round(round);
  if ((intptr_t)round == last.rounds)
    start(wait_for_main, NULL);
}

/* It remains as a zombie, to which signals can be sent. */
START_TEST(what_the_main_thread_locked_in_its_last_destructor_stayed_locked)
{
  if (TSAN || ASAN)
    return; /* as above */
  last.mutex = ilk_mutex_new(0);
  last.rounds = PTHREAD_DESTRUCTOR_ITERATIONS;
  last.sleeps = true;
  pid_t child = fork();
  if (child == 0) {
    alarm(15);
    pthread_key_create(&last.key, in_its_last_round);
    exit_slowly(NULL);
    pthread_exit(NULL);
  }
  int status;
  must(waitpid(child, &status, 0) == child);
  expect(status, 0);
  expect(ilk_mutex_free(last.mutex), ILK_OK);
}
END_TEST

#endif

static pthread_key_t using_key;
static void *rwlock, *condition;

static void use_in_last_round(void *round)
{
  intptr_t n = (intptr_t)round;
  ilk_thread_id();
  if (n < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(using_key, (void *)(n + 1));
    return;
  }
  expect(ilk_rwlock_read_lock(rwlock), ILK_OK);
  expect(ilk_condition_wait_begin(condition), ILK_OK);
}

static void *exit_in_use(void *unused)
{
  ilk_thread_id();
  pthread_setspecific(using_key, (void *)(intptr_t)1);
  return unused;
}

/* No thread waited, so none noticed the exit, and the free failed forever. */
START_TEST(what_a_last_destructor_used_was_never_free)
{
  if (TSAN || ASAN)
    return; /* as above */
  pthread_key_create(&using_key, use_in_last_round);
  for (int i = 0; i < 2; i++) {
    rwlock = ilk_rwlock_new(0);
    condition = ilk_condition_new(0);
    join(start(exit_in_use, NULL));
    int (*const free_it[])(void *) = {ilk_rwlock_free, ilk_condition_free};
    void *const objects[] = {rwlock, condition};
    for (int k = 0; k < 2; k++) { /* a joined thread may still be there for a moment */
      int result;
      int64_t begin = now();
      while ((result = free_it[(i + k) % 2](objects[(i + k) % 2])) == ILK_EBUSY &&
             now() - begin < 5 * SECOND)
        nap(MS);
      expect(result, ILK_OK);
    }
  }
}
END_TEST

static void use_at_last(void *round)
{
  intptr_t n = (intptr_t)round;
  if (n < PTHREAD_DESTRUCTOR_ITERATIONS)
    pthread_setspecific(last.key, (void *)(n + 1));
  else
    ilk_thread_id();
}

START_TEST(threads_that_call_only_in_a_last_destructor_leave_nothing)
{
  if (TSAN || ASAN)
    return; /* as above */
  pthread_key_create(&last.key, use_at_last);
  last.late = true;
  int before = count_threads();
  for (int i = 0; i < 1000; i++)
    join(start(exit_slowly, NULL));
  must(count_threads() < before + 150);
}
END_TEST

static void *use_slowly(void *unused)
{
  last.rounds = INT_MAX; /* locks nothing, however many rounds there are */
  return exit_slowly(unused);
}

START_TEST(threads_that_call_in_a_last_destructor_leave_nothing)
{
  if (TSAN || ASAN)
    return; /* which end their own part of the thread in that round */
  pthread_key_create(&last.key, in_each_round);
  int before = count_threads();
  for (int i = 0; i < 500; i++)
    join(start(use_slowly, NULL));
  must(count_threads() < before + 50);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("thread");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, ids_are_a_threads_own);
  tcase_add_test(calls, yield_and_cpu_count);
  tcase_add_test(calls, clock_is_monotonic);
  tcase_add_test(calls, sleep_is_never_short);
  tcase_add_test(calls, sleep_in_a_storm_of_signals);
  tcase_add_test(calls, sleep_for_ever_does_not_overflow);

  TCase *exits = test_case(s, "exit", 20);
  tcase_add_loop_test(exits, owner_died_for_a_later_thread, 0, LENGTH(owned_flags));
  tcase_add_loop_test(exits, owner_died_again_and_again, 0, LENGTH(owned_flags));
  tcase_add_loop_test(exits, next_thread_is_not_the_owner, 0, LENGTH(owned_flags));
  tcase_add_test(exits, owner_died_three_deep);
  tcase_add_loop_test(exits, owner_died_for_a_sleeping_thread, 0, LENGTH(owned_flags));
  tcase_add_loop_test(exits, unowned_outlives_its_thread, 0, LENGTH(unowned_flags));
  tcase_add_loop_test(exits, timed_out_waiter_swallows_owners_death_parking_lot_465, 0,
                      LENGTH(owned_flags));
  tcase_add_loop_test(exits, destructor_unlocks, 0, LENGTH(owned_flags));
  tcase_add_test(exits, wait_is_no_cancellation_point);
  tcase_add_test(exits, many_short_lives);
  tcase_add_loop_test(exits, what_is_locked_in_a_last_destructor_is_a_dead_threads, 0, 2);
#ifdef __linux__
  if (!skipped_if_emulated("what_the_main_thread_locked_in_its_last_destructor_stayed_locked",
                           "qemu-user's /proc/self/stat always says that it runs"))
    tcase_add_test(exits, what_the_main_thread_locked_in_its_last_destructor_stayed_locked);
#endif
  tcase_add_test(exits, what_a_last_destructor_used_was_never_free);
  tcase_add_test(exits, threads_that_call_in_a_last_destructor_leave_nothing);
  tcase_add_test(exits, threads_that_call_only_in_a_last_destructor_leave_nothing);
  return run_suite(s);
}
