#include "scenario.hpp"

// Calls in a signal handler that has interrupted another call of its thread, on a handle that is
// freed at that moment. The interrupted call's pin stays.
struct handler : freed<ilk_counter_new, 0> {
  static const int N = 2;
  void *other, *event;

  void before()
  {
    freed::before();
    other = ilk_counter_new(0);
    event = ilk_event_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      seams_interrupted(other);
      ONE_OF(ilk_counter_fetch_add(old, 1), 0, ILK_NO_VALUE);
      EXPECT(seams_pinned() == other);
      OK(ilk_event_set(event));
      EXPECT(seams_pinned() == other);
    } else {
      OK(ilk_counter_free(old));
      next = ilk_counter_new(5);
    }
  }

  void after()
  {
    EXPECT(ilk_counter_load(next) == 5);
  }
};
SCENARIO(handler);

// The same where the thread makes or frees an object, and may hold the table's lock: the handler
// must not wait for a close. RETIRED: whether the counter is retired; else the list is full, and
// its free waits.
template <bool RETIRED> struct handler_within_of : freed<ilk_counter_new, 0> {
  static const int N = 2;
  void *other;

  static void handle(void *context)
  {
    ONE_OF(ilk_counter_fetch_add(static_cast<handler_within_of *>(context)->old, 1), 0, 1,
           ILK_NO_VALUE);
  }

  void before()
  {
    freed::before();
    if (RETIRED)
      return;
    void *full = ilk_counter_new(0);
    seams_interrupted(full);
    OK(ilk_counter_free(full));
  }

  void thread(unsigned index)
  {
    engine::handlers[index] = {handle, this};
    if (index == 0) {
      other = ilk_counter_new(0);
      OK(ilk_counter_free(other));
    } else {
      OK(ilk_counter_free(old));
      next = ilk_counter_new(5);
    }
    engine::handlers[index] = {};
  }

  void after()
  {
    EXPECT(ilk_counter_load(next) == 5);
  }
};
SCENARIO_AS(handler_within, handler_within_of<false>);
SCENARIO_AS(handler_within_retired, handler_within_of<true>);
