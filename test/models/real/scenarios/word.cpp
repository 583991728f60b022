#include "scenario.hpp"

// Word locks: a lock in the caller's memory.
template <int FLAGS> struct word_of : bare {
  static const int N = 3;
  alignas(64) int32_t lock[2] = {};
  shared_int data;

  void thread(unsigned)
  {
    OK(ilk_word_lock(lock, FLAGS));
    set(data, get(data) + 1);
    OK(ilk_word_unlock(lock, FLAGS));
  }

  void after()
  {
    EXPECT(get(data) == N);
  }
};
SCENARIO_AS(word, word_of<0>);

// A waiter that gives up, perhaps with a wake that another needs; and threads that lock twice.
struct word_given_up : word {
  shared_int given_up;

  void thread(unsigned index)
  {
    for (int round = 0; round < 2; round++) {
      int result = ilk_word_timedlock(lock, 0, index > 0 ? -1 : 1000);
      EXPECT(result == ILK_OK || (index == 0 && result == ILK_ETIMEDOUT));
      if (result == ILK_OK) {
        set(data, get(data) + 1);
        OK(ilk_word_unlock(lock, 0));
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
SCENARIO(word_given_up);

// A waiter whose time is over marks the word for another that sleeps, while it is released.
struct word_timed_out : word {
  shared_int given_up;

  void before()
  {
    word::before();
    struct thread *own = thread_current;
    thread_current = engine::records[1];
    OK(ilk_word_lock(lock, 0));
    thread_current = own;
  }

  void thread(unsigned index)
  {
    if (index == 1)
      OK(ilk_word_unlock(lock, 0));
    int result = ilk_word_timedlock(lock, 0, index > 0 ? -1 : 1000);
    EXPECT(result == ILK_OK || (index == 0 && result == ILK_ETIMEDOUT));
    if (result == ILK_OK) {
      set(data, get(data) + 1);
      OK(ilk_word_unlock(lock, 0));
    } else {
      set(given_up, 1);
    }
  }

  void after()
  {
    EXPECT(get(data) + get(given_up) == N);
  }
};
SCENARIO(word_timed_out);

// A waiter consumes a wake, is overtaken, and leaves since its time is over: it has marked the word
// for the other that sleeps, while it is released.
struct word_left : word_timed_out {
  bool has_left = false;

  void thread(unsigned index)
  {
    if (index == 1) {
      while (!has_left && !(seams_blocked(engine::records[0]) && seams_blocked(engine::records[2])))
        model_yield();
      engine::pass(SECOND);
      OK(ilk_word_unlock(lock, 0));
    }
    int result = ilk_word_timedlock(lock, 0, index > 0 ? -1 : SECOND);
    has_left = has_left || index == 0;
    if (ONE_OF(result, ILK_OK, index == 0 ? ILK_ETIMEDOUT : ILK_OK) == ILK_OK) {
      set(data, get(data) + 1);
      OK(ilk_word_unlock(lock, 0));
    } else {
      set(given_up, 1);
    }
  }

private:
  static const int SECOND = 1000000000;
};
SCENARIO(word_left);

// A thread that holds two words: what a waiter for one counts is not lost to the release of the
// other.
struct word_two : bare {
  static const int N = 3;
  alignas(64) int32_t lock[2] = {};
  shared_int data[2];

  void thread(unsigned index)
  {
    if (index != 1)
      OK(ilk_word_lock(&lock[0], 0));
    if (index != 2)
      OK(ilk_word_lock(&lock[1], 0));
    if (index != 1) {
      set(data[0], get(data[0]) + 1);
      OK(ilk_word_unlock(&lock[0], 0));
    }
    if (index != 2) {
      set(data[1], get(data[1]) + 1);
      OK(ilk_word_unlock(&lock[1], 0));
    }
  }

  void after()
  {
    EXPECT(get(data[0]) == 2 && get(data[1]) == 2);
  }
};
SCENARIO(word_two);

// A word lock whose holder exits while the other waits, or before.
struct word_dead : word {
  static const int N = 2;

  void thread(unsigned index)
  {
    int result = ilk_word_lock(lock, 0);
    EXPECT(result == ILK_OK || (index == 1 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      OK(ilk_word_unlock(lock, 0));
  }

  void after()
  {
    EXPECT(get(data) == 2);
  }
};
SCENARIO(word_dead);

// The same where the thread that waits is new.
struct word_dead_new : word_dead, stands_still {
  void thread(unsigned index)
  {
    if (index == 1)
      thread_current = nullptr;
    word_dead::thread(index);
    if (index == 1)
      thread_leave(thread_current);
  }
};
SCENARIO(word_dead_new);

// A thread that is new, and holds the lock, is found alive: no thread takes the lock from it.
SCENARIO_AS(word_new, made_new<word>);
SCENARIO_AS(word_new_second, made_new<word, true>);

// The same for all threads: a waiter finds one after the other.
SCENARIO_AS(word_all_new, all_new<word>);

// A store by the program itself.
static void store_word(int32_t *word, int value)
{
  static site ordered = {"word.cpp", "store_seq_cst", __LINE__, SITE_STORE, ORDER_SEQ_CST};
  model_store(word, sizeof *word, (uint64_t)value, &ordered, __func__);
}

// The wait for a word loads it in the order of sequentially consistent operations.
struct word_wait : with<ilk_counter_new, 0> {
  static const int N = 2;
  alignas(64) int32_t word[1] = {};
  bool saw[2];

  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_counter_store(object, 1));
      saw[0] = ONE_OF(ilk_word_wait(word, 0, 0, 0), ILK_OK, ILK_ETIMEDOUT) == ILK_OK;
    } else {
      store_word(word, 1);
      saw[1] = ilk_counter_load(object) == 1;
    }
  }

  void after()
  {
    EXPECT(saw[0] || saw[1]);
  }
};
SCENARIO(word_wait);

// A wake that makes no system call, since it finds no waiter, loses none: the waiter finds the word
// changed. The program's store orders nothing.
struct word_wake : bare {
  static const int N = 3;
  alignas(64) int32_t word[1] = {};

  void thread(unsigned index)
  {
    static site unordered = {"word.cpp", "store_relaxed", __LINE__, SITE_STORE, ORDER_RELAXED};
    if (index == 0) {
      model_store(word, sizeof *word, 1, &unordered, __func__);
      EXPECT(ilk_word_wake(word, 2, 0) >= 0);
    } else {
      OK(ilk_word_wait(word, 0, 0, -1));
    }
  }
};
SCENARIO(word_wake);

// A cancelled wait for a shared word passes the wake on that it has consumed: a thread of another
// process may need it.
struct word_shared_cancelled : bare {
  static const int N = 3;
  alignas(64) int32_t word[1] = {};

  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_word_wait(word, 0, ILK_SHARED, -1), ILK_OK, ILK_ECANCELED) == ILK_OK)
        EXPECT(ilk_word_wake(word, 1, ILK_SHARED) >= 0);
    } else if (index == 1) {
      model_wait(word, 0, INT64_MAX);
    } else {
      store_word(word, 1);
      EXPECT(ilk_word_wake(word, 1, ILK_SHARED) >= 0);
      OK(ilk_cancel(1));
    }
  }
};
SCENARIO(word_shared_cancelled);

// A word lock between processes.
SCENARIO_AS(word_shared, word_of<ILK_SHARED>);

// A waiter that was woken without effect pauses, and runs a signal handler then, which returns only
// once the other waiter has had the lock.
template <int FLAGS> struct word_paused_of : word_of<FLAGS> {
  using word_of<FLAGS>::lock;
  uint32_t done[1] = {};

  void before()
  {
    OK(ilk_word_lock(lock, FLAGS));
  }

  static void handle(void *context)
  {
    word_paused_of *s = static_cast<word_paused_of *>(context);
    if (seams_pauses(engine::records[1]))
      model_wait(s->done, 0, INT64_MAX);
    else
      engine::handlers[1] = {handle, s};
  }

  void thread(unsigned index)
  {
    static site end = {"word.cpp", "store_seq_cst", __LINE__, SITE_STORE, ORDER_SEQ_CST};
    if (index == 0) {
      while (!seams_blocked(engine::records[1]) || !seams_blocked(engine::records[2]))
        model_yield();
      engine::pass(200000);
      OK(ilk_word_unlock(lock, FLAGS));
      if (ilk_word_trylock(lock, FLAGS) == ILK_OK)
        OK(ilk_word_unlock(lock, FLAGS));
      return;
    }
    if (index == 1)
      engine::handlers[1] = {handle, this};
    OK(ilk_word_lock(lock, FLAGS));
    OK(ilk_word_unlock(lock, FLAGS));
    if (index == 2) {
      model_store(done, sizeof *done, 1, &end, __func__);
      model_wake(done, 1);
    }
  }

  void after()
  {
    OK(ilk_word_trylock(lock, FLAGS));
  }
};
SCENARIO_AS(word_paused, word_paused_of<0>);
SCENARIO_AS(word_shared_paused, word_paused_of<ILK_SHARED>);

// A waiter that was woken without effect pauses. If the next release will wake one anyhow, it
// leaves the other waiter asleep, which would only lose its place.
struct word_paused_alone : bare {
  static const int N = 3;
  alignas(64) int32_t lock[2] = {};

  void before()
  {
    OK(ilk_word_lock(lock, 0));
  }

  void thread(unsigned index)
  {
    if (index > 0) {
      OK(ilk_word_lock(lock, 0));
      OK(ilk_word_unlock(lock, 0));
      return;
    }
    static site look = {"word.cpp", "add_seq_cst", __LINE__, SITE_ADD, ORDER_SEQ_CST};
    uint32_t first, second;
    while (!(first = seams_blocked(engine::records[1])) ||
           !(second = seams_blocked(engine::records[2])))
      model_yield();
    engine::pass(200000);
    model_wake(lock, 1);
    for (int i = 0; i < 20; i++)
      model_yield();
    bool kept =
      seams_blocked(engine::records[1]) == first || seams_blocked(engine::records[2]) == second;
    // One that starves changes the word, and the other may not have been asleep yet.
    bool starves = model_rmw(lock, sizeof *lock, 0, &look, __func__) & 1u << 30;
    EXPECT(kept || starves);
    OK(ilk_word_unlock(lock, 0));
  }
};
SCENARIO(word_paused_alone);
