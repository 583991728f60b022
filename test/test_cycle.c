/* cycle.c: deadlock cycles through every kind of lock that knows its holder. Each of these but the
   last two hung on a library that followed one holder a lock, where a reader or a word lock is in
   the cycle. */
#include "support.h"

/* --- kinds: how one thread holds a lock, and another wants it -------------------------------- */

static void *new_mutex(void)
{
  return ilk_mutex_new(0);
}
static void *new_fair(void)
{
  return ilk_mutex_new(ILK_FAIR);
}
static void *new_rwlock(void)
{
  return ilk_rwlock_new(0);
}
/* Its next readers publish themselves, where they are not counted. */
static void *new_calm_rwlock(void)
{
  void *rw = ilk_rwlock_new(0);
  for (int i = 0; i < 200; i++) {
    expect(ilk_rwlock_read_lock(rw), ILK_OK);
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  }
  return rw;
}
static void *new_once(void)
{
  return ilk_once_new(0);
}
static int end_once(void *once)
{
  return ilk_once_end(once, 1);
}
static int no_end(void *once)
{
  (void)once;
  return ILK_OK;
}
static void *new_array(void)
{
  return ilk_lockarray_new(5, 0);
}
static int lock_element(void *array)
{
  return ilk_lockarray_lock(array, 3);
}
static int unlock_element(void *array)
{
  return ilk_lockarray_unlock(array, 3);
}
static int lock_range(void *array)
{
  return ilk_lockarray_lock_range(array, 1, 5);
}
static int unlock_range(void *array)
{
  return ilk_lockarray_unlock_range(array, 1, 5);
}
static void *new_word(void)
{
  return calloc(1, 4);
}
static int lock_word(void *word)
{
  return ilk_word_lock(word, 0);
}
static int unlock_word(void *word)
{
  return ilk_word_unlock(word, 0);
}
static int free_word(void *word)
{
  free(word);
  return ILK_OK;
}

static const struct kind {
  void *(*make)(void);
  int (*hold)(void *), (*release)(void *); /* `hold` returns `held` */
  int held;
  int (*want)(void *), (*undo)(void *);
  int (*free)(void *);
} kinds[] = {
  {new_rwlock, ilk_rwlock_read_lock, ilk_rwlock_read_unlock, ILK_OK, ilk_rwlock_write_lock,
   ilk_rwlock_write_unlock, ilk_rwlock_free},
  {new_calm_rwlock, ilk_rwlock_read_lock, ilk_rwlock_read_unlock, ILK_OK, ilk_rwlock_write_lock,
   ilk_rwlock_write_unlock, ilk_rwlock_free},
  {new_rwlock, ilk_rwlock_write_lock, ilk_rwlock_write_unlock, ILK_OK, ilk_rwlock_read_lock,
   ilk_rwlock_read_unlock, ilk_rwlock_free},
  {new_rwlock, ilk_rwlock_write_lock, ilk_rwlock_write_unlock, ILK_OK, ilk_rwlock_write_lock,
   ilk_rwlock_write_unlock, ilk_rwlock_free},
  {new_word, lock_word, unlock_word, ILK_OK, lock_word, unlock_word, free_word},
  {new_mutex, ilk_mutex_lock, ilk_mutex_unlock, ILK_OK, ilk_mutex_lock, ilk_mutex_unlock,
   ilk_mutex_free},
  {new_fair, ilk_mutex_lock, ilk_mutex_unlock, ILK_OK, ilk_mutex_lock, ilk_mutex_unlock,
   ilk_mutex_free},
  {new_array, lock_element, unlock_element, ILK_OK, lock_range, unlock_range, ilk_lockarray_free},
  {new_once, ilk_once_begin, end_once, 1, ilk_once_begin, no_end, ilk_once_free},
};

/* --- rings: each thread holds a lock and wants the next one's -------------------------------- */

enum { RING_MAX = 40 };

static struct {
  int n;
  const struct kind *kind[RING_MAX];
  void *lock[RING_MAX];
  _Atomic int next, hold, reported;
} ring;

static void ring_add(const struct kind *kind)
{
  if (kind->make == new_word && emulated())
    kind = &kinds[0];
  ring.kind[ring.n] = kind;
  ring.lock[ring.n++] = kind->make();
}

static void ring_begin(void)
{
  ring.n = 0;
  ring.next = ring.hold = ring.reported = 0;
}

static void ring_end(void)
{
  for (int i = 0; i < ring.n; i++)
    expect(ring.kind[i]->free(ring.lock[i]), ILK_OK);
}

/* Returns once all n hold theirs. */
static void hold_and_meet(int n)
{
  ring.hold++;
  while (ring.hold < n)
    nap(50 * US);
}

static void *hold_and_want(void *unused)
{
  (void)unused;
  int i = ring.next++, j = (i + 1) % ring.n;
  const struct kind *own = ring.kind[i], *other = ring.kind[j];
  expect(own->hold(ring.lock[i]), own->held);
  hold_and_meet(ring.n);
  int result = other->want(ring.lock[j]);
  if (result == ILK_EDEADLK) {
    expect(ilk_last_error(), ILK_EDEADLK);
    ring.reported++;
  } else {
    expect(result, ILK_OK);
    expect(other->undo(ring.lock[j]), ILK_OK);
  }
  expect(own->release(ring.lock[i]), ILK_OK);
  return NULL;
}

/* Exactly one thread reports it; the others proceed when it has released its locks. */
START_TEST(a_cycle_of_two)
{
  for (int j = 0; j < LENGTH(kinds); j++) {
    ring_begin();
    ring_add(&kinds[_i]);
    ring_add(&kinds[j]);
    in_threads(2, hold_and_want, NULL);
    expect(ring.reported, 1);
    ring_end();
  }
}
END_TEST

START_TEST(a_cycle_through_all_kinds)
{
  ring_begin();
  for (int i = 0; i < RING_MAX; i++)
    ring_add(&kinds[i % LENGTH(kinds)]);
  in_threads(RING_MAX, hold_and_want, NULL);
  expect(ring.reported, 1);
  ring_end();
}
END_TEST

/* --- readers
   ----------------------------------------------------------------------------------- */

static struct {
  void *rw, *mutex, *semaphore;
  int64_t timeout_ns;
} readers;

static int read_and_wait(void *semaphore, int64_t timeout_ns)
{
  expect(ilk_rwlock_read_lock(readers.rw), ILK_OK);
  expect(ilk_semaphore_timedacquire(semaphore, timeout_ns), ILK_OK);
  expect(ilk_rwlock_read_unlock(readers.rw), ILK_OK);
  return ILK_OK;
}

static int read_then_lock(void *mutex, int64_t timeout_ns)
{
  expect(ilk_rwlock_read_lock(readers.rw), ILK_OK);
  hold_and_meet(2);
  int result = ilk_mutex_timedlock(mutex, timeout_ns);
  if (result == ILK_OK)
    expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_rwlock_read_unlock(readers.rw), ILK_OK);
  return result;
}

static int call_write(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_write_timedlock(rw, timeout_ns);
  if (result == ILK_OK)
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  return result;
}

static int lock_then_write(void *rw, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(readers.mutex), ILK_OK);
  hold_and_meet(2);
  int result = call_write(rw, timeout_ns);
  expect(ilk_mutex_unlock(readers.mutex), ILK_OK);
  return result;
}

static int lock_then_read(void *rw, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(readers.mutex), ILK_OK);
  hold_and_meet(2);
  int result = ilk_rwlock_read_timedlock(rw, timeout_ns);
  if (result == ILK_OK)
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_mutex_unlock(readers.mutex), ILK_OK);
  return result;
}

static void readers_begin(void)
{
  ring.hold = 0;
  readers.rw = new_rwlock();
  readers.mutex = new_mutex();
  readers.semaphore = ilk_semaphore_new(0, 0);
}

static void readers_end(void)
{
  expect(ilk_rwlock_free(readers.rw), ILK_OK);
  expect(ilk_mutex_free(readers.mutex), ILK_OK);
  expect(ilk_semaphore_free(readers.semaphore), ILK_OK);
}

/* One of many readers, and neither the first nor the last to read. */
START_TEST(a_cycle_through_one_of_many_readers)
{
  readers_begin();
  enum { OTHERS = 12 };
  struct waiter others[OTHERS], reader, writer;
  for (int i = 0; i < OTHERS / 2; i++)
    waiter_sleep(&others[i], read_and_wait, readers.semaphore, -1);
  waiter_start(&reader, read_then_lock, readers.mutex, -1);
  while (ring.hold < 1)
    nap(50 * US);
  for (int i = OTHERS / 2; i < OTHERS; i++)
    waiter_sleep(&others[i], read_and_wait, readers.semaphore, -1);
  waiter_start(&writer, lock_then_write, readers.rw, -1);
  /* A writer that reports lets the reader proceed; one that does not waits for all the readers. */
  int r = waiter_end(&reader);
  must(r == ILK_EDEADLK || r == ILK_OK);
  expect(ilk_semaphore_release(readers.semaphore, OTHERS), ILK_OK);
  expect(waiter_end(&writer), r == ILK_EDEADLK ? ILK_OK : ILK_EDEADLK);
  for (int i = 0; i < OTHERS; i++)
    expect(waiter_end(&others[i]), ILK_OK);
  readers_end();
}
END_TEST

/* The thread that holds the mutex waits to read, behind a writer that waits for the reader. */
START_TEST(a_cycle_through_a_writer_that_waits)
{
  readers_begin();
  struct waiter reader, second, writer;
  waiter_start(&reader, read_then_lock, readers.mutex, -1);
  while (ring.hold < 1)
    nap(50 * US);
  waiter_sleep(&writer, call_write, readers.rw, -1);
  waiter_start(&second, lock_then_read, readers.rw, -1);
  int results[] = {waiter_end(&reader), waiter_end(&second), waiter_end(&writer)}, reported = 0;
  for (int i = 0; i < LENGTH(results); i++) {
    must(results[i] == ILK_OK || results[i] == ILK_EDEADLK);
    reported += results[i] == ILK_EDEADLK;
  }
  expect(reported, 1);
  readers_end();
}
END_TEST

/* A writer in front that waits with a deadline hides nothing: the one behind it waits for the
   reader, too, and does not search again when the first has gone. */
START_TEST(a_cycle_behind_a_writer_with_a_deadline)
{
  readers_begin();
  struct waiter reader, impatient, writer;
  waiter_start(&reader, read_then_lock, readers.mutex, -1);
  while (ring.hold < 1)
    nap(50 * US);
  waiter_sleep(&impatient, call_write, readers.rw, 700 * MS);
  waiter_start(&writer, lock_then_write, readers.rw, -1);
  int r = waiter_end(&reader), w = waiter_end(&writer), i = waiter_end(&impatient);
  must((r == ILK_EDEADLK && w == ILK_OK) || (r == ILK_OK && w == ILK_EDEADLK));
  must(i == ILK_OK || i == ILK_ETIMEDOUT);
  readers_end();
}
END_TEST

/* The same with two that wait behind it, the first to write. */
START_TEST(a_cycle_through_the_queue_behind_a_writer_with_a_deadline)
{
  readers_begin();
  struct waiter reader, impatient, writer, second;
  waiter_start(&reader, read_then_lock, readers.mutex, -1);
  while (ring.hold < 1)
    nap(50 * US);
  waiter_sleep(&impatient, call_write, readers.rw, 700 * MS);
  waiter_sleep(&writer, call_write, readers.rw, -1);
  waiter_start(&second, lock_then_read, readers.rw, -1);
  int results[] = {waiter_end(&reader), waiter_end(&second), waiter_end(&writer)}, reported = 0;
  for (int i = 0; i < LENGTH(results); i++) {
    must(results[i] == ILK_OK || results[i] == ILK_EDEADLK);
    reported += results[i] == ILK_EDEADLK;
  }
  must(reported >= 1);
  int i = waiter_end(&impatient);
  must(i == ILK_OK || i == ILK_ETIMEDOUT);
  readers_end();
}
END_TEST

/* --- word locks
   --------------------------------------------------------------------------------- */

static uint32_t word;

static int lock_word_then(void *mutex, int64_t unused)
{
  (void)unused;
  expect(ilk_word_lock(&word, 0), ILK_OK);
  int result = ilk_mutex_lock(mutex);
  if (result == ILK_OK)
    expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_word_unlock(&word, 0), ILK_OK);
  return result;
}

static int lock_then_word(void *mutex, int64_t unused)
{
  (void)unused;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int result = ilk_word_lock(&word, 0);
  if (result == ILK_OK)
    expect(ilk_word_unlock(&word, 0), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  return result;
}

static void until_waits_for_word(struct waiter *w)
{
  while (!w->tid || !is_blocked(w->tid, &word))
    nap(50 * US);
  until_asleep(w->tid);
}

/* Two sleep; the first gets the word and waits for the second, which fell asleep when we held
   it. */
START_TEST(a_cycle_through_a_word_that_changed_hands)
{
  void *mutex = new_mutex();
  struct waiter first, second;
  expect(ilk_word_lock(&word, 0), ILK_OK);
  waiter_start(&first, lock_word_then, mutex, -1);
  until_waits_for_word(&first);
  waiter_start(&second, lock_then_word, mutex, -1);
  until_waits_for_word(&second);
  nap(250 * MS); /* they have searched */
  expect(ilk_word_unlock(&word, 0), ILK_OK);
  int results[] = {waiter_end(&first), waiter_end(&second)};
  must((results[0] == ILK_EDEADLK && results[1] == ILK_OK) ||
       (results[0] == ILK_OK && results[1] == ILK_EDEADLK) ||
       (results[0] == ILK_OK && results[1] == ILK_OK)); /* if the second was faster */
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

/* --- threads that join
   ---------------------------------------------------------------------------- */

static void lock_and_leave(void *mutex)
{
  int result = ilk_mutex_lock(mutex);
  if (result == ILK_EDEADLK)
    ring.reported++;
  else
    expect(ilk_mutex_unlock(mutex), ILK_OK);
}

START_TEST(a_cycle_through_a_join)
{
  ring.reported = 0;
  void *mutex = new_mutex();
  expect(ilk_mutex_lock(mutex), ILK_OK);
  void *thread = ilk_thread_start((void *)(uintptr_t)lock_and_leave, mutex);
  int result = ilk_thread_join(thread);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  if (result == ILK_EDEADLK) {
    ring.reported++;
    result = ilk_thread_join(thread);
  }
  expect(result, ILK_OK);
  expect(ring.reported, 1);
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

/* --- no cycles
   ------------------------------------------------------------------------------------ */

/* A wait with a deadline ends by itself. */
START_TEST(no_cycle_where_one_waits_with_a_deadline)
{
  readers_begin();
  struct waiter reader, impatient, second;
  if (_i == 0) {
    waiter_start(&reader, read_then_lock, readers.mutex, 400 * MS);
    waiter_start(&second, lock_then_write, readers.rw, -1);
    expect(waiter_end(&reader), ILK_ETIMEDOUT);
    expect(waiter_end(&second), ILK_OK);
  } else {
    waiter_start(&reader, read_then_lock, readers.mutex, -1);
    while (ring.hold < 1)
      nap(50 * US);
    waiter_sleep(&impatient, call_write, readers.rw, 400 * MS);
    waiter_start(&second, lock_then_read, readers.rw, -1);
    expect(waiter_end(&impatient), ILK_ETIMEDOUT);
    expect(waiter_end(&second), ILK_OK);
    expect(waiter_end(&reader), ILK_OK);
  }
  readers_end();
}
END_TEST

/* All that hold two took them in the order of the ring, and held them for longer than it takes
   until the others search. */
static int64_t ordered_end;

static void *take_in_order(void *unused)
{
  (void)unused;
  while (now() < ordered_end) {
    int low = (int)below(ring.n - 1), high = low + 1 + (int)below(ring.n - 1 - low);
    const struct kind *first = ring.kind[low], *second = ring.kind[high];
    bool hold = below(2);
    expect(hold ? first->hold(ring.lock[low]) : first->want(ring.lock[low]), ILK_OK);
    expect(second->want(ring.lock[high]), ILK_OK);
    nap(below(30) * MS);
    expect(second->undo(ring.lock[high]), ILK_OK);
    expect(hold ? first->release(ring.lock[low]) : first->undo(ring.lock[low]), ILK_OK);
  }
  return NULL;
}

START_TEST(no_cycle_when_locks_are_ordered)
{
  ring_begin();
  for (int i = 0; i < LENGTH(kinds) - 1; i++) /* a once is held but once */
    ring_add(&kinds[i]);
  ordered_end = stress_end(700);
  in_threads(24, take_in_order, NULL);
  ring_end();
}
END_TEST

int main(void)
{
  Suite *s = suite_create("cycle");
  TCase *cycle = test_case(s, "cycle", 20);
  tcase_add_loop_test(cycle, a_cycle_of_two, 0, LENGTH(kinds));
  tcase_add_test(cycle, a_cycle_through_all_kinds);
  tcase_add_test(cycle, a_cycle_through_one_of_many_readers);
  tcase_add_test(cycle, a_cycle_through_a_writer_that_waits);
  tcase_add_test(cycle, a_cycle_behind_a_writer_with_a_deadline);
  tcase_add_test(cycle, a_cycle_through_the_queue_behind_a_writer_with_a_deadline);
  if (!skipped_if_emulated("cycles through words", "the emulator reads no word that may be gone"))
    tcase_add_test(cycle, a_cycle_through_a_word_that_changed_hands);
  tcase_add_test(cycle, a_cycle_through_a_join);
  tcase_add_loop_test(cycle, no_cycle_where_one_waits_with_a_deadline, 0, 2);
  tcase_add_test(cycle, no_cycle_when_locks_are_ordered);
  return run_suite(s);
}
