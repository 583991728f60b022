#include "scenario.hpp"

struct condition : with<ilk_mutex_new, 0> {
  static const int N = 2;
  void *queue;
  shared_int ready;

  void before()
  {
    with::before();
    queue = ilk_condition_new(0);
  }

  void thread(unsigned index)
  {
    OK(ilk_mutex_lock(object));
    if (index == 0) {
      while (!get(ready))
        OK(ilk_condition_wait(queue, object));
    } else {
      set(ready, 1);
      OK(ilk_condition_notify(queue, 1));
    }
    OK(ilk_mutex_unlock(object));
  }

  void after()
  {
    EXPECT(ilk_condition_free(queue) == ILK_OK && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(condition);

// Notified once the mutex is unlocked again: two loads show whether a thread waits.
struct condition_after_unlock : condition {
  static const int N = 3;

  void thread(unsigned index)
  {
    OK(ilk_mutex_lock(object));
    if (index < 2) {
      while (!get(ready))
        OK(ilk_condition_wait(queue, object));
      OK(ilk_mutex_unlock(object));
    } else {
      set(ready, 1);
      OK(ilk_mutex_unlock(object));
      OK(ilk_condition_notify_all(queue));
    }
  }
};
SCENARIO(condition_after_unlock);

// A resumable wait keeps its condition from being freed from its begin to its end.
struct condition_begin : with<ilk_condition_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_condition_wait_begin(object), ILK_OK, ILK_EHANDLE) == ILK_OK)
        EXPECT(ilk_condition_wait_end(object) == 0);
    } else {
      ONE_OF(ilk_condition_free(object), ILK_OK, ILK_EBUSY);
    }
  }
};
SCENARIO(condition_begin);
