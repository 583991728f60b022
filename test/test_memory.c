/* memory.c, cells.c, thread_record.c: nothing is allocated or freed under a lock of the library, or
   within a pin, and no large memory is read under one; and allocations that fail. The program's
   allocator is this file's, so it sees what the C library allocates for us as well. */
#include "memory.h"

#ifndef _WIN32
#include <signal.h>
#include <sys/mman.h>
#endif

#include "handle.h"
#include "support.h"

/* Sanitizers have allocators of their own. */
#if defined(__GLIBC__) && !TSAN && !ASAN
#define OWN_ALLOCATOR 1
#else
#define OWN_ALLOCATOR 0
#endif

static _Thread_local bool is_watched;

#if OWN_ALLOCATOR

/* The next watched thread that allocates stops until a fork has begun. */
static _Atomic bool fork_follows;
static _Atomic int inside; /* 1: it stands there; 2: it may go on */
static _Thread_local bool is_main;
static _Atomic bool calloc_fails; /* but for the main thread */
static pthread_mutex_t allocator = PTHREAD_MUTEX_INITIALIZER;

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void begin(void)
{
#ifndef NDEBUG
  if (is_watched && !memory_may_be_used()) {
    static const char text[] = "memory is used under a lock or within a pin\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    abort();
  }
#endif
  if (is_watched && atomic_exchange(&fork_follows, false)) {
    inside = 1;
    while (inside == 1)
      sched_yield();
  }
  pthread_mutex_lock(&allocator);
}

static void *end(void *memory)
{
  pthread_mutex_unlock(&allocator);
  return memory;
}

void *malloc(size_t size)
{
  begin();
  return end(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
  if (calloc_fails && !is_main)
    return NULL;
  begin();
  return end(__libc_calloc(n, size));
}

void *realloc(void *memory, size_t size)
{
  begin();
  return end(__libc_realloc(memory, size));
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
  begin();
  *memory = end(__libc_memalign(alignment, size));
  return *memory ? 0 : ENOMEM;
}

void free(void *memory)
{
  if (!memory)
    return;
  begin();
  __libc_free(memory);
  end(NULL);
}

#endif

/* With so many keys before the library's own, the system allocates a new thread's place for it. */
__attribute__((constructor(101))) static void make_keys(void)
{
  pthread_key_t key;
  for (int i = 0; i < 40; i++)
    pthread_key_create(&key, NULL);
}

/* --- every kind, its first and its later calls, in a thread that is new
   ------------------------------- */

static void nothing(void *unused)
{
  (void)unused;
}

static void use_every_kind(void)
{
  void *mutex = ilk_mutex_new(0), *rwlock = ilk_rwlock_new(0), *condition = ilk_condition_new(0);
  void *semaphore = ilk_semaphore_new(1, 0), *event = ilk_event_new(0),
       *barrier = ilk_barrier_new(1);
  void *latch = ilk_latch_new(1), *once = ilk_once_new(0), *counter = ilk_counter_new(0);
  void *locks = ilk_lockarray_new(100000, 0), *few_locks = ilk_lockarray_new(3, 0),
       *queue = ilk_queue_new(4);
  int64_t item;
  expect(ilk_mutex_lock(mutex), ILK_OK);
  expect(ilk_condition_timedwait(condition, mutex, 1), ILK_ETIMEDOUT);
  expect(ilk_condition_notify_all(condition), ILK_OK);
  expect(ilk_mutex_unlock(mutex), ILK_OK);
  expect(ilk_rwlock_write_lock(rwlock), ILK_OK);
  expect(ilk_rwlock_downgrade(rwlock), ILK_OK);
  expect(ilk_rwlock_read_unlock(rwlock), ILK_OK);
  expect(ilk_semaphore_acquire(semaphore), ILK_OK);
  expect(ilk_semaphore_timedacquire(semaphore, 1), ILK_ETIMEDOUT);
  expect(ilk_event_timedwait(event, 1), ILK_ETIMEDOUT);
  expect(ilk_barrier_wait(barrier), 0);
  expect(ilk_latch_count_down(latch, 1), ILK_OK);
  expect(ilk_once_begin(once), 1);
  expect(ilk_once_end(once, 1), ILK_OK);
  expect(ilk_counter_timedwait(counter, 1, 1), ILK_ETIMEDOUT);
  expect(ilk_lockarray_lock_pair(locks, 1, 2), ILK_OK);
  expect(ilk_lockarray_free(locks), ILK_EBUSY);
  expect(ilk_lockarray_unlock_pair(locks, 1, 2), ILK_OK);
  expect(ilk_queue_put(queue, 1), ILK_OK);
  expect(ilk_queue_get(queue, &item), ILK_OK);

  void *slices = ilk_slices_new(100, NULL), *slice = ilk_slices_get(slices);
  must(slice && ilk_slices_get(slices) == slice);
  expect(ilk_slices_free(slices), ILK_OK);

  enum { MANY = 700 }; /* more than the near cells */
  void *tallies[MANY], *locals[MANY];
  for (int i = 0; i < MANY; i++) {
    must((tallies[i] = ilk_tally_new()) && (locals[i] = ilk_local_new()));
    expect(ilk_tally_add(tallies[i], 1), ILK_OK);
    expect(ilk_local_set(locals[i], &item), ILK_OK);
  }
  for (int i = 0; i < MANY; i++) {
    expect(ilk_tally_sum(tallies[i]), 1);
    must(ilk_local_get(locals[i]) == &item);
    expect(ilk_tally_free(tallies[i]), ILK_OK);
    expect(ilk_local_free(locals[i]), ILK_OK);
  }
  expect(ilk_thread_join(ilk_thread_start((void *)(uintptr_t)nothing, NULL)), ILK_OK);
  must(ilk_report(NULL, 0) > 0);

  expect(ilk_condition_free(condition), ILK_OK);
  expect(ilk_mutex_free(mutex), ILK_OK);
  expect(ilk_rwlock_free(rwlock), ILK_OK);
  expect(ilk_semaphore_free(semaphore), ILK_OK);
  expect(ilk_event_free(event), ILK_OK);
  expect(ilk_barrier_free(barrier), ILK_OK);
  expect(ilk_latch_free(latch), ILK_OK);
  expect(ilk_once_free(once), ILK_OK);
  expect(ilk_counter_free(counter), ILK_OK);
  expect(ilk_lockarray_free(locks), ILK_OK);
  expect(ilk_lockarray_free(few_locks), ILK_OK);
  expect(ilk_queue_free(queue), ILK_OK);
}

static void *watched(void *unused)
{
  is_watched = true;
  use_every_kind();
  is_watched = false;
  return unused;
}

START_TEST(memory_is_used_outside_of_locks_and_pins)
{
  in_threads(3, watched, NULL);
}
END_TEST

#ifndef _WIN32

#define LARGE (1 << 20)

static void *words;
static _Atomic bool is_read, made_meanwhile;

/* The free loads a word of the array, which cannot be read until another thread has made and freed
   an object. */
static void word_is_read(int unused)
{
  (void)unused;
  is_read = true;
  while (!made_meanwhile)
    nap(50 * US);
  must(mprotect(words, LARGE, PROT_READ | PROT_WRITE) == 0);
}

static void *make_meanwhile(void *unused)
{
  while (!is_read)
    nap(50 * US);
  expect(ilk_event_free(ilk_event_new(0)), ILK_OK);
  made_meanwhile = true;
  return unused;
}

/* The memory of a large array: the one address of a page in the array's part of the object. */
static void *words_of(void *array)
{
  const uintptr_t *object = (const uintptr_t *)handle_object(array);
  for (size_t i = sizeof(struct object) / sizeof *object; i < CACHE_LINE / sizeof *object; i++)
    if (object[i] && object[i] % (uintptr_t)sysconf(_SC_PAGESIZE) == 0)
      return (void *)object[i];
  ck_abort_msg("the array has no page");
}

START_TEST(a_free_read_a_large_array_with_the_table_of_handles_locked)
{
  void *array = ilk_lockarray_new(LARGE / sizeof(uint32_t) - 1, 0);
  must(array != NULL);
  words = words_of(array);
  must(ilk_thread_id() > 0); /* a free by a thread without a record blocks signals */
  struct sigaction action = {.sa_handler = word_is_read};
  must(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
  pthread_t thread = start(make_meanwhile, NULL);
  must(mprotect(words, LARGE, PROT_NONE) == 0);
  expect(ilk_lockarray_free(array), ILK_OK);
  must(made_meanwhile);
  join(thread);
}
END_TEST

#endif

#ifndef NDEBUG
START_TEST(the_check_knows_a_pin)
{
  void *counter = ilk_counter_new(0);
  struct thread *me = thread_self();
  for (enum pin pin = 0; pin < PINS; pin++) {
    must(memory_may_be_used());
    must(handle_enter(me, pin, counter, KIND_COUNTER));
    must(!memory_may_be_used());
    handle_leave(me, pin);
  }
  must(memory_may_be_used());
  expect(ilk_counter_free(counter), ILK_OK);
}
END_TEST
#endif

#if OWN_ALLOCATOR

/* --- a thread whose exit the system cannot tell us of
   ---------------------------------------------------- */

static void *held;
static _Atomic int go, finished;

static void hold_until_go(void *how)
{
  expect(ilk_mutex_lock(held), ILK_OK);
  while (!go)
    sched_yield();
  finished = 1;
  if (how)
    pthread_exit(NULL);
}

START_TEST(a_join_is_true_where_a_threads_exit_goes_unnoticed)
{
  held = ilk_mutex_new(0);
  is_main = true;
  calloc_fails = true;
  void *thread = ilk_thread_start((void *)(uintptr_t)hold_until_go, _i ? &held : NULL);
  must(thread != NULL);
  while (ilk_mutex_is_locked(held) != 1)
    sched_yield();
  calloc_fails = false; /* pthread_exit() loads a library */
  expect(ilk_thread_timedjoin(thread, 0), ILK_ETIMEDOUT);
  go = 1;
  expect(ilk_thread_join(thread), ILK_OK);
  expect(finished, 1);
  expect(ilk_mutex_lock(held), ILK_OWNER_DIED);
  expect(ilk_mutex_unlock(held), ILK_OK);
  expect(ilk_mutex_free(held), ILK_OK);
}
END_TEST

/* --- a fork while a thread is about to enter the allocator
   -------------------------------------------- */

static void prepare(void)
{
  pthread_mutex_lock(&allocator);
  inside = 2;
}

static void after(void)
{
  pthread_mutex_unlock(&allocator);
}

static void *tally;

static void *make_many(void *unused)
{
  ilk_thread_id();
  is_watched = true;
  for (int i = 0; i < 100; i++)
    must(ilk_tally_new() != NULL);
  return unused;
}

static void *add_first(void *unused)
{
  ilk_thread_id();
  is_watched = true;
  int result = ilk_tally_add(tally, 1);
  must(result == ILK_OK || result == ILK_EHANDLE);
  return unused;
}

static void *free_it(void *unused)
{
  while (!inside)
    sched_yield();
  expect(ilk_tally_free(tally), ILK_OK);
  return unused;
}

/* In a child, for the handlers stay. They run before the library's, which came first. */
static void fork_within(void *function)
{
  pthread_atfork(prepare, after, after);
  tally = ilk_tally_new();
  fork_follows = true;
  pthread_t thread = start((void *(*)(void *))(uintptr_t)function, NULL),
            freer = start(free_it, NULL);
  while (!inside)
    sched_yield();
  pid_t child = fork();
  if (child == 0)
    _exit(0);
  child_end(child);
  join(thread);
  join(freer);
}

START_TEST(a_fork_while_a_tally_is_made_comes_back)
{
  in_child(fork_within, (void *)(uintptr_t)make_many);
}
END_TEST

START_TEST(a_fork_while_a_thread_first_adds_to_a_tally_comes_back)
{
  in_child(fork_within, (void *)(uintptr_t)add_first);
}
END_TEST

#endif

int main(void)
{
  Suite *suite = suite_create("memory");
  TCase *calls = test_case(suite, "calls", 10);
  tcase_add_test(calls, memory_is_used_outside_of_locks_and_pins);
#ifndef _WIN32
  tcase_add_test(calls, a_free_read_a_large_array_with_the_table_of_handles_locked);
#endif
#ifndef NDEBUG
  tcase_add_test(calls, the_check_knows_a_pin);
#endif
#if OWN_ALLOCATOR
  tcase_add_loop_test(calls, a_join_is_true_where_a_threads_exit_goes_unnoticed, 0, 2);
  TCase *forks = tcase_create("forks"); /* what is live changes */
  tcase_set_timeout(forks, 10 * BUSY);
  suite_add_tcase(suite, forks);
  tcase_add_test(forks, a_fork_while_a_tally_is_made_comes_back);
  tcase_add_test(forks, a_fork_while_a_thread_first_adds_to_a_tally_comes_back);
#endif
  return run_suite(suite);
}
