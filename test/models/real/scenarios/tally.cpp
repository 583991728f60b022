#include "scenario.hpp"

// Cells of two threads, summed once they are quiet, which the counter says.
struct tally : with<ilk_tally_new> {
  static const int N = 3;
  void *counter;

  void before()
  {
    with::before();
    counter = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index < 2) {
      OK(ilk_tally_add(object, 1 + index));
      ilk_counter_fetch_add(counter, 1);
    } else {
      OK(ilk_counter_wait(counter, 2));
      EXPECT(ilk_tally_sum(object) == 3);
      OK(ilk_tally_free(object));
    }
  }
};
SCENARIO(tally);

// A sum while a thread that is new adds: its record may be seen half-made.
struct tally_new : with<ilk_tally_new> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      OK(ilk_tally_add(object, 1));
    } else {
      ONE_OF((int)ilk_tally_sum(object), 0, 1);
    }
  }

  void after()
  {
    EXPECT(ilk_tally_sum(object) == 1);
  }
};
SCENARIO(tally_new);

// A sum lacks no add that the last reset included.
struct tally_reset : with<ilk_tally_new> {
  static const int N = 3;

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_tally_add(object, 1));
    } else if (index == 1) {
      OK(ilk_tally_reset(object));
    } else {
      ONE_OF(ilk_tally_sum(object), 0, 1);
    }
  }

  void after()
  {
    OK(ilk_tally_free(object));
  }
};
SCENARIO(tally_reset);
