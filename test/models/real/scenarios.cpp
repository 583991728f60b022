// Scenarios for the library's own code: see engine.hpp.
//
//     real [--executions N] [--mutant MUTANT]... [--history] [SCENARIO]...
//
// Runs them, or all; exits with 0 if all hold. --history prints an execution that does not, operation by operation.
// A mutant is FILE:FUNCTION-OR-LINE:OPERATION=ORDER, as in "mutex.c:unlock_held:store_release=relaxed", or ...=dropped.
//
// With --near FILE:FUNCTION, a source's base name, it first runs all a few times, then those alone that reach an atomic
// operation there, and ends with the first that does not hold. "mutant reached" says that some scenario carries it out.
#include "engine.hpp"

#include "interlock.h"

// In seams.c.
extern "C" {
void seams_wait(int which);
int seams_load(struct thread *record);
void seams_cell_set(int level, bool pointers);
int seams_cell_get(struct thread *record, int level);
void seams_interrupted(void *pinned);
void *seams_pinned(void);
uint32_t seams_blocked(struct thread *record);
bool seams_is_marked(void *mutex);
long seams_blocks(void);
void seams_spin(void);
bool seams_inspects_own(void *handle);
void seams_claims_wait(void);
void seams_claims_wake(void);
uint32_t seams_claims_count(void);
}

using engine::get;
using engine::set;

// --- mutex ---------------------------------------------------------------------------------------

template <int FLAGS, int THREADS> struct mutex_of {
  static const int N = THREADS;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(FLAGS);
    set(data, 0);
  }

  void thread(unsigned)
  {
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    set(data, get(data) + 1);
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == N);
    EXPECT(ilk_mutex_free(mutex) == ILK_OK);
  }
};
typedef mutex_of<0, 2> mutex;
typedef mutex_of<0, 3> mutex_three;
typedef mutex_of<ILK_FAIR, 3> mutex_fair;
typedef mutex_of<ILK_UNOWNED, 3> mutex_unowned;

// Twice each, one of the locks nested, or by a try.
struct mutex_twice {
  static const int N = 2;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(ILK_RECURSIVE);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    for (int i = 0; i < 2; i++) {
      if (index == 1 && i == 1) {
        if (ilk_mutex_trylock(mutex) != ILK_OK)
          EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      } else {
        EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      }
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      set(data, get(data) + 1);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(get(data) == 4 && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// A waiter that times out consumes no other thread's wake.
template <int FLAGS> struct mutex_timeout_of {
  static const int N = 3;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(FLAGS);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    int result = index == 0 ? ilk_mutex_timedlock(mutex, 1000) : ilk_mutex_lock(mutex);
    EXPECT(result == ILK_OK || (index == 0 && result == ILK_ETIMEDOUT));
    if (result != ILK_OK)
      return;
    set(data, get(data) + 1);
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) >= 2 && ilk_mutex_free(mutex) == ILK_OK);
  }
};
typedef mutex_timeout_of<0> mutex_timeout;
typedef mutex_timeout_of<ILK_FAIR> mutex_fair_timeout;

// A waiter that is woken without need sleeps again, until its deadline.
struct mutex_given_up {
  static const int N = 2;
  void *mutex, *done;

  void before()
  {
    mutex = ilk_mutex_new(0);
    done = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      if (ilk_mutex_trylock(mutex) != ILK_OK)
        return;
      EXPECT(ilk_counter_wait(done, 1) == ILK_OK);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    } else {
      int result = ilk_mutex_timedlock(mutex, 1000);
      EXPECT(result == ILK_OK || result == ILK_ETIMEDOUT);
      if (result == ILK_OK)
        EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      ilk_counter_fetch_add(done, 1);
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(mutex) == 0 && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// One thread locks an unowned mutex, another unlocks it.
struct mutex_crossed {
  static const int N = 2;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(ILK_UNOWNED);
    set(data, 0);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      EXPECT(get(data) == 1);
    } else {
      set(data, 1);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// The holder exits: its death is reported to the next one, which sees its writes.
struct mutex_dead {
  static const int N = 2;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    int result = ilk_mutex_lock(mutex);
    EXPECT(result == ILK_OK || (index == 1 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == 2);
  }
};

// The same where a new thread uses the record of the dead one, which the other has just loaded.
struct thread_record_reused {
  static const int N = 3;
  void *mutex;
  rl::var<int> data;
  bool tried; // orders nothing

  thread_record_reused()
  {
    engine::stands_still = true;
  }

  void before()
  {
    mutex = ilk_mutex_new(0);
    set(data, 0);
    tried = false;
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      while (!tried)
        model_yield();
      set(data, get(data) + 1);
      thread_leave(thread_current);
    } else if (index == 1) {
      tried = true;
      EXPECT(ilk_mutex_lock(mutex) == ILK_OWNER_DIED);
      set(data, get(data) + 1);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
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

// Taken from the thread that holds it, which may unlock at that moment; a third waits.
struct mutex_reset {
  static const int N = 3;
  void *mutex;

  void before()
  {
    mutex = ilk_mutex_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 2) {
      EXPECT(ilk_mutex_reset(mutex) == ILK_OK);
      return;
    }
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    int result = ilk_mutex_unlock(mutex);
    EXPECT(result == ILK_OK || result == ILK_EPERM);
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(mutex) == 0 && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// A reset leaves a mutex that is locked once, whatever it was before.
struct mutex_reset_nested {
  static const int N = 2;
  void *mutex;

  void before()
  {
    mutex = ilk_mutex_new(ILK_RECURSIVE);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK && ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_mutex_reset(mutex) == ILK_OK);
    } else if (ilk_mutex_trylock(mutex) == ILK_OK) {
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      EXPECT(ilk_mutex_is_locked(mutex) == 0);
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(mutex) == 0 && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// Reset and freed while a thread that has just made its record holds it: that one's unlock does nothing to the next object.
struct mutex_reset_freed {
  static const int N = 2;
  void *old, *next;

  void before()
  {
    old = ilk_mutex_new(0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      int result = ilk_mutex_trylock(old);
      EXPECT(result == ILK_OK || result == ILK_EBUSY || result == ILK_EHANDLE);
      if (result == ILK_OK)
        result = ilk_mutex_unlock(old);
      return;
    }
    EXPECT(ilk_mutex_reset(old) == ILK_OK);
    int result = ilk_mutex_free(old);
    EXPECT(result == ILK_OK || result == ILK_EBUSY);
    if (result == ILK_OK) {
      next = ilk_mutex_new(0);
      EXPECT(ilk_mutex_lock(next) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_mutex_is_locked(next) == 1);
  }
};

// A notify's wake, deferred until the notifier unlocks, is made when the mutex is taken from it.
struct mutex_reset_deferred {
  static const int N = 3;
  void *mutex, *queue, *begun, *woken;

  void before()
  {
    mutex = ilk_mutex_new(0);
    queue = ilk_condition_new(0);
    begun = ilk_counter_new(0), woken = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      ilk_counter_fetch_add(begun, 1);
      int result = ilk_condition_wait(queue, mutex);
      EXPECT(result == ILK_OK);
      ilk_counter_fetch_add(woken, 1);
      result = ilk_mutex_unlock(mutex);
      EXPECT(result == ILK_OK || result == ILK_EPERM);
    } else if (index == 1) {
      EXPECT(ilk_counter_wait(begun, 1) == ILK_OK);
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      ilk_counter_fetch_add(begun, 1);
      EXPECT(ilk_condition_notify(queue, 1) == ILK_OK);
      while (ilk_counter_load(woken) != 1) // a wait would give the wake
        model_yield();
      int result = ilk_mutex_unlock(mutex);
      EXPECT(result == ILK_OK || result == ILK_EPERM);
    } else {
      EXPECT(ilk_counter_wait(begun, 2) == ILK_OK);
      EXPECT(ilk_mutex_reset(mutex) == ILK_OK);
    }
  }

  void after()
  {
  }
};

// Threads that are new find a dead holder: the death is reported to one of them, and the other finds that one alive.
struct mutex_dead_new {
  static const int N = 3;
  void *mutex;
  rl::var<int> data;
  int died;

  void before()
  {
    mutex = ilk_mutex_new(0);
    set(data, 0);
    died = 0;
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, get(data) + 1);
      thread_leave(thread_current);
      return;
    }
    thread_current = nullptr;
    int result = ilk_mutex_lock(mutex);
    EXPECT(result == ILK_OK || result == ILK_OWNER_DIED);
    died += result == ILK_OWNER_DIED;
    set(data, get(data) + 1);
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    thread_leave(thread_current);
  }

  void after()
  {
    EXPECT(get(data) == 3 && died == 1);
  }
};

// A fair mutex is handed over to a thread that is new; another new thread finds that one alive.
struct mutex_fair_new {
  static const int N = 3;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(ILK_FAIR);
    set(data, 0);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, get(data) + 1);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      return;
    }
    thread_current = nullptr;
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    set(data, get(data) + 1);
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    thread_leave(thread_current);
  }

  void after()
  {
    EXPECT(get(data) == 3 && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// A deadlock cycle is reported to one of its threads, or to both if they search at the same time, and no thread hangs.
struct cycle {
  static const int N = 2;
  void *mutex[2];
  rl::var<int> data;

  void before()
  {
    engine::far_deadlines_come = true; // the search for cycles begins after a while
    mutex[0] = ilk_mutex_new(0);
    mutex[1] = ilk_mutex_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    EXPECT(ilk_mutex_lock(mutex[index]) == ILK_OK);
    int result = ilk_mutex_lock(mutex[1 - index]);
    EXPECT(result == ILK_OK || result == ILK_EDEADLK);
    if (result == ILK_OK) {
      set(data, get(data) + 1);
      EXPECT(ilk_mutex_unlock(mutex[1 - index]) == ILK_OK);
    }
    EXPECT(ilk_mutex_unlock(mutex[index]) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_mutex_free(mutex[0]) == ILK_OK && ilk_mutex_free(mutex[1]) == ILK_OK);
  }
};

// --- handle --------------------------------------------------------------------------------------

// A call on a handle that is freed at that moment works on its object or finds it gone, and never on the next in its slot.
struct handle {
  static const int N = 2;
  void *old, *next;

  void before()
  {
    old = ilk_counter_new(1);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_counter_store(old, 7);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else {
      EXPECT(ilk_counter_free(old) == ILK_OK);
      next = ilk_counter_new(5);
      EXPECT(ilk_counter_load(next) == 5);
    }
  }

  void after()
  {
    EXPECT(ilk_counter_load(next) == 5);
    EXPECT(ilk_counter_load(old) == ILK_NO_VALUE);
    EXPECT(ilk_counter_free(next) == ILK_OK);
  }
};

// A free that is refused, for a thread waits: calls meanwhile find the handle closed, and then open again, or gone.
struct handle_refused {
  static const int N = 3;
  void *old, *next;

  void before()
  {
    old = ilk_counter_new(1);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 2; i++) {
        int result = ilk_counter_store(old, 7);
        EXPECT(result == ILK_OK || result == ILK_EHANDLE);
      }
    } else if (index == 1) {
      for (int i = 0; i < 2 && !next; i++) {
        int result = ilk_counter_free(old);
        EXPECT(result == ILK_OK || result == ILK_EBUSY);
        if (result == ILK_OK)
          next = ilk_counter_new(5);
      }
    } else {
      int result = ilk_counter_timedwait(old, 100, 1000);
      EXPECT(result == ILK_ETIMEDOUT || result == ILK_EHANDLE);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_counter_load(next) == 5);
  }
};

// A free meets a lock: it is refused, and the thread that holds the mutex unlocks it; or the lock finds it gone.
struct handle_locked {
  static const int N = 2;
  void *mutex;

  void before()
  {
    mutex = ilk_mutex_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 2; i++) {
        int result = ilk_mutex_lock(mutex);
        EXPECT(result == ILK_OK || result == ILK_EHANDLE);
        if (result == ILK_OK)
          EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      }
    } else {
      int result = ilk_mutex_free(mutex);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
    }
  }

  void after()
  {
  }
};

// Two threads free an object, which a third changes, and changes back: one of them does.
struct handle_freed_twice {
  static const int N = 3;
  void *semaphore;
  int freed;

  void before()
  {
    semaphore = ilk_semaphore_new(0, 10);
    freed = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_semaphore_release(semaphore, 1);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
      result = ilk_semaphore_tryacquire(semaphore);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE || result == ILK_EBUSY);
    } else {
      int result = ilk_semaphore_free(semaphore);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
      freed += result == ILK_OK;
    }
  }

  void after()
  {
    EXPECT(freed == 1);
  }
};

// What the object owns is freed once the last call is out of it.
struct handle_memory {
  static const int N = 2;
  void *old, *next, *other;

  void before()
  {
    old = ilk_queue_new(4);
    other = ilk_lockarray_new(4, 0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_queue_tryput(old, 2); // a try does not wait until the free is decided
      EXPECT(result == ILK_OK || result == ILK_EHANDLE || result == ILK_EBUSY);
      EXPECT(ilk_lockarray_trylock(other, 2) ==
             ILK_OK); // the thread that frees may see this pin instead of the end of the last one
    } else {
      int result = ilk_queue_free(old);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_OK)
        next = ilk_queue_new(4);
    }
  }

  void after()
  {
  }
};

// The same, where the pin that may be seen in place of the last one's end is that of another call.
struct handle_memory_unowned {
  static const int N = 2;
  void *old, *next, *mutex;

  void before()
  {
    old = ilk_queue_new(4);
    mutex = ilk_mutex_new(ILK_UNOWNED);
    next = nullptr;
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_queue_tryput(old, 2);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE || result == ILK_EBUSY);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    } else {
      int result = ilk_queue_free(old);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_OK)
        next = ilk_queue_new(4);
    }
  }

  void after()
  {
  }
};

// The same, where that pin is set again by a call that met the close of another object.
struct handle_memory_closed {
  static const int N = 3;
  void *old, *next, *event;

  handle_memory_closed()
  {
    engine::stands_still = true;
  }

  void before()
  {
    old = ilk_queue_new(4);
    event = ilk_event_new(0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_queue_tryput(old, 2);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE || result == ILK_EBUSY);
      result = ilk_event_clear(event);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else if (index == 1) {
      int result = ilk_event_timedwait(event, 1000); // the close is undone
      EXPECT(result == ILK_ETIMEDOUT || result == ILK_EHANDLE);
      result = ilk_queue_free(old);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_OK)
        next = ilk_queue_new(4);
    } else {
      int result = ilk_event_free(event);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
    }
  }

  void after()
  {
  }
};

// A call that met a close which was undone is safe against the next one.
struct handle_again {
  static const int N = 3;
  void *old, *next;

  void before()
  {
    old = ilk_queue_new(4);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_queue_put(old, 7);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else if (index == 1) {
      for (int i = 0; i < 2 && !next; i++) {
        int result = ilk_queue_free(old);
        EXPECT(result == ILK_OK || result == ILK_EBUSY);
        if (result == ILK_OK)
          next = ilk_queue_new(2);
      }
    } else {
      int64_t item;
      int result = ilk_queue_timedget(old, &item, 1000);
      EXPECT(result == ILK_OK || result == ILK_ETIMEDOUT || result == ILK_EHANDLE);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_queue_size(next) == 0);
  }
};

// A call by a thread that is new: the thread that frees finds its record, which may be the first of another word of bits.
template <int IDLE> struct thread_record_new_of {
  static const int N = 2;
  void *old, *next;

  thread_record_new_of()
  {
    engine::idle_records = IDLE, engine::stands_still = true;
  }

  void before()
  {
    old = ilk_queue_new(4);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      int result = ilk_queue_tryput(old, 7);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE || result == ILK_EBUSY);
    } else {
      EXPECT(ilk_queue_free(old) == ILK_OK);
      next = ilk_queue_new(2);
    }
  }

  void after()
  {
    EXPECT(ilk_queue_size(next) == 0);
  }
};
typedef thread_record_new_of<0> thread_record_new;
typedef thread_record_new_of<1> thread_record_new_far; // not the first record of its element (LIVE_BITS: see build)

// Calls in a signal handler that has interrupted another call of its thread, on a handle that is freed at that moment. The
// interrupted call's pin stays.
struct handler {
  static const int N = 2;
  void *old, *next, *other, *event;

  void before()
  {
    old = ilk_counter_new(0);
    other = ilk_counter_new(0);
    event = ilk_event_new(0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      seams_interrupted(other);
      int64_t was = ilk_counter_fetch_add(old, 1);
      EXPECT(was == 0 || was == ILK_NO_VALUE);
      EXPECT(seams_pinned() == other);
      EXPECT(ilk_event_set(event) == ILK_OK);
      EXPECT(seams_pinned() == other);
    } else {
      EXPECT(ilk_counter_free(old) == ILK_OK);
      next = ilk_counter_new(5);
    }
  }

  void after()
  {
    EXPECT(ilk_counter_load(next) == 5);
  }
};

// The same where the thread makes or frees an object, and may hold the table's lock: the handler must not wait for a close.
// RETIRED: whether the counter is retired; else the list is full, and its free waits.
template <bool RETIRED>
struct handler_within_of {
  static const int N = 2;
  void *old, *next, *other;

  static void handle(void *context)
  {
    int64_t was = ilk_counter_fetch_add(static_cast<handler_within_of *>(context)->old, 1);
    EXPECT(was == 0 || was == 1 || was == ILK_NO_VALUE);
  }

  void before()
  {
    old = ilk_counter_new(0);
    next = nullptr;
    if (RETIRED)
      return;
    void *full = ilk_counter_new(0);
    seams_interrupted(full);
    EXPECT(ilk_counter_free(full) == ILK_OK);
  }

  void thread(unsigned index)
  {
    engine::handlers[index] = {handle, this};
    if (index == 0) {
      other = ilk_counter_new(0);
      EXPECT(ilk_counter_free(other) == ILK_OK);
    } else {
      EXPECT(ilk_counter_free(old) == ILK_OK);
      next = ilk_counter_new(5);
    }
    engine::handlers[index] = {};
  }

  void after()
  {
    EXPECT(ilk_counter_load(next) == 5);
  }
};

typedef handler_within_of<false> handler_within;
typedef handler_within_of<true> handler_within_retired;

// Two threads unlock an unowned mutex, by mistake, and one frees it: the other's store of a head stays in it.
struct handle_unlock {
  static const int N = 2;
  void *old, *next;

  void before()
  {
    old = ilk_mutex_new(ILK_UNOWNED);
    next = nullptr;
    EXPECT(ilk_mutex_lock(old) == ILK_OK);
  }

  void thread(unsigned index)
  {
    int result = ilk_mutex_unlock(old);
    EXPECT(result == ILK_OK || result == ILK_EPERM || (index == 0 && result == ILK_EHANDLE));
    if (index == 0)
      return;
    EXPECT(ilk_mutex_free(old) == ILK_OK);
    next = ilk_mutex_new(0);
    EXPECT(ilk_mutex_lock(next) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(next) == 1);
  }
};

// A free while another waits is refused; while it has come and gone, it is not.
struct handle_waited {
  static const int N = 3;
  void *event;
  rl::var<int> data;

  void before()
  {
    event = ilk_event_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_event_wait(event);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
      if (result == ILK_OK)
        EXPECT(get(data) == 1);
    } else if (index == 1) {
      set(data, 1);
      int result = ilk_event_set(event);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else {
      int result = ilk_event_free(event);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
    }
  }

  void after()
  {
  }
};

// A free does not wait for a thread that is about to wait: it is refused, and the waiter is woken later; or the waiter finds the
// object gone. No thread sleeps in it then, for nothing would wake it.
struct handle_retired {
  static const int N = 2;
  void *old, *next;

  void before()
  {
    old = ilk_semaphore_new(0, 0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_semaphore_acquire(old);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else {
      int result = ilk_semaphore_free(old);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_EBUSY)
        EXPECT(ilk_semaphore_release(old, 1) == ILK_OK);
      else
        next = ilk_semaphore_new(0, 0);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_semaphore_value(next) == 0);
    EXPECT(!next || ilk_semaphore_free(next) == ILK_OK);
  }
};

// The same for a kind whose waiters check the state alone, not the tag.
struct handle_retired_counter {
  static const int N = 2;
  void *old, *next;

  void before()
  {
    old = ilk_counter_new(0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_counter_wait(old, 1);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else {
      int result = ilk_counter_free(old);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_EBUSY)
        EXPECT(ilk_counter_store(old, 1) == ILK_OK);
      else
        next = ilk_counter_new(5);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_counter_load(next) == 5);
    EXPECT(!next || ilk_counter_free(next) == ILK_OK);
  }
};

// The same for a mutex, which two threads lock and the later one frees, while a third may join the queue.
struct handle_retired_mutex {
  static const int N = 3;
  void *old, *next;

  void before()
  {
    old = ilk_mutex_new(0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    int result = ilk_mutex_lock(old);
    EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    if (result == ILK_OK)
      EXPECT(ilk_mutex_unlock(old) == ILK_OK);
    if (index == 0 && ilk_mutex_free(old) == ILK_OK)
      next = ilk_mutex_new(0);
  }

  void after()
  {
    EXPECT(!next || ilk_mutex_is_locked(next) == 0);
    EXPECT(!next || ilk_mutex_free(next) == ILK_OK);
  }
};

// Threads unlock an unowned mutex at once, by mistake, and one of them frees it. The unlock of another, which may be the thread
// that locked it (0), does not make the freed mutex one that can be locked.
template <unsigned FREER>
struct handle_retired_unowned_of {
  static const int N = 3;
  void *old, *next;

  void before()
  {
    old = ilk_mutex_new(ILK_UNOWNED);
    next = nullptr;
    EXPECT(ilk_mutex_lock(old) == ILK_OK);
  }

  void thread(unsigned index)
  {
    int result = ilk_mutex_unlock(old);
    EXPECT(result == ILK_OK || result == ILK_EPERM || result == ILK_EHANDLE);
    if (index == FREER && ilk_mutex_free(old) == ILK_OK) {
      EXPECT(ilk_mutex_trylock(old) == ILK_EHANDLE);
      next = ilk_mutex_new(0);
      EXPECT(ilk_mutex_lock(next) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(next);
    EXPECT(ilk_mutex_trylock(old) == ILK_EHANDLE);
    EXPECT(ilk_mutex_is_locked(next) == 1);
  }
};

typedef handle_retired_unowned_of<0> handle_retired_unowned;
typedef handle_retired_unowned_of<1> handle_retired_unlocked;

// A reset meets a free: it does not make the freed mutex one that can be locked.
struct handle_retired_reset {
  static const int N = 2;
  void *old, *next;

  void before()
  {
    old = ilk_mutex_new(0);
    next = nullptr;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_mutex_reset(old);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
    } else if (ilk_mutex_free(old) == ILK_OK) {
      EXPECT(ilk_mutex_trylock(old) == ILK_EHANDLE);
      next = ilk_mutex_new(0);
    }
  }

  void after()
  {
    EXPECT(!next || ilk_mutex_trylock(old) == ILK_EHANDLE);
    EXPECT(!next || ilk_mutex_is_locked(next) == 0);
  }
};

// --- the other kinds -----------------------------------------------------------------------------

struct condition {
  static const int N = 2;
  void *mutex, *queue;
  rl::var<int> ready;

  void before()
  {
    mutex = ilk_mutex_new(0);
    queue = ilk_condition_new(0);
    set(ready, 0);
  }

  void thread(unsigned index)
  {
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    if (index == 0) {
      while (!get(ready))
        EXPECT(ilk_condition_wait(queue, mutex) == ILK_OK);
    } else {
      set(ready, 1);
      EXPECT(ilk_condition_notify(queue, 1) == ILK_OK);
    }
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_condition_free(queue) == ILK_OK && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// Notified once the mutex is unlocked again: two loads show whether a thread waits.
struct condition_after_unlock : condition {
  static const int N = 3;

  void thread(unsigned index)
  {
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    if (index < 2) {
      while (!get(ready))
        EXPECT(ilk_condition_wait(queue, mutex) == ILK_OK);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    } else {
      set(ready, 1);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      EXPECT(ilk_condition_notify_all(queue) == ILK_OK);
    }
  }
};

// A resumable wait keeps its condition from being freed from its begin to its end.
struct condition_begin {
  static const int N = 2;
  void *queue;

  void before()
  {
    queue = ilk_condition_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int begun = ilk_condition_wait_begin(queue);
      EXPECT(begun == ILK_OK || begun == ILK_EHANDLE);
      if (begun == ILK_OK)
        EXPECT(ilk_condition_wait_end(queue) == 0);
    } else {
      int result = ilk_condition_free(queue);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
    }
  }

  void after()
  {
  }
};

template <int FLAGS, int READERS, int WRITERS> struct rwlock_of {
  static const int N = READERS + WRITERS;
  void *lock;
  rl::var<int> data;

  void before()
  {
    lock = ilk_rwlock_new(FLAGS);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index < READERS) {
      EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK);
      int seen = get(data);
      EXPECT(get(data) == seen);
      EXPECT(ilk_rwlock_read_unlock(lock) == ILK_OK);
    } else {
      EXPECT(ilk_rwlock_write_lock(lock) == ILK_OK);
      set(data, get(data) + 1);
      EXPECT(ilk_rwlock_write_unlock(lock) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(get(data) == WRITERS && ilk_rwlock_free(lock) == ILK_OK);
  }
};
typedef rwlock_of<0, 1, 1> rwlock;
typedef rwlock_of<0, 1, 2> rwlock_writers;
typedef rwlock_of<0, 2, 1> rwlock_readers;
typedef rwlock_of<ILK_FAIR, 1, 2> rwlock_fair;

// A reader that has published itself, as most do, and a writer that takes that permission away.
struct rwlock_biased : rwlock_of<0, 1, 1> {
  void before()
  {
    rwlock_of::before();
    for (int i = 0; i < 70; i++) // what it takes to be biased again
      EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK && ilk_rwlock_read_unlock(lock) == ILK_OK);
  }
};

// A reader that holds another lock, and so publishes itself in a place that a writer has yet to hear of.
struct rwlock_second {
  static const int N = 2;
  void *lock[3];
  rl::var<int> data;

  void before()
  {
    set(data, 0);
    for (void *&l : lock) {
      l = ilk_rwlock_new(0);
      for (int i = 0; i < 70; i++)
        EXPECT(ilk_rwlock_read_lock(l) == ILK_OK && ilk_rwlock_read_unlock(l) == ILK_OK);
    }
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_rwlock_read_lock(lock[1]) == ILK_OK);
      EXPECT(ilk_rwlock_read_lock(lock[2]) == ILK_OK && ilk_rwlock_read_unlock(lock[2]) == ILK_OK);
      EXPECT(ilk_rwlock_read_lock(lock[0]) == ILK_OK);
      int seen = get(data);
      EXPECT(get(data) == seen);
      EXPECT(ilk_rwlock_read_unlock(lock[0]) == ILK_OK &&
             ilk_rwlock_read_unlock(lock[1]) == ILK_OK);
    } else {
      EXPECT(ilk_rwlock_write_lock(lock[0]) == ILK_OK);
      set(data, 1);
      EXPECT(ilk_rwlock_write_unlock(lock[0]) == ILK_OK);
    }
  }

  void after()
  {
  }
};

// A reader that publishes itself, and a free: one of them fails.
struct rwlock_freed : rwlock_biased {
  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_rwlock_read_lock(lock);
      EXPECT(result == ILK_OK || result == ILK_EHANDLE);
      if (result != ILK_OK)
        return;
      int seen = get(data);
      EXPECT(get(data) == seen);
      EXPECT(ilk_rwlock_read_unlock(lock) == ILK_OK);
    } else {
      int result = ilk_rwlock_free(lock);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_OK)
        set(data, 1);
    }
  }

  void after()
  {
  }
};

// A reader that publishes another lock where it has published this one: a writer that finds that sees that it has left.
struct rwlock_other : rwlock_biased {
  void *other;

  rwlock_other()
  {
    engine::stands_still = true;
  }

  void before()
  {
    rwlock_biased::before();
    void *mine = lock;
    rwlock_biased::before();
    other = lock;
    lock = mine;
  }

  void thread(unsigned index)
  {
    if (index == 1) {
      rwlock_of::thread(index);
      return;
    }
    EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK);
    model_yield(); // the writer comes meanwhile, and has made its barrier
    get(data);
    EXPECT(ilk_rwlock_read_unlock(lock) == ILK_OK);
    EXPECT(ilk_rwlock_read_lock(other) == ILK_OK);
    EXPECT(ilk_rwlock_read_unlock(other) == ILK_OK);
  }
};

// A reader that stays for a while.
struct rwlock_stays : rwlock_biased {
  void thread(unsigned index)
  {
    if (index == 1) {
      rwlock_of::thread(index);
      return;
    }
    EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK);
    model_yield(); // the writer comes meanwhile, and has made its barrier
    get(data);
    EXPECT(ilk_rwlock_read_unlock(lock) == ILK_OK);
  }
};

// A reader that publishes itself once the bias is back sees what was written before.
struct rwlock_calm : rwlock_of<0, 1, 1> {
  bool calm; // orders nothing

  void before()
  {
    rwlock_of::before();
    calm = false;
  }

  void thread(unsigned index)
  {
    if (index == 1) {
      rwlock_of::thread(index);
      for (int i = 0; i < 70; i++)
        EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK && ilk_rwlock_read_unlock(lock) == ILK_OK);
      calm = true;
    } else {
      while (!calm)
        model_yield();
      rwlock_of::thread(index);
    }
  }
};

// A reader that leaves the first of its locks first.
struct rwlock_first {
  static const int N = 2;
  void *lock[2];
  rl::var<int> data;

  void before()
  {
    set(data, 0);
    for (void *&l : lock) {
      l = ilk_rwlock_new(0);
      for (int i = 0; i < 70; i++)
        EXPECT(ilk_rwlock_read_lock(l) == ILK_OK && ilk_rwlock_read_unlock(l) == ILK_OK);
    }
    for (int i = 0; i < 2; i++) // the second is then published, too
      EXPECT(ilk_rwlock_read_lock(lock[0]) == ILK_OK && ilk_rwlock_read_lock(lock[1]) == ILK_OK &&
             ilk_rwlock_read_unlock(lock[1]) == ILK_OK &&
             ilk_rwlock_read_unlock(lock[0]) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_rwlock_read_lock(lock[0]) == ILK_OK && ilk_rwlock_read_lock(lock[1]) == ILK_OK);
      int seen = get(data);
      EXPECT(get(data) == seen);
      EXPECT(ilk_rwlock_read_unlock(lock[0]) == ILK_OK &&
             ilk_rwlock_read_unlock(lock[1]) == ILK_OK);
    } else {
      EXPECT(ilk_rwlock_write_lock(lock[0]) == ILK_OK);
      set(data, 1);
      EXPECT(ilk_rwlock_write_unlock(lock[0]) == ILK_OK);
    }
  }

  void after()
  {
  }
};

// A writer that sleeps at once: the reader that leaves sees that it does, or is seen to have left. And one that checks for
// long: it may be the first of several stores that shows it that the reader has left.
template <class SCENARIO, int CHECKS> struct rwlock_spun : SCENARIO {
  rwlock_spun()
  {
    model_spins = CHECKS;
  }
};
typedef rwlock_spun<rwlock_biased, 0> rwlock_sleeps;
typedef rwlock_spun<rwlock_first, 0> rwlock_first_sleeps;
typedef rwlock_spun<rwlock_stays, 8> rwlock_spins;
typedef rwlock_spun<rwlock_other, 8> rwlock_other_spins;

// A writer that becomes a reader: no other writer acquires it in between.
struct rwlock_downgrade {
  static const int N = 3;
  void *lock;
  rl::var<int> data;

  void before()
  {
    lock = ilk_rwlock_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    EXPECT((index == 2 ? ilk_rwlock_read_lock(lock) : ilk_rwlock_write_lock(lock)) == ILK_OK);
    if (index < 2)
      set(data, get(data) + 1);
    int seen = get(data);
    if (index == 0)
      EXPECT(ilk_rwlock_downgrade(lock) == ILK_OK);
    EXPECT(get(data) == seen);
    EXPECT((index == 1 ? ilk_rwlock_write_unlock(lock) : ilk_rwlock_read_unlock(lock)) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == 2 && ilk_rwlock_free(lock) == ILK_OK);
  }
};

// Waiters that time out, readers and writers, consume no other thread's wake.
template <int FLAGS> struct rwlock_timeout_of {
  static const int N = 3;
  void *lock;
  rl::var<int> data;

  void before()
  {
    lock = ilk_rwlock_new(FLAGS);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_rwlock_write_timedlock(lock, 1000);
      EXPECT(result == ILK_OK || result == ILK_ETIMEDOUT);
      if (result != ILK_OK)
        return;
      set(data, get(data) + 1);
      EXPECT(ilk_rwlock_write_unlock(lock) == ILK_OK);
    } else if (index == 1) {
      EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK);
      int seen = get(data);
      EXPECT(get(data) == seen);
      EXPECT(ilk_rwlock_read_unlock(lock) == ILK_OK);
    } else {
      EXPECT(ilk_rwlock_write_lock(lock) == ILK_OK);
      set(data, get(data) + 1);
      EXPECT(ilk_rwlock_write_unlock(lock) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(get(data) >= 1 && ilk_rwlock_free(lock) == ILK_OK);
  }
};
typedef rwlock_timeout_of<0> rwlock_timeout;
typedef rwlock_timeout_of<ILK_FAIR> rwlock_fair_timeout;

// The writer exits: its death is reported to the next, which sees its writes.
template <int THREADS> struct rwlock_dead_of {
  static const int N = THREADS;
  void *lock;
  rl::var<int> data;

  void before()
  {
    lock = ilk_rwlock_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    int result = ilk_rwlock_write_lock(lock);
    EXPECT(result == ILK_OK || (index > 0 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      EXPECT(ilk_rwlock_write_unlock(lock) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == N);
  }
};
typedef rwlock_dead_of<2> rwlock_dead;
typedef rwlock_dead_of<3> rwlock_dead_two; // of the two, one finds the other

struct semaphore {
  static const int N = 3;
  void *semaphore;
  rl::var<int> data;

  void before()
  {
    semaphore = ilk_semaphore_new(0, 10);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 2) {
      set(data, 1);
      for (int i = 0; i < 2; i++)
        EXPECT(ilk_semaphore_release(semaphore, 1) == ILK_OK);
    } else {
      EXPECT(ilk_semaphore_acquire(semaphore) == ILK_OK);
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(semaphore) == 0 && ilk_semaphore_free(semaphore) == ILK_OK);
  }
};

// A thread takes what was released last, though the value is as when it first loaded it: it sees what came before that release.
struct semaphore_again {
  static const int N = 3;
  void *semaphore, *taken;
  rl::var<int> data[2];
  int order;

  void before()
  {
    semaphore = ilk_semaphore_new(0, 10);
    taken = ilk_counter_new(0);
    set(data[0], 0);
    set(data[1], 0);
    order = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 2; i++) {
        set(data[i], 1);
        EXPECT(ilk_semaphore_release(semaphore, 1) == ILK_OK);
        EXPECT(ilk_counter_wait(taken, 1) == ILK_OK);
      }
    } else {
      EXPECT(ilk_semaphore_acquire(semaphore) == ILK_OK);
      EXPECT(get(data[order++]) == 1);
      ilk_counter_fetch_add(taken, 1);
    }
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(semaphore) == 0 && ilk_semaphore_free(semaphore) == ILK_OK);
  }
};

struct event {
  static const int N = 3;
  void *event;
  rl::var<int> data;

  void before()
  {
    event = ilk_event_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 2) {
      set(data, 1);
      EXPECT(ilk_event_set(event) == ILK_OK);
    } else {
      EXPECT(ilk_event_wait(event) == ILK_OK);
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_event_free(event) == ILK_OK);
  }
};

// The same for a thread that spins before it sleeps.
struct event_spun : event {
  void thread(unsigned index)
  {
    seams_spin();
    event::thread(index);
  }
};

// A thread that finds it set sees what came before.
struct event_is_set {
  static const int N = 2;
  void *event;
  rl::var<int> data;

  void before()
  {
    event = ilk_event_new(0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      EXPECT(ilk_event_set(event) == ILK_OK);
    } else if (ilk_event_is_set(event) == 1) {
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
  }
};

struct latch {
  static const int N = 3;
  void *latch;
  rl::var<int> data[2];

  void before()
  {
    latch = ilk_latch_new(2);
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    if (index < 2) {
      set(data[index], 1);
      EXPECT(ilk_latch_count_down(latch, 1) == ILK_OK);
    } else {
      EXPECT(ilk_latch_wait(latch) == ILK_OK);
      EXPECT(get(data[0]) == 1 && get(data[1]) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_latch_free(latch) == ILK_OK);
  }
};

// Of two adds at the same time none is lost.
struct latch_added_twice {
  static const int N = 2;
  void *latch;

  void before()
  {
    latch = ilk_latch_new(1);
  }

  void thread(unsigned)
  {
    EXPECT(ilk_latch_add(latch, 1) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_latch_count_down(latch, 3) == ILK_OK && ilk_latch_free(latch) == ILK_OK);
  }
};

// A thread that waits for the added task sees the writes before the add.
struct latch_added {
  static const int N = 3;
  void *latch;
  rl::var<int> data;

  void before()
  {
    latch = ilk_latch_new(1);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      EXPECT(ilk_latch_add(latch, 1) == ILK_OK);
    } else if (index == 1) {
      int result = ilk_latch_count_down(latch, 2); // not before the add
      EXPECT(result == ILK_OK || result == ILK_EINVAL);
    } else if (ilk_latch_timedwait(latch, 1000) == ILK_OK) {
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_latch_free(latch) == ILK_OK);
  }
};

struct barrier {
  static const int N = 2;
  void *barrier;
  rl::var<int> data[2];

  void before()
  {
    barrier = ilk_barrier_new(2);
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    for (int round = 1; round <= 2; round++) {
      set(data[index], round);
      EXPECT(ilk_barrier_wait(barrier) >= 0);
      EXPECT(get(data[1 - index]) == round);
      EXPECT(ilk_barrier_wait(barrier) >= 0);
    }
  }

  void after()
  {
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};

// More threads than processors: they yield before they sleep.
struct barrier_crowded {
  static const int N = 3;
  void *barrier;
  rl::var<int> data[N];

  void before()
  {
    barrier = ilk_barrier_new(N);
    for (rl::var<int> &each : data)
      set(each, 0);
  }

  void thread(unsigned index)
  {
    set(data[index], 1);
    EXPECT(ilk_barrier_wait(barrier) >= 0);
    for (rl::var<int> &each : data)
      EXPECT(get(each) == 1);
  }

  void after()
  {
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};

struct once {
  static const int N = 2;
  void *once;
  rl::var<int> data;

  void before()
  {
    once = ilk_once_new(0);
    set(data, 0);
  }

  void thread(unsigned)
  {
    int mine = ilk_once_begin(once);
    EXPECT(mine >= 0);
    if (mine) {
      set(data, get(data) + 1);
      EXPECT(ilk_once_end(once, 1) == ILK_OK);
    }
    EXPECT(get(data) == 1);
  }

  void after()
  {
    EXPECT(ilk_once_free(once) == ILK_OK);
  }
};

struct counter {
  static const int N = 3;
  void *counter;
  rl::var<int> data[2];

  void before()
  {
    counter = ilk_counter_new(0);
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    if (index < 2) {
      set(data[index], 1);
      ilk_counter_fetch_add(counter, 1);
    } else {
      EXPECT(ilk_counter_wait(counter, 2) == ILK_OK);
      EXPECT(get(data[0]) == 1 && get(data[1]) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_counter_load(counter) == 2 && ilk_counter_free(counter) == ILK_OK);
  }
};

// Atomic operations are sequentially consistent: of two threads that each change one counter and then read the other,
// one at least sees the other's change. What reads is a load, or a wait that does not wait.
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
    case STORE: EXPECT(ilk_counter_store(mine, 1) == ILK_OK); break;
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
typedef counter_order<STORE> counter_store;
typedef counter_order<EXCHANGE> counter_exchange;
typedef counter_order<FETCH_ADD> counter_fetch_add;
typedef counter_order<COMPARE_EXCHANGE> counter_compare_exchange;

// A place for one: the second put waits for the first get, and gets for puts.
struct queue {
  static const int N = 2;
  void *queue;
  rl::var<int> data[2];

  void before()
  {
    queue = ilk_queue_new(1);
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    for (int i = 0; i < 2; i++) {
      int64_t item = -1;
      if (index == 0) {
        set(data[i], 1);
        EXPECT(ilk_queue_put(queue, i) == ILK_OK);
      } else {
        EXPECT(ilk_queue_get(queue, &item) == ILK_OK && item == i);
        EXPECT(get(data[i]) == 1);
      }
    }
  }

  void after()
  {
    EXPECT(ilk_queue_size(queue) == 0 && ilk_queue_free(queue) == ILK_OK);
  }
};

// Two that put, and one that gets.
struct queue_three {
  static const int N = 3;
  void *queue;
  rl::var<int> data[2];

  void before()
  {
    queue = ilk_queue_new(1);
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    if (index < 2) {
      set(data[index], 1);
      EXPECT(ilk_queue_put(queue, index) == ILK_OK);
      return;
    }
    for (int i = 0; i < 2; i++) {
      int64_t item = -1;
      EXPECT(ilk_queue_get(queue, &item) == ILK_OK && (item == 0 || item == 1));
      EXPECT(get(data[item]) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_queue_size(queue) == 0 && ilk_queue_free(queue) == ILK_OK);
  }
};

// A close ends those that wait, and leaves what is inside.
struct queue_close {
  static const int N = 2;
  void *queue;
  rl::var<int> data;

  void before()
  {
    queue = ilk_queue_new(2);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      EXPECT(ilk_queue_put(queue, 5) == ILK_OK);
      EXPECT(ilk_queue_close(queue) == ILK_OK);
      return;
    }
    int64_t item = -1;
    EXPECT(ilk_queue_get(queue, &item) == ILK_OK && item == 5);
    EXPECT(get(data) == 1);
    EXPECT(ilk_queue_get(queue, &item) == ILK_ECLOSED);
  }

  void after()
  {
    EXPECT(ilk_queue_free(queue) == ILK_OK);
  }
};

// A close ends a put that waits for room.
struct queue_close_full {
  static const int N = 2;
  void *queue;

  void before()
  {
    queue = ilk_queue_new(1);
    EXPECT(ilk_queue_put(queue, 0) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_queue_close(queue) == ILK_OK);
    else
      EXPECT(ilk_queue_put(queue, 1) == ILK_ECLOSED);
  }

  void after()
  {
    EXPECT(ilk_queue_free(queue) == ILK_OK);
  }
};

// The put that takes the space that a get made sees what came before that get, whichever put found the space first.
struct queue_capacity {
  static const int N = 3;
  void *queue;
  rl::var<int> data;

  void before()
  {
    queue = ilk_queue_new(1);
    EXPECT(ilk_queue_put(queue, 0) == ILK_OK);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    int64_t item;
    if (index == 0) {
      set(data, 1);
      EXPECT(ilk_queue_get(queue, &item) == ILK_OK && item == 0);
    } else {
      int result = ilk_queue_tryput(queue, index);
      EXPECT(result == ILK_OK || result == ILK_EBUSY);
      if (result == ILK_OK)
        EXPECT(get(data) == 1);
    }
  }

  void after()
  {
  }
};

// The size is that of a moment during the call.
struct queue_size {
  static const int N = 3;
  void *queue, *before_get, *before_size;
  int64_t size, after_put, after_get;

  void before()
  {
    queue = ilk_queue_new(2);
    EXPECT(ilk_queue_put(queue, 0) == ILK_OK);
    before_get = ilk_counter_new(0);
    before_size = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    int64_t item;
    if (index == 0) {
      EXPECT(ilk_queue_put(queue, 1) == ILK_OK);
      after_put = ilk_counter_load(before_get);
    } else if (index == 1) {
      EXPECT(ilk_counter_store(before_get, 1) == ILK_OK);
      EXPECT(ilk_queue_get(queue, &item) == ILK_OK && item == 0);
      after_get = ilk_counter_load(before_size);
    } else {
      EXPECT(ilk_counter_store(before_size, 1) == ILK_OK);
      size = ilk_queue_size(queue);
    }
  }

  void after()
  {
    EXPECT(size >= 0 && size <= 2);
    if (!after_put)
      EXPECT(size >= 1); // put came before get
    if (!after_get)
      EXPECT(size <= 1); // get came before size
  }
};

// What is done by one thread, if that fails: by the other.
struct once_fails {
  static const int N = 2;
  void *once;
  rl::var<int> data;

  void before()
  {
    once = ilk_once_new(0);
    set(data, 0);
  }

  void thread(unsigned)
  {
    int mine = ilk_once_begin(once);
    EXPECT(mine == 0 || mine == 1);
    if (!mine) {
      EXPECT(get(data) == 2);
      return;
    }
    set(data, get(data) + 1);
    int second = get(data) == 2;
    EXPECT(ilk_once_end(once, second) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_once_free(once) == ILK_OK);
  }
};

// Cells of two threads, summed once they are quiet, which the counter says.
struct tally {
  static const int N = 3;
  void *tally, *counter;

  void before()
  {
    tally = ilk_tally_new();
    counter = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index < 2) {
      EXPECT(ilk_tally_add(tally, 1 + index) == ILK_OK);
      ilk_counter_fetch_add(counter, 1);
    } else {
      EXPECT(ilk_counter_wait(counter, 2) == ILK_OK);
      EXPECT(ilk_tally_sum(tally) == 3);
      EXPECT(ilk_tally_free(tally) == ILK_OK);
    }
  }

  void after()
  {
  }
};

// A timeout breaks a barrier for all threads or for none.
struct barrier_timeout {
  static const int N = 2;
  void *barrier;
  int results[2];

  void before()
  {
    barrier = ilk_barrier_new(2);
  }

  void thread(unsigned index)
  {
    results[index] = ilk_barrier_timedwait(barrier, index == 0 ? 1000 : -1);
  }

  void after()
  {
    EXPECT((results[0] >= 0) == (results[1] >= 0));
    EXPECT(results[0] >= 0 || (results[0] == ILK_ETIMEDOUT && results[1] == ILK_EBROKEN));
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};

// A barrier that one thread resets, or breaks, while others arrive: all of them, or none, get through, and it can be used again.
template <bool BREAKS> struct barrier_broken {
  static const int N = 3;
  void *barrier;
  int results[2];

  void before()
  {
    barrier = ilk_barrier_new(2);
  }

  void thread(unsigned index)
  {
    if (index == 2)
      EXPECT((BREAKS ? ilk_barrier_abort(barrier) : ilk_barrier_reset(barrier)) == ILK_OK);
    else
      results[index] = ilk_barrier_timedwait(barrier, 1000);
  }

  void after()
  {
    for (int result : results)
      EXPECT(result >= 0 || result == ILK_EBROKEN || result == ILK_ETIMEDOUT);
    EXPECT((results[0] >= 0) == (results[1] >= 0));
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK);
    EXPECT(ilk_barrier_timedwait(barrier, 0) == ILK_ETIMEDOUT);
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};
typedef barrier_broken<false> barrier_reset;
typedef barrier_broken<true> barrier_abort;

// Threads that come again after a reset get through in the end: the last to leave wakes those that wait outside.
struct barrier_again {
  static const int N = 3;
  void *barrier;

  void before()
  {
    barrier = ilk_barrier_new(2);
  }

  void thread(unsigned index)
  {
    int64_t ticket = -1;
    if (index == 2) {
      EXPECT(ilk_barrier_reset(barrier) == ILK_OK);
      return;
    }
    int result = ILK_EBROKEN;
    if (index == 0 && ilk_barrier_arrive(barrier, 0, &ticket, -1) >= 0) {
      result = ilk_barrier_await(barrier, ticket, -1);
      EXPECT(result == ILK_OK ||
             (result == ILK_EBROKEN && ilk_barrier_leave(barrier, ticket) == ILK_EBROKEN));
    }
    while (result == ILK_EBROKEN)
      result = ilk_barrier_wait(barrier);
    EXPECT(result >= 0);
  }

  void after()
  {
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};

// A waiter without a time-out is woken by the abort, or the reset, that breaks its round.
template <bool RESETS> struct barrier_ended {
  static const int N = 2;
  void *barrier;
  alignas(8) int64_t ticket;

  void before()
  {
    barrier = ilk_barrier_new(2);
    EXPECT(ilk_barrier_arrive(barrier, 0, &ticket, -1) == 0);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_barrier_await(barrier, ticket, -1) == ILK_EBROKEN);
    else
      EXPECT((RESETS ? ilk_barrier_reset(barrier) : ilk_barrier_abort(barrier)) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_barrier_leave(barrier, ticket) == ILK_EBROKEN);
    EXPECT(ilk_barrier_is_broken(barrier) == !RESETS);
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};
typedef barrier_ended<false> barrier_ended_abort;
typedef barrier_ended<true> barrier_ended_reset;

// The last of a round acts for it: the other continues after that, and sees what was done.
struct barrier_act {
  static const int N = 2;
  void *barrier;
  rl::var<int> data;

  void before()
  {
    barrier = ilk_barrier_new(2);
    set(data, 0);
  }

  void thread(unsigned)
  {
    int64_t ticket;
    int place = ilk_barrier_arrive(barrier, 1, &ticket, -1);
    EXPECT(place == 0 || place == 1);
    if (place == 1) {
      set(data, 1);
      EXPECT(ilk_barrier_complete(barrier, ticket, 1) == ILK_OK);
    } else {
      EXPECT(ilk_barrier_await(barrier, ticket, -1) == ILK_OK);
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};

// A try that does not complete the round breaks it for those that sleep.
struct barrier_try {
  static const int N = 2;
  void *barrier;

  void before()
  {
    barrier = ilk_barrier_new(3);
  }

  void thread(unsigned index)
  {
    int result = ilk_barrier_timedwait(barrier, index == 0 ? 0 : -1);
    EXPECT(result == ILK_EBROKEN || (index == 0 && result == ILK_ETIMEDOUT));
  }

  void after()
  {
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK && ilk_barrier_free(barrier) == ILK_OK);
  }
};

// A word lock whose holder exits while the other waits, or before.
struct word_dead {
  static const int N = 2;
  alignas(64) int32_t lock[2];
  rl::var<int> data;

  void before()
  {
    lock[0] = lock[1] = 0;
    set(data, 0);
  }

  void thread(unsigned index)
  {
    int result = ilk_word_lock(lock, 0);
    EXPECT(result == ILK_OK || (index == 1 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      EXPECT(ilk_word_unlock(lock, 0) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == 2);
  }
};

// The same where the thread that waits is new.
struct word_dead_new : word_dead {
  word_dead_new()
  {
    engine::stands_still = true;
  }

  void thread(unsigned index)
  {
    if (index == 1)
      thread_current = nullptr;
    word_dead::thread(index);
    if (index == 1)
      thread_leave(thread_current);
  }
};

// What a thread is found to wait for is all of one wait.
struct block_load {
  static const int N = 2;

  void before()
  {
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      seams_wait(0);
      seams_wait(1);
    } else {
      for (int i = 0; i < 8; i++)
        EXPECT(seams_load(engine::records[0]) != -2);
    }
  }

  void after()
  {
  }
};

// A cancel ends a wait that nothing else would.
struct cancel {
  static const int N = 2;
  void *event;

  void before()
  {
    event = ilk_event_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_event_wait(event) == ILK_ECANCELED);
    else
      EXPECT(ilk_cancel(1) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_event_free(event) == ILK_OK);
  }
};

// A free of one of the two queues fails, because a thread waits there. A put and a get that were
// between their two steps meanwhile have lost no slot, so both end.
struct records_free {
  static const int N = 3;
  void *used, *unused;
  int64_t slots[1], in, out;
  int freed;

  void make(int64_t items)
  {
    used = ilk_queue_new(1);
    unused = ilk_queue_new(1);
    slots[0] = in = 7;
    EXPECT(ilk_queue_put(items ? used : unused, 0) == ILK_OK);
  }

  void put_get_free(unsigned index, void *queue)
  {
    if (index == 2) {
      freed = ilk_queue_free(queue);
      EXPECT(freed == ILK_OK || freed == ILK_EBUSY);
      return;
    }
    int result = index == 0 ? ilk_queue_putrecord(used, unused, slots, 8, &in, -1)
                            : ilk_queue_getrecord(used, unused, slots, 8, &out, -1);
    EXPECT(result == ILK_OK || result == ILK_EHANDLE);
  }

  void after()
  {
    if (freed == ILK_EBUSY)
      EXPECT(ilk_queue_size(used) + ilk_queue_size(unused) == 1);
  }
};

struct records_put_freed : records_free {
  void before()
  {
    make(0);
  }

  void thread(unsigned index)
  {
    put_get_free(index, used);
  }
};

struct records_get_freed : records_free {
  void before()
  {
    make(1);
  }

  void thread(unsigned index)
  {
    put_get_free(index, unused);
  }
};

// Two threads that make their records at the same time, and find each other by their ids.
struct records {
  static const int N = 2;
  void *mutex;
  rl::var<int> data;

  void before()
  {
    mutex = ilk_mutex_new(0);
    set(data, 0);
  }

  void thread(unsigned)
  {
    thread_current = nullptr;
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    set(data, get(data) + 1);
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    thread_leave(thread_current);
  }

  void after()
  {
    EXPECT(get(data) == 2);
  }
};

// Word locks: a lock in the caller's memory.
struct word {
  static const int N = 3;
  alignas(64) int32_t lock[2];
  rl::var<int> data;

  void before()
  {
    lock[0] = lock[1] = 0;
    set(data, 0);
  }

  void thread(unsigned)
  {
    EXPECT(ilk_word_lock(lock, 0) == ILK_OK);
    set(data, get(data) + 1);
    EXPECT(ilk_word_unlock(lock, 0) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == N);
  }
};

// A waiter that gives up, perhaps with a wake that another needs; and threads that lock twice.
struct word_given_up : word {
  rl::var<int> given_up;

  void before()
  {
    word::before();
    set(given_up, 0);
  }

  void thread(unsigned index)
  {
    for (int round = 0; round < 2; round++) {
      int result = ilk_word_timedlock(lock, 0, index > 0 ? -1 : 1000);
      EXPECT(result == ILK_OK || (index == 0 && result == ILK_ETIMEDOUT));
      if (result == ILK_OK) {
        set(data, get(data) + 1);
        EXPECT(ilk_word_unlock(lock, 0) == ILK_OK);
      } else {
        set(given_up, get(given_up) + 1);
      }
    }
  }

  void after()
  {
    EXPECT(get(data) + get(given_up) == 2 * N);
  }
};

// A waiter whose time is over marks the word for another that sleeps, while it is released.
struct word_timed_out : word {
  rl::var<int> given_up;

  void before()
  {
    word::before();
    set(given_up, 0);
    struct thread *own = thread_current;
    thread_current = engine::records[1];
    EXPECT(ilk_word_lock(lock, 0) == ILK_OK);
    thread_current = own;
  }

  void thread(unsigned index)
  {
    if (index == 1)
      EXPECT(ilk_word_unlock(lock, 0) == ILK_OK);
    int result = ilk_word_timedlock(lock, 0, index > 0 ? -1 : 1000);
    EXPECT(result == ILK_OK || (index == 0 && result == ILK_ETIMEDOUT));
    if (result == ILK_OK) {
      set(data, get(data) + 1);
      EXPECT(ilk_word_unlock(lock, 0) == ILK_OK);
    } else {
      set(given_up, 1);
    }
  }

  void after()
  {
    EXPECT(get(data) + get(given_up) == N);
  }
};

// A thread that holds two words: what a waiter for one counts is not lost to the release of the other.
struct word_two {
  static const int N = 3;
  alignas(64) int32_t lock[2];
  rl::var<int> data[2];

  void before()
  {
    lock[0] = lock[1] = 0;
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    if (index != 1)
      EXPECT(ilk_word_lock(&lock[0], 0) == ILK_OK);
    if (index != 2)
      EXPECT(ilk_word_lock(&lock[1], 0) == ILK_OK);
    if (index != 1) {
      set(data[0], get(data[0]) + 1);
      EXPECT(ilk_word_unlock(&lock[0], 0) == ILK_OK);
    }
    if (index != 2) {
      set(data[1], get(data[1]) + 1);
      EXPECT(ilk_word_unlock(&lock[1], 0) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(get(data[0]) == 2 && get(data[1]) == 2);
  }
};

struct lockarray {
  static const int N = 3;
  void *array;
  rl::var<int> data[2];

  void before()
  {
    array = ilk_lockarray_new(2, 0);
    set(data[0], 0);
    set(data[1], 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_lockarray_lock_pair(array, 1, 0) == ILK_OK);
      set(data[0], get(data[0]) + 1);
      set(data[1], get(data[1]) + 1);
      EXPECT(ilk_lockarray_unlock_pair(array, 1, 0) == ILK_OK);
    } else {
      EXPECT(ilk_lockarray_lock(array, index - 1) == ILK_OK);
      set(data[index - 1], get(data[index - 1]) + 1);
      EXPECT(ilk_lockarray_unlock(array, index - 1) == ILK_OK);
    }
  }

  void after()
  {
    EXPECT(get(data[0]) == 2 && get(data[1]) == 2 && ilk_lockarray_free(array) == ILK_OK);
  }
};

// The holder of a lock exits while others wait: the next one sees what it wrote.
struct lockarray_dead {
  static const int N = 3;
  void *array;
  rl::var<int> data;

  lockarray_dead()
  {
    engine::stands_still = true;
  }

  void before()
  {
    array = ilk_lockarray_new(1, 0);
    set(data, 0);
  }

  void thread(unsigned index)
  {
    int result = ilk_lockarray_lock(array, 0);
    EXPECT(result == ILK_OK || (index > 0 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      EXPECT(ilk_lockarray_unlock(array, 0) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == N);
  }
};

// A thread that is new, and holds a lock, is found alive: no thread takes the lock from it. It locks in its first call, or in
// the second.
template <class SCENARIO, bool SECOND = false> struct made_new : SCENARIO {
  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      if (SECOND)
        EXPECT(ilk_mutex_depth(nullptr) == ILK_EHANDLE);
    }
    SCENARIO::thread(index);
    if (index == 0 && thread_current) // a call may have needed no record
      thread_leave(thread_current);
  }
};
typedef made_new<rwlock_of<0, 0, 2>> rwlock_new;
typedef made_new<rwlock_of<0, 0, 2>, true> rwlock_new_second;
typedef made_new<word> word_new;
typedef made_new<word, true> word_new_second;
typedef made_new<lockarray> lockarray_new;

// The same for all threads: a waiter finds one after the other.
struct word_all_new : word {
  void thread(unsigned index)
  {
    thread_current = nullptr;
    word::thread(index);
    thread_leave(thread_current);
  }
};

typedef made_new<once> once_new;

// --- thread records and cells --------------------------------------------------------------------

// A thread whose record is new waits for one that dies, or is cancelled.
struct once_dead_new {
  static const int N = 2;
  void *once;
  rl::var<int> data;

  once_dead_new()
  {
    engine::stands_still = true;
  }

  void before()
  {
    once = ilk_once_new(0);
    set(data, 0);
    EXPECT(ilk_once_begin(once) == 1);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      thread_leave(thread_current);
    } else {
      thread_current = nullptr;
      EXPECT(ilk_once_begin(once) == 1);
      EXPECT(get(data) == 1);
      thread_leave(thread_current);
    }
  }

  void after()
  {
  }
};

template <int IDLE> struct cancel_new_of : cancel {
  cancel_new_of()
  {
    engine::idle_records = IDLE, engine::stands_still = true;
  }

  void thread(unsigned index)
  {
    if (index == 0)
      thread_current = nullptr;
    cancel::thread(index);
  }
};

typedef cancel_new_of<0> cancel_new;
typedef cancel_new_of<1> cancel_new_far; // not the first record of its element

// An id has the same element of the table as that of a thread that has died meanwhile, whose record the new thread may have, too.
struct thread_id_again {
  static const int N = 3;
  enum { ELEMENTS = 16 }; // THREADS_MAX: see build
  void *once;
  rl::var<int> data;
  bool leaves, again; // order nothing

  thread_id_again()
  {
    engine::stands_still = true;
  }

  void before()
  {
    once = ilk_once_new(0);
    set(data, 0);
    leaves = again = false;
    EXPECT(ilk_once_begin(once) == 1);
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
      EXPECT(ilk_once_begin(once) == 1);
      EXPECT(get(data) == 1);
    } else {
      while (!leaves)
        model_yield();
      thread_current = nullptr;
      ilk_thread_id();
      again = true;
    }
  }

  void after()
  {
  }
};

// A thread's first value, as another thread finds it: near, or in a far level, whose directory may have anything in it before.
template <int LEVEL, bool POINTERS = false> struct cells_of {
  static const int N = 2;

  void before()
  {
  }

  void thread(unsigned index)
  {
    if (index == 0)
      seams_cell_set(LEVEL, POINTERS);
    else
      for (int i = 0; i < 3; i++) {
        int value = seams_cell_get(engine::records[0], LEVEL);
        EXPECT(value == 0 || value == 1);
      }
  }

  void after()
  {
  }
};
typedef cells_of<0> cells_near;
typedef cells_of<7> cells_far;
typedef cells_of<7, true> cells_far_directory;

// A sum while a thread that is new adds: its record may be seen half-made.
struct tally_new {
  static const int N = 2;
  void *tally;

  void before()
  {
    tally = ilk_tally_new();
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      EXPECT(ilk_tally_add(tally, 1) == ILK_OK);
    } else {
      int sum = (int)ilk_tally_sum(tally);
      EXPECT(sum == 0 || sum == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_tally_sum(tally) == 1);
  }
};

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
    EXPECT(ilk_barrier_abort(barrier) == ILK_OK);
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
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK);
    for (int i = 0; i < 2; i++)
      EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[i], -1) == i);
    EXPECT(ilk_barrier_abort(barrier) == ILK_OK);
    EXPECT(ilk_barrier_leave(barrier, tickets[1] + 1) == ILK_EPERM);
    for (int i = 0; i < 2; i++)
      EXPECT(ilk_barrier_leave(barrier, tickets[i]) == ILK_EBROKEN);
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }
};
typedef barrier_wrong_ticket_of<3, 1> barrier_wrong_ticket;
typedef barrier_wrong_ticket_of<65, 1> barrier_wrong_ticket_many;
typedef barrier_wrong_ticket_of<65, 2> barrier_wrong_ticket_two;

// A reset ends when the thread that acts and the one that waits have both left; the one outside then gets in.
struct barrier_act_reset {
  static const int N = 3;
  void *barrier;
  alignas(8) int64_t tickets[3];

  void before()
  {
    barrier = ilk_barrier_new(2);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[0], -1) == 0);
    EXPECT(ilk_barrier_arrive(barrier, 1, &tickets[1], -1) == 1);
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_barrier_leave(barrier, tickets[0]) == ILK_EBROKEN);
    else if (index == 1)
      EXPECT(ilk_barrier_complete(barrier, tickets[1], 1) == ILK_EBROKEN);
    else
      EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[2], -1) == 0);
  }

  void after()
  {
    EXPECT(ilk_barrier_is_broken(barrier) == 0 && ilk_barrier_waiting(barrier) == 1);
    EXPECT(ilk_barrier_leave(barrier, tickets[2]) == ILK_ETIMEDOUT);
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK && ilk_barrier_free(barrier) == ILK_OK);
  }
};

// An abort or a reset breaks the round of a thread that has arrived before, while another arrives or leaves at the moment.
template <bool RESETS> struct barrier_arrival {
  static const int N = 2;
  void *barrier;
  alignas(8) int64_t tickets[2];

  void before()
  {
    barrier = ilk_barrier_new(3);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[0], -1) == 0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT((RESETS ? ilk_barrier_reset(barrier) : ilk_barrier_abort(barrier)) == ILK_OK);
      EXPECT(ilk_barrier_await(barrier, tickets[0], 0) == ILK_EBROKEN);
      EXPECT(ilk_barrier_leave(barrier, tickets[0]) == ILK_EBROKEN);
      return;
    }
    int result = ilk_barrier_arrive(barrier, 0, &tickets[1], -1);
    EXPECT(result == 0 || result == 1 || result == ILK_EBROKEN);
    if (result < 0)
      return;
    result = ilk_barrier_leave(barrier, tickets[1]);
    EXPECT(result == ILK_EBROKEN || result == ILK_ETIMEDOUT);
  }

  void after()
  {
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK && ilk_barrier_free(barrier) == ILK_OK);
  }
};
typedef barrier_arrival<false> barrier_arrival_abort;
typedef barrier_arrival<true> barrier_arrival_reset;

// The result of the thread that acts fits that of its round, whether the abort or the action comes first.
struct barrier_act_abort {
  static const int N = 2;
  void *barrier;
  alignas(8) int64_t tickets[2];
  int completed;

  void before()
  {
    barrier = ilk_barrier_new(2);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[0], -1) == 0);
    EXPECT(ilk_barrier_arrive(barrier, 1, &tickets[1], -1) == 1);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_barrier_abort(barrier) == ILK_OK);
    else
      completed = ilk_barrier_complete(barrier, tickets[1], 1);
  }

  void after()
  {
    EXPECT(completed == ILK_OK || completed == ILK_EBROKEN);
    EXPECT(ilk_barrier_await(barrier, tickets[0], 0) == completed);
    EXPECT(completed == ILK_OK || ilk_barrier_leave(barrier, tickets[0]) == ILK_EBROKEN);
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK && ilk_barrier_free(barrier) == ILK_OK);
  }
};

// The thread that awaits its ticket sees what the last one did before it arrived.
struct barrier_await {
  static const int N = 2;
  void *barrier;
  alignas(8) int64_t ticket;
  rl::var<int> data;

  void before()
  {
    barrier = ilk_barrier_new(2);
    set(data, 0);
    EXPECT(ilk_barrier_arrive(barrier, 0, &ticket, -1) == 0);
  }

  void thread(unsigned index)
  {
    if (index == 1) {
      set(data, 1);
      EXPECT(ilk_barrier_wait(barrier) == 1);
    } else if (ilk_barrier_await(barrier, ticket, 0) == ILK_OK) {
      EXPECT(get(data) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_barrier_await(barrier, ticket, 0) == ILK_OK && ilk_barrier_free(barrier) == ILK_OK);
  }
};

// A thread that waited outside, and has left, does not keep a later free from waiting for the end of a reset.
struct barrier_outside {
  static const int N = 2;
  void *barrier;

  void before()
  {
    alignas(8) int64_t tickets[3];
    barrier = ilk_barrier_new(2);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[0], -1) == 0);
    EXPECT(ilk_barrier_arrive(barrier, 1, &tickets[1], -1) == 1);
    EXPECT(ilk_barrier_arrive(barrier, 0, &tickets[2], 0) == ILK_ETIMEDOUT);
    EXPECT(ilk_barrier_complete(barrier, tickets[1], 1) == ILK_OK);
    EXPECT(ilk_barrier_await(barrier, tickets[0], 0) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_barrier_wait(barrier) == ILK_EBROKEN);
      return;
    }
    while (ilk_barrier_waiting(barrier) == 0)
      model_yield();
    EXPECT(ilk_barrier_reset(barrier) == ILK_OK);
    EXPECT(ilk_barrier_free(barrier) == ILK_OK);
  }

  void after()
  {
  }
};

// A mutex whose holder exits, a thread that waits for it, and one that tries to free it: the wait ends.
struct mutex_dead_freed {
  static const int N = 3;
  void *mutex;
  int freed;

  mutex_dead_freed()
  {
    engine::stands_still = true;
  }

  void before()
  {
    mutex = ilk_mutex_new(0);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      thread_leave(thread_current);
    } else if (index == 1) {
      int result = ilk_mutex_lock(mutex);
      EXPECT(result == ILK_OWNER_DIED || result == ILK_EHANDLE);
      if (result == ILK_OWNER_DIED)
        EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
    } else {
      freed = ilk_mutex_free(mutex);
    }
  }

  void after()
  {
    EXPECT(freed == ILK_OK || (freed == ILK_EBUSY && ilk_mutex_free(mutex) == ILK_OK));
  }
};

// A reset takes the mutex from the thread that locks it at that moment: its unlock releases no other thread's lock.
struct mutex_reset_locked {
  static const int N = 3;
  void *mutex;
  rl::var<int> data;
  void *is_reset;

  mutex_reset_locked()
  {
    engine::stands_still = true;
  }

  void before()
  {
    mutex = ilk_mutex_new(0);
    set(data, 0);
    is_reset = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      EXPECT(ilk_counter_wait(is_reset, 1) == ILK_OK);
      int result = ilk_mutex_unlock(mutex);
      EXPECT(result == ILK_OK || result == ILK_EPERM);
      return;
    }
    if (index == 1) {
      EXPECT(ilk_mutex_reset(mutex) == ILK_OK);
      ilk_counter_fetch_add(is_reset, 1);
    }
    EXPECT(ilk_counter_wait(is_reset, 1) == ILK_OK);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    set(data, get(data) + 1);
    EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == 2 && ilk_mutex_is_locked(mutex) == 0);
  }
};

// The same for a holder whose thread is new: the reset finds it alive.
typedef made_new<mutex_reset_locked> mutex_reset_new;
typedef made_new<mutex_reset_locked, true> mutex_reset_new_second;

// A reset takes a fair mutex from its holder, whose unlock, begun before, hands nothing over.
struct mutex_fair_reset {
  static const int N = 3;
  void *mutex;

  mutex_fair_reset()
  {
    engine::stands_still = true;
  }

  void before()
  {
    mutex = ilk_mutex_new(ILK_FAIR);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_mutex_unlock(mutex);
      EXPECT(result == ILK_OK || result == ILK_EPERM);
      return;
    }
    if (index == 1)
      EXPECT(ilk_mutex_reset(mutex) == ILK_OK);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
    int result = ilk_mutex_unlock(mutex);
    EXPECT(result == ILK_OK || (index == 2 && result == ILK_EPERM)); // the reset took it
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(mutex) == 0 && ilk_mutex_free(mutex) == ILK_OK);
  }
};

// A fair mutex that is reset: a waiter that gives up leaves no other asleep.
struct mutex_fair_left {
  static const int N = 3;
  void *mutex;

  mutex_fair_left()
  {
    engine::stands_still = true;
  }

  void before()
  {
    mutex = ilk_mutex_new(ILK_FAIR);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 0)
      EXPECT(ilk_mutex_reset(mutex) == ILK_OK);
    int result = index == 1 ? ilk_mutex_timedlock(mutex, 1000) : ilk_mutex_lock(mutex);
    EXPECT(result == ILK_OK || (index == 1 && result == ILK_ETIMEDOUT));
    if (result == ILK_OK) {
      result = ilk_mutex_unlock(mutex);
      EXPECT(result == ILK_OK || result == ILK_EPERM); // the reset may have taken it
    }
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(mutex) == 0);
  }
};

// Once a waiter that starves has marked the mutex, the next release gives it to that waiter, and not to a thread that tries.
struct mutex_starving {
  static const int N = 2;
  void *mutex;
  bool has_tried; // orders nothing

  void before()
  {
    has_tried = false;
    mutex = ilk_mutex_new(0);
    EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
  }

  void thread(unsigned index)
  {
    if (index == 1) {
      EXPECT(ilk_mutex_lock(mutex) == ILK_OK);
      while (!has_tried)
        model_yield();
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      return;
    }
    uint32_t episode = 0, last = 0;
    for (int result = ILK_OK; result == ILK_OK; last = episode) {
      while (!(episode = seams_blocked(engine::records[1])) || episode == last)
        model_yield();
      bool marked = seams_is_marked(mutex);
      EXPECT(ilk_mutex_unlock(mutex) == ILK_OK);
      result = ilk_mutex_trylock(mutex);
      EXPECT(result == ILK_EBUSY || (result == ILK_OK && !marked));
    }
    has_tried = true;
  }

  void after()
  {
    EXPECT(ilk_mutex_is_locked(mutex) == 0);
  }
};

// A thread that waits in an object inspects it also while a free of it is undecided.
struct handle_own {
  static const int N = 2;
  void *counter;

  void before()
  {
    counter = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      for (int i = 0; i < 3; i++)
        EXPECT(seams_inspects_own(counter));
    } else {
      EXPECT(ilk_counter_free(counter) == ILK_OK);
    }
  }

  void after()
  {
  }
};

// Waiters that register and leave while a waker claims some: none is counted in the end.
struct claims {
  static const int N = 3;

  void before()
  {
  }

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

// Threads that release at the same time: each release counts.
struct semaphore_three {
  static const int N = 3;
  void *semaphore;

  void before()
  {
    semaphore = ilk_semaphore_new(0, 0);
  }

  void thread(unsigned)
  {
    for (int i = 0; i < 3; i++)
      EXPECT(ilk_semaphore_release(semaphore, 1) == ILK_OK);
  }

  void after()
  {
    EXPECT(ilk_semaphore_value(semaphore) == 9 && ilk_semaphore_free(semaphore) == ILK_OK);
  }
};

// Slices that two threads make while another goes through them.
struct slices {
  static const int N = 3;
  void *slices;

  int count()
  {
    int n = 0;
    for (void *slice = ilk_slices_next(slices, nullptr); slice;
         slice = ilk_slices_next(slices, slice))
      n++;
    return n;
  }

  void before()
  {
    slices = ilk_slices_new(8, nullptr);
  }

  void thread(unsigned index)
  {
    if (index < 2)
      EXPECT(ilk_slices_get(slices) != nullptr);
    else
      EXPECT(count() <= 2);
  }

  void after()
  {
    EXPECT(count() == 2 && ilk_slices_free(slices) == ILK_OK);
  }
};

// The same, where the other clears them, or describes them in a report.
template <bool CLEARS> struct slices_cleared : slices {
  static const int N = 2;

  void thread(unsigned index)
  {
    char text[400];
    if (index == 0)
      EXPECT(ilk_slices_get(slices) != nullptr);
    else if (CLEARS)
      EXPECT(ilk_slices_clear(slices) == ILK_OK);
    else
      EXPECT(ilk_report(text, sizeof text) > 0);
  }

  void after()
  {
    EXPECT(count() == 1 && ilk_slices_free(slices) == ILK_OK);
  }
};
typedef slices_cleared<true> slices_clear;
typedef slices_cleared<false> slices_report;

// A slice with a companion stays until both its object and the companion have dropped it.
struct slices_dropped {
  static const int N = 2;
  void *slices, *attached;
  int released;
  long blocks;

  static void release(void *companion)
  {
    *(int *)companion += 1;
  }

  void before()
  {
    void *first = ilk_slices_new(8, nullptr);
    EXPECT(ilk_slices_get(first) && ilk_slices_free(first) == ILK_OK);
    blocks = seams_blocks(); // with those that stay with the thread's record
    slices = ilk_slices_new(8, nullptr);
    attached = ilk_counter_new(0);
    released = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      void *slice = ilk_slices_get(slices);
      EXPECT(ilk_slices_attach(slice, &released, (void *)release) == ILK_OK);
      ilk_counter_fetch_add(attached, 1);
      __tsan_write_range(slice, 8);
      EXPECT(ilk_slices_drop(&slice) == ILK_OK);
    } else {
      EXPECT(ilk_counter_wait(attached, 1) == ILK_OK);
      EXPECT(ilk_slices_free(slices) == ILK_OK);
      EXPECT(released == 1);
    }
  }

  void after()
  {
    EXPECT(seams_blocks() == blocks);
  }
};

// A sum lacks no add that the last reset included.
struct tally_reset {
  static const int N = 3;
  void *tally;

  void before()
  {
    tally = ilk_tally_new();
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_tally_add(tally, 1) == ILK_OK);
    } else if (index == 1) {
      EXPECT(ilk_tally_reset(tally) == ILK_OK);
    } else {
      int64_t sum = ilk_tally_sum(tally);
      EXPECT(sum == 0 || sum == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_tally_free(tally) == ILK_OK);
  }
};

// Python's hooks, installed while a thread begins to wait.
struct gil_hooks {
  static const int N = 2;
  void *counter;
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

  void before()
  {
    counter = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_gil_hooks((void *)current, nullptr, (void *)save, (void *)restore) == ILK_OK);
      ilk_counter_fetch_add(counter, 1);
    } else {
      EXPECT(ilk_counter_wait(counter, 1) == ILK_OK);
    }
  }

  void after()
  {
  }
};

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

// A store by the program itself.
static void store_word(int32_t *word, int value)
{
  static site ordered = {"scenarios.cpp", "store_seq_cst", __LINE__, SITE_STORE, ORDER_SEQ_CST};
  model_store(word, sizeof *word, (uint64_t)value, &ordered, __func__);
}

// The wait for a word loads it in the order of sequentially consistent operations.
struct word_wait {
  static const int N = 2;
  alignas(64) int32_t word[1];
  void *counter;
  bool saw[2];

  void before()
  {
    word[0] = 0;
    counter = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      EXPECT(ilk_counter_store(counter, 1) == ILK_OK);
      int result = ilk_word_wait(word, 0, 0, 0);
      EXPECT(result == ILK_OK || result == ILK_ETIMEDOUT);
      saw[0] = result == ILK_OK;
    } else {
      store_word(word, 1);
      saw[1] = ilk_counter_load(counter) == 1;
    }
  }

  void after()
  {
    EXPECT(saw[0] || saw[1]);
  }
};

// A cancelled wait for a shared word passes the wake on that it has consumed: a thread of another process may need it.
struct word_shared_cancelled {
  static const int N = 3;
  alignas(64) int32_t word[1];

  void before()
  {
    word[0] = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int result = ilk_word_wait(word, 0, ILK_SHARED, -1);
      EXPECT(result == ILK_OK || result == ILK_ECANCELED);
      if (result == ILK_OK)
        EXPECT(ilk_word_wake(word, 1, ILK_SHARED) >= 0);
    } else if (index == 1) {
      model_wait(word, 0, INT64_MAX);
    } else {
      store_word(word, 1);
      EXPECT(ilk_word_wake(word, 1, ILK_SHARED) >= 0);
      EXPECT(ilk_cancel(1) == ILK_OK);
    }
  }

  void after()
  {
  }
};

// --- the program ---------------------------------------------------------------------------------

static const struct scenario {
  const char *name;
  bool (*holds)(unsigned long executions, std::string *why);
} scenarios[] = {
#define SCENARIO(name) {#name, engine::holds<name>}
  SCENARIO(mutex),
  SCENARIO(mutex_three),
  SCENARIO(mutex_fair),
  SCENARIO(mutex_unowned),
  SCENARIO(mutex_twice),
  SCENARIO(mutex_timeout),
  SCENARIO(mutex_fair_timeout),
  SCENARIO(mutex_given_up),
  SCENARIO(mutex_crossed),
  SCENARIO(mutex_dead),
  SCENARIO(thread_record_reused),
  SCENARIO(mutex_reset),
  SCENARIO(mutex_dead_new),
  SCENARIO(mutex_fair_new),
  SCENARIO(mutex_reset_nested),
  SCENARIO(mutex_reset_freed),
  SCENARIO(mutex_reset_deferred),
  SCENARIO(cycle),
  SCENARIO(handle),
  SCENARIO(handle_locked),
  SCENARIO(handle_freed_twice),
  SCENARIO(handle_refused),
  SCENARIO(handle_memory),
  SCENARIO(handle_memory_unowned),
  SCENARIO(handle_memory_closed),
  SCENARIO(handle_again),
  SCENARIO(thread_record_new),
  SCENARIO(thread_record_new_far),
  SCENARIO(handler),
  SCENARIO(handler_within),
  SCENARIO(handler_within_retired),
  SCENARIO(handle_unlock),
  SCENARIO(handle_waited),
  SCENARIO(handle_retired),
  SCENARIO(handle_retired_counter),
  SCENARIO(handle_retired_mutex),
  SCENARIO(handle_retired_unowned),
  SCENARIO(handle_retired_unlocked),
  SCENARIO(handle_retired_reset),
  SCENARIO(records),
  SCENARIO(records_put_freed),
  SCENARIO(records_get_freed),
  SCENARIO(condition),
  SCENARIO(condition_after_unlock),
  SCENARIO(condition_begin),
  SCENARIO(rwlock),
  SCENARIO(rwlock_writers),
  SCENARIO(rwlock_readers),
  SCENARIO(rwlock_fair),
  SCENARIO(rwlock_biased),
  SCENARIO(rwlock_second),
  SCENARIO(rwlock_freed),
  SCENARIO(rwlock_other),
  SCENARIO(rwlock_first),
  SCENARIO(rwlock_sleeps),
  SCENARIO(rwlock_spins),
  SCENARIO(rwlock_other_spins),
  SCENARIO(rwlock_first_sleeps),
  SCENARIO(rwlock_calm),
  SCENARIO(rwlock_downgrade),
  SCENARIO(rwlock_timeout),
  SCENARIO(rwlock_fair_timeout),
  SCENARIO(rwlock_dead),
  SCENARIO(rwlock_dead_two),
  SCENARIO(semaphore),
  SCENARIO(semaphore_again),
  SCENARIO(event),
  SCENARIO(event_spun),
  SCENARIO(event_is_set),
  SCENARIO(latch),
  SCENARIO(latch_added),
  SCENARIO(latch_added_twice),
  SCENARIO(barrier),
  SCENARIO(barrier_crowded),
  SCENARIO(once),
  SCENARIO(counter),
  SCENARIO(counter_store),
  SCENARIO(counter_exchange),
  SCENARIO(counter_fetch_add),
  SCENARIO(counter_compare_exchange),
  SCENARIO(queue),
  SCENARIO(queue_three),
  SCENARIO(queue_close),
  SCENARIO(queue_close_full),
  SCENARIO(queue_capacity),
  SCENARIO(queue_size),
  SCENARIO(once_fails),
  SCENARIO(tally),
  SCENARIO(barrier_timeout),
  SCENARIO(barrier_reset),
  SCENARIO(barrier_abort),
  SCENARIO(barrier_again),
  SCENARIO(barrier_ended_abort),
  SCENARIO(barrier_ended_reset),
  SCENARIO(barrier_act),
  SCENARIO(barrier_try),
  SCENARIO(cancel),
  SCENARIO(word),
  SCENARIO(word_given_up),
  SCENARIO(word_timed_out),
  SCENARIO(word_two),
  SCENARIO(word_dead),
  SCENARIO(word_dead_new),
  SCENARIO(lockarray),
  SCENARIO(block_load),
  SCENARIO(rwlock_new),
  SCENARIO(rwlock_new_second),
  SCENARIO(word_new),
  SCENARIO(word_new_second),
  SCENARIO(lockarray_new),
  SCENARIO(lockarray_dead),
  SCENARIO(word_all_new),
  SCENARIO(once_new),
  SCENARIO(once_dead_new),
  SCENARIO(cancel_new),
  SCENARIO(cancel_new_far),
  SCENARIO(thread_id_again),
  SCENARIO(cells_near),
  SCENARIO(cells_far),
  SCENARIO(cells_far_directory),
  SCENARIO(tally_new),
  SCENARIO(barrier_wrong_ticket),
  SCENARIO(barrier_wrong_ticket_many),
  SCENARIO(barrier_wrong_ticket_two),
  SCENARIO(barrier_act_reset),
  SCENARIO(barrier_arrival_abort),
  SCENARIO(barrier_arrival_reset),
  SCENARIO(barrier_act_abort),
  SCENARIO(barrier_await),
  SCENARIO(barrier_outside),
  SCENARIO(mutex_dead_freed),
  SCENARIO(mutex_reset_locked),
  SCENARIO(mutex_reset_new),
  SCENARIO(mutex_reset_new_second),
  SCENARIO(mutex_fair_reset),
  SCENARIO(mutex_fair_left),
  SCENARIO(mutex_starving),
  SCENARIO(handle_own),
  SCENARIO(claims),
  SCENARIO(semaphore_three),
  SCENARIO(slices),
  SCENARIO(slices_clear),
  SCENARIO(slices_report),
  SCENARIO(slices_dropped),
  SCENARIO(tally_reset),
  SCENARIO(gil_hooks),
  SCENARIO(gil_hooks_two),
  SCENARIO(word_wait),
  SCENARIO(word_shared_cancelled),
};
static_assert(sizeof scenarios / sizeof *scenarios <= engine::scenario_set().size(), "a bit each");

static bool is_selected(const scenario &s, const std::vector<std::string> &names)
{
  return names.empty() || std::find(names.begin(), names.end(), s.name) != names.end();
}

static bool run(const scenario &s, unsigned long executions, std::string *why)
{
  engine::scenario_now = (int)(&s - scenarios);
  return s.holds(executions, why);
}

// The scenarios that reach that place, or, if no operation stands there, its file.
static engine::scenario_set near(const std::string &place)
{
  std::string file = place.substr(0, place.find(':')),
              function = place.substr(std::min(place.size(), file.size() + 1));
  engine::scenario_set in_function, in_file;
  for (int i = 0; i < engine::reached_count; i++) {
    const site *s = engine::reached[i];
    if (file != engine::base_name(s->file))
      continue;
    in_file |= engine::reached_by[i];
    if (function == s->function)
      in_function |= engine::reached_by[i];
  }
  return in_function.any() ? in_function : in_file;
}

// True: it holds.
static bool print(const scenario &s, unsigned long executions)
{
  std::string why;
  bool held = run(s, executions, &why);
  printf("  %s  %s%s\n", held ? "ok   " : "FAIL ", s.name, held ? "" : (": " + why).c_str());
  fflush(stdout);
  return held;
}

int main(int argc, char **argv)
{
  std::string place;
  unsigned long executions = 3000;
  std::vector<std::string> names;
  for (int i = 1; i < argc; i++) {
    std::string argument = argv[i];
    if (argument == "--executions" && i + 1 < argc)
      executions = strtoul(argv[++i], nullptr, 10);
    else if (argument == "--mutant" && i + 1 < argc)
      engine::mutants.push_back(engine::parse(argv[++i]));
    else if (argument == "--near" && i + 1 < argc)
      place = argv[++i];
    else if (argument == "--history")
      engine::with_history = true;
    else
      names.push_back(argument);
  }
  if (!place.empty()) {
    for (const scenario &s : scenarios)
      if (is_selected(s, names) && !print(s, executions / 20))
        return 1;
    engine::scenario_set selected = near(place);
    // Where many reach it, fewer of each; and first those whose names begin as the source's.
    std::string stem = place.substr(0, place.find_first_of("._:"));
    for (bool own : {true, false}) {
      auto runs = [&](const scenario &s) {
        return is_selected(s, names) && selected[&s - scenarios] &&
               own == (std::string(s.name).compare(0, stem.size(), stem) == 0);
      };
      size_t count = std::count_if(std::begin(scenarios), std::end(scenarios), runs);
      for (const scenario &s : scenarios)
        if (runs(s) && !print(s, std::min(executions, 8 * executions / std::max<size_t>(1, count))))
          return 1;
    }
    if (std::any_of(engine::reached, engine::reached + engine::reached_count,
                    [](const site *s) { return s->is_mutant; }))
      printf("mutant reached\n");
    return 0;
  }
  int failed = 0, ran = 0;
  for (const scenario &s : scenarios)
    if (is_selected(s, names)) {
      failed += !print(s, executions);
      ran++;
    }
  return ran && !failed ? 0 : 1;
}
