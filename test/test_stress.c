/* Exclusion: many threads change plain memory under a lock, taken in every way there is.
   Two in at once, or one that does not see what the last one wrote, show in the memory. */
#include "support.h"

enum { THREADS = 6, WORDS = 24 }; /* three cache lines */

static struct {
  void *handle;
  int64_t end;
  int flags;
  int64_t words[WORDS]; /* all equal, outside of a section */
  int inside;
  _Atomic int64_t sections, timeouts;
} guarded;

static void section(void)
{
  must(guarded.inside == 0);
  guarded.inside = 1;
  int64_t value = guarded.words[0] + 1;
  int cut = (int)below(WORDS);
  for (int i = 0; i < cut; i++) {
    must(guarded.words[i] == value - 1);
    guarded.words[i] = value;
  }
  jitter();
  for (int i = cut; i < WORDS; i++) {
    must(guarded.words[i] == value - 1);
    guarded.words[i] = value;
  }
  guarded.inside = 0;
}

/* A try that failed, for the only permitted reason. */
static void expect_taken_by_another(int result)
{
  if (result != ILK_EBUSY)
    expect(result, ILK_ETIMEDOUT);
}

/* --- mutex ---------------------------------------------------------------------------------- */

static int take_mutex(void)
{
  switch (below(8)) {
  case 0: return ilk_mutex_trylock(guarded.handle);
  case 1: return ilk_mutex_timedlock(guarded.handle, 0);
  case 2: return ilk_mutex_timedlock(guarded.handle, below(50) * US);
  case 3: return ilk_mutex_timedlock(guarded.handle, below(2) ? 3600 * SECOND : INT64_MAX);
  default: return ilk_mutex_lock(guarded.handle);
  }
}

static void *mutex_worker(void *unused)
{
  (void)unused;
  int64_t sections = 0, timeouts = 0;
  do {
    int result = take_mutex();
    if (result == ILK_OK) {
      int more = guarded.flags & ILK_RECURSIVE ? (int)below(3) : 0;
      for (int i = 0; i < more; i++)
        expect(take_mutex(), ILK_OK);
      section();
      for (int i = 0; i < more; i++)
        expect(ilk_mutex_unlock(guarded.handle), ILK_OK);
      expect(ilk_mutex_unlock(guarded.handle), ILK_OK);
      sections++;
    } else {
      expect_taken_by_another(result);
      timeouts++;
    }
    jitter();
  } while (now() < guarded.end);
  guarded.sections += sections;
  guarded.timeouts += timeouts;
  return NULL;
}

static void run_stormed(void *(*worker)(void *), bool stormed)
{
  pthread_t threads[THREADS];
  struct storm storm;
  for (int i = 0; i < THREADS; i++)
    threads[i] = start(worker, NULL);
  if (stormed)
    storm_start(&storm, threads, THREADS);
  if (stormed) {
    while (now() < guarded.end)
      nap(MS);
    storm_end(&storm);
  }
  for (int i = 0; i < THREADS; i++)
    join(threads[i]);
}

static void check_sections(void)
{
  must(guarded.sections > 0);
  for (int i = 0; i < WORDS; i++)
    expect(guarded.words[i], guarded.sections);
}

static const int all_flags[] = {
  0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE, ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR,
};

START_TEST(mutex_excludes)
{
  guarded.flags = all_flags[_i % LENGTH(all_flags)];
  guarded.handle = ilk_mutex_new(guarded.flags);
  guarded.end = stress_end(150);
  run_stormed(mutex_worker, _i >= LENGTH(all_flags));
  check_sections();
  expect(ilk_mutex_is_locked(guarded.handle), 0);
  expect(ilk_mutex_free(guarded.handle), ILK_OK);
}
END_TEST

/* A box for one item, closed and opened by different threads. */
static struct {
  void *full, *empty; /* unowned, locked while there is nothing, or no room */
  int64_t item, end;
} box;

#define LAST_ITEM (-1)

static void *box_filler(void *unused)
{
  (void)unused;
  bool last = false;
  for (int64_t i = 1; !last; i++) {
    last = now() >= box.end;
    expect(ilk_mutex_lock(box.empty), ILK_OK);
    box.item = last ? LAST_ITEM : i;
    expect(ilk_mutex_unlock(box.full), ILK_OK);
  }
  return NULL;
}

START_TEST(unowned_passes_from_thread_to_thread)
{
  int flags = _i ? ILK_UNOWNED | ILK_FAIR : ILK_UNOWNED;
  box.full = ilk_mutex_new(flags);
  box.empty = ilk_mutex_new(flags);
  expect(ilk_mutex_lock(box.full), ILK_OK);
  box.end = stress_end(100);
  pthread_t filler = start(box_filler, NULL);
  bool last = false;
  for (int64_t i = 1; !last; i++) {
    expect(ilk_mutex_lock(box.full), ILK_OK);
    last = box.item == LAST_ITEM;
    must(last || box.item == i);
    expect(ilk_mutex_unlock(box.empty), ILK_OK);
  }
  join(filler);
  expect(ilk_mutex_unlock(box.full), ILK_OK);
  expect(ilk_mutex_free(box.full), ILK_OK);
  expect(ilk_mutex_free(box.empty), ILK_OK);
}
END_TEST

/* --- threads that come and go, and leave it locked ------------------------------------------ */

static void *mortal(void *unused)
{
  (void)unused;
  for (int64_t i = below(20); i >= 0; i--) {
    int result = take_mutex();
    if (result < 0) {
      expect_taken_by_another(result);
      continue;
    }
    section();
    guarded.sections++;
    if (i == 0)
      return NULL; /* dies with it */
    expect(ilk_mutex_unlock(guarded.handle), ILK_OK);
  }
  return NULL;
}

static void *breeder(void *unused)
{
  (void)unused;
  do
    in_threads(3, mortal, NULL);
  while (now() < guarded.end);
  return NULL;
}

START_TEST(mutex_excludes_while_holders_die)
{
  guarded.flags = all_flags[_i];
  guarded.handle = ilk_mutex_new(guarded.flags);
  guarded.end = stress_end(150);
  in_threads(2, breeder, NULL);
  check_sections();
  must(ilk_mutex_lock(guarded.handle) >= 0);
  expect(ilk_mutex_unlock(guarded.handle), ILK_OK);
  expect(ilk_mutex_free(guarded.handle), ILK_OK);
}
END_TEST

/* --- semaphore ------------------------------------------------------------------------------- */

static int64_t permits;
static _Atomic int64_t inside;

static int take_semaphore(void)
{
  switch (below(6)) {
  case 0: return ilk_semaphore_tryacquire(guarded.handle);
  case 1: return ilk_semaphore_timedacquire(guarded.handle, 0);
  case 2: return ilk_semaphore_timedacquire(guarded.handle, below(50) * US);
  case 3: return ilk_semaphore_timedacquire(guarded.handle, below(2) ? 3600 * SECOND : INT64_MAX);
  default: return ilk_semaphore_acquire(guarded.handle);
  }
}

static void *semaphore_worker(void *unused)
{
  (void)unused;
  int64_t sections = 0;
  do {
    int result = take_semaphore();
    if (result == ILK_OK) {
      if (permits == 1) {
        section();
        sections++;
      } else {
        must(++inside <= permits);
        jitter();
        inside--;
      }
      expect(ilk_semaphore_release(guarded.handle, 1), ILK_OK);
    } else {
      expect_taken_by_another(result);
    }
    jitter();
  } while (now() < guarded.end);
  guarded.sections += sections;
  return NULL;
}

START_TEST(semaphore_excludes)
{
  permits = _i / 2 ? 3 : 1;
  guarded.handle = ilk_semaphore_new(permits, permits);
  guarded.end = stress_end(150);
  run_stormed(semaphore_worker, _i % 2);
  if (permits == 1)
    check_sections();
  expect(ilk_semaphore_value(guarded.handle), permits);
  expect(ilk_semaphore_free(guarded.handle), ILK_OK);
}
END_TEST

/* --- freed by the next holder --------------------------------------------------------------- */

/* The last of two to lock it frees it, while the first may still be in its unlock; and
   what is made in its place is none of that unlock's business (musl 88c4e720). */
static struct {
  void *_Atomic mutex;
  _Atomic int left;
  _Atomic bool over;
} shared;

static void *lock_and_maybe_free(void *unused)
{
  (void)unused;
  void *last = NULL;
  while (!shared.over) {
    void *m = shared.mutex;
    if (m == last) {
      sched_yield();
      continue;
    }
    last = m;
    expect(ilk_mutex_lock(m), ILK_OK);
    bool exits_unnoticed = --shared.left == 0;
    expect(ilk_mutex_unlock(m), ILK_OK);
    if (!exits_unnoticed)
      continue;
    int result;
    while ((result = ilk_mutex_free(m)) == ILK_EBUSY)
      sched_yield();
    expect(result, ILK_OK);
    void *successors[2] = {ilk_counter_new(INT64_C(0x1122334455667788)), ilk_semaphore_new(5, 5)};
    spin(below(300));
    expect(ilk_counter_load(successors[0]), INT64_C(0x1122334455667788));
    expect(ilk_semaphore_value(successors[1]), 5);
    expect(ilk_counter_free(successors[0]), ILK_OK);
    expect(ilk_semaphore_free(successors[1]), ILK_OK);
    shared.left = 2;
    shared.mutex = ilk_mutex_new(guarded.flags);
  }
  return NULL;
}

START_TEST(touch_after_release_musl_88c4e720)
{
  guarded.flags = all_flags[_i];
  shared.left = 2;
  shared.mutex = ilk_mutex_new(guarded.flags);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++)
    threads[i] = start(lock_and_maybe_free, NULL);
  for (int64_t end = stress_end(100); now() < end;)
    nap(MS);
  shared.over = true;
  for (int i = 0; i < 2; i++)
    join(threads[i]);
  expect(ilk_mutex_free(shared.mutex), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("stress");
  TCase *exclusion = test_case(s, "exclusion", 20);
  /* The second half in a storm. */
  tcase_add_loop_test(exclusion, mutex_excludes, 0, 2 * LENGTH(all_flags));
  tcase_add_loop_test(exclusion, mutex_excludes_while_holders_die, 0, 4); /* the owned ones */
  tcase_add_loop_test(exclusion, unowned_passes_from_thread_to_thread, 0, 2);
  tcase_add_loop_test(exclusion, semaphore_excludes, 0, 4);
  tcase_add_loop_test(exclusion, touch_after_release_musl_88c4e720, 0, LENGTH(all_flags));
  return run_suite(s);
}
