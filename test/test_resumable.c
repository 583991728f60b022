/* Resumable waits: the place in a queue is kept between the parts, and a thread that is away, or
   runs a signal handler, delays no other thread. */
#include "stay.h"

/* A lock as this test needs it. */
struct lock {
  void *(*make)(int flags);
  int flags;
  int (*take)(void *handle, int64_t timeout_ns);
  int (*give)(void *handle);
  int (*release)(void *handle);
};

static const struct lock locks[] = {
  {ilk_mutex_new, 0, ilk_mutex_timedlock, ilk_mutex_unlock, ilk_mutex_free},
  {ilk_mutex_new, ILK_FAIR, ilk_mutex_timedlock, ilk_mutex_unlock, ilk_mutex_free},
  {ilk_mutex_new, ILK_RECURSIVE, ilk_mutex_timedlock, ilk_mutex_unlock, ilk_mutex_free},
  {ilk_mutex_new, ILK_UNOWNED, ilk_mutex_timedlock, ilk_mutex_unlock, ilk_mutex_free},
  {ilk_mutex_new, ILK_UNOWNED | ILK_FAIR, ilk_mutex_timedlock, ilk_mutex_unlock, ilk_mutex_free},
  {ilk_rwlock_new, 0, ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock, ilk_rwlock_free},
  {ilk_rwlock_new, ILK_FAIR, ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock, ilk_rwlock_free},
};

static void *new_binary_semaphore(int unused)
{
  (void)unused;
  return ilk_semaphore_new(1, 1);
}

static int release_one(void *semaphore)
{
  return ilk_semaphore_release(semaphore, 1);
}

/* It has no queue that a thread can be away from, so most of these tests do not apply. */
static const struct lock binary_semaphore = {new_binary_semaphore, 0, ilk_semaphore_timedacquire,
                                             release_one, ilk_semaphore_free};
#define BINARY_SEMAPHORE LENGTH(locks)

static const struct lock *lock;
static void *handle;
static _Atomic int phase, turns;

/* Held by the test's main thread. */
static void begin_test(int i)
{
  lock = i == BINARY_SEMAPHORE ? &binary_semaphore : &locks[i];
  handle = lock->make(lock->flags);
  must(handle);
  phase = turns = 0;
  expect(lock->take(handle, -1), ILK_OK);
}

static void until_phase(int wanted)
{
  while (phase < wanted)
    nap(50 * US);
}

/* Which turn it was. */
static int take_turn(void *h, int64_t timeout_ns)
{
  expect(lock->take(h, timeout_ns), ILK_OK);
  int turn = turns++;
  expect(lock->give(h), ILK_OK);
  return turn;
}

/* Between two parts in phase 1, until phase 2. */
static void first_part(void *h)
{
  expect(ilk_wait_begin(h), ILK_OK);
  expect(lock->take(h, MS), ILK_ETIMEDOUT);
  phase = 1;
  until_phase(2);
}

static int take_turn_resumably(void *h, int64_t timeout_ns)
{
  first_part(h);
  int turn = take_turn(h, timeout_ns);
  expect(ilk_wait_end(h), ILK_OK);
  return turn;
}

START_TEST(a_resumable_wait_keeps_its_slot)
{
  begin_test(_i);
  struct waiter early, late;
  waiter_start(&early, take_turn_resumably, handle, 3600 * SECOND);
  until_phase(1);
  waiter_sleep(&late, take_turn, handle, -1);
  expect(lock->release(handle), ILK_EBUSY);
  phase = 2;
  waiter_until_asleep(&early);
  expect(lock->give(handle), ILK_OK);
  expect(waiter_end(&early), 0);
  expect(waiter_end(&late), 1);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

static int part_and_no_end(void *h, int64_t unused)
{
  (void)unused;
  first_part(h);
  return 0;
}

static int acquire_in_turn(void *semaphore, int64_t timeout_ns)
{
  expect(ilk_semaphore_timedacquire(semaphore, timeout_ns), ILK_OK);
  return turns++;
}

static int acquire_in_turn_resumably(void *semaphore, int64_t timeout_ns)
{
  first_part(semaphore);
  int turn = acquire_in_turn(semaphore, timeout_ns);
  expect(ilk_wait_end(semaphore), ILK_OK);
  return turn;
}

static int acquire_twice_in_turn(void *semaphore, int64_t timeout_ns)
{
  expect(ilk_wait_begin(semaphore), ILK_OK);
  expect(ilk_semaphore_timedacquire(semaphore, timeout_ns), ILK_OK);
  phase = 1;
  until_phase(2);
  int turn = acquire_in_turn(semaphore, timeout_ns);
  expect(ilk_wait_end(semaphore), ILK_OK);
  return turn;
}

static int acquire_once_resumably(void *semaphore, int64_t timeout_ns)
{
  expect(ilk_wait_begin(semaphore), ILK_OK);
  int turn = acquire_in_turn(semaphore, timeout_ns);
  expect(ilk_wait_end(semaphore), ILK_OK);
  return turn;
}

START_TEST(the_next_resumable_wait_took_the_place_of_one_that_had_acquired)
{
  handle = ilk_semaphore_new(0, 0);
  turns = 0;
  struct waiter first, plain, last;
  waiter_sleep(&first, acquire_once_resumably, handle, 3600 * SECOND);
  waiter_sleep(&plain, acquire_in_turn, handle, -1);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  expect(waiter_end(&first), 0);
  /* Not before: one wake is for all resumable waits, and either could acquire. */
  waiter_sleep(&last, acquire_once_resumably, handle, 3600 * SECOND);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  expect(waiter_end(&plain), 1);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  expect(waiter_end(&last), 2);
  expect(ilk_semaphore_free(handle), ILK_OK);
}
END_TEST

START_TEST(a_place_served_two_acquisitions)
{
  handle = ilk_semaphore_new(0, 0);
  phase = turns = 0;
  struct waiter twice, plain;
  waiter_sleep(&twice, acquire_twice_in_turn, handle, 3600 * SECOND);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  until_phase(1);
  waiter_sleep(&plain, acquire_in_turn, handle, -1);
  phase = 2;
  waiter_until_asleep(&twice);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  expect(waiter_end(&plain), 0);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  expect(waiter_end(&twice), 1);
  expect(ilk_semaphore_free(handle), ILK_OK);
}
END_TEST

/* Before those that began to wait later, and after those that began earlier. */
START_TEST(a_resumable_wait_for_a_semaphore_was_the_last)
{
  begin_test(BINARY_SEMAPHORE);
  struct waiter w[4];
  waiter_sleep(&w[0], acquire_in_turn, handle, -1);
  waiter_start(&w[1], acquire_in_turn_resumably, handle, 3600 * SECOND);
  until_phase(1);
  waiter_sleep(&w[2], acquire_in_turn, handle, -1);
  waiter_sleep(&w[3], acquire_in_turn, handle, -1);
  phase = 2;
  waiter_until_asleep(&w[1]);
  for (int i = 0; i < LENGTH(w); i++) {
    expect(ilk_semaphore_release(handle, 1), ILK_OK);
    while (turns == i)
      nap(50 * US);
  }
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), i);
  expect(ilk_semaphore_free(handle), ILK_OK);
}
END_TEST

static int acquire_after_a_cancel(void *semaphore, int64_t timeout_ns)
{
  expect(ilk_wait_begin(semaphore), ILK_OK);
  expect(ilk_semaphore_acquire(semaphore), ILK_ECANCELED);
  phase = 1;
  until_phase(2);
  int turn = acquire_in_turn(semaphore, timeout_ns);
  expect(ilk_wait_end(semaphore), ILK_OK);
  return turn;
}

/* Waits that began later had the turns of those that were before it and gave up. */
START_TEST(a_resumable_wait_for_a_semaphore_did_not_move_up)
{
  handle = ilk_semaphore_new(0, 0);
  phase = turns = 0;
  struct waiter before[2], resumable, after[2];
  for (int i = 0; i < LENGTH(before); i++)
    waiter_sleep(&before[i], ilk_semaphore_timedacquire, handle, -1);
  waiter_sleep(&resumable, acquire_after_a_cancel, handle, 3600 * SECOND);
  expect(ilk_cancel(1), ILK_OK);
  for (int i = 0; i < LENGTH(before); i++)
    expect(waiter_end(&before[i]), ILK_ECANCELED);
  until_phase(1);
  expect(ilk_cancel(0), ILK_OK);
  for (int i = 0; i < LENGTH(after); i++)
    waiter_sleep(&after[i], acquire_in_turn, handle, -1);
  phase = 2;
  waiter_until_asleep(&resumable);
  expect(ilk_semaphore_release(handle, 1), ILK_OK);
  while (turns == 0)
    nap(50 * US);
  expect(ilk_semaphore_release(handle, 2), ILK_OK);
  expect(waiter_end(&resumable), 0);
  for (int i = 0; i < LENGTH(after); i++)
    must(waiter_end(&after[i]) > 0);
  expect(ilk_semaphore_free(handle), ILK_OK);
}
END_TEST

START_TEST(one_that_gives_up_behind_a_resumable_wait_changes_nothing)
{
  handle = ilk_semaphore_new(0, 0);
  phase = turns = 0;
  struct waiter first, resumable;
  waiter_sleep(&first, acquire_in_turn, handle, -1);
  waiter_sleep(&resumable, acquire_once_resumably, handle, 3600 * SECOND);
  expect(elsewhere(ilk_semaphore_timedacquire, handle, MS), ILK_ETIMEDOUT);
  for (int i = 0; i < 2; i++) {
    expect(ilk_semaphore_release(handle, 1), ILK_OK);
    while (turns == i)
      nap(50 * US);
  }
  expect(waiter_end(&first), 0);
  expect(waiter_end(&resumable), 1);
  expect(ilk_semaphore_free(handle), ILK_OK);
}
END_TEST

START_TEST(a_thread_between_two_parts_blocks_no_other)
{
  begin_test(_i);
  struct waiter first, second;
  waiter_start(&first, part_and_no_end, handle, 0);
  until_phase(1);
  waiter_sleep(&second, take_turn, handle, -1);
  expect(lock->give(handle), ILK_OK);
  expect(waiter_end(&second), 0);
  expect(lock->take(handle, 0), ILK_OK);
  expect(lock->give(handle), ILK_OK);
  expect(lock->release(handle), ILK_EBUSY);
  phase = 2;
  expect(waiter_end(&first), 0); /* its exit ends its wait */
  expect(lock->release(handle), ILK_OK);
}
END_TEST

static int part_and_come_back(void *h, int64_t timeout_ns)
{
  first_part(h);
  expect(lock->take(h, timeout_ns), ILK_OK); /* free: no thread was there to be woken */
  expect(lock->give(h), ILK_OK);
  expect(ilk_wait_end(h), ILK_OK);
  return 0;
}

START_TEST(what_was_released_between_two_parts_is_acquired)
{
  for (int forever = 0; forever < 2; forever++) {
    begin_test(_i);
    struct waiter w;
    waiter_start(&w, part_and_come_back, handle, forever ? -1 : 3600 * SECOND);
    until_phase(1);
    expect(lock->give(handle), ILK_OK);
    phase = 2;
    expect(waiter_end(&w), 0);
    expect(lock->release(handle), ILK_OK);
  }
}
END_TEST

/* As a signal handler that waits for the same object between two parts. */
static int nested(void *h, int64_t unused)
{
  (void)unused;
  for (int depth = 0; depth < 7; depth++) {
    expect(ilk_wait_begin(h), ILK_OK);
    expect(lock->take(h, depth % 2 * MS), ILK_ETIMEDOUT);
  }
  expect(ilk_wait_begin(h), ILK_EOVERFLOW);
  expect(lock->take(h, MS), ILK_ETIMEDOUT);
  for (int depth = 7; depth-- > 0;) {
    expect(lock->take(h, MS), ILK_ETIMEDOUT);
    expect(ilk_wait_end(h), ILK_OK);
  }
  expect(ilk_wait_end(h), ILK_OK); /* of none */
  return 0;
}

START_TEST(resumable_waits_nest)
{
  begin_test(_i);
  expect(elsewhere(nested, handle, 0), 0);
  expect(lock->give(handle), ILK_OK);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

/* As a handler that locks and unlocks what its thread waits for, and waits for something else. */
static int takes_it_between(void *h, int64_t unused)
{
  (void)unused;
  first_part(h);
  expect(lock->take(h, 0), ILK_OK);
  expect(lock->give(h), ILK_OK);
  void *other = ilk_mutex_new(0), *cond = ilk_condition_new(0);
  expect(ilk_mutex_lock(other), ILK_OK);
  expect(ilk_wait_begin(other), ILK_OK);
  expect(ilk_condition_timedwait(cond, other, MS), ILK_ETIMEDOUT);
  expect(ilk_wait_end(other), ILK_OK);
  expect(ilk_mutex_unlock(other), ILK_OK);
  expect(ilk_mutex_free(other), ILK_OK);
  expect(ilk_condition_free(cond), ILK_OK);
  expect(take_turn(h, -1), 0);
  expect(ilk_wait_end(h), ILK_OK);
  return 0;
}

START_TEST(a_handler_between_two_parts_of_a_wait_uses_locks)
{
  begin_test(_i);
  struct waiter w;
  waiter_start(&w, takes_it_between, handle, 0);
  until_phase(1);
  expect(lock->give(handle), ILK_OK);
  phase = 2;
  expect(waiter_end(&w), 0);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

static void child_goes_on(void *unused)
{
  (void)unused;
  expect(lock->take(handle, MS), ILK_OK); /* it was free when the process forked */
  expect(lock->give(handle), ILK_OK);
  expect(lock->release(handle), ILK_OK); /* and no thread waits */
  expect(ilk_wait_end(handle), ILK_OK);
}

static int fork_between(void *h, int64_t unused)
{
  (void)unused;
  first_part(h);
  in_child(child_goes_on, NULL);
  expect(ilk_wait_end(h), ILK_OK);
  return 0;
}

START_TEST(fork_between_two_parts_of_a_lock)
{
  begin_test(_i);
  struct waiter w;
  waiter_start(&w, fork_between, handle, 0);
  until_phase(1);
  expect(lock->give(handle), ILK_OK);
  phase = 2;
  expect(waiter_end(&w), 0);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

static int cancelled_part(void *h, int64_t timeout_ns)
{
  expect(ilk_wait_begin(h), ILK_OK);
  int result = lock->take(h, timeout_ns);
  expect(lock->take(h, 0), ILK_ETIMEDOUT);
  expect(ilk_wait_end(h), ILK_OK);
  return result;
}

START_TEST(a_part_is_cancelled)
{
  begin_test(_i);
  struct waiter w;
  waiter_sleep(&w, cancelled_part, handle, -1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(lock->give(handle), ILK_OK);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

START_TEST(begin_and_end_check_their_handle)
{
  void *freed = ilk_mutex_new(0), *latch = ilk_latch_new(1), *cond = ilk_condition_new(0);
  expect(ilk_mutex_free(freed), ILK_OK);
  void *wrong[] = {NULL, freed, (void *)(uintptr_t)0x1234567, (void *)~(uintptr_t)0, &freed};
  for (int i = 0; i < LENGTH(wrong); i++) {
    expect(ilk_wait_begin(wrong[i]), ILK_EHANDLE);
    expect(ilk_wait_end(wrong[i]), ILK_EHANDLE);
  }
  expect(ilk_wait_begin(cond), ILK_EINVAL); /* it has a begin and an end of its own */
  expect(ilk_wait_end(cond), ILK_EINVAL);
  for (int i = 0; i < 20; i++) /* a kind without a queue: nothing is kept */
    expect(ilk_wait_begin(latch), ILK_OK);
  expect(ilk_latch_timedwait(latch, 0), ILK_ETIMEDOUT);
  expect(ilk_wait_end(latch), ILK_OK);
  expect(ilk_latch_free(latch), ILK_OK);
  expect(ilk_condition_free(cond), ILK_OK);
  void *m = ilk_mutex_new(0);
  expect(ilk_wait_begin(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK); /* no thread is in its queue */
  expect(ilk_wait_end(m), ILK_OK);
  expect(ilk_wait_end(m), ILK_EHANDLE);
}
END_TEST

/* --- readers and writers
   ----------------------------------------------------------------------- */

static int read_in_order(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_read_timedlock(rw, timeout_ns);
  if (result != ILK_OK)
    return result;
  int turn = turns++;
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  return turn;
}

static int read_in_order_resumably(void *rw, int64_t timeout_ns)
{
  expect(ilk_wait_begin(rw), ILK_OK);
  expect(ilk_rwlock_read_timedlock(rw, MS), ILK_ETIMEDOUT);
  phase = 1;
  until_phase(2);
  int turn = read_in_order(rw, timeout_ns);
  expect(ilk_wait_end(rw), ILK_OK);
  return turn;
}

/* A reader that is away stays before a writer that comes later. */
START_TEST(a_reader_keeps_its_slot)
{
  begin_test(LENGTH(locks) - 1 - _i);
  struct waiter reader, writer;
  waiter_start(&reader, read_in_order_resumably, handle, 3600 * SECOND);
  until_phase(1);
  waiter_sleep(&writer, take_turn, handle, -1);
  phase = 2;
  waiter_until_asleep(&reader);
  expect(lock->give(handle), ILK_OK);
  expect(waiter_end(&reader), 0);
  expect(waiter_end(&writer), 1);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

/* --- a writer that waited for readers, until its part ended */

static int part_and_end(void *rw, int64_t unused)
{
  (void)unused;
  first_part(rw);
  expect(ilk_wait_end(rw), ILK_OK);
  until_phase(3); /* the end of the thread would let others in, too */
  return 0;
}

/* A reader is inside, and a writer between two parts; and the test's thread is that reader. */
static void *begin_drained(struct waiter *writer, int (*write)(void *, int64_t), int flags)
{
  void *rw = ilk_rwlock_new(flags);
  lock = &locks[LENGTH(locks) - 1];
  phase = turns = 0;
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  waiter_start(writer, write, rw, 3600 * SECOND);
  until_phase(1);
  return rw;
}

/* At the end of each of its parts the readers behind it got in, so it never found the lock without
   readers. */
START_TEST(a_resumable_writer_starved)
{
  struct waiter writer, reader;
  void *rw = begin_drained(&writer, take_turn_resumably, _i ? ILK_FAIR : 0);
  expect(elsewhere(read_in_order, rw, 0), ILK_ETIMEDOUT);
  waiter_sleep(&reader, read_in_order, rw, -1);
  phase = 2;
  waiter_until_asleep(&writer);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(waiter_end(&writer), 0);
  expect(waiter_end(&reader), 1);
  expect(ilk_rwlock_free(rw), ILK_OK);
}
END_TEST

/* It holds back the others until the readers inside have left, */
START_TEST(a_writer_that_does_not_come_back_lets_others_in)
{
  struct waiter writer, reader;
  void *rw = begin_drained(&writer, part_and_no_end, _i ? ILK_FAIR : 0);
  waiter_sleep(&reader, read_in_order, rw, -1);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(waiter_end(&reader), 0);
  expect(elsewhere(read_in_order, rw, 0), 1);
  expect(ilk_rwlock_read_lock(rw), ILK_OK); /* and not once more */
  expect(elsewhere(read_in_order, rw, 0), 2);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  phase = 2;
  expect(waiter_end(&writer), 0);
  expect(ilk_rwlock_free(rw), ILK_OK);
}
END_TEST

/* or until its wait or its thread ends. */
START_TEST(a_writer_that_ends_its_wait_lets_others_in)
{
  struct waiter writer, reader;
  int (*write)(void *, int64_t) = _i / 2 ? part_and_no_end : part_and_end;
  void *rw = begin_drained(&writer, write, _i % 2 ? ILK_FAIR : 0);
  waiter_sleep(&reader, read_in_order, rw, -1);
  phase = 2;
  expect(waiter_end(&reader), 0);
  phase = 3;
  expect(waiter_end(&writer), 0);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_rwlock_free(rw), ILK_OK);
}
END_TEST

/* Newcomers are not kept out for a writer that is away, in the queue or while it waited for readers
   that are published: those are not counted. */
START_TEST(readers_pass_a_writer_between_two_parts)
{
  void *rw = ilk_rwlock_new(_i ? ILK_FAIR : 0);
  for (int i = 0; i < 100; i++) { /* published, later */
    expect(ilk_rwlock_read_lock(rw), ILK_OK);
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  }
  lock = &locks[LENGTH(locks) - 1];
  phase = turns = 0;
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  struct waiter first, second;
  waiter_start(&first, take_turn_resumably, rw, 3600 * SECOND);
  until_phase(1);
  expect(elsewhere(read_in_order, rw, -1), 0);
  waiter_sleep(&second, take_turn, rw, -1); /* a writer that is present */
  phase = 2;
  waiter_until_asleep(&first);
  expect(elsewhere(read_in_order, rw, 0), ILK_ETIMEDOUT);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  /* `second` waits for readers, so it is inside already */
  must(waiter_end(&first) + waiter_end(&second) == 3);
  expect(ilk_rwlock_free(rw), ILK_OK);
}
END_TEST

static int two_parts_and_a_turn(void *rw, int64_t timeout_ns)
{
  expect(ilk_wait_begin(rw), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(ilk_rwlock_write_timedlock(rw, MS), ILK_ETIMEDOUT);
  phase = 1;
  expect(ilk_rwlock_write_timedlock(rw, timeout_ns), ILK_OK);
  expect(ilk_wait_end(rw), ILK_OK);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  return 0;
}

/* Each part waits for the reader inside. The slot that the first one leaves in the queue serves the
   others. */
START_TEST(parts_that_wait_for_a_reader_have_one_slot)
{
  void *rw = ilk_rwlock_new(_i ? ILK_FAIR : 0);
  phase = 0;
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  struct waiter w;
  waiter_start(&w, two_parts_and_a_turn, rw, 3600 * SECOND);
  until_phase(1);
  waiter_until_asleep(&w);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(waiter_end(&w), 0);
  expect(elsewhere(ilk_rwlock_write_timedlock, rw, 0), ILK_OK);
  expect(ilk_rwlock_read_timedlock(rw, -1), ILK_OWNER_DIED);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_rwlock_free(rw), ILK_OK);
}
END_TEST

/* A wait to write, and a wait to read within it. */
static int write_then_read(void *rw, int64_t unused)
{
  (void)unused;
  expect(ilk_wait_begin(rw), ILK_OK);
  expect(ilk_rwlock_write_timedlock(rw, MS), ILK_ETIMEDOUT);
  expect(ilk_rwlock_read_timedlock(rw, MS), ILK_ETIMEDOUT);
  expect(ilk_rwlock_write_timedlock(rw, MS), ILK_ETIMEDOUT);
  expect(ilk_wait_end(rw), ILK_OK);
  return 0;
}

START_TEST(one_wait_for_both_sides)
{
  begin_test(LENGTH(locks) - 1 - _i);
  expect(elsewhere(write_then_read, handle, 0), 0);
  expect(lock->give(handle), ILK_OK);
  expect(elsewhere(read_in_order, handle, 0), 0);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

/* --- a signal handler in a waiter ------------------------------------------------------------ */

/* The mutex was handed off to the thread in the handler: it had waited for a millisecond when it
   fell asleep. */
static bool was_handed_off(void)
{
  char text[4000], holder[60];
  ilk_report(text, sizeof text);
  snprintf(holder, sizeof holder, " by thread %lld", (long long)handler_thread);
  return strstr(text, holder);
}

static bool passes_the_wake_on(void)
{
  turns = 0;
  struct waiter first, second, third;
  waiter_sleep(&first, take_turn, handle, -1);
  waiter_sleep(&second, take_turn, handle, -1);
  waiter_sleep(&third, take_turn, handle, -1);
  interrupt(first.thread);
  expect(lock->give(handle), ILK_OK);
  bool handed_off = false;
  while (!handed_off && (second.result == PENDING || third.result == PENDING)) {
    handed_off = was_handed_off();
    nap(50 * US);
  }
  if (!handed_off)
    expect(first.result, PENDING);
  handler_may_return = true;
  expect(waiter_end(&first), handed_off ? 0 : 2);
  waiter_end(&second);
  waiter_end(&third);
  return !handed_off;
}

/* The wake that a release gives to it is of use to those behind it. But a fair lock waits for its
   first, and plain pthreads do not tell. */
START_TEST(a_waiter_in_a_signal_handler_keeps_no_wake)
{
  if (locks[_i].flags & ILK_FAIR || strcmp(EXPECTED_BACKEND, "futex") != 0)
    return;
  begin_test(_i);
  while (!passes_the_wake_on())
    expect(lock->take(handle, -1), ILK_OK);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

/* Nor does it keep a writer behind it waiting. */
START_TEST(a_reader_in_a_signal_handler_keeps_no_wake)
{
  if (strcmp(EXPECTED_BACKEND, "futex") != 0)
    return;
  begin_test(LENGTH(locks) - 2);
  struct waiter reader, writer;
  waiter_sleep(&reader, read_in_order, handle, -1);
  waiter_sleep(&writer, take_turn, handle, -1);
  interrupt(reader.thread);
  expect(lock->give(handle), ILK_OK);
  expect(waiter_end(&writer), 0);
  expect(reader.result, PENDING);
  handler_may_return = true;
  expect(waiter_end(&reader), 1);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

/* --- load ------------------------------------------------------------------------------------ */

static int64_t inside; /* guarded by the lock */
static int64_t load_end;

static void visit(void)
{
  must(inside++ == 0);
  jitter();
  must(--inside == 0);
  expect(lock->give(handle), ILK_OK);
}

static void *in_slices(void *unused)
{
  (void)unused;
  do {
    expect(ilk_wait_begin(handle), ILK_OK);
    int code;
    while ((code = lock->take(handle, below(20) * US)) == ILK_ETIMEDOUT && now() < load_end)
      jitter();
    if (code == ILK_OK)
      visit();
    if (lock->make == ilk_rwlock_new && below(4) == 0 &&
        ilk_rwlock_read_timedlock(handle, below(20) * US) == ILK_OK) {
      must(inside == 0);
      expect(ilk_rwlock_read_unlock(handle), ILK_OK);
    }
    expect(ilk_wait_end(handle), ILK_OK);
    jitter();
  } while (now() < load_end);
  return NULL;
}

static void *without_slices(void *unused)
{
  (void)unused;
  do {
    expect(lock->take(handle, -1), ILK_OK);
    visit();
    jitter();
  } while (now() < load_end);
  return NULL;
}

START_TEST(no_wake_is_lost_between_parts)
{
  begin_test(_i);
  expect(lock->give(handle), ILK_OK);
  inside = 0;
  load_end = stress_end(200);
  pthread_t threads[6];
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(i % 2 ? in_slices : without_slices, NULL);
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  expect(lock->release(handle), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("parts");
  TCase *tc = test_case(s, "parts", 20);
  tcase_add_loop_test(tc, a_resumable_wait_keeps_its_slot, 0, LENGTH(locks));
  tcase_add_test(tc, a_resumable_wait_for_a_semaphore_was_the_last);
  tcase_add_test(tc, the_next_resumable_wait_took_the_place_of_one_that_had_acquired);
  tcase_add_test(tc, a_place_served_two_acquisitions);
  tcase_add_test(tc, a_resumable_wait_for_a_semaphore_did_not_move_up);
  tcase_add_test(tc, one_that_gives_up_behind_a_resumable_wait_changes_nothing);
  tcase_add_loop_test(tc, a_thread_between_two_parts_blocks_no_other, 0, LENGTH(locks));
  tcase_add_loop_test(tc, what_was_released_between_two_parts_is_acquired, 0, LENGTH(locks));
  tcase_add_loop_test(tc, resumable_waits_nest, 0, LENGTH(locks));
  tcase_add_loop_test(tc, a_handler_between_two_parts_of_a_wait_uses_locks, 0, LENGTH(locks));
  tcase_add_loop_test(tc, fork_between_two_parts_of_a_lock, 0, LENGTH(locks));
  tcase_add_loop_test(tc, a_part_is_cancelled, 0, LENGTH(locks));
  tcase_add_loop_test(tc, a_reader_keeps_its_slot, 0, 2);
  tcase_add_loop_test(tc, a_resumable_writer_starved, 0, 2);
  tcase_add_loop_test(tc, a_writer_that_does_not_come_back_lets_others_in, 0, 2);
  tcase_add_loop_test(tc, a_writer_that_ends_its_wait_lets_others_in, 0, 4);
  tcase_add_loop_test(tc, readers_pass_a_writer_between_two_parts, 0, 2);
  tcase_add_loop_test(tc, parts_that_wait_for_a_reader_have_one_slot, 0, 2);
  tcase_add_loop_test(tc, one_wait_for_both_sides, 0, 2);
  tcase_add_loop_test(tc, a_waiter_in_a_signal_handler_keeps_no_wake, 0, LENGTH(locks));
  tcase_add_test(tc, a_reader_in_a_signal_handler_keeps_no_wake);
  tcase_add_test(tc, begin_and_end_check_their_handle);
  tcase_add_loop_test(tc, no_wake_is_lost_between_parts, 0, BINARY_SEMAPHORE + 1);
  return run_suite(s);
}
