/* thread_record.h, from within: what is kept and what is forgotten when a record is used again. */
#define _GNU_SOURCE
#include <limits.h>

#include "thread_record.h"

#include "support.h"

/* Whatever the record's last thread was in the middle of, as in a fork's child. */
START_TEST(a_record_that_is_used_again_remembers_nothing)
{
  struct thread *record = thread_reserve(false);
  must(record != NULL);
  uint32_t id = thread_id(record);
  store_relaxed(&record->native_id, 1);
  store_relaxed(&record->closing, 1);
  store_relaxed(&record->deferred_count, 1);
  store_relaxed(&record->episode, 1);
  store_relaxed(&record->pin[PIN_INNER], 1);
  store_relaxed(&record->reads_published[0], 1);
  store_relaxed(&record->wait_slots[1].queue, (struct waitq *)record);
  record->wait_slots[1].resumable_for = record->held = record->gil_state = record;
  record->uses_words = true;
  record->reads = record->reads_more[0] = record->resumable_waits = 1;
  record->spin_limit = record->spin_waits = 1;
  thread_abandon(record);
  expect(load_relaxed(&record->id), 0);
  expect(thread_find(id) == NULL, 1);

  must(thread_reserve(false) == record);
  must(thread_id(record) != id && thread_find(thread_id(record)) == record);
  expect(load_relaxed(&record->native_id), 0);
  expect(load_relaxed(&record->closing), 0);
  expect(load_relaxed(&record->deferred_count), 0);
  expect(load_relaxed(&record->episode) % 2, 0);
  expect(load_relaxed(&record->pin[PIN_INNER]), 0);
  expect(load_relaxed(&record->reads_published[0]), 0);
  must(!load_relaxed(&record->wait_slots[1].queue) && !record->wait_slots[1].resumable_for);
  must(!record->held && !record->gil_state && !record->uses_words);
  must(!record->reads && !record->reads_more[0] && !record->resumable_waits);
  must(!record->spin_limit && !record->spin_waits);
  thread_abandon(record);
}
END_TEST

/* An id may be assigned again once all others have been. */
START_TEST(ids_of_threads_that_never_began_are_free)
{
  for (int i = 0; i < THREADS_MAX + 10; i++) {
    struct thread *record = thread_reserve(false);
    must(record != NULL);
    thread_abandon(record);
  }
}
END_TEST

#ifdef __linux__ /* elsewhere the system does not say that a thread is gone, or has no rounds */

/* --- the last rounds of destructors ------------------------------------------------------------- */

static struct {
  pthread_key_t key;
  int rounds;
  struct thread *record;
} last;

static void in_each_round(void *round)
{
  intptr_t n = (intptr_t)round;
  last.record = thread_self();
  expect(load_relaxed(&thread_unnoticed_count), load_relaxed(&last.record->exits_unnoticed));
  if (n < last.rounds)
    pthread_setspecific(last.key, (void *)(n + 1));
}

static void *exit_slowly(void *unused)
{
  ilk_thread_id();
  pthread_setspecific(last.key, (void *)(intptr_t)1);
  return unused;
}

/* A record that is created after the library's own last round counts until its thread's exit has
   been noticed: by the system, in a further round; or by another thread, once it is gone. */
START_TEST(exits_that_may_go_unnoticed_are_counted)
{
  if (TSAN || ASAN)
    return; /* which end their own part of the thread in those rounds */
  pthread_key_create(&last.key, in_each_round);
  int unnoticed = 0;
  for (last.rounds = 1; last.rounds <= PTHREAD_DESTRUCTOR_ITERATIONS; last.rounds++) {
    join(start(exit_slowly, NULL));
    if (load_relaxed(&thread_unnoticed_count)) {
      unnoticed++;
      expect(load_relaxed(&thread_unnoticed_count), 1);
      while (!thread_end_unnoticed()) /* a joined thread may still be there for a moment */
        sched_yield();
    }
    expect(load_relaxed(&thread_unnoticed_count), 0);
    expect(load_relaxed(&last.record->id), 0);
    expect(load_relaxed(&last.record->exits_unnoticed), 0);
    must(!thread_end_unnoticed());
  }
  expect(unnoticed, 1);
}
END_TEST

#endif

int main(void)
{
  Suite *s = suite_create("thread record");
  TCase *tc = test_case(s, "records", 20);
  tcase_add_test(tc, a_record_that_is_used_again_remembers_nothing);
  tcase_add_test(tc, ids_of_threads_that_never_began_are_free);
#ifdef __linux__
  tcase_add_test(tc, exits_that_may_go_unnoticed_are_counted);
#endif
  return run_suite(s);
}
