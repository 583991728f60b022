/* guard.c: the program's own fork handlers call the library, although they were registered before
   the library's, and so run while the thread has all of its guards. And destructors of keys that are
   older than the library's. */
#include <sys/mman.h>

#include "cycle.c" /* in place of the library's object */
#include "rwlock_state.h"
#include "support.h"

static struct {
  bool on;
  /* Mutexes: held over the fork; by another thread for a moment; forever. */
  void *ours, *theirs, *lost[2];
  void *tally, *local, *semaphore, *condition;
  _Atomic bool is_held, wanted;
  void *_Atomic freed; /* by another thread at any moment */
  void (*first)(void); /* the child's first calls */
} h;

static void use_what_is_freed(void)
{
  void *event = h.freed;
  int results[] = {ilk_event_set(event), ilk_event_clear(event), ilk_event_timedwait(event, 0)};
  for (int i = 0; i < LENGTH(results); i++)
    must(results[i] == ILK_OK || results[i] == ILK_EHANDLE || results[i] == ILK_ETIMEDOUT);
}

/* A bit of everything that takes a guard. */
static void make_calls(void)
{
  void *counter = ilk_counter_new(1), *tally = ilk_tally_new(), *locks = ilk_lockarray_new(3, 0),
       *latch = ilk_latch_new(1);
  must(counter && tally && locks && latch);
  expect(ilk_tally_add(tally, 1), ILK_OK);
  expect(ilk_tally_add(h.tally, 1), ILK_OK);
  expect(ilk_local_set(h.local, &h), ILK_OK);
  expect(ilk_counter_timedwait(counter, 2, MS), ILK_ETIMEDOUT);
  expect(ilk_semaphore_timedacquire(h.semaphore, MS), ILK_ETIMEDOUT);
  expect(ilk_condition_notify_all(h.condition), ILK_OK);
  expect(ilk_latch_count_down(latch, 1), ILK_OK);
  expect(ilk_sleep(MS), ILK_OK);
  must(ilk_report(NULL, 0) > 0 && ilk_live() > 0);
  expect(ilk_counter_free(counter), ILK_OK);
  expect(ilk_tally_free(tally), ILK_OK);
  expect(ilk_lockarray_free(locks), ILK_OK);
  expect(ilk_latch_free(latch), ILK_OK);
}

static void prepare(void)
{
  if (h.freed)
    use_what_is_freed();
  if (!h.on)
    return;
  expect(ilk_mutex_lock(h.ours), ILK_OK);
  h.wanted = true; /* its holder then releases it, and must wake us */
  expect(ilk_mutex_lock(h.theirs), ILK_OK);
  expect(ilk_mutex_unlock(h.theirs), ILK_OK);
  make_calls();
}

static void in_parent(void)
{
  if (h.freed)
    use_what_is_freed();
  if (!h.on)
    return;
  make_calls();
  expect(ilk_mutex_unlock(h.ours), ILK_OK);
}

static void in_the_child(void)
{
  if (h.first)
    h.first();
  if (h.freed)
    use_what_is_freed();
  if (!h.on)
    return;
  expect(ilk_mutex_trylock(h.lost[0]), ILK_OWNER_DIED); /* the first call that needs to know */
  expect(ilk_mutex_unlock(h.lost[0]), ILK_OK);
  expect(ilk_mutex_lock(h.lost[1]), ILK_OWNER_DIED);
  expect(ilk_mutex_unlock(h.lost[1]), ILK_OK);
  make_calls();
  expect(ilk_mutex_unlock(h.ours), ILK_OK);
}

static pthread_key_t older; /* than the library's */

static void unlock_at_exit(void *mutex)
{
  expect(ilk_mutex_unlock(mutex), ILK_OK);
}

/* Before the library's, which is linked into this program. */
__attribute__((constructor(101))) static void install(void)
{
  pthread_atfork(prepare, in_parent, in_the_child);
  pthread_key_create(&older, unlock_at_exit);
}

static void *lock_and_exit(void *mutex)
{
  pthread_setspecific(older, mutex);
  expect(ilk_mutex_lock(mutex), ILK_OK);
  return NULL;
}

/* Its destructor runs before the library's, and on macOS when the thread's variables are lost. */
START_TEST(an_older_keys_destructor_finds_its_thread_the_owner)
{
  void *mutex = ilk_mutex_new(0);
  join(start(lock_and_exit, mutex));
  expect(ilk_mutex_trylock(mutex), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

static void *hold(void *unused)
{
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_lock(h.lost[i]), ILK_OK);
  expect(ilk_mutex_lock(h.theirs), ILK_OK);
  h.is_held = true;
  while (!h.wanted)
    sched_yield();
  nap(10 * MS); /* most often they sleep by now */
  expect(ilk_mutex_unlock(h.theirs), ILK_OK);
  while (h.wanted)
    nap(MS);
  for (int i = 0; i < 2; i++)
    expect(ilk_mutex_unlock(h.lost[i]), ILK_OK);
  return unused;
}

START_TEST(a_programs_handlers_may_call)
{
  void **mutexes[] = {&h.ours, &h.theirs, &h.lost[0], &h.lost[1]};
  for (int i = 0; i < 4; i++)
    must((*mutexes[i] = ilk_mutex_new(0)) != NULL);
  must((h.tally = ilk_tally_new()) && (h.local = ilk_local_new()) &&
       (h.semaphore = ilk_semaphore_new(0, 0)) && (h.condition = ilk_condition_new(0)));
  for (int i = 0; i < 3; i++) {
    h.is_held = h.wanted = false;
    pthread_t holder = start(hold, NULL);
    while (!h.is_held)
      sched_yield();
    h.on = true;
    pid_t child = fork();
    if (child == 0) {
      alarm(10 * BUSY);
      make_calls();
      expect(ilk_mutex_lock(h.ours), ILK_OK);
      _exit(0);
    }
    h.on = false;
    h.wanted = false;
    child_end(child);
    join(holder);
  }
  for (int i = 0; i < 4; i++)
    expect(ilk_mutex_free(*mutexes[i]), ILK_OK);
  expect(ilk_tally_free(h.tally), ILK_OK);
  expect(ilk_local_free(h.local), ILK_OK);
  expect(ilk_semaphore_free(h.semaphore), ILK_OK);
  expect(ilk_condition_free(h.condition), ILK_OK);
}
END_TEST

/* Another thread was inside when the process forked. The library's own handler, which removes its
   traces, runs after the program's. */
static struct {
  void *rwlock, *barrier, *semaphore, *counter, *event, *latch, *queue;
  uint32_t *shared_word;
} first;

static void wait_for_a_semaphore(void)
{
  expect(ilk_semaphore_timedacquire(first.semaphore, MS), ILK_ETIMEDOUT);
  expect(ilk_semaphore_free(first.semaphore), ILK_OK);
}

static void wait_for_a_counter(void)
{
  expect(ilk_counter_timedwait(first.counter, 1, MS), ILK_ETIMEDOUT);
  expect(ilk_counter_free(first.counter), ILK_OK);
}

static void wait_for_an_event(void)
{
  expect(ilk_event_timedwait(first.event, MS), ILK_ETIMEDOUT);
  expect(ilk_event_free(first.event), ILK_OK);
}

static void wait_for_a_latch(void)
{
  expect(ilk_latch_timedwait(first.latch, MS), ILK_ETIMEDOUT);
  expect(ilk_latch_free(first.latch), ILK_OK);
}

static void wait_for_a_queue(void)
{
  int64_t item;
  expect(ilk_queue_timedget(first.queue, &item, MS), ILK_ETIMEDOUT);
  expect(ilk_queue_free(first.queue), ILK_OK);
}

static void write_where_another_read(void)
{
  expect(ilk_rwlock_write_timedlock(first.rwlock, 3600 * SECOND), ILK_OK);
  expect(ilk_rwlock_write_unlock(first.rwlock), ILK_OK);
  expect(ilk_rwlock_free(first.rwlock), ILK_OK);
}

static void arrive_where_another_had(void)
{
  expect(ilk_barrier_timedwait(first.barrier, MS), ILK_ETIMEDOUT);
  expect(ilk_barrier_reset(first.barrier), ILK_OK);
  expect(ilk_barrier_free(first.barrier), ILK_OK);
}

static int shared_result; /* ILK_OK, or ILK_ENOTSUP */

static void lock_a_shared_word(void)
{
  expect(ilk_word_lock(first.shared_word, ILK_SHARED), shared_result);
}

static void (*const first_calls[])(void) = {
  wait_for_a_semaphore, wait_for_a_counter,       wait_for_an_event,        wait_for_a_latch,
  wait_for_a_queue,     write_where_another_read, arrive_where_another_had, lock_a_shared_word,
};

static void *inside(void *unused)
{
  expect(ilk_rwlock_read_lock(first.rwlock), ILK_OK);
  expect(ilk_barrier_wait(first.barrier), ILK_EBROKEN);
  expect(ilk_rwlock_read_unlock(first.rwlock), ILK_OK);
  return unused;
}

START_TEST(the_first_call_of_a_programs_handler_in_a_forks_child)
{
  must((first.rwlock = ilk_rwlock_new(0)) && (first.barrier = ilk_barrier_new(2)) &&
       (first.semaphore = ilk_semaphore_new(0, 0)) && (first.counter = ilk_counter_new(0)) &&
       (first.event = ilk_event_new(0)) && (first.latch = ilk_latch_new(1)) &&
       (first.queue = ilk_queue_new(1)));
  first.shared_word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(first.shared_word != MAP_FAILED);
  shared_result = ilk_word_wake(first.shared_word, 1, ILK_SHARED);
  pthread_t other = start(inside, NULL);
  while (ilk_barrier_waiting(first.barrier) == 0)
    sched_yield();
  h.first = first_calls[_i];
  pid_t child = fork();
  h.first = NULL;
  if (child == 0) {
    alarm(10 * BUSY);
    if (first_calls[_i] == lock_a_shared_word)
      expect(ilk_word_unlock(first.shared_word, ILK_SHARED), shared_result);
    _exit(0);
  }
  child_end(child);
  expect(ilk_barrier_abort(first.barrier), ILK_OK);
  join(other);
  munmap(first.shared_word, 4096);
  expect(ilk_rwlock_free(first.rwlock), ILK_OK);
  expect(ilk_barrier_free(first.barrier), ILK_OK);
  expect(ilk_semaphore_free(first.semaphore), ILK_OK);
  expect(ilk_counter_free(first.counter), ILK_OK);
  expect(ilk_event_free(first.event), ILK_OK);
  expect(ilk_latch_free(first.latch), ILK_OK);
  expect(ilk_queue_free(first.queue), ILK_OK);
}
END_TEST

static void *free_and_make(void *unused)
{
  (void)unused;
  while (h.wanted) {
    expect(ilk_event_free(h.freed), ILK_OK);
    h.freed = ilk_event_new(0);
  }
  return NULL;
}

/* The free needs the guards, which the thread that forks has. */
START_TEST(a_programs_handler_waited_for_a_free_that_waited_for_the_fork)
{
  h.freed = ilk_event_new(0);
  h.wanted = true;
  pthread_t thread = start(free_and_make, NULL);
  for (int64_t end = stress_end(400); now() < end;) {
    pid_t child = fork();
    if (child == 0) {
      alarm(10 * BUSY);
      _exit(0);
    }
    child_end(child);
  }
  h.wanted = false;
  join(thread);
  expect(ilk_event_free(h.freed), ILK_OK);
  h.freed = NULL;
}
END_TEST

/* Another thread searched for a deadlock cycle when the process forked. */
START_TEST(a_search_ended_with_its_thread)
{
  must(ilk_thread_id() > 0);
  store_relaxed(&searching, 1);
  pid_t child = fork();
  if (child == 0) {
    struct thread *other;
    must(cycle_find(thread_current, false, &other) == CYCLE_NONE);
    _exit(0);
  }
  child_end(child);
  store_relaxed(&searching, 0);
}
END_TEST

static void *free_rwlock(void *lock)
{
  expect(ilk_rwlock_free(lock), ILK_OK);
  return NULL;
}

/* A call is inside the object, so the free waits. The thread that frees does not exist in the
   child. */
START_TEST(a_free_that_waited_over_a_fork_is_undone)
{
  void *lock = ilk_rwlock_new(0);
  must(ilk_thread_id() > 0);
  struct object *object = handle_enter(thread_current, PIN_INNER, lock, KIND_RWLOCK);
  must(object != NULL);
  pthread_t freer = start(free_rwlock, lock);
  while (!(load_acquire(&object->head) & CLOSING))
    sched_yield();
  pid_t child = fork();
  if (child == 0) {
    handle_leave(thread_current, PIN_INNER);
    expect(ilk_rwlock_write_trylock(lock), ILK_OK);
    expect(ilk_rwlock_write_unlock(lock), ILK_OK);
    expect(ilk_rwlock_free(lock), ILK_OK);
    _exit(0);
  }
  child_end(child);
  handle_leave(thread_current, PIN_INNER);
  join(freer);
}
END_TEST

/* It is not known how far the free came, so the slot is not used again, here or in a child of the
   child. */
START_TEST(a_free_that_was_decided_before_a_fork_is_ended)
{
  int64_t live = ilk_live();
  void *lock = ilk_rwlock_new(0);
  must(ilk_thread_id() > 0);
  expect(handle_close(lock, KIND_RWLOCK), ILK_OK);
  pid_t child = fork();
  if (child == 0) {
    expect(ilk_live(), live);
    expect(ilk_rwlock_write_trylock(lock), ILK_EHANDLE);
    pid_t next = fork();
    if (next == 0) {
      expect(ilk_live(), live);
      _exit(0);
    }
    child_end(next);
    _exit(0);
  }
  child_end(child);
  handle_recycle(lock);
  expect(ilk_live(), live);
}
END_TEST

/* Its thread is within handle_publish(), between the two stores. */
START_TEST(an_object_that_was_being_made_is_none_in_the_child)
{
  int64_t live = ilk_live();
  void *event;
  struct object *object = handle_reserve(KIND_EVENT, &event);
  must(object != NULL);
  store_release(&object->head, head_of(event, 0));
  pid_t child = fork();
  if (child == 0) {
    expect(ilk_live(), live);
    expect(ilk_event_is_set(event), ILK_EHANDLE);
    expect(ilk_event_free(event), ILK_EHANDLE);
    expect(ilk_live(), live);
    _exit(0);
  }
  child_end(child);
  handle_publish(object, event, 0);
  expect(ilk_event_free(event), ILK_OK);
  expect(ilk_live(), live);
}
END_TEST

/* Its thread has taken WRITER, and has not stored its id yet. */
START_TEST(a_writer_without_an_id_is_dead_in_the_child)
{
  void *lock = ilk_rwlock_new(0);
  must(ilk_thread_id() > 0);
  or_relaxed(&handle_object(lock)->head, WRITER);
  pid_t child = fork();
  if (child == 0) {
    expect(ilk_rwlock_write_trylock(lock), ILK_OWNER_DIED);
    _exit(0);
  }
  child_end(child);
  and_relaxed(&handle_object(lock)->head, ~(uint64_t)WRITER);
  expect(ilk_rwlock_free(lock), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("fork_handlers");
  TCase *handlers = test_case(suite, "handlers", 20);
  tcase_add_test(handlers, a_programs_handlers_may_call);
  tcase_add_test(handlers, a_programs_handler_waited_for_a_free_that_waited_for_the_fork);
  tcase_add_loop_test(handlers, the_first_call_of_a_programs_handler_in_a_forks_child, 0,
                      LENGTH(first_calls));
  tcase_add_test(handlers, a_search_ended_with_its_thread);
  tcase_add_test(handlers, a_free_that_waited_over_a_fork_is_undone);
  tcase_add_test(handlers, a_free_that_was_decided_before_a_fork_is_ended);
  tcase_add_test(handlers, an_object_that_was_being_made_is_none_in_the_child);
  tcase_add_test(handlers, a_writer_without_an_id_is_dead_in_the_child);
  tcase_add_test(handlers, an_older_keys_destructor_finds_its_thread_the_owner);
  return run_suite(suite);
}
