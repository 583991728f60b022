#include "scenario.hpp"

// A place for one: the second put waits for the first get, and gets for puts.
struct queue : with<ilk_queue_new, 1> {
  static const int N = 2;
  shared_int data[2];

  void thread(unsigned index)
  {
    for (int i = 0; i < 2; i++) {
      int64_t item = -1;
      if (index == 0) {
        set(data[i], 1);
        OK(ilk_queue_put(object, i));
      } else {
        EXPECT(ilk_queue_get(object, &item) == ILK_OK && item == i);
        EXPECT(get(data[i]) == 1);
      }
    }
  }

  void after()
  {
    EXPECT(ilk_queue_size(object) == 0 && ilk_queue_free(object) == ILK_OK);
  }
};
SCENARIO(queue);

// The same with a time-out, where no wait yields before it sleeps: so a load may again return an
// old value that an earlier one has returned.
struct queue_timed : queue {
  void thread(unsigned index)
  {
    for (int i = 0; i < 2; i++) {
      int64_t item = -1;
      int result;
      do
        result = index == 0 ? ilk_queue_timedput(object, i, HOUR)
                            : ilk_queue_timedget(object, &item, HOUR);
      while (ONE_OF(result, ILK_OK, ILK_ETIMEDOUT) != ILK_OK);
      EXPECT(index == 0 || item == i);
    }
  }

private:
  static const int64_t HOUR = INT64_C(3600000000000);
};
SCENARIO(queue_timed);

// Two that put, and one that gets.
struct queue_three : with<ilk_queue_new, 1> {
  static const int N = 3;
  shared_int data[2];

  void thread(unsigned index)
  {
    if (index < 2) {
      set(data[index], 1);
      OK(ilk_queue_put(object, index));
      return;
    }
    for (int i = 0; i < 2; i++) {
      int64_t item = -1;
      EXPECT(ilk_queue_get(object, &item) == ILK_OK && (item == 0 || item == 1));
      EXPECT(get(data[item]) == 1);
    }
  }

  void after()
  {
    EXPECT(ilk_queue_size(object) == 0 && ilk_queue_free(object) == ILK_OK);
  }
};
SCENARIO(queue_three);

// A close ends those that wait, and leaves what is inside.
struct queue_close : with<ilk_queue_new, 2> {
  static const int N = 2;
  shared_int data;

  void thread(unsigned index)
  {
    if (index == 0) {
      set(data, 1);
      OK(ilk_queue_put(object, 5));
      OK(ilk_queue_close(object));
      return;
    }
    int64_t item = -1;
    EXPECT(ilk_queue_get(object, &item) == ILK_OK && item == 5);
    EXPECT(get(data) == 1);
    EXPECT(ilk_queue_get(object, &item) == ILK_ECLOSED);
  }

  void after()
  {
    OK(ilk_queue_free(object));
  }
};
SCENARIO(queue_close);

// A close ends a put that waits for room.
struct queue_close_full : with<ilk_queue_new, 1> {
  static const int N = 2;

  void before()
  {
    with::before();
    OK(ilk_queue_put(object, 0));
  }

  void thread(unsigned index)
  {
    if (index == 0)
      OK(ilk_queue_close(object));
    else
      EXPECT(ilk_queue_put(object, 1) == ILK_ECLOSED);
  }

  void after()
  {
    OK(ilk_queue_free(object));
  }
};
SCENARIO(queue_close_full);

// The put that takes the space that a get made sees what came before that get, whichever put found
// the space first.
struct queue_capacity : with<ilk_queue_new, 1> {
  static const int N = 3;
  shared_int data;

  void before()
  {
    with::before();
    OK(ilk_queue_put(object, 0));
  }

  void thread(unsigned index)
  {
    int64_t item;
    if (index == 0) {
      set(data, 1);
      EXPECT(ilk_queue_get(object, &item) == ILK_OK && item == 0);
    } else if (ONE_OF(ilk_queue_tryput(object, index), ILK_OK, ILK_EBUSY) == ILK_OK) {
      EXPECT(get(data) == 1);
    }
  }
};
SCENARIO(queue_capacity);

// The size is that of a moment during the call.
struct queue_size : with<ilk_queue_new, 2> {
  static const int N = 3;
  void *before_get, *before_size;
  int64_t size, after_put, after_get;

  void before()
  {
    with::before();
    OK(ilk_queue_put(object, 0));
    before_get = ilk_counter_new(0);
    before_size = ilk_counter_new(0);
  }

  void thread(unsigned index)
  {
    int64_t item;
    if (index == 0) {
      OK(ilk_queue_put(object, 1));
      after_put = ilk_counter_load(before_get);
    } else if (index == 1) {
      OK(ilk_counter_store(before_get, 1));
      EXPECT(ilk_queue_get(object, &item) == ILK_OK && item == 0);
      after_get = ilk_counter_load(before_size);
    } else {
      OK(ilk_counter_store(before_size, 1));
      size = ilk_queue_size(object);
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
SCENARIO(queue_size);

// A free of one of the two queues fails, because a thread waits there. A put and a get that were
// between their two steps meanwhile have lost no slot, so both end.
struct records_free : bare {
  static const int N = 3;
  void *used, *unused;
  int64_t slots[1], in, out;
  int freed = 0;

  void make(int64_t items)
  {
    used = ilk_queue_new(1);
    unused = ilk_queue_new(1);
    slots[0] = in = 7;
    OK(ilk_queue_put(items ? used : unused, 0));
  }

  void put_get_free(unsigned index, void *queue)
  {
    if (index == 2) {
      freed = ONE_OF(ilk_queue_free(queue), ILK_OK, ILK_EBUSY);
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
SCENARIO(records_put_freed);

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
SCENARIO(records_get_freed);
