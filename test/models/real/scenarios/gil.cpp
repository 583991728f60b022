#include "scenario.hpp"

// Python's hooks, installed while a thread begins to wait.
struct gil_hooks : with<ilk_counter_new, 0> {
  static const int N = 2;
  static inline int state;

  static void *current()
  {
    return &state;
  }
  static void *save()
  {
    return &state;
  }
  static void restore(void *)
  {
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_gil_hooks((void *)current, nullptr, (void *)save, (void *)restore));
      ilk_counter_fetch_add(object, 1);
    } else {
      OK(ilk_counter_wait(object, 1));
    }
  }
};
SCENARIO(gil_hooks);

// Each set of hooks is stored once, also while another is installed.
struct gil_hooks_two : gil_hooks {
  long blocks;

  void before()
  {
    blocks = seams_blocks();
  }

  static int install(unsigned index)
  {
    return ilk_gil_hooks((void *)current, index ? (void *)current : nullptr, (void *)save,
                         (void *)restore);
  }

  void thread(unsigned index)
  {
    EXPECT(install(index) == ILK_OK);
  }

  void after()
  {
    for (unsigned index : {0u, 1u})
      EXPECT(install(index) == ILK_OK);
    EXPECT(seams_blocks() == blocks + 2);
  }
};
SCENARIO(gil_hooks_two);
