#include "scenario.hpp"

// A mutex is taken from the thread that holds it, which may unlock at that moment; a third waits.
struct mutex_reset : with<ilk_mutex_new, 0> {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (index == 2) {
      OK(ilk_mutex_reset(object));
      return;
    }
    OK(ilk_mutex_lock(object));
    ONE_OF(ilk_mutex_unlock(object), ILK_OK, ILK_EPERM);
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(object) == 0 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_reset);

// A reset leaves a mutex that is locked once, whatever it was before.
struct mutex_reset_nested : with<ilk_mutex_new, ILK_RECURSIVE> {
  static const int N = 2;

  void before()
  {
    with::before();
    EXPECT(ilk_mutex_lock(object) == ILK_OK && ilk_mutex_lock(object) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_mutex_reset(object));
    } else if (ilk_mutex_trylock(object) == ILK_OK) {
      OK(ilk_mutex_unlock(object));
      EXPECT(ilk_mutex_is_locked(object) == 0);
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(object) == 0 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_reset_nested);

// Reset and freed while a thread that has just made its record holds it: that one's unlock does
// nothing to the next object.
struct mutex_reset_freed : freed<ilk_mutex_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      if (ONE_OF(ilk_mutex_trylock(old), ILK_OK, ILK_EBUSY, ILK_EHANDLE) == ILK_OK)
        ilk_mutex_unlock(old);
      return;
    }
    OK(ilk_mutex_reset(old));
    if (ONE_OF(ilk_mutex_free(old), ILK_OK, ILK_EBUSY) == ILK_OK) {
      next = ilk_mutex_new(0);
      OK(ilk_mutex_lock(next));
    }
  }

  void after()
  {
    EXPECT(!next || ilk_mutex_is_locked(next) == 1);
  }
};
SCENARIO(mutex_reset_freed);

// A notify's wake, deferred until the notifier unlocks, is made when the mutex is taken from it.
struct mutex_reset_deferred : with<ilk_mutex_new, 0> {
  static const int N = 3;
  void *queue, *begun, *woken;

  void before()
  {
    with::before();
    queue = ilk_condition_new(0);
    begun = ilk_counter_new(0), woken = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_mutex_lock(object));
      ilk_counter_fetch_add(begun, 1);
      OK(ilk_condition_wait(queue, object));
      ilk_counter_fetch_add(woken, 1);
      ONE_OF(ilk_mutex_unlock(object), ILK_OK, ILK_EPERM);
    } else if (index == 1) {
      OK(ilk_counter_wait(begun, 1));
      OK(ilk_mutex_lock(object));
      ilk_counter_fetch_add(begun, 1);
      OK(ilk_condition_notify(queue, 1));
      while (ilk_counter_load(woken) != 1) // a wait would give the wake
        model_yield();
      ONE_OF(ilk_mutex_unlock(object), ILK_OK, ILK_EPERM);
    } else {
      OK(ilk_counter_wait(begun, 2));
      OK(ilk_mutex_reset(object));
    }
  }
};
SCENARIO(mutex_reset_deferred);

// A reset takes the mutex from the thread that locks it at that moment: its unlock releases no
// other thread's lock.
struct mutex_reset_locked : with<ilk_mutex_new, 0>, stands_still {
  static const int N = 3;
  shared_int data;
  void *is_reset;

  void before()
  {
    with::before();
    is_reset = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_mutex_lock(object));
      OK(ilk_counter_wait(is_reset, 1));
      ONE_OF(ilk_mutex_unlock(object), ILK_OK, ILK_EPERM);
      return;
    }
    if (index == 1) {
      OK(ilk_mutex_reset(object));
      ilk_counter_fetch_add(is_reset, 1);
    }
    OK(ilk_counter_wait(is_reset, 1));
    OK(ilk_mutex_lock(object));
    set(data, get(data) + 1);
    OK(ilk_mutex_unlock(object));
  }

  void after()
  {
    EXPECT(get(data) == 2 && ilk_mutex_is_locked(object) == 0);
  }
};
SCENARIO(mutex_reset_locked);

// The same for a holder whose thread is new: the reset finds it alive.
SCENARIO_AS(mutex_reset_new, made_new<mutex_reset_locked>);
SCENARIO_AS(mutex_reset_new_second, made_new<mutex_reset_locked, true>);

// A reset takes a fair mutex from its holder, whose unlock, begun before, hands nothing over.
struct mutex_fair_reset : locked_mutex<ILK_FAIR>, stands_still {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_mutex_unlock(object), ILK_OK, ILK_EPERM);
      return;
    }
    if (index == 1)
      OK(ilk_mutex_reset(object));
    OK(ilk_mutex_lock(object));
    int result = ilk_mutex_unlock(object);
    EXPECT(result == ILK_OK || (index == 2 && result == ILK_EPERM)); // the reset took it
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(object) == 0 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_fair_reset);

// A fair mutex that is reset: a waiter that gives up leaves no other asleep.
struct mutex_fair_left : locked_mutex<ILK_FAIR>, stands_still {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (index == 0)
      OK(ilk_mutex_reset(object));
    int result = index == 1 ? ilk_mutex_timedlock(object, 1000) : ilk_mutex_lock(object);
    EXPECT(result == ILK_OK || (index == 1 && result == ILK_ETIMEDOUT));
    if (result == ILK_OK) {
      result = ilk_mutex_unlock(object);
      EXPECT(result == ILK_OK || result == ILK_EPERM); // the reset may have taken it
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(object) == 0);
  }
};
SCENARIO(mutex_fair_left);
