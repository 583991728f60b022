#include "scenario.hpp"

struct event : with<ilk_event_new, 0> {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 2) {
      set(data, 1);
      OK(ilk_event_set(object));
    } else {
      OK(ilk_event_wait(object));
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    OK(ilk_event_free(object));
  }
};
SCENARIO(event);

// The same for a thread that spins before it sleeps.
struct event_spun : event {
  void thread(unsigned index)
  {
    seams_spin();
    event::thread(index);
  }
};
SCENARIO(event_spun);

// A set between two parts of a resumable wait, or during one, although a clear follows at once. The
// thread then sees what came before the set.
struct event_resumable : with<ilk_event_new, 0> {
  static const int N = 2;
  void *begun;
  shared_int data;

  void before()
  {
    with<ilk_event_new, 0>::before();
    begun = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_wait_begin(object));
      OK(ilk_counter_store(begun, 1));
      if (ONE_OF(ilk_event_timedwait(object, 1000), ILK_OK, ILK_ETIMEDOUT) == ILK_ETIMEDOUT)
        OK(ilk_event_wait(object));
      EXPECT(get(data) == 1);
      OK(ilk_wait_end(object));
    } else {
      OK(ilk_counter_wait(begun, 1));
      set(data, 1);
      OK(ilk_event_set(object));
      OK(ilk_event_clear(object));
    }
  }

  void after()
  {
    OK(ilk_counter_free(begun));
    OK(ilk_event_free(object));
  }
};
SCENARIO(event_resumable);

// It begins, checks what it waits for, and then waits. A set that came before the begin came before
// the check, too.
struct event_resumable_checked : with<ilk_event_new, 0> {
  static const int N = 2;
  void *ready;

  void before()
  {
    with<ilk_event_new, 0>::before();
    ready = ilk_semaphore_new(0, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_wait_begin(object));
      if (!ilk_semaphore_value(ready))
        OK(ilk_event_wait(object));
      OK(ilk_wait_end(object));
    } else {
      OK(ilk_semaphore_release(ready, 1));
      OK(ilk_event_set(object));
      OK(ilk_event_clear(object));
    }
  }

  void after()
  {
    OK(ilk_semaphore_free(ready));
    OK(ilk_event_free(object));
  }
};
SCENARIO(event_resumable_checked);

// A thread that finds it set sees what came before.
struct event_is_set : with<ilk_event_new, 0> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      OK(ilk_event_set(object));
    } else if (ilk_event_is_set(object) == 1) {
      EXPECT(get(data) == 1);
    }
  }
};
SCENARIO(event_is_set);
