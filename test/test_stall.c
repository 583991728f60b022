/* stall.c: who waits for a second and keeps the GIL is told, once. */
#include <sys/stat.h>

#include "support.h"

/* --- every call that may wait, where it has to --------------------------------------------- */

static void *made(void *handle)
{
  must(handle != NULL);
  return handle;
}

/* Held by the test's main thread; the waits are other threads'. */
static void *new_mutex(int flags)
{
  void *m = made(ilk_mutex_new(flags));
  expect(ilk_mutex_lock(m), ILK_OK);
  return m;
}
static void *new_plain(void)
{
  return new_mutex(0);
}
static void *new_fair(void)
{
  return new_mutex(ILK_FAIR);
}
static void *new_unowned(void)
{
  return new_mutex(ILK_UNOWNED);
}

static void *new_written(void)
{
  void *rw = made(ilk_rwlock_new(0));
  expect(ilk_rwlock_write_lock(rw), ILK_OK);
  return rw;
}
static int call_read(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_read_timedlock(rw, timeout_ns);
  return result == ILK_OK ? ilk_rwlock_read_unlock(rw) : result;
}
static void *new_read(void)
{
  void *rw = made(ilk_rwlock_new(0));
  expect(ilk_rwlock_read_lock(rw), ILK_OK);
  return rw;
}
static int call_write(void *rw, int64_t timeout_ns)
{
  int result = ilk_rwlock_write_timedlock(rw, timeout_ns);
  return result == ILK_OK ? ilk_rwlock_write_unlock(rw) : result;
}

static void *new_semaphore(void)
{
  return made(ilk_semaphore_new(0, 0));
}
static int release_one(void *s)
{
  return ilk_semaphore_release(s, 1);
}

static void *condition_mutex;
static void *new_condition(void)
{
  condition_mutex = made(ilk_mutex_new(0));
  return made(ilk_condition_new(0));
}
static int call_condition(void *c, int64_t timeout_ns)
{
  expect(ilk_mutex_lock(condition_mutex), ILK_OK);
  int result = ilk_condition_timedwait(c, condition_mutex, timeout_ns);
  expect(ilk_mutex_unlock(condition_mutex), ILK_OK);
  return result;
}
static int free_condition(void *c)
{
  expect(ilk_condition_free(c), ILK_OK);
  return ilk_mutex_free(condition_mutex);
}

static void *new_event(void)
{
  return made(ilk_event_new(0));
}

static void *new_barrier(void)
{
  return made(ilk_barrier_new(2));
}
static int call_arrive(void *b, int64_t timeout_ns)
{
  int result = ilk_barrier_timedwait(b, timeout_ns);
  return result == 0 ? ILK_OK : result; /* the first of two */
}
static int arrive_last(void *b)
{
  return ilk_barrier_wait(b) == 1 ? ILK_OK : ilk_last_error();
}

static void *new_latch(void)
{
  return made(ilk_latch_new(1));
}
static int count_down(void *l)
{
  return ilk_latch_count_down(l, 1);
}

static void *new_once(void)
{
  void *o = made(ilk_once_new(0));
  expect(ilk_once_begin(o), 1);
  return o;
}
static int call_once(void *o, int64_t unused)
{
  (void)unused;
  return ilk_once_begin(o);
}
static int end_once(void *o)
{
  return ilk_once_end(o, 1);
}

static void *new_counter(void)
{
  return made(ilk_counter_new(0));
}
static int add_one(void *c)
{
  return ilk_counter_fetch_add(c, 1) == 0 ? ILK_OK : ilk_last_error();
}

static void *new_lockarray(void)
{
  void *a = made(ilk_lockarray_new(8, 0));
  expect(ilk_lockarray_lock(a, 3), ILK_OK);
  return a;
}
static int call_lock_3(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock(a, 3, timeout_ns);
  return result == ILK_OK ? ilk_lockarray_unlock(a, 3) : result;
}
static int unlock_3(void *a)
{
  return ilk_lockarray_unlock(a, 3);
}

static void *new_queue(void)
{
  return made(ilk_queue_new(1));
}
static int call_get(void *q, int64_t timeout_ns)
{
  int64_t item;
  return ilk_queue_timedget(q, &item, timeout_ns);
}
static int put_one(void *q)
{
  return ilk_queue_put(q, 1);
}
static void *new_full_queue(void)
{
  void *q = made(ilk_queue_new(1));
  expect(ilk_queue_put(q, 1), ILK_OK);
  return q;
}
static int call_put(void *q, int64_t timeout_ns)
{
  return ilk_queue_timedput(q, 1, timeout_ns);
}
static int get_one(void *q)
{
  return call_get(q, -1);
}

static _Atomic bool thread_may_end;
static void until_it_may_end(void *unused)
{
  (void)unused;
  while (!thread_may_end)
    nap(MS);
}
static void *new_thread(void)
{
  thread_may_end = false;
  return made(ilk_thread_start((void *)(uintptr_t)until_it_may_end, NULL));
}
static int end_thread(void *unused)
{
  (void)unused;
  thread_may_end = true;
  return ILK_OK;
}
static int free_nothing(void *unused)
{
  (void)unused;
  return ILK_OK; /* the join has */
}

static uint32_t words[2];
static void *new_word(void)
{
  expect(ilk_word_lock(&words[0], 0), ILK_OK);
  return &words[0];
}
static int call_word(void *word, int64_t timeout_ns)
{
  int result = ilk_word_timedlock(word, 0, timeout_ns);
  return result == ILK_OK ? ilk_word_unlock(word, 0) : result;
}
static int unlock_word(void *word)
{
  return ilk_word_unlock(word, 0);
}
static void *new_word_to_wait_for(void)
{
  words[1] = 7;
  return &words[1];
}
static int call_word_wait(void *word, int64_t timeout_ns)
{
  return ilk_word_wait(word, 7, 0, timeout_ns);
}
static int wake_word(void *word)
{
  int woken;
  while ((woken = ilk_word_wake(word, 1, 0)) == 0) /* it may be looking, between two sleeps */
    sched_yield();
  return woken == 1 ? ILK_OK : ILK_EBUSY;
}

static const struct {
  const char *name; /* as the report has it; "held" says so too if the waited-for thread is known */
  bool held;
  void *(*make)(void);
  int (*wait)(void *, int64_t);
  int (*let_on)(void *);
  int (*free)(void *);
} waits[] = {
    {"mutex", true, new_plain, call_visit, ilk_mutex_unlock, ilk_mutex_free},
    {"mutex", true, new_fair, call_visit, ilk_mutex_unlock, ilk_mutex_free},
    {"mutex", false, new_unowned, call_visit, ilk_mutex_unlock, ilk_mutex_free},
    {"rwlock", true, new_written, call_read, ilk_rwlock_write_unlock, ilk_rwlock_free},
    {"rwlock", false, new_read, call_write, ilk_rwlock_read_unlock, ilk_rwlock_free},
    {"semaphore", false, new_semaphore, ilk_semaphore_timedacquire, release_one, ilk_semaphore_free},
    {"condition", false, new_condition, call_condition, ilk_condition_notify_all, free_condition},
    {"event", false, new_event, ilk_event_timedwait, ilk_event_set, ilk_event_free},
    {"barrier", false, new_barrier, call_arrive, arrive_last, ilk_barrier_free},
    {"latch", false, new_latch, ilk_latch_timedwait, count_down, ilk_latch_free},
    {"once", true, new_once, call_once, end_once, ilk_once_free},
    {"counter", false, new_counter, call_wait_for_1, add_one, ilk_counter_free},
    {"lockarray", true, new_lockarray, call_lock_3, unlock_3, ilk_lockarray_free},
    {"queue", false, new_queue, call_get, put_one, ilk_queue_free},
    {"queue", false, new_full_queue, call_put, get_one, ilk_queue_free},
    {"thread", false, new_thread, ilk_thread_timedjoin, end_thread, free_nothing},
    {"the word at", true, new_word, call_word, unlock_word, free_nothing},
    {"the word at", false, new_word_to_wait_for, call_word_wait, wake_word, free_nothing},
};

static struct waiter waiters[LENGTH(waits)];

/* One thread asleep in each. */
static void wait_in_all(int64_t timeout_ns)
{
  for (int i = 0; i < LENGTH(waits); i++)
    waiter_sleep(&waiters[i], waits[i].wait, waits[i].make(), timeout_ns);
}

static void end_all(void)
{
  for (int i = 0; i < LENGTH(waits); i++) {
    expect(waiters[i].result, PENDING);
    expect(waits[i].let_on(waiters[i].handle), ILK_OK);
    expect(waiter_end(&waiters[i]), ILK_OK);
    expect(waits[i].free(waiters[i].handle), ILK_OK);
  }
}

/* --- what comes out at stderr ----------------------------------------------------------------- */

static int captured, stderr_before;

static void capture(void)
{
  FILE *file = tmpfile();
  must(file != NULL);
  captured = fileno(file);
  stderr_before = dup(STDERR_FILENO);
  must(dup2(captured, STDERR_FILENO) == STDERR_FILENO);
}

static void release_stderr(void)
{
  dup2(stderr_before, STDERR_FILENO);
}

static int64_t output_size(void)
{
  struct stat status;
  must(fstat(captured, &status) == 0);
  return status.st_size;
}

/* From `begin` on. */
static const char *output(int64_t begin)
{
  static char text[64 * 1024];
  ssize_t n = pread(captured, text, sizeof text - 1, begin);
  must(n >= 0 && n < (ssize_t)sizeof text - 1);
  text[n] = 0;
  return text;
}

static int warnings(void)
{
  int n = 0;
  for (const char *c = output(0); (c = strstr(c, "interlock: ")); c++)
    n++;
  return n;
}

#define must_say(text, ...)                                                                     \
  do {                                                                                          \
    char wanted_[256];                                                                          \
    snprintf(wanted_, sizeof wanted_, __VA_ARGS__);                                             \
    if (!strstr((text), wanted_))                                                               \
      ck_abort_msg("no \"%s\" in: %s", wanted_, (text));                                        \
  } while (0)

#define must_not_say(text, unwanted)                                                            \
  do {                                                                                          \
    if (strstr((text), unwanted))                                                               \
      ck_abort_msg("\"%s\" in: %s", unwanted, (text));                                          \
  } while (0)

/* --- probes -------------------------------------------------------------------------------------- */

static struct {
  _Atomic int next, calls, answer; /* calls: those that are noted */
  struct {
    _Atomic int tid;
    _Atomic int64_t when;
  } call[256];
} asked;

static int probe(void)
{
  int i = asked.next++;
  must(i < LENGTH(asked.call));
  asked.call[i].tid = own_tid();
  asked.call[i].when = now();
  asked.calls++;
  return asked.answer;
}

static void probe_with(int (*function)(void))
{
  expect(ilk_gil_probe((void *)(uintptr_t)function), ILK_OK);
}

static void until_asked(int times)
{
  while (asked.calls < times)
    nap(MS);
}

/* Long enough for whoever would ask once more, or too early. */
static void a_while(void)
{
  nap(1300 * MS);
}

START_TEST(each_wait_asks_its_own_thread_once_after_a_second)
{
  int64_t timeout_ns = _i ? 3600 * SECOND : -1;
  probe_with(probe);
  int64_t before = now();
  wait_in_all(timeout_ns);
  int calls = asked.calls;
  if (now() - before < SECOND)
    expect(calls, 0);
  until_asked(LENGTH(waits));
  a_while();
  expect(asked.calls, LENGTH(waits));
  for (int i = 0; i < LENGTH(waits); i++) {
    must(asked.call[i].when - before >= SECOND);
    int same = 0;
    for (int j = 0; j < LENGTH(waits); j++)
      same += asked.call[i].tid == waiters[j].tid;
    expect(same, 1);
    for (int j = 0; j < i; j++)
      must(asked.call[i].tid != asked.call[j].tid);
  }
  expect(warnings(), 0); /* none of them holds the GIL */
  end_all();
}
END_TEST

/* Allows one warning more, once the last is there, so that all are seen one by one. */
static pthread_mutex_t one_by_one = PTHREAD_MUTEX_INITIALIZER;

static int probe_one_by_one(void)
{
  pthread_mutex_lock(&one_by_one);
  while (warnings() < asked.calls)
    nap(MS);
  ilk_gil_probe((void *)(uintptr_t)probe_one_by_one);
  asked.calls++;
  pthread_mutex_unlock(&one_by_one);
  return 1;
}

START_TEST(the_warning_names_thread_and_lock_and_holder)
{
  probe_with(probe_one_by_one);
  wait_in_all(-1);
  until_asked(LENGTH(waits));
  while (warnings() < LENGTH(waits))
    nap(MS);
  for (int i = 0; i < LENGTH(waits); i++) {
    char line[512], who[64];
    snprintf(who, sizeof who, "(native %d)  waits for", waiters[i].tid);
    const char *found = strstr(output(0), who);
    must(found != NULL);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(found, "\n"), found);
    must_say(line, "%s %s %p", who, waits[i].name, waiters[i].handle);
    if (waits[i].wait == call_lock_3)
      must_say(line, " [3], held by");
    if (waits[i].held)
      must_say(line, ", held by thread %d (native %d), for ", (int)ilk_thread_id(), own_tid());
    else if (waits[i].make != new_thread)
      must_not_say(line, "held by");
  }
  must_say(output(0), "GIL");
  must_say(output(0), "nogil=True");
  end_all();
}
END_TEST

START_TEST(one_warning_until_it_is_allowed_again)
{
  asked.answer = 1;
  probe_with(probe);
  wait_in_all(-1);
  until_asked(1);
  while (warnings() < 1)
    nap(MS);
  a_while();
  expect(warnings(), 1);
  must(output(0)[output_size() - 1] == '\n');
  end_all();

  probe_with(probe);
  int64_t size = output_size();
  wait_in_all(-1);
  while (warnings() < 2)
    nap(MS);
  a_while();
  expect(warnings(), 2);
  must(strncmp(output(size), "interlock: ", strlen("interlock: ")) == 0);
  end_all();
}
END_TEST

START_TEST(no_probe_none_asked)
{
  asked.answer = 1;
  probe_with(probe);
  expect(ilk_gil_probe(NULL), ILK_OK);
  wait_in_all(-1);
  a_while();
  expect(asked.calls, 0);
  expect(output_size(), 0);
  end_all();
}
END_TEST

/* A probe that has gone (its Python has ended) is not called by who sleeps since before. */
START_TEST(none_asked_once_it_is_taken_away)
{
  asked.answer = 1;
  probe_with(probe);
  int64_t before = now();
  wait_in_all(-1);
  expect(ilk_gil_probe(NULL), ILK_OK);
  bool in_time = now() - before < SECOND; /* else it may have been called, or be about to */
  a_while();
  must(asked.calls == 0 || !in_time);
  end_all();
}
END_TEST

/* The look neither lengthens a wait nor cuts it short, nor changes its answer. */
static int wait_and_measure(void *s, int64_t timeout_ns)
{
  int64_t before = now();
  int result = ilk_semaphore_timedacquire(s, timeout_ns);
  must(now() - before >= timeout_ns);
  return result;
}

static int sleep_call(void *unused, int64_t ns)
{
  (void)unused;
  return ilk_sleep(ns);
}

START_TEST(a_deadline_stays_what_it_was)
{
  asked.answer = 1;
  probe_with(probe);
  void *s = new_semaphore();
  struct waiter w[4];
  waiter_start(&w[0], wait_and_measure, s, 300 * MS);
  waiter_start(&w[1], wait_and_measure, s, SECOND - 1);
  waiter_start(&w[2], sleep_call, NULL, 1200 * MS); /* is no wait: it ends */
  expect(waiter_end(&w[0]), ILK_ETIMEDOUT);
  expect(waiter_end(&w[1]), ILK_ETIMEDOUT);
  expect(waiter_end(&w[2]), ILK_OK);
  expect(asked.calls, 0);
  /* Who wakes only when its time is up has no second left to look after. */
  for (int64_t timeout = 1200 * MS; asked.calls == 0 && timeout < 2 * PATIENCE; timeout *= 2) {
    waiter_start(&w[3], wait_and_measure, s, timeout);
    expect(waiter_end(&w[3]), ILK_ETIMEDOUT);
  }
  expect(asked.calls, 1);
  expect(warnings(), 1);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

START_TEST(a_warned_wait_can_be_cancelled)
{
  asked.answer = 1;
  probe_with(probe);
  void *s = new_semaphore();
  struct waiter w;
  waiter_sleep(&w, ilk_semaphore_timedacquire, s, -1);
  while (warnings() < 1)
    nap(MS);
  expect(w.result, PENDING);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

/* No lock of the library is held while it is asked: it may use every function itself. */
static int probe_that_waits(void)
{
  char text[64];
  uint32_t word = 0;
  int64_t handles = ilk_live();
  void *m = made(ilk_mutex_new(0));
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  must(ilk_report(text, sizeof text) > 0);
  expect(ilk_word_wake(&word, 1, 0), 0);
  must(handles > 0);
  asked.calls++;
  return 1;
}

START_TEST(the_probe_may_use_the_library)
{
  probe_with(probe_that_waits);
  wait_in_all(-1);
  until_asked(LENGTH(waits));
  while (warnings() < 1)
    nap(MS);
  end_all();
}
END_TEST

int main(void)
{
  Suite *s = suite_create("stall");
  TCase *stall = test_case(s, "stall", 60);
  tcase_add_checked_fixture(stall, capture, release_stderr);
  tcase_add_loop_test(stall, each_wait_asks_its_own_thread_once_after_a_second, 0, 2);
  tcase_add_test(stall, the_warning_names_thread_and_lock_and_holder);
  tcase_add_test(stall, one_warning_until_it_is_allowed_again);
  tcase_add_test(stall, no_probe_none_asked);
  tcase_add_test(stall, a_deadline_stays_what_it_was);
  tcase_add_test(stall, none_asked_once_it_is_taken_away);
  tcase_add_test(stall, a_warned_wait_can_be_cancelled);
  tcase_add_test(stall, the_probe_may_use_the_library);
  return run_suite(s);
}
