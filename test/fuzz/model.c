/* The meaning of each call if calls come one after another: the header as a program. */
#include "fuzz.h"

#include <string.h>

_Static_assert(sizeof(struct state) == 8 + 8 * PLACES + PLACES + PLACES + 2 + 2 + 4,
               "no padding: states are compared as bytes");
_Static_assert(THREADS + 1 <= PLACES, "a place for each thread");

#define DEAD INT8_MAX /* the owner has exited */

enum { WHOLE, BROKEN, UNKNOWN }; /* a barrier's value */

void model_begin(const struct object *o, struct state *s)
{
  memset(s, 0, sizeof *s);
  switch (o->made.kind) {
  case SEMAPHORE: s->value = o->made.a < 1 ? o->made.a : 1; break;
  case LATCH: s->value = o->made.a; break;
  }
}

/* --- each kind's calls: the result; ILK_EBUSY: not now --------------------------------------- */

/* Takes place i for thread t. */
static int take(struct state *s, int i, int t)
{
  int result = s->owner[i] == DEAD ? ILK_OWNER_DIED : ILK_OK;
  if (s->owner[i] && s->owner[i] != DEAD)
    return ILK_EBUSY;
  s->owner[i] = (int8_t)(t + 1);
  return result;
}

static int set_value(int64_t *place, int64_t value)
{
  *place = value;
  return ILK_OK;
}

/* Also a lock in memory. depth[0] is how often the owner holds it. */
static int mutex_step(int flags, struct state *s, const struct entry *e, int64_t *value)
{
  int t = e->thread, result;
  bool owned = !(flags & ILK_UNOWNED), mine = owned && s->owner[0] == t + 1;
  switch (e->call) {
  case MUTEX_LOCK:
  case WORD_LOCK:
  case ROBUST_LOCK:
    if (mine && !(flags & ILK_RECURSIVE))
      return ILK_EDEADLK;
    result = mine ? ILK_OK : take(s, 0, t);
    if (result >= 0)
      s->depth[0] = (int8_t)(mine ? s->depth[0] + 1 : 1);
    return result;
  case MUTEX_UNLOCK:
  case WORD_UNLOCK:
  case ROBUST_UNLOCK:
    if (owned ? !mine : !s->owner[0])
      /* Two unlocks of an unowned mutex at the same time cannot be distinguished. */
      return !owned && e->beside & BESIDE_RELEASE && e->result == ILK_OK ? ILK_OK : ILK_EPERM;
    if (--s->depth[0] == 0)
      s->owner[0] = 0;
    return ILK_OK;
  case MUTEX_RESET: s->owner[0] = s->depth[0] = 0; return ILK_OK;
  case MUTEX_IS_LOCKED: return set_value(value, s->owner[0] != 0);
  case MUTEX_DEPTH: return set_value(value, owned ? mine * s->depth[0] : s->owner[0] != 0);
  case NOT_HELD: return (owned ? mine : s->owner[0] != 0) ? ILK_EBUSY : ILK_OK;
  case GIVEN_UP:
    if (owned ? !mine : !s->owner[0])
      return ILK_EPERM;
    s->item[t] = s->depth[0];
    s->owner[0] = s->depth[0] = 0;
    return ILK_OK;
  default: /* TAKEN_BACK */
    result = take(s, 0, t);
    if (result >= 0)
      s->depth[0] = (int8_t)s->item[t];
    return result;
  }
}

/* depth[] is how often each thread reads. */
static int rwlock_step(struct state *s, const struct entry *e)
{
  int t = e->thread, others = 0, result;
  bool writes = s->owner[0] == t + 1;
  for (int i = 0; i < PLACES; i++)
    others += i != t && s->depth[i];
  switch (e->call) {
  case READ_LOCK:
    if (writes)
      return ILK_EDEADLK;
    result = s->depth[t] ? ILK_OK : take(s, 0, t);
    if (result < 0)
      return result;
    s->owner[0] = 0;
    s->depth[t]++;
    return result;
  case READ_UNLOCK: return s->depth[t] ? (s->depth[t]--, ILK_OK) : ILK_EPERM;
  case WRITE_LOCK: return writes || s->depth[t] ? ILK_EDEADLK : others ? ILK_EBUSY : take(s, 0, t);
  default: /* WRITE_UNLOCK, DOWNGRADE */
    if (!writes)
      return ILK_EPERM;
    s->owner[0] = 0;
    s->depth[t] = e->call == DOWNGRADE;
    return ILK_OK;
  }
}

static int semaphore_step(int64_t maximum, struct state *s, const struct entry *e, int64_t *value)
{
  int64_t n = e->op.a;
  switch (e->call) {
  case ACQUIRE: return s->value ? (s->value--, ILK_OK) : ILK_EBUSY;
  case RELEASE:
    if (n < 0 || s->value + n > (maximum < 1 ? INT32_MAX : maximum))
      return n < 0 ? ILK_EINVAL : ILK_EOVERFLOW;
    s->value += n;
    return ILK_OK;
  default: return set_value(value, s->value);
  }
}

static int event_step(struct state *s, const struct entry *e, int64_t *value)
{
  switch (e->call) {
  case EVENT_SET:
  case EVENT_CLEAR: return set_value(&s->value, e->call == EVENT_SET);
  case EVENT_IS_SET: return set_value(value, s->value);
  default: return s->value ? ILK_OK : ILK_EBUSY;
  }
}

static int latch_step(struct state *s, const struct entry *e, int64_t *value)
{
  int64_t n = e->op.a;
  switch (e->call) {
  case LATCH_ADD: return n < 0 ? ILK_EINVAL : set_value(&s->value, s->value + n);
  case LATCH_COUNT_DOWN:
    return n < 0 || n > s->value ? ILK_EINVAL : set_value(&s->value, s->value - n);
  case LATCH_WAIT: return s->value ? ILK_EBUSY : ILK_OK;
  default: return set_value(value, s->value);
  }
}

/* The value is 1 once it is done. */
static int once_step(struct state *s, const struct entry *e, int64_t *value)
{
  int t = e->thread;
  if (e->call == ONCE_END) {
    if (s->owner[0] != t + 1)
      return ILK_EPERM;
    s->owner[0] = 0;
    s->value = e->op.a != 0;
    return ILK_OK;
  }
  if (s->value)
    return set_value(value, 0);
  if (s->owner[0] == t + 1)
    return ILK_EDEADLK;
  if (take(s, 0, t) < 0)
    return ILK_EBUSY;
  return set_value(value, 1);
}

static int counter_step(struct state *s, const struct entry *e, int64_t *value)
{
  int64_t a = e->op.a;
  *value = s->value;
  switch (e->call) {
  case COUNTER_STORE:
    *value = 0; /* it returns none */
    return set_value(&s->value, a);
  case COUNTER_EXCHANGE: return set_value(&s->value, a);
  case COUNTER_ADD: return set_value(&s->value, s->value + a);
  case COUNTER_COMPARE_EXCHANGE: return set_value(&s->value, s->value == a ? e->op.b : s->value);
  case COUNTER_WAIT: *value = 0; return s->value >= a ? ILK_OK : ILK_EBUSY;
  default: return ILK_OK;
  }
}

/* One after another it is a counter. A sum counts each add beside it, or not; and so does a reset,
   after which the sum is unknown (`closed`). */
static int tally_step(struct state *s, const struct entry *e, int64_t *value)
{
  bool alone = !(e->beside & BESIDE_ANY);
  switch (e->call) {
  case TALLY_ADD: return set_value(&s->value, s->value + e->op.a);
  case TALLY_RESET: s->closed = !alone; return set_value(&s->value, 0);
  default: return set_value(value, alone && !s->closed ? s->value : e->value);
  }
}

static int lockarray_step(int64_t n, struct state *s, const struct entry *e)
{
  int t = e->thread, result = ILK_OK;
  int64_t a = e->op.a, b = e->op.b, low = a, high = b, by = 1;
  bool is_range = e->call == LOCK_RANGE || e->call == UNLOCK_RANGE;
  if (!is_range && (a < 0 || a >= n)) /* b is in range: see pick_arguments() */
    return ILK_EINVAL;
  if (e->call == LOCK_AT || e->call == UNLOCK_AT)
    high = a + 1;
  if (e->call == LOCK_PAIR || e->call == UNLOCK_PAIR) {
    low = a < b ? a : b;
    high = (a < b ? b : a) + 1;
    by = a == b ? 1 : high - 1 - low;
  }
  if (low < 0 || high > n || low > high)
    return ILK_EINVAL;
  bool unlocks = e->call == UNLOCK_AT || e->call == UNLOCK_PAIR || e->call == UNLOCK_RANGE;
  for (int64_t i = low; i < high; i += by) {
    bool mine = s->owner[i] == t + 1;
    if (unlocks ? !mine : mine)
      return unlocks ? ILK_EPERM : ILK_EDEADLK;
    if (!unlocks && s->owner[i] && s->owner[i] != DEAD)
      return ILK_EBUSY;
  }
  for (int64_t i = low; i < high; i += by)
    if (unlocks)
      s->owner[i] = 0;
    else if (take(s, (int)i, t) == ILK_OWNER_DIED)
      result = ILK_OWNER_DIED;
  return result;
}

static int queue_step(int64_t capacity, struct state *s, const struct entry *e, int64_t *value)
{
  switch (e->call) {
  case PUT:
    if (s->closed || s->items == capacity)
      return s->closed ? ILK_ECLOSED : ILK_EBUSY;
    s->item[s->items++] = e->op.a;
    return ILK_OK;
  case GET:
    if (!s->items)
      return s->closed ? ILK_ECLOSED : ILK_EBUSY;
    *value = s->item[0];
    memmove(&s->item[0], &s->item[1], sizeof s->item - sizeof *s->item);
    s->item[PLACES - 1] = 0;
    s->items--;
    return ILK_OK;
  case CLOSE: s->closed = true; return ILK_OK;
  case IS_CLOSED: return set_value(value, s->closed);
  default: return set_value(value, s->items);
  }
}

/* Each thread's own value; a slice's address stays what it was at first. */
static int own_step(struct state *s, const struct entry *e, int64_t *value)
{
  int64_t *own = &s->item[e->thread];
  if (e->call == LOCAL_SET)
    return set_value(own, e->op.a);
  if (e->call == SLICES_GET && !*own)
    *own = e->value;
  return set_value(value, *own);
}

/* Exact while no other thread calls; else any possible value. */
static int barrier_step(int64_t parties, struct state *s, const struct entry *e, int64_t *value)
{
  bool alone = !(e->beside & BESIDE_ANY);
  if (e->call == BARRIER_ABORT || e->call == BARRIER_RESET)
    return set_value(&s->value, !alone ? UNKNOWN : e->call == BARRIER_ABORT ? BROKEN : WHOLE);
  if (!alone)
    s->value = UNKNOWN;
  *value = e->value;
  if (e->call == BARRIER_IS_BROKEN)
    return s->value == UNKNOWN ? ILK_OK : set_value(value, s->value);
  if (s->value == UNKNOWN && (e->result == ILK_OK || e->result == ILK_EBROKEN))
    return e->value < 0 || e->value >= parties ? ILK_EINVAL : e->result;
  if (s->value == UNKNOWN)
    return ILK_EBUSY;
  if (s->value == BROKEN)
    return ILK_EBROKEN;
  return parties == 1 ? set_value(value, 0) : ILK_EBUSY;
}

static int condition_step(const struct entry *e)
{
  if (e->call == NOTIFY)
    return e->op.a < 0 ? ILK_EINVAL : ILK_OK;
  if (e->call == NOTIFY_ALL)
    return ILK_OK;
  /* The mutex's results are checked with the mutex. */
  bool by_the_mutex = e->result == ILK_OK || e->result == ILK_OWNER_DIED ||
                      e->result == ILK_EPERM || e->result == ILK_EHANDLE;
  return by_the_mutex ? e->result : ILK_EBUSY;
}

static int step(const struct object *o, struct state *s, const struct entry *e, int64_t *value)
{
  const struct slot *m = &o->made;
  switch (m->kind) {
  case MUTEX:
  case WORD:
  case ROBUST: return mutex_step(m->flags, s, e, value);
  case RWLOCK: return rwlock_step(s, e);
  case SEMAPHORE: return semaphore_step(m->a, s, e, value);
  case CONDITION: return condition_step(e);
  case EVENT: return event_step(s, e, value);
  case BARRIER: return barrier_step(m->a, s, e, value);
  case LATCH: return latch_step(s, e, value);
  case ONCE: return once_step(s, e, value);
  case COUNTER: return counter_step(s, e, value);
  case TALLY: return tally_step(s, e, value);
  case LOCKARRAY: return lockarray_step(m->a, s, e);
  case QUEUE: return queue_step(m->a, s, e, value);
  case THREAD: s->freed = true; return ILK_OK;
  default: return own_step(s, e, value);
  }
}

/* --- rules for all calls ------------------------------------------------------------------ */

static bool is_held(const struct object *o, const struct state *s)
{
  int kind = o->made.kind;
  bool held = kind == RWLOCK && memcmp(s->depth, (int8_t[PLACES]){0}, sizeof s->depth);
  for (int i = 0; i < PLACES; i++)
    held = held || (s->owner[i] && s->owner[i] != DEAD);
  return held;
}

static bool step_free(const struct object *o, struct state *s, const struct entry *e)
{
  bool held = is_held(o, s);
  if (e->result == ILK_EBUSY) /* or another waits */
    return held || e->beside & BESIDE_ANY;
  if (held || (e->result != ILK_OK && !e->may_have_happened))
    return false;
  s->freed = true;
  return true;
}

static bool step_exit(const struct object *o, struct state *s, int thread)
{
  bool owned = !(o->made.kind == MUTEX && o->made.flags & ILK_UNOWNED);
  for (int i = 0; owned && i < PLACES; i++)
    if (s->owner[i] == thread + 1)
      s->owner[i] = DEAD;
  if (o->made.kind == RWLOCK)
    s->depth[thread] = 0;
  return true;
}

/* Whether an attempt may fail although the lock is free: another thread is about to release it, or
   waits for it. An attempt on several locks holds some of them, and a writer keeps readers out. The
   oldest item of a queue may be one whose put has not returned: a get does not wait for it. */
static bool may_fail(const struct object *o, const struct entry *e)
{
  switch (o->made.kind) {
  case RWLOCK: return e->beside & BESIDE_ATTEMPT;
  case LOCKARRAY: return e->beside & BESIDE_MULTI;
  case QUEUE: return e->beside & (e->call == GET ? BESIDE_PUT : BESIDE_CUT_PUT);
  case BARRIER: /* it breaks: see below */ return e->beside & BESIDE_ANY;
  default: return false;
  }
}

/* A wait that ended without what it waited for; `now`: what an attempt gives. */
static bool may_end(const struct object *o, const struct entry *e, int now)
{
  /* It does not wait until a free is decided. */
  bool tries = e->op.timeout == TRY || e->op.timeout == 0;
  bool vain = now == ILK_EBUSY || may_fail(o, e) || o->made.kind == THREAD ||
              (tries && e->beside & BESIDE_FREE);
  switch (e->result) {
  case ILK_EBUSY: /* a try fails on what the caller holds, too */
    return e->op.timeout == TRY && (vain || now == ILK_EDEADLK);
  case ILK_ETIMEDOUT: /* so does one without time left */
    return e->op.timeout >= 0 &&
           (vain ||
            (now == ILK_EDEADLK && (e->op.timeout == 0 || call_types[e->call].flags & MULTI)));
  case ILK_ECANCELED: return e->beside & BESIDE_CANCEL && e->op.timeout != TRY && vain;
  case ILK_EDEADLK: /* round a cycle, which is not detected through a robust lock */
    return e->op.timeout == FOREVER && vain && call_types[e->call].flags & ATTEMPT &&
           o->made.kind != ROBUST;
  default: return false;
  }
}

static bool step_wait_ends(const struct object *o, struct state *s, const struct entry *e, int now)
{
  if (e->call >= CALLS || !(call_types[e->call].flags & WAITS) || !may_end(o, e, now))
    return false;
  if (o->made.kind == BARRIER)
    s->value = s->value == UNKNOWN || e->beside & BESIDE_ANY ? UNKNOWN : BROKEN;
  return true;
}

static bool step_blocked(const struct object *o, const struct state *s, const struct entry *e)
{
  struct state next = *s;
  struct entry call = *e;
  int64_t value = 0;
  call.call = e->op.call;
  bool waits_for_a_writer = call.call == READ_LOCK && e->beside & BESIDE_WRITER;
  return !s->freed &&
         (waits_for_a_writer || (o->made.kind == LOCKARRAY && e->beside & BESIDE_MULTI) ||
          step(o, &next, &call, &value) == ILK_EBUSY);
}

bool model_step(const struct object *o, struct state *s, const struct entry *e)
{
  if (e->call == EXITED)
    return step_exit(o, s, e->thread);
  if (e->call == BLOCKED)
    return step_blocked(o, s, e);
  if (e->result == ILK_EHANDLE && e->call != CONDITION_WAIT && !e->may_have_happened)
    return s->freed;
  /* While another thread frees it, such a call may still find it when others do not. */
  bool delayed_load =
    e->call < CALLS && call_types[e->call].flags & LOOKS && e->beside & BESIDE_FREE;
  if (s->freed && !delayed_load)
    return e->result == ILK_EHANDLE || (e->result == ILK_EINVAL && op_arguments_are_wrong(&e->op));
  if (e->call == FREE)
    return step_free(o, s, e);

  struct state next = *s;
  int64_t value = 0;
  int now = step(o, &next, e, &value);
  bool agrees = e->result == now && (now < 0 || value == e->value) && now != ILK_EBUSY;
  if (e->may_have_happened)
    agrees = now >= 0;
  else if (o->made.kind == LOCKARRAY && e->beside & BESIDE_MULTI && e->result >= 0)
    agrees = now >= 0; /* of several dead holders' locks some may have been had in between */
  else if (e->call == QUEUE_SIZE && e->beside & BESIDE_CUT_PUT)
    agrees = now >= 0;
  if (!agrees)
    return step_wait_ends(o, s, e, now);
  *s = next;
  return true;
}
