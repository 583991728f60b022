/* Methods of locks and semaphores. */
#include "python.h"

typedef int try_function(void *handle);

/* As _Mutex.acquire, Semaphore.acquire and so on. `name` is the Python method. `died` is the one to
   call if the lock is acquired and its holder had exited. It is NULL for semaphores, which have no
   holder, and whose timeout may be None. */
static inline object acquire(object self, const struct arguments *arguments, try_function *try,
                             const char *name, const char *died)
{
  bool none = !arguments->n && !arguments->names;
  enum how how = likely(none) ? HOW_WAIT : how_to_wait(arguments, 0, "blocking", !died);
  if (likely(how != HOW_PYTHON)) {
    int code = try(handle_for_call(self));
    if (likely(code == ILK_OK))
      return boolean(true);
    if (code == ILK_OWNER_DIED && died)
      return call_python_0(self, died);
    if (code == ILK_EBUSY && how == HOW_TRY)
      return boolean(false);
  }
  return call_python(self, name, arguments);
}

/* `name` is the Python method that raises the exception. It tries again, and may succeed then. */
static inline object release(object self, try_function *unlock, const char *name)
{
  return likely(unlock(handle_for_call(self)) == ILK_OK) ? reference(python.none)
                                                         : call_python_0(self, name);
}

#define ACQUIRE(function, try, name, died)                                                         \
  object python_##function(object self, object const *values, intptr_t n, object names)            \
  {                                                                                                \
    return acquire(self, &(struct arguments){values, n, names}, try, name, died);                  \
  }

#define RELEASE(function, unlock, name)                                                            \
  object python_##function(object self, object unused)                                             \
  {                                                                                                \
    (void)unused;                                                                                  \
    return release(self, unlock, name);                                                            \
  }

/* __exit__, whose arguments are the exception. */
#define EXIT(function, unlock, name)                                                               \
  object python_##function(object self, object const *values, intptr_t n)                          \
  {                                                                                                \
    (void)values, (void)n;                                                                         \
    return release(self, unlock, name);                                                            \
  }

static int semaphore_release_one(void *semaphore)
{
  return ilk_semaphore_release(semaphore, 1);
}

ACQUIRE(mutex_acquire, ilk_mutex_trylock, "_python_acquire", "_owner_died")
RELEASE(mutex_release, ilk_mutex_unlock, "_python_release")
EXIT(mutex_exit, ilk_mutex_unlock, "_python_release")

ACQUIRE(read_acquire, ilk_rwlock_read_trylock, "_python_acquire_read", "_read_owner_died")
RELEASE(read_release, ilk_rwlock_read_unlock, "_python_release_read")
ACQUIRE(write_acquire, ilk_rwlock_write_trylock, "_python_acquire_write", "_write_owner_died")
RELEASE(write_release, ilk_rwlock_write_unlock, "_python_release_write")
RELEASE(writing_release, ilk_rwlock_write_unlock, "release_read") /* the body has downgraded */

ACQUIRE(semaphore_acquire, ilk_semaphore_tryacquire, "_python_acquire", NULL)
EXIT(semaphore_exit, semaphore_release_one, "_python_release")

object python_semaphore_release(object self, object const *values, intptr_t n, object names)
{
  if (likely(!n && !names))
    return release(self, semaphore_release_one, "_python_release");
  return call_python(self, "_python_release", &(struct arguments){values, n, names});
}

object python_mutex_locked(object self, object unused)
{
  (void)unused;
  int locked = ilk_mutex_is_locked(handle_for_call(self));
  return likely(locked >= 0) ? boolean(locked) : call_python_0(self, "_python_locked");
}

object python_lockarray_release(object self, object const *values, intptr_t n, object names)
{
  int64_t i;
  if (likely(n == 1 && !names && is_int(values[0], &i) &&
             ilk_lockarray_unlock(handle_for_call(self), i) == ILK_OK))
    return reference(python.none);
  return call_python(self, "_python_release", &(struct arguments){values, n, names});
}

object python_lockarray_release_pair(object self, object const *values, intptr_t n, object names)
{
  int64_t i, j;
  if (likely(n == 2 && !names && is_int(values[0], &i) && is_int(values[1], &j) &&
             ilk_lockarray_unlock_pair(handle_for_call(self), i, j) == ILK_OK))
    return reference(python.none);
  return call_python(self, "_python_release_pair", &(struct arguments){values, n, names});
}

/* A longer range takes so long that Python releases the GIL for it. */
#define RANGE_MAX 256

object python_lockarray_release_range(object self, object const *values, intptr_t n, object names)
{
  int64_t begin, end;
  if (likely(n == 2 && !names && is_int(values[0], &begin) && is_int(values[1], &end) &&
             begin >= 0 && end >= begin && end - begin <= RANGE_MAX &&
             ilk_lockarray_unlock_range(handle_for_call(self), begin, end) == ILK_OK))
    return reference(python.none);
  return call_python(self, "_python_release_range", &(struct arguments){values, n, names});
}

/* --- the ends of blocks that hold another object's lock ----------------------------------------

   They call what is a method in C for a lock of interlock. So a Ctrl-C, which Python raises at the
   beginning of a function in Python, cannot come between the block and the release. */

/* None for any result: a `with` takes a true one for the order to forget the exception. */
static object none_for(object result)
{
  if (!result)
    return NULL;
  python.decref(result);
  return reference(python.none);
}

object python_held_exit(object self, object const *values, intptr_t n)
{
  (void)values, (void)n;
  return none_for(call_python_0(self, "_release"));
}

object python_condition_exit(object self, object const *values, intptr_t n)
{
  object lock = python.attribute(self, "_lock"), result = NULL;
  if (lock) {
    result = none_for(call_python(lock, "__exit__", &(struct arguments){values, n, NULL}));
    python.decref(lock);
  }
  return result;
}
