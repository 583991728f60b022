/* stall.c: a wait that lasts a second and began with the GIL held gets a message, once. */
#include <sys/stat.h>

#include "waits.h"

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

#define must_say(text, ...)                                                                        \
  do {                                                                                             \
    char expected_[256];                                                                           \
    snprintf(expected_, sizeof expected_, __VA_ARGS__);                                            \
    if (!strstr((text), expected_))                                                                \
      ck_abort_msg("no \"%s\" in: %s", expected_, (text));                                         \
  } while (0)

#define must_not_say(text, unwanted)                                                               \
  do {                                                                                             \
    if (strstr((text), unwanted))                                                                  \
      ck_abort_msg("\"%s\" in: %s", unwanted, (text));                                             \
  } while (0)

/* --- probes
   -------------------------------------------------------------------------------------- */

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

/* Long enough for a second call of the probe, or one too early. */
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

/* A probe that was removed (its Python has ended) is not called by a thread that already slept. */
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

/* The probe neither lengthens nor shortens a wait, nor changes its result. */
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
  /* A thread that wakes only at its deadline calls no probe after it. */
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

/* The message is a write(2), which is a cancellation point; a call of the library is not. */
static int holds_the_gil_and_has_a_cancellation_point(void)
{
  pthread_testcancel();
  return 1;
}

static int64_t timeout_of_canceled;

static void *wait_with_a_cancel_pending(void *s)
{
  pthread_cancel(pthread_self());
  int result = ilk_semaphore_timedacquire(s, timeout_of_canceled);
  asked.answer = result; /* it came this far */
  pthread_testcancel();
  ck_abort_msg("the cancel is gone");
}

START_TEST(a_message_is_no_cancellation_point)
{
  probe_with(holds_the_gil_and_has_a_cancellation_point);
  void *s = new_semaphore();
  for (timeout_of_canceled = 1200 * MS; warnings() == 0 && timeout_of_canceled < 2 * PATIENCE;
       timeout_of_canceled *= 2) {
    asked.answer = PENDING;
    join(start(wait_with_a_cancel_pending, s));
    expect(asked.answer, ILK_ETIMEDOUT);
  }
  expect(warnings(), 1);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

/* --- with hooks
   -------------------------------------------------------------------------------- */

static _Thread_local int gil;

static void *current_state(void)
{
  return gil ? &gil : NULL;
}
static void *save(void)
{
  gil = 0;
  return &gil;
}
static void restore(void *state)
{
  must(state == &gil);
  gil = 1;
}

static void hook(void)
{
  expect(ilk_gil_hooks((void *)(uintptr_t)current_state, NULL, (void *)(uintptr_t)save,
                       (void *)(uintptr_t)restore),
         ILK_OK);
}

static int acquire_with_gil(void *s, int64_t timeout_ns)
{
  gil = 1;
  return ilk_semaphore_timedacquire(s, timeout_ns);
}

/* A hint about speed: the GIL is released, so it looks like no deadlock. */
START_TEST(a_wait_that_released_the_gil_gets_a_hint)
{
  hook();
  probe_with(probe);
  void *s = new_semaphore();
  struct waiter w;
  waiter_sleep(&w, acquire_with_gil, s, -1);
  while (warnings() < 1)
    nap(MS);
  char who[64];
  snprintf(who, sizeof who, "(native %d)  waits for semaphore %p", w.tid, s);
  must_say(output(0), "%s", who);
  must_say(output(0), "hint about speed");
  must_say(output(0), "nogil=True");
  must_not_say(output(0), "deadlock");
  expect(asked.calls, 0);
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  waiter_sleep(&w, acquire_with_gil, s, -1);
  a_while();
  expect(warnings(), 1);
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

/* The hooks know better than a probe, which is not called: the others do not hold the GIL. */
START_TEST(with_hooks_nothing_is_said_to_others)
{
  asked.answer = 1;
  hook();
  probe_with(probe);
  wait_in_all(-1);
  a_while();
  expect(asked.calls, 0);
  expect(output_size(), 0);
  end_all();
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
  tcase_add_test(stall, a_message_is_no_cancellation_point);
  tcase_add_test(stall, a_wait_that_released_the_gil_gets_a_hint);
  tcase_add_test(stall, with_hooks_nothing_is_said_to_others);
  return run_suite(s);
}
