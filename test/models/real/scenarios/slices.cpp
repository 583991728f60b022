#include "scenario.hpp"

// Slices that two threads make while another goes through them.
struct slices : with<ilk_slices_new, 8, nullptr> {
  static const int N = 3;

  int count()
  {
    int n = 0;
    for (void *slice = ilk_slices_next(object, nullptr); slice;
         slice = ilk_slices_next(object, slice))
      n++;
    return n;
  }

  void thread(unsigned index)
  {
    if (index < 2)
      EXPECT(ilk_slices_get(object) != nullptr);
    else
      EXPECT(count() <= 2);
  }

  void after()
  {
    EXPECT(count() == 2 && ilk_slices_free(object) == ILK_OK);
  }
};
SCENARIO(slices);

// The same, where the other clears them, or describes them in a report.
template <bool CLEARS> struct slices_cleared : slices {
  static const int N = 2;

  void thread(unsigned index)
  {
    char text[400];
    if (index == 0)
      EXPECT(ilk_slices_get(object) != nullptr);
    else if (CLEARS)
      OK(ilk_slices_clear(object));
    else
      EXPECT(ilk_report(text, sizeof text) > 0);
  }

  void after()
  {
    EXPECT(count() == 1 && ilk_slices_free(object) == ILK_OK);
  }
};
SCENARIO_AS(slices_clear, slices_cleared<true>);
SCENARIO_AS(slices_report, slices_cleared<false>);

// A slice with a companion stays until both its object and the companion have dropped it.
struct slices_dropped {
  static const int N = 2;
  void *slices, *attached;
  int released = 0;
  long blocks;

  static void release(void *companion)
  {
    *(int *)companion += 1;
  }

  void before()
  {
    void *first = ilk_slices_new(8, nullptr);
    EXPECT(ilk_slices_get(first) && ilk_slices_free(first) == ILK_OK);
    blocks = seams_blocks(); // with those that stay with the thread's record
    slices = ilk_slices_new(8, nullptr);
    attached = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      void *slice = ilk_slices_get(slices);
      OK(ilk_slices_attach(slice, &released, (void *)release));
      ilk_counter_fetch_add(attached, 1);
      __tsan_write_range(slice, 8);
      OK(ilk_slices_drop(&slice));
    } else {
      OK(ilk_counter_wait(attached, 1));
      OK(ilk_slices_free(slices));
      EXPECT(released == 1);
    }
  }

  void after()
  {
    EXPECT(seams_blocks() == blocks);
  }
};
SCENARIO(slices_dropped);
