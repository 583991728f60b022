/* Making objects and freeing what they hold. */
#include "handle.h"
#include "python.h"

static int (*const free_functions[KINDS])(void *) = {
  [KIND_MUTEX] = ilk_mutex_free,         [KIND_RWLOCK] = ilk_rwlock_free,
  [KIND_SEMAPHORE] = ilk_semaphore_free, [KIND_CONDITION] = ilk_condition_free,
  [KIND_EVENT] = ilk_event_free,         [KIND_BARRIER] = ilk_barrier_free,
  [KIND_LATCH] = ilk_latch_free,         [KIND_ONCE] = ilk_once_free,
  [KIND_COUNTER] = ilk_counter_free,     [KIND_TALLY] = ilk_tally_free,
  [KIND_LOCKARRAY] = ilk_lockarray_free, [KIND_QUEUE] = ilk_queue_free,
  [KIND_LOCAL] = ilk_local_free,         [KIND_SLICES] = ilk_slices_free,
};

/* As Handle.__del__, but Python calls it from the type's slot, without a search for that method. An
   object that is held or waited for is not freed. */
void python_handle_finalize(object self)
{
  void *handle = load_relaxed(&owner_of(self)->handle);
  int (*free_it)(void *) = handle ? free_functions[handle_kind(handle)] : NULL;
  if (free_it)
    free_it(handle);
}

/* True unless there is no memory, or the object has a handle already. */
static bool init_mutex(object self, int flags)
{
  struct owner *owner = owner_of(self);
  void *handle = load_relaxed(&owner->handle) ? NULL : ilk_mutex_new(flags);
  if (handle)
    store_relaxed(&owner->handle, handle);
  return handle;
}

object python_lock_init(object self, object unused)
{
  (void)unused;
  return likely(init_mutex(self, ILK_UNOWNED)) ? reference(python.none)
                                               : call_python_0(self, "_python___init__");
}

object python_rlock_init(object self, object unused)
{
  (void)unused;
  return likely(init_mutex(self, ILK_RECURSIVE)) ? reference(python.none)
                                                 : call_python_0(self, "_python___init__");
}

object python_mutex_init(object self, object const *values, intptr_t n, object names)
{
  if (likely(!n && !names && init_mutex(self, 0)))
    return reference(python.none);
  return call_python(self, "_python___init__", &(struct arguments){values, n, names});
}
