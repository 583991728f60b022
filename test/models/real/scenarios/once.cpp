#include "scenario.hpp"

struct once : with<ilk_once_new, 0> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned)
  {
    int mine = ilk_once_begin(object);
    EXPECT(mine >= 0);
    if (mine) {
      set(data, get(data) + 1);
      OK(ilk_once_end(object, 1));
    }
    EXPECT(get(data) == 1);
  }

  void after()
  {
    OK(ilk_once_free(object));
  }
};
SCENARIO(once);

// What is done by one thread, if that fails: by the other.
struct once_fails : with<ilk_once_new, 0> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned)
  {
    int mine = ONE_OF(ilk_once_begin(object), 0, 1);
    if (!mine) {
      EXPECT(get(data) == 2);
      return;
    }
    set(data, get(data) + 1);
    int second = get(data) == 2;
    OK(ilk_once_end(object, second));
  }

  void after()
  {
    OK(ilk_once_free(object));
  }
};
SCENARIO(once_fails);

SCENARIO_AS(once_new, made_new<once>);

// A thread whose record is new waits for one that dies, or is cancelled.
struct once_dead_new : with<ilk_once_new, 0>, stands_still {
  static const int N = 2;
  shared_int data;

  void before()
  {
    with::before();
    EXPECT(ilk_once_begin(object) == 1);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      thread_leave(thread_current);
    } else {
      thread_current = nullptr;
      EXPECT(ilk_once_begin(object) == 1);
      EXPECT(get(data) == 1);
      thread_leave(thread_current);
    }
  }
};
SCENARIO(once_dead_new);
