#include "parts.h"

#include "condition.h"
#include "handle.h"
#include "waitq.h"

struct queue_place *parts_find(struct self *me, void *handle)
{
  struct queue_place *found = NULL;
  for (int i = 1; handle && i < PLACES; i++) {
    struct queue_place *place = &me->places[i];
    if (place->kept_for == handle && (!found || place->nesting > found->nesting))
      found = place;
  }
  return found;
}

struct queue_place *parts_begin(struct self *me, void *handle)
{
  int i = 1;
  while (i < PLACES && me->places[i].kept_for)
    i++;
  if (i == PLACES)
    return NULL;
  struct queue_place *outer = parts_find(me, handle), *place = &me->places[i];
  place->nesting = outer ? (uint8_t)(outer->nesting + 1) : 0;
  place->kept_for = handle;
  store_relaxed(&place->signal, SIGNAL_NONE);
  me->parts++;
  return place;
}

uint32_t parts_notified(struct self *me, void *handle)
{
  uint32_t n = 0;
  for (int i = 1; me->parts && i < PLACES; i++)
    n += me->places[i].kept_for == handle && load_relaxed(&me->places[i].signal) == SIGNAL_GIVEN;
  return n;
}

bool parts_end(struct self *me, struct queue_place *place)
{
  struct object *object = handle_held_object(place->kept_for);
  /* No pin is needed: the lock is chosen by the address, and while the slot counts, the object exists (P4). */
  waitq_lock(object);
  struct waitq *queue = load_relaxed(&place->queue);
  bool notified = !queue && load_relaxed(&place->signal) == SIGNAL_GIVEN;
  if (queue)
    waitq_remove(object, queue, place);
  else if (notified)
    sub_seq_cst(&object->waiters, 1);
  waitq_unlock(object);
  place->kept_for = NULL;
  me->parts--;
  return notified;
}

void parts_thread_exit(struct self *me)
{
  for (int i = 1; me->parts && i < PLACES; i++) {
    void *handle = me->places[i].kept_for;
    if (handle && parts_end(me, &me->places[i]) && handle_is(handle, KIND_CONDITION))
      condition_pass_on(handle, me);
  }
}

void parts_forget(struct self *record)
{
  for (int i = 0; i < PLACES; i++) {
    store_relaxed(&record->places[i].queue, NULL);
    record->places[i].kept_for = NULL;
  }
  record->parts = 0;
}

void parts_after_fork(struct self *me)
{
  for (int i = 0; i < PLACES; i++)
    if (load_relaxed(&me->places[i].queue)) {
      store_relaxed(&me->places[i].queue, NULL);
      store_relaxed(&me->places[i].signal, SIGNAL_NONE);
    }
}

static bool is_live(struct self *me, void *handle)
{
  bool live = handle_enter(me, PIN_INNER, handle, handle_kind(handle));
  if (live)
    handle_leave(me, PIN_INNER);
  return live;
}

int ilk_wait_begin(void *object)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  if (!is_live(me, object))
    return fail(ILK_EHANDLE);
  if (handle_is(object, KIND_CONDITION))
    return fail(ILK_EINVAL); /* a plain wait would leave its notifies in the slot */
  bool keeps = kind_operations[handle_kind(object)]->keeps_places;
  return !keeps || parts_begin(me, object) ? ILK_OK : fail(ILK_EOVERFLOW);
}

int ilk_wait_end(void *object)
{
  struct self *me = self_get();
  if (!me)
    return fail(ILK_ENOMEM);
  if (handle_is(object, KIND_CONDITION))
    return fail(is_live(me, object) ? ILK_EINVAL : ILK_EHANDLE);
  struct queue_place *place = parts_find(me, object);
  if (place)
    parts_end(me, place);
  else if (!is_live(me, object))
    return fail(ILK_EHANDLE);
  return ILK_OK;
}
