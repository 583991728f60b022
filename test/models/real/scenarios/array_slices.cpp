#include "scenario.hpp"

// Of two threads that each change an element and then read the other's, one at least sees the
// other's change. What reads is an add or a maximum of slices, whose source the element is.
enum operation { ADD_I64, ADD_F64, MAX_I64 };
template <int OPERATION> struct slices_order : bare {
  static const int N = 2;
  int64_t element[2] = {0, 0}, seen[2] = {0, 0};

  void thread(unsigned index)
  {
    int64_t *other = &element[1 - index];
    EXPECT(ilk_atomic_exchange_i64(&element[index], 1) == 0);
    switch (OPERATION) {
    case ADD_I64: OK(ilk_atomic_add_i64(&seen[index], other, 1)); break;
    case ADD_F64: OK(ilk_atomic_add_f64(&seen[index], other, 1)); break;
    default: OK(ilk_atomic_max_i64(&seen[index], other, 1));
    }
  }

  void after()
  {
    EXPECT(ilk_atomic_load_i64(&seen[0]) || ilk_atomic_load_i64(&seen[1]));
  }
};
SCENARIO_AS(slices_add_i64, slices_order<ADD_I64>);
SCENARIO_AS(slices_add_f64, slices_order<ADD_F64>);
SCENARIO_AS(slices_max_i64, slices_order<MAX_I64>);
