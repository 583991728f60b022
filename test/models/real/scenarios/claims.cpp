#include "scenario.hpp"

// Waiters that register and leave while a waker claims some: none is counted in the end.
struct claims : bare {
  static const int N = 3;

  void thread(unsigned index)
  {
    for (int i = 0; i < 2; i++)
      index < 2 ? seams_claims_wait() : seams_claims_wake();
  }

  void after()
  {
    EXPECT(seams_claims_count() == 0);
  }
};
SCENARIO(claims);
