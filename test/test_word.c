/* word.c: locks and waiting in memory of the caller's. What the lock shares with the
   lock array (time, starvation, marks) is tested there too. */
#define _GNU_SOURCE
#include <limits.h>
#include <sys/mman.h>
#include "stay.h"

static bool has_shared(void)
{
  uint32_t word = 0;
  if (strcmp(ilk_backend(), "macos") == 0) /* from 14.4 on */
    return ilk_word_wake(&word, 0, ILK_SHARED) != ILK_ENOTSUP;
  return strcmp(ilk_backend(), "futex") == 0;
}

/* The flags to test with: 0, and ILK_SHARED where it is. */
static const int all_flags[] = {0, ILK_SHARED};
static _Atomic int flags;

static bool use_flags(int i)
{
  flags = all_flags[i];
  return !(flags & ILK_SHARED) || has_shared();
}

static int call_one(void *word, int64_t timeout_ns)
{
  return ilk_word_timedlock(word, flags, timeout_ns);
}

static int call_try(void *word, int64_t unused)
{
  (void)unused;
  return ilk_word_trylock(word, flags);
}

static int call_give(void *word, int64_t unused)
{
  (void)unused;
  return ilk_word_unlock(word, flags);
}

static int call_pass(void *word, int64_t timeout_ns)
{
  int result = ilk_word_timedlock(word, flags, timeout_ns);
  if (result >= 0)
    expect(ilk_word_unlock(word, flags), ILK_OK);
  return result;
}

static int call_wait_0(void *word, int64_t timeout_ns)
{
  return ilk_word_wait(word, 0, flags, timeout_ns);
}

/* Wakes n in all: a system that stops a process takes its sleepers out of their queue for a
   moment. */
static void wake_so_many(void *word, int n)
{
  for (int got = 0; got < n;) {
    int more = ilk_word_wake(word, n - got, flags);
    must(more >= 0 && more <= n - got);
    got += more;
  }
}

static void *new_page(int sharing)
{
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  must(page != MAP_FAILED);
  return page;
}

START_TEST(arguments_are_checked)
{
  uint32_t words[2] = {0, 0};
  void *const bad[] = {NULL, (char *)words + 1, (char *)words + 2, (char *)words + 3};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_word_lock(bad[i], 0), ILK_EINVAL);
    expect(ilk_word_trylock(bad[i], 0), ILK_EINVAL);
    expect(ilk_word_timedlock(bad[i], 0, 0), ILK_EINVAL);
    expect(ilk_word_unlock(bad[i], 0), ILK_EINVAL);
    expect(ilk_word_wait(bad[i], 0, 0, 0), ILK_EINVAL);
    expect(ilk_word_wake(bad[i], 1, 0), ILK_EINVAL);
    expect(ilk_last_error(), ILK_EINVAL);
  }
  const int unknown[] = {1, 2, 4, 16, 8 | 16, -1, INT_MIN};
  for (int i = 0; i < LENGTH(unknown); i++) {
    expect(ilk_word_lock(words, unknown[i]), ILK_EINVAL);
    expect(ilk_word_trylock(words, unknown[i]), ILK_EINVAL);
    expect(ilk_word_timedlock(words, unknown[i], 0), ILK_EINVAL);
    expect(ilk_word_unlock(words, unknown[i]), ILK_EINVAL);
    expect(ilk_word_wait(words, 0, unknown[i], 0), ILK_EINVAL);
    expect(ilk_word_wake(words, 1, unknown[i]), ILK_EINVAL);
  }
  expect(ilk_word_wake(words, -1, 0), ILK_EINVAL);
  expect(ilk_word_wake(words, INT_MIN, 0), ILK_EINVAL);
  expect(words[0] | words[1], 0);
}
END_TEST

START_TEST(shared_where_there_is_none)
{
  uint32_t word = 0;
  int wanted = has_shared() ? ILK_OK : ILK_ENOTSUP;
  expect(ilk_word_lock(&word, ILK_SHARED), wanted);
  expect(ilk_word_unlock(&word, ILK_SHARED), wanted);
  expect(ilk_word_trylock(&word, ILK_SHARED), wanted);
  expect(ilk_word_unlock(&word, ILK_SHARED), wanted);
  expect(ilk_word_timedlock(&word, ILK_SHARED, 0), wanted);
  expect(ilk_word_unlock(&word, ILK_SHARED), wanted);
  expect(ilk_word_wait(&word, 1, ILK_SHARED, 0), wanted);
  expect(ilk_word_wake(&word, 1, ILK_SHARED), has_shared() ? 0 : ILK_ENOTSUP);
}
END_TEST

START_TEST(lock_and_unlock)
{
  if (!use_flags(_i))
    return;
  uint32_t word = 0;
  expect(ilk_word_unlock(&word, flags), ILK_EPERM);
  for (int round = 0; round < 3; round++) {
    expect(round == 0   ? ilk_word_lock(&word, flags)
           : round == 1 ? ilk_word_trylock(&word, flags)
                        : ilk_word_timedlock(&word, flags, SECOND),
           ILK_OK);
    must(word != 0);
    expect(ilk_word_lock(&word, flags), ILK_EDEADLK);
    expect(ilk_word_timedlock(&word, flags, SECOND), ILK_EDEADLK);
    expect(ilk_word_timedlock(&word, flags, 0), ILK_ETIMEDOUT);
    expect(ilk_word_trylock(&word, flags), ILK_EBUSY);
    expect(elsewhere(call_try, &word, 0), ILK_EBUSY);
    expect(elsewhere(call_one, &word, 0), ILK_ETIMEDOUT);
    int64_t begin = now();
    expect(elsewhere(call_one, &word, 5 * MS), ILK_ETIMEDOUT);
    must(now() - begin >= 5 * MS);
    expect(elsewhere(call_give, &word, 0), ILK_EPERM);
    expect(ilk_word_unlock(&word, flags), ILK_OK);
    expect(word, 0); /* as it was */
    expect(ilk_word_unlock(&word, flags), ILK_EPERM);
  }
}
END_TEST

static int wait_three_times(void *word, int64_t timeout_ns)
{
  for (int i = 0; i < 3; i++)
    expect(ilk_word_timedlock(word, flags, timeout_ns), ILK_ETIMEDOUT);
  return ILK_OK;
}

/* The release was for a thread that had gone, and the next thread slept for a millisecond. */
START_TEST(short_waits_left_a_reservation)
{
  if (!use_flags(_i))
    return;
  uint32_t word = 0;
  expect(ilk_word_lock(&word, flags), ILK_OK);
  expect(elsewhere(wait_three_times, &word, 2 * MS), ILK_OK);
  expect(ilk_word_unlock(&word, flags), ILK_OK);
  expect(word, 0);
}
END_TEST

START_TEST(waiters_get_it)
{
  if (!use_flags(_i))
    return;
  uint32_t word = 0;
  expect(ilk_word_lock(&word, flags), ILK_OK);
  struct waiter w[3];
  const int64_t timeouts[] = {-1, INT64_MAX, 60 * SECOND};
  for (int i = 0; i < 3; i++)
    waiter_sleep(&w[i], call_pass, &word, timeouts[i]);
  expect(ilk_word_unlock(&word, flags), ILK_OK);
  for (int i = 0; i < 3; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  expect(word, 0);
}
END_TEST

/* --- the dead ------------------------------------------------------------------------- */

START_TEST(owner_died)
{
  flags = 0;
  uint32_t words[3] = {0};
  for (int i = 0; i < 3; i++)
    expect(elsewhere(call_one, &words[i], 0), ILK_OK); /* and dies */
  expect(ilk_word_unlock(&words[0], 0), ILK_EPERM);
  expect(ilk_word_lock(&words[0], 0), ILK_OWNER_DIED);
  expect(ilk_word_trylock(&words[1], 0), ILK_OWNER_DIED);
  expect(ilk_word_timedlock(&words[2], 0, SECOND), ILK_OWNER_DIED);
  for (int i = 0; i < 3; i++) {
    expect(ilk_word_unlock(&words[i], 0), ILK_OK);
    expect(ilk_word_lock(&words[i], 0), ILK_OK);
    expect(ilk_word_unlock(&words[i], 0), ILK_OK);
  }
}
END_TEST

static _Atomic int stage;

static int hold_and_die(void *word, int64_t delay)
{
  int result = ilk_word_lock(word, 0);
  stage = 1;
  while (stage == 1)
    sched_yield();
  spin(delay);
  return result;
}

/* Also while they are just about to fall asleep. */
START_TEST(owner_dies_while_others_wait)
{
  flags = 0;
  for (int round = 0; round < 20; round++) {
    uint32_t word = 0;
    struct waiter holder, w[2];
    stage = 0;
    waiter_start(&holder, hold_and_die, &word, below(20000));
    while (stage == 0)
      sched_yield();
    for (int i = 0; i < 2; i++)
      if (round < 3)
        waiter_sleep(&w[i], call_pass, &word, -1);
      else
        waiter_start(&w[i], call_pass, &word, -1);
    stage = 2;
    expect(waiter_end(&holder), ILK_OK);
    int told = 0;
    for (int i = 0; i < 2; i++)
      told += waiter_end(&w[i]) == ILK_OWNER_DIED;
    expect(told, 1);
    expect(word, 0);
  }
}
END_TEST

/* One waiter, which comes when the holder is about to be gone. */
START_TEST(owner_dies_as_another_comes)
{
  int64_t end = stress_end(200);
  while (now() < end) {
    uint32_t word = 0;
    struct waiter holder;
    stage = 0;
    waiter_start(&holder, hold_and_die, &word, 0);
    while (stage == 0)
      sched_yield();
    stage = 2;
    spin(below(1 << below(18)));
    expect(ilk_word_lock(&word, 0), ILK_OWNER_DIED);
    expect(ilk_word_unlock(&word, 0), ILK_OK);
    expect(waiter_end(&holder), ILK_OK);
  }
}
END_TEST

/* The second waiter fell asleep while one held it, and another dies. */
static _Atomic int had;

static int call_first_dies(void *word, int64_t timeout_ns)
{
  int result = ilk_word_timedlock(word, 0, timeout_ns);
  if (had++) /* else it dies with it */
    expect(ilk_word_unlock(word, 0), ILK_OK);
  return result;
}

/* The other waiter fell asleep while an earlier thread held the lock. If its wait has a deadline, it
   does not recheck to search for a deadlock cycle, either: it needs the wake. */
START_TEST(a_later_owner_dies)
{
  const int64_t timeouts[] = {-1, 3600 * SECOND};
  flags = had = 0;
  uint32_t word = 0;
  expect(ilk_word_lock(&word, 0), ILK_OK);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], call_first_dies, &word, timeouts[_i]);
  expect(ilk_word_unlock(&word, 0), ILK_OK);
  int told = 0;
  for (int i = 0; i < 2; i++) {
    int result = waiter_end(&w[i]);
    must(result == ILK_OK || result == ILK_OWNER_DIED);
    told += result == ILK_OWNER_DIED;
  }
  expect(told, 1);
  expect(word, 0);
}
END_TEST

/* A thread that has waited long wakes, finds the lock held, requests the next release for itself,
   and times out before that. The lock is then reserved for a sleeper, and no thread sleeps. This
   must lock out no thread. */
START_TEST(a_starving_waiter_that_times_out)
{
  flags = 0;
  uint32_t word = 0;
  for (int round = 0; round < 6; round++) {
    expect(ilk_word_lock(&word, 0), ILK_OK);
    struct waiter w;
    waiter_sleep(&w, call_pass, &word, 20 * MS);
    nap(2 * MS);
    ilk_word_wake(&word, 1, 0);
    expect(waiter_end(&w), ILK_ETIMEDOUT);
    expect(ilk_word_unlock(&word, 0), ILK_OK);
    expect(round % 2 ? ilk_word_trylock(&word, 0) : ilk_word_lock(&word, 0), ILK_OK);
    expect(ilk_word_unlock(&word, 0), ILK_OK);
  }
}
END_TEST

/* --- as compiled code locks ------------------------------------------------------------------ */

static int inline_lock(void *word)
{
  uint32_t seen = 0;
  if (atomic_compare_exchange_strong_explicit((_Atomic uint32_t *)word, &seen,
                                              (uint32_t)ilk_word_id(), memory_order_acquire,
                                              memory_order_relaxed))
    return ILK_OK;
  return ilk_word_lock(word, 0);
}

static int inline_unlock(void *word)
{
  uint32_t seen = (uint32_t)ilk_word_id();
  if (atomic_compare_exchange_strong_explicit((_Atomic uint32_t *)word, &seen, 0,
                                              memory_order_release, memory_order_relaxed))
    return ILK_OK;
  return ilk_word_unlock(word, 0);
}

static int call_inline_lock(void *word, int64_t unused)
{
  (void)unused;
  return inline_lock(word);
}

static int ask_for_id(void *unused, int64_t unused_too)
{
  (void)unused, (void)unused_too;
  return ilk_word_id();
}

START_TEST(inline_and_calls_agree)
{
  flags = 0;
  uint32_t word = 0;
  int id = ilk_word_id(), other = elsewhere(ask_for_id, NULL, 0);
  must(0 < id && id < 1 << 30 && 0 < other && other < 1 << 30 && id != other);
  expect(ilk_word_id(), id);
  expect(ilk_word_lock(&word, 0), ILK_OK);
  expect(word, id);
  expect(inline_lock(&word), ILK_EDEADLK);
  expect(inline_unlock(&word), ILK_OK);
  expect(word, 0);
  expect(inline_unlock(&word), ILK_EPERM);
  expect(inline_lock(&word), ILK_OK);
  expect(elsewhere(call_try, &word, 0), ILK_EBUSY);
  expect(elsewhere(call_give, &word, 0), ILK_EPERM);
  expect(ilk_word_unlock(&word, 0), ILK_OK);
  expect(word, 0);
}
END_TEST

START_TEST(inline_unlock_wakes)
{
  flags = 0;
  uint32_t word = 0;
  expect(inline_lock(&word), ILK_OK);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], call_pass, &word, -1);
  expect(inline_unlock(&word), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), ILK_OK);
  expect(word, 0);
}
END_TEST

static int inline_hold_and_die(void *word, int64_t unused)
{
  (void)unused;
  int result = inline_lock(word);
  stage = 1;
  while (stage == 1)
    sched_yield();
  return result;
}

/* A thread that called for its id alone. */
START_TEST(inline_owner_died)
{
  flags = 0;
  uint32_t word = 0;
  expect(elsewhere(call_inline_lock, &word, 0), ILK_OK);
  expect(inline_lock(&word), ILK_OWNER_DIED);
  expect(inline_unlock(&word), ILK_OK);

  struct waiter holder, w[2];
  stage = 0;
  waiter_start(&holder, inline_hold_and_die, &word, 0);
  while (stage == 0)
    sched_yield();
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], call_pass, &word, -1);
  stage = 2;
  expect(waiter_end(&holder), ILK_OK);
  int told = 0;
  for (int i = 0; i < 2; i++)
    told += waiter_end(&w[i]) == ILK_OWNER_DIED;
  expect(told, 1);
  expect(word, 0);
}
END_TEST

static int lock_again_and_die(void *word, int64_t unused)
{
  (void)unused;
  while (stage == 0)
    sched_yield();
  while (ilk_word_trylock(word, 0) != ILK_OK)
    sched_yield();
  stage = 2;
  while (stage == 2)
    sched_yield();
  return ILK_OK;
}

/* A sleeper that fell asleep for one holder and is overtaken by another, which dies. */
START_TEST(one_that_overtook_a_sleeper_dies)
{
  flags = 0;
  for (int round = 0; round < 20; round++) {
    uint32_t word = 0;
    struct waiter overtaker, w[2];
    stage = 0;
    waiter_start(&overtaker, lock_again_and_die, &word, 0);
    expect(inline_lock(&word), ILK_OK);
    for (int i = 0; i < 2; i++)
      waiter_sleep(&w[i], call_pass, &word, -1);
    stage = 1;
    expect(inline_unlock(&word), ILK_OK);
    while (stage == 1)
      sched_yield();
    stage = 3;
    expect(waiter_end(&overtaker), ILK_OK);
    int told = 0;
    for (int i = 0; i < 2; i++)
      told += waiter_end(&w[i]) == ILK_OWNER_DIED;
    /* Both may have been served before it came. */
    told += ilk_word_lock(&word, 0) == ILK_OWNER_DIED;
    expect(told, 1);
  }
}
END_TEST

/* --- memory that goes away ---------------------------------------------------------------- */

/* The handshake of "Futexes Are Tricky": the second to have the lock unmaps it, at once. */
static void *may_release(void *argument)
{
  uint32_t *word = argument;
  jitter();
  expect(ilk_word_lock(word, flags), ILK_OK);
  bool last = word[1]++ == 1;
  if (below(3) == 0)
    spin(below(3000));
  expect(ilk_word_unlock(word, flags), ILK_OK);
  if (last)
    munmap(word, 4096);
  return NULL;
}

START_TEST(bug_1_unlocked_and_unmapped)
{
  if (!use_flags(_i))
    return;
  int64_t end = stress_end(200);
  while (now() < end)
    in_threads(2, may_release, new_page(MAP_PRIVATE));
}
END_TEST

struct handshake {
  _Atomic(uint32_t *) word;
  _Atomic bool over;
};

/* Long-lived threads, so the race happens often: one unlocks, with a mark that a thread may sleep,
   and the other acquires it at the same moment, and unmaps it. */
static void *owner_run(void *argument)
{
  struct handshake *h = argument;
  int64_t end = stress_end(250);
  while (now() < end) {
    uint32_t *word = new_page(MAP_PRIVATE);
    expect(ilk_word_lock(word, flags), ILK_OK);
    h->word = word;
    spin(below(1 << below(17)));
    expect(ilk_word_unlock(word, flags), ILK_OK);
    while (h->word)
      sched_yield();
  }
  h->over = true;
  return NULL;
}

static void *unmapper_run(void *argument)
{
  struct handshake *h = argument;
  while (!h->over) {
    uint32_t *word = h->word;
    if (!word)
      continue;
    if (ilk_word_timedlock(word, flags, 1) != ILK_OK) /* marks it */
      while (ilk_word_trylock(word, flags) != ILK_OK)
        ;
    expect(ilk_word_unlock(word, flags), ILK_OK);
    munmap(word, 4096);
    h->word = NULL;
  }
  return NULL;
}

START_TEST(bug_1_unlocked_and_unmapped_by_the_next)
{
  if (!use_flags(_i))
    return;
  struct handshake h = {.over = false};
  pthread_t a = start(owner_run, &h), b = start(unmapper_run, &h);
  join(a);
  join(b);
}
END_TEST

START_TEST(wake_on_memory_that_is_gone)
{
  if (!use_flags(_i))
    return;
  void *page = new_page(MAP_PRIVATE);
  munmap(page, 4096);
  expect(ilk_word_wake(page, 1, flags), 0);
  expect(ilk_word_wake(page, INT_MAX, flags), 0);
}
END_TEST

/* --- stress -------------------------------------------------------------------------------- */

struct stress {
  uint32_t word;
  int64_t plain, end;
  _Atomic int64_t added;
};

static void *stress_run(void *argument)
{
  struct stress *s = argument;
  int64_t added = 0;
  while (now() < s->end) {
    int64_t way = below(flags ? 2 : 4);
    int result = way == 0   ? ilk_word_lock(&s->word, flags)
                 : way == 1 ? ilk_word_timedlock(&s->word, flags, below(60 * US))
                            : inline_lock(&s->word);
    if (result == ILK_OK) {
      s->plain++, added++;
      jitter();
      expect(!flags && below(2) ? inline_unlock(&s->word) : ilk_word_unlock(&s->word, flags),
             ILK_OK);
    }
    jitter();
  }
  s->added += added;
  return NULL;
}

START_TEST(bugs_4_6_8_exclusion_and_no_lost_wake)
{
  if (!use_flags(_i))
    return;
  struct stress s = {.end = stress_end(200)};
  in_threads(5, stress_run, &s);
  expect(s.plain, s.added);
  must((s.word & 0x3fffffff) == 0);
}
END_TEST

static void stress_process(void *argument)
{
  struct stress *s = argument;
  in_threads(2, stress_run, s);
}

START_TEST(bug_13_two_processes)
{
  if (!has_shared())
    return;
  flags = ILK_SHARED;
  struct stress *s = new_page(MAP_SHARED);
  s->end = stress_end(300);
  pid_t one = child_start(stress_process, s), two = child_start(stress_process, s);
  child_end(one);
  child_end(two);
  expect(s->plain, s->added);
  munmap(s, 4096);
}
END_TEST

static void lock_in_child(void *argument)
{
  _Atomic uint32_t *word = argument;
  expect(ilk_word_trylock(word, ILK_SHARED), ILK_EBUSY); /* the parent's, not ours */
  expect(ilk_word_unlock(word, ILK_SHARED), ILK_EPERM);
  word[1] = 1; /* now it may be unlocked */
  expect(ilk_word_lock(word, ILK_SHARED), ILK_OK);
  expect(ilk_word_unlock(word, ILK_SHARED), ILK_OK);
}

START_TEST(bug_12_and_13_a_child_is_another)
{
  if (!has_shared())
    return;
  _Atomic uint32_t *word = new_page(MAP_SHARED);
  expect(ilk_word_lock(word, ILK_SHARED), ILK_OK);
  pid_t child = child_start(lock_in_child, word);
  while (!word[1] && child_runs(child))
    sched_yield();
  nap(20 * MS); /* asleep by now, mostly */
  expect(ilk_word_unlock(word, ILK_SHARED), ILK_OK);
  child_end(child);
  expect(word[0] & 0x3fffffff, 0);
  munmap(word, 4096);
}
END_TEST

static void private_in_child(void *argument)
{
  uint32_t *words = argument;
  expect(ilk_word_unlock(&words[0], 0), ILK_OK);
  expect(ilk_word_lock(&words[1], 0), ILK_OWNER_DIED);
  expect(ilk_word_unlock(&words[1], 0), ILK_OK);
  flags = 0;
  expect(ilk_word_lock(&words[0], 0), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_pass, &words[0], -1);
  expect(ilk_word_unlock(&words[0], 0), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
}

START_TEST(bug_12_fork_while_another_holds)
{
  if (TSAN)
    return; /* it cannot start threads in a fork's child */
  flags = 0;
  uint32_t words[2] = {0, 0};
  expect(ilk_word_lock(&words[0], 0), ILK_OK);
  struct waiter holder, w;
  stage = 0;
  waiter_start(&holder, hold_and_die, &words[1], 0);
  while (stage == 0)
    sched_yield();
  waiter_sleep(&w, call_pass, &words[1], -1);
  in_child(private_in_child, words);
  stage = 2;
  expect(waiter_end(&holder), ILK_OK);
  expect(waiter_end(&w), ILK_OWNER_DIED);
  expect(ilk_word_unlock(&words[0], 0), ILK_OK);
}
END_TEST

/* --- deaths that are hard to tell ------------------------------------------------------------- */

static void *hold_two_and_die(void *words)
{
  expect(ilk_word_lock(words, 0), ILK_OK);
  expect(ilk_word_lock((uint32_t *)words + 1, 0), ILK_OK);
  stage = 1;
  while (stage < 2)
    nap(50 * US);
  return NULL;
}

/* The exit waited until the handler had returned, and those behind it learned of the death only then. */
START_TEST(an_exit_waited_for_a_waiter_in_a_signal_handler)
{
  uint32_t words[2] = {0, 0};
  stage = 0;
  pthread_t holder = start(hold_two_and_die, words);
  while (stage == 0)
    sched_yield();
  struct waiter first, second;
  waiter_sleep(&first, call_pass, &words[0], -1);
  waiter_sleep(&second, call_pass, &words[1], -1);
  interrupt(first.thread);
  stage = 2;
  join(holder);
  expect(waiter_end(&second), ILK_OWNER_DIED);
  expect(first.result, PENDING);
  handler_may_return = true;
  expect(waiter_end(&first), ILK_OWNER_DIED);
}
END_TEST

static pthread_key_t last_key;
static struct waiter last_waiter;

/* Locks in the last round of destructors, after the library's own. */
static void lock_in_last_round(void *round)
{
  intptr_t n = (intptr_t)round;
  ilk_thread_id();
  if (n < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(last_key, (void *)(n + 1));
    return;
  }
  expect(ilk_word_trylock(last_waiter.handle, 0), ILK_OK);
  waiter_sleep(&last_waiter, call_pass, last_waiter.handle, -1);
}

static void *exit_slowly(void *unused)
{
  ilk_thread_id();
  pthread_setspecific(last_key, (void *)(intptr_t)1);
  return unused;
}

/* The waiter detected the death, and then waited for itself to wake. */
START_TEST(a_waiter_waited_for_its_own_sleep_to_end)
{
  if (TSAN || ASAN || !EXIT_MAY_START_THREADS)
    return; /* sanitizers end their own part of the thread in that round */
  uint32_t word = 0;
  pthread_key_create(&last_key, lock_in_last_round);
  last_waiter.handle = &word;
  join(start(exit_slowly, NULL));
  expect(waiter_end(&last_waiter), ILK_OWNER_DIED);
}
END_TEST

/* --- wait and wake ---------------------------------------------------------------------------- */

START_TEST(wait_and_wake)
{
  if (!use_flags(_i))
    return;
  uint32_t word = 0;
  expect(ilk_word_wait(&word, 1, flags, -1), ILK_OK); /* it is not 1 */
  expect(ilk_word_wait(&word, 1, flags, 0), ILK_OK);
  expect(ilk_word_wait(&word, 0, flags, 0), ILK_ETIMEDOUT);
  int64_t begin = now();
  int result;
  while ((result = ilk_word_wait(&word, 0, flags, 5 * MS)) == ILK_OK)
    begin = now();
  expect(result, ILK_ETIMEDOUT);
  must(now() - begin >= 5 * MS);
  expect(ilk_word_wake(&word, 1, flags), 0);
  expect(ilk_word_wake(&word, INT_MAX, flags), 0);

  struct waiter w[4];
  for (int i = 0; i < 4; i++)
    waiter_sleep(&w[i], call_wait_0, &word, i % 2 ? -1 : INT64_MAX);
  expect(ilk_word_wake(&word, 0, flags), 0);
  wake_so_many(&word, 1);
  wake_so_many(&word, 2);
  wake_so_many(&word, 1);
  expect(ilk_word_wake(&word, INT_MAX, flags), 0);
  for (int i = 0; i < 4; i++)
    expect(waiter_end(&w[i]), ILK_OK);

  word = UINT32_C(0x80000001); /* a u32 travels in the bits of an int */
  expect(ilk_word_wait(&word, (int)0x80000001u, flags, 0), ILK_ETIMEDOUT);
  expect(ilk_word_wait(&word, 1, flags, 0), ILK_OK);
}
END_TEST

/* Two neighbours: a release of one does not wake a thread that waits for the other. */
START_TEST(wakes_go_to_their_own_word)
{
  if (!use_flags(_i))
    return;
  uint32_t words[2] = {0, 0};
  struct waiter w[2];
  waiter_sleep(&w[0], call_wait_0, &words[0], -1);
  waiter_sleep(&w[1], call_wait_0, &words[1], -1);
  wake_so_many(&words[1], 1);
  expect(ilk_word_wake(&words[1], 2, flags), 0);
  expect(waiter_end(&w[1]), ILK_OK);
  expect(w[0].result, PENDING);
  wake_so_many(&words[0], 1);
  expect(waiter_end(&w[0]), ILK_OK);
}
END_TEST

struct turns {
  _Atomic uint32_t turn; /* whose: even one's, odd the other's */
  int64_t plain, end;
  bool over; /* plain too: this turn is the other's last */
};

/* Plain data passed to and fro on the order that the caller's own atomics give. */
static void take_turns(struct turns *t, uint32_t mine)
{
  bool last = false;
  for (uint32_t turn = mine; !last; turn += 2) {
    for (uint32_t seen; (seen = t->turn) != turn;)
      expect(ilk_word_wait(&t->turn, (int)seen, flags, -1), ILK_OK);
    t->plain++;
    if (mine == 0)
      t->over = now() >= t->end;
    last = t->over;
    t->turn = turn + 1;
    expect(ilk_word_wake(&t->turn, INT_MAX, flags) >= 0, 1);
  }
}

static void *turns_thread(void *t)
{
  take_turns(t, 1);
  return NULL;
}

static void turns_child(void *t)
{
  take_turns(t, 1);
}

START_TEST(no_wake_is_missed)
{
  flags = 0;
  struct turns t = {.end = stress_end(200)};
  pthread_t other = start(turns_thread, &t);
  take_turns(&t, 0);
  join(other);
  expect(t.plain, t.turn);
}
END_TEST

START_TEST(bug_13_wait_and_wake_across_processes)
{
  if (!has_shared())
    return;
  flags = ILK_SHARED;
  struct turns *t = new_page(MAP_SHARED);
  t->end = stress_end(200);
  pid_t child = child_start(turns_child, t);
  take_turns(t, 0);
  child_end(child);
  expect(t->plain, t->turn);
  munmap(t, 4096);
}
END_TEST

START_TEST(bug_3_signal_storm)
{
  if (!use_flags(_i))
    return;
  struct stress s = {.end = stress_end(150)};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(stress_run, &s);
  struct storm storm;
  storm_start(&storm, threads, 4);
  while (now() < s.end)
    nap(MS);
  storm_end(&storm);
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  expect(s.plain, s.added);
}
END_TEST

/* --- processes that are killed
   ------------------------------------------------------------------ */

static void lock_shared(void *word)
{
  expect(ilk_word_lock(word, ILK_SHARED), ILK_OK);
  expect(ilk_word_unlock(word, ILK_SHARED), ILK_OK);
}

/* A child that waits for the word, which we hold; returns once it sleeps. */
static pid_t child_that_waits(_Atomic uint32_t *word)
{
  pid_t child = child_start(lock_shared, word);
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
  for (int seen = 0; seen < 3;) {
    FILE *file = fopen(path, "r");
    must(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
    fclose(file);
    seen = state == 'S' && *word >> 31 ? seen + 1 : 0; /* it says that it sleeps, and does */
    nap(MS);
  }
  return child;
}

/* True: of the signal. False: it was faster and has ended; or it got the lock first, which we take
   from it. */
static bool child_kill(pid_t child, _Atomic uint32_t *word)
{
  int status;
  kill(child, SIGKILL);
  must(waitpid(child, &status, 0) == child);
  if ((*word & 0x3fffffff) == (uint32_t)child)
    *word = 0;
  return WIFSIGNALED(status);
}

/* The other child is not woken by the kernel when the first has died. */
START_TEST(a_waiter_that_was_woken_is_killed)
{
  if (!has_shared())
    return;
  _Atomic uint32_t *word = new_page(MAP_SHARED);
  /* On one processor: a batch process that is woken does not run before us. */
  cpu_set_t before, one;
  must(sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  must(sched_setaffinity(0, sizeof one, &one) == 0);
  expect(ilk_word_lock(word, ILK_SHARED), ILK_OK);
  pid_t first = child_that_waits(word);
  must(make_batch(first));
  pid_t second = child_that_waits(word);
  expect(ilk_word_unlock(word, ILK_SHARED), ILK_OK); /* wakes the first */
  child_kill(first, word);
  must(sched_setaffinity(0, sizeof before, &before) == 0);
  child_end(second);
  expect(*word, 0);
  munmap((void *)word, 4096);
}
END_TEST

/* The same, whatever the system's scheduler does: no thread was woken at all. */
START_TEST(a_wake_is_lost)
{
  if (!has_shared())
    return;
  _Atomic uint32_t *word = new_page(MAP_SHARED);
  expect(ilk_word_lock(word, ILK_SHARED), ILK_OK);
  pid_t children[2];
  for (int i = 0; i < 2; i++)
    children[i] = child_that_waits(word);
  *word = 0;
  for (int i = 0; i < 2; i++)
    child_end(children[i]);
  expect(*word, 0);
  munmap((void *)word, 4096);
}
END_TEST

START_TEST(a_waiter_that_sleeps_is_killed)
{
  if (!has_shared())
    return;
  _Atomic uint32_t *word = new_page(MAP_SHARED);
  expect(ilk_word_lock(word, ILK_SHARED), ILK_OK);
  pid_t first = child_that_waits(word), second = child_that_waits(word);
  must(child_kill(first, word));
  expect(ilk_word_unlock(word, ILK_SHARED), ILK_OK);
  child_end(second);
  expect(*word, 0);
  munmap((void *)word, 4096);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("word");
  TCase *calls = test_case(suite, "calls", 20);
  tcase_add_test(calls, arguments_are_checked);
  tcase_add_test(calls, shared_where_there_is_none);
  tcase_add_loop_test(calls, lock_and_unlock, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, short_waits_left_a_reservation, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, waiters_get_it, 0, LENGTH(all_flags));
  tcase_add_test(calls, a_starving_waiter_that_times_out);
  tcase_add_test(calls, owner_died);
  tcase_add_test(calls, owner_dies_while_others_wait);
  tcase_add_test(calls, owner_dies_as_another_comes);
  tcase_add_loop_test(calls, a_later_owner_dies, 0, 2);
  tcase_add_test(calls, inline_and_calls_agree);
  tcase_add_test(calls, inline_unlock_wakes);
  tcase_add_test(calls, inline_owner_died);
  tcase_add_test(calls, one_that_overtook_a_sleeper_dies);
  tcase_add_loop_test(calls, wake_on_memory_that_is_gone, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, wait_and_wake, 0, LENGTH(all_flags));
  tcase_add_loop_test(calls, wakes_go_to_their_own_word, 0, LENGTH(all_flags));
  tcase_add_test(calls, bug_12_and_13_a_child_is_another);
  tcase_add_test(calls, bug_12_fork_while_another_holds);
  tcase_add_test(calls, an_exit_waited_for_a_waiter_in_a_signal_handler);
  tcase_add_test(calls, a_waiter_waited_for_its_own_sleep_to_end);
  TCase *stress = test_case(suite, "stress", 30);
  tcase_add_loop_test(stress, bug_1_unlocked_and_unmapped, 0, LENGTH(all_flags));
  tcase_add_loop_test(stress, bug_1_unlocked_and_unmapped_by_the_next, 0, LENGTH(all_flags));
  tcase_add_loop_test(stress, bugs_4_6_8_exclusion_and_no_lost_wake, 0, LENGTH(all_flags));
  tcase_add_loop_test(stress, bug_3_signal_storm, 0, LENGTH(all_flags));
  tcase_add_test(stress, bug_13_two_processes);
  tcase_add_test(stress, no_wake_is_missed);
  tcase_add_test(stress, bug_13_wait_and_wake_across_processes);
  tcase_add_test(stress, a_waiter_that_was_woken_is_killed);
  tcase_add_test(stress, a_wake_is_lost);
  tcase_add_test(stress, a_waiter_that_sleeps_is_killed);
  return run_suite(suite);
}
