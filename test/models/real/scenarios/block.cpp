#include "scenario.hpp"

// What a thread is found to wait for is all of one wait.
struct block_load : bare {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      seams_wait(0);
      seams_wait(1);
    } else {
      for (int i = 0; i < 8; i++)
        EXPECT(seams_load(engine::records[0]) != -2);
    }
  }
};
SCENARIO(block_load);

// A cancel ends a wait that nothing else would.
struct cancel : with<ilk_event_new, 0> {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_event_wait(object) == ILK_ECANCELED);
    else
      OK(ilk_cancel(1));
  }

  void after()
  {
    OK(ilk_event_free(object));
  }
};
SCENARIO(cancel);

template <int IDLE> struct cancel_new_of : cancel, idle<IDLE>, stands_still {
  void thread(unsigned index)
  {
    if (index == 0)
      thread_current = nullptr;
    cancel::thread(index);
  }
};
SCENARIO_AS(cancel_new, cancel_new_of<0>);
SCENARIO_AS(cancel_new_far, cancel_new_of<1>); // not the first record of its element

// A deadlock cycle is reported to one of its threads, or to both if they search at the same time,
// and no thread hangs.
struct cycle {
  static const int N = 2;
  void *mutex[2];
  shared_int data;

  void before()
  {
    engine::far_deadlines_come = true; // the search for cycles begins after a while
    mutex[0] = ilk_mutex_new(0);
    mutex[1] = ilk_mutex_new(0);
  }

  void thread(unsigned index)
  {
    OK(ilk_mutex_lock(mutex[index]));
    if (ONE_OF(ilk_mutex_lock(mutex[1 - index]), ILK_OK, ILK_EDEADLK) == ILK_OK) {
      set(data, get(data) + 1);
      OK(ilk_mutex_unlock(mutex[1 - index]));
    }
    OK(ilk_mutex_unlock(mutex[index]));
  }

  void after()
  {
    EXPECT(ilk_mutex_free(mutex[0]) == ILK_OK && ilk_mutex_free(mutex[1]) == ILK_OK);
  }
};
SCENARIO(cycle);
