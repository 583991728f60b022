#include "scenario.hpp"

struct barrier : with<ilk_barrier_new, 2> {
  static const int N = 2;
  shared_int data[2];

  void thread(unsigned index)
  {
    for (int round = 1; round <= 2; round++) {
      set(data[index], round);
      EXPECT(ilk_barrier_wait(object) >= 0);
      EXPECT(get(data[1 - index]) == round);
      EXPECT(ilk_barrier_wait(object) >= 0);
    }
  }

  void after()
  {
    OK(ilk_barrier_free(object));
  }
};
SCENARIO(barrier);

// More threads than processors: they yield before they sleep.
struct barrier_crowded : with<ilk_barrier_new, 3> {
  static const int N = 3;
  shared_int data[N];

  void thread(unsigned index)
  {
    set(data[index], 1);
    EXPECT(ilk_barrier_wait(object) >= 0);
    for (shared_int &each : data)
      EXPECT(get(each) == 1);
  }

  void after()
  {
    OK(ilk_barrier_free(object));
  }
};
SCENARIO(barrier_crowded);

// A timeout breaks a barrier for all threads or for none.
struct barrier_timeout : with<ilk_barrier_new, 2> {
  static const int N = 2;
  int results[2];

  void thread(unsigned index)
  {
    results[index] = ilk_barrier_timedwait(object, index == 0 ? 1000 : -1);
  }

  void after()
  {
    EXPECT((results[0] >= 0) == (results[1] >= 0));
    EXPECT(results[0] >= 0 || (results[0] == ILK_ETIMEDOUT && results[1] == ILK_EBROKEN));
    OK(ilk_barrier_free(object));
  }
};
SCENARIO(barrier_timeout);

// A barrier that one thread resets, or breaks, while others arrive: all of them, or none, get
// through, and it can be used again.
template <bool BREAKS> struct barrier_broken : with<ilk_barrier_new, 2> {
  static const int N = 3;
  int results[2];

  void thread(unsigned index)
  {
    if (index == 2)
      EXPECT((BREAKS ? ilk_barrier_abort(object) : ilk_barrier_reset(object)) == ILK_OK);
    else
      results[index] = ilk_barrier_timedwait(object, 1000);
  }

  void after()
  {
    for (int result : results)
      EXPECT(result >= 0 || result == ILK_EBROKEN || result == ILK_ETIMEDOUT);
    EXPECT((results[0] >= 0) == (results[1] >= 0));
    OK(ilk_barrier_reset(object));
    EXPECT(ilk_barrier_timedwait(object, 0) == ILK_ETIMEDOUT);
    OK(ilk_barrier_free(object));
  }
};
SCENARIO_AS(barrier_reset, barrier_broken<false>);
SCENARIO_AS(barrier_abort, barrier_broken<true>);

// Threads that come again after a reset get through in the end: the last to leave wakes those that
// wait outside.
struct barrier_again : with<ilk_barrier_new, 2> {
  static const int N = 3;

  void thread(unsigned index)
  {
    int64_t ticket = -1;
    if (index == 2) {
      OK(ilk_barrier_reset(object));
      return;
    }
    int result = ILK_EBROKEN;
    if (index == 0 && ilk_barrier_arrive(object, 0, &ticket, -1) >= 0) {
      result = ilk_barrier_await(object, ticket, -1);
      EXPECT(result == ILK_OK ||
             (result == ILK_EBROKEN && ilk_barrier_leave(object, ticket) == ILK_EBROKEN));
    }
    while (result == ILK_EBROKEN)
      result = ilk_barrier_wait(object);
    EXPECT(result >= 0);
  }

  void after()
  {
    OK(ilk_barrier_free(object));
  }
};
SCENARIO(barrier_again);

// A try that does not complete the round breaks it for those that sleep.
struct barrier_try : with<ilk_barrier_new, 3> {
  static const int N = 2;

  void thread(unsigned index)
  {
    int result = ilk_barrier_timedwait(object, index == 0 ? 0 : -1);
    EXPECT(result == ILK_EBROKEN || (index == 0 && result == ILK_ETIMEDOUT));
  }

  void after()
  {
    EXPECT(ilk_barrier_reset(object) == ILK_OK && ilk_barrier_free(object) == ILK_OK);
  }
};
SCENARIO(barrier_try);
