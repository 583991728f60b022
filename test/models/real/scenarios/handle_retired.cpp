#include "scenario.hpp"

// A free while another waits is refused; while it has come and gone, it is not.
struct handle_waited : with<ilk_event_new, 0> {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_event_wait(object), ILK_OK, ILK_EHANDLE) == ILK_OK)
        EXPECT(get(data) == 1);
    } else if (index == 1) {
      set(data, 1);
      ONE_OF(ilk_event_set(object), ILK_OK, ILK_EHANDLE);
    } else {
      ONE_OF(ilk_event_free(object), ILK_OK, ILK_EBUSY);
    }
  }
};
SCENARIO(handle_waited);

// A free does not wait for a thread that is about to wait: it is refused, and the waiter is woken
// later; or the waiter finds the object gone. No thread sleeps in it then, for nothing would wake
// it.
struct handle_retired : freed<ilk_semaphore_new, 0, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_semaphore_acquire(old), ILK_OK, ILK_EHANDLE);
    } else {
      if (ONE_OF(ilk_semaphore_free(old), ILK_OK, ILK_EBUSY) == ILK_EBUSY)
        OK(ilk_semaphore_release(old, 1));
      else
        next = ilk_semaphore_new(0, 0);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_semaphore_value(next) == 0);
    EXPECT(!next || ilk_semaphore_free(next) == ILK_OK);
  }
};
SCENARIO(handle_retired);

// The same for a kind whose waiters check the state alone, not the tag.
struct handle_retired_counter : freed<ilk_counter_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_counter_wait(old, 1), ILK_OK, ILK_EHANDLE);
    } else {
      if (ONE_OF(ilk_counter_free(old), ILK_OK, ILK_EBUSY) == ILK_EBUSY)
        OK(ilk_counter_store(old, 1));
      else
        next = ilk_counter_new(5);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_counter_load(next) == 5);
    EXPECT(!next || ilk_counter_free(next) == ILK_OK);
  }
};
SCENARIO(handle_retired_counter);

// The same for a mutex, which two threads lock and the later one frees, while a third may join the
// queue.
struct handle_retired_mutex : freed<ilk_mutex_new, 0> {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (ONE_OF(ilk_mutex_lock(old), ILK_OK, ILK_EHANDLE) == ILK_OK)
      OK(ilk_mutex_unlock(old));
    if (index == 0 && ilk_mutex_free(old) == ILK_OK)
      next = ilk_mutex_new(0);
  }

  void after()
  {
    EXPECT(!next || ilk_mutex_is_locked(next) == 0);
    EXPECT(!next || ilk_mutex_free(next) == ILK_OK);
  }
};
SCENARIO(handle_retired_mutex);

// Threads unlock an unowned mutex at once, by mistake, and one of them frees it. The unlock of
// another, which may be the thread that locked it (0), does not make the freed mutex one that can be
// locked.
template <unsigned FREER> struct handle_retired_unowned_of : freed<ilk_mutex_new, ILK_UNOWNED> {
  static const int N = 3;

  void before()
  {
    freed::before();
    OK(ilk_mutex_lock(old));
  }

  void thread(unsigned index)
  {
    ONE_OF(ilk_mutex_unlock(old), ILK_OK, ILK_EPERM, ILK_EHANDLE);
    if (index == FREER && ilk_mutex_free(old) == ILK_OK) {
      EXPECT(ilk_mutex_trylock(old) == ILK_EHANDLE);
      next = ilk_mutex_new(0);
      OK(ilk_mutex_lock(next));
    }
  }

  void after()
  {
    EXPECT(next);
    EXPECT(ilk_mutex_trylock(old) == ILK_EHANDLE);
    EXPECT(ilk_mutex_is_locked(next) == 1);
  }
};
SCENARIO_AS(handle_retired_unowned, handle_retired_unowned_of<0>);
SCENARIO_AS(handle_retired_unlocked, handle_retired_unowned_of<1>);

// A reset meets a free: it does not make the freed mutex one that can be locked.
struct handle_retired_reset : freed<ilk_mutex_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_mutex_reset(old), ILK_OK, ILK_EHANDLE);
    } else if (ilk_mutex_free(old) == ILK_OK) {
      EXPECT(ilk_mutex_trylock(old) == ILK_EHANDLE);
      next = ilk_mutex_new(0);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_mutex_trylock(old) == ILK_EHANDLE);
    EXPECT(!next || ilk_mutex_is_locked(next) == 0);
  }
};
SCENARIO(handle_retired_reset);

// A table without a free slot. A thread that has freed an object, which no call pins any more, can
// make another in its place, while a second thread recycles that slot.
struct handle_retired_full : freed<ilk_event_new, 0> {
  static const int N = 2;
  void *other, *left;

  void before()
  {
    freed::before();
    other = ilk_event_new(0);
    left = ilk_semaphore_new(0, 0);
    while (ilk_event_new(0))
      ;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_event_set(old), ILK_OK, ILK_EHANDLE);
      OK(ilk_semaphore_release(left, 1));
      OK(ilk_event_free(other));
    } else {
      OK(ilk_event_free(old));
      OK(ilk_semaphore_acquire(left));
      next = ilk_event_new(0);
      EXPECT(next);
    }
  }
};
SCENARIO(handle_retired_full);
