#include "scenario.hpp"

struct semaphore : with<ilk_semaphore_new, 0, 10> {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 2) {
      set(data, 1);
      for (int i = 0; i < 2; i++)
        OK(ilk_semaphore_release(object, 1));
    } else {
      OK(ilk_semaphore_acquire(object));
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(object) == 0 && ilk_semaphore_free(object) == ILK_OK);
  }
};
SCENARIO(semaphore);

// A thread takes what was released last, though the value is as when it first loaded it: it sees
// what came before that release.
struct semaphore_again : with<ilk_semaphore_new, 0, 10> {
  static const int N = 3;
  void *taken;
  shared_int data[2];
  int order = 0;

  void before()
  {
    with::before();
    taken = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 2; i++) {
        set(data[i], 1);
        OK(ilk_semaphore_release(object, 1));
        OK(ilk_counter_wait(taken, 1));
      }
    } else {
      OK(ilk_semaphore_acquire(object));
      EXPECT(get(data[order++]) == 1);
      ilk_counter_fetch_add(taken, 1);
    }
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(object) == 0 && ilk_semaphore_free(object) == ILK_OK);
  }
};
SCENARIO(semaphore_again);

// Threads that release at the same time: each release counts.
struct semaphore_three : with<ilk_semaphore_new, 0, 0> {
  static const int N = 3;

  void thread(unsigned)
  {
    for (int i = 0; i < 3; i++)
      OK(ilk_semaphore_release(object, 1));
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(object) == 9 && ilk_semaphore_free(object) == ILK_OK);
  }
};
SCENARIO(semaphore_three);

// Two threads make resumable waits, of which one gives up or gives back; a third has one call. As many
// acquire as were released, by one release or by two.
template <int RELEASES> struct semaphore_resumable_of : with<ilk_semaphore_new, 0, 10> {
  static const int N = 4;

  void acquire_resumably(bool gives_up)
  {
    OK(ilk_wait_begin(object));
    int result = ONE_OF(ilk_semaphore_timedacquire(object, 1000), ILK_OK, ILK_ETIMEDOUT);
    if (result == ILK_ETIMEDOUT && !gives_up)
      OK(ilk_semaphore_acquire(object));
    if (result == ILK_OK && gives_up)
      OK(ilk_semaphore_release(object, 1));
    OK(ilk_wait_end(object));
  }

  void thread(unsigned index)
  {
    if (index == 0)
      acquire_resumably(false);
    else if (index == 1)
      acquire_resumably(true);
    else if (index == 2)
      OK(ilk_semaphore_acquire(object));
    else
      for (int i = 0; i < RELEASES; i++)
        OK(ilk_semaphore_release(object, 2 / RELEASES));
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(object) == 0 && ilk_semaphore_free(object) == ILK_OK);
  }
};
SCENARIO_AS(semaphore_resumable, semaphore_resumable_of<2>);
SCENARIO_AS(semaphore_resumable_at_once, semaphore_resumable_of<1>);
