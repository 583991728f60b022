#include "scenario.hpp"

// A waiter without a time-out is woken by the abort, or the reset, that breaks its round.
template <bool RESETS> struct barrier_ended : with<ilk_barrier_new, 2> {
  static const int N = 2;
  alignas(8) int64_t ticket;

  void before()
  {
    with::before();
    EXPECT(ilk_barrier_arrive(object, 0, &ticket, -1) == 0);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_barrier_await(object, ticket, -1) == ILK_EBROKEN);
    else
      EXPECT((RESETS ? ilk_barrier_reset(object) : ilk_barrier_abort(object)) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_barrier_leave(object, ticket) == ILK_EBROKEN);
    EXPECT(ilk_barrier_is_broken(object) == !RESETS);
    OK(ilk_barrier_free(object));
  }
};
SCENARIO_AS(barrier_ended_abort, barrier_ended<false>);
SCENARIO_AS(barrier_ended_reset, barrier_ended<true>);

// The last of a round acts for it: the other continues after that, and sees what was done.
struct barrier_act : with<ilk_barrier_new, 2> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned)
  {
    int64_t ticket;
    int place = ONE_OF(ilk_barrier_arrive(object, 1, &ticket, -1), 0, 1);
    if (place == 1) {
      set(data, 1);
      OK(ilk_barrier_complete(object, ticket, 1));
    } else {
      OK(ilk_barrier_await(object, ticket, -1));
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    OK(ilk_barrier_free(object));
  }
};
SCENARIO(barrier_act);

// A ticket that was never taken, or was returned, leaves nothing for the rounds that follow.
template <int PARTIES, int INSIDE> struct barrier_wrong_ticket_of {
  static const int N = INSIDE + 1;
  void *barrier;
  int results[N];

  void before()
  {
    alignas(8) int64_t ticket;
    barrier = ilk_barrier_new(PARTIES);
    for (int i = 0; i < INSIDE; i++)
      EXPECT(ilk_barrier_arrive(barrier, 0, &ticket, -1) == i && ticket == i);
    OK(ilk_barrier_abort(barrier));
  }

  void thread(unsigned index)
  {
    results[index] = ilk_barrier_leave(barrier, index); // the last was never taken
  }

  void after()
  {
    alignas(8) int64_t tickets[2];
    EXPECT(std::count(results, results + N, ILK_EBROKEN) == INSIDE);
    EXPECT(std::count(results, results + N, ILK_EPERM) == 1);
    OK(ilk_barrier_reset(barrier));
    for (int i = 0; i < 2; i++)
      EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[i], -1) == i);
    OK(ilk_barrier_abort(barrier));
    EXPECT(ilk_barrier_leave(barrier, tickets[1] + 1) == ILK_EPERM);
    for (int i = 0; i < 2; i++)
      EXPECT(ilk_barrier_leave(barrier, tickets[i]) == ILK_EBROKEN);
    OK(ilk_barrier_free(barrier));
  }
};
SCENARIO_AS(barrier_wrong_ticket, barrier_wrong_ticket_of<3, 1>);
SCENARIO_AS(barrier_wrong_ticket_many, barrier_wrong_ticket_of<65, 1>);
SCENARIO_AS(barrier_wrong_ticket_two, barrier_wrong_ticket_of<65, 2>);

// A reset ends when the thread that acts and the one that waits have both left; the one outside
// then gets in.
struct barrier_act_reset : with<ilk_barrier_new, 2> {
  static const int N = 3;
  alignas(8) int64_t tickets[3];

  void before()
  {
    with::before();
    EXPECT(ilk_barrier_arrive(object, 0, &tickets[0], -1) == 0);
    EXPECT(ilk_barrier_arrive(object, 1, &tickets[1], -1) == 1);
    OK(ilk_barrier_reset(object));
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_barrier_leave(object, tickets[0]) == ILK_EBROKEN);
    else if (index == 1)
      EXPECT(ilk_barrier_complete(object, tickets[1], 1) == ILK_EBROKEN);
    else
      EXPECT(ilk_barrier_arrive(object, 0, &tickets[2], -1) == 0);
  }

  void after()
  {
    EXPECT(ilk_barrier_is_broken(object) == 0 && ilk_barrier_waiting(object) == 1);
    EXPECT(ilk_barrier_leave(object, tickets[2]) == ILK_ETIMEDOUT);
    EXPECT(ilk_barrier_reset(object) == ILK_OK && ilk_barrier_free(object) == ILK_OK);
  }
};
SCENARIO(barrier_act_reset);

// An abort or a reset breaks the round of a thread that has arrived before, while another arrives
// or leaves at the moment.
template <bool RESETS> struct barrier_arrival : with<ilk_barrier_new, 3> {
  static const int N = 2;
  alignas(8) int64_t tickets[2];

  void before()
  {
    with::before();
    EXPECT(ilk_barrier_arrive(object, 0, &tickets[0], -1) == 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT((RESETS ? ilk_barrier_reset(object) : ilk_barrier_abort(object)) == ILK_OK);
      EXPECT(ilk_barrier_await(object, tickets[0], 0) == ILK_EBROKEN);
      EXPECT(ilk_barrier_leave(object, tickets[0]) == ILK_EBROKEN);
      return;
    }
    int result = ONE_OF(ilk_barrier_arrive(object, 0, &tickets[1], -1), 0, 1, ILK_EBROKEN);
    if (result < 0)
      return;
    ONE_OF(ilk_barrier_leave(object, tickets[1]), ILK_EBROKEN, ILK_ETIMEDOUT);
  }

  void after()
  {
    EXPECT(ilk_barrier_reset(object) == ILK_OK && ilk_barrier_free(object) == ILK_OK);
  }
};
SCENARIO_AS(barrier_arrival_abort, barrier_arrival<false>);
SCENARIO_AS(barrier_arrival_reset, barrier_arrival<true>);

// The result of the thread that acts fits that of its round, whether the abort or the action comes
// first.
struct barrier_act_abort : with<ilk_barrier_new, 2> {
  static const int N = 2;
  alignas(8) int64_t tickets[2];
  int completed;

  void before()
  {
    with::before();
    EXPECT(ilk_barrier_arrive(object, 0, &tickets[0], -1) == 0);
    EXPECT(ilk_barrier_arrive(object, 1, &tickets[1], -1) == 1);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      OK(ilk_barrier_abort(object));
    else
      completed = ilk_barrier_complete(object, tickets[1], 1);
  }

  void after()
  {
    EXPECT(completed == ILK_OK || completed == ILK_EBROKEN);
    EXPECT(ilk_barrier_await(object, tickets[0], 0) == completed);
    EXPECT(completed == ILK_OK || ilk_barrier_leave(object, tickets[0]) == ILK_EBROKEN);
    EXPECT(ilk_barrier_reset(object) == ILK_OK && ilk_barrier_free(object) == ILK_OK);
  }
};
SCENARIO(barrier_act_abort);

// The thread that awaits its ticket sees what the last one did before it arrived.
struct barrier_await : with<ilk_barrier_new, 2> {
  static const int N = 2;
  alignas(8) int64_t ticket;
  shared_int data;

  void before()
  {
    with::before();
    EXPECT(ilk_barrier_arrive(object, 0, &ticket, -1) == 0);
  }

  void thread(unsigned index)
  {
    if (index == 1) {
      set(data, 1);
      EXPECT(ilk_barrier_wait(object) == 1);
    } else if (ilk_barrier_await(object, ticket, 0) == ILK_OK) {
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_barrier_await(object, ticket, 0) == ILK_OK && ilk_barrier_free(object) == ILK_OK);
  }
};
SCENARIO(barrier_await);

// A thread that waited outside, and has left, does not keep a later free from waiting for the end
// of a reset.
struct barrier_outside : bare {
  static const int N = 2;
  void *barrier;

  void before()
  {
    alignas(8) int64_t tickets[3];
    barrier = ilk_barrier_new(2);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[0], -1) == 0);
    EXPECT(ilk_barrier_arrive(barrier, 1, &tickets[1], -1) == 1);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[2], 0) == ILK_ETIMEDOUT);
    OK(ilk_barrier_complete(barrier, tickets[1], 1));
    OK(ilk_barrier_await(barrier, tickets[0], 0));
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_barrier_wait(barrier) == ILK_EBROKEN);
      return;
    }
    while (ilk_barrier_waiting(barrier) == 0)
      model_yield();
    OK(ilk_barrier_reset(barrier));
    OK(ilk_barrier_free(barrier));
  }
};
SCENARIO(barrier_outside);
