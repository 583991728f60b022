/* wait.h: the module that sleeps, tested alone; and that wakes meant for no thread do no harm. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "block.h"
#include "clock.h"
#include "handle.h"
#include "spin.h"
#include "thread_record.h"
#include "wait.h"
#include "waitq.h"
#include "wake.h"

#include "support.h" /* last: Check has a macro of the name of one of our functions */

static atomic_u32 words[512]; /* enough to share every bucket */

static struct {
  _Atomic int order[16], n;
} woken;

struct sleeper {
  atomic_u32 *word;
  int64_t timeout_ns; /* < 0: forever */
  int number, flags;
  _Atomic int tid, done;
  enum wait_result result;
  pthread_t thread;
};

static void *sleep_on_word(void *argument)
{
  struct sleeper *s = argument;
  s->tid = own_tid();
  s->result =
    wait_on(s->word, 0, s->timeout_ns < 0 ? WAIT_FOREVER : now() + s->timeout_ns, s->flags);
  woken.order[woken.n++] = s->number;
  s->done = 1;
  return NULL;
}

static void sleeper_start_with(struct sleeper *s, int number, atomic_u32 *word, int64_t timeout_ns,
                               int flags)
{
  *s = (struct sleeper){.word = word, .timeout_ns = timeout_ns, .number = number, .flags = flags};
  s->thread = start(sleep_on_word, s);
  while (!s->tid)
    sched_yield();
  until_asleep(s->tid);
}

static void sleeper_start(struct sleeper *s, int number, atomic_u32 *word, int64_t timeout_ns)
{
  sleeper_start_with(s, number, word, timeout_ns, 0);
}

/* Wakes n in all: a system that stops a process takes its sleepers out of their queue for a
   moment. */
static void wake_so_many(atomic_u32 *word, int n)
{
  for (int got = 0; got < n;) {
    int more = wait_wake(word, n - got, false);
    must(more >= 0 && more <= n - got);
    got += more;
  }
}

/* A word that changes all the time ends each sleep before the system checks the deadline. */
START_TEST(a_deadline_that_has_passed_ends_a_wait_whose_word_has_changed)
{
  struct thread *me = thread_self();
  expect(block(me, NULL, 0, &words[0], load_relaxed(&words[0]) + 1, now() - 1, 0), ILK_ETIMEDOUT);
  expect(block(me, NULL, 0, &words[0], load_relaxed(&words[0]) + 1, now() + PATIENCE, 0), ILK_OK);
}
END_TEST

/* --- how long a wake takes, and the longest spin ------------------------------------------ */

/* With one processor no wait spins, whatever a wake takes. */
static bool spins_never(void)
{
  if (ilk_cpu_count() > 1)
    return false;
  spin_adapt(INT64_MAX);
  must(load_relaxed(&spin_most) == 0);
  return true;
}

/* Makes spin_most one that a step in either direction changes: a wake of the test may take longer
   than any sleeper's, under an emulator for one. */
static uint32_t spin_in_between(void)
{
  for (int i = 0; i < 100; i++)
    spin_adapt(INT64_MAX);
  for (int i = 0; i < 4; i++)
    spin_adapt(0);
  return load_relaxed(&spin_most);
}

/* A time that the clock has left: it may tick every 100 ns, as Wine's does, and a wake at the same
   time as the call before it is not measured. */
static int64_t time_past(void)
{
  int64_t past = clock_now();
  while (clock_now() == past)
    ;
  return past;
}

START_TEST(the_longest_spin_follows_what_a_wake_takes_within_bounds)
{
  if (spins_never())
    return;
  uint32_t first = load_relaxed(&spin_most);
  for (int i = 0; i < 1000; i++)
    spin_adapt(0);
  uint32_t least = load_relaxed(&spin_most);
  must(least > 0 && least < first);
  for (int i = 0; i < 1000; i++)
    spin_adapt(INT64_MAX);
  uint32_t most = load_relaxed(&spin_most);
  must(most > first && most / least < 100);
  spin_adapt(0);
  must(load_relaxed(&spin_most) < most);
}
END_TEST

START_TEST(a_wake_is_measured_once_if_its_sleeper_asked)
{
  if (spins_never())
    return;
  struct thread *me = thread_self();
  uint32_t before = spin_in_between();
  int64_t since = time_past();
  store_relaxed(&me->episode, 3);
  wake_expect(me, &words[0]);
  wake(&words[0], 1, false);
  wake_measure(&words[0], since);
  must(load_relaxed(&spin_most) == before); /* it did not ask */
  store_relaxed(&me->episode, 1);
  wake_expect(me, &words[0]);
  wake_measure(&words[0], since);
  must(load_relaxed(&spin_most) == before); /* there was no wake */
  wake(&words[0], 1, false);
  wake_measure(&words[0], since);
  uint32_t once = load_relaxed(&spin_most);
  must(once != before);
  wake_measure(&words[0], since);
  must(load_relaxed(&spin_most) == once);
  store_relaxed(&me->episode, 2);
}
END_TEST

/* A limit of the time when wakes took longer stayed for as long as the thread's waits succeeded. */
START_TEST(a_limit_stayed_above_the_longest_spin)
{
  if (spins_never())
    return;
  struct thread *me = thread_self();
  for (int i = 0; i < 1000; i++)
    spin_adapt(INT64_MAX);
  me->spin_limit = load_relaxed(&spin_most);
  for (int i = 0; i < 1000; i++)
    spin_adapt(0);
  struct spin spin = spin_begin(me);
  must(spin_again(&spin));
  spin_won(&spin);
  must(me->spin_limit > 0 && me->spin_limit <= load_relaxed(&spin_most));
}
END_TEST

/* It counted the waits that spin. So a thread asked for each of its sleeps, or for none, if it slept
   at one of two waits, or at waits that do not spin. */
START_TEST(one_sleep_in_16_asks_however_many_waits_spin)
{
  if (spins_never())
    return;
  struct thread *me = thread_self();
  for (uint32_t spins = 0; spins < 3; spins++) {
    int asked = 0;
    for (int i = 0; i < 64; i++, me->spin_waits += spins) {
      uint32_t before = spin_in_between();
      int64_t since = time_past();
      add_seq_cst(&me->episode, 1);
      wake_expect(me, &words[0]);
      wake(&words[0], 1, false);
      wake_measure(&words[0], since);
      add_seq_cst(&me->episode, 1);
      asked += load_relaxed(&spin_most) != before;
    }
    expect(asked, 4);
  }
}
END_TEST

static pthread_barrier_t all_are_there;

static void *come_and_go(void *unused)
{
  ilk_thread_id();
  pthread_barrier_wait(&all_are_there);
  return unused;
}

/* A search for pins, readers or waiters visits only live threads. */
START_TEST(records_of_threads_that_are_gone_are_not_looked_at)
{
  enum { N = 60 };
  pthread_barrier_init(&all_are_there, NULL, N);
  in_threads(N, come_and_go, NULL);
  int all = 0, live = 0;
  bool found = false;
  struct thread *me = thread_self();
  while (thread_at((uint32_t)all))
    all++;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r)) {
    live++;
    found = found || r == me;
    must(load_relaxed(&r->id) != 0);
  }
  must(all >= N);
  expect(live, 1);
  must(found);
}
END_TEST

START_TEST(another_value_is_not_waited_for)
{
  expect(wait_on(&words[0], 1, WAIT_FOREVER, 0), WAIT_WOKEN);
  store_relaxed(&words[0], UINT32_MAX);
  expect(wait_on(&words[0], 0, WAIT_FOREVER, 0), WAIT_WOKEN);
  expect(wait_on(&words[0], UINT32_MAX, now(), 0), WAIT_TIMEDOUT);
}
END_TEST

START_TEST(deadline)
{
  const int64_t timeouts[] = {-SECOND, 0, 1, 100 * US, 3 * MS};
  for (int i = 0; i < LENGTH(timeouts); i++) {
    int64_t until = now() + timeouts[i];
    expect(wait_on(&words[0], 0, until, 0), WAIT_TIMEDOUT);
    must(now() >= until);
  }
  expect(wait_on(&words[0], 0, 1, 0), WAIT_TIMEDOUT); /* long ago */
}
END_TEST

START_TEST(wakes_as_many_oldest_first)
{
  enum { N = 6 };
  struct sleeper sleepers[N];
  for (int i = 0; i < N; i++)
    sleeper_start(&sleepers[i], i, &words[7], i % 2 ? -1 : 3600 * SECOND);
  expect(wait_wake(&words[7], 0, false), 0);
  wake_so_many(&words[7], 1);
  join(sleepers[0].thread);
  wake_so_many(&words[7], 1);
  join(sleepers[1].thread);
  wake_so_many(&words[7], 2);
  join(sleepers[2].thread);
  join(sleepers[3].thread);
  expect(sleepers[4].done, 0);
  wake_so_many(&words[7], 2);
  join(sleepers[4].thread);
  join(sleepers[5].thread);
  expect(wait_wake(&words[7], 100, false), 0);
  expect(woken.order[0], 0);
  expect(woken.order[1], 1);
  for (int i = 0; i < N; i++)
    expect(sleepers[i].result, WAIT_WOKEN);
}
END_TEST

/* But not after one of these got what it waited for. */
START_TEST(wakes_those_that_are_first_before_the_others)
{
  struct sleeper others[3], first[2];
  sleeper_start(&others[0], 0, &words[7], -1);
  sleeper_start(&others[1], 1, &words[7], -1);
  sleeper_start_with(&first[0], 2, &words[7], -1, WAIT_FIRST);
  sleeper_start_with(&first[1], 3, &words[7], -1, WAIT_FIRST);
  sleeper_start(&others[2], 4, &words[7], -1);
  wake_so_many(&words[7], 1);
  join(first[0].thread);
  wait_was_first(&words[7]);
  wake_so_many(&words[7], 1);
  join(others[0].thread);
  expect(first[1].done + others[1].done + others[2].done, 0);
  wake_so_many(&words[7], 1); /* only once in a row */
  join(first[1].thread);
  expect(others[1].done + others[2].done, 0);
  sleeper_start_with(&first[0], 2, &words[7], -1, WAIT_FIRST);
  wake_so_many(&words[7], 2); /* of both kinds */
  join(first[0].thread);
  join(others[1].thread);
  expect(others[2].done, 0);
  sleeper_start_with(&first[0], 2, &words[7], 2 * MS, WAIT_FIRST);
  join(first[0].thread);
  expect(first[0].result, WAIT_TIMEDOUT);
  wake_so_many(&words[7], 1);
  join(others[2].thread);
}
END_TEST

START_TEST(wakes_that_word_only)
{
  struct sleeper s;
  sleeper_start(&s, 0, &words[100], -1);
  for (int i = 0; i < LENGTH(words); i++)
    if (i != 100)
      expect(wait_wake(&words[i], 100, false), 0);
  nap(2 * MS);
  expect(s.done, 0);
  wake_so_many(&words[100], 1);
  join(s.thread);
}
END_TEST

/* In one list of sleepers: the first, the last, and one between time out. */
START_TEST(time_outs_leave_the_others_asleep)
{
  enum { N = 7 };
  struct sleeper sleepers[N];
  for (int i = 0; i < N; i++)
    sleeper_start(&sleepers[i], i, &words[9], i % 3 == 0 ? 30 * MS : -1);
  for (int i = 0; i < N; i += 3) {
    join(sleepers[i].thread);
    expect(sleepers[i].result, WAIT_TIMEDOUT);
  }
  wake_so_many(&words[9], 1);
  join(sleepers[1].thread);
  struct sleeper late;
  sleeper_start(&late, N, &words[9], -1);
  wake_so_many(&words[9], 4);
  expect(wait_wake(&words[9], 100, false), 0);
  for (int i = 2; i < N; i++)
    if (i % 3)
      join(sleepers[i].thread);
  join(late.thread);
}
END_TEST

/* The word may be gone by the time that its wake comes. */
START_TEST(wake_of_memory_that_is_gone_glibc_12674)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  atomic_u32 *word = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sleeper s;
  sleeper_start(&s, 0, word, -1);
  wake_so_many(word, 1);
  join(s.thread);
  munmap(word, page);
  expect(wait_wake(word, 1, false), 0);
}
END_TEST

/* For the search for deadlock cycles, which must not read another thread's word. */
START_TEST(what_a_sleeper_waits_for)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  atomic_u32 *word = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sleeper sleepers[2];
  for (int i = 0; i < 2; i++)
    sleeper_start(&sleepers[i], i, word, -1);
  uint32_t value = 1;
  must(wait_read(word, &value) && value == 0);
  store_relaxed(word, 5);
  must(wait_read(word, &value) && value == 5);
  wake_so_many(word, 2); /* both sleep still */
  for (int i = 0; i < 2; i++)
    join(sleepers[i].thread);
  munmap(word, page);
  must(!wait_read(word, &value));
}
END_TEST

/* A thread that is about to sleep does not miss another that changes the word and then wakes. */
static _Atomic bool no_more;

static void *follow(void *unused)
{
  (void)unused;
  bool last = false;
  for (uint32_t i = 0; !last; i++) {
    while (load_acquire(&words[0]) == i)
      expect(wait_on(&words[0], i, WAIT_FOREVER, 0), WAIT_WOKEN);
    last = no_more;
    store_release(&words[1], i + 1);
    wait_wake(&words[1], 1, false);
  }
  return NULL;
}

START_TEST(no_wake_is_lost)
{
  pthread_t follower = start(follow, NULL);
  int64_t end = stress_end(200);
  for (uint32_t i = 0; !no_more; i++) {
    no_more = now() >= end;
    store_release(&words[0], i + 1);
    wait_wake(&words[0], 1, false);
    while (load_acquire(&words[1]) == i)
      expect(wait_on(&words[1], i, i % 2 ? now() + 3600 * SECOND : WAIT_FOREVER, 0), WAIT_WOKEN);
  }
  join(follower);
}
END_TEST

/* A word in memory that two processes share. */
START_TEST(private_futex_on_shared_memory)
{
  if (!wait_has_shared)
    return;
  atomic_u32 *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t child = fork();
  if (child == 0) {
    alarm(10 * BUSY);
    store_release(&shared[1], 1);
    while (load_acquire(&shared[0]) == 0)
      if (wait_on(&shared[0], 0, WAIT_FOREVER, WAIT_SHARED) != WAIT_WOKEN)
        _exit(1);
    _exit(0);
  }
  while (!load_acquire(&shared[1]))
    sched_yield();
  nap(10 * MS); /* asleep by now, mostly */
  store_release(&shared[0], 1);
  wait_wake(&shared[0], 1, true);
  int status;
  must(waitpid(child, &status, 0) == child);
  expect(status, 0);
}
END_TEST

/* --- wakes that arrive late, and meant for another thread
   -------------------------------------- */

static int call_wait_for_5(void *c, int64_t timeout_ns)
{
  return ilk_counter_timedwait(c, 5, timeout_ns);
}

static struct {
  _Atomic bool over;
  void *handles[8];
  int n;
} stray;

static void *stray_wakes(void *unused)
{
  (void)unused;
  while (!stray.over) {
    struct thread *r;
    for (uint32_t i = 0; (r = thread_at(i)); i++)
      waitq_wake_thread(r);
    for (int i = 0; i < stray.n; i++)
      wait_wake(&handle_object(stray.handles[i])->epoch, 1, false);
  }
  return NULL;
}

START_TEST(delayed_wake_reaches_reused_memory_parking_lot)
{
  enum { MUTEXES = 6 };
  static const int flags[MUTEXES] = {
    0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE, ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR};
  struct waiter waiters[MUTEXES + 2], timed[MUTEXES + 2];
  for (int i = 0; i < MUTEXES; i++) {
    stray.handles[i] = ilk_mutex_new(flags[i]);
    expect(ilk_mutex_lock(stray.handles[i]), ILK_OK);
  }
  stray.handles[MUTEXES] = ilk_semaphore_new(0, 0);
  stray.handles[MUTEXES + 1] = ilk_counter_new(0);
  stray.n = MUTEXES + 2;
  pthread_t waker = start(stray_wakes, NULL);
  for (int i = 0; i < stray.n; i++) {
    int (*call)(void *, int64_t) = i < MUTEXES    ? call_visit
                                   : i == MUTEXES ? ilk_semaphore_timedacquire
                                                  : call_wait_for_5;
    waiter_start(&waiters[i], call, stray.handles[i], -1);
    waiter_start(&timed[i], call, stray.handles[i], 30 * MS);
  }
  for (int i = 0; i < stray.n; i++)
    expect(waiter_end(&timed[i]), ILK_ETIMEDOUT);
  for (int i = 0; i < stray.n; i++)
    expect(waiters[i].result, PENDING);
  for (int i = 0; i < MUTEXES; i++)
    expect(ilk_mutex_unlock(stray.handles[i]), ILK_OK);
  expect(ilk_semaphore_release(stray.handles[MUTEXES], 1), ILK_OK);
  expect(ilk_counter_store(stray.handles[MUTEXES + 1], 5), ILK_OK);
  for (int i = 0; i < stray.n; i++)
    expect(waiter_end(&waiters[i]), ILK_OK);
  stray.over = true;
  join(waker);
  for (int i = 0; i < MUTEXES; i++)
    expect(ilk_mutex_free(stray.handles[i]), ILK_OK);
  expect(ilk_semaphore_free(stray.handles[MUTEXES]), ILK_OK);
  expect(ilk_counter_free(stray.handles[MUTEXES + 1]), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("wait");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, another_value_is_not_waited_for);
  tcase_add_test(calls, a_deadline_that_has_passed_ends_a_wait_whose_word_has_changed);
  tcase_add_test(calls, records_of_threads_that_are_gone_are_not_looked_at);
  tcase_add_test(calls, the_longest_spin_follows_what_a_wake_takes_within_bounds);
  tcase_add_test(calls, a_wake_is_measured_once_if_its_sleeper_asked);
  tcase_add_test(calls, a_limit_stayed_above_the_longest_spin);
  tcase_add_test(calls, one_sleep_in_16_asks_however_many_waits_spin);
  tcase_add_test(calls, deadline);
  tcase_add_test(calls, wakes_as_many_oldest_first);
  tcase_add_test(calls, wakes_those_that_are_first_before_the_others);
  tcase_add_test(calls, wakes_that_word_only);
  tcase_add_test(calls, time_outs_leave_the_others_asleep);
  tcase_add_test(calls, wake_of_memory_that_is_gone_glibc_12674);
  if (!skipped_if_emulated("what_a_sleeper_waits_for", "no process_vm_readv()"))
    tcase_add_test(calls, what_a_sleeper_waits_for);
  tcase_add_test(calls, no_wake_is_lost);
  tcase_add_test(calls, private_futex_on_shared_memory);
  tcase_add_test(calls, delayed_wake_reaches_reused_memory_parking_lot);
  return run_suite(s);
}
