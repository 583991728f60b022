/* report.c: the report for a person with a hung program. */
#include <stdarg.h>
#include "support.h"

static char *report(void)
{
  int64_t size = ilk_report(NULL, 0);
  for (;;) {
    must(size > 0);
    char *text = malloc((size_t)size);
    must(text != NULL);
    int64_t needed = ilk_report(text, size);
    if (needed <= size) {
      expect((int64_t)strlen(text), needed - 1);
      return text;
    }
    free(text); /* it grew meanwhile */
    size = needed;
  }
}

/* The line that begins so, or has it within; without its newline, in a buffer of its own. */
static const char *line_with(const char *text, const char *format, ...)
{
  static char line[1024];
  char wanted[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(wanted, sizeof wanted, format, arguments);
  va_end(arguments);
  const char *found = strstr(text, wanted);
  if (!found)
    ck_abort_msg("no \"%s\" in:\n%s", wanted, text);
  while (found > text && found[-1] != '\n')
    found--;
  snprintf(line, sizeof line, "%.*s", (int)strcspn(found, "\n"), found);
  return line;
}

#define must_say(line, ...)                                                                        \
  do {                                                                                             \
    char expected_[256];                                                                           \
    snprintf(expected_, sizeof expected_, __VA_ARGS__);                                            \
    if (!strstr((line), expected_))                                                                \
      ck_abort_msg("no \"%s\" in: %s", expected_, (line));                                         \
  } while (0)

/* The number of seconds that stands after `before`, as "2.13 s" or as "17 ms". */
static double seconds_after(const char *line, const char *before)
{
  const char *found = strstr(line, before);
  double number = -1;
  char unit = 0;
  if (!found || sscanf(found + strlen(before), "%lf %c", &number, &unit) != 2)
    ck_abort_msg("no time after \"%s\" in: %s", before, line);
  return unit == 'm' ? number / 1000 : number;
}

static void *made(void *object)
{
  must(object != NULL);
  return object;
}

START_TEST(arguments_and_sizes)
{
  char text[4096];
  expect_no_value(ilk_report(NULL, 1), ILK_EINVAL);
  expect_no_value(ilk_report(text, -1), ILK_EINVAL);
  expect_no_value(ilk_report(NULL, INT64_MIN), ILK_EINVAL);
  int64_t size = ilk_report(NULL, 0);
  must(size > 1 && size < (int64_t)sizeof text);
  expect(ilk_report(text, size), size);
  expect((int64_t)strlen(text), size - 1);
  must(text[size - 2] == '\n');
  for (int64_t n = 0; n <= size; n++) {
    memset(text, 'x', sizeof text);
    expect(ilk_report(text, n), size);
    must(text[n] == 'x'); /* not a byte too many */
    if (n > 0)
      expect((int64_t)strlen(text), n - 1);
  }
}
END_TEST

START_TEST(a_buffer_beyond_int_max_stayed_empty_with_musl)
{
  char text[4096] = "";
  int64_t size = ilk_report(text, INT64_MAX);
  must(size > 1);
  expect((int64_t)strlen(text), size - 1);
}
END_TEST

START_TEST(the_first_line)
{
  void *m = made(ilk_mutex_new(0));
  char *text = report();
  const char *line =
    line_with(text, "interlock %d.%d.%d ", ILK_VERSION_MAJOR, ILK_VERSION_MINOR, ILK_VERSION_PATCH);
  must(strncmp(text, line, strlen(line)) == 0);
  must_say(line, "%s", (char *)ilk_backend());
  must_say(line, "%s", (char *)ilk_fence());
  must_say(line, " %d live handle", (int)ilk_live());
  free(text);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

static int64_t holder_id, holder_native;
static _Atomic int stage;

static int hold(void *m, int64_t exit_with_it)
{
  expect(ilk_mutex_lock(m), ILK_OK);
  holder_id = ilk_thread_id();
  holder_native = ilk_thread_native_id();
  stage = 1;
  while (stage == 1)
    nap(100 * US);
  return exit_with_it ? ILK_OK : ilk_mutex_unlock(m);
}

START_TEST(a_mutex_its_holder_and_its_waiters)
{
  void *m = made(ilk_mutex_new(0));
  char *text = report();
  must_say(line_with(text, "mutex %p", m), "unlocked");
  free(text);

  struct waiter holder, w[2];
  stage = 0;
  waiter_start(&holder, hold, m, 0);
  while (stage == 0)
    sched_yield();
  int64_t begin = now();
  waiter_sleep(&w[0], call_visit, m, -1);
  int64_t asleep = now();
  nap(1100 * MS); /* past the search for cycles, which must not restart the wait */
  waiter_sleep(&w[1], call_visit, m, 3600 * SECOND);

  double least = (double)(now() - asleep) / 1e9 - 0.01;
  text = report();
  double most = (double)(now() - begin) / 1e9;
  const char *line = line_with(text, "mutex %p  ", m);
  must_say(line, "locked by thread %d (native %d)", (int)holder_id, (int)holder_native);
  must_say(line, ", 2 waiting, longest ");
  double longest = seconds_after(line, "longest ");
  must(least <= longest && longest <= most);
  line = line_with(text, "(native %d)  waits", w[0].tid);
  must_say(line, "waits for mutex %p, held by thread %d (native %d), for ", m, (int)holder_id,
           (int)holder_native);
  longest = seconds_after(line, ", for ");
  must(least <= longest && longest <= most);
  line = line_with(text, "(native %d)  waits", w[1].tid);
  must_say(line, "waits for mutex %p", m);
  double left = seconds_after(line, ", at most ");
  must(3600 - most <= left && left <= 3600);
  free(text);

  stage = 2;
  expect(waiter_end(&holder), ILK_OK);
  expect(waiter_end(&w[0]), ILK_OK);
  expect(waiter_end(&w[1]), ILK_OK);
  text = report();
  line = line_with(text, "mutex %p", m);
  must_say(line, "unlocked");
  must(!strstr(line, "waiting"));
  must(!strstr(text, "waits for"));
  free(text);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

START_TEST(a_holder_that_is_gone)
{
  void *m = made(ilk_mutex_new(0));
  struct waiter holder;
  stage = 2;
  waiter_start(&holder, hold, m, 1);
  while (stage != 1)
    sched_yield();
  stage = 2;
  expect(waiter_end(&holder), ILK_OK);
  char *text = report();
  must_say(line_with(text, "mutex %p", m), "locked by thread %d (gone)", (int)holder_id);
  free(text);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

static int wait_at_7(void *a, int64_t timeout_ns)
{
  int result = ilk_lockarray_timedlock(a, 7, timeout_ns);
  return result == ILK_OK ? ilk_lockarray_unlock(a, 7) : result;
}

START_TEST(a_lock_array)
{
  void *a = made(ilk_lockarray_new(100, 0));
  expect(ilk_lockarray_lock_pair(a, 7, 99), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, wait_at_7, a, -1);
  int id = (int)ilk_thread_id();
  char *text = report();
  const char *line = line_with(text, "lockarray %p  ", a);
  must_say(line, "2 of 100 locked: [7] by thread %d, [99] by thread %d", id, id);
  must_say(line, ", 1 waiting, longest ");
  must_say(line_with(text, "(native %d)  waits", w.tid),
           "lockarray %p [7], held by thread %d (native %d)", a, id, own_tid());
  free(text);
  expect(ilk_lockarray_lock_range(a, 8, 20), ILK_OK);
  text = report();
  must_say(line_with(text, "lockarray %p  ", a), "14 of 100 locked: [7] by thread %d, [8] by", id);
  must_say(line_with(text, "lockarray %p  ", a), ", ...");
  free(text);
  expect(ilk_lockarray_unlock_range(a, 7, 20), ILK_OK);
  expect(ilk_lockarray_unlock(a, 99), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_lockarray_free(a), ILK_OK);
}
END_TEST

static int word_lock(void *word, int64_t timeout_ns)
{
  int result = ilk_word_timedlock(word, 0, timeout_ns);
  return result == ILK_OK ? ilk_word_unlock(word, 0) : result;
}

static int sleep_call(void *unused, int64_t ns)
{
  (void)unused;
  return ilk_sleep(ns);
}

START_TEST(words_and_sleepers)
{
  uint32_t word = 0;
  expect(ilk_word_lock(&word, 0), ILK_OK);
  struct waiter w[2];
  waiter_sleep(&w[0], word_lock, &word, -1);
  waiter_sleep(&w[1], sleep_call, NULL, 60 * SECOND);
  char *text = report();
  const char *line = line_with(text, "(native %d)  ", w[0].tid);
  must_say(line, "waits for the word at %p, held by thread %d (native %d), for ", (void *)&word,
           (int)ilk_thread_id(), own_tid());
  must_say(line_with(text, "(native %d)  ", w[1].tid), "sleeps, for ");
  free(text);
  expect(ilk_word_unlock(&word, 0), ILK_OK);
  expect(ilk_cancel(1), ILK_OK);
  text = report();
  must_say(line_with(text, "interlock "), "waits are being cancelled");
  free(text);
  expect(ilk_cancel(0), ILK_OK);
  expect(waiter_end(&w[0]), ILK_OK);
  expect(waiter_end(&w[1]), ILK_ECANCELED);
}
END_TEST

static int lock_again_and_again(void *word, int64_t stop)
{
  while (!*(_Atomic int *)(intptr_t)stop) {
    expect(ilk_word_lock(word, 0), ILK_OK);
    for (int64_t until = ilk_clock() + 3 * US; ilk_clock() < until;)
      ;
    expect(ilk_word_unlock(word, 0), ILK_OK);
  }
  return ILK_OK;
}

/* It slept on a word of its own, and until a time of its own. */
START_TEST(a_waiter_that_pauses_waits_for_its_lock)
{
  uint32_t word = 0;
  static _Atomic int stop;
  struct waiter w[3];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_start(&w[i], lock_again_and_again, &word, (intptr_t)&stop);
  for (int i = 0; i < 500; i++) {
    nap(300 * US);
    char *text = report();
    for (const char *found = text; (found = strstr(found, "waits for the word")); found++) {
      const char *line = line_with(found, "waits for the word");
      must_say(line, "waits for the word at %p", (void *)&word);
      must(!strstr(line, "at most"));
    }
    free(text);
  }
  stop = 1;
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), ILK_OK);
}
END_TEST

START_TEST(how_many_wait)
{
  expect(ilk_waiting(), 0);
  void *m = ilk_mutex_new(0);
  expect(ilk_mutex_lock(m), ILK_OK);
  struct waiter waiter, sleeper;
  waiter_sleep(&waiter, call_visit, m, -1);
  expect(ilk_waiting(), 1);
  waiter_sleep(&sleeper, sleep_call, NULL, 3600 * SECOND);
  expect(ilk_waiting(), 2);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(waiter_end(&waiter), ILK_OK);
  expect(ilk_waiting(), 1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&sleeper), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(ilk_waiting(), 0);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

START_TEST(values)
{
  void *s[] = {made(ilk_semaphore_new(2, 5)), made(ilk_semaphore_new(7, 0))};
  void *c = made(ilk_counter_new(-12345678901));
  void *m = made(ilk_mutex_new(ILK_UNOWNED));
  void *b[] = {made(ilk_barrier_new(3)), made(ilk_barrier_new(3))};
  int64_t ticket;
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_barrier_arrive(b[0], 0, &ticket, -1), 0);
  expect(ilk_barrier_abort(b[1]), ILK_OK);
  char *text = report();
  must_say(line_with(text, "barrier %p", b[0]), "1 of 3 arrived");
  must_say(line_with(text, "barrier %p", b[1]), "broken");
  must_say(line_with(text, "semaphore %p", s[0]), "value 2 of 5");
  must_say(line_with(text, "semaphore %p", s[1]), "value 7");
  must(!strstr(line_with(text, "semaphore %p", s[1]), "of"));
  must_say(line_with(text, "counter %p", c), "value -12345678901");
  must_say(line_with(text, "mutex %p", m), "locked (unowned), last by thread %d",
           (int)ilk_thread_id());
  free(text);
  expect(ilk_barrier_leave(b[0], ticket), ILK_ETIMEDOUT);
  for (int i = 0; i < 2; i++) {
    expect(ilk_semaphore_free(s[i]), ILK_OK);
    expect(ilk_barrier_free(b[i]), ILK_OK);
  }
  expect(ilk_counter_free(c), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

static void nothing(void *unused)
{
  (void)unused;
}

START_TEST(each_kind_has_a_line)
{
  const struct {
    const char *name;
    void *handle;
    int (*free)(void *);
  } kinds[] = {
    {"mutex", made(ilk_mutex_new(0)), ilk_mutex_free},
    {"rwlock", made(ilk_rwlock_new(0)), ilk_rwlock_free},
    {"semaphore", made(ilk_semaphore_new(0, 0)), ilk_semaphore_free},
    {"condition", made(ilk_condition_new(0)), ilk_condition_free},
    {"event", made(ilk_event_new(0)), ilk_event_free},
    {"barrier", made(ilk_barrier_new(2)), ilk_barrier_free},
    {"latch", made(ilk_latch_new(3)), ilk_latch_free},
    {"once", made(ilk_once_new(0)), ilk_once_free},
    {"counter", made(ilk_counter_new(0)), ilk_counter_free},
    {"tally", made(ilk_tally_new()), ilk_tally_free},
    {"lockarray", made(ilk_lockarray_new(2, 0)), ilk_lockarray_free},
    {"queue", made(ilk_queue_new(2)), ilk_queue_free},
    {"thread", made(ilk_thread_start((void *)(uintptr_t)nothing, NULL)), ilk_thread_join},
    {"local", made(ilk_local_new()), ilk_local_free},
  };
  char *text = report();
  for (int i = 0; i < LENGTH(kinds); i++)
    line_with(text, "%s %p", kinds[i].name, kinds[i].handle);
  free(text);
  for (int i = 0; i < LENGTH(kinds); i++)
    expect(kinds[i].free(kinds[i].handle), ILK_OK);
}
END_TEST

START_TEST(many_handles)
{
  enum { MANY = 3000 };
  static void *m[MANY];
  for (int i = 0; i < MANY; i++)
    m[i] = made(ilk_mutex_new(0));
  char *text = report();
  for (int i = 0; i < MANY; i += 97)
    line_with(text, "mutex %p  unlocked", m[i]);
  int lines = 0;
  for (const char *c = text; *c; c++)
    lines += *c == '\n';
  must(lines >= MANY + 1);
  free(text);
  for (int i = 0; i < MANY; i++)
    expect(ilk_mutex_free(m[i]), ILK_OK);
}
END_TEST

/* --- while everything runs ----------------------------------------------------------------- */

struct bustle {
  void *mutex;
  _Atomic bool over;
};

static void *bustle_run(void *argument)
{
  struct bustle *b = argument;
  while (!b->over) {
    void *a = made(ilk_lockarray_new(1 + below(5000), 0)), *m = made(ilk_mutex_new(ILK_FAIR));
    uint32_t word = 0;
    int result = ilk_mutex_timedlock(b->mutex, below(200 * US));
    expect(ilk_lockarray_lock(a, 0), ILK_OK);
    expect(ilk_mutex_lock(m), ILK_OK);
    ilk_word_wait(&word, 0, 0, below(50 * US));
    jitter();
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(ilk_lockarray_unlock(a, 0), ILK_OK);
    if (result == ILK_OK)
      expect(ilk_mutex_unlock(b->mutex), ILK_OK);
    expect(ilk_mutex_free(m), ILK_OK);
    expect(ilk_lockarray_free(a), ILK_OK);
  }
  return NULL;
}

START_TEST(while_objects_come_and_go)
{
  struct bustle b = {.mutex = made(ilk_mutex_new(0))};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(bustle_run, &b);
  int64_t end = stress_end(400);
  while (now() < end) {
    char *text = report();
    line_with(text, "mutex %p", b.mutex);
    free(text);
  }
  b.over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  expect(ilk_mutex_free(b.mutex), ILK_OK);
}
END_TEST

static void report_in_the_child(void *m)
{
  char *text = report();
  const char *line = line_with(text, "mutex %p", m);
  must_say(line, "locked by thread %d (native %d)", (int)ilk_thread_id(), own_tid());
  must(!strstr(line, "waiting"));
  must(!strstr(text, "waits for"));
  must_say(line_with(text, "interlock "), " 1 thread");
}

START_TEST(in_a_forks_child)
{
  void *m = made(ilk_mutex_new(0));
  expect(ilk_mutex_lock(m), ILK_OK);
  struct waiter w;
  waiter_sleep(&w, call_visit, m, -1);
  in_child(report_in_the_child, m);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("report");
  TCase *calls = test_case(suite, "calls", 20);
  tcase_add_test(calls, arguments_and_sizes);
  tcase_add_test(calls, a_buffer_beyond_int_max_stayed_empty_with_musl);
  tcase_add_test(calls, the_first_line);
  tcase_add_test(calls, a_mutex_its_holder_and_its_waiters);
  tcase_add_test(calls, a_holder_that_is_gone);
  tcase_add_test(calls, a_lock_array);
  tcase_add_test(calls, words_and_sleepers);
  tcase_add_test(calls, a_waiter_that_pauses_waits_for_its_lock);
  tcase_add_test(calls, how_many_wait);
  tcase_add_test(calls, values);
  tcase_add_test(calls, each_kind_has_a_line);
  tcase_add_test(calls, many_handles);
  tcase_add_test(calls, while_objects_come_and_go);
  tcase_add_test(calls, in_a_forks_child);
  return run_suite(suite);
}
