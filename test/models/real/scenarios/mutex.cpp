#include "scenario.hpp"

template <int FLAGS, int THREADS> struct mutex_of : with<ilk_mutex_new, FLAGS> {
  using with<ilk_mutex_new, FLAGS>::object;
  static const int N = THREADS;
  shared_int data;

  void thread(unsigned)
  {
    OK(ilk_mutex_lock(object));
    set(data, get(data) + 1);
    OK(ilk_mutex_unlock(object));
  }

  void after()
  {
    EXPECT(get(data) == N);
    OK(ilk_mutex_free(object));
  }
};
SCENARIO_AS(mutex, mutex_of<0, 2>);
SCENARIO_AS(mutex_three, mutex_of<0, 3>);
SCENARIO_AS(mutex_fair, mutex_of<ILK_FAIR, 3>);
SCENARIO_AS(mutex_unowned, mutex_of<ILK_UNOWNED, 3>);
// Two threads that make their records at the same time, and find each other by their ids.
SCENARIO_AS(records, all_new<mutex_of<0, 2>>);

// Twice each, one of the locks nested, or by a try.
struct mutex_twice : with<ilk_mutex_new, ILK_RECURSIVE> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned index)
  {
    for (int i = 0; i < 2; i++) {
      if (index == 1 && i == 1) {
        if (ilk_mutex_trylock(object) != ILK_OK)
          OK(ilk_mutex_lock(object));
      } else {
        OK(ilk_mutex_lock(object));
      }
      OK(ilk_mutex_lock(object));
      set(data, get(data) + 1);
      OK(ilk_mutex_unlock(object));
      OK(ilk_mutex_unlock(object));
    }
  }

  void after()
  {
    EXPECT(get(data) == 4 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_twice);

// A waiter that times out consumes no other thread's wake.
template <int FLAGS> struct mutex_timeout_of : with<ilk_mutex_new, FLAGS> {
  using with<ilk_mutex_new, FLAGS>::object;
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    int result = index == 0 ? ilk_mutex_timedlock(object, 1000) : ilk_mutex_lock(object);
    EXPECT(result == ILK_OK || (index == 0 && result == ILK_ETIMEDOUT));
    if (result != ILK_OK)
      return;
    set(data, get(data) + 1);
    OK(ilk_mutex_unlock(object));
  }

  void after()
  {
    EXPECT(get(data) >= 2 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO_AS(mutex_timeout, mutex_timeout_of<0>);
SCENARIO_AS(mutex_fair_timeout, mutex_timeout_of<ILK_FAIR>);

// A waiter that is woken without need sleeps again, until its deadline.
struct mutex_given_up : with<ilk_mutex_new, 0> {
  static const int N = 2;
  void *done;

  void before()
  {
    with::before();
    done = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_mutex_lock(object));
      OK(ilk_mutex_unlock(object));
      if (ilk_mutex_trylock(object) != ILK_OK)
        return;
      OK(ilk_counter_wait(done, 1));
      OK(ilk_mutex_unlock(object));
    } else {
      if (ONE_OF(ilk_mutex_timedlock(object, 1000), ILK_OK, ILK_ETIMEDOUT) == ILK_OK)
        OK(ilk_mutex_unlock(object));
      ilk_counter_fetch_add(done, 1);
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(object) == 0 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_given_up);

// One thread locks an unowned mutex, another unlocks it.
struct mutex_crossed : locked_mutex<ILK_UNOWNED> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_mutex_lock(object));
      EXPECT(get(data) == 1);
    } else {
      set(data, 1);
      OK(ilk_mutex_unlock(object));
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_unlock(object) == ILK_OK && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_crossed);

// A binary semaphore: the first thread unlocks for itself, and then, as soon as it finds the mutex
// locked, for one of the two that wait. That one may not have left the queue yet. The last thread
// locks and unlocks meanwhile, and misses that another waits.
template <int FLAGS> struct mutex_crossed_waited_of : locked_mutex<ILK_UNOWNED | FLAGS> {
  using locked_mutex<ILK_UNOWNED | FLAGS>::object;
  static const int N = 4;
  uint32_t begins[1] = {};

  void thread(unsigned index)
  {
    static site begin = {"mutex.cpp", "store_seq_cst", __LINE__, SITE_STORE, ORDER_SEQ_CST};
    if (index == 0) {
      while (!seams_blocked(engine::records[1]) || !seams_blocked(engine::records[2]))
        model_yield();
      OK(ilk_mutex_unlock(object));
      while (!ilk_mutex_is_locked(object))
        model_yield();
      model_store(begins, sizeof *begins, 1, &begin, __func__);
      model_wake(begins, 1);
      OK(ilk_mutex_unlock(object));
    } else if (index < 3) {
      OK(ilk_mutex_lock(object)); // unlocked by the first thread, or in the end
    } else {
      model_wait(begins, 0, INT64_MAX);
      for (int i = 0; i < 20; i++)
        if (ilk_mutex_trylock(object) == ILK_OK) {
          OK(ilk_mutex_unlock(object));
          break;
        }
    }
  }

  void after()
  {
    OK(ilk_mutex_unlock(object));
    OK(ilk_mutex_free(object));
  }
};
SCENARIO_AS(mutex_crossed_waited, mutex_crossed_waited_of<0>);
SCENARIO_AS(mutex_fair_crossed_waited, mutex_crossed_waited_of<ILK_FAIR>);

// The holder exits: its death is reported to the next one, which sees its writes.
struct mutex_dead : with<ilk_mutex_new, 0> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned index)
  {
    int result = ilk_mutex_lock(object);
    EXPECT(result == ILK_OK || (index == 1 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      OK(ilk_mutex_unlock(object));
  }

  void after()
  {
    EXPECT(get(data) == 2);
  }
};
SCENARIO(mutex_dead);

// The holder exits while the first waiter is in a signal handler, which returns only once the other
// waiter has the mutex.
struct mutex_dead_handler : locked_mutex<0> {
  static const int N = 3;
  bool handles = false, dies = false; // they order nothing
  uint32_t done[1] = {};

  static void handle(void *context)
  {
    mutex_dead_handler *s = static_cast<mutex_dead_handler *>(context);
    s->handles = true;
    if (!s->dies) // else it may have consumed the wake
      model_wait(s->done, 0, INT64_MAX);
  }

  void thread(unsigned index)
  {
    static site end = {"mutex.cpp", "store_seq_cst", __LINE__, SITE_STORE, ORDER_SEQ_CST};
    if (index == 0) {
      while (!(handles || seams_blocked(engine::records[1])) || !seams_blocked(engine::records[2]))
        model_yield();
      dies = true;
      thread_leave(thread_current);
      return;
    }
    if (index == 1)
      engine::handlers[1] = {handle, this};
    EXPECT(ilk_mutex_lock(object) >= ILK_OK);
    OK(ilk_mutex_unlock(object));
    if (index == 2) {
      model_store(done, sizeof *done, 1, &end, __func__);
      model_wake(done, 1);
    }
  }
};
SCENARIO(mutex_dead_handler);

// Threads that are new find a dead holder: the death is reported to one of them, and the other
// finds that one alive.
struct mutex_dead_new : locked_mutex<0> {
  static const int N = 3;
  shared_int data;
  int died = 0;

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, get(data) + 1);
      thread_leave(thread_current);
      return;
    }
    thread_current = nullptr;
    died += ONE_OF(ilk_mutex_lock(object), ILK_OK, ILK_OWNER_DIED) == ILK_OWNER_DIED;
    set(data, get(data) + 1);
    OK(ilk_mutex_unlock(object));
    thread_leave(thread_current);
  }

  void after()
  {
    EXPECT(get(data) == 3 && died == 1);
  }
};
SCENARIO(mutex_dead_new);

// A fair mutex is handed over to a thread that is new; another new thread finds that one alive.
struct mutex_fair_new : locked_mutex<ILK_FAIR> {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, get(data) + 1);
      OK(ilk_mutex_unlock(object));
      return;
    }
    thread_current = nullptr;
    OK(ilk_mutex_lock(object));
    set(data, get(data) + 1);
    OK(ilk_mutex_unlock(object));
    thread_leave(thread_current);
  }

  void after()
  {
    EXPECT(get(data) == 3 && ilk_mutex_free(object) == ILK_OK);
  }
};
SCENARIO(mutex_fair_new);

// A mutex whose holder exits, a thread that waits for it, and one that tries to free it: the wait
// ends.
struct mutex_dead_freed : locked_mutex<0>, stands_still {
  static const int N = 3;
  int freed = 0;

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_leave(thread_current);
    } else if (index == 1) {
      if (ONE_OF(ilk_mutex_lock(object), ILK_OWNER_DIED, ILK_EHANDLE) == ILK_OWNER_DIED)
        OK(ilk_mutex_unlock(object));
    } else {
      freed = ilk_mutex_free(object);
    }
  }

  void after()
  {
    EXPECT(freed == ILK_OK || (freed == ILK_EBUSY && ilk_mutex_free(object) == ILK_OK));
  }
};
SCENARIO(mutex_dead_freed);

// Once a waiter that starves has marked the mutex, the next release gives it to that waiter, and
// not to a thread that tries.
struct mutex_starving : locked_mutex<0> {
  static const int N = 2;
  bool has_tried = false; // orders nothing

  void thread(unsigned index)
  {
    if (index == 1) {
      OK(ilk_mutex_lock(object));
      while (!has_tried)
        model_yield();
      OK(ilk_mutex_unlock(object));
      return;
    }
    uint32_t episode = 0, last = 0;
    for (int result = ILK_OK; result == ILK_OK; last = episode) {
      while (!(episode = seams_blocked(engine::records[1])) || episode == last)
        model_yield();
      bool marked = seams_is_marked(object);
      OK(ilk_mutex_unlock(object));
      result = ilk_mutex_trylock(object);
      EXPECT(result == ILK_EBUSY || (result == ILK_OK && !marked));
    }
    has_tried = true;
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(object) == 0);
  }
};
SCENARIO(mutex_starving);

// A waiter that was woken without effect pauses, and runs a signal handler then, which returns only
// once the other waiter has had the mutex.
struct mutex_paused : locked_mutex<0> {
  static const int N = 3;
  uint32_t done[1] = {};

  static void handle(void *context)
  {
    mutex_paused *s = static_cast<mutex_paused *>(context);
    if (seams_is_away(engine::records[1]) && seams_blocked(engine::records[1]))
      model_wait(s->done, 0, INT64_MAX);
    else
      engine::handlers[1] = {handle, s};
  }

  void thread(unsigned index)
  {
    static site end = {"mutex.cpp", "store_seq_cst", __LINE__, SITE_STORE, ORDER_SEQ_CST};
    if (index == 0) {
      while (!seams_blocked(engine::records[1]) || !seams_blocked(engine::records[2]))
        model_yield();
      engine::pass(200000);
      OK(ilk_mutex_unlock(object));
      if (ilk_mutex_trylock(object) == ILK_OK)
        OK(ilk_mutex_unlock(object));
      return;
    }
    if (index == 1)
      engine::handlers[1] = {handle, this};
    else
      while (!seams_blocked(engine::records[1]))
        model_yield();
    OK(ilk_mutex_lock(object));
    OK(ilk_mutex_unlock(object));
    if (index == 2) {
      model_store(done, sizeof *done, 1, &end, __func__);
      model_wake(done, 1);
    }
  }
};
SCENARIO(mutex_paused);
