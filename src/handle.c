#include "handle.h"

#include "backoff.h"
#include "clock.h"
#include "guard.h"
#include "region.h"
#include "signals.h"
#include "waitq.h"

_Static_assert(sizeof(union slot) == CACHE_LINE, "an object fills one cache line");

#define CLOSING ((uint64_t)TAG_CLOSING << 32)

/* A slot that is not in use holds its place in the free list and how often it was used. */
struct free_slot {
  struct object object;
  /* Atomic, for late calls of the slot's last object may still look at these places. */
  atomic_u32 next; /* index + 1; 0 ends the list */
  atomic_u32 uses;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t slots_used = 1;        /* given out at least once, or for NULL */
static uint32_t free_first, free_last; /* index + 1: first in, first out */
static int64_t live;

static struct free_slot *slot_at(uint32_t index)
{
  return (struct free_slot *)&handle_slots[index];
}

/* --- making and freeing ------------------------------------------------------------ */

#define GENERATION_MASK ((UINT32_C(1) << HANDLE_GENERATION_BITS) - 1)

/* The generation of a slot's use number 0, which no object has. */
static uint32_t generation_first;

/* Not to be guessed by another copy of the library: that has other addresses, and perhaps another
   time. */
__attribute__((constructor(102))) static void choose_generation(void)
{
  uint64_t seed = (uint64_t)clock_now() ^ (uintptr_t)&generation_first;
  seed = (seed ^ seed >> 32) * UINT64_C(0x9e3779b97f4a7c15);
  generation_first = (uint32_t)(seed >> 32) & GENERATION_MASK;
}

/* Takes a slot out of the free list, or one that was never used. 0: there is none; `*limit` slots
   are not enough. */
static uint32_t take_slot(uint32_t *limit)
{
  uint32_t index = 0;
  guard_lock(&table_lock);
  *limit = load_relaxed(&handle_limit);
  if (free_first) {
    index = free_first - 1;
    free_first = load_relaxed(&slot_at(index)->next);
    if (!free_first)
      free_last = 0;
  } else if (slots_used < *limit) {
    index = slots_used++;
  }
  guard_unlock(&table_lock);
  return index;
}

struct object *handle_reserve(enum kind kind, void **handle)
{
  uint32_t index, limit;
  while (!(index = take_slot(&limit)))
    if (!region_grow(limit))
      return NULL;

  struct free_slot *slot = slot_at(index);
  uint32_t generation = (generation_first + load_relaxed(&slot->uses) + 1) & GENERATION_MASK;
  *handle = handle_make(TAG_LIVE | (uint32_t)kind << TAG_KIND_SHIFT | generation, index);
  /* Late calls for the slot's last object may still look: hence atomically. */
  store_relaxed(&slot->object.seal, 0);
  store_relaxed(&slot->object.waiters, 0);
  store_relaxed(&slot->object.turn, 0);
  for (size_t i = sizeof(struct object) / 8; i < CACHE_LINE / 8; i++)
    store_release((atomic_u64 *)&handle_slots[index] + i, 0);
  return &slot->object;
}

void *handle_publish(struct object *object, void *handle, uint32_t state)
{
  guard_lock(&table_lock);
  live++;
  store_release(&object->head, head_of(handle, state));
  store_release(&object->seal, head_of(handle, head_state(load_relaxed(&object->seal))));
  guard_unlock(&table_lock);
  return handle;
}

static void slot_put_back(void *handle, bool reusable)
{
  uint32_t index = handle_index(handle);
  uint32_t uses = (handle_tag(handle) - generation_first) & GENERATION_MASK;
  struct free_slot *slot = slot_at(index);
  bool used_up = uses == GENERATION_MASK;
  store_release(&slot->object.seal, head_state(load_relaxed(&slot->object.seal))); /* what it says else outlives it */
  store_release(&slot->object.head, 0);
  if (!reusable || (used_up && !HANDLE_GENERATIONS_WRAP))
    return;
  store_relaxed(&slot->next, 0);
  store_relaxed(&slot->uses, uses);
  if (free_last)
    store_relaxed(&slot_at(free_last - 1)->next, index + 1);
  else
    free_first = index + 1;
  free_last = index + 1;
}

void handle_abandon(struct object *object, void *handle)
{
  (void)object;
  guard_lock(&table_lock);
  slot_put_back(handle, true);
  guard_unlock(&table_lock);
}

/* A thread that is inside, or NULL. */
static struct self *pinner(void *handle)
{
  for (struct self *r = self_first_live(); r; r = self_next_live(r))
    for (int i = 0; i < PINS; i++)
      if (load_seq_cst(&r->pin[i]) == (uintptr_t)handle) /* heavy side; pairs with handle_leave() too */
        return r;
  return NULL;
}

/* Pins of calls in signal handlers. By the remainder of the slot, so that they seldom delay other frees. */
#define COUNTS 64
static atomic_u32 counts[COUNTS];

static atomic_u32 *count_of(void *handle)
{
  return &counts[handle_index(handle) % COUNTS];
}

static bool is_waited_for(struct object *object, enum kind kind)
{
  const struct kind_operations *operations = kind_operations[kind];
  return load_seq_cst(&object->waiters) && !(operations->let_go && operations->let_go(object));
}

/* Live, or being closed, and not yet decided. Acquire: what a call does that finds it freed comes after the free. */
static bool is_undecided(struct object *object, void *handle)
{
  return head_is(load_acquire(&object->seal) & ~CLOSING, handle);
}

/* What a close comes to besides codes: it is to begin again, soon or after a while. */
#define AGAIN 1
#define AGAIN_LATER 2

/* So long the object is open again for calls that waited, each of which sleeps less. */
#define REOPENED (4 * BACKOFF_LONGEST)

struct closing {
  struct object *object;
  void *handle;
  enum kind kind;
  bool (*busy)(struct object *, uint32_t state); /* or NULL */
  uint64_t head; /* with CLOSING */
};

/* With the table locked: sets CLOSING, unless something objects. From then on compare-and-swaps of the head fail,
   and calls that pin see CLOSING. It is in the seal as long as it is in the head, so that a call that sees it in the
   head does not pin. */
static int begin_close(struct closing *c)
{
  uint64_t head = load_acquire(&c->object->head);
  if (!head_is(head & ~CLOSING, c->handle))
    return ILK_EHANDLE;
  if (head & CLOSING) /* another thread closes it; the seal tells whether that is decided */
    return is_undecided(c->object, c->handle) ? AGAIN : ILK_EHANDLE;
  do {
    if (is_waited_for(c->object, c->kind) || (c->busy && c->busy(c->object, head_state(head)))) {
      and_seq_cst(&c->object->seal, ~CLOSING);
      return ILK_EBUSY;
    }
    if (!(load_relaxed(&c->object->seal) & CLOSING))
      or_seq_cst(&c->object->seal, CLOSING);
    c->head = head | CLOSING;
  } while (!cas_seq_cst(&c->object->head, &head, c->head));
  return ILK_OK;
}

/* Waits until nobody is inside: ILK_OK; ILK_EBUSY: one of them turns out to be a waiter; AGAIN_LATER: it takes
   too long. */
static int await_pins(const struct closing *c)
{
  fence_heavy(); /* pins that came before CLOSING are seen from here on */
  struct backoff backoff = {0};
  struct self *inside;
  /* seq_cst: Dekker with enter_counted(). */
  for (; (inside = pinner(c->handle)) || load_seq_cst(count_of(c->handle)); backoff_wait(&backoff)) {
    if (inside)
      waitq_wake_thread(inside); /* it may have been let go, and its wake put off (see waitq.h) */
    if (is_waited_for(c->object, c->kind))
      return ILK_EBUSY;
    if (backoff_is_longest(&backoff))
      return AGAIN_LATER;
  }
  return ILK_OK;
}

/* With the table locked: closes it for good, or opens it again. */
static int end_close(const struct closing *c, int result)
{
  /* The last call inside may have stored a head without CLOSING: then once more. */
  if (result == ILK_OK && load_seq_cst(&c->object->head) != c->head)
    result = AGAIN;
  if (result == ILK_OK) {
    and_seq_cst(&c->object->seal, UINT32_MAX);
  } else {
    and_seq_cst(&c->object->head, ~CLOSING); /* and keeps what else changed */
    and_seq_cst(&c->object->seal, ~CLOSING);
  }
  return result;
}

static int close_now(struct closing *c)
{
  guard_lock(&table_lock);
  int result = begin_close(c);
  guard_unlock(&table_lock);
  if (result != ILK_OK)
    return result;
  result = await_pins(c);
  /* The last call inside may have begun a wait in parts, which is not pinned between them. And where the state is not
     in the head, it may have changed that. */
  if (result == ILK_OK &&
      (is_waited_for(c->object, c->kind) || (c->busy && c->busy(c->object, head_state(c->head)))))
    result = ILK_EBUSY;
  guard_lock(&table_lock);
  result = end_close(c, result);
  guard_unlock(&table_lock);
  return result;
}

/* For a signal handler's call with this handle: see is_closing(). */
static int close_once(struct closing *c)
{
  struct self *me = self_current;
  if (likely(me)) {
    store_relaxed(&me->closing, (uintptr_t)c->handle);
    atomic_signal_fence(memory_order_seq_cst);
    int result = close_now(c);
    atomic_signal_fence(memory_order_seq_cst);
    store_relaxed(&me->closing, 0);
    return result;
  }
  sigset_t signals; /* no record to say it in */
  signals_block(&signals);
  int result = close_now(c);
  signals_restore(&signals);
  return result;
}

int handle_close(void *handle, enum kind kind, bool (*busy)(struct object *, uint32_t state))
{
  if (!handle_is(handle, kind))
    return ILK_EHANDLE;
  struct closing c = {handle_object(handle), handle, kind, busy, 0};
  struct backoff backoff = {0};
  int result;
  while ((result = close_once(&c)) > ILK_OK)
    if (result == AGAIN)
      backoff_wait(&backoff);
    else
      backoff_sleep(REOPENED);
  return result;
}

void handle_recycle(void *handle, bool reusable)
{
  guard_lock(&table_lock);
  live--;
  slot_put_back(handle, reusable);
  guard_unlock(&table_lock);
}

int handle_free(void *handle, enum kind kind, bool (*busy)(struct object *, uint32_t state))
{
  int result = handle_close(handle, kind, busy);
  if (result != ILK_OK)
    return fail(result);
  handle_recycle(handle, true);
  return ILK_OK;
}

int handle_enter_slow(struct self *me, enum pin pin, void *handle, int64_t timeout_ns)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  do {
    handle_leave(me, pin);
    if (!is_undecided(object, handle))
      return ILK_EHANDLE;
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    backoff_wait(&backoff);
  } while (!head_is(fence_light(&me->pin[pin], (uintptr_t)handle, &object->seal), handle));
  return ILK_OK;
}

int handle_retry(struct self *me, enum pin pin, void *handle, int64_t timeout_ns)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  handle_leave(me, pin);
  while (load_acquire(&object->head) & CLOSING && is_undecided(object, handle)) {
    if (timeout_ns == 0)
      return ILK_ETIMEDOUT;
    backoff_wait(&backoff);
  }
  uint64_t seal = fence_light(&me->pin[pin], (uintptr_t)handle, &object->seal);
  return head_is(seal, handle) ? ILK_OK : handle_enter_slow(me, pin, handle, timeout_ns);
}

/* --- calls in signal handlers ------------------------------------------------------- */

void handle_leave_counted(void *handle)
{
  uint32_t count = load_relaxed(count_of(handle));
  /* seq_cst: what was done within comes before a close sees it gone. 0: this was before a fork. */
  while (count && !cas_seq_cst(count_of(handle), &count, count - 1))
    ;
}

/* Has the calling signal handler interrupted a close of this object, in its own thread? As long as that is undecided,
   nobody else decides it. */
static bool is_closing(struct self *own, void *handle)
{
  return own && load_relaxed(&own->closing) == (uintptr_t)handle;
}

static bool enter_counted(struct self *own, void *handle)
{
  struct object *object = handle_object(handle);
  struct backoff backoff = {0};
  for (;;) {
    add_seq_cst(count_of(handle), 1); /* seq_cst: Dekker with await_pins() */
    uint64_t seal = load_seq_cst(&object->seal);
    if (head_is(seal, handle) || (head_is(seal & ~CLOSING, handle) && is_closing(own, handle)))
      return true;
    handle_leave_counted(handle);
    if (!is_undecided(object, handle))
      return false;
    backoff_wait(&backoff);
  }
}

struct object *handle_enter_safely_slow(struct self **me, void *handle, enum kind kind)
{
  if (!handle_is(handle, kind))
    return NULL;
  struct self *own = self_get_safely();
  *me = own && !load_relaxed(&own->pin[PIN_INNER]) && !is_closing(own, handle) ? own : NULL;
  if (*me)
    return handle_enter(*me, PIN_INNER, handle, kind);
  return enter_counted(own, handle) ? handle_object(handle) : NULL;
}

int64_t handle_live(void)
{
  guard_lock(&table_lock);
  int64_t n = live;
  guard_unlock(&table_lock);
  return n;
}

static enum kind head_kind(uint64_t head)
{
  return (enum kind)((uint32_t)(head >> 32) >> TAG_KIND_SHIFT & 15);
}

static void each(void (*visit)(void *, struct object *, enum kind, void *), void *context)
{
  for (uint32_t i = 0; i < slots_used; i++) {
    struct object *object = &handle_slots[i].object;
    uint64_t head = load_acquire(&object->head);
    if (head >> 32)
      visit(handle_make((uint32_t)(head >> 32) & ~TAG_CLOSING, i), object, head_kind(head), context);
  }
}

void handle_each(void (*visit)(void *, struct object *, enum kind, void *), void *context)
{
  guard_lock(&table_lock);
  each(visit, context);
  guard_unlock(&table_lock);
}

static void object_after_fork(void *handle, struct object *object, enum kind kind, void *context)
{
  (void)context;
  bool closing = load_relaxed(&object->head) & CLOSING;
  if (closing && is_undecided(object, handle)) { /* the thread that was to close it is gone */
    and_relaxed(&object->head, ~CLOSING);
    and_relaxed(&object->seal, ~CLOSING);
  } else if (closing) {
    /* Another thread was releasing what it owns: how far it came, nobody knows. */
    store_relaxed(&object->seal, 0);
    store_relaxed(&object->head, 0);
    live--;
    return;
  }
  update_relaxed(&object->waiters, 0);
  const struct kind_operations *operations = kind_operations[kind];
  if (operations && operations->after_fork)
    operations->after_fork(object);
}

void handle_before_fork(void)
{
  guard_hold(&table_lock);
}

void handle_after_fork(bool child)
{
  if (child) {
    each(object_after_fork, NULL);
    for (int i = 0; i < COUNTS; i++)
      update_relaxed(&counts[i], 0);
  }
  guard_release(&table_lock);
}
