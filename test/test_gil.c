/* gil.c: a wait in a thread that holds the GIL releases it, and the call reacquires it at its
   end. */
#include "waits.h"

/* --- a GIL ------------------------------------------------------------------------------------ */

static pthread_mutex_t gil = PTHREAD_MUTEX_INITIALIZER;
/* As before Python 3.12: the state of the thread that holds it. */
static _Atomic(void *) gil_holder;
static _Thread_local void *attached, *own; /* the calling thread's, while it holds the GIL; ever */
static _Thread_local char state;
static _Atomic int saves, restores;

static void take_gil(void)
{
  pthread_mutex_lock(&gil);
  attached = own = &state;
  gil_holder = own;
}

static void drop_gil(void)
{
  must(attached == &state && gil_holder == attached);
  attached = NULL;
  gil_holder = NULL;
  pthread_mutex_unlock(&gil);
}

static void *current_of_thread(void)
{
  return attached;
}
static void *current_of_process(void)
{
  return gil_holder;
}
static void *own_state(void)
{
  return own;
}

static void *save(void)
{
  saves++;
  drop_gil();
  return &state;
}

static void restore(void *saved)
{
  must(saved == &state && attached == NULL);
  take_gil();
  restores++;
}

static void *code(void (*function)(void))
{
  return (void *)(uintptr_t)function;
}
#define CODE(function) code((void (*)(void))(function))

static void hook(void (*restorer)(void *))
{
  expect(ilk_gil_hooks(CODE(current_of_thread), NULL, CODE(save), CODE(restorer)), ILK_OK);
}
static void hook_as_before_3_12(void)
{
  expect(ilk_gil_hooks(CODE(current_of_process), CODE(own_state), CODE(save), CODE(restore)),
         ILK_OK);
}
static void unhook(void)
{
  expect(ilk_gil_hooks(NULL, NULL, NULL, NULL), ILK_OK);
}

static void expect_calls(int each)
{
  expect(saves, each);
  expect(restores, each);
}

/* --- calls in a thread that holds it
   ------------------------------------------------------------- */

static int with_gil(int (*call)(void *, int64_t), void *handle, int64_t timeout_ns)
{
  take_gil();
  int result = call(handle, timeout_ns);
  drop_gil(); /* it is attached again, or this fails */
  return result;
}

/* A waiter's call, by its place in `waits`. */
struct place {
  int i;
  void *handle;
  struct waiter waiter;
};

static int call_at(void *handle, int64_t timeout_ns);

static struct place places[LENGTH(waits)];

static int call_at(void *handle, int64_t timeout_ns)
{
  for (int i = 0; i < LENGTH(places); i++)
    if (places[i].handle == handle)
      return with_gil(waits[i].wait, handle, timeout_ns);
  ck_abort_msg("no place for %p", handle);
}

static void wait_in_all_with_gil(int64_t timeout_ns)
{
  for (int i = 0; i < LENGTH(waits); i++) {
    places[i].handle = waits[i].make();
    waiter_start(&places[i].waiter, call_at, places[i].handle, timeout_ns);
  }
}

/* --- every wait
   ----------------------------------------------------------------------------------- */

/* This would be a deadlock: the thread that ends their wait needs the GIL. */
START_TEST(every_wait_releases_it_for_whoever_ends_the_wait)
{
  if (_i)
    hook_as_before_3_12();
  else
    hook(restore);
  wait_in_all_with_gil(-1);
  for (int i = 0; i < LENGTH(waits); i++)
    waiter_until_asleep(&places[i].waiter);
  take_gil();
  expect(saves, LENGTH(waits)); /* once a call, however often it sleeps */
  for (int i = 0; i < LENGTH(waits); i++) {
    expect(places[i].waiter.result, PENDING);
    expect(waits[i].let_on(places[i].handle), ILK_OK);
  }
  expect(restores, 0); /* no call returns before it has the GIL */
  drop_gil();
  for (int i = 0; i < LENGTH(waits); i++) {
    expect(waiter_end(&places[i].waiter), ILK_OK);
    expect(waits[i].free(places[i].handle), ILK_OK);
  }
  /* Those with a mutex make calls of their own. */
  must(saves >= LENGTH(waits) && restores == saves);
}
END_TEST

/* No thread waits any more. */
static void may_release(int i)
{
  if (!lets_a_wait_on(waits[i].let_on))
    waits[i].let_on(places[i].handle);
}

static void free_all(void)
{
  for (int i = 0; i < LENGTH(waits); i++) {
    may_release(i);
    if (waits[i].make == new_thread)
      expect(ilk_thread_join(places[i].handle), ILK_OK);
    else
      expect(waits[i].free(places[i].handle), ILK_OK);
  }
}

START_TEST(a_wait_whose_time_is_up_reacquires_it)
{
  hook(restore);
  wait_in_all_with_gil(20 * MS);
  for (int i = 0; i < LENGTH(waits); i++)
    expect(waiter_end(&places[i].waiter), ILK_ETIMEDOUT);
  expect_calls(LENGTH(waits));
  free_all();
}
END_TEST

START_TEST(a_canceled_wait_reacquires_it)
{
  hook(restore);
  wait_in_all_with_gil(-1);
  for (int i = 0; i < LENGTH(waits); i++)
    waiter_until_asleep(&places[i].waiter);
  expect(ilk_cancel(1), ILK_OK);
  for (int i = 0; i < LENGTH(waits); i++)
    expect(waiter_end(&places[i].waiter), ILK_ECANCELED);
  expect(ilk_cancel(0), ILK_OK);
  expect(restores, saves);
  free_all();
}
END_TEST

/* --- the end of a call: nothing of ours is left
   ------------------------------------------------------ */

static _Atomic int stuck;
static _Atomic bool may_go_on;

/* As PyEval_RestoreThread() once Python 3.14 has finalized: does not come back (until the test is
   over). */
static void restore_hangs(void *saved)
{
  stuck++;
  while (!may_go_on)
    nap(MS);
  restore(saved);
}

/* As before 3.14. */
static void restore_exits(void *saved)
{
  (void)saved;
  pthread_exit(NULL);
}

static void until_stuck(int n)
{
  while (stuck < n)
    nap(MS);
}

/* A time-out does not end that wait: its thread keeps its place, or its part in a round. */
static bool more_calls_come(int i)
{
  return waits[i].wait == call_condition_part || waits[i].wait == call_await ||
         waits[i].wait == call_mutex_part || waits[i].wait == call_read_part ||
         waits[i].wait == call_write_part;
}

START_TEST(a_thread_that_hangs_without_it_is_in_nobodys_way)
{
  hook(restore_hangs);
  wait_in_all_with_gil(20 * MS);
  until_stuck(LENGTH(waits));
  for (int i = 0; i < LENGTH(waits); i++) {
    if (waits[i].make == new_thread)
      continue;
    may_release(i);
    if (more_calls_come(i))
      continue;
    unhook(); /* for the waiter's last calls */
    expect(waits[i].free(places[i].handle), ILK_OK);
  }
  may_go_on = true;
  for (int i = 0; i < LENGTH(waits); i++)
    expect(waiter_end(&places[i].waiter), ILK_ETIMEDOUT);
  for (int i = 0; i < LENGTH(waits); i++) {
    if (waits[i].make == new_thread) {
      may_release(i);
      expect(ilk_thread_join(places[i].handle), ILK_OK);
    } else if (more_calls_come(i)) {
      expect(waits[i].free(places[i].handle), ILK_OK);
    }
  }
}
END_TEST

/* Its locks are a dead thread's; everything else is as if it had never existed. */
START_TEST(a_thread_that_ends_without_it_leaves_nothing)
{
  hook(restore_exits);
  wait_in_all_with_gil(-1);
  for (int i = 0; i < LENGTH(waits); i++)
    waiter_until_asleep(&places[i].waiter);
  for (int i = 0; i < LENGTH(waits); i++) {
    expect(places[i].waiter.result, PENDING);
    expect(waits[i].let_on(places[i].handle), ILK_OK);
    join(places[i].waiter.thread);
    expect(places[i].waiter.result, PENDING);
  }
  for (int i = 0; i < LENGTH(waits); i++) {
    void *handle = places[i].handle;
    if (waits[i].make == new_plain || waits[i].make == new_fair) {
      expect(ilk_mutex_lock(handle), ILK_OWNER_DIED);
      expect(ilk_mutex_unlock(handle), ILK_OK);
    } else if (waits[i].make == new_unowned) {
      expect(ilk_mutex_reset(handle), ILK_OK);
    } else if (waits[i].make == new_lockarray) {
      expect(ilk_lockarray_lock(handle, 3), ILK_OWNER_DIED);
      expect(ilk_lockarray_unlock(handle, 3), ILK_OK);
    } else if (waits[i].make == new_word) {
      expect(ilk_word_lock(handle, 0), ILK_OWNER_DIED);
      expect(ilk_word_unlock(handle, 0), ILK_OK);
    }
    if (waits[i].make == new_condition || waits[i].make == new_thread)
      continue; /* its mutex, and the call that ends a resumable wait, ended with the thread */
    expect(waits[i].free(handle), ILK_OK);
  }
}
END_TEST

/* Whatever a hook's thread does meanwhile, and other threads that hold the GIL: all calls go
   through. */
static void *object_of_hook;

static void restore_uses_the_library(void *saved)
{
  char text[64];
  expect(ilk_semaphore_free(object_of_hook), ILK_OK);
  must(ilk_report(text, sizeof text) > 0);
  void *m = made(ilk_mutex_new(0));
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  restore(saved);
}

START_TEST(hooks_may_use_the_library_and_even_free_the_object)
{
  hook(restore_uses_the_library);
  object_of_hook = new_semaphore();
  expect(with_gil(ilk_semaphore_timedacquire, object_of_hook, 10 * MS), ILK_ETIMEDOUT);
  expect_calls(1);
}
END_TEST

/* --- other ends of a wait
   -------------------------------------------------------------------------- */

static int lock_both(void *m, int64_t other)
{
  expect(ilk_mutex_lock(m), ILK_OK);
  while (!ilk_mutex_is_locked((void *)(uintptr_t)other)) {
    drop_gil();
    nap(MS);
    take_gil();
  }
  int result = ilk_mutex_lock((void *)(uintptr_t)other);
  if (result == ILK_OK)
    expect(ilk_mutex_unlock((void *)(uintptr_t)other), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  return result;
}

static int lock_both_with_gil(void *m, int64_t other)
{
  return with_gil(lock_both, m, other);
}

START_TEST(a_deadlock_cycle_is_reported_with_it)
{
  hook(restore);
  void *a = made(ilk_mutex_new(0)), *b = made(ilk_mutex_new(0));
  struct waiter w[2];
  waiter_start(&w[0], lock_both_with_gil, a, (int64_t)(uintptr_t)b);
  waiter_start(&w[1], lock_both_with_gil, b, (int64_t)(uintptr_t)a);
  int first = waiter_end(&w[0]), second = waiter_end(&w[1]);
  must(first == ILK_EDEADLK || second == ILK_EDEADLK);
  must(first == ILK_OK || second == ILK_OK);
  expect_calls(2);
  expect(ilk_mutex_free(a), ILK_OK);
  expect(ilk_mutex_free(b), ILK_OK);
}
END_TEST

static _Atomic bool may_die;

static int lock_and_die(void *m, int64_t unused)
{
  (void)unused;
  int result = ilk_mutex_lock(m);
  while (!may_die)
    nap(MS);
  return result;
}

static int lock_with_gil(void *m, int64_t timeout_ns)
{
  take_gil();
  int result = ilk_mutex_timedlock(m, timeout_ns);
  if (result >= 0)
    expect(ilk_mutex_unlock(m), ILK_OK);
  drop_gil();
  return result;
}

START_TEST(a_dead_owner_is_reported_with_it)
{
  hook(restore);
  void *m = made(ilk_mutex_new(0));
  struct waiter holder, w;
  waiter_start(&holder, lock_and_die, m, 0);
  while (ilk_mutex_is_locked(m) != 1)
    nap(MS);
  waiter_sleep(&w, lock_with_gil, m, -1);
  may_die = true;
  expect(waiter_end(&holder), ILK_OK);
  expect(waiter_end(&w), ILK_OWNER_DIED);
  expect_calls(1);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

static int sleep_with_gil(void *unused, int64_t ns)
{
  (void)unused;
  take_gil();
  int64_t before = now();
  int result = ilk_sleep(ns);
  must(now() - before >= ns);
  drop_gil();
  return result;
}

START_TEST(a_sleep_releases_it)
{
  hook(restore);
  struct waiter w;
  waiter_sleep(&w, sleep_with_gil, NULL, 200 * MS);
  take_gil();
  must(w.result == PENDING); /* it is held by us: the sleep cannot have returned */
  drop_gil();
  expect(waiter_end(&w), ILK_OK);
  expect_calls(1);
}
END_TEST

START_TEST(hooks_that_are_no_longer_installed_are_not_called)
{
  hook(restore);
  unhook();
  struct waiter w;
  waiter_sleep(&w, sleep_with_gil, NULL, MS);
  expect(waiter_end(&w), ILK_OK);
  expect_calls(0);
}
END_TEST

/* --- nothing where nothing is to be done
   -------------------------------------------------------------- */

START_TEST(a_call_that_does_not_sleep_calls_no_hook)
{
  hook(restore);
  take_gil();
  void *m = made(ilk_mutex_new(0)), *fair = made(ilk_mutex_new(ILK_FAIR)),
       *rw = made(ilk_rwlock_new(0));
  void *s = made(ilk_semaphore_new(1, 0)), *e = made(ilk_event_new(0)), *q = made(ilk_queue_new(1));
  void *l = made(ilk_latch_new(0)), *a = made(ilk_lockarray_new(4, 0)),
       *b = made(ilk_barrier_new(1));
  void *o = made(ilk_once_new(0)), *c = made(ilk_counter_new(1));
  int64_t item;
  for (int i = 0; i < 3; i++) {
    expect(ilk_mutex_lock(m), ILK_OK);
    expect(ilk_mutex_trylock(m), ILK_EBUSY);
    expect(ilk_mutex_lock(m), ILK_EDEADLK);
    expect(ilk_mutex_unlock(m), ILK_OK);
    expect(ilk_mutex_lock(fair), ILK_OK);
    expect(ilk_mutex_unlock(fair), ILK_OK);
    expect(ilk_rwlock_write_lock(rw), ILK_OK);
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
    expect(ilk_rwlock_read_lock(rw), ILK_OK);
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
    expect(ilk_semaphore_acquire(s), ILK_OK);
    expect(ilk_semaphore_timedacquire(s, 0), ILK_ETIMEDOUT);
    expect(ilk_semaphore_release(s, 1), ILK_OK);
    expect(ilk_event_timedwait(e, 0), ILK_ETIMEDOUT);
    expect(ilk_queue_put(q, i), ILK_OK);
    expect(ilk_queue_tryput(q, i), ILK_EBUSY);
    expect(ilk_queue_get(q, &item), ILK_OK);
    expect(ilk_queue_tryget(q, &item), ILK_EBUSY);
    expect(ilk_latch_wait(l), ILK_OK);
    expect(ilk_lockarray_lock_pair(a, 1, 2), ILK_OK);
    expect(ilk_lockarray_unlock_pair(a, 1, 2), ILK_OK);
    expect(ilk_barrier_wait(b), 0);
    expect(ilk_once_begin(o), i == 0);
    if (i == 0)
      expect(ilk_once_end(o, 1), ILK_OK);
    expect(ilk_counter_wait(c, 1), ILK_OK);
  }
  must(attached == &state);
  drop_gil();
  expect_calls(0);
  void *handles[] = {m, fair, rw, s, e, q, l, a, b, o, c};
  int (*frees[])(void *) = {ilk_mutex_free,   ilk_mutex_free, ilk_rwlock_free, ilk_semaphore_free,
                            ilk_event_free,   ilk_queue_free, ilk_latch_free,  ilk_lockarray_free,
                            ilk_barrier_free, ilk_once_free,  ilk_counter_free};
  for (int i = 0; i < LENGTH(handles); i++)
    expect(frees[i](handles[i]), ILK_OK);
}
END_TEST

/* Some other thread holds it: a worker's wait must not touch that. */
START_TEST(a_thread_without_it_calls_no_hook)
{
  if (_i)
    hook_as_before_3_12();
  else
    hook(restore);
  take_gil();
  wait_in_all(-1);
  end_all();
  expect_calls(0);
  must(attached == &state);
  drop_gil();
}
END_TEST

/* --- the hooks themselves
   ------------------------------------------------------------------------------ */

START_TEST(three_of_them_are_needed)
{
  void *c = CODE(current_of_thread), *s = CODE(save), *r = CODE(restore);
  expect(ilk_gil_hooks(NULL, NULL, s, r), ILK_EINVAL);
  expect(ilk_gil_hooks(c, NULL, NULL, r), ILK_EINVAL);
  expect(ilk_gil_hooks(c, NULL, s, NULL), ILK_EINVAL);
  expect(ilk_gil_hooks(NULL, CODE(own_state), NULL, NULL), ILK_EINVAL);
  expect(ilk_gil_hooks(NULL, NULL, NULL, NULL), ILK_OK);
  for (int i = 0; i < 1000; i++) /* one set however often, so no memory either */
    expect(ilk_gil_hooks(c, NULL, s, r), ILK_OK);
}
END_TEST

/* Its Python thread would run without the GIL otherwise. */
START_TEST(a_wait_reacquires_it_by_the_hooks_that_released_it)
{
  hook(restore);
  void *s = new_semaphore();
  struct waiter w;
  waiter_sleep(&w, lock_with_gil, NULL, 0); /* a call that fails: no sleep */
  expect(waiter_end(&w), ILK_EHANDLE);
  places[5].handle = s;
  must(waits[5].make == new_semaphore);
  waiter_sleep(&w, call_at, s, -1);
  if (_i)
    hook(restore_exits);
  else
    unhook();
  expect(ilk_semaphore_release(s, 1), ILK_OK);
  expect(waiter_end(&w), ILK_OK);
  expect_calls(1);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

static void cancellation_points(void)
{
  pthread_testcancel();
  nap(US);
}

static void *save_with_cancellation_points(void)
{
  cancellation_points();
  return save();
}

static void restore_with_cancellation_points(void *saved)
{
  cancellation_points();
  restore(saved);
}

static void *wait_with_a_cancel_pending(void *s)
{
  pthread_cancel(pthread_self());
  take_gil();
  int result = ilk_semaphore_timedacquire(s, 20 * MS);
  drop_gil();
  expect(result, ILK_ETIMEDOUT);
  saves += 100; /* it came this far */
  pthread_testcancel();
  ck_abort_msg("the cancel is gone");
}

START_TEST(hooks_are_no_cancellation_points)
{
  expect(ilk_gil_hooks(CODE(current_of_thread), NULL, CODE(save_with_cancellation_points),
                       CODE(restore_with_cancellation_points)),
         ILK_OK);
  void *s = new_semaphore();
  join(start(wait_with_a_cancel_pending, s));
  expect(saves, 101);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

/* --- a fork
   ------------------------------------------------------------------------------------------ */

/* The records of those that sleep are used again in the child, by threads that have released
   nothing. */
static void wait_anew(void *semaphore)
{
  int before = saves;
  struct waiter w[LENGTH(waits)];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_start(&w[i], ilk_semaphore_timedacquire, semaphore, MS);
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  must(saves == before && restores == 0);
  for (int i = 0; i < LENGTH(w); i++) {
    places[5].handle = semaphore;
    waiter_start(&w[i], call_at, semaphore, MS);
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  }
  expect(saves, before + LENGTH(w));
  expect(restores, LENGTH(w));
}

START_TEST(a_forks_child_has_released_nothing)
{
  hook(restore);
  void *s = new_semaphore();
  wait_in_all_with_gil(-1);
  for (int i = 0; i < LENGTH(waits); i++)
    waiter_until_asleep(&places[i].waiter);
  take_gil(); /* as os.fork() does: its thread holds the GIL */
  pid_t child = fork();
  must(child >= 0);
  drop_gil();
  if (child == 0) {
    alarm(10 * BUSY);
    wait_anew(s);
    _exit(0);
  }
  child_end(child);
  for (int i = 0; i < LENGTH(waits); i++) {
    expect(waits[i].let_on(places[i].handle), ILK_OK);
    expect(waiter_end(&places[i].waiter), ILK_OK);
    expect(waits[i].free(places[i].handle), ILK_OK);
  }
  expect(restores, saves);
  expect(ilk_semaphore_free(s), ILK_OK);
}
END_TEST

/* --- many of them
   -------------------------------------------------------------------------------------- */

static struct {
  void *mutex, *queue;
  int64_t end;
  int64_t sum;
} work;

/* Takes turns, with the GIL held or not, and changes what only the mutex guards. */
static void *worker(void *with)
{
  while (now() < work.end) {
    if (with)
      take_gil();
    expect(ilk_mutex_lock(work.mutex), ILK_OK);
    work.sum++;
    if (below(8) == 0)
      nap(10 * US); /* so that others sleep */
    expect(ilk_mutex_unlock(work.mutex), ILK_OK);
    expect(ilk_queue_put(work.queue, 1), ILK_OK);
    int64_t item;
    expect(ilk_queue_get(work.queue, &item), ILK_OK);
    if (with)
      drop_gil();
  }
  return NULL;
}

START_TEST(threads_with_and_without_it_take_turns)
{
  hook(restore);
  work.mutex = made(ilk_mutex_new(_i ? ILK_FAIR : 0));
  work.queue = made(ilk_queue_new(2));
  work.end = stress_end(700);
  pthread_t threads[6];
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(worker, i % 3 ? &work : NULL);
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  must(work.sum > 0 && saves > 0);
  expect(restores, saves);
  expect(ilk_mutex_free(work.mutex), ILK_OK);
  expect(ilk_queue_free(work.queue), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("gil");
  TCase *tcase = test_case(s, "gil", 20);
  tcase_add_loop_test(tcase, every_wait_releases_it_for_whoever_ends_the_wait, 0, 2);
  tcase_add_test(tcase, a_wait_whose_time_is_up_reacquires_it);
  tcase_add_test(tcase, a_thread_that_hangs_without_it_is_in_nobodys_way);
  tcase_add_test(tcase, hooks_may_use_the_library_and_even_free_the_object);
  tcase_add_test(tcase, a_deadlock_cycle_is_reported_with_it);
  tcase_add_test(tcase, a_dead_owner_is_reported_with_it);
  tcase_add_test(tcase, a_sleep_releases_it);
  tcase_add_test(tcase, hooks_that_are_no_longer_installed_are_not_called);
  tcase_add_test(tcase, a_call_that_does_not_sleep_calls_no_hook);
  tcase_add_loop_test(tcase, a_thread_without_it_calls_no_hook, 0, 2);
  tcase_add_test(tcase, three_of_them_are_needed);
  tcase_add_loop_test(tcase, a_wait_reacquires_it_by_the_hooks_that_released_it, 0, 2);
  tcase_add_test(tcase, hooks_are_no_cancellation_points);
  if (!TSAN) /* which is not made for threads in the child of a process with threads */
    tcase_add_test(tcase, a_forks_child_has_released_nothing);
  tcase_add_loop_test(tcase, threads_with_and_without_it_take_turns, 0, 2);

  /* These leave objects behind. */
  TCase *leaving = tcase_create("leaving");
  tcase_set_timeout(leaving, 20 * BUSY);
  tcase_add_test(leaving, a_canceled_wait_reacquires_it);
  tcase_add_test(leaving, a_thread_that_ends_without_it_leaves_nothing);
  suite_add_tcase(s, leaving);
  return run_suite(s);
}
