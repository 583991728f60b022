/* Every call of the system that the library makes fails, in turn, over a program that uses every
   kind: alone, or it and all of its kind after it. Each call of the library then returns a clear
   code, nothing is held by two, nothing is stuck, all handles can be freed, and no memory is lost.
   See faults.h.

   INTERLOCK_TEST_SCALE above 1: every n-th call up to the MOST-th, and as many of those after it, up
   to the last. Else the first MANY of each kind. */
#include <check.h>

/* Much of it runs in children that are no longer Check's: what fails ends them. */
#undef ck_abort_msg
#define ck_abort_msg(...)                                                                          \
  (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__),                   \
   fputc('\n', stderr), abort())

#include "support.h"

#include "faults.h"
#include "faults_control.h"
#include "sandbox.h"

#define MANY 12
#define MOST 100

static const char *const fault_names[FAULTS] = {"memory",  "pages", "thread", "local", "sleep",
                                                "barrier", "file",  "task",   "yield"};

/* What a call may fail with then; 0: it does not. */
static int code;
/* The system may refuse to tell a thread's id, which is in the word of a lock between processes. */
static bool may_lack_id;

/* It went well; else it failed with that code. */
static bool well(int64_t result)
{
  int64_t got = result == ILK_NO_VALUE ? ilk_last_error() : result;
  if (got < 0 && (!code || got != code))
    ck_abort_msg("a call returns %s, not %s", code_name(got), code ? code_name(code) : "ILK_OK");
  return got >= 0;
}

/* The same for a word lock between processes; only with futexes is there one. */
static bool well_shared(int result)
{
  bool is_refused = may_lack_id || strcmp(ilk_backend(), "futex") != 0;
  return result == ILK_ENOTSUP && is_refused ? false : well(result);
}

/* The same for a wait that ends by its deadline. */
static bool waits(int result)
{
  return result == ILK_ETIMEDOUT || well(result);
}

static void *made_well(void *handle)
{
  if (!handle)
    must(!well(ilk_last_error()));
  return handle;
}

/* --- one thread ------------------------------------------------------------------------------ */

static void use_locks(void)
{
  void *m = made_well(ilk_mutex_new(0)), *rw = made_well(ilk_rwlock_new(0)),
       *c = made_well(ilk_condition_new(0));
  if (m && well(ilk_mutex_lock(m))) {
    expect(ilk_mutex_trylock(m), ILK_EBUSY);
    if (c && waits(ilk_condition_timedwait(c, m, 20 * US)))
      expect(ilk_condition_notify_all(c), ILK_OK);
    expect(ilk_mutex_depth(m), 1); /* whatever ended the wait */
    expect(ilk_mutex_unlock(m), ILK_OK);
  }
  if (rw && well(ilk_rwlock_write_lock(rw))) {
    expect(ilk_rwlock_downgrade(rw), ILK_OK);
    expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  }
  for (int i = 0; rw && i < 100; i++) /* so that readers are published */
    if (well(ilk_rwlock_read_lock(rw)))
      expect(ilk_rwlock_read_unlock(rw), ILK_OK);
  if (rw && well(ilk_rwlock_write_lock(rw)))
    expect(ilk_rwlock_write_unlock(rw), ILK_OK);
  must(!m || ilk_mutex_free(m) == ILK_OK);
  must(!rw || ilk_rwlock_free(rw) == ILK_OK);
  must(!c || ilk_condition_free(c) == ILK_OK);
}

static void use_arrays(void)
{
  void *few = made_well(ilk_lockarray_new(3, 0)), *many = made_well(ilk_lockarray_new(1000000, 0));
  void *arrays[] = {few, many};
  for (int i = 0; i < 2; i++) {
    if (!arrays[i])
      continue;
    if (well(ilk_lockarray_lock_range(arrays[i], 0, 3)))
      expect(ilk_lockarray_unlock_range(arrays[i], 0, 3), ILK_OK);
    expect(ilk_lockarray_free(arrays[i]), ILK_OK);
  }
}

static void use_counts(void)
{
  void *s = made_well(ilk_semaphore_new(1, 0)), *l = made_well(ilk_latch_new(1)),
       *c = made_well(ilk_counter_new(5));
  void *e = made_well(ilk_event_new(0)), *b = made_well(ilk_barrier_new(2)),
       *o = made_well(ilk_once_new(0));
  void *crowd = made_well(ilk_barrier_new(ilk_cpu_count() + 1)); /* its threads yield */
  if (s && well(ilk_semaphore_acquire(s))) {
    waits(ilk_semaphore_timedacquire(s, 20 * US));
    expect(ilk_semaphore_release(s, 2), ILK_OK);
    expect(ilk_semaphore_value(s), 2);
  }
  if (l) {
    waits(ilk_latch_timedwait(l, 20 * US));
    well(ilk_latch_count_down(l, 1));
  }
  if (c) {
    waits(ilk_counter_timedwait(c, 7, 20 * US));
    if (well(ilk_counter_fetch_add(c, 2)))
      well(ilk_counter_wait(c, 7));
  }
  if (e) {
    waits(ilk_event_timedwait(e, 20 * US));
    well(ilk_event_set(e));
  }
  if (b) {
    waits(ilk_barrier_timedwait(b, 20 * US));
    well(ilk_barrier_reset(b));
  }
  if (crowd) {
    waits(ilk_barrier_timedwait(crowd, 20 * US));
    well(ilk_barrier_reset(crowd));
  }
  if (o && well(ilk_once_begin(o)))
    expect(ilk_once_end(o, 1), ILK_OK);
  must(!s || ilk_semaphore_free(s) == ILK_OK);
  must(!l || ilk_latch_free(l) == ILK_OK);
  must(!c || ilk_counter_free(c) == ILK_OK);
  must(!e || ilk_event_free(e) == ILK_OK);
  must(!b || ilk_barrier_free(b) == ILK_OK);
  must(!crowd || ilk_barrier_free(crowd) == ILK_OK);
  must(!o || ilk_once_free(o) == ILK_OK);
}

static void use_queues(void)
{
  int64_t capacities[] = {2, 100000}, item = 0;
  for (int i = 0; i < 2; i++) {
    void *q = made_well(ilk_queue_new(capacities[i]));
    if (!q)
      continue;
    if (well(ilk_queue_put(q, 7)) && well(ilk_queue_get(q, &item)))
      expect(item, 7);
    waits(ilk_queue_timedget(q, &item, 20 * US));
    expect(ilk_queue_free(q), ILK_OK);
  }
}

static void nothing(void *unused)
{
  (void)unused;
}

static void free_if_made(void *handle, int (*free)(void *handle))
{
  if (made_well(handle))
    expect(free(handle), ILK_OK);
}

/* Where there may be no handle for it any more. */
static void make_one_of_each(void)
{
  free_if_made(ilk_mutex_new(0), ilk_mutex_free);
  free_if_made(ilk_rwlock_new(0), ilk_rwlock_free);
  free_if_made(ilk_semaphore_new(1, 0), ilk_semaphore_free);
  free_if_made(ilk_condition_new(0), ilk_condition_free);
  free_if_made(ilk_barrier_new(2), ilk_barrier_free);
  free_if_made(ilk_latch_new(1), ilk_latch_free);
  free_if_made(ilk_once_new(0), ilk_once_free);
  free_if_made(ilk_counter_new(1), ilk_counter_free);
  free_if_made(ilk_tally_new(), ilk_tally_free);
  free_if_made(ilk_lockarray_new(3, 0), ilk_lockarray_free);
  free_if_made(ilk_queue_new(3), ilk_queue_free);
  free_if_made(ilk_local_new(), ilk_local_free);
  free_if_made(ilk_slices_new(8, NULL), ilk_slices_free);
  void *thread = made_well(ilk_thread_start((void *)(uintptr_t)nothing, NULL));
  if (thread && !well(ilk_thread_join(thread)))
    expect(ilk_thread_free(thread), ILK_OK);
}

static uintptr_t highest_slot; /* of those below */

/* More than there is room for at first. */
static void use_many(bool more)
{
  static int here;
  enum { CELLS = 40, EVENTS = 1100 };
  static void *tallies[CELLS], *locals[CELLS], *events[EVENTS];
  int64_t added = 0, sum;
  for (int i = 0; i < CELLS; i++) {
    tallies[i] = made_well(ilk_tally_new());
    locals[i] = made_well(ilk_local_new());
    added = tallies[i] && well(ilk_tally_add(tallies[i], 1));
    if (tallies[i] && well(sum = ilk_tally_sum(tallies[i])))
      expect(sum, added);
    if (locals[i])
      must((well(ilk_local_set(locals[i], &here)) ? &here : NULL) == ilk_local_get(locals[i]));
  }
  for (int i = 0; i < (more ? EVENTS : 10); i++)
    if ((events[i] = made_well(ilk_event_new(0))) && (uint32_t)(uintptr_t)events[i] > highest_slot)
      highest_slot = (uint32_t)(uintptr_t)events[i]; /* on 64-bit systems: see handle.h */
  make_one_of_each();
  for (int i = 0; i < CELLS; i++) {
    must(!tallies[i] || ilk_tally_free(tallies[i]) == ILK_OK);
    must(!locals[i] || ilk_local_free(locals[i]) == ILK_OK);
  }
  for (int i = 0; i < EVENTS; i++) {
    must(!events[i] || ilk_event_free(events[i]) == ILK_OK);
    events[i] = NULL;
  }
}

static void use_the_rest(void)
{
  void *small = made_well(ilk_slices_new(8, NULL)),
       *large = made_well(ilk_slices_new(100000, NULL));
  void *slices[] = {small, large};
  for (int i = 0; i < 2; i++) {
    if (!slices[i])
      continue;
    void *slice = made_well(ilk_slices_get(slices[i]));
    must(!slice || ilk_slices_get(slices[i]) == slice);
    expect(ilk_slices_free(slices[i]), ILK_OK);
  }
  well(ilk_report(NULL, 0));
  well(ilk_sleep(20 * US));
  must(ilk_cpu_count() >= 1);
  must(ilk_thread_yield() == ILK_OK);
  uint32_t word = 0;
  if (well(ilk_word_lock(&word, 0)))
    expect(ilk_word_unlock(&word, 0), ILK_OK);
  waits(ilk_word_wait(&word, 0, 0, 20 * US));
}

/* --- several threads
   ----------------------------------------------------------------------------- */

static struct {
  void *mutex, *rwlock, *array, *queue, *condition, *event, *barrier, *round;
  uint32_t word, shared_word;
  _Alignas(8) char robust[ILK_ROBUST_SIZE];
  struct guarded {
    int64_t words[4], sections;
  } by_mutex, by_rwlock, by_array, by_word, by_shared_word, by_robust;
  int64_t in_queue;
  _Atomic int64_t dead;
} shared;

static void section(struct guarded *g)
{
  for (int i = 0; i < LENGTH(g->words); i++) {
    must(g->words[i] == g->sections);
    g->words[i]++;
    if (i == 1)
      sched_yield();
  }
  g->sections++;
}

/* Resumable waits: short parts, each of which may be refused, and an end, which never is. */
static void contend_in_parts(void)
{
  int result = ILK_ETIMEDOUT;
  if (well(ilk_wait_begin(shared.mutex))) {
    for (int i = 0; i < 3 && result == ILK_ETIMEDOUT; i++)
      result = ilk_mutex_timedlock(shared.mutex, 20 * US);
    if (result != ILK_ETIMEDOUT && well(result)) {
      section(&shared.by_mutex);
      expect(ilk_mutex_unlock(shared.mutex), ILK_OK);
    }
    expect(ilk_wait_end(shared.mutex), ILK_OK);
  }
  result = ILK_ETIMEDOUT;
  if (well(ilk_wait_begin(shared.rwlock))) {
    for (int i = 0; i < 3 && result == ILK_ETIMEDOUT; i++)
      result = ilk_rwlock_write_timedlock(shared.rwlock, 20 * US);
    if (result != ILK_ETIMEDOUT && well(result)) {
      section(&shared.by_rwlock);
      expect(ilk_rwlock_write_unlock(shared.rwlock), ILK_OK);
    }
    expect(ilk_wait_end(shared.rwlock), ILK_OK);
  }
  if (well(ilk_mutex_lock(shared.mutex))) {
    if (well(ilk_condition_wait_begin(shared.condition))) {
      result = ILK_ETIMEDOUT;
      for (int i = 0; i < 2 && result == ILK_ETIMEDOUT; i++)
        result = ilk_condition_wait_part(shared.condition, shared.mutex, 20 * US);
      if (result != ILK_ETIMEDOUT)
        well(result); /* ends the wait */
      else if (ilk_condition_wait_end(shared.condition) == 1)
        expect(ilk_condition_notify(shared.condition, 1), ILK_OK);
    }
    expect(ilk_mutex_depth(shared.mutex), 1); /* whatever ended the parts */
    expect(ilk_mutex_unlock(shared.mutex), ILK_OK);
  }
}

/* A round of the barrier in resumable waits. The last thread acts for it; one that gives up breaks it. */
static void meet_in_parts(void)
{
  int64_t ticket;
  int place = ilk_barrier_arrive(shared.round, 1, &ticket, 20 * US), result = ILK_ETIMEDOUT;
  if (place == 1) {
    result = ilk_barrier_complete(shared.round, ticket, 1);
    must(result == ILK_OK || result == ILK_EBROKEN);
  } else if (place == 0) {
    for (int i = 0; i < 3 && result == ILK_ETIMEDOUT; i++)
      result = ilk_barrier_await(shared.round, ticket, 20 * US);
    if (result != ILK_OK) {
      must(result == ILK_EBROKEN || result == ILK_ETIMEDOUT || !well(result));
      result = ilk_barrier_leave(shared.round, ticket);
      must(result == ILK_OK || result == ILK_EBROKEN || result == ILK_ETIMEDOUT);
    }
  } else {
    must(place == ILK_EBROKEN || place == ILK_ETIMEDOUT || !well(place));
  }
  if (result != ILK_OK || place < 0)
    well(ilk_barrier_reset(shared.round));
}

static void contend(void *dies)
{
  for (int i = 0; i < 12; i++) {
    if (well(ilk_mutex_lock(shared.mutex))) {
      section(&shared.by_mutex);
      if (i % 4 == 1)
        waits(ilk_condition_timedwait(shared.condition, shared.mutex, 20 * US));
      ilk_condition_notify(shared.condition, 1);
      expect(ilk_mutex_unlock(shared.mutex), ILK_OK);
    }
    if (well(ilk_rwlock_write_lock(shared.rwlock))) {
      section(&shared.by_rwlock);
      expect(ilk_rwlock_write_unlock(shared.rwlock), ILK_OK);
    }
    if (well(ilk_rwlock_read_lock(shared.rwlock))) {
      must(shared.by_rwlock.words[0] == shared.by_rwlock.words[3]);
      expect(ilk_rwlock_read_unlock(shared.rwlock), ILK_OK);
    }
    if (well(ilk_lockarray_lock_pair(shared.array, 1, 0))) {
      section(&shared.by_array);
      expect(ilk_lockarray_unlock_pair(shared.array, 0, 1), ILK_OK);
    }
    if (well(ilk_word_lock(&shared.word, 0))) {
      section(&shared.by_word);
      expect(ilk_word_unlock(&shared.word, 0), ILK_OK);
    }
    if (well_shared(ilk_word_lock(&shared.shared_word, ILK_SHARED))) {
      section(&shared.by_shared_word);
      expect(ilk_word_unlock(&shared.shared_word, ILK_SHARED), ILK_OK);
    }
    if (!TSAN && well(ilk_robust_lock(shared.robust))) { /* see test_robust.c */
      section(&shared.by_robust);
      expect(ilk_robust_unlock(shared.robust), ILK_OK);
    }
    contend_in_parts();
    meet_in_parts();
    int64_t item;
    waits(ilk_queue_timedput(shared.queue, i, 20 * US));
    waits(ilk_queue_timedget(shared.queue, &item, 20 * US));
    int met = ilk_barrier_timedwait(shared.barrier, 20 * US);
    if (met == ILK_EBROKEN || !waits(met))
      well(ilk_barrier_reset(shared.barrier));
  }
  well(ilk_event_set(shared.event));
  if (dies && well(ilk_mutex_lock(shared.mutex)))
    section(&shared.by_mutex);
  if (!TSAN && dies && well(ilk_robust_lock(shared.robust)))
    section(&shared.by_robust);
}

static void *contend_plain(void *dies)
{
  contend(dies);
  return NULL;
}

/* In two more, one of which dies with the mutex. In a sandbox there may be none. */
static void contend_in_threads(void)
{
  pthread_t threads[2];
  bool made[2];
  for (int i = 0; i < 2; i++)
    made[i] = pthread_create(&threads[i], NULL, contend_plain, i ? &shared : NULL) == 0;
  for (int i = 0; i < 2; i++)
    if (made[i])
      join(threads[i]);
}

/* Returns how many calls of the kind were made while they could fail; some may `for_good`. */
static int64_t use_threads(bool for_good)
{
  void **handles[] = {&shared.mutex,     &shared.rwlock, &shared.array,   &shared.queue,
                      &shared.condition, &shared.event,  &shared.barrier, &shared.round};
  shared.mutex = made_well(ilk_mutex_new(0));
  shared.rwlock = made_well(ilk_rwlock_new(0));
  shared.array = made_well(ilk_lockarray_new(2, 0));
  shared.queue = made_well(ilk_queue_new(1));
  shared.condition = made_well(ilk_condition_new(0));
  shared.event = made_well(ilk_event_new(0));
  shared.barrier = made_well(ilk_barrier_new(2));
  shared.round = made_well(ilk_barrier_new(2));
  bool all = true;
  for (int i = 0; i < LENGTH(handles); i++)
    all = all && *handles[i];
  void *started = NULL;
  if (all) {
    started = made_well(ilk_thread_start((void *)(uintptr_t)contend, NULL));
    contend_in_threads();
    if (started && well(ilk_thread_join(started)))
      started = NULL;
  }
  int64_t calls = faults_end();

  /* Nothing is stuck. The thread ends before no failure is expected any more: its last call may
     have had one. */
  if (started)
    expect(ilk_thread_join(started), ILK_OK);
  if (!for_good) {
    code = 0;
    may_lack_id = false;
  }
  if (shared.mutex && well(ilk_mutex_lock(shared.mutex)))
    expect(ilk_mutex_unlock(shared.mutex), ILK_OK);
  if (shared.rwlock && well(ilk_rwlock_write_lock(shared.rwlock)))
    expect(ilk_rwlock_write_unlock(shared.rwlock), ILK_OK);
  if (shared.array && well(ilk_lockarray_lock_pair(shared.array, 0, 1)))
    expect(ilk_lockarray_unlock_pair(shared.array, 0, 1), ILK_OK);
  int64_t size;
  if (shared.queue && well(size = ilk_queue_size(shared.queue)))
    must(size == 1 || ilk_queue_put(shared.queue, 1) == ILK_OK);
  if (well(ilk_word_lock(&shared.word, 0)))
    expect(ilk_word_unlock(&shared.word, 0), ILK_OK);
  if (well_shared(ilk_word_trylock(&shared.shared_word, ILK_SHARED)))
    expect(ilk_word_unlock(&shared.shared_word, ILK_SHARED), ILK_OK);
  if (!TSAN && well(ilk_robust_trylock(shared.robust)))
    expect(ilk_robust_unlock(shared.robust), ILK_OK);
  expect(ilk_waiting(), 0);
  must(!shared.mutex || ilk_mutex_free(shared.mutex) == ILK_OK);
  must(!shared.rwlock || ilk_rwlock_free(shared.rwlock) == ILK_OK);
  must(!shared.array || ilk_lockarray_free(shared.array) == ILK_OK);
  must(!shared.queue || ilk_queue_free(shared.queue) == ILK_OK);
  must(!shared.condition || ilk_condition_free(shared.condition) == ILK_OK);
  must(!shared.event || ilk_event_free(shared.event) == ILK_OK);
  must(!shared.barrier || ilk_barrier_free(shared.barrier) == ILK_OK);
  must(!shared.round || ilk_barrier_free(shared.round) == ILK_OK);
  return calls;
}

/* --- the program
   -------------------------------------------------------------------------------------- */

static const int codes[FAULTS] = {
  [FAULT_MEMORY] = ILK_ENOMEM, [FAULT_PAGES] = ILK_ENOMEM,  [FAULT_THREAD] = ILK_ENOMEM,
  [FAULT_LOCAL] = ILK_ENOMEM,  [FAULT_SLEEP] = ILK_ENOTSUP,
};

struct plan {
  int kind;
  int64_t n;
  bool on;
};

/* All of it once. Returns how many calls of the kind were made. */
static int64_t use_every_kind(struct plan plan)
{
  int64_t live = ilk_live();
  code = plan.kind == FAULTS ? 0 : plan.kind < 0 ? ILK_ENOMEM : codes[plan.kind];
  may_lack_id = plan.kind < 0 || plan.kind == FAULT_TASK;
  faults_begin(plan.kind < 0 ? FAULTS : plan.kind, plan.n, plan.on);
  use_locks();
  use_arrays();
  use_counts();
  use_queues();
  use_many(plan.kind != FAULTS);
  use_the_rest();
  int64_t calls = use_threads(plan.kind < 0);
  expect(ilk_live(), live);
  return calls;
}

/* More than the slots by which two passes differ: how many are retired at once depends on which
   threads have a record. */
#define PASSES 8

static const struct plan no_fault = {FAULTS, 0, false}, sandboxed = {-1, 0, false};

/* The orders for a child, and its report. */
struct attempt {
  struct plan plan;
  int64_t calls;
};

/* In handle_table.h, whose names collide with Check's. */
bool handle_retired_recycle(bool waits);

/* Retired slots are recycled, so that the next pass can use them. */
static int64_t use_and_recycle(struct plan plan)
{
  int64_t calls = use_every_kind(plan);
  faults_begin(FAULTS, 0, false); /* without a fault */
  handle_retired_recycle(false);
  return calls;
}

/* First in a process that is new to the library. Then again and again, which must not add
   a block or use up a slot each time. */
static void with_fault(void *argument)
{
  struct attempt *a = argument;
  a->calls = use_and_recycle(a->plan);
  for (int i = 0; i < 2; i++)
    use_and_recycle(no_fault);
  use_and_recycle(a->plan);
  int64_t blocks = fault_blocks, pages = fault_pages;
  uintptr_t slots = highest_slot;
  for (int i = 0; i < PASSES; i++)
    use_and_recycle(a->plan);
  use_and_recycle(no_fault);
  must(fault_blocks - blocks < PASSES);
  must(sizeof(void *) < 8 || highest_slot - slots < PASSES);
  /* Records of threads are pages, too, and are used again: one more if a thread began before
     another's was free. */
  must(fault_pages - pages < PASSES * 2048);
}

static struct attempt *attempt_new(void)
{
  struct attempt *a =
    mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(a != MAP_FAILED);
  return a;
}

START_TEST(the_nth_call_fails)
{
  struct attempt *a = attempt_new();
  int64_t most = scale() > 1 ? MOST : MANY, n = 1, tried = 0;
  do {
    a->plan = (struct plan){_i / 2, n, _i % 2};
    in_child(with_fault, a);
    tried++;
    n += n < most ? 1 : 1 + a->calls / MOST;
  } while (n <= a->calls && (n <= most || scale() > 1));
  if (scale() > 1)
    fprintf(stderr, "# %s: %" PRId64 " of %" PRId64 " calls failed in turn%s\n",
            fault_names[_i / 2], tried, a->calls, _i % 2 ? ", with all after each" : "");
}
END_TEST

/* --- while the library is loaded: it is, in the test's own process
   -------------------------------------- */

static void load_with_fault(void *argument)
{
  const struct attempt *a = argument;
  char text[64];
  snprintf(text, sizeof text, "%d %" PRId64 " %d", a->plan.kind, a->plan.n, a->plan.on);
  setenv("INTERLOCK_FAULT", text, 1);
  execl("/proc/self/exe", "test_faults", "loaded", (char *)NULL);
  ck_abort_msg("no exec");
}

#define LOADED 5 /* more calls of a kind than the load makes */

START_TEST(the_nth_call_at_load_fails)
{
  struct attempt *a = attempt_new();
  for (int64_t n = 1; n <= LOADED; n++) {
    a->plan = (struct plan){_i / 2, n, _i % 2};
    in_child(load_with_fault, a);
  }
}
END_TEST

#if defined(__linux__) && !ASAN && !TSAN

/* --- a sandbox
   ------------------------------------------------------------------------------------------- */

/* Denied before the load; and later, where the program would not even begin without. Not futex,
   which the C library cannot do without: see test_sandbox.c. */
static const int denied_before[] = {SYS_membarrier, SYS_sched_yield,       SYS_gettid,
                                    SYS_tgkill,     SYS_sched_getaffinity, SYS_lseek};
static const int denied_after[] = {
  SYS_membarrier, SYS_sched_yield, SYS_gettid, SYS_tgkill, SYS_sched_getaffinity,
  SYS_lseek,      SYS_openat,      SYS_mmap,   SYS_clone,
#ifdef SYS_clone3
  SYS_clone3,
#endif
};

static void load_in_sandbox(void *number)
{
  if (!deny(*(const int *)number))
    return;
  execl("/proc/self/exe", "test_faults", "loaded", (char *)NULL);
  ck_abort_msg("no exec");
}

START_TEST(a_call_is_denied_before_the_load)
{
  in_child(load_in_sandbox, (void *)(uintptr_t)&denied_before[_i]);
}
END_TEST

/* Threads of the C library's making need some of these too: then there are none to contend. */
static void deny_and_use(void *number)
{
  use_every_kind(no_fault);
  if (deny(*(const int *)number))
    use_every_kind(sandboxed);
}

START_TEST(a_call_is_denied_after_the_load)
{
  in_child(deny_and_use, (void *)(uintptr_t)&denied_after[_i]);
}
END_TEST

#endif

int main(int argc, char **argv)
{
  /* With what the environment, or a sandbox, denies. */
  if (argc > 1 && !strcmp(argv[1], "loaded")) {
    alarm(10 * BUSY);
    use_every_kind(sandboxed);
    return 0;
  }
  Suite *suite = suite_create("faults");
  TCase *calls = test_case(suite, "calls", scale() > 1 ? 600 : 60);
  tcase_add_loop_test(calls, the_nth_call_fails, 0, 2 * FAULTS);
  tcase_add_loop_test(calls, the_nth_call_at_load_fails, 0, 2 * FAULTS);
#if defined(__linux__) && !ASAN && !TSAN /* which need those calls themselves */
  TCase *sandbox = test_case(suite, "sandbox", 10);
  tcase_add_loop_test(sandbox, a_call_is_denied_before_the_load, 0, LENGTH(denied_before));
  tcase_add_loop_test(sandbox, a_call_is_denied_after_the_load, 0, LENGTH(denied_after));
#endif
  return run_suite(suite);
}
