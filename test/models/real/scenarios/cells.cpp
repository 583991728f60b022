#include "scenario.hpp"

// A thread's first value, as another thread finds it: near, or in a far level, whose directory may
// have anything in it before.
template <int LEVEL, bool POINTERS = false> struct cells_of : bare {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0)
      seams_cell_set(LEVEL, POINTERS);
    else
      for (int i = 0; i < 3; i++)
        ONE_OF(seams_cell_get(engine::records[0], LEVEL), 0, 1);
  }
};
SCENARIO_AS(cells_near, cells_of<0>);
SCENARIO_AS(cells_far, cells_of<7>);
SCENARIO_AS(cells_far_directory, cells_of<7, true>);
