#include "scenario.hpp"

// A call on a handle that is freed at that moment works on its object or finds it gone, and never
// on the next in its slot.
struct handle : freed<ilk_counter_new, 1> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_counter_store(old, 7), ILK_OK, ILK_EHANDLE);
    } else {
      OK(ilk_counter_free(old));
      next = ilk_counter_new(5);
      EXPECT(ilk_counter_load(next) == 5);
    }
  }

  void after()
  {
    EXPECT(ilk_counter_load(next) == 5);
    EXPECT(ilk_counter_load(old) == ILK_NO_VALUE);
    OK(ilk_counter_free(next));
  }
};
SCENARIO(handle);

// A free that is refused, for a thread waits: calls meanwhile find the handle closed, and then open
// again, or gone.
struct handle_refused : freed<ilk_counter_new, 1> {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 2; i++)
        ONE_OF(ilk_counter_store(old, 7), ILK_OK, ILK_EHANDLE);
    } else if (index == 1) {
      for (int i = 0; i < 2 && !next; i++) {
        if (ONE_OF(ilk_counter_free(old), ILK_OK, ILK_EBUSY) == ILK_OK)
          next = ilk_counter_new(5);
      }
    } else {
      ONE_OF(ilk_counter_timedwait(old, 100, 1000), ILK_ETIMEDOUT, ILK_EHANDLE);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_counter_load(next) == 5);
  }
};
SCENARIO(handle_refused);

// A free meets a lock: it is refused, and the thread that holds the mutex unlocks it; or the lock
// finds it gone.
struct handle_locked : with<ilk_mutex_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 2; i++) {
        if (ONE_OF(ilk_mutex_lock(object), ILK_OK, ILK_EHANDLE) == ILK_OK)
          OK(ilk_mutex_unlock(object));
      }
    } else {
      ONE_OF(ilk_mutex_free(object), ILK_OK, ILK_EBUSY);
    }
  }
};
SCENARIO(handle_locked);

// Two threads free an object, which a third changes, and changes back: one of them does.
struct handle_freed_twice : with<ilk_semaphore_new, 0, 10> {
  static const int N = 3;
  int freed = 0;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_semaphore_release(object, 1), ILK_OK, ILK_EHANDLE);
      ONE_OF(ilk_semaphore_tryacquire(object), ILK_OK, ILK_EHANDLE, ILK_EBUSY);
    } else {
      freed += ONE_OF(ilk_semaphore_free(object), ILK_OK, ILK_EHANDLE) == ILK_OK;
    }
  }

  void after()
  {
    EXPECT(freed == 1);
  }
};
SCENARIO(handle_freed_twice);

// What the object owns is freed once the last call is out of it.
struct handle_memory : freed<ilk_queue_new, 4> {
  static const int N = 2;
  void *other;

  void before()
  {
    freed::before();
    other = ilk_lockarray_new(4, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_queue_tryput(old, 2); // a try does not wait until the free is decided
      EXPECT(result == ILK_OK || result == ILK_EHANDLE || result == ILK_EBUSY);
      EXPECT(ilk_lockarray_trylock(other, 2) ==
             ILK_OK); // the thread that frees may see this pin instead of the end of the last one
    } else if (ONE_OF(ilk_queue_free(old), ILK_OK, ILK_EBUSY) == ILK_OK) {
      next = ilk_queue_new(4);
    }
  }
};
SCENARIO(handle_memory);

// The same, where the pin that may be seen in place of the last one's end is that of another call.
struct handle_memory_unowned : freed<ilk_queue_new, 4> {
  static const int N = 2;
  void *mutex;

  void before()
  {
    freed::before();
    mutex = ilk_mutex_new(ILK_UNOWNED);
    OK(ilk_mutex_lock(mutex));
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_queue_tryput(old, 2), ILK_OK, ILK_EHANDLE, ILK_EBUSY);
      OK(ilk_mutex_unlock(mutex));
    } else if (ONE_OF(ilk_queue_free(old), ILK_OK, ILK_EBUSY) == ILK_OK) {
      next = ilk_queue_new(4);
    }
  }
};
SCENARIO(handle_memory_unowned);

// The same, where that pin is set again by a call that met the close of another object.
struct handle_memory_closed : freed<ilk_queue_new, 4>, stands_still {
  static const int N = 3;
  void *event;

  void before()
  {
    freed::before();
    event = ilk_event_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_queue_tryput(old, 2), ILK_OK, ILK_EHANDLE, ILK_EBUSY);
      ONE_OF(ilk_event_clear(event), ILK_OK, ILK_EHANDLE);
    } else if (index == 1) {
      int result = ilk_event_timedwait(event, 1000); // the close is undone
      EXPECT(result == ILK_ETIMEDOUT || result == ILK_EHANDLE);
      result = ONE_OF(ilk_queue_free(old), ILK_OK, ILK_EBUSY);
      if (result == ILK_OK)
        next = ilk_queue_new(4);
    } else {
      ONE_OF(ilk_event_free(event), ILK_OK, ILK_EBUSY);
    }
  }
};
SCENARIO(handle_memory_closed);

// A call that met a close which was undone is safe against the next one.
struct handle_again : freed<ilk_queue_new, 4> {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_queue_put(old, 7), ILK_OK, ILK_EHANDLE);
    } else if (index == 1) {
      for (int i = 0; i < 2 && !next; i++) {
        if (ONE_OF(ilk_queue_free(old), ILK_OK, ILK_EBUSY) == ILK_OK)
          next = ilk_queue_new(2);
      }
    } else {
      int64_t item;
      ONE_OF(ilk_queue_timedget(old, &item, 1000), ILK_OK, ILK_ETIMEDOUT, ILK_EHANDLE);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_queue_size(next) == 0);
  }
};
SCENARIO(handle_again);

// Two threads unlock an unowned mutex, by mistake, and one frees it: the other's store of a head
// stays in it.
struct handle_unlock : freed<ilk_mutex_new, ILK_UNOWNED> {
  static const int N = 2;

  void before()
  {
    freed::before();
    OK(ilk_mutex_lock(old));
  }

  void thread(unsigned index)
  {
    int result = ilk_mutex_unlock(old);
    EXPECT(result == ILK_OK || result == ILK_EPERM || (index == 0 && result == ILK_EHANDLE));
    if (index == 0)
      return;
    OK(ilk_mutex_free(old));
    next = ilk_mutex_new(0);
    OK(ilk_mutex_lock(next));
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(next) == 1);
  }
};
SCENARIO(handle_unlock);

// A thread that waits in an object inspects it also while a free of it is undecided.
struct handle_own : with<ilk_counter_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 3; i++)
        EXPECT(seams_inspects_own(object));
    } else {
      OK(ilk_counter_free(object));
    }
  }
};
SCENARIO(handle_own);

// A call that meets a close which is undone pins the object again: it is safe against the next close,
// and in the object that a free may put into the slot, nothing waits.
struct handle_retried : freed<ilk_semaphore_new, 0, 0>, stands_still {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_semaphore_timedacquire(old, 1000), ILK_ETIMEDOUT, ILK_EHANDLE);
      return;
    }
    seams_close_refused(old);
    if (ONE_OF(ilk_semaphore_free(old), ILK_OK, ILK_EBUSY) == ILK_EBUSY)
      return;
    next = ilk_semaphore_new(0, 0);
    OK(ilk_semaphore_free(next));
  }
};
SCENARIO(handle_retried);

// The same for a kind that is not retired, whose waiters are in a queue.
struct handle_retried_queue : freed<ilk_rwlock_new, 0>, stands_still {
  static const int N = 2;

  void before()
  {
    freed::before();
    struct thread *own = thread_current;
    thread_current = engine::records[1];
    OK(ilk_rwlock_write_lock(old));
    thread_current = own;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_rwlock_write_timedlock(old, 1000), ILK_OK, ILK_ETIMEDOUT, ILK_EHANDLE) ==
          ILK_OK)
        OK(ilk_rwlock_write_unlock(old));
      return;
    }
    seams_close_refused(old);
    OK(ilk_rwlock_write_unlock(old));
    if (ONE_OF(ilk_rwlock_free(old), ILK_OK, ILK_EBUSY) == ILK_EBUSY)
      return;
    next = ilk_rwlock_new(0);
    OK(ilk_rwlock_free(next));
  }
};
SCENARIO(handle_retried_queue);

// What the object owns is freed once the last call is out of it, also where its thread pins another
// object again, which it met as it was closed.
struct handle_memory_retried : freed<ilk_queue_new, 4>, stands_still {
  static const int N = 3;
  void *event;

  void before()
  {
    freed::before();
    event = ilk_event_new(0);
    OK(ilk_event_set(event));
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_queue_tryput(old, 2), ILK_OK, ILK_EHANDLE, ILK_EBUSY);
      OK(ilk_event_clear(event));
    } else if (index == 1) {
      if (ONE_OF(ilk_queue_free(old), ILK_OK, ILK_EBUSY) == ILK_OK)
        next = ilk_queue_new(4);
    } else {
      seams_close_refused(event);
    }
  }
};
SCENARIO(handle_memory_retried);
