#include "scenario.hpp"

struct counter : with<ilk_counter_new, 0> {
  static const int N = 3;
  shared_int data[2];

  void thread(unsigned index)
  {
    if (index < 2) {
      set(data[index], 1);
      ilk_counter_fetch_add(object, 1);
    } else {
      OK(ilk_counter_wait(object, 2));
      EXPECT(get(data[0]) == 1 && get(data[1]) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_counter_load(object) == 2 && ilk_counter_free(object) == ILK_OK);
  }
};
SCENARIO(counter);

// Atomic operations are sequentially consistent: of two threads that each change one counter and
// then read the other, one at least sees the other's change. What reads is a load, or a wait that
// does not wait.
enum change { STORE, EXCHANGE, FETCH_ADD, COMPARE_EXCHANGE };
template <int CHANGE> struct counter_order {
  static const int N = 2;
  void *counter[2];
  bool saw[2];

  void before()
  {
    counter[0] = ilk_counter_new(0);
    counter[1] = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    void *mine = counter[index], *other = counter[1 - index];
    switch (CHANGE) {
    case STORE: OK(ilk_counter_store(mine, 1)); break;
    case EXCHANGE: EXPECT(ilk_counter_exchange(mine, 1) == 0); break;
    case FETCH_ADD: EXPECT(ilk_counter_fetch_add(mine, 1) == 0); break;
    default: EXPECT(ilk_counter_compare_exchange(mine, 0, 1) == 0);
    }
    saw[index] =
      index == 0 ? ilk_counter_load(other) == 1 : ilk_counter_timedwait(other, 1, 0) == ILK_OK;
  }

  void after()
  {
    EXPECT(saw[0] || saw[1]);
  }
};
SCENARIO_AS(counter_store, counter_order<STORE>);
SCENARIO_AS(counter_exchange, counter_order<EXCHANGE>);
SCENARIO_AS(counter_fetch_add, counter_order<FETCH_ADD>);
SCENARIO_AS(counter_compare_exchange, counter_order<COMPARE_EXCHANGE>);
