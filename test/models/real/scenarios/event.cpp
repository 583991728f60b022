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
