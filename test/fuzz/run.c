/* Runs a program and records its history.

   Every call is stamped before and after, by a counter that all threads share. Thread 0 starts the
   others and waits for them. When all threads that are left wait forever, it records which thread
   sleeps in which call, and cancels all waits for a moment. The model must agree to these sleeps:
   this finds a lost wake. At the end thread 0 makes some calls on every object and frees it. */
#include "fuzz.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OBJECTS 16
#define ROOM 384 /* calls of a thread, with those at the end */
#define MOST_STALLS 64
#define CANCELS 256

/* ns; longer than any time after which a wait in the library checks by itself */
#define SETTLED 3000000

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef _WIN32
#define MAY_FORK false
#elif defined(__SANITIZE_ADDRESS__)
#define MAY_FORK false /* in the child a lock of its allocator may stay locked */
#else
#define MAY_FORK true
#endif

struct context {
  pthread_t thread;
  int id;
  pid_t tid;
  _Atomic int n;
  _Atomic bool waits_for_ever, finished;
  bool joined;
  int64_t exit_begin, exit_end; /* 0: not yet */
  struct entry entry[ROOM];
};

struct stall {
  int thread, entry;
  unsigned beside;
  int64_t begin, end;
};

static struct {
  const struct program *program;
  struct counts *counts;
  struct object object[OBJECTS];
  _Atomic int objects, current[SLOTS];
  void *freed[KINDS];
  _Atomic int64_t clock;
  struct context context[THREADS + 1];
  struct {
    int64_t begin;
    _Atomic int64_t end;
  } cancel[CANCELS];
  _Atomic int cancels;
  struct stall stall[MOST_STALLS];
  int stalls, times_stalled; /* noted, and in all */
  _Atomic bool go, wrong;
  int64_t forked; /* in a fork's child: when */
} r;

static pthread_mutex_t end_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_condition = PTHREAD_COND_INITIALIZER;

static int64_t stamp(void)
{
  return ++r.clock;
}

static int64_t now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void nap(int64_t ns)
{
  struct timespec t = {ns / 1000000000, ns % 1000000000};
  nanosleep(&t, NULL);
}

/* --- reporting what is wrong ------------------------------------------------------------- */

static void print_entry(const struct entry *e)
{
  static const char *const others[] = {"was blocked in ", "exited", "gave up the mutex",
                                       "took the mutex back", "found the mutex not held"};
  int64_t end = e->end;
  fprintf(stderr, "  %5" PRId64 " ", e->begin);
  fprintf(stderr, end && end != INT64_MAX ? "%5" PRId64 : "    -", end);
  fprintf(stderr, "  thread %d ", e->thread);
  if (e->call >= CALLS)
    fputs(others[e->call - CALLS], stderr);
  if (e->call <= BLOCKED)
    op_print(&e->op, e->object < 0 ? KINDS : r.object[e->object].made.kind);
  if (e->call < CALLS && end && !e->may_have_happened)
    fprintf(stderr, " = %s %" PRId64, (char *)ilk_error_name(e->result), e->value);
  fputc('\n', stderr);
}

static void tell(const struct entry *e, const char *format, ...)
{
  if (atomic_exchange(&r.wrong, true))
    return; /* once is enough */
  va_list arguments;
  va_start(arguments, format);
  fputs(r.forked ? "wrong, in a fork's child: " : "wrong: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  if (e)
    print_entry(e);
}

/* --- one call ------------------------------------------------------------------------------ */

static void pause_before(const struct op *op)
{
  if (op->pause >= 14)
    nap(op->pause == 14 ? 20000 : 200000);
  else if (op->pause >= 12)
    sched_yield();
  else if (op->pause)
    for (int i = 0; i < 1 << op->pause; i++)
      __asm__ __volatile__("");
}

/* *is_right: the object's own, of the kind that the call is for. */
static void *handle_for(const struct op *op, const struct object *o, bool *is_right)
{
  *is_right = false;
  uint64_t random = (uint64_t)op->a;
  int beside = atomic_load(&r.current[(op->slot + 1) % r.program->slots]);
  const struct object *other = &r.object[beside];
  switch (op->handle) {
  case RIGHT: *is_right = true; return o->handle;
  case FREED: return r.freed[o->made.kind];
  case OF_ANOTHER: return other->made.kind == o->made.kind ? NULL : other->handle;
  case FLIPPED:
    /* One of the tag's highest bits: a lower one may give the handle of the object that has the
       slot next. */
    return sizeof(void *) == 8
             ? (void *)((uintptr_t)o->handle ^ (uintptr_t)(UINT64_C(1) << (56 + random % 8)))
             : NULL;
  case GARBAGE:
    return random % 4 == 0   ? (void *)-1
           : random % 4 == 1 ? (void *)&r
                             : (void *)(uintptr_t)random_next(&random);
  default: return NULL;
  }
}

/* The thread that has freed an object makes its successor. */
static void make_again(const struct op *op, const struct object *freed)
{
  int i = op->a ? r.objects++ : OBJECTS;
  if (i >= OBJECTS)
    return;
  r.object[i].made = freed->made;
  r.object[i].slot = op->slot;
  if (object_new(&r.object[i]))
    r.current[op->slot] = i;
  else
    tell(NULL, "no object can be made: %s", (char *)ilk_error_name(ilk_last_error()));
}

static struct entry *begin(struct context *c, const struct op *op, int object)
{
  struct entry *e = &c->entry[c->n];
  memset(e, 0, sizeof *e);
  e->op = *op;
  e->call = op->call;
  e->thread = c->id;
  e->object = object;
  e->second = -1;
  e->called = e->begin = stamp();
  c->n++;
  return e;
}

static void check_result(const struct entry *e, bool is_right, int64_t began)
{
  const struct op *op = &e->op;
  if (e->result < 0 && !op->parts && e->result != ilk_last_error())
    tell(e, "the last error is %s", (char *)ilk_error_name(ilk_last_error()));
  if (!is_right && e->result != ILK_EHANDLE &&
      !(e->result == ILK_EINVAL && op_arguments_are_wrong(op)))
    tell(e, "a handle that is none got another result than ILK_EHANDLE");
  if (e->result == ILK_ETIMEDOUT && op->timeout > 0 && now() - began < op->timeout)
    tell(e, "it timed out after %" PRId64 " of %" PRId64 " ns", now() - began, op->timeout);
}

static void call_object(struct context *c, const struct op *op)
{
  int i = r.current[op->slot];
  struct object *o = &r.object[i];
  bool is_right, frees = op->call == FREE;
  void *handle = handle_for(op, o, &is_right), *second = NULL;
  struct entry *e = begin(c, op, is_right ? i : -1);
  if (op->call == CONDITION_WAIT) {
    int other = r.current[op->b % r.program->slots];
    second = r.object[other].handle;
    e->second = r.object[other].made.kind == MUTEX ? other : -1;
  }
  int64_t value = 0, began = op->timeout > 0 ? now() : 0;
  /* A condition's wait ends with its mutex, for which it may wait forever. */
  c->waits_for_ever = op->call == CONDITION_WAIT ||
                      (op->timeout == FOREVER && !frees && call_types[op->call].flags & WAITS);
  e->result = frees ? object_free(o->made.kind, handle) : call_make(handle, op, second, &value);
  c->waits_for_ever = false;
  e->value = e->result < 0 ? 0 : value;
  e->end = stamp();
  check_result(e, is_right, began);
  if (frees && is_right && e->result == ILK_OK)
    make_again(op, o);
}

static void cancel_for_a_moment(void)
{
  int i = r.cancels++;
  if (i < CANCELS) {
    r.cancel[i].begin = stamp();
    ilk_cancel(1);
  }
  ilk_cancel(0);
  if (i < CANCELS)
    r.cancel[i].end = stamp();
}

static void in_fork(struct context *c);

static void call_nothing(struct context *c, const struct op *op)
{
  struct entry *e = begin(c, op, -1);
  char text[2000];
  pid_t child;
  int status = 0;
  switch (op->call) {
  case CANCEL: cancel_for_a_moment(); break;
  case REPORT:
    if (ilk_report(text, sizeof text) <= 0 || ilk_live() < 0)
      tell(e, "no report");
    break;
  case SLEEP:
    e->result = ilk_sleep(op->timeout > 0 ? op->timeout : 0);
    if (e->result != ILK_OK && e->result != ILK_ECANCELED)
      tell(e, "no sleep");
    break;
  default: /* FORK */
    child = MAY_FORK ? fork() : -1;
    if (child == 0)
      in_fork(c);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
      ;
    if (status)
      tell(e, "the child's status is %#x", status);
  }
  e->end = stamp();
}

static void perform(struct context *c, const struct op *op)
{
  pause_before(op);
  if (op->call >= CANCEL)
    call_nothing(c, op);
  else if (c->n < ROOM)
    call_object(c, op);
}

static void *work(void *context)
{
  struct context *c = context;
  c->tid = (pid_t)syscall(SYS_gettid);
  while (!r.go)
    sched_yield();
  for (int i = 0; i < r.program->thread[c->id - 1].ops; i++)
    perform(c, &r.program->thread[c->id - 1].op[i]);
  c->exit_begin = stamp();
  pthread_mutex_lock(&end_mutex);
  c->finished = true;
  pthread_cond_signal(&end_condition);
  pthread_mutex_unlock(&end_mutex);
  if (r.program->thread[c->id - 1].exits)
    pthread_exit(NULL);
  return NULL;
}

/* --- when nothing moves any more ------------------------------------------------------------ */

static bool is_asleep(const struct context *c)
{
#ifdef _WIN32
  return thread_state(c->tid) == 'S';
#endif
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)c->tid);
  FILE *file = fopen(path, "r");
  if (!file)
    return false;
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  const char *end = strrchr(text, ')');
  return end && end[1] == ' ' && end[2] == 'S';
}

/* All threads that are left sleep in waits without a deadline; `calls` is how many calls they have
   made. */
static bool all_are_asleep(int *calls)
{
  *calls = 0;
  int left = 0;
  for (int t = 1; t <= r.program->threads; t++) {
    struct context *c = &r.context[t];
    if (c->joined)
      continue;
    if (c->finished || !c->waits_for_ever || !is_asleep(c))
      return false;
    left++;
    *calls += c->n;
  }
  return left && !started_threads;
}

/* The threads of the process. One of kind THREAD that is not quite gone may hold a lock of the
   library's own. */
static int tasks(void)
{
#ifdef _WIN32
  int64_t mapped, threads;
  process_size(&mapped, &threads);
  return (int)threads;
#endif
  struct stat status;
  return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink : -1;
}

static int tasks_at_least; /* without any */

static void note_stall(int64_t begin, int64_t end)
{
  int left = 0;
  bool writer = false;
  for (int t = 1; t <= r.program->threads; t++)
    if (!r.context[t].joined) {
      left++;
      writer = writer || r.context[t].entry[r.context[t].n - 1].call == WRITE_LOCK;
    }
  if (tasks() != tasks_at_least + left)
    return;
  for (int t = 1; t <= r.program->threads && r.stalls < MOST_STALLS; t++) {
    const struct context *c = &r.context[t];
    if (c->joined)
      continue;
    /* That writer may wait for another lock: then the reader's wait is not checked as strictly. */
    r.stall[r.stalls++] = (struct stall){t, c->n - 1, writer ? BESIDE_WRITER : 0, begin, end};
  }
}

/* A wait that no cancel ends: a condition's wait that reacquires its mutex. */
static void force_mutexes(void)
{
  for (int t = 1; t <= r.program->threads; t++) {
    const struct context *c = &r.context[t];
    const struct entry *e = &c->entry[c->n - 1];
    if (!c->joined && e->call == CONDITION_WAIT && e->second >= 0 &&
        r.current[r.object[e->second].slot] == e->second)
      perform(&r.context[0],
              &(struct op){.call = MUTEX_RESET, .slot = (uint8_t)r.object[e->second].slot});
  }
}

static void check_for_stall(void)
{
  static int calls_then;
  int calls, again;
  if (!all_are_asleep(&calls))
    return;
  nap(SETTLED);
  int64_t begin = stamp();
  if (!all_are_asleep(&again) || again != calls)
    return;
  int64_t end = stamp();
  r.counts->stalls++;
  bool stuck = r.times_stalled++ && calls == calls_then;
  calls_then = calls;
  note_stall(begin, end);
  if (stuck)
    force_mutexes();
  cancel_for_a_moment();
}

static void join_finished(int *left)
{
  for (int t = 1; t <= r.program->threads; t++) {
    struct context *c = &r.context[t];
    if (c->joined || !c->finished)
      continue;
    pthread_join(c->thread, NULL);
    c->exit_end = stamp();
    c->joined = true;
    --*left;
  }
}

static void wait_for_all(void)
{
  for (int left = r.program->threads; left;) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    bool finished = false;
    pthread_mutex_lock(&end_mutex);
    for (int t = 1; t <= r.program->threads; t++)
      finished = finished || (r.context[t].finished && !r.context[t].joined);
    int timed_out = finished ? 0 : pthread_cond_timedwait(&end_condition, &end_mutex, &until);
    pthread_mutex_unlock(&end_mutex);
    join_finished(&left);
    if (timed_out && left)
      check_for_stall();
  }
}

/* --- the end: calls on every object, and its free -------------------------------------------- */

static int try_once(struct context *c, int slot, int call, int64_t a)
{
  bool tries = call_types[call].flags & HAS_TRY;
  struct op op = {
    .call = (uint8_t)call, .slot = (uint8_t)slot, .a = a, .timeout = tries ? TRY : FOREVER};
  if (c->n >= ROOM)
    return ILK_EPERM;
  perform(c, &op);
  return c->entry[c->n - 1].result;
}

static void until_it_fails(struct context *c, int slot, int call)
{
  for (int i = 0; i < OPS && try_once(c, slot, call, 0) == ILK_OK; i++)
    ;
}

static void finish_slot(struct context *c, int slot)
{
  int kind = r.object[r.current[slot]].made.kind;
  switch (kind) {
  case MUTEX:
    try_once(c, slot, MUTEX_LOCK, 0);
    until_it_fails(c, slot, MUTEX_UNLOCK);
    break;
  case WORD:
    try_once(c, slot, WORD_LOCK, 0);
    until_it_fails(c, slot, WORD_UNLOCK);
    break;
  case ROBUST:
    if (r.forked) /* the child's lock is a copy, and shares no memory with its holder */
      break;
    try_once(c, slot, ROBUST_LOCK, 0);
    until_it_fails(c, slot, ROBUST_UNLOCK);
    break;
  case RWLOCK:
    try_once(c, slot, WRITE_LOCK, 0);
    try_once(c, slot, WRITE_UNLOCK, 0);
    try_once(c, slot, READ_LOCK, 0);
    until_it_fails(c, slot, READ_UNLOCK);
    break;
  case ONCE:
    try_once(c, slot, ONCE_BEGIN, 0);
    try_once(c, slot, ONCE_END, 1);
    break;
  case LOCKARRAY:
    for (int i = 0; i < r.object[r.current[slot]].made.a; i++) {
      try_once(c, slot, LOCK_AT, i);
      try_once(c, slot, UNLOCK_AT, i);
    }
    break;
  case QUEUE: until_it_fails(c, slot, GET); break;
  case THREAD: try_once(c, slot, JOIN, 0); break;
  default:
    for (int call = 0; call < FREE; call++) /* what needs no argument and does not wait */
      if (call_types[call].kind == kind && !(call_types[call].flags & WAITS))
        try_once(c, slot, call, 0);
  }
  if (!is_in_memory(kind))
    try_once(c, slot, FREE, 0);
}

/* --- the histories of the objects
   --------------------------------------------------------------- */

static struct entry history[ENTRIES];
static int length;

static void add(const struct entry *e, int call, int object, int64_t begin, int64_t end)
{
  if (length < ENTRIES) {
    history[length] = *e;
    history[length].call = call;
    history[length].object = object;
    history[length].begin = begin;
    history[length].end = end;
  }
  length++;
}

/* The last stall at which that call was asleep, or NULL; *first: the first such. */
static const struct stall *stall_of(const struct entry *e, const struct stall **first)
{
  const struct stall *last = *first = NULL;
  for (int i = 0; i < r.stalls; i++)
    if (&r.context[r.stall[i].thread].entry[r.stall[i].entry] == e) {
      *first = *first ? *first : &r.stall[i];
      last = &r.stall[i];
    }
  return last;
}

/* A condition's wait, as the mutex sees it. */
static void add_wait(const struct entry *e, int64_t begin, int64_t end, const struct stall *first)
{
  struct entry part = *e;
  part.may_have_happened = e->may_have_happened || e->result == ILK_EHANDLE;
  part.result = ILK_OK;
  if (e->result == ILK_EPERM && !part.may_have_happened) {
    add(&part, NOT_HELD, e->second, e->begin, end);
    return;
  }
  add(&part, GIVEN_UP, e->second, e->begin, first ? first->begin : end);
  if (part.may_have_happened) {
    if (e->may_have_happened) /* the wait may have ended, and the call not have returned */
      add(&part, TAKEN_BACK, e->second, begin, end);
    return;
  }
  part.result = e->result == ILK_OWNER_DIED ? ILK_OWNER_DIED : ILK_OK;
  add(&part, TAKEN_BACK, e->second, begin, end);
}

static void add_call(const struct entry *original, int object)
{
  struct entry copy = *original;
  struct entry *e = &copy;
  const struct stall *first, *last = stall_of(original, &first);
  int64_t begin = last ? last->end : e->begin, end = e->end;
  if (!end) { /* at the fork */
    e->may_have_happened = true;
    end = r.forked;
  }
  /* A condition's wait that was asleep may have been notified before, and have waited for its
     mutex. */
  bool is_condition = r.object[object].made.kind == CONDITION;
  if (e->object == object)
    add(e, e->call, object, is_condition ? e->begin : begin, end);
  /* If the condition's handle was wrong, the mutex was not used. */
  if (e->second == object && e->object >= 0)
    add_wait(e, begin, end, first);
}

static void add_stalls(int object)
{
  for (int i = 0; i < r.stalls; i++) {
    const struct stall *s = &r.stall[i];
    const struct entry *e = &r.context[s->thread].entry[s->entry];
    int kind = e->object < 0 ? KINDS : r.object[e->object].made.kind;
    if (e->object == object && kind != BARRIER && kind != CONDITION) {
      add(e, BLOCKED, object, s->begin, s->end);
      if (length <= ENTRIES) {
        history[length - 1].beside = s->beside;
        history[length - 1].called = s->begin;
      }
    }
  }
}

static void add_exits(int object)
{
  struct entry e = {.second = -1};
  for (int t = 1; t <= r.program->threads; t++) {
    const struct context *c = &r.context[t];
    e.thread = t;
    if (c->exit_end)
      add(&e, EXITED, object, c->exit_begin, c->exit_end);
    else if (r.forked && t != r.context[0].id) /* it may have been about to */
      add(&e, EXITED, object, c->exit_begin ? c->exit_begin : r.forked, r.forked + 1);
  }
}

static bool overlap(const struct entry *a, int64_t begin, int64_t end)
{
  return a->called < end && begin < a->end;
}

/* What the first is to know of the second. */
static unsigned beside(const struct entry *a, const struct entry *b)
{
  if (a->thread == b->thread || b->call == BLOCKED || b->call == EXITED || b->call == NOT_HELD)
    return 0;
  int flags = b->call < CALLS       ? call_types[b->call].flags
              : b->call == GIVEN_UP ? RELEASES
                                    : ATTEMPT;
  unsigned multi = flags & MULTI ? BESIDE_MULTI : 0;
  unsigned cut = b->may_have_happened ? BESIDE_CUT_PUT : 0;
  unsigned itself = b->call == FREE ? BESIDE_FREE : b->call == PUT ? BESIDE_PUT | cut : 0;
  if (!overlap(a, b->called, b->end)) /* a call that a fork cut off may be half done */
    return b->may_have_happened && a->called > b->called ? multi : 0;
  return BESIDE_ANY | multi | itself | (flags & ATTEMPT ? BESIDE_ATTEMPT : 0) |
         (flags & RELEASES ? BESIDE_RELEASE : 0);
}

static void note_what_is_beside(void)
{
  for (int i = 0; i < length; i++) {
    for (int j = 0; j < length; j++)
      history[i].beside |= i == j ? 0 : beside(&history[i], &history[j]);
    int cancels = r.cancels < CANCELS ? r.cancels : CANCELS;
    for (int j = 0; j < cancels; j++)
      if (overlap(&history[i], r.cancel[j].begin, r.cancel[j].end ? r.cancel[j].end : INT64_MAX))
        history[i].beside |= BESIDE_CANCEL;
  }
}

static void check_object(int object)
{
  length = 0;
  for (int t = 0; t <= r.program->threads; t++)
    for (int i = 0; i < r.context[t].n; i++)
      add_call(&r.context[t].entry[i], object);
  add_stalls(object);
  add_exits(object);
  r.counts->histories++;
  if (length > ENTRIES) {
    r.counts->undecided++;
    return;
  }
  note_what_is_beside();
  enum verdict verdict = linear_check(&r.object[object], history, length);
  r.counts->undecided += verdict == UNDECIDED;
  if (verdict != NOT_LINEARIZABLE)
    return;
  const struct slot *made = &r.object[object].made;
  tell(NULL,
       "no order of the calls explains this history of a %s, flags %d, %" PRId64 " (begin, end):",
       kind_names[made->kind], made->flags, made->a);
  for (int i = 0; i < length; i++)
    print_entry(&history[i]);
}

static void check_all(void)
{
  int n = r.objects < OBJECTS ? r.objects : OBJECTS;
  for (int i = 0; i < n && !r.wrong; i++)
    check_object(i);
}

/* The other threads do not exist in the child. */
static void in_fork(struct context *c)
{
  alarm(60);
  ilk_cancel(0);
  r.forked = stamp();
  r.clock += 2;            /* their ends come before what we do */
  r.context[0].id = c->id; /* the thread that add_exits() leaves alive */
  for (int slot = 0; slot < r.program->slots; slot++)
    finish_slot(c, slot);
  check_all();
  fflush(stderr);
  _exit(r.wrong);
}

/* --- a run
   ------------------------------------------------------------------------------------------ */

/* A handle of each kind that was freed. */
static void free_one_of_each(void)
{
  for (int kind = 0; kind < KINDS; kind++) {
    struct object o = {.made = {.kind = (uint8_t)kind, .a = 1}};
    if (is_in_memory(kind) || kind == THREAD || !object_new(&o))
      continue;
    r.freed[kind] = o.handle;
    object_free(kind, o.handle);
  }
}

static void begin_run(const struct program *p, struct counts *counts)
{
  if (!r.freed[MUTEX])
    free_one_of_each();
  for (int t = 0; t <= THREADS; t++) {
    struct context *c = &r.context[t];
    c->id = t;
    c->n = 0;
    c->joined = false;
    c->finished = false;
    c->waits_for_ever = false;
    c->exit_begin = c->exit_end = 0;
  }
  for (int i = 0; i < CANCELS && i < r.cancels; i++)
    r.cancel[i].end = 0;
  r.program = p;
  r.counts = counts;
  r.cancels = 0;
  r.stalls = r.times_stalled = 0;
  r.clock = 0;
  r.go = false;
  r.wrong = false;
  r.objects = p->slots;
  for (int i = 0; i < p->slots; i++) {
    r.object[i].made = p->slot[i];
    r.object[i].slot = i;
    r.current[i] = i;
    if (!object_new(&r.object[i]))
      tell(NULL, "no object can be made: %s", (char *)ilk_error_name(ilk_last_error()));
  }
}

bool run(const struct program *p, struct counts *counts)
{
  int64_t live = ilk_live();
  int tasks_now = tasks(); /* some of an earlier run may not be gone */
  if (!tasks_at_least || tasks_now < tasks_at_least)
    tasks_at_least = tasks_now;
  begin_run(p, counts);
  for (int t = 1; t <= p->threads && !r.wrong; t++)
    if (pthread_create(&r.context[t].thread, NULL, work, &r.context[t]) != 0)
      tell(NULL, "no thread can be made");
  if (r.wrong)
    return false;
  r.go = true;
  wait_for_all();
  for (int slot = 0; slot < p->slots; slot++)
    finish_slot(&r.context[0], slot);
  check_all();
  if (ilk_live() != live)
    tell(NULL, "%" PRId64 " handles are live, before it were %" PRId64, ilk_live(), live);
  counts->programs++;
  counts->cancels += r.cancels;
  for (int t = 0; t <= p->threads; t++)
    for (int i = 0; i < r.context[t].n; i++) {
      counts->calls++;
      counts->forks += r.context[t].entry[i].call == FORK;
      counts->deaths += r.context[t].entry[i].result == ILK_OWNER_DIED;
    }
  return !r.wrong;
}
