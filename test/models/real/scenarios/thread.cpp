#include "scenario.hpp"

// A thread dies as it holds a mutex, and a new one uses its record, which the next to lock has just
// loaded.
struct thread_record_reused : locked_mutex<0>, stands_still {
  static const int N = 3;
  shared_int data;
  bool tried = false; // orders nothing

  void thread(unsigned index)
  {
    if (index == 0) {
      while (!tried)
        model_yield();
      set(data, get(data) + 1);
      thread_leave(thread_current);
    } else if (index == 1) {
      tried = true;
      EXPECT(ilk_mutex_lock(object) == ILK_OWNER_DIED);
      set(data, get(data) + 1);
      OK(ilk_mutex_unlock(object));
    } else {
      thread_current = nullptr;
      EXPECT(ilk_mutex_depth(nullptr) == ILK_EHANDLE); // needs a record
      thread_leave(thread_current);
    }
  }

  void after()
  {
    EXPECT(get(data) == 2);
  }
};
SCENARIO(thread_record_reused);

// A call by a thread that is new: the thread that frees finds its record, which may be the first of
// another word of bits.
template <int IDLE>
struct thread_record_new_of : freed<ilk_queue_new, 4>, idle<IDLE>, stands_still {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      ONE_OF(ilk_queue_tryput(old, 7), ILK_OK, ILK_EHANDLE, ILK_EBUSY);
    } else {
      OK(ilk_queue_free(old));
      next = ilk_queue_new(2);
    }
  }

  void after()
  {
    EXPECT(ilk_queue_size(next) == 0);
  }
};
SCENARIO_AS(thread_record_new, thread_record_new_of<0>);
SCENARIO_AS(thread_record_new_far,
            thread_record_new_of<1>); // not the first record of its element (LIVE_BITS: see build)

// An id has the same element of the table as that of a thread that has died meanwhile, whose record
// the new thread may have, too.
struct thread_id_again : with<ilk_once_new, 0>, stands_still {
  static const int N = 3;
  enum { ELEMENTS = 16 }; // THREADS_MAX: see build
  shared_int data;
  bool leaves = false, again = false; // order nothing

  void before()
  {
    with::before();
    EXPECT(ilk_once_begin(object) == 1);
    struct thread *me = thread_current;
    long mine = ilk_thread_id(), last;
    do { // the next id has the same element
      thread_current = nullptr;
      last = ilk_thread_id();
      thread_leave(thread_current);
    } while ((last + 1 - mine) % ELEMENTS != 0);
    thread_current = me;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      leaves = true;
      thread_leave(thread_current);
    } else if (index == 1) {
      while (!again)
        model_yield();
      EXPECT(ilk_once_begin(object) == 1);
      EXPECT(get(data) == 1);
    } else {
      while (!leaves)
        model_yield();
      thread_current = nullptr;
      ilk_thread_id();
      again = true;
    }
  }
};
SCENARIO(thread_id_again);
