/* Calls in signal handlers: ilk_semaphore_release(), ilk_event_set() and ilk_counter_fetch_add(),
   whatever the handler has interrupted. */
#include <limits.h>

#include "support.h"

#ifndef JITTERED
#define JITTERED 0
#endif

static struct {
  void *semaphore, *event, *counter, *freed;
  _Atomic int64_t runs, taken, added;
  _Atomic bool over;
} calls;

static void handler(int signal)
{
  (void)signal;
  int before = errno;
  errno = 77;
  expect(ilk_semaphore_release(calls.semaphore, 1), ILK_OK);
  expect(ilk_event_set(calls.event), ILK_OK);
  must(ilk_counter_fetch_add(calls.counter, 1) >= 0);
  must(ilk_counter_fetch_add(calls.freed, 1) == ILK_NO_VALUE);
  must(errno == 77 || JITTERED); /* the jitter itself sleeps */
  errno = before;
  calls.runs++;
}

static void begin_calls(void)
{
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  calls.semaphore = ilk_semaphore_new(0, 0);
  calls.event = ilk_event_new(0);
  calls.counter = ilk_counter_new(0);
  calls.freed = ilk_counter_new(0);
  must(calls.semaphore && calls.event && calls.counter && calls.freed);
  expect(ilk_counter_free(calls.freed), ILK_OK);
  calls.runs = calls.taken = calls.added = 0;
  calls.over = false;
}

/* Nothing was lost, and no thread is inside any more. */
static void end_calls(void)
{
  expect(ilk_counter_load(calls.counter), calls.runs + calls.added);
  expect(ilk_semaphore_value(calls.semaphore), calls.runs + calls.added - calls.taken);
  expect(ilk_semaphore_free(calls.semaphore), ILK_OK);
  expect(ilk_event_free(calls.event), ILK_OK);
  expect(ilk_counter_free(calls.counter), ILK_OK);
}

/* The compiler may not leave it out. */
static void allocate(int64_t size)
{
  void *volatile memory = malloc((size_t)size);
  free(memory);
}

/* --- a thread's first call, and its last
   -------------------------------------------------------- */

/* The first call is the handler's, or ours, or ours is interrupted by the handler's. */
static void *live_for_a_moment(void *number)
{
  allocate(100 + below(1000));
  switch ((intptr_t)number % 3) {
  case 0: break;
  case 1:
    ilk_counter_fetch_add(calls.counter, 1);
    ilk_semaphore_release(calls.semaphore, 1);
    calls.added++;
    break;
  case 2: ilk_thread_id(); break;
  }
  for (int i = 0; i < 20; i++)
    allocate(100 + below(100000));
  return NULL;
}

START_TEST(a_first_call_in_a_handler_hung)
{
  begin_calls();
  int64_t end = stress_end(JITTERED ? 150 : 300);
  for (intptr_t n = 0; now() < end; n++) {
    pthread_t threads[4];
    for (int i = 0; i < LENGTH(threads); i++)
      threads[i] = start(live_for_a_moment, (void *)(n + i));
    for (int i = 0; i < 40; i++) {
      /* Which may be gone, and is not joined yet. */
      pthread_kill(threads[i % LENGTH(threads)], SIGUSR1);
      spin(below(1000));
    }
    for (int i = 0; i < LENGTH(threads); i++)
      join(threads[i]);
  }
  must(calls.runs > 0);
  end_calls();
}
END_TEST

/* The handler's call is the first while the thread allocates, and there is no record to be used
   again. */
static _Atomic int allocating;

static void *allocate_until_over(void *unused)
{
  (void)unused;
  allocating++;
  while (!calls.over)
    allocate(2000 + below(100000));
  return NULL;
}

START_TEST(a_first_call_in_a_handler_within_malloc_hung)
{
  pthread_t threads[12];
  begin_calls();
  for (int i = 0; i < LENGTH(threads); i++)
    must(pthread_create(&threads[i], NULL, allocate_until_over, NULL) == 0);
  while (allocating < LENGTH(threads))
    sched_yield();
  for (int i = 0; i < LENGTH(threads); i++)
    must(pthread_kill(threads[i], SIGUSR1) == 0);
  while (calls.runs < LENGTH(threads))
    sched_yield();
  calls.over = true;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  end_calls();
}
END_TEST

/* --- in the middle of all other calls
   --------------------------------------------------------------- */

static void *call_everything(void *unused)
{
  (void)unused;
  while (!calls.over) {
    void *c = ilk_counter_new(0), *s = ilk_semaphore_new(1, 1), *m = ilk_mutex_new(0);
    must(c && s && m);
    expect(ilk_counter_fetch_add(calls.counter, 1) >= 0, 1);
    expect(ilk_semaphore_release(calls.semaphore, 1), ILK_OK);
    calls.added++;
    if (ilk_semaphore_timedacquire(calls.semaphore, below(30) * US) == ILK_OK)
      calls.taken++;
    ilk_event_timedwait(calls.event, below(30) * US);
    expect(ilk_event_clear(calls.event), ILK_OK);
    int result =
      ilk_counter_timedwait(calls.counter, ilk_counter_load(calls.counter) + 2, below(30) * US);
    must(result == ILK_OK || result == ILK_ETIMEDOUT);
    expect(ilk_mutex_lock(m), ILK_OK);
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(ilk_mutex_free(m), ILK_OK);
    expect(ilk_counter_free(c), ILK_OK);
    expect(ilk_semaphore_free(s), ILK_OK);
  }
  return NULL;
}

START_TEST(handlers_in_the_middle_of_other_calls)
{
  begin_calls();
  pthread_t threads[] = {start(call_everything, NULL), start(call_everything, NULL)};
  for (int64_t end = stress_end(JITTERED ? 200 : 400); now() < end; spin(below(3000)))
    must(pthread_kill(threads[below(2)], SIGUSR1) == 0);
  calls.over = true;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  must(calls.runs > 0);
  end_calls();
}
END_TEST

/* --- the pin of the call that is interrupted
   --------------------------------------------------------------- */

static void *_Atomic target;
static _Atomic int64_t handled, adds;

static void add_to_another(int signal)
{
  (void)signal;
  must(ilk_counter_fetch_add(calls.counter, 1) >= 0);
  handled++;
  spin(300000); /* the other thread frees meanwhile */
}

static void *add_to_target(void *unused)
{
  (void)unused;
  while (!calls.over) {
    ilk_counter_fetch_add(target, 1);
    adds++;
  }
  return NULL;
}

/* The add that was interrupted is no longer protected, and goes to another counter in the same
   place. */
START_TEST(a_handler_ended_the_pin_of_the_call_that_it_interrupted)
{
  begin_calls();
  struct sigaction action = {.sa_handler = add_to_another, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  /* In the only free slot: from here on, each round's successors use the target's. */
  void *filler = ilk_counter_new(0);
  target = ilk_counter_new(0);
  pthread_t thread = start(add_to_target, NULL);
  for (int64_t end = stress_end(JITTERED ? 300 : 600); now() < end;) {
    int64_t before = adds, runs = handled;
    while (adds == before)
      sched_yield();
    spin(below(4000));
    must(pthread_kill(thread, SIGUSR1) == 0);
    while (handled == runs)
      sched_yield();
    void *successors[4];
    expect(ilk_counter_free(target), ILK_OK);
    for (int i = 0; i < LENGTH(successors); i++)
      successors[i] = ilk_counter_new(0);
    for (before = adds; adds < before + 2;)
      sched_yield();
    for (int i = 0; i < LENGTH(successors); i++)
      expect(ilk_counter_load(successors[i]), 0);
    for (int i = 1; i < LENGTH(successors); i++)
      expect(ilk_counter_free(successors[i]), ILK_OK);
    target = successors[0];
  }
  calls.over = true;
  join(thread);
  expect(ilk_counter_free(target), ILK_OK);
  expect(ilk_counter_free(filler), ILK_OK);
  calls.added = ilk_counter_load(calls.counter); /* by the other handler */
  expect(ilk_semaphore_release(calls.semaphore, calls.added), ILK_OK);
  end_calls();
}
END_TEST

/* --- a handler uses what the call that it interrupted uses, and another thread frees it
   ---------------- */

static void use_target(int signal)
{
  (void)signal;
  void *t = target;
  int result = ilk_event_set(t);
  must(result == ILK_OK || result == ILK_EHANDLE);
  handled++;
}

static void *use_target_too(void *unused)
{
  (void)unused;
  while (!calls.over) {
    int result = ilk_event_clear(target);
    must(result == ILK_OK || result == ILK_EHANDLE);
  }
  return NULL;
}

START_TEST(a_handler_waited_for_a_free_that_waited_for_its_thread)
{
  struct sigaction action = {.sa_handler = use_target, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  calls.over = false;
  target = ilk_event_new(0);
  pthread_t thread = start(use_target_too, NULL);
  int64_t sent = 0;
  for (int64_t end = stress_end(JITTERED ? 200 : 400); now() < end; sent++) {
    void *t = target;
    must(pthread_kill(thread, SIGUSR1) == 0);
    spin(below(500));
    expect(ilk_event_free(t), ILK_OK);
    target = ilk_event_new(0);
  }
  calls.over = true;
  join(thread);
  must(handled > 0 && handled <= sent);
  expect(ilk_event_free(target), ILK_OK);
}
END_TEST

/* --- a handler uses what its own thread frees
   ------------------------------------------------------------- */

static void *_Atomic freed_here[3]; /* semaphore, event, counter */

static void use_what_is_freed(int signal)
{
  (void)signal;
  int result = ilk_semaphore_release(freed_here[0], 1);
  must(result == ILK_OK || result == ILK_EHANDLE);
  result = ilk_event_set(freed_here[1]);
  must(result == ILK_OK || result == ILK_EHANDLE);
  ilk_counter_fetch_add(freed_here[2], 1);
  handled++;
}

static void *free_and_make(void *unused)
{
  (void)unused;
  while (!calls.over) {
    expect(ilk_semaphore_free(freed_here[0]), ILK_OK);
    freed_here[0] = ilk_semaphore_new(0, 0);
    expect(ilk_event_free(freed_here[1]), ILK_OK);
    freed_here[1] = ilk_event_new(0);
    expect(ilk_counter_free(freed_here[2]), ILK_OK);
    freed_here[2] = ilk_counter_new(0);
    adds++;
  }
  return NULL;
}

START_TEST(a_handler_waited_for_the_free_that_it_interrupted)
{
  struct sigaction action = {.sa_handler = use_what_is_freed, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  calls.over = false;
  freed_here[0] = ilk_semaphore_new(0, 0);
  freed_here[1] = ilk_event_new(0);
  freed_here[2] = ilk_counter_new(0);
  pthread_t thread = start(free_and_make, NULL);
  for (int64_t end = stress_end(JITTERED ? 200 : 400); now() < end; spin(below(3000))) {
    int64_t before = adds;
    while (adds == before)
      sched_yield();
    must(pthread_kill(thread, SIGUSR1) == 0);
  }
  calls.over = true;
  join(thread);
  must(handled > 0);
  expect(ilk_semaphore_free(freed_here[0]), ILK_OK);
  expect(ilk_event_free(freed_here[1]), ILK_OK);
  expect(ilk_counter_free(freed_here[2]), ILK_OK);
}
END_TEST

/* --- a handler has interrupted the making of an object, and another thread frees what it uses
   -------------- */

static void *make_and_free(void *unused)
{
  (void)unused;
  while (!calls.over) {
    void *counter = ilk_counter_new(0);
    expect(ilk_counter_free(counter), ILK_OK);
  }
  return NULL;
}

START_TEST(a_handler_waited_for_a_free_that_needed_the_table_of_handles)
{
  struct sigaction action = {.sa_handler = use_what_is_freed, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  calls.over = false;
  handled = 0;
  freed_here[0] = ilk_semaphore_new(0, 0);
  freed_here[1] = ilk_event_new(0);
  freed_here[2] = ilk_counter_new(0);
  pthread_t makes = start(make_and_free, NULL), frees = start(free_and_make, NULL);
  int64_t sent = 0;
  for (int64_t end = stress_end(JITTERED ? 300 : 600); now() < end; sent++) {
    must(pthread_kill(makes, SIGUSR1) == 0);
    while (handled <= sent && now() < end)
      ;
  }
  calls.over = true;
  join(makes);
  join(frees);
  must(handled > 0);
  expect(ilk_semaphore_free(freed_here[0]), ILK_OK);
  expect(ilk_event_free(freed_here[1]), ILK_OK);
  expect(ilk_counter_free(freed_here[2]), ILK_OK);
}
END_TEST

/* --- ending threads whose exit went unnoticed
   ----------------------------------------------------- */

static pthread_key_t last_key;

static void use_again(void *round)
{
  ilk_thread_id();
  if ((intptr_t)round < PTHREAD_DESTRUCTOR_ITERATIONS)
    pthread_setspecific(last_key, (void *)((intptr_t)round + 1));
}

/* Calls in its last destructor, so its exit goes unnoticed. */
static void *use_in_last_destructor(void *unused)
{
  pthread_setspecific(last_key, (void *)1);
  return unused;
}

/* Each sleep ends the threads that are gone. */
static void *end_others(void *mutex)
{
  expect(ilk_mutex_lock(mutex), ILK_OK);
  int64_t id = ilk_thread_id();
  for (int i = 0; i < 200; i++) {
    join(start(use_in_last_destructor, NULL));
    expect(ilk_sleep(1000), ILK_OK);
    must(ilk_thread_id() == id);
  }
  calls.over = true;
  return NULL;
}

/* A thread that ended another had no record for a moment. A handler's call then made it a second
   one, and the first, with all that the thread held, stayed when the thread exited. */
START_TEST(a_handlers_call_hid_its_threads_record)
{
  if (TSAN || ASAN)
    return; /* which end their own part of the thread in that round */
  begin_calls();
  pthread_key_create(&last_key, use_again);
  void *mutex = ilk_mutex_new(0);
  pthread_t thread = start(end_others, mutex);
  while (!calls.over)
    must(pthread_kill(thread, SIGUSR1) == 0);
  join(thread);
  expect(ilk_mutex_trylock(mutex), ILK_OWNER_DIED);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
  end_calls();
}
END_TEST

int main(void)
{
  /* Where threads sleep on condition variables, no wake is safe in a handler, and the header says
     so. */
  bool promised = strcmp(ilk_backend(), "futex") == 0;
  Suite *s = suite_create("signals");
  TCase *handlers = test_case(s, "handlers", 20);
  if (promised) {
    tcase_add_test(handlers, a_first_call_in_a_handler_hung);
    tcase_add_test(handlers, a_first_call_in_a_handler_within_malloc_hung);
    tcase_add_test(handlers, a_handler_ended_the_pin_of_the_call_that_it_interrupted);
    tcase_add_test(handlers, handlers_in_the_middle_of_other_calls);
    tcase_add_test(handlers, a_handler_waited_for_a_free_that_waited_for_its_thread);
    tcase_add_test(handlers, a_handler_waited_for_the_free_that_it_interrupted);
    tcase_add_test(handlers, a_handler_waited_for_a_free_that_needed_the_table_of_handles);
    tcase_add_test(handlers, a_handlers_call_hid_its_threads_record);
  }
  return run_suite(s);
}
