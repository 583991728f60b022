// Resumable waits (src/core/resumable.h).
#include "scenario.hpp"

template <int (*TAKE)(void *, int64_t), int (*GIVE)(void *)>
static void visit(void *lock, shared_int &data, int64_t timeout_ns)
{
  if (ONE_OF(TAKE(lock, timeout_ns), ILK_OK, ILK_ETIMEDOUT) != ILK_OK)
    return;
  set(data, get(data) + 1);
  OK(GIVE(lock));
}

// Two threads make resumable waits, one of them until it has the lock; the third has one call.
template <auto NEW, int FLAGS, int (*TAKE)(void *, int64_t), int (*GIVE)(void *)>
struct resumable_lock_of : with<NEW, FLAGS> {
  using with<NEW, FLAGS>::object;
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 2) {
      visit<TAKE, GIVE>(object, data, -1);
      return;
    }
    OK(ilk_wait_begin(object));
    int result = ONE_OF(TAKE(object, 1000), ILK_OK, ILK_ETIMEDOUT);
    if (result == ILK_ETIMEDOUT && index == 0)
      result = TAKE(object, -1);
    if (result == ILK_OK) {
      set(data, get(data) + 1);
      OK(GIVE(object));
    }
    OK(ilk_wait_end(object));
  }

  void after()
  {
    EXPECT(get(data) >= 2 && TAKE(object, 0) == ILK_OK && GIVE(object) == ILK_OK);
  }
};
SCENARIO_AS(resumable_mutex,
            resumable_lock_of<ilk_mutex_new, 0, ilk_mutex_timedlock, ilk_mutex_unlock>);
SCENARIO_AS(resumable_mutex_fair,
            resumable_lock_of<ilk_mutex_new, ILK_FAIR, ilk_mutex_timedlock, ilk_mutex_unlock>);
SCENARIO_AS(resumable_mutex_unowned,
            resumable_lock_of<ilk_mutex_new, ILK_UNOWNED, ilk_mutex_timedlock, ilk_mutex_unlock>);
SCENARIO_AS(
  resumable_rwlock,
  resumable_lock_of<ilk_rwlock_new, 0, ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock>);
SCENARIO_AS(
  resumable_rwlock_fair,
  resumable_lock_of<ilk_rwlock_new, ILK_FAIR, ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock>);

// A writer whose part ends while it waits for readers: then it comes back, ends its wait, exits, or
// does nothing until all others, two readers and a writer, have been inside.
enum fate { COMES_BACK, ENDS, EXITS, STAYS_AWAY };
template <fate FATE, int FLAGS = 0, bool BIASED = false>
struct resumable_drain_of : with<ilk_rwlock_new, FLAGS> {
  using with<ilk_rwlock_new, FLAGS>::object;
  static const int N = 4;
  void *passed;
  shared_int data;
  bool wrote = false;

  void before()
  {
    with<ilk_rwlock_new, FLAGS>::before();
    passed = ilk_counter_new(0);
    for (int i = 0; BIASED && i < 70; i++)
      EXPECT(ilk_rwlock_read_lock(object) == ILK_OK && ilk_rwlock_read_unlock(object) == ILK_OK);
  }

  void write_resumably()
  {
    OK(ilk_wait_begin(object));
    int result = ONE_OF(ilk_rwlock_write_timedlock(object, 1000), ILK_OK, ILK_ETIMEDOUT);
    if (result == ILK_ETIMEDOUT && FATE == COMES_BACK)
      OK(result = ilk_rwlock_write_lock(object));
    if (result == ILK_ETIMEDOUT && FATE == STAYS_AWAY)
      OK(ilk_counter_wait(passed, N - 1));
    wrote = result == ILK_OK;
    if (wrote) {
      set(data, get(data) + 1);
      OK(ilk_rwlock_write_unlock(object));
    }
    if (FATE == EXITS)
      thread_leave(thread_current);
    else
      OK(ilk_wait_end(object));
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      write_resumably();
      return;
    }
    if (index < 3) {
      OK(ilk_rwlock_read_lock(object));
      int seen = get(data);
      EXPECT(get(data) == seen);
      OK(ilk_rwlock_read_unlock(object));
    } else {
      OK(ilk_rwlock_write_lock(object));
      set(data, get(data) + 1);
      OK(ilk_rwlock_write_unlock(object));
    }
    EXPECT(ilk_counter_fetch_add(passed, 1) >= 0);
  }

  void after()
  {
    EXPECT(get(data) == 1 + wrote && ilk_rwlock_write_trylock(object) == ILK_OK);
    EXPECT(ilk_rwlock_write_unlock(object) == ILK_OK && ilk_rwlock_free(object) == ILK_OK);
  }
};
SCENARIO_AS(resumable_drain, resumable_drain_of<COMES_BACK>);
SCENARIO_AS(resumable_drain_biased, resumable_drain_of<COMES_BACK, 0, true>);
SCENARIO_AS(resumable_drain_fair, resumable_drain_of<COMES_BACK, ILK_FAIR>);
SCENARIO_AS(resumable_drain_ends, resumable_drain_of<ENDS>);
SCENARIO_AS(resumable_drain_exits, resumable_drain_of<EXITS>);
SCENARIO_AS(resumable_drain_away, resumable_drain_of<STAYS_AWAY>);
SCENARIO_AS(resumable_drain_away_fair, resumable_drain_of<STAYS_AWAY, ILK_FAIR>);

// Its thread exits between two parts.
template <auto NEW, int FLAGS, int (*TAKE)(void *, int64_t), int (*GIVE)(void *)>
struct resumable_exit_of : with<NEW, FLAGS> {
  using with<NEW, FLAGS>::object;
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index > 0) {
      visit<TAKE, GIVE>(object, data, -1);
      return;
    }
    OK(ilk_wait_begin(object));
    visit<TAKE, GIVE>(object, data, 1000);
    thread_leave(thread_current);
  }

  void after()
  {
    EXPECT(get(data) >= 2);
  }
};
SCENARIO_AS(resumable_exit,
            resumable_exit_of<ilk_mutex_new, 0, ilk_mutex_timedlock, ilk_mutex_unlock>);
SCENARIO_AS(resumable_exit_fair,
            resumable_exit_of<ilk_mutex_new, ILK_FAIR, ilk_mutex_timedlock, ilk_mutex_unlock>);
SCENARIO_AS(
  resumable_exit_rwlock,
  resumable_exit_of<ilk_rwlock_new, 0, ilk_rwlock_write_timedlock, ilk_rwlock_write_unlock>);

// A notify that a resumable wait has received, and that its thread cannot use, reaches the other
// waiter.
template <int HOW> struct resumable_notify_of : with<ilk_mutex_new, 0> {
  static const int N = 3;
  void *queue;
  shared_int items;

  void before()
  {
    with::before();
    queue = ilk_condition_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_mutex_lock(object));
      if (get(items)) {
        OK(ilk_mutex_unlock(object));
        return;
      }
      OK(ilk_condition_wait_begin(queue));
      int result = ONE_OF(ilk_condition_wait_part(queue, object, 1000), ILK_OK, ILK_ETIMEDOUT);
      OK(ilk_mutex_unlock(object));
      if (result == ILK_OK)
        OK(ilk_condition_notify(queue, 1));
      else if (HOW == 0 && ONE_OF(ilk_condition_wait_end(queue), 0, 1) == 1)
        OK(ilk_condition_notify(queue, 1));
      else if (HOW == 1)
        thread_leave(thread_current);
      else if (HOW == 2)
        EXPECT(ilk_condition_wait_part(queue, object, 1000) == ILK_EPERM);
    } else if (index == 1) {
      OK(ilk_mutex_lock(object));
      while (!get(items))
        OK(ilk_condition_wait(queue, object));
      set(items, get(items) - 1);
      OK(ilk_mutex_unlock(object));
    } else {
      OK(ilk_mutex_lock(object));
      set(items, get(items) + 1);
      OK(ilk_condition_notify(queue, 1));
      OK(ilk_mutex_unlock(object));
    }
  }

  void after()
  {
    EXPECT(get(items) == 0);
  }
};
SCENARIO_AS(resumable_notify, resumable_notify_of<0>);
SCENARIO_AS(resumable_notify_exit, resumable_notify_of<1>);
SCENARIO_AS(resumable_notify_error, resumable_notify_of<2>);

// The same with a free of the condition by one that sees the end.
struct resumable_notify_freed : with<ilk_mutex_new, 0> {
  static const int N = 2;
  void *queue;
  shared_int ready;

  void before()
  {
    with::before();
    queue = ilk_condition_new(0);
  }

  void thread(unsigned index)
  {
    OK(ilk_mutex_lock(object));
    if (index == 0) {
      if (!get(ready)) {
        OK(ilk_condition_wait_begin(queue));
        int result = ONE_OF(ilk_condition_wait_part(queue, object, 1000), ILK_OK, ILK_ETIMEDOUT);
        if (result == ILK_ETIMEDOUT)
          ONE_OF(ilk_condition_wait_end(queue), 0, 1);
      }
      OK(ilk_mutex_unlock(object));
    } else {
      set(ready, 1);
      OK(ilk_condition_notify(queue, 1));
      OK(ilk_mutex_unlock(object));
      ONE_OF(ilk_condition_free(queue), ILK_OK, ILK_EBUSY);
      if (void *next = ilk_condition_new(0))
        OK(ilk_condition_free(next));
    }
  }
};
SCENARIO(resumable_notify_freed);

// A holder exits; of those that wait, one does so resumably.
template <int FLAGS> struct resumable_dead_of : with<ilk_mutex_new, FLAGS> {
  using with<ilk_mutex_new, FLAGS>::object;
  static const int N = 3;
  int died = 0;

  void before()
  {
    with<ilk_mutex_new, FLAGS>::before();
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_mutex_lock(object), ILK_OK) == ILK_OK)
        thread_leave(thread_current);
    } else if (index == 1) {
      OK(ilk_wait_begin(object));
      int result = ilk_mutex_timedlock(object, 1000);
      if (result >= 0) {
        died += result;
        OK(ilk_mutex_unlock(object));
      } else {
        EXPECT(result == ILK_ETIMEDOUT);
      }
      OK(ilk_wait_end(object));
    } else {
      int result = ilk_mutex_lock(object);
      EXPECT(result >= 0);
      died += result;
      OK(ilk_mutex_unlock(object));
    }
  }
};
SCENARIO_AS(resumable_dead, resumable_dead_of<0>);
SCENARIO_AS(resumable_dead_fair, resumable_dead_of<ILK_FAIR>);
