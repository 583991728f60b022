#include "scenario.hpp"

static void read(void *lock, shared_int &data)
{
  OK(ilk_rwlock_read_lock(lock));
  int seen = get(data);
  EXPECT(get(data) == seen);
  OK(ilk_rwlock_read_unlock(lock));
}

static void write(void *lock, shared_int &data)
{
  OK(ilk_rwlock_write_lock(lock));
  set(data, get(data) + 1);
  OK(ilk_rwlock_write_unlock(lock));
}

// It takes so many readers.
static void make_biased(void *lock)
{
  for (int i = 0; i < 70; i++)
    EXPECT(ilk_rwlock_read_lock(lock) == ILK_OK && ilk_rwlock_read_unlock(lock) == ILK_OK);
}

template <int FLAGS, int READERS, int WRITERS> struct rwlock_of : with<ilk_rwlock_new, FLAGS> {
  using with<ilk_rwlock_new, FLAGS>::object;
  static const int N = READERS + WRITERS;
  shared_int data;

  void thread(unsigned index)
  {
    if (index < READERS) {
      read(object, data);
    } else {
      write(object, data);
    }
  }

  void after()
  {
    EXPECT(get(data) == WRITERS && ilk_rwlock_free(object) == ILK_OK);
  }
};
SCENARIO_AS(rwlock, rwlock_of<0, 1, 1>);
SCENARIO_AS(rwlock_writers, rwlock_of<0, 1, 2>);
SCENARIO_AS(rwlock_readers, rwlock_of<0, 2, 1>);
SCENARIO_AS(rwlock_fair, rwlock_of<ILK_FAIR, 1, 2>);

// A reader that has published itself, as most do, and a writer that takes that permission away.
struct rwlock_biased : rwlock_of<0, 1, 1> {
  void before()
  {
    rwlock_of::before();
    make_biased(object);
  }
};
SCENARIO(rwlock_biased);

// A reader of several of these, and a writer.
template <int LOCKS> struct biased_locks : bare {
  static const int N = 2;
  void *lock[LOCKS];
  shared_int data;

  void before()
  {
    for (void *&l : lock) {
      l = ilk_rwlock_new(0);
      make_biased(l);
    }
  }
};

// A reader that holds another lock, and so publishes itself in a place that a writer has yet to
// hear of.
struct rwlock_second : biased_locks<3> {
  void thread(unsigned index)
  {
    if (index == 0) {
      OK(ilk_rwlock_read_lock(lock[1]));
      EXPECT(ilk_rwlock_read_lock(lock[2]) == ILK_OK && ilk_rwlock_read_unlock(lock[2]) == ILK_OK);
      OK(ilk_rwlock_read_lock(lock[0]));
      int seen = get(data);
      EXPECT(get(data) == seen);
      EXPECT(ilk_rwlock_read_unlock(lock[0]) == ILK_OK &&
             ilk_rwlock_read_unlock(lock[1]) == ILK_OK);
    } else {
      write(lock[0], data);
    }
  }
};
SCENARIO(rwlock_second);

// A reader that publishes itself, and a free: one of them fails.
struct rwlock_freed : rwlock_biased {
  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_rwlock_read_lock(object), ILK_OK, ILK_EHANDLE) != ILK_OK)
        return;
      int seen = get(data);
      EXPECT(get(data) == seen);
      OK(ilk_rwlock_read_unlock(object));
    } else if (ONE_OF(ilk_rwlock_free(object), ILK_OK, ILK_EBUSY) == ILK_OK) {
      set(data, 1);
    }
  }

  void after() // it may be gone
  {
  }
};
SCENARIO(rwlock_freed);

// A reader that stays for a while.
struct rwlock_stays : rwlock_biased {
  void thread(unsigned index)
  {
    if (index == 1) {
      rwlock_of::thread(index);
      return;
    }
    OK(ilk_rwlock_read_lock(object));
    model_yield(); // the writer comes meanwhile, and has made its barrier
    get(data);
    OK(ilk_rwlock_read_unlock(object));
  }
};

// A reader that publishes another lock where it has published this one: a writer that finds that
// sees that it has left.
struct rwlock_other : rwlock_stays, stands_still {
  void *other;

  void before()
  {
    rwlock_stays::before();
    other = ilk_rwlock_new(0);
    make_biased(other);
  }

  void thread(unsigned index)
  {
    rwlock_stays::thread(index);
    if (index == 0)
      EXPECT(ilk_rwlock_read_lock(other) == ILK_OK && ilk_rwlock_read_unlock(other) == ILK_OK);
  }
};
SCENARIO(rwlock_other);

// A reader that publishes itself once the bias is back sees what was written before.
struct rwlock_calm : rwlock_of<0, 1, 1> {
  bool calm = false; // orders nothing

  void thread(unsigned index)
  {
    if (index == 1) {
      rwlock_of::thread(index);
      make_biased(object);
      calm = true;
    } else {
      while (!calm)
        model_yield();
      rwlock_of::thread(index);
    }
  }
};
SCENARIO(rwlock_calm);

// A reader that leaves the first of its locks first.
struct rwlock_first : biased_locks<2> {
  void before()
  {
    biased_locks::before();
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
      write(lock[0], data);
    }
  }
};
SCENARIO(rwlock_first);

// A writer that sleeps at once: the reader that leaves sees that it does, or is seen to have left.
// And one that checks for long: it may be the first of several stores that shows it that the reader
// has left.
template <class BASE, int CHECKS> struct rwlock_spun : BASE {
  rwlock_spun()
  {
    model_spins = CHECKS;
  }
};
SCENARIO_AS(rwlock_sleeps, rwlock_spun<rwlock_biased, 0>);
SCENARIO_AS(rwlock_first_sleeps, rwlock_spun<rwlock_first, 0>);
SCENARIO_AS(rwlock_spins, rwlock_spun<rwlock_stays, 8>);
SCENARIO_AS(rwlock_other_spins, rwlock_spun<rwlock_other, 8>);

// A writer that becomes a reader: no other writer acquires it in between.
struct rwlock_downgrade : with<ilk_rwlock_new, 0> {
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    EXPECT((index == 2 ? ilk_rwlock_read_lock(object) : ilk_rwlock_write_lock(object)) == ILK_OK);
    if (index < 2)
      set(data, get(data) + 1);
    int seen = get(data);
    if (index == 0)
      OK(ilk_rwlock_downgrade(object));
    EXPECT(get(data) == seen);
    EXPECT((index == 1 ? ilk_rwlock_write_unlock(object) : ilk_rwlock_read_unlock(object)) ==
           ILK_OK);
  }

  void after()
  {
    EXPECT(get(data) == 2 && ilk_rwlock_free(object) == ILK_OK);
  }
};
SCENARIO(rwlock_downgrade);

// Waiters that time out, readers and writers, consume no other thread's wake.
template <int FLAGS> struct rwlock_timeout_of : with<ilk_rwlock_new, FLAGS> {
  using with<ilk_rwlock_new, FLAGS>::object;
  static const int N = 3;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      if (ONE_OF(ilk_rwlock_write_timedlock(object, 1000), ILK_OK, ILK_ETIMEDOUT) != ILK_OK)
        return;
      set(data, get(data) + 1);
      OK(ilk_rwlock_write_unlock(object));
    } else if (index == 1) {
      read(object, data);
    } else {
      write(object, data);
    }
  }

  void after()
  {
    EXPECT(get(data) >= 1 && ilk_rwlock_free(object) == ILK_OK);
  }
};
SCENARIO_AS(rwlock_timeout, rwlock_timeout_of<0>);
SCENARIO_AS(rwlock_fair_timeout, rwlock_timeout_of<ILK_FAIR>);

// The writer exits: its death is reported to the next, which sees its writes.
template <int THREADS> struct rwlock_dead_of : with<ilk_rwlock_new, 0> {
  static const int N = THREADS;
  shared_int data;

  void thread(unsigned index)
  {
    int result = ilk_rwlock_write_lock(object);
    EXPECT(result == ILK_OK || (index > 0 && result == ILK_OWNER_DIED));
    set(data, get(data) + 1);
    if (index == 0)
      thread_leave(thread_current);
    else
      OK(ilk_rwlock_write_unlock(object));
  }

  void after()
  {
    EXPECT(get(data) == N);
  }
};
SCENARIO_AS(rwlock_dead, rwlock_dead_of<2>);
SCENARIO_AS(rwlock_dead_two, rwlock_dead_of<3>); // of the two, one finds the other

// A thread that is new, and holds the lock, is found alive: no thread takes the lock from it.
SCENARIO_AS(rwlock_new, made_new<rwlock_of<0, 0, 2>>);
SCENARIO_AS(rwlock_new_second, made_new<rwlock_of<0, 0, 2>, true>);

// The same where the other joins the queue as the new thread unlocks, which stores its id again.
struct rwlock_new_joined : made_new<rwlock_of<0, 0, 2>, true>, stands_still {};
SCENARIO(rwlock_new_joined);

// A lock that a new thread holds is not freed as if its holder were dead.
struct rwlock_held_freed : with<ilk_rwlock_new, 0>, stands_still {
  static const int N = 2;

  void thread(unsigned index)
  {
    if (index == 1)
      ONE_OF(ilk_rwlock_free(object), ILK_OK, ILK_EBUSY);
    else if (ONE_OF(ilk_rwlock_write_lock(object), ILK_OK, ILK_EHANDLE) == ILK_OK)
      OK(ilk_rwlock_write_unlock(object));
  }
};
SCENARIO_AS(rwlock_new_freed, made_new<rwlock_held_freed, true>);

// An unlock of a lock that is freed changes nothing in the next object in its slot, not even where
// that one has the thread's id in the place of the writer.
struct rwlock_unlock_freed : freed<ilk_rwlock_new, 0>, stands_still {
  static const int N = 2;
  int64_t id;

  void before()
  {
    freed::before();
    id = ilk_thread_id();
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      ONE_OF(ilk_rwlock_write_unlock(old), ILK_EPERM, ILK_EHANDLE);
      return;
    }
    OK(ilk_rwlock_free(old));
    next = ilk_counter_new(0);
    OK(ilk_counter_store(next, id));
    for (int i = 0; i < 3; i++)
      EXPECT(ilk_counter_load(next) == id);
  }
};
SCENARIO(rwlock_unlock_freed);
