/* handle.c: any value where a handle is expected, and frees at any moment. */
#include "stop.h"

#include <dlfcn.h>
#include <sys/resource.h>

/* --- every function that takes a handle, in one shape ------------------------------------- */

#define INT_CALL(name, expression)                                                                 \
  static int name(void *h)                                                                         \
  {                                                                                                \
    return (expression);                                                                           \
  }
/* A call that returns a value: its code, or ILK_OK. */
#define VALUE_CALL(name, expression)                                                               \
  static int name(void *h)                                                                         \
  {                                                                                                \
    return (expression) == ILK_NO_VALUE ? ilk_last_error() : ILK_OK;                               \
  }

INT_CALL(mutex_timedlock, ilk_mutex_timedlock(h, 1000))
INT_CALL(mutex_tick, ilk_mutex_timedlock(h, 0))
INT_CALL(semaphore_timedacquire, ilk_semaphore_timedacquire(h, 1000))
INT_CALL(semaphore_release, ilk_semaphore_release(h, 1))
INT_CALL(semaphore_release_none, ilk_semaphore_release(h, 0))
INT_CALL(semaphore_release_many,
         ilk_semaphore_release(h, INT64_MAX) == ILK_EOVERFLOW ? ILK_OK : ilk_last_error())
VALUE_CALL(semaphore_value, ilk_semaphore_value(h))
VALUE_CALL(counter_load, ilk_counter_load(h))
INT_CALL(counter_store, ilk_counter_store(h, 11))
VALUE_CALL(counter_exchange, ilk_counter_exchange(h, 12))
VALUE_CALL(counter_fetch_add, ilk_counter_fetch_add(h, 1))
VALUE_CALL(counter_compare_exchange, ilk_counter_compare_exchange(h, 13, 14))
INT_CALL(counter_wait, ilk_counter_wait(h, INT64_MIN))
INT_CALL(counter_timedwait, ilk_counter_timedwait(h, INT64_MAX, 1000))

enum kind { MUTEX, SEMAPHORE, COUNTER, KINDS };

static const struct {
  enum kind kind;
  int (*call)(void *);
} calls[] = {
  {MUTEX, ilk_mutex_lock},
  {MUTEX, ilk_mutex_trylock},
  {MUTEX, mutex_timedlock},
  {MUTEX, mutex_tick},
  {MUTEX, ilk_mutex_unlock},
  {MUTEX, ilk_mutex_is_locked},
  {MUTEX, ilk_mutex_reset},
  {MUTEX, ilk_mutex_free},
  {SEMAPHORE, ilk_semaphore_acquire},
  {SEMAPHORE, ilk_semaphore_tryacquire},
  {SEMAPHORE, semaphore_timedacquire},
  {SEMAPHORE, semaphore_release},
  {SEMAPHORE, semaphore_release_none},
  {SEMAPHORE, semaphore_release_many},
  {SEMAPHORE, semaphore_value},
  {SEMAPHORE, ilk_semaphore_free},
  {COUNTER, counter_load},
  {COUNTER, counter_store},
  {COUNTER, counter_exchange},
  {COUNTER, counter_fetch_add},
  {COUNTER, counter_compare_exchange},
  {COUNTER, counter_wait},
  {COUNTER, counter_timedwait},
  {COUNTER, ilk_counter_free},
};

static void *make(enum kind kind)
{
  void *h = kind == MUTEX       ? ilk_mutex_new(0)
            : kind == SEMAPHORE ? ilk_semaphore_new(3, 9)
                                : ilk_counter_new(7);
  must(h != NULL);
  return h;
}

static int destroy(enum kind kind, void *h)
{
  return kind == MUTEX       ? ilk_mutex_free(h)
         : kind == SEMAPHORE ? ilk_semaphore_free(h)
                             : ilk_counter_free(h);
}

/* Still as make() made it. */
static void check_untouched(enum kind kind, void *h)
{
  if (kind == MUTEX)
    expect(ilk_mutex_is_locked(h), 0);
  else if (kind == SEMAPHORE)
    expect(ilk_semaphore_value(h), 3);
  else
    expect(ilk_counter_load(h), 7);
}

/* --- wild values ------------------------------------------------------------------------- */

enum { LIVE = 30 };
static void *live[LIVE];

static void make_live(void)
{
  for (int i = 0; i < LIVE; i++)
    live[i] = make((enum kind)(i % KINDS));
}

static void free_live(void)
{
  for (int i = 0; i < LIVE; i++) {
    check_untouched((enum kind)(i % KINDS), live[i]);
    expect(destroy((enum kind)(i % KINDS), live[i]), ILK_OK);
  }
}

static bool is_live(void *value)
{
  for (int i = 0; i < LIVE; i++)
    if (live[i] == value)
      return true;
  return false;
}

/* Every function refuses it; of a live handle, those of the other kinds. */
static void check_refused(void *value, int but_kind)
{
  for (int i = 0; i < LENGTH(calls); i++) {
    if ((int)calls[i].kind == but_kind)
      continue;
    int result = calls[i].call(value);
    if (result != ILK_EHANDLE)
      ck_abort_msg("call %d with %p answers %d, not ILK_EHANDLE", i, value, result);
    expect(ilk_last_error(), ILK_EHANDLE);
  }
}

START_TEST(a_million_random_values)
{
  make_live();
  for (int i = 0; i < (JITTERED ? 100000 : 1000000); i++) {
    uint64_t r = chance() ^ chance() << 17;
    /* All bits random; or a live handle's, some of them changed. */
    uintptr_t value = (uintptr_t)r;
    if (i % 4 == 1)
      value = (uintptr_t)live[below(LIVE)] ^ (value & (uintptr_t)chance() & (uintptr_t)chance());
    else if (i % 4 == 2)
      value = (uintptr_t)live[below(LIVE)] + (uintptr_t)below(1 << 20) - (1 << 19);
    if (!is_live((void *)value)) {
      int call = (int)below(LENGTH(calls)), result = calls[call].call((void *)value);
      if (result != ILK_EHANDLE)
        ck_abort_msg("call %d with %p answers %d, not ILK_EHANDLE", call, (void *)value, result);
    }
  }
  free_live();
}
END_TEST

START_TEST(near_misses)
{
  static int variable;
  void *allocated = malloc(100);
  make_live();
  for (int i = 0; i < (JITTERED ? KINDS : LIVE); i++)
    for (unsigned a = 0; a < sizeof(void *) * 8; a++)
      for (unsigned b = a; b < sizeof(void *) * 8; b++) {
        void *value =
          (void *)((uintptr_t)live[i] ^ (uintptr_t)1 << a ^ (a == b ? 0 : (uintptr_t)1 << b));
        if (!is_live(value))
          check_refused(value, -1);
      }
  for (uintptr_t i = 0; i < 5000; i++) {
    check_refused((void *)i, -1);
    check_refused((void *)(UINTPTR_MAX - i), -1);
    check_refused((void *)(i << (sizeof(void *) * 4)), -1);
    check_refused((void *)(UINTPTR_MAX / 2 - i), -1);
  }
  void *pointers[] = {&variable,
                      allocated,
                      &pointers,
                      (void *)(uintptr_t)ilk_mutex_new,
                      stdout,
                      ilk_backend(),
                      (void *)(uintptr_t)pthread_create};
  for (int i = 0; i < LENGTH(pointers); i++)
    check_refused(pointers[i], -1);
  free_live();
  free(allocated);
}
END_TEST

START_TEST(other_kinds)
{
  make_live();
  for (int i = 0; i < LIVE; i++)
    check_refused(live[i], i % KINDS);
  free_live();
}
END_TEST

START_TEST(freed_handles)
{
  enum { N = 300 };
  void *freed[N];
  for (int i = 0; i < N; i++) {
    freed[i] = make((enum kind)(i % KINDS));
    expect(destroy((enum kind)(i % KINDS), freed[i]), ILK_OK);
    check_refused(freed[i], -1);
  }
  make_live(); /* in slots of some of them */
  for (int i = 0; i < N; i++) {
    must(!is_live(freed[i]));
    check_refused(freed[i], -1);
  }
  free_live();
}
END_TEST

/* More than fit where the table begins; all different, none in another's way. */
START_TEST(five_thousand_at_once)
{
  enum { N = 5000 };
  static void *handles[N];
  for (int round = 0; round < 2; round++) {
    int64_t before = ilk_live();
    for (int i = 0; i < N; i++) {
      handles[i] = ilk_counter_new(i * INT64_C(1000003));
      must(handles[i] != NULL);
    }
    expect(ilk_live(), before + N);
    for (int i = 0; i < N; i++)
      expect(ilk_counter_fetch_add(handles[i], i), i * INT64_C(1000003));
    for (int i = 0; i < N; i++)
      expect(ilk_counter_load(handles[i]), i * INT64_C(1000004));
    for (int i = 0; i < N; i++)
      expect(ilk_counter_free(handles[i]), ILK_OK);
  }
}
END_TEST

static uint32_t slot_of(void *handle)
{
  return (uint32_t)(uintptr_t)handle;
}

/* The slots of freed objects are reused: many objects, a few at a time, need few slots. */
START_TEST(slots_are_reused_soon)
{
  if (sizeof(void *) < 8) /* see handle_index() */
    return;
  enum { N = 5000, SLOTS = 1024 };
  for (int i = 0; i < N; i++) {
    void *handle = make((enum kind)(i % KINDS));
    must(handle != NULL);
    must(slot_of(handle) < SLOTS);
    expect(destroy((enum kind)(i % KINDS), handle), ILK_OK);
  }
}
END_TEST

/* --- frees under fire ------------------------------------------------------------------------ */

static struct {
  void *_Atomic target;
  _Atomic bool over;
  _Atomic int64_t freed;
} fire;

/* Frees it under fire; after many refusals the fire goes to one that is freed already,
   lest some gunner be always in it. */
static void free_target(enum kind kind, void *freed_before)
{
  void *h = fire.target;
  int result;
  for (int tries = 0; (result = destroy(kind, h)) == ILK_EBUSY; tries++) {
    if (tries == 20)
      fire.target = freed_before;
    jitter();
  }
  expect(result, ILK_OK);
  expect(destroy(kind, h), ILK_EHANDLE);
  fire.target = h;
}

/* The calls change only the target. An acquired lock is released. */
static void fire_at(void *h)
{
  int i = (int)below(LENGTH(calls) + 4);
  if (i >= LENGTH(calls)) {
    int result = i % 2 ? ilk_mutex_timedlock(h, 200 * US) : ilk_mutex_trylock(h);
    if (result >= 0) {
      jitter();
      expect(ilk_mutex_unlock(h), ILK_OK); /* a held object is not freed */
    }
    return;
  }
  if (calls[i].call == ilk_mutex_free || calls[i].call == ilk_semaphore_free ||
      calls[i].call == ilk_counter_free || calls[i].call == ilk_mutex_lock ||
      calls[i].call == ilk_semaphore_acquire || calls[i].call == ilk_mutex_reset)
    return;
  int result = calls[i].call(h);
  if (result >= 0 && calls[i].kind == MUTEX && calls[i].call != ilk_mutex_is_locked &&
      calls[i].call != ilk_mutex_unlock)
    expect(ilk_mutex_unlock(h), ILK_OK);
  if (result < 0 && result != ILK_EHANDLE && result != ILK_EBUSY && result != ILK_ETIMEDOUT &&
      result != ILK_EPERM && result != ILK_EOVERFLOW)
    ck_abort_msg("call %d answers %d", i, result);
}

static void *fire_all_the_time(void *unused)
{
  (void)unused;
  while (!fire.over)
    fire_at(fire.target);
  return NULL;
}

/* Objects that no other thread uses, in slots that were the targets': nothing happens to them. */
static void *recycle(void *unused)
{
  (void)unused;
  while (!fire.over) {
    void *private[6];
    for (int i = 0; i < 6; i++)
    private[i] = make((enum kind)(i % KINDS));
    expect(ilk_mutex_lock(private[3]), ILK_OK);
    jitter();
    for (int i = 0; i < 6; i++) {
      if (i == 3) {
        expect(ilk_mutex_is_locked(private[i]), 1);
        expect(ilk_mutex_unlock(private[i]), ILK_OK);
      }
      check_untouched((enum kind)(i % KINDS), private[i]);
      expect(destroy((enum kind)(i % KINDS), private[i]), ILK_OK);
    }
  }
  return NULL;
}

START_TEST(freed_under_fire)
{
  void *neighbours[] = {make(MUTEX), make(SEMAPHORE), make(COUNTER)};
  enum { GUNNERS = 4 };
  pthread_t gunners[GUNNERS], recycler = start(recycle, NULL);
  enum kind kind = (enum kind)_i;
  void *freed_before = NULL;
  fire.target = make(kind);
  for (int i = 0; i < GUNNERS; i++)
    gunners[i] = start(fire_all_the_time, NULL);
  for (int64_t end = stress_end(250); now() < end;) {
    free_target(kind, freed_before);
    freed_before = fire.target;
    for (int64_t i = below(40); i > 0; i--) /* they continue with the freed one */
      jitter();
    kind = (enum kind)below(KINDS);
    fire.target = make(kind);
    for (int64_t i = below(40); i > 0; i--)
      jitter();
    for (int i = 0; i < LENGTH(neighbours); i++)
      check_untouched((enum kind)i, neighbours[i]);
  }
  fire.over = true;
  for (int i = 0; i < GUNNERS; i++)
    join(gunners[i]);
  join(recycler);
  expect(destroy(kind, fire.target), ILK_OK);
  for (int i = 0; i < LENGTH(neighbours); i++) {
    check_untouched((enum kind)i, neighbours[i]);
    expect(destroy((enum kind)i, neighbours[i]), ILK_OK);
  }
}
END_TEST

/* Waiters asleep, or on their way, keep an object from being freed; and they are woken. */
static void *lock_or_find_it_gone(void *unused)
{
  (void)unused;
  while (!fire.over) {
    void *h = fire.target;
    int result = ilk_mutex_lock(h);
    must(result == ILK_OK || result == ILK_EHANDLE);
    if (result == ILK_OK) {
      jitter();
      expect(ilk_mutex_unlock(h), ILK_OK);
    }
    result = ilk_semaphore_acquire(h);
    must(result == ILK_OK || result == ILK_EHANDLE);
    if (result == ILK_OK) { /* which does not keep it from being freed */
      jitter();
      result = ilk_semaphore_release(h, 1);
      must(result == ILK_OK || result == ILK_EHANDLE);
    }
  }
  return NULL;
}

static const int all_flags[] = {
  0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE, ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR,
};

START_TEST(freed_while_waited_for)
{
  pthread_t threads[3];
  fire.target = NULL;
  for (int i = 0; i < 3; i++)
    threads[i] = start(lock_or_find_it_gone, NULL);
  for (int64_t end = stress_end(100); now() < end;) {
    enum kind kind = below(3) ? MUTEX : SEMAPHORE;
    fire.target = kind == MUTEX ? ilk_mutex_new(all_flags[_i]) : ilk_semaphore_new(1, 1);
    for (int64_t i = below(40); i > 0; i--)
      jitter();
    free_target(kind, NULL);
  }
  fire.over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
}
END_TEST

/* Of several frees at once, one does it. */
static void *free_each(void *unused)
{
  (void)unused;
  while (!fire.over) {
    int result = ilk_counter_free(fire.target);
    if (result == ILK_OK)
      fire.freed++;
    else
      expect(result, ILK_EHANDLE);
  }
  return NULL;
}

START_TEST(freed_once)
{
  pthread_t threads[3];
  int64_t before = ilk_live(), made = 0;
  fire.target = NULL;
  for (int i = 0; i < 3; i++)
    threads[i] = start(free_each, NULL);
  for (int64_t end = stress_end(60); now() < end;) {
    made++;
    fire.target = make(COUNTER);
    while (fire.freed < made)
      sched_yield();
    expect(fire.freed, made);
  }
  fire.over = true;
  for (int i = 0; i < 3; i++)
    join(threads[i]);
  expect(fire.freed, made);
  expect(ilk_live(), before);
}
END_TEST

static void *_Atomic stop_mutex;

static void *ask_until_over(void *unused)
{
  (void)unused;
  while (!stop_over) {
    ilk_mutex_depth(stop_mutex); /* it pins */
    stop_laps++;
  }
  return NULL;
}

static int free_mutex(void *m, int64_t unused)
{
  (void)unused;
  return ilk_mutex_free(m);
}

/* A free waits for a thread that is stopped inside. No other thread waits with it: neither a new
   one, nor a try or another call with that handle. */
START_TEST(all_waited_for_a_free_that_waited)
{
  stop_mutex = ilk_mutex_new(0);
  pthread_t thread = stop_start(ask_until_over, NULL);
  for (int i = 0; i < 100; i++) {
    void *m = stop_mutex;
    struct waiter freeing;
    stop_thread(thread);
    waiter_start(&freeing, free_mutex, m, 0);
    while (!freeing.tid)
      sched_yield();
    spin(below(50000)); /* by now it may wait */
    void *another = ilk_mutex_new(0);
    must(another);
    expect(ilk_mutex_free(another), ILK_OK);
    int result = ilk_mutex_trylock(m);
    must(result == ILK_OK || result == ILK_EBUSY || result == ILK_EHANDLE);
    if (result == ILK_OK)
      expect(ilk_mutex_unlock(m), ILK_OK);
    result = ilk_mutex_lock(m);
    must(result == ILK_OK || result == ILK_EHANDLE);
    if (result == ILK_OK)
      expect(ilk_mutex_unlock(m), ILK_OK);
    stop_let_go();
    int freed = waiter_end(&freeing); /* EBUSY: it came while the mutex was locked */
    must(freed == ILK_OK || freed == ILK_EBUSY);
    if (freed == ILK_EBUSY)
      expect(ilk_mutex_free(m), ILK_OK);
    stop_mutex = ilk_mutex_new(0);
  }
  stop_end(thread);
  expect(ilk_mutex_free(stop_mutex), ILK_OK);
}
END_TEST

/* A handle with one bit wrong stays wrong while its object is being freed. */
static void *fire_at_a_near_miss(void *argument)
{
  uintptr_t bit = *(uintptr_t *)argument;
  while (!fire.over) {
    void *h = (void *)((uintptr_t)fire.target ^ bit);
    for (int i = 0; i < LENGTH(calls); i++) {
      int result = calls[i].call(h);
      if (result != ILK_EHANDLE)
        ck_abort_msg("call %d with %p answers %d, not ILK_EHANDLE", i, h, result);
    }
  }
  return NULL;
}

/* All but the bits of the index and of the generation: those name another object. */
#define NAMING_BITS (sizeof(void *) == 8 ? 57 : 18)
#define OTHER_BITS (sizeof(void *) == 8 ? 7 : 4)

START_TEST(near_misses_while_freed)
{
  uintptr_t bit = (uintptr_t)1 << (NAMING_BITS + _i);
  void *first = make(MUTEX);
  fire.target = first;
  pthread_t thread = start(fire_at_a_near_miss, &bit);
  for (int64_t end = stress_end(15); now() < end;) {
    enum kind kind = (enum kind)below(KINDS);
    void *h = make(kind);
    fire.target = h;
    spin(below(1000));
    expect(destroy(kind, h), ILK_OK);
  }
  fire.over = true;
  join(thread);
  expect(destroy(MUTEX, first), ILK_OK);
}
END_TEST

/* --- two copies
   -------------------------------------------------------------------------------- */

/* The file of the library, or false: it is linked into the test. */
static bool library_file(char *path, size_t size)
{
  Dl_info info;
  if (!dladdr((void *)(uintptr_t)ilk_mutex_new, &info) || !strstr(info.dli_fname, ".so"))
    return false;
  snprintf(path, size, "%s", info.dli_fname);
  return true;
}

static void copy_file(const char *from, int to)
{
  char buffer[65536];
  FILE *file = fopen(from, "rb");
  must(file != NULL);
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;)
    must(write(to, buffer, n) == (ssize_t)n);
  fclose(file);
}

START_TEST(handles_of_another_copy_of_the_library_are_none)
{
  char path[4096], copy[] = "/tmp/libinterlock-XXXXXX";
  if (!library_file(path, sizeof path))
    return;
  int file = mkstemp(copy);
  must(file >= 0);
  copy_file(path, file);
  close(file);
  void *other = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
  unlink(copy);
  must(other != NULL);
  void *(*other_new)(int) = (void *(*)(int))(uintptr_t)dlsym(other, "ilk_mutex_new");
  int (*other_lock)(void *) = (int (*)(void *))(uintptr_t)dlsym(other, "ilk_mutex_lock");
  int (*other_free)(void *) = (int (*)(void *))(uintptr_t)dlsym(other, "ilk_mutex_free");
  must(other_new != ilk_mutex_new);
  void *ours[8], *theirs[8];
  for (int i = 0; i < 8; i++)
    must((ours[i] = ilk_mutex_new(0)) && (theirs[i] = other_new(0)));
  int taken = 0; /* on 32-bit systems one may be, by chance */
  for (int i = 0; i < 8; i++)
    taken += (ilk_mutex_lock(theirs[i]) != ILK_EHANDLE) + (other_lock(ours[i]) != ILK_EHANDLE);
  must(taken == 0 || (sizeof(void *) == 4 && taken < 16));
  for (int i = 0; i < 8; i++) {
    expect(ilk_mutex_free(ours[i]),
           taken && ilk_mutex_is_locked(ours[i]) == 1 ? ILK_EBUSY : ILK_OK);
    other_free(theirs[i]);
  }
}
END_TEST

/* --- no memory
   --------------------------------------------------------------------------------- */

static void limit_memory(void)
{
  must(setrlimit(RLIMIT_DATA, &(struct rlimit){0, 0}) == 0);
}

static int64_t address_space(void)
{
  long pages;
  FILE *file = fopen("/proc/self/statm", "r");
  must(file && fscanf(file, "%ld", &pages) == 1);
  fclose(file);
  return pages * (int64_t)sysconf(_SC_PAGESIZE);
}

/* A limit of address space (ulimit -v) is the program's, which we leave nearly all of it; and what
   we then need comes within it. */
START_TEST(many_handles_within_little_address_space)
{
  if (TSAN || ASAN)
    return;
  enum { N = 100000 };
  static void *handles[N];
  int64_t before = address_space();
  must(before < 512 << 20);
  struct rlimit limit = {(rlim_t)(before + (16 << 20)), RLIM_INFINITY};
  must(setrlimit(RLIMIT_AS, &limit) == 0);
  for (int i = 0; i < N; i++)
    must((handles[i] = ilk_counter_new(i)) != NULL);
  for (int i = 0; i < N; i++) {
    expect(ilk_counter_load(handles[i]), i);
    expect(ilk_counter_free(handles[i]), ILK_OK);
  }
}
END_TEST

START_TEST(no_memory_for_a_handle)
{
  if (TSAN || ASAN)
    return; /* they need memory themselves */
  enum { N = 100000 };
  static void *handles[N];
  int n = 1;
  handles[0] = ilk_counter_new(0);
  limit_memory();
  while (n < N && (handles[n] = ilk_counter_new(n)) != NULL)
    n++;
  must(n < N);
  expect(ilk_last_error(), ILK_ENOMEM);
  expect_null(ilk_mutex_new(0), ILK_ENOMEM);
  expect_null(ilk_semaphore_new(0, 0), ILK_ENOMEM);
  for (int i = 0; i < n; i++) {
    expect(ilk_counter_load(handles[i]), i);
    expect(ilk_counter_free(handles[i]), ILK_OK);
  }
  handles[0] = make(MUTEX);
  expect(ilk_mutex_free(handles[0]), ILK_OK);
}
END_TEST

/* A thread's first call, when there is no memory for its record. */
static void *targets[KINDS];
static pthread_barrier_t memory_is_out;

static void *first_call(void *argument)
{
  int i = *(int *)argument;
  pthread_barrier_wait(&memory_is_out);
  int (*call)(void *) = calls[i].call;
  int result = call(targets[calls[i].kind]);
  bool needs_no_record =
    call == ilk_mutex_is_locked || call == semaphore_value || call == ilk_mutex_free ||
    call == ilk_semaphore_free || call == ilk_counter_free || calls[i].kind == SEMAPHORE ||
    (calls[i].kind == COUNTER && call != counter_wait && call != counter_timedwait);
  if (result != ILK_ENOMEM && !(needs_no_record && (result >= 0 || result == ILK_EHANDLE)))
    ck_abort_msg("call %d answers %d, not ILK_ENOMEM", i, result);
  if (i == 0) {
    expect_no_value(ilk_thread_id(), ILK_ENOMEM);
    expect(ilk_sleep(1), ILK_ENOMEM);
  }
  return NULL;
}

START_TEST(no_memory_for_a_thread)
{
  if (TSAN || ASAN)
    return;
  pthread_t threads[LENGTH(calls)];
  int numbers[LENGTH(calls)];
  void *volatile taken; /* volatile: else a compiler may drop an unused value */
  for (int i = 0; i < KINDS; i++)
    targets[i] = make((enum kind)i);
  pthread_barrier_init(&memory_is_out, NULL, LENGTH(calls) + 1);
  for (int i = 0; i < LENGTH(calls); i++) {
    numbers[i] = i;
    threads[i] = start(first_call, &numbers[i]);
  }
  limit_memory();
  for (size_t size = 1 << 20; size >= 16; size /= 2)
    while ((taken = malloc(size)) != NULL)
      ;
  pthread_barrier_wait(&memory_is_out);
  for (int i = 0; i < LENGTH(calls); i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < KINDS; i++)
    destroy((enum kind)i, targets[i]); /* or freed by its thread */
}
END_TEST

/* In a thread that has locked nothing yet, and in one that has. */
START_TEST(null_is_no_handle)
{
  void *mutex = ilk_mutex_new(0);
  for (int i = 0; i < 2; i++) {
    must(ilk_thread_id() > 0);
    expect(ilk_mutex_lock(NULL), ILK_EHANDLE);
    expect(ilk_mutex_trylock(NULL), ILK_EHANDLE);
    expect(ilk_mutex_unlock(NULL), ILK_EHANDLE);
    expect(ilk_mutex_is_locked(NULL), ILK_EHANDLE);
    expect(ilk_rwlock_read_lock(NULL), ILK_EHANDLE);
    expect(ilk_rwlock_read_unlock(NULL), ILK_EHANDLE);
    expect(ilk_semaphore_release(NULL, 1), ILK_EHANDLE);
    expect(ilk_event_set(NULL), ILK_EHANDLE);
    expect(ilk_tally_add(NULL, 1), ILK_EHANDLE);
    expect(ilk_mutex_free(NULL), ILK_EHANDLE);
    expect(ilk_mutex_lock(mutex), ILK_OK);
    expect(ilk_mutex_unlock(mutex), ILK_OK);
  }
  expect(ilk_mutex_free(mutex), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("handle");
  TCase *values = test_case(s, "values", 20);
  tcase_add_test(values, null_is_no_handle);
  tcase_add_test(values, a_million_random_values);
  tcase_add_test(values, near_misses);
  tcase_add_test(values, other_kinds);
  tcase_add_test(values, freed_handles);
  tcase_add_test(values, five_thousand_at_once);
  tcase_add_test(values, slots_are_reused_soon);

  TCase *frees = test_case(s, "frees", 20);
  tcase_add_loop_test(frees, freed_under_fire, 0, KINDS);
  tcase_add_loop_test(frees, freed_while_waited_for, 0, LENGTH(all_flags));
  tcase_add_test(frees, freed_once);
  tcase_add_test(frees, all_waited_for_a_free_that_waited);
  tcase_add_loop_test(frees, near_misses_while_freed, 0, OTHER_BITS);

  TCase *copies = test_case(s, "copies", 10);
  tcase_add_test(copies, handles_of_another_copy_of_the_library_are_none);

  TCase *memory = test_case(s, "memory", 20);
  if (!skipped_if_emulated("many_handles_within_little_address_space, no_memory_for_a_handle, "
                           "no_memory_for_a_thread",
                           "setrlimit() has no effect")) {
    tcase_add_test(memory, many_handles_within_little_address_space);
    tcase_add_test(memory, no_memory_for_a_handle);
    tcase_add_test(memory, no_memory_for_a_thread);
  }
  return run_suite(s);
}
