/* rwlock.c */
#include "support.h"

static void *new_rwlock(void)
{
  void *rw = ilk_rwlock_new(0);
  must(rw != NULL);
  return rw;
}

static void free_rwlock(void *rw)
{
  expect(ilk_rwlock_free(rw), ILK_OK);
}

/* After so many reads without a write, readers publish themselves. */
static void make_biased(void *rw)
{
  for (int i = 0; i < 200; i++) {
    expect(ilk_rwlock_read_lock(rw), ILK_OK);
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  }
}

/* Every test of semantics runs with counted and with published readers. */
static void *new_in_form(int form)
{
  void *rw = new_rwlock();
  if (form)
    make_biased(rw);
  return rw;
}
#define FORMS 2

static _Atomic int phase;

static int read_visit(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_read_timedlock(rw, timeout_ns);
  if (result >= 0)
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  return result;
}

static int write_visit(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_write_timedlock(rw, timeout_ns);
  if (result >= 0)
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  return result;
}

static int read_stay(void *rw, int64_t timeout_ns)
{
  return ilk_rwlock_read_timedlock(rw, timeout_ns);
}

static int write_stay(void *rw, int64_t timeout_ns)
{
  return ilk_rwlock_write_timedlock(rw, timeout_ns);
}

static int try_read(void *rw, int64_t unused)
{
  (void)unused;
  int result = ilk_rwlock_read_trylock(rw);
  if (result >= 0)
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  return result;
}

static int try_write(void *rw, int64_t unused)
{
  (void)unused;
  int result = ilk_rwlock_write_trylock(rw);
  if (result >= 0)
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  return result;
}

static int read_unlock(void *rw, int64_t unused)
{
  (void)unused;
  return ilk_rwlock_read_unlock(rw);
}

static int write_unlock(void *rw, int64_t unused)
{
  (void)unused;
  return ilk_rwlock_write_unlock(rw);
}

static int downgrade(void *rw, int64_t unused)
{
  (void)unused;
  return ilk_rwlock_downgrade(rw);
}

START_TEST(new_checks_its_flags)
{
  expect_null(ilk_rwlock_new(1), ILK_EINVAL);
  expect_null(ilk_rwlock_new(-1), ILK_EINVAL);
  void *rw = ilk_rwlock_new(ILK_FAIR);
  must(rw != NULL);
  free_rwlock(rw);
}
END_TEST

START_TEST(readers_share_and_writers_do_not)
{
  void *rw = new_in_form(_i);
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  expect(elsewhere(try_read, rw, 0), ILK_OK);
  expect(elsewhere(read_visit, rw, -1), ILK_OK);
  expect(elsewhere(read_visit, rw, 0), ILK_OK);
  expect(elsewhere(try_write, rw, 0), ILK_EBUSY);
  expect(elsewhere(write_visit, rw, 0), ILK_ETIMEDOUT);
  expect(elsewhere(write_visit, rw, MS), ILK_ETIMEDOUT);
  expect(elsewhere(try_read, rw, 0), ILK_OK); /* the writers gave up, and left no trace */
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);

  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  expect(elsewhere(try_read, rw, 0), ILK_EBUSY);
  expect(elsewhere(read_visit, rw, 0), ILK_ETIMEDOUT);
  expect(elsewhere(read_visit, rw, MS), ILK_ETIMEDOUT);
  expect(elsewhere(try_write, rw, 0), ILK_EBUSY);
  expect(elsewhere(write_visit, rw, MS), ILK_ETIMEDOUT);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  expect(elsewhere(try_write, rw, 0), ILK_OK);
  expect(elsewhere(try_read, rw, 0), ILK_OK);
  free_rwlock(rw);
}
END_TEST

START_TEST(releasing_what_is_not_held)
{
  void *rw = new_in_form(_i);
  expect(ilk_rwlock_read_unlock(rw), ILK_EPERM);
  expect(ilk_rwlock_write_unlock(rw), ILK_EPERM);
  expect(ilk_rwlock_downgrade(rw), ILK_EPERM);
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  expect(ilk_rwlock_write_unlock(rw), ILK_EPERM);
  expect(ilk_rwlock_downgrade(rw), ILK_EPERM);
  expect(elsewhere(read_unlock, rw, 0), ILK_EPERM);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw), ILK_EPERM);
  expect(elsewhere(write_unlock, rw, 0), ILK_EPERM);
  expect(elsewhere(downgrade, rw, 0), ILK_EPERM);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  expect(ilk_rwlock_write_unlock(rw), ILK_EPERM);
  free_rwlock(rw);
}
END_TEST

/* A semaphore's value may be what the state of a lock with published readers is. */
START_TEST(object_of_another_kind_in_the_same_state)
{
  void *rw = new_rwlock(), *semaphore = ilk_semaphore_new(1 << 25, 1 << 26);
  must(semaphore != NULL);
  expect(read_visit(rw, 0), ILK_OK);
  expect(ilk_rwlock_read_lock(semaphore), ILK_EHANDLE);
  expect(ilk_rwlock_read_trylock(semaphore), ILK_EHANDLE);
  expect(ilk_semaphore_value(semaphore), 1 << 25);
  expect(ilk_semaphore_free(semaphore), ILK_OK);
  free_rwlock(rw);
}
END_TEST

START_TEST(waiting_for_oneself)
{
  void *rw = new_in_form(_i);
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_EDEADLK);
  expect(ilk_rwlock_write_timedlock(rw, MS), ILK_EDEADLK);
  expect(ilk_rwlock_write_timedlock(rw, 0), ILK_ETIMEDOUT);
  expect(ilk_rwlock_write_trylock(rw), ILK_EBUSY);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_EDEADLK);
  expect(ilk_rwlock_read_lock(rw), ILK_EDEADLK);
  expect(ilk_rwlock_read_timedlock(rw, 0), ILK_ETIMEDOUT);
  expect(ilk_rwlock_read_trylock(rw), ILK_EBUSY);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  free_rwlock(rw);
}
END_TEST

START_TEST(free_refuses_while_in_use)
{
  void *rw = new_in_form(_i);
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  expect(ilk_rwlock_free(rw), ILK_EBUSY);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  expect(ilk_rwlock_free(rw), ILK_EBUSY);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  free_rwlock(rw);
  expect(ilk_rwlock_free(rw), ILK_EHANDLE);
  expect(ilk_rwlock_read_lock(rw), ILK_EHANDLE);
  expect(ilk_rwlock_read_trylock(rw), ILK_EHANDLE);
  expect(ilk_rwlock_read_unlock(rw), ILK_EHANDLE);
  expect(ilk_rwlock_write_lock(rw), ILK_EHANDLE);
  expect(ilk_rwlock_write_trylock(rw), ILK_EHANDLE);
  expect(ilk_rwlock_write_unlock(rw), ILK_EHANDLE);
  expect(ilk_rwlock_downgrade(rw), ILK_EHANDLE);
  expect(ilk_rwlock_read_lock(NULL), ILK_EHANDLE);
  expect(ilk_rwlock_read_unlock(NULL), ILK_EHANDLE);
}
END_TEST

/* A reader that reads again while a writer waits: parking_lot #212. */
START_TEST(reader_again_parking_lot_212)
{
  void *rw = new_in_form(_i);
  struct waiter writer;
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  waiter_sleep(&writer, write_visit, rw, -1);
  expect(elsewhere(try_read, rw, 0), ILK_EBUSY); /* a waiting writer stops new readers */
  for (int i = 0; i < 5; i++)
    expect(ilk_rwlock_read_lock(rw), ILK_OK);
  expect(ilk_rwlock_read_trylock(rw), ILK_OK);
  for (int i = 0; i < 6; i++)
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(writer.result, PENDING);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(waiter_end(&writer), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw), ILK_EPERM);
  free_rwlock(rw);
}
END_TEST

/* A writer's unlock wakes all readers: musl b85fec2d. */
START_TEST(unlock_wakes_all_readers_musl_b85fec2d)
{
  void *rw = new_in_form(_i);
  struct waiter readers[5];
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  for (int i = 0; i < LENGTH(readers); i++)
    waiter_sleep(&readers[i], read_visit, rw, -1);
  expect(ilk_rwlock_free(rw), ILK_EBUSY);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  for (int i = 0; i < LENGTH(readers); i++)
    expect(waiter_end(&readers[i]), ILK_OK);
  free_rwlock(rw);
}
END_TEST

/* The writer that gives up takes its stop sign away: the readers behind it go on. */
START_TEST(writer_that_times_out_lets_readers_in)
{
  void *rw = new_in_form(_i);
  struct waiter writer, reader;
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  waiter_sleep(&writer, write_visit, rw, 30 * MS);
  waiter_sleep(&reader, read_visit, rw, -1);
  expect(waiter_end(&writer), ILK_ETIMEDOUT);
  expect(waiter_end(&reader), ILK_OK);
  expect(elsewhere(try_write, rw, 0), ILK_EBUSY); /* we still read */
  expect(ilk_rwlock_free(rw), ILK_EBUSY);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(elsewhere(try_write, rw, 0), ILK_OK);
  free_rwlock(rw);
}
END_TEST

static int downgrade_after_writer(void *rw, int64_t unused)
{
  (void)unused;
  struct waiter writer, reader;
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  waiter_sleep(&reader, read_visit, rw, -1);
  waiter_sleep(&writer, write_visit, rw, -1);
  expect(ilk_rwlock_downgrade(rw), ILK_OK);
  expect(waiter_end(&reader), ILK_OK); /* the reader before the writer comes in beside us */
  nap(2 * MS);
  expect(writer.result, PENDING); /* no writer in between */
  expect(ilk_rwlock_write_unlock(rw), ILK_EPERM);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(waiter_end(&writer), ILK_OK);
  return ILK_OK;
}

START_TEST(downgrade_lets_no_writer_between)
{
  void *rw = new_in_form(_i);
  expect(downgrade_after_writer(rw, 0), ILK_OK);
  free_rwlock(rw);
}
END_TEST

/* An empty place in the record says NULL. */
START_TEST(unlock_of_null_spares_what_is_read)
{
  void *rw = new_in_form(_i);
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  expect(ilk_rwlock_read_unlock(NULL), ILK_EHANDLE);
  expect(elsewhere(try_write, rw, 0), ILK_EBUSY);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  free_rwlock(rw);
}
END_TEST

START_TEST(slots_are_used_again)
{
  void *rw[66];
  for (int i = 0; i < 66; i++)
    rw[i] = new_in_form(i & 1);
  for (int i = 0; i < 64; i++)
    expect(ilk_rwlock_read_lock(rw[i]), ILK_OK);
  for (int i = 0; i < 63; i++)
    expect(ilk_rwlock_read_unlock(rw[i]), ILK_OK);
  for (int i = 0; i < 100; i++) /* and reading again takes none in the end */
    expect(ilk_rwlock_read_lock(rw[63]), ILK_OK);
  expect(ilk_rwlock_read_lock(rw[64]), ILK_OK);
  expect(ilk_rwlock_write_lock(rw[65]), ILK_OK);
  expect(ilk_rwlock_downgrade(rw[65]), ILK_OK);
  for (int i = 0; i < 101; i++)
    expect(ilk_rwlock_read_unlock(rw[63]), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw[64]), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw[65]), ILK_OK);
  for (int i = 0; i < 66; i++) {
    expect(elsewhere(try_write, rw[i], 0), ILK_OK);
    free_rwlock(rw[i]);
  }
}
END_TEST

/* A child's new thread gets the record of a thread that stayed behind, and that read. */
static void *downgrade_and_stay(void *rw)
{
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  expect(ilk_rwlock_downgrade(rw), ILK_OK);
  phase = 1;
  while (phase != 2)
    nap(MS);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  return NULL;
}

/* Reading again may take places of the record, but must leave room for other locks. */
START_TEST(recursive_reads_use_one_entry)
{
  void *rw[33];
  for (int i = 0; i < 33; i++)
    rw[i] = new_in_form(_i);
  for (int i = 0; i < 200; i++)
    expect(ilk_rwlock_read_lock(rw[0]), ILK_OK);
  for (int i = 1; i < 33; i++)
    expect(ilk_rwlock_read_lock(rw[i]), ILK_OK);
  for (int i = 1; i < 33; i++)
    expect(ilk_rwlock_read_unlock(rw[i]), ILK_OK);
  for (int i = 0; i < 200; i++)
    expect(ilk_rwlock_read_unlock(rw[0]), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw[0]), ILK_EPERM);
  for (int i = 0; i < 33; i++) {
    expect(elsewhere(try_write, rw[i], 0), ILK_OK);
    free_rwlock(rw[i]);
  }
}
END_TEST

START_TEST(many_locks_at_once)
{
  void *rw[65];
  for (int i = 0; i < 65; i++)
    rw[i] = new_in_form(i & 1);
  for (int i = 0; i < 64; i++)
    expect(ilk_rwlock_read_lock(rw[i]), ILK_OK);
  expect(ilk_rwlock_read_lock(rw[64]), ILK_EOVERFLOW);
  expect(ilk_rwlock_read_lock(rw[63]), ILK_OK); /* again is no new one */
  for (int i = 0; i < 64; i++) {
    expect(elsewhere(try_write, rw[i], 0), ILK_EBUSY);
    expect(ilk_rwlock_read_unlock(rw[i]), ILK_OK); /* not in the order of a stack */
    expect(elsewhere(try_write, rw[i], 0), i < 63 ? ILK_OK : ILK_EBUSY);
  }
  expect(ilk_rwlock_read_unlock(rw[63]), ILK_OK);
  expect(elsewhere(try_write, rw[63], 0), ILK_OK);
  for (int i = 0; i < 65; i++)
    free_rwlock(rw[i]);
}
END_TEST

/* Of locks that are read again and again there may be 64, too; published, counted, or first the
   one and, after a writer has tried, the other. */
START_TEST(many_locks_at_once_one_of_them_often)
{
  static const int often[] = {1, 2, 31, 32, 33, 64, 100};
  enum { OTHERS = 63 };
  for (int form = 0; form < 3; form++) {
    int times = often[_i];
    void *rw[OTHERS], *main = new_in_form(form > 0), *one_more = new_in_form(form > 0);
    for (int i = 0; i < OTHERS; i++)
      rw[i] = new_in_form(i & 1);
    for (int i = 0; i < times; i++) {
      expect(ilk_rwlock_read_lock(main), ILK_OK);
      if (form == 2 && i == times / 2)
        expect(elsewhere(try_write, main, 0), ILK_EBUSY);
    }
    for (int i = 0; i < OTHERS; i++)
      expect(ilk_rwlock_read_lock(rw[i]), ILK_OK);
    expect(ilk_rwlock_read_lock(one_more), ILK_EOVERFLOW);
    expect(ilk_rwlock_read_lock(main), ILK_OK);
    struct waiter writer;
    waiter_sleep(&writer, write_visit, main, -1);
    for (int i = 0; i <= times; i++) {
      expect(writer.result, PENDING);
      expect(ilk_rwlock_read_unlock(main), ILK_OK);
    }
    expect(waiter_end(&writer), ILK_OK);
    expect(ilk_rwlock_read_unlock(main), ILK_EPERM);
    for (int i = 0; i < OTHERS; i++) {
      expect(elsewhere(try_write, rw[i], 0), ILK_EBUSY);
      expect(ilk_rwlock_read_unlock(rw[i]), ILK_OK);
      expect(elsewhere(try_write, rw[i], 0), ILK_OK);
      free_rwlock(rw[i]);
    }
    free_rwlock(main);
    free_rwlock(one_more);
  }
}
END_TEST

START_TEST(writer_that_exits)
{
  void *rw = new_in_form(_i);
  expect(elsewhere(write_stay, rw, -1), ILK_OK);
  expect(elsewhere(read_visit, rw, -1), ILK_OWNER_DIED);
  expect(elsewhere(read_visit, rw, -1), ILK_OK);

  expect(elsewhere(write_stay, rw, -1), ILK_OK);
  expect(ilk_rwlock_write_trylock(rw), ILK_OWNER_DIED);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);

  expect(elsewhere(write_stay, rw, -1), ILK_OK);
  free_rwlock(rw);
}
END_TEST

static void *write_then_exit(void *rw)
{
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  phase = 1;
  while (phase != 2)
    sched_yield();
  return NULL;
}

START_TEST(writer_that_exits_with_waiters)
{
  void *rw = new_in_form(_i);
  struct waiter waiters[3];
  phase = 0;
  pthread_t thread = start(write_then_exit, rw);
  while (phase != 1)
    sched_yield();
  waiter_sleep(&waiters[0], read_visit, rw, -1);
  waiter_sleep(&waiters[1], write_visit, rw, -1);
  waiter_sleep(&waiters[2], read_visit, rw, 3600 * SECOND);
  phase = 2;
  join(thread);
  int died = 0;
  for (int i = 0; i < 3; i++) {
    int result = waiter_end(&waiters[i]);
    must(result == ILK_OK || result == ILK_OWNER_DIED);
    died += result == ILK_OWNER_DIED;
  }
  expect(died, 1);
  free_rwlock(rw);
}
END_TEST

START_TEST(reader_that_exits)
{
  void *rw = new_in_form(_i);
  expect(elsewhere(read_stay, rw, -1), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  free_rwlock(rw);
}
END_TEST

/* --- deadlock cycles ------------------------------------------------------------------------- */

static void *cycle_locks[2], *cycle_mutex;
static _Atomic int arrived, told;

static void *in_cycle(void *which)
{
  int i = which != NULL;
  if (i)
    expect(ilk_mutex_lock(cycle_mutex), ILK_OK);
  else
    expect(ilk_rwlock_write_lock(cycle_locks[0]), ILK_OK);
  arrived++;
  while (arrived < 2)
    sched_yield();
  int result = i ? ilk_rwlock_read_lock(cycle_locks[0]) : ilk_mutex_lock(cycle_mutex);
  if (result == ILK_EDEADLK)
    told++;
  else
    expect(result, ILK_OK);
  if (i) {
    if (result == ILK_OK)
      expect(ilk_rwlock_read_unlock(cycle_locks[0]), ILK_OK);
    expect(ilk_mutex_unlock(cycle_mutex), ILK_OK);
  } else {
    if (result == ILK_OK)
      expect(ilk_mutex_unlock(cycle_mutex), ILK_OK);
    expect(ilk_rwlock_write_unlock(cycle_locks[0]), ILK_OK);
  }
  return NULL;
}

START_TEST(deadlock_cycle_of_a_write_lock_and_a_mutex)
{
  cycle_locks[0] = new_in_form(_i);
  cycle_mutex = ilk_mutex_new(0);
  arrived = told = 0;
  int64_t begin = now();
  pthread_t a = start(in_cycle, NULL), b = start(in_cycle, &phase);
  join(a);
  join(b);
  must(now() - begin < PATIENCE);
  must(told >= 1);
  expect(ilk_mutex_free(cycle_mutex), ILK_OK);
  free_rwlock(cycle_locks[0]);
}
END_TEST

/* --- fork ------------------------------------------------------------------------------ */

static void *hold_for_fork(void *locks)
{
  void **rw = locks;
  expect(ilk_rwlock_read_lock(rw[0]), ILK_OK);
  expect(ilk_rwlock_write_lock(rw[1]), ILK_OK);
  phase = 1;
  while (phase != 2)
    nap(MS);
  expect(ilk_rwlock_read_unlock(rw[0]), ILK_OK);
  expect(ilk_rwlock_write_unlock(rw[1]), ILK_OK);
  return NULL;
}

/* The first is another thread's, for reading, the second too, for writing, the third is held by the
   thread that forked, for reading. */
static void take_all(void *locks)
{
  void **rw = locks;
  expect(ilk_rwlock_write_lock(rw[1]), ILK_OWNER_DIED);
  expect(ilk_rwlock_write_unlock(rw[1]), ILK_OK);
  expect(ilk_rwlock_read_lock(rw[1]), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw[1]), ILK_OK);
  must(ilk_rwlock_write_lock(rw[0]) >= 0);
  expect(ilk_rwlock_write_unlock(rw[0]), ILK_OK);
  expect(ilk_rwlock_write_lock(rw[2]), ILK_EDEADLK);
  expect(ilk_rwlock_read_unlock(rw[2]), ILK_OK);
  expect(ilk_rwlock_write_lock(rw[2]), ILK_OK);
}

START_TEST(fork_while_another_thread_holds_it)
{
  void *rw[3] = {new_in_form(_i), new_in_form(_i), new_in_form(_i)};
  phase = 0;
  pthread_t thread = start(hold_for_fork, rw);
  while (phase != 1)
    sched_yield();
  struct waiter waiter;
  waiter_sleep(&waiter, write_visit, rw[0], -1);
  expect(ilk_rwlock_read_lock(rw[2]), ILK_OK);
  in_child(take_all, rw);
  phase = 2;
  join(thread);
  expect(waiter_end(&waiter), ILK_OK);
  expect(ilk_rwlock_read_unlock(rw[2]), ILK_OK);
  for (int i = 0; i < 3; i++)
    free_rwlock(rw[i]);
}
END_TEST

static void *reader_in_child(void *locks)
{
  void **rw = locks;
  expect(ilk_rwlock_read_trylock(rw[1]), ILK_EBUSY);
  expect(ilk_rwlock_read_lock(rw[2]), ILK_OK);
  expect(ilk_rwlock_read_trylock(rw[0]), ILK_EBUSY);
  return NULL;
}

static void write_two_and_start_a_reader(void *locks)
{
  void **rw = locks;
  must(ilk_rwlock_write_lock(rw[0]) >= 0);
  expect(ilk_rwlock_write_lock(rw[1]), ILK_OK);
  join(start(reader_in_child, rw));
}

START_TEST(fork_while_another_thread_reads_after_a_downgrade)
{
  if (TSAN)
    return; /* it cannot start threads in a fork's child */
  void *rw[3] = {new_in_form(0), new_in_form(0), new_in_form(1)};
  phase = 0;
  pthread_t thread = start(downgrade_and_stay, rw[0]);
  while (phase != 1)
    sched_yield();
  in_child(write_two_and_start_a_reader, rw);
  phase = 2;
  join(thread);
  for (int i = 0; i < 3; i++)
    free_rwlock(rw[i]);
}
END_TEST

static void write_after_reading(void *rw)
{
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
}

/* A writer that still waited for readers has not written: its death is not reported. */
START_TEST(fork_while_another_thread_drains)
{
  void *rw = new_in_form(_i);
  struct waiter writer;
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  waiter_sleep(&writer, write_visit, rw, -1);
  in_child(write_after_reading, rw);
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  expect(waiter_end(&writer), ILK_OK);
  free_rwlock(rw);
}
END_TEST

/* --- how long threads wait ------------------------------------------------------------------ */

/* Readers that wait behind a writer are woken together: each holds the lock until all have it. */
static _Atomic int inside;
#define TOGETHER 12

static int read_together(void *rw, int64_t timeout_ns)
{
  expect(ilk_rwlock_read_timedlock(rw, timeout_ns), ILK_OK);
  inside++;
  while (inside < TOGETHER)
    sched_yield();
  return ilk_rwlock_read_unlock(rw);
}

START_TEST(readers_behind_a_writer_are_let_in_together)
{
  void *rw = new_in_form(_i);
  struct waiter readers[TOGETHER], writer;
  inside = 0;
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  for (int i = 0; i < TOGETHER; i++)
    waiter_sleep(&readers[i], read_together, rw, -1);
  waiter_sleep(&writer, write_visit, rw, -1); /* comes after them, and holds none of them up */
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  for (int i = 0; i < TOGETHER; i++)
    expect(waiter_end(&readers[i]), ILK_OK);
  expect(waiter_end(&writer), ILK_OK);
  free_rwlock(rw);
}
END_TEST

static int downgrade_before_writer(void *rw, int64_t timeout_ns)
{
  struct waiter writer, reader;
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  waiter_sleep(&writer, write_visit, rw, timeout_ns);
  waiter_sleep(&reader, read_visit, rw, -1);
  expect(ilk_rwlock_downgrade(rw), ILK_OK);
  if (timeout_ns < 0) {
    expect(elsewhere(try_read, rw, 0), ILK_EBUSY);
    expect(elsewhere(read_visit, rw, 2 * MS), ILK_ETIMEDOUT);
    expect(reader.result, PENDING);
    expect(ilk_rwlock_read_lock(rw), ILK_OK); /* again */
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  } else {
    expect(waiter_end(&writer), ILK_ETIMEDOUT);
    expect(waiter_end(&reader), ILK_OK); /* while we still read */
  }
  expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  if (timeout_ns < 0) {
    expect(waiter_end(&writer), ILK_OK);
    expect(waiter_end(&reader), ILK_OK);
  }
  return ILK_OK;
}

/* It waits in the queue, and the lock is held by a reader. */
START_TEST(queued_writer_stops_new_readers)
{
  void *rw = new_in_form(_i);
  expect(downgrade_before_writer(rw, -1), ILK_OK);
  free_rwlock(rw);
}
END_TEST

START_TEST(queued_writer_that_times_out_lets_readers_in)
{
  void *rw = new_in_form(_i);
  expect(downgrade_before_writer(rw, 200 * MS), ILK_OK);
  free_rwlock(rw);
}
END_TEST

/* A waiter that times out swallows no wake meant for another: LLVM #201937. */
static void *write_in_haste(void *rw)
{
  while (!phase)
    write_visit(rw, below(30) * US);
  return NULL;
}

START_TEST(timeouts_swallow_no_wake_llvm_201937)
{
  void *rw = new_in_form(_i);
  pthread_t hasty[2];
  phase = 0;
  for (int i = 0; i < 2; i++)
    hasty[i] = start(write_in_haste, rw);
  for (int i = 0; i < 200; i++) {
    expect(write_visit(rw, -1), ILK_OK);
    expect(read_visit(rw, -1), ILK_OK);
  }
  phase = 1;
  for (int i = 0; i < 2; i++)
    join(hasty[i]);
  free_rwlock(rw);
}
END_TEST

static int write_and_say_so(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_write_timedlock(rw, timeout_ns);
  phase = 1;
  expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  return result;
}

START_TEST(nobody_overtakes_in_a_fair_one)
{
  void *rw = ilk_rwlock_new(ILK_FAIR);
  must(rw != NULL);
  for (int i = 0; i < 10; i++) {
    struct waiter writer;
    phase = 0;
    expect(ilk_rwlock_write_lock(rw), ILK_OK);
    waiter_sleep(&writer, write_and_say_so, rw, -1);
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
    if (i % 2 ? ilk_rwlock_write_trylock(rw) == ILK_OK : ilk_rwlock_read_trylock(rw) == ILK_OK) {
      expect(phase, 1);
      expect(i % 2 ? ilk_rwlock_write_unlock(rw) : ilk_rwlock_read_unlock(rw), ILK_OK);
    }
    expect(waiter_end(&writer), ILK_OK);
  }
  free_rwlock(rw);
}
END_TEST

/* One thread's kind of visit must come about while others storm with theirs: nsync's
   mu_starvation_test. The sections overlap, so the lock is hardly ever free. */
static void *storm_of_readers(void *rw)
{
  while (!phase) {
    expect(ilk_rwlock_read_lock(rw), ILK_OK);
    spin(2000);
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  }
  return NULL;
}

static void *storm_of_writers(void *rw)
{
  while (!phase) {
    expect(ilk_rwlock_write_lock(rw), ILK_OK);
    spin(2000);
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  }
  return NULL;
}

static void served_in(void *(*storm)(void *), int (*visit)(void *, int64_t), int form)
{
  void *rw = new_in_form(form);
  pthread_t threads[4];
  phase = 0;
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(storm, rw);
  for (int i = 0; i < 20; i++)
    expect(visit(rw, -1), ILK_OK);
  phase = 1;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  free_rwlock(rw);
}

START_TEST(writer_is_served_in_a_storm_of_readers)
{
  served_in(storm_of_readers, write_visit, _i);
}
END_TEST

START_TEST(reader_is_served_in_a_storm_of_writers)
{
  served_in(storm_of_writers, read_visit, _i);
}
END_TEST

START_TEST(writer_is_served_in_a_storm_of_writers)
{
  served_in(storm_of_writers, write_visit, _i);
}
END_TEST

/* --- stress ------------------------------------------------------------------------------ */

static struct {
  void *rw;
  int64_t end;
  long a, b; /* plain: equal unless a thread writes */
  _Atomic long writes;
  int per_mille; /* writes */
} stress;

static void *stress_run(void *unused)
{
  (void)unused;
  while (now() < stress.end) {
    int64_t kind = below(4);
    if (below(1000) < stress.per_mille) {
      int result = kind == 0   ? ilk_rwlock_write_trylock(stress.rw)
                   : kind == 1 ? ilk_rwlock_write_timedlock(stress.rw, below(200) * US)
                               : ilk_rwlock_write_lock(stress.rw);
      if (result != ILK_OK) {
        expect(result, kind == 0 ? ILK_EBUSY : ILK_ETIMEDOUT);
        continue;
      }
      stress.a++;
      jitter();
      must(stress.a == stress.b + 1);
      stress.b++;
      stress.writes++;
      if (below(8) == 0) {
        long seen = stress.a;
        expect(ilk_rwlock_downgrade(stress.rw), ILK_OK);
        jitter();
        must(stress.a == seen && stress.b == seen);
        expect(ilk_rwlock_read_unlock(stress.rw), ILK_OK);
      } else {
        expect(ilk_rwlock_write_unlock(stress.rw), ILK_OK);
      }
    } else {
      int result = kind == 0   ? ilk_rwlock_read_trylock(stress.rw)
                   : kind == 1 ? ilk_rwlock_read_timedlock(stress.rw, below(100) * US)
                               : ilk_rwlock_read_lock(stress.rw);
      if (result != ILK_OK) {
        expect(result, kind == 0 ? ILK_EBUSY : ILK_ETIMEDOUT);
        continue;
      }
      long seen = stress.a;
      jitter();
      must(seen == stress.b);
      if (below(16) == 0) {
        expect(ilk_rwlock_read_lock(stress.rw), ILK_OK);
        expect(ilk_rwlock_read_unlock(stress.rw), ILK_OK);
      }
      must(seen == stress.a);
      expect(ilk_rwlock_read_unlock(stress.rw), ILK_OK);
    }
  }
  return NULL;
}

static const int write_shares[] = {1, 10, 100, 500};

START_TEST(stress_readers_and_writers)
{
  stress.rw = new_rwlock();
  stress.a = stress.b = 0;
  stress.writes = 0;
  stress.per_mille = write_shares[_i];
  stress.end = stress_end(150);
  in_threads(6, stress_run, NULL);
  must(stress.a == stress.writes && stress.b == stress.writes);
  free_rwlock(stress.rw);
}
END_TEST

/* Signals must not look like time-outs or wakes: CPython gh-148820, LLVM #203411. */
START_TEST(stress_in_a_storm_of_signals)
{
  pthread_t threads[4];
  struct storm storm;
  stress.rw = new_rwlock();
  stress.a = stress.b = 0;
  stress.writes = 0;
  stress.per_mille = 50;
  stress.end = stress_end(150);
  for (int i = 0; i < 4; i++)
    threads[i] = start(stress_run, NULL);
  storm_start(&storm, threads, 4);
  while (now() < stress.end)
    nap(MS);
  storm_end(&storm);
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  must(stress.a == stress.writes && stress.b == stress.writes);
  free_rwlock(stress.rw);
}
END_TEST

/* Frees and new locks, while others use whatever handle is there. */
static _Atomic(void *) current;

static void *use_current(void *unused)
{
  (void)unused;
  while (now() < stress.end) {
    void *rw = current;
    int result = below(3) ? ilk_rwlock_read_timedlock(rw, below(50) * US) : -1000;
    if (result == ILK_OK) {
      int left = ilk_rwlock_read_unlock(rw);
      expect(left, ILK_OK);
    } else if (result == -1000 && ilk_rwlock_write_trylock(rw) == ILK_OK) {
      expect(ilk_rwlock_write_unlock(rw), ILK_OK);
    }
  }
  return NULL;
}

START_TEST(stress_free_while_used)
{
  pthread_t threads[3];
  void *neighbour = new_rwlock();
  current = new_in_form(1);
  stress.end = stress_end(150);
  for (int i = 0; i < 3; i++)
    threads[i] = start(use_current, NULL);
  while (now() < stress.end) {
    void *old = current;
    if (ilk_rwlock_free(old) == ILK_OK) {
      expect(ilk_rwlock_read_lock(old), ILK_EHANDLE);
      current = new_in_form(below(2) != 0);
    }
  }
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  free_rwlock(current);
  expect(ilk_rwlock_write_trylock(neighbour), ILK_OK);
  expect(ilk_rwlock_write_unlock(neighbour), ILK_OK);
  free_rwlock(neighbour);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("rwlock");
  TCase *tcase = test_case(suite, "rwlock", 20);
  tcase_add_test(tcase, new_checks_its_flags);
  tcase_add_loop_test(tcase, readers_share_and_writers_do_not, 0, FORMS);
  tcase_add_loop_test(tcase, releasing_what_is_not_held, 0, FORMS);
  tcase_add_test(tcase, object_of_another_kind_in_the_same_state);
  tcase_add_loop_test(tcase, waiting_for_oneself, 0, FORMS);
  tcase_add_loop_test(tcase, free_refuses_while_in_use, 0, FORMS);
  tcase_add_loop_test(tcase, reader_again_parking_lot_212, 0, FORMS);
  tcase_add_loop_test(tcase, unlock_wakes_all_readers_musl_b85fec2d, 0, FORMS);
  tcase_add_loop_test(tcase, writer_that_times_out_lets_readers_in, 0, FORMS);
  tcase_add_loop_test(tcase, downgrade_lets_no_writer_between, 0, FORMS);
  tcase_add_test(tcase, many_locks_at_once);
  tcase_add_loop_test(tcase, many_locks_at_once_one_of_them_often, 0, 7);
  tcase_add_loop_test(tcase, unlock_of_null_spares_what_is_read, 0, FORMS);
  tcase_add_test(tcase, slots_are_used_again);
  tcase_add_test(tcase, fork_while_another_thread_reads_after_a_downgrade);
  tcase_add_loop_test(tcase, fork_while_another_thread_drains, 0, FORMS);
  tcase_add_loop_test(tcase, writer_that_exits, 0, FORMS);
  tcase_add_loop_test(tcase, writer_that_exits_with_waiters, 0, FORMS);
  tcase_add_loop_test(tcase, reader_that_exits, 0, FORMS);
  tcase_add_loop_test(tcase, deadlock_cycle_of_a_write_lock_and_a_mutex, 0, FORMS);
  tcase_add_loop_test(tcase, fork_while_another_thread_holds_it, 0, FORMS);
  tcase_add_loop_test(tcase, recursive_reads_use_one_entry, 0, FORMS);
  tcase_add_test(tcase, nobody_overtakes_in_a_fair_one);
  tcase_add_loop_test(tcase, readers_behind_a_writer_are_let_in_together, 0, FORMS);
  tcase_add_loop_test(tcase, queued_writer_stops_new_readers, 0, FORMS);
  tcase_add_loop_test(tcase, queued_writer_that_times_out_lets_readers_in, 0, FORMS);
  tcase_add_loop_test(tcase, timeouts_swallow_no_wake_llvm_201937, 0, FORMS);
  tcase_add_loop_test(tcase, writer_is_served_in_a_storm_of_readers, 0, FORMS);
  tcase_add_loop_test(tcase, reader_is_served_in_a_storm_of_writers, 0, FORMS);
  tcase_add_loop_test(tcase, writer_is_served_in_a_storm_of_writers, 0, FORMS);
  tcase_add_loop_test(tcase, stress_readers_and_writers, 0, LENGTH(write_shares));
  tcase_add_test(tcase, stress_in_a_storm_of_signals);
  tcase_add_test(tcase, stress_free_while_used);
  return run_suite(suite);
}
