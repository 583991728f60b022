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

/* `flags` are those of a mutex that is made without arguments. Python raises the exception if there
   is no memory, or the object has a handle already. */
static object init(object self, int flags, const struct arguments *arguments)
{
  struct owner *owner = owner_of(self);
  bool is_usual = !arguments->n && !arguments->names && !load_relaxed(&owner->handle);
  void *handle = likely(is_usual) ? ilk_mutex_new(flags) : NULL;
  if (unlikely(!handle))
    return call_python(self, "_python___init__", arguments);
  store_relaxed(&owner->handle, handle);
  return reference(python.none);
}

object python_lock_init(object self, object unused)
{
  (void)unused;
  return init(self, ILK_UNOWNED, &(struct arguments){0});
}

object python_rlock_init(object self, object unused)
{
  (void)unused;
  return init(self, ILK_RECURSIVE, &(struct arguments){0});
}

object python_mutex_init(object self, object const *values, intptr_t n, object names)
{
  return init(self, 0, &(struct arguments){values, n, names});
}
