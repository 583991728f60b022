#include "scenario.hpp"

struct latch : with<ilk_latch_new, 2> {
  static const int N = 3;
  shared_int data[2];

  void thread(unsigned index)
  {
    if (index < 2) {
      set(data[index], 1);
      OK(ilk_latch_count_down(object, 1));
    } else {
      OK(ilk_latch_wait(object));
      EXPECT(get(data[0]) == 1 && get(data[1]) == 1);
    }
  }

  void after()
  {
    OK(ilk_latch_free(object));
  }
};
SCENARIO(latch);

// Of two adds at the same time none is lost.
struct latch_added_twice : with<ilk_latch_new, 1> {
  static const int N = 2;

  void thread(unsigned)
  {
    OK(ilk_latch_add(object, 1));
  }

  void after()
  {
    EXPECT(ilk_latch_count_down(object, 3) == ILK_OK && ilk_latch_free(object) == ILK_OK);
  }
};
SCENARIO(latch_added_twice);

// A thread that waits for the added task sees the writes before the add.
struct latch_added : with<ilk_latch_new, 1> {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      OK(ilk_latch_add(object, 1));
    } else if (index == 1) {
      int result = ilk_latch_count_down(object, 2); // not before the add
      EXPECT(result == ILK_OK || result == ILK_EINVAL);
    } else if (ilk_latch_timedwait(object, 1000) == ILK_OK) {
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    OK(ilk_latch_free(object));
  }
};
SCENARIO(latch_added);
