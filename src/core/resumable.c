#include "resumable.h"

#include "guard.h"
#include "handle.h"
#include "waitq.h"

struct wait_slot *resumable_find(struct thread *me, void *handle)
{
  struct wait_slot *found = NULL;
  for (int i = 1; handle && i < WAIT_SLOTS; i++) {
    struct wait_slot *slot = &me->wait_slots[i];
    if (slot->resumable_for == handle && (!found || slot->nesting > found->nesting))
      found = slot;
  }
  return found;
}

struct wait_slot *resumable_begin(struct thread *me, void *handle)
{
  int i = 1;
  while (i < WAIT_SLOTS && me->wait_slots[i].resumable_for)
    i++;
  if (i == WAIT_SLOTS)
    return NULL;
  struct wait_slot *outer = resumable_find(me, handle), *slot = &me->wait_slots[i];
  slot->nesting = outer ? (uint8_t)(outer->nesting + 1) : 0;
  slot->resumable_for = handle;
  store_relaxed(&slot->signal, SIGNAL_NONE);
  me->resumable_waits++;
  return slot;
}

uint32_t resumable_notified(struct thread *me, void *handle)
{
  uint32_t n = 0;
  for (int i = 1; me->resumable_waits && i < WAIT_SLOTS; i++)
    n += me->wait_slots[i].resumable_for == handle &&
         load_relaxed(&me->wait_slots[i].signal) == SIGNAL_GIVEN;
  return n;
}

bool resumable_end(struct thread *me, struct wait_slot *slot)
{
  struct object *object = handle_held_object(slot->resumable_for);
  /* No pin is needed: the lock is chosen by the address, and while the slot counts in `waiters`,
     the object exists (P4). */
  waitq_lock(object);
  struct waitq *queue = load_relaxed(&slot->queue);
  bool notified = !queue && load_relaxed(&slot->signal) == SIGNAL_GIVEN;
  if (queue)
    waitq_remove(object, queue, slot);
  else if (notified)
    sub_seq_cst(&object->waiters, 1);
  waitq_unlock(object);
  slot->resumable_for = NULL;
  me->resumable_waits--;
  return notified;
}

static void end_and_pass_on(struct thread *me, struct wait_slot *slot)
{
  void *handle = slot->resumable_for;
  const struct kind_operations *operations = kind_operations[handle_kind(handle)];
  bool notified = resumable_end(me, slot);
  if (operations->pass_on && (notified || operations->keeps_slots))
    operations->pass_on(handle, me);
}

void resumable_thread_exit(struct thread *me)
{
  for (int i = 1; me->resumable_waits && i < WAIT_SLOTS; i++)
    if (resumable_is_kept(&me->wait_slots[i]))
      end_and_pass_on(me, &me->wait_slots[i]);
}

/* No slot is in a queue any more (P6). */
static void repair(void)
{
  struct thread *me = thread_current;
  for (int i = 0; me && i < WAIT_SLOTS; i++)
    if (load_relaxed(&me->wait_slots[i].queue)) {
      store_relaxed(&me->wait_slots[i].queue, NULL);
      store_relaxed(&me->wait_slots[i].signal, SIGNAL_NONE);
    }
}

const struct fork_module resumable_fork = {NULL, 0, repair};

int ilk_wait_begin(void *object)
{
  struct call c;
  int begun = call_begin(&c, object, handle_kind(object));
  if (begun != ILK_OK)
    return fail(begun);
  const struct kind_operations *operations = kind_operations[handle_kind(object)];
  uint64_t begun_in = operations->begin ? operations->begin(c.object) : 0;
  call_end(&c);
  if (handle_is(object, KIND_CONDITION))
    return fail(ILK_EINVAL); /* a plain wait would leave its notifies in the slot */
  if (!operations->keeps_slots && !operations->begin)
    return ILK_OK;
  struct wait_slot *slot = resumable_begin(c.me, object);
  if (!slot)
    return fail(ILK_EOVERFLOW);
  slot->begun_in = begun_in;
  return ILK_OK;
}

int ilk_wait_end(void *object)
{
  struct thread *me = thread_self();
  if (!me)
    return fail(ILK_ENOMEM);
  bool is_condition = handle_is(object, KIND_CONDITION);
  struct wait_slot *slot = is_condition ? NULL : resumable_find(me, object);
  if (slot) {
    end_and_pass_on(me, slot);
    return ILK_OK;
  }
  if (!handle_enter(me, PIN_INNER, object, handle_kind(object)))
    return fail(ILK_EHANDLE);
  handle_leave(me, PIN_INNER);
  return is_condition ? fail(ILK_EINVAL) : ILK_OK;
}
