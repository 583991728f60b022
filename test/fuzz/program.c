/* Makes a program from a seed, and prints it. */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

/* --- chance ------------------------------------------------------------------------------ */

static _Thread_local uint64_t chance;

static int64_t below(int64_t n)
{
  return (int64_t)(random_next(&chance) % (uint64_t)n);
}

static bool one_in(int64_t n)
{
  return below(n) == 0;
}

#define PICK(array) ((array)[below((int64_t)(sizeof(array) / sizeof *(array)))])

/* --- objects ------------------------------------------------------------------------------- */

/* Those whose histories are checked most closely. */
static const uint8_t exact[] = {COUNTER, QUEUE, SEMAPHORE, ONCE, LOCKARRAY, RWLOCK,
                                MUTEX,   EVENT, LATCH,     WORD, ROBUST};

/* ThreadSanitizer takes a refused unlock for a mistake of the program. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define HAS_ROBUST false
#else
#define HAS_ROBUST true
#endif

struct slot slot_make(int kind)
{
  static const uint8_t mutexes[] = {
    0, 0, ILK_RECURSIVE, ILK_FAIR, ILK_FAIR | ILK_RECURSIVE, ILK_UNOWNED, ILK_UNOWNED | ILK_FAIR};
  uint64_t lock[ILK_ROBUST_SIZE / sizeof(uint64_t)] = {0};
  if (kind == ROBUST && (!HAS_ROBUST || ilk_robust_unlock(lock) == ILK_ENOTSUP))
    kind = WORD;
  struct slot s = {.kind = (uint8_t)kind};
  switch (kind) {
  case MUTEX: s.flags = PICK(mutexes); break;
  case RWLOCK: s.flags = one_in(3) ? ILK_FAIR : 0; break;
  case SEMAPHORE: s.a = below(4); break;
  case BARRIER:
  case LATCH: s.a = 1 + below(3); break;
  case LOCKARRAY:
    s.a = 1 + below(4);
    s.flags = one_in(3) ? ILK_PADDED : 0;
    break;
  case QUEUE: s.a = 1 + below(3); break;
  case THREAD:
    s.flags = one_in(3); /* it leaves by pthread_exit() */
    break;
  case SLICES: s.a = 8; break;
  }
  return s;
}

/* --- calls ----------------------------------------------------------------------------------- */

static int pick_call(const struct program *p, int kind)
{
  for (;;) {
    int total = 0, call = -1;
    for (int i = 0; i < FREE; i++)
      if (call_types[i].kind == kind && below(total += call_types[i].weight) < call_types[i].weight)
        call = i;
    /* Of a lock that others may hold it is no call for others. */
    if (call != MUTEX_RESET || p->threads == 1)
      return call;
  }
}

static int64_t pick_timeout(int call)
{
  if (!(call_types[call].flags & WAITS))
    return 0;
  switch (below(10)) {
  case 0: return FOREVER;
  case 1: return 0;
  case 2:
  case 3:
  case 4: return call_types[call].flags & HAS_TRY ? TRY : 0;
  default: return 1 + below(one_in(4) ? 300000 : 20000);
  }
}

/* Seldom one that is out of range. */
static void pick_arguments(struct op *op, const struct slot *s, int64_t serial)
{
  switch (op->call) {
  case RELEASE: op->a = one_in(20) ? -1 : below(3); break;
  case LATCH_ADD:
  case LATCH_COUNT_DOWN:
  case NOTIFY: op->a = one_in(20) ? -1 : 1 + below(2); break;
  case CONDITION_WAIT: op->b = below(SLOTS); break;
  case ONCE_END: op->a = one_in(2); break;
  case BARRIER_WAIT: op->a = s->a; break; /* its parties */
  case COUNTER_ADD: op->a = 1 + below(3); break;
  case COUNTER_WAIT: op->a = below(8); break;
  case COUNTER_COMPARE_EXCHANGE:
  case COUNTER_STORE:
  case COUNTER_EXCHANGE:
    op->a = below(4);
    op->b = below(6);
    break;
  case TALLY_ADD: op->a = below(5) - 2; break;
  case LOCK_AT:
  case UNLOCK_AT:
  case LOCK_PAIR:
  case UNLOCK_PAIR:
    op->a = one_in(20) ? PICK(((int64_t[]){-1, s->a, INT64_MAX})) : below(s->a);
    op->b = below(s->a);
    break;
  case LOCK_RANGE:
  case UNLOCK_RANGE:
    op->a = below(s->a + 1);
    op->b = one_in(20) ? below(10) : op->a + below(s->a - op->a + 1);
    break;
  case PUT:
  case LOCAL_SET:
    op->a = serial; /* each another */
    break;
  case FREE:
    op->a = one_in(2); /* then it is made again */
    break;
  }
}

int undoing(int call)
{
  switch (call) {
  case MUTEX_LOCK: return MUTEX_UNLOCK;
  case READ_LOCK: return READ_UNLOCK;
  case WRITE_LOCK: return one_in(6) ? DOWNGRADE : WRITE_UNLOCK;
  case ACQUIRE: return RELEASE;
  case ONCE_BEGIN: return ONCE_END;
  case LOCK_AT: return UNLOCK_AT;
  case LOCK_PAIR: return UNLOCK_PAIR;
  case LOCK_RANGE: return UNLOCK_RANGE;
  case WORD_LOCK: return WORD_UNLOCK;
  case ROBUST_LOCK: return ROBUST_UNLOCK;
  default: return CALLS;
  }
}

static struct op make_op(const struct program *p, bool strict, int64_t serial)
{
  struct op op = {.pause = (uint8_t)(one_in(2) ? 0 : below(16))};
  if (!strict && one_in(12)) {
    static const uint8_t others[] = {CANCEL, CANCEL, REPORT, SLEEP, SLEEP, FORK};
    op.call = PICK(others);
    op.timeout = below(100000);
    if (op.call != FORK || one_in(3))
      return op;
  }
  op.slot = (uint8_t)below(p->slots);
  const struct slot *s = &p->slot[op.slot];
  op.call =
    !is_in_memory(s->kind) && one_in(strict ? 60 : 12) ? FREE : (uint8_t)pick_call(p, s->kind);
  op.timeout = op.call == FREE ? 0 : pick_timeout(op.call);
  op.parts = (uint8_t)(one_in(3) ? 1 + below(4) : 0);
  pick_arguments(&op, s, serial);
  if (!strict && !is_in_memory(s->kind) && one_in(8)) {
    op.handle = (uint8_t)below(HANDLES);
    op.a = op.handle > OF_ANOTHER ? (int64_t)(random_next(&chance) >> 1) : op.a;
  }
  return op;
}

static void make_thread(struct program *p, int t, int most, bool strict)
{
  int n = 1 + (int)below(most);
  p->thread[t].exits = one_in(4);
  p->thread[t].ops = 0;
  for (int i = 0; i < n; i++) {
    struct op op = make_op(p, strict, t * 100 + i + 1);
    p->thread[t].op[p->thread[t].ops++] = op;
    int undo = op.handle == RIGHT ? undoing(op.call) : CALLS;
    if (undo == CALLS || i + 1 == n || one_in(4))
      continue;
    i++;
    op.call = (uint8_t)undo;
    op.timeout = 0;
    op.pause = (uint8_t)below(16);
    if (undo == RELEASE)
      op.a = 1;
    p->thread[t].op[p->thread[t].ops++] = op;
  }
}

struct op op_make(const struct slot *s, uint64_t *state)
{
  chance = *state;
  struct op op = {.call = (uint8_t)pick_call(&(struct program){.threads = 2}, s->kind)};
  op.timeout = pick_timeout(op.call);
  pick_arguments(&op, s, below(1000));
  *state = chance;
  return op;
}

void program_make(struct program *p, uint64_t seed)
{
  chance = seed;
  memset(p, 0, sizeof *p);
  p->seed = seed;
  bool strict = one_in(2); /* a long history of one object */
  p->threads = strict ? 2 + (int)below(THREADS - 1) : 1 + (int)below(THREADS);
  p->slots = strict ? 1 : 1 + (int)below(SLOTS);
  for (int i = 0; i < p->slots; i++)
    p->slot[i] = slot_make(strict ? PICK(exact) : (int)below(KINDS));
  if (p->slot[0].kind == CONDITION && p->slots > 1)
    p->slot[1] = slot_make(MUTEX);
  for (int t = 0; t < p->threads; t++)
    make_thread(p, t, strict || p->threads == 1 ? OPS : OPS / 3, strict);
}

bool op_arguments_are_wrong(const struct op *op)
{
  switch (op->call) {
  case RELEASE:
  case LATCH_ADD:
  case LATCH_COUNT_DOWN:
  case NOTIFY: return op->a < 0;
  default: return false;
  }
}

/* --- printing
   ---------------------------------------------------------------------------------- */

void op_print(const struct op *op, int kind)
{
  static const char *const handles[HANDLES] = {
    "", "NULL: ", "freed before: ", "of another kind: ", "with a bit flipped: ", "garbage: "};
  if (op->call >= CANCEL) {
    fprintf(stderr, "%s(%" PRId64 ")", call_types[op->call].name, op->timeout);
    return;
  }
  fprintf(stderr, "%s(%sobject %d", call_types[op->call].name, handles[op->handle], op->slot);
  if (op->call == FREE)
    fprintf(stderr, ", a %s%s", kind < KINDS ? kind_names[kind] : "?", op->a ? ", made again" : "");
  else
    fprintf(stderr, ", %" PRId64 ", %" PRId64, op->a, op->b);
  if (call_types[op->call].flags & WAITS)
    fprintf(stderr,
            op->timeout == FOREVER ? ", for ever"
            : op->timeout == TRY   ? ", a try"
                                   : ", %" PRId64 " ns",
            op->timeout);
  if (op->parts && call_types[op->call].flags & WAITS)
    fprintf(stderr, ", in parts, %d", op->parts);
  fputc(')', stderr);
}

void program_print(const struct program *p)
{
  fprintf(stderr, "program %" PRIu64 ":\n", p->seed);
  for (int i = 0; i < p->slots; i++)
    fprintf(stderr, "  object %d is a %s, flags %d, %" PRId64 "\n", i, kind_names[p->slot[i].kind],
            p->slot[i].flags, p->slot[i].a);
  for (int t = 0; t < p->threads; t++) {
    fprintf(stderr, "  thread %d%s\n", t + 1,
            p->thread[t].exits ? ", which leaves by pthread_exit()" : "");
    for (int i = 0; i < p->thread[t].ops; i++) {
      const struct op *op = &p->thread[t].op[i];
      fprintf(stderr, "    after a pause %-2d ", op->pause);
      op_print(op, op->call >= CANCEL ? KINDS : p->slot[op->slot].kind);
      fputc('\n', stderr);
    }
  }
}
