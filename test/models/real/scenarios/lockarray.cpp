#include "scenario.hpp"

struct lockarray : with<ilk_lockarray_new, 2, 0> {
  static const int N = 3;
  shared_int data[2];

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_lockarray_lock_pair(object, 1, 0));
      set(data[0], get(data[0]) + 1);
      set(data[1], get(data[1]) + 1);
      OK(ilk_lockarray_unlock_pair(object, 1, 0));
    } else {
      OK(ilk_lockarray_lock(object, index - 1));
      set(data[index - 1], get(data[index - 1]) + 1);
      OK(ilk_lockarray_unlock(object, index - 1));
    }
  }

  void after()
  {
    EXPECT(get(data[0]) == 2 && get(data[1]) == 2 && ilk_lockarray_free(object) == ILK_OK);
  }
};
SCENARIO(lockarray);

// The holder of a lock exits while others wait: the next one sees what it wrote.
struct lockarray_dead : with<ilk_lockarray_new, 1, 0>, stands_still {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    int result = ilk_lockarray_lock(object, 0);
    EXPECT(result == ILK_OK || (index > 0 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      OK(ilk_lockarray_unlock(object, 0));
  }

  void after()
  {
    EXPECT(get(data) == N);
  }
};
SCENARIO(lockarray_dead);

// A thread that is new, and holds the lock, is found alive: no thread takes the lock from it.
SCENARIO_AS(lockarray_new, made_new<lockarray>);

// The same for a free, and where a thread that is new takes the lock of one that exits.
struct lockarray_held_freed : with<ilk_lockarray_new, 1, 0>, stands_still {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 1)
      ONE_OF(ilk_lockarray_free(object), ILK_OK, ILK_EBUSY);
    else if (ONE_OF(ilk_lockarray_lock(object, 0), ILK_OK, ILK_EHANDLE) == ILK_OK)
      OK(ilk_lockarray_unlock(object, 0));
  }
};
SCENARIO_AS(lockarray_new_freed, made_new<lockarray_held_freed>);

struct lockarray_dead_new : lockarray_dead {
  void thread(unsigned index)
  {
    if (index == 1)
      thread_current = nullptr;
    lockarray_dead::thread(index);
    if (index == 1)
      thread_leave(thread_current);
  }
};
SCENARIO(lockarray_dead_new);
