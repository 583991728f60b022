/* barrier.c. */
#include "support.h"

#include <sys/wait.h>

static void *new_barrier(int parties)
{
  void *b = ilk_barrier_new(parties);
  must(b != NULL);
  return b;
}

static void free_barrier(void *b)
{
  expect(ilk_barrier_free(b), ILK_OK);
}

START_TEST(new_checks_its_parties)
{
  const int bad[] = {0, -1, INT32_MIN};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_barrier_new(bad[i]), ILK_EINVAL);
  void *b = new_barrier(INT32_MAX);
  struct waiter w;
  waiter_sleep(&w, ilk_barrier_timedwait, b, -1);
  expect(ilk_barrier_waiting(b), 1);
  expect(ilk_barrier_timedwait(b, 0), ILK_ETIMEDOUT);
  expect(waiter_end(&w), ILK_EBROKEN);
  free_barrier(b);
}
END_TEST

START_TEST(every_call_checks_its_handle)
{
  void *freed = new_barrier(1), *other = ilk_counter_new(0);
  free_barrier(freed);
  void *bad[] = {NULL, freed, other, (void *)-1, (void *)1, &freed, (void *)((uintptr_t)other ^ 1)};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_barrier_wait(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_timedwait(bad[i], 0), ILK_EHANDLE);
    expect(ilk_barrier_abort(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_reset(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_is_broken(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_waiting(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_counter_free(other), ILK_OK);
}
END_TEST

START_TEST(a_party_of_one)
{
  void *b = new_barrier(1);
  for (int i = 0; i < 1000; i++) {
    expect(ilk_barrier_wait(b), 0);
    expect(ilk_barrier_timedwait(b, 0), 0);
    expect(ilk_barrier_waiting(b), 0);
  }
  free_barrier(b);
}
END_TEST

START_TEST(places_in_the_order_of_arrival)
{
  const int64_t timeouts[] = {-1, INT64_MAX, 3600 * SECOND};
  void *b = new_barrier(4);
  for (int round = 0; round < 3; round++) {
    struct waiter w[3];
    for (int i = 0; i < 3; i++) {
      expect(ilk_barrier_waiting(b), i);
      waiter_sleep(&w[i], ilk_barrier_timedwait, b, timeouts[i]);
    }
    expect(ilk_barrier_waiting(b), 3);
    expect(ilk_barrier_is_broken(b), 0);
    expect(ilk_barrier_free(b), ILK_EBUSY);
    expect(ilk_barrier_timedwait(b, 0), 3); /* the last to arrive waits for nobody */
    for (int i = 0; i < 3; i++)
      expect(waiter_end(&w[i]), i);
    expect(ilk_barrier_waiting(b), 0);
  }
  free_barrier(b);
}
END_TEST

static void expect_broken(void *b)
{
  expect(ilk_barrier_is_broken(b), 1);
  expect(ilk_barrier_waiting(b), 0);
  expect(ilk_barrier_wait(b), ILK_EBROKEN);
  expect(ilk_barrier_timedwait(b, 0), ILK_EBROKEN);
}

/* It is as new: three threads go through. */
static void expect_usable(void *b)
{
  expect(ilk_barrier_is_broken(b), 0);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_start(&w[i], ilk_barrier_timedwait, b, -1);
  int sum = ilk_barrier_wait(b);
  for (int i = 0; i < 2; i++)
    sum += waiter_end(&w[i]);
  expect(sum, 0 + 1 + 2);
}

START_TEST(a_timeout_breaks_it_for_all)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 3; round++) {
    struct waiter w;
    waiter_sleep(&w, ilk_barrier_timedwait, b, -1);
    int64_t begin = now();
    expect(ilk_barrier_timedwait(b, round * 3 * MS), ILK_ETIMEDOUT); /* 0 too */
    must(now() - begin >= round * 3 * MS);
    expect(waiter_end(&w), ILK_EBROKEN);
    expect_broken(b);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect_usable(b);
  }
  expect(ilk_barrier_timedwait(b, MS), ILK_ETIMEDOUT); /* alone */
  expect_broken(b);
  free_barrier(b); /* broken or not */
}
END_TEST

START_TEST(abort_and_reset)
{
  void *b = new_barrier(3);
  expect(ilk_barrier_reset(b), ILK_OK);
  expect_usable(b);
  for (int i = 0; i < 2; i++) {
    expect(ilk_barrier_abort(b), ILK_OK);
    expect_broken(b);
  }
  for (int i = 0; i < 2; i++) {
    expect(ilk_barrier_reset(b), ILK_OK);
    expect_usable(b);
  }
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
  expect(ilk_barrier_abort(b), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), ILK_EBROKEN);
  expect_broken(b);
  expect(ilk_barrier_reset(b), ILK_OK);
  expect_usable(b);
  free_barrier(b);
}
END_TEST

START_TEST(reset_with_waiters_inside)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 20; round++) {
    struct waiter w[2], next[2];
    for (int i = 0; i < 2; i++)
      waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect(ilk_barrier_is_broken(b), 0);
    /* At once, while those may still be on their way out. */
    for (int i = 0; i < 2; i++)
      waiter_start(&next[i], ilk_barrier_timedwait, b, -1);
    int sum = ilk_barrier_wait(b);
    for (int i = 0; i < 2; i++) {
      expect(waiter_end(&w[i]), ILK_EBROKEN);
      sum += waiter_end(&next[i]);
    }
    expect(sum, 0 + 1 + 2);
  }
  free_barrier(b);
}
END_TEST

/* Those inside are mostly still on their way out when it is broken again. */
START_TEST(broken_during_a_reset)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 20; round++) {
    struct waiter w[2], next;
    for (int i = 0; i < 2; i++)
      waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
    expect(ilk_barrier_reset(b), ILK_OK);
    if (round % 4 == 0)
      waiter_start(&next, ilk_barrier_timedwait, b, -1);
    if (round % 2)
      expect(ilk_barrier_timedwait(b, 0), ILK_ETIMEDOUT);
    else
      expect(ilk_barrier_abort(b), ILK_OK);
    if (round % 4 != 0)
      waiter_start(&next, ilk_barrier_timedwait, b, -1);
    for (int i = 0; i < 2; i++)
      expect(waiter_end(&w[i]), ILK_EBROKEN);
    expect(waiter_end(&next), ILK_EBROKEN);
    expect_broken(b);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect_usable(b);
  }
  free_barrier(b);
}
END_TEST

START_TEST(cancel_breaks_it)
{
  void *b = new_barrier(3);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
  expect(ilk_cancel(1), ILK_OK);
  int cancelled = 0;
  for (int i = 0; i < 2; i++) {
    int result = waiter_end(&w[i]);
    must(result == ILK_ECANCELED || result == ILK_EBROKEN);
    cancelled += result == ILK_ECANCELED;
  }
  must(cancelled >= 1);
  expect(ilk_cancel(0), ILK_OK);
  expect_broken(b);
  free_barrier(b);
}
END_TEST

START_TEST(bug_4_stale_waiter_count_after_timeout)
{
  void *b = new_barrier(5);
  struct waiter w[4];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++)
      waiter_start(&w[i], ilk_barrier_timedwait, b, 3 * MS);
    for (int i = 0; i < 4; i++) {
      int result = waiter_end(&w[i]);
      must(result == ILK_ETIMEDOUT || result == ILK_EBROKEN);
    }
    expect(ilk_barrier_reset(b), ILK_OK);
    expect(ilk_barrier_waiting(b), 0);
  }
  free_barrier(b);
}
END_TEST

START_TEST(bug_3_signals_end_no_wait)
{
  void *b = new_barrier(3);
  struct waiter w[2];
  waiter_sleep(&w[0], ilk_barrier_timedwait, b, -1);
  waiter_sleep(&w[1], ilk_barrier_timedwait, b, 3600 * SECOND);
  pthread_t threads[2] = {w[0].thread, w[1].thread};
  struct storm storm;
  storm_start(&storm, threads, 2);
  nap(20 * MS);
  storm_end(&storm);
  for (int i = 0; i < 2; i++)
    expect(w[i].result, PENDING);
  expect(ilk_barrier_wait(b), 2);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), i);
  free_barrier(b);
}
END_TEST

START_TEST(bug_12_fork_with_waiters)
{
  void *b = new_barrier(3), *broken = new_barrier(3);
  expect(ilk_barrier_abort(broken), ILK_OK);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
  pid_t child = fork();
  if (child == 0) {
    expect(ilk_barrier_waiting(b), 0); /* those stayed behind */
    if (!TSAN) /* which knows no thread in such a child */
      expect_usable(b);
    free_barrier(b);
    expect_broken(broken);
    free_barrier(broken);
    _exit(0);
  }
  int status;
  must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  expect(ilk_barrier_wait(b), 2);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), i);
  free_barrier(b);
  free_barrier(broken);
}
END_TEST

/* --- rounds ------------------------------------------------------------------------------------- */

enum { MANY = 8 };

static struct {
  void *barrier;
  int parties, rounds;
  int64_t cell[2][MANY]; /* plain: the barrier must order them */
  _Atomic int64_t places[MANY], last;
} rounds;

static void *go_round(void *argument)
{
  int me = (int)(intptr_t)argument;
  for (int r = 0; r < rounds.rounds; r++) {
    if (r % 8 == 0)
      jitter();
    rounds.cell[r & 1][me] = r;
    int place = ilk_barrier_wait(rounds.barrier);
    must(place >= 0 && place < rounds.parties);
    rounds.places[place]++;
    for (int i = 0; i < rounds.parties; i++)
      expect(rounds.cell[r & 1][i], r); /* none is ahead by two, none behind */
  }
  return NULL;
}

/* With as many threads as parties: no thread leaves before the last has arrived, what each
   did is seen by all, and the next round may begin at once. */
START_TEST(rounds_in_step)
{
  rounds.parties = _i;
  rounds.rounds = (int)((TSAN ? 500 : 3000) * scale());
  rounds.barrier = new_barrier(_i);
  pthread_t threads[MANY];
  for (int i = 0; i < _i; i++)
    threads[i] = start(go_round, (void *)(intptr_t)i);
  for (int i = 0; i < _i; i++)
    join(threads[i]);
  for (int i = 0; i < _i; i++)
    expect(rounds.places[i], rounds.rounds);
  free_barrier(rounds.barrier);
}
END_TEST

/* --- everything at once ---------------------------------------------------------------------------- */

static struct {
  void *barrier;
  int parties;
  int kinds; /* 1: time-outs, 2: aborts and resets */
  int64_t end;
  _Atomic int64_t places[MANY], broken;
  _Atomic int running;
  _Atomic bool over;
} chaos;

static void *arrive_anyhow(void *unused)
{
  (void)unused;
  while (!chaos.over) {
    int64_t timeout = chaos.kinds & 1 && below(3) == 0 ? below(200) * US : -1;
    int place = ilk_barrier_timedwait(chaos.barrier, timeout);
    if (place >= 0)
      chaos.places[place]++;
    else
      must(place == ILK_EBROKEN || (place == ILK_ETIMEDOUT && timeout >= 0));
    if (place == ILK_EBROKEN)
      chaos.broken++;
    if (place < 0 && chaos.kinds == 1 && !chaos.over)
      expect(ilk_barrier_reset(chaos.barrier), ILK_OK);
    if (below(16) == 0)
      jitter();
  }
  chaos.running--;
  return NULL;
}

/* A round is complete for all in it or broken for all in it, however late they look: so
   each place was given as often as every other. More threads than parties, so that
   one may be rounds behind. */
START_TEST(a_round_is_complete_or_broken_for_all)
{
  memset(&chaos, 0, sizeof chaos);
  chaos.kinds = _i;
  chaos.parties = 3;
  chaos.barrier = new_barrier(chaos.parties);
  chaos.running = 5;
  pthread_t threads[5];
  for (int i = 0; i < 5; i++)
    threads[i] = start(arrive_anyhow, NULL);
  struct storm storm;
  storm_start(&storm, threads, 5);
  for (int64_t end = stress_end(350); now() < end;) {
    jitter();
    if (chaos.kinds & 2) {
      if (below(2))
        expect(ilk_barrier_abort(chaos.barrier), ILK_OK);
      jitter();
      expect(ilk_barrier_reset(chaos.barrier), ILK_OK);
      nap(below(300) * US);
    }
  }
  storm_end(&storm);
  chaos.over = true;
  while (chaos.running) { /* again and again, for a thread may still reset it */
    expect(ilk_barrier_abort(chaos.barrier), ILK_OK);
    sched_yield();
  }
  for (int i = 0; i < 5; i++)
    join(threads[i]);
  must(chaos.broken > 0);
  must(chaos.places[0] > 0);
  for (int i = 1; i < chaos.parties; i++)
    expect(chaos.places[i], chaos.places[0]);
  expect(ilk_barrier_reset(chaos.barrier), ILK_OK);
  expect_usable(chaos.barrier);
  free_barrier(chaos.barrier);
}
END_TEST

/* --- freed by the first that gets through ------------------------------------------------------------ */

static struct {
  void *barrier;
  _Atomic int through;
} freed;

static void *wait_and_free(void *unused)
{
  (void)unused;
  void *b = freed.barrier;
  jitter();
  int place = ilk_barrier_wait(b);
  must(place >= 0 && place < 4);
  if (freed.through++ == 0)
    free_barrier(b); /* the others are on their way */
  return NULL;
}

START_TEST(bug_11_freed_right_after_the_last_wait)
{
  for (int64_t end = stress_end(300); now() < end;) {
    freed.barrier = new_barrier(4);
    freed.through = 0;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
      threads[i] = start(wait_and_free, NULL);
    if (below(2))
      nap(100 * US);
    wait_and_free(NULL);
    /* Bug 2: whatever is made in its place, a late wake does not end its waits. */
    void *successors[2] = {new_barrier(2), ilk_semaphore_new(0, 0)};
    expect(ilk_barrier_timedwait(successors[0], 20 * US), ILK_ETIMEDOUT);
    expect(ilk_semaphore_timedacquire(successors[1], 20 * US), ILK_ETIMEDOUT);
    for (int i = 0; i < 3; i++)
      join(threads[i]);
    free_barrier(successors[0]);
    expect(ilk_semaphore_free(successors[1]), ILK_OK);
  }
}
END_TEST

/* --- freed while it is hammered ------------------------------------------------------------------------ */

static struct {
  void *_Atomic barrier;
  _Atomic bool over;
} hammered;

static void *hammer(void *unused)
{
  (void)unused;
  while (!hammered.over) {
    void *b = hammered.barrier;
    int result;
    switch (below(6)) {
    case 0: result = ilk_barrier_abort(b); break;
    case 1: result = ilk_barrier_reset(b); break;
    case 2: result = ilk_barrier_is_broken(b); break;
    case 3: result = ilk_barrier_waiting(b); break;
    case 4: result = ilk_barrier_timedwait(b, 0); break;
    default: result = ilk_barrier_timedwait(b, below(30) * US);
    }
    must(result >= 0 || result == ILK_EHANDLE || result == ILK_ETIMEDOUT || result == ILK_EBROKEN);
  }
  return NULL;
}

START_TEST(freed_while_hammered)
{
  hammered.barrier = new_barrier(2);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(hammer, NULL);
  for (int64_t end = stress_end(250); now() < end;) {
    void *old = hammered.barrier;
    jitter();
    int result = ilk_barrier_free(old);
    if (result == ILK_OK) {
      expect(ilk_barrier_abort(old), ILK_EHANDLE);
      hammered.barrier = new_barrier(1 + (int)below(3));
    } else {
      expect(result, ILK_EBUSY);
    }
  }
  hammered.over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  free_barrier(hammered.barrier);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("barrier");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_parties);
  tcase_add_test(calls, every_call_checks_its_handle);
  tcase_add_test(calls, a_party_of_one);
  tcase_add_test(calls, places_in_the_order_of_arrival);
  tcase_add_test(calls, a_timeout_breaks_it_for_all);
  tcase_add_test(calls, abort_and_reset);
  tcase_add_test(calls, reset_with_waiters_inside);
  tcase_add_test(calls, broken_during_a_reset);
  tcase_add_test(calls, cancel_breaks_it);
  tcase_add_test(calls, bug_4_stale_waiter_count_after_timeout);
  tcase_add_test(calls, bug_3_signals_end_no_wait);
  tcase_add_test(calls, bug_12_fork_with_waiters);

  TCase *load = test_case(s, "load", 20);
  tcase_add_loop_test(load, rounds_in_step, 2, 6);
  tcase_add_loop_test(load, a_round_is_complete_or_broken_for_all, 1, 4);
  tcase_add_test(load, bug_11_freed_right_after_the_last_wait);
  tcase_add_test(load, freed_while_hammered);
  return run_suite(s);
}
