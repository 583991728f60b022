/* All kinds at once, for as long as you like: soak [--seconds N] [--threads N].

   Many more threads than processors start and exit, some with locks held. Each makes visits to two
   places: to stations, whose objects last and keep sums, and to a yard of objects of every kind, on
   which any call is made at any time, frees too. The time is divided into rounds. After each round
   all threads have ended; then all sums are checked, and the memory in use is compared with that
   after the first rounds. */
#include <check.h>

/* This is not a Check suite: a failure ends the program. */
#undef ck_abort_msg
#define ck_abort_msg(...)                                                                          \
  (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__),                   \
   fputc('\n', stderr), abort())

#include "fuzz/fuzz.h"
#include "support.h"

#define THREADS_MOST 256
#define YARD 24
#define ROUNDS 10
#define WARM 3 /* rounds */
/* Bytes that may be added to the memory in use after that. The library's table of threads by their
   ids, half a MiB, is touched bit by bit, as ids count up; the rest is the C library's noise. */
#define GROWTH (INT64_C(1) << 20)

static _Atomic bool over; /* of the round */
static _Atomic int64_t visits, deaths, told, yard_calls, yard_freed, cancels, forks, threads_made;

/* How long to wait if the thread that must act may have exited. */
static int64_t soon(void)
{
  return below(4) ? below(200) * US : 0;
}

/* For a lock, which is released, or whose holder's death is reported: sometimes forever, so a lost
   wake hangs. */
static int64_t soon_or_later(void)
{
  return below(8) ? soon() : -1;
}

/* The errors of a wait that may fail. */
static bool must_wait(int result)
{
  return result == ILK_ETIMEDOUT || result == ILK_EBUSY || result == ILK_ECANCELED;
}

/* --- exclusion: a section in which words change together ------------------------------------- */

struct guarded {
  int64_t words[4];
  _Atomic int64_t sections; /* counted outside */
};

static void section(struct guarded *g)
{
  int64_t was = g->words[0];
  for (int i = 0; i < LENGTH(g->words); i++) {
    must(g->words[i] == was);
    g->words[i] = was + 1;
    if (below(64) == 0)
      jitter();
  }
}

#define LOCKS 8

static struct {
  void *plain, *fair, *recursive, *unowned, *binary, *once, *rwlock, *array;
  uint32_t word;
  struct guarded by[6], row[LOCKS], words, written;
  _Atomic int64_t reads;
} excluded;

typedef int take_function(void *handle, int64_t timeout_ns);
typedef int give_function(void *handle);

static int word_take(void *word, int64_t timeout_ns)
{
  return ilk_word_timedlock(word, 0, timeout_ns);
}
static int word_give(void *word)
{
  return ilk_word_unlock(word, 0);
}
/* Never done, so the next one may begin. */
static int once_take(void *once, int64_t timeout_ns)
{
  int result = ilk_once_timedbegin(once, timeout_ns);
  must(result != 0);
  return result < 0 ? result : ILK_OK;
}
static int once_give(void *once)
{
  return ilk_once_end(once, 0);
}
static int binary_give(void *s)
{
  return ilk_semaphore_release(s, 1);
}

/* True: the thread exits with the lock held, which is rare. */
static bool visit(struct guarded *g, take_function *take, give_function *give, void *handle,
                  bool owned)
{
  int result = take(handle, soon_or_later());
  if (result < 0) {
    must(must_wait(result));
    return false;
  }
  must(owned || result == ILK_OK);
  told += result == ILK_OWNER_DIED;
  section(g);
  g->sections++;
  if (owned && below(500) == 0)
    return true;
  expect(give(handle), ILK_OK);
  return false;
}

static bool visit_a_lock(void)
{
  switch (below(9)) {
  case 0:
    return visit(&excluded.by[0], ilk_mutex_timedlock, ilk_mutex_unlock, excluded.plain, true);
  case 1: return visit(&excluded.by[1], ilk_mutex_timedlock, ilk_mutex_unlock, excluded.fair, true);
  case 2:
    return visit(&excluded.by[2], ilk_mutex_timedlock, ilk_mutex_unlock, excluded.recursive, true);
  case 3:
    return visit(&excluded.by[3], ilk_mutex_timedlock, ilk_mutex_unlock, excluded.unowned, false);
  case 4:
    return visit(&excluded.by[4], ilk_semaphore_timedacquire, binary_give, excluded.binary, false);
  case 5: return visit(&excluded.by[5], once_take, once_give, excluded.once, true);
  case 6: return visit(&excluded.words, word_take, word_give, &excluded.word, true);
  default:
    return visit(&excluded.written, ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock,
                 excluded.rwlock, true);
  }
}

static void visit_to_read(void)
{
  int result = ilk_rwlock_read_timedlock(excluded.rwlock, soon_or_later());
  if (result < 0) {
    must(must_wait(result));
    return;
  }
  told += result == ILK_OWNER_DIED;
  const struct guarded *g = &excluded.written;
  int64_t was = g->words[0];
  for (int i = 1; i < LENGTH(g->words); i++)
    must(g->words[i] == was);
  excluded.reads++;
  expect(ilk_rwlock_read_unlock(excluded.rwlock), ILK_OK);
}

static bool visit_rows(void)
{
  int64_t first = below(LOCKS), end = below(3) ? first + 1 : first + 1 + below(LOCKS - first);
  int result = ilk_lockarray_timedlock_range(excluded.array, first, end, soon_or_later());
  if (result < 0) {
    must(must_wait(result));
    return false;
  }
  told += result == ILK_OWNER_DIED;
  for (int64_t i = first; i < end; i++) {
    section(&excluded.row[i]);
    excluded.row[i].sections++;
  }
  if (below(500) == 0)
    return true;
  expect(ilk_lockarray_unlock_range(excluded.array, first, end), ILK_OK);
  return false;
}

/* --- sums ------------------------------------------------------------------------------ */

#define PERMITS 3
#define BOX 4

static struct {
  void *counter, *tally, *slices, *latch, *semaphore, *queue, *barrier, *local, *event;
  void *box_mutex, *box_condition;
  int64_t in_box; /* guarded by its mutex */
  _Atomic int64_t boxed, unboxed;
  _Atomic int64_t added, inside, put, got, put_sum, got_sum, first, last;
} sums;

static void visit_sums(void)
{
  int64_t n = below(10) - 4;
  ilk_counter_fetch_add(sums.counter, n);
  expect(ilk_tally_add(sums.tally, n), ILK_OK);
  int64_t *slice = ilk_slices_get(sums.slices);
  must(slice != NULL);
  *slice += n;
  sums.added += n;
  expect(ilk_latch_add(sums.latch, 1), ILK_OK);
  void *mine = (void *)(intptr_t)(1 + below(1000));
  expect(ilk_local_set(sums.local, mine), ILK_OK);
  jitter();
  must(ilk_local_get(sums.local) == mine);
  expect(ilk_latch_count_down(sums.latch, 1), ILK_OK);
}

static void visit_semaphore(void)
{
  int result = ilk_semaphore_timedacquire(sums.semaphore, soon_or_later());
  if (result < 0) {
    must(must_wait(result));
    return;
  }
  must(++sums.inside <= PERMITS);
  jitter();
  sums.inside--;
  expect(ilk_semaphore_release(sums.semaphore, 1), ILK_OK);
}

static void visit_queue(void)
{
  int64_t item = below(1000000);
  bool puts = below(2);
  int result = puts ? ilk_queue_timedput(sums.queue, item, soon())
                    : ilk_queue_timedget(sums.queue, &item, soon());
  if (result < 0) {
    must(must_wait(result));
    return;
  }
  *(puts ? &sums.put : &sums.got) += 1;
  *(puts ? &sums.put_sum : &sums.got_sum) += item;
}

/* Of each complete round one was first, and one last. One that does not come about breaks the
   barrier. */
static void visit_barrier(void)
{
  int result = ilk_barrier_timedwait(sums.barrier, below(300) * US);
  if (result >= 0)
    ++*(result ? &sums.last : &sums.first);
  else if (result == ILK_EBROKEN)
    expect(ilk_barrier_reset(sums.barrier), ILK_OK);
  else
    must(must_wait(result));
}

static void visit_event(void)
{
  switch (below(3)) {
  case 0: expect(ilk_event_set(sums.event), ILK_OK); break;
  case 1: expect(ilk_event_clear(sums.event), ILK_OK); break;
  default: {
    int result = ilk_event_timedwait(sums.event, soon());
    must(result == ILK_OK || must_wait(result));
  }
  }
}

static void visit_box(void)
{
  int result = ilk_mutex_timedlock(sums.box_mutex, soon());
  if (result < 0) {
    must(must_wait(result));
    return;
  }
  bool fills = below(2);
  for (int waits = 0; waits < 3 && sums.in_box == (fills ? BOX : 0); waits++) {
    result = ilk_condition_timedwait(sums.box_condition, sums.box_mutex, soon());
    must(result == ILK_OK || must_wait(result));
  }
  if (sums.in_box != (fills ? BOX : 0)) {
    sums.in_box += fills ? 1 : -1;
    ++*(fills ? &sums.boxed : &sums.unboxed);
    expect(ilk_condition_notify(sums.box_condition, 1), ILK_OK);
  }
  must(0 <= sums.in_box && sums.in_box <= BOX);
  expect(ilk_mutex_unlock(sums.box_mutex), ILK_OK);
}

/* --- the yard
   ------------------------------------------------------------------------------------ */

/* The thread that has freed an object makes a new one; until then the others have the old
   handle. */
static struct {
  struct slot made;
  void *_Atomic handle;
} yard[YARD];

static void *yard_new(int i)
{
  struct object o = {.made = yard[i].made};
  must(object_new(&o));
  return o.handle;
}

static void visit_yard(uint64_t *chance_state)
{
  int i = (int)below(YARD);
  const struct slot *made = &yard[i].made;
  void *handle = yard[i].handle;
  yard_calls++;
  if (below(10) == 0) {
    int result = object_free(made->kind, handle);
    must(result == ILK_OK || result == ILK_EBUSY || result == ILK_EHANDLE);
    /* Its join has freed it. */
    if (result == ILK_OK || (made->kind == THREAD && result == ILK_EHANDLE)) {
      void *old = handle;
      if (result == ILK_OK)
        yard_freed++;
      void *new = yard_new(i);
      if (!atomic_compare_exchange_strong(&yard[i].handle, &old, new))
        must(object_free(made->kind, new) == ILK_OK);
    }
    return;
  }
  struct op op = op_make(made, chance_state);
  if (op.timeout == FOREVER)
    op.timeout = soon();
  int64_t value;
  int result = call_types[op.call].make(handle, &op, yard[0].handle, &value);
  must(result <= ILK_OWNER_DIED && result >= ILK_ENOTSUP && result != ILK_ENOMEM &&
       result != ILK_ENOTSUP);
  op.call = (uint8_t)undoing(op.call);
  if (result >= 0 && op.call != CALLS && below(8)) {
    op.a = op.call == RELEASE ? 1 : op.a;
    /* Another thread may hold it by now, if it has no owner. */
    call_types[op.call].make(handle, &op, NULL, &value);
  }
}

/* No other thread exists: each object can be freed, in whatever state its threads have left it. */
static void empty_yard(void)
{
  for (int i = 0; i < YARD; i++) {
    void *handle = yard[i].handle;
    if (yard[i].made.kind == MUTEX)
      expect(ilk_mutex_reset(handle), ILK_OK);
    int result = object_free(yard[i].made.kind, handle);
    must(result == ILK_OK || (yard[i].made.kind == THREAD && result == ILK_EHANDLE));
  }
}

static void fill_yard(void)
{
  for (int i = 0; i < YARD; i++) {
    yard[i].made = slot_make(i == 0 ? MUTEX : i % WORD); /* all kinds that have handles */
    /* The mutex of all conditions is owned: a thread that dies with an unowned one leaves it
       locked, and a thread that must reacquire it waits forever. */
    if (i == 0)
      yard[i].made.flags &= (uint8_t)~ILK_UNOWNED;
    yard[i].handle = yard_new(i);
  }
}

/* --- threads
   --------------------------------------------------------------------------------------- */

/* A life of some visits. */
static void live(void)
{
  uint64_t state = chance();
  for (int64_t left = 20 + below(500); left > 0 && !over; left--) {
    visits++;
    bool dies = false;
    switch (below(12)) {
    case 0:
    case 1: dies = visit_a_lock(); break;
    case 2: visit_to_read(); break;
    case 3: dies = visit_rows(); break;
    case 4: visit_sums(); break;
    case 5: visit_semaphore(); break;
    case 6: visit_queue(); break;
    case 7: visit_barrier(); break;
    case 8: visit_event(); break;
    case 9: visit_box(); break;
    default: visit_yard(&state);
    }
    if (dies) {
      deaths++;
      break;
    }
    jitter();
  }
}

struct worker {
  bool of_the_library; /* started by it */
  pthread_t thread;
  void *handle;
  _Atomic bool finished;
};
static struct worker workers[THREADS_MOST];

static void *worker_run(void *worker)
{
  live();
  ((struct worker *)worker)->finished = true;
  return NULL;
}

static void worker_run_plain(void *worker)
{
  worker_run(worker);
}

static void worker_start(struct worker *w)
{
  w->finished = false;
  w->of_the_library = below(2);
  threads_made++;
  if (w->of_the_library) {
    w->handle = ilk_thread_start((void *)(uintptr_t)worker_run_plain, w);
    must(w->handle != NULL);
  } else {
    must(pthread_create(&w->thread, NULL, worker_run, w) == 0);
  }
}

static void worker_end(struct worker *w)
{
  if (w->of_the_library)
    expect(ilk_thread_join(w->handle), ILK_OK);
  else
    must(pthread_join(w->thread, NULL) == 0);
}

static void child_checks(void *unused)
{
  (void)unused;
  void *m = ilk_mutex_new(0);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  int result = ilk_mutex_trylock(excluded.plain);
  must(result == ILK_OK || result == ILK_OWNER_DIED);
  must(ilk_counter_load(sums.counter) != ILK_NO_VALUE);
}

/* New threads for those that have ended; now and then all waits are cancelled, or the process
   forks. */
static void run_round(int n, int64_t ns)
{
  over = false;
  for (int i = 0; i < n; i++)
    worker_start(&workers[i]);
  for (int64_t end = now() + ns; now() < end;) {
    for (int i = 0; i < n; i++)
      if (workers[i].finished) {
        worker_end(&workers[i]);
        worker_start(&workers[i]);
      }
    if (below(200) == 0) {
      cancels++;
      expect(ilk_cancel(1), ILK_OK);
      expect(ilk_cancel(0), ILK_OK);
    }
    if (HAS_FORK && !ASAN && !TSAN && below(500) == 0) {
      forks++;
      in_child(child_checks, NULL);
    }
    if (below(100) == 0)
      must(ilk_report(NULL, 0) > 0);
    nap(MS);
  }
  over = true;
  for (int i = 0; i < n; i++)
    worker_end(&workers[i]);
}

/* --- checks at the end of a round --------------------------------------------------------- */

static void check_guarded(const struct guarded *g)
{
  for (int i = 0; i < LENGTH(g->words); i++)
    expect(g->words[i], g->sections);
}

static void check_sums(void)
{
  for (int i = 0; i < LENGTH(excluded.by); i++)
    check_guarded(&excluded.by[i]);
  for (int i = 0; i < LOCKS; i++)
    check_guarded(&excluded.row[i]);
  check_guarded(&excluded.words);
  check_guarded(&excluded.written);
  expect(ilk_counter_load(sums.counter), sums.added);
  expect(ilk_tally_sum(sums.tally), sums.added);
  int64_t total = 0;
  for (int64_t *slice = NULL; (slice = ilk_slices_next(sums.slices, slice));)
    total += *slice;
  expect(total, sums.added);
  expect(ilk_latch_value(sums.latch), 0);
  expect(ilk_semaphore_value(sums.semaphore), PERMITS);
  expect(ilk_queue_size(sums.queue), sums.put - sums.got);
  int64_t item, left = 0;
  while (ilk_queue_tryget(sums.queue, &item) == ILK_OK)
    left += item;
  expect(left, sums.put_sum - sums.got_sum);
  sums.put = sums.got = 0;
  sums.put_sum = sums.got_sum = 0;
  expect(sums.in_box, sums.boxed - sums.unboxed);
  expect(sums.first, sums.last);
  expect(ilk_waiting(), 0);
}

static void make_stations(void)
{
  excluded.plain = ilk_mutex_new(0);
  excluded.fair = ilk_mutex_new(ILK_FAIR);
  excluded.recursive = ilk_mutex_new(ILK_RECURSIVE);
  excluded.unowned = ilk_mutex_new(ILK_UNOWNED);
  excluded.binary = ilk_semaphore_new(1, 1);
  excluded.once = ilk_once_new(0);
  excluded.rwlock = ilk_rwlock_new(0);
  excluded.array = ilk_lockarray_new(LOCKS, 0);
  sums.counter = ilk_counter_new(0);
  sums.tally = ilk_tally_new();
  sums.slices = ilk_slices_new(sizeof(int64_t), NULL);
  sums.latch = ilk_latch_new(0);
  sums.semaphore = ilk_semaphore_new(PERMITS, PERMITS);
  sums.queue = ilk_queue_new(5);
  sums.barrier = ilk_barrier_new(2);
  sums.local = ilk_local_new();
  sums.event = ilk_event_new(0);
  sums.box_mutex = ilk_mutex_new(0);
  sums.box_condition = ilk_condition_new(0);
}

static void free_stations(void)
{
  expect(ilk_mutex_free(excluded.plain), ILK_OK);
  expect(ilk_mutex_free(excluded.fair), ILK_OK);
  expect(ilk_mutex_free(excluded.recursive), ILK_OK);
  expect(ilk_mutex_free(excluded.unowned), ILK_OK);
  expect(ilk_semaphore_free(excluded.binary), ILK_OK);
  expect(ilk_once_free(excluded.once), ILK_OK);
  expect(ilk_rwlock_free(excluded.rwlock), ILK_OK);
  expect(ilk_lockarray_free(excluded.array), ILK_OK);
  expect(ilk_counter_free(sums.counter), ILK_OK);
  expect(ilk_tally_free(sums.tally), ILK_OK);
  expect(ilk_slices_free(sums.slices), ILK_OK);
  expect(ilk_latch_free(sums.latch), ILK_OK);
  expect(ilk_semaphore_free(sums.semaphore), ILK_OK);
  expect(ilk_queue_free(sums.queue), ILK_OK);
  expect(ilk_barrier_free(sums.barrier), ILK_OK);
  expect(ilk_local_free(sums.local), ILK_OK);
  expect(ilk_event_free(sums.event), ILK_OK);
  expect(ilk_mutex_free(sums.box_mutex), ILK_OK);
  expect(ilk_condition_free(sums.box_condition), ILK_OK);
}

/* --- main
   ------------------------------------------------------------------------------------------- */

static int64_t option(int argc, char **argv, const char *name, int64_t otherwise)
{
  for (int i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], name))
      return atoll(argv[i + 1]);
  return otherwise;
}

int main(int argc, char **argv)
{
  int64_t seconds = option(argc, argv, "--seconds", 10),
          n = option(argc, argv, "--threads", 12 * ilk_cpu_count());
  n = n < 1 ? 1 : n > THREADS_MOST ? THREADS_MOST : n;
  int64_t live_before = ilk_live(), warm = 0, memory = 0;
  alarm((unsigned)(2 * seconds + 300)); /* it hangs */
  make_stations();
  for (int round = 1; round <= ROUNDS; round++) {
    fill_yard();
    run_round((int)n, seconds * SECOND / ROUNDS);
    empty_yard();
    check_sums();
    memory = resident();
    if (round <= WARM)
      warm = memory;
    printf("# round %d of %d: %" PRId64 " visits, %" PRId64 " threads, %" PRId64 " KiB\n", round,
           ROUNDS, visits, threads_made, memory / 1024);
    fflush(stdout);
  }
  free_stations();
  printf("# %" PRId64 " threads at a time, %" PRId64 " in all, %" PRId64 " visits, %" PRId64
         " reads; %" PRId64 " died with a lock, %" PRId64 " were told; %" PRId64
         " calls in the yard, %" PRId64 " freed; %" PRId64 " times cancelled, %" PRId64 " forks\n",
         n, threads_made, visits, excluded.reads, deaths, told, yard_calls, yard_freed, cancels,
         forks);
  int64_t left = ilk_live() - live_before;
  bool flat = memory - warm <= GROWTH || memory_is_not_ours_alone();
  printf("1..3\nok 1 - everything adds up\n%s 2 - memory: %" PRId64 " KiB after %d rounds, %" PRId64
         " KiB at the end\n%s 3 - handles: %" PRId64 " more than before\n",
         flat ? "ok" : "not ok", warm / 1024, WARM, memory / 1024, left == 0 ? "ok" : "not ok",
         left);
  return !(flat && left == 0);
}
