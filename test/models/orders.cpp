// The memory orders of the protocols that Spin checks in order (see the .pml files),
// explored by Relacy under C++11's weak memory. Each test is the algorithm reduced to
// the accesses whose order matters; the asymmetric fence is a seq_cst fence on both
// sides, which is what membarrier promises to the light one. A sleeper spins on what it
// would sleep on, so a lost wake is an execution without an end, which Relacy reports.
//
// Then each order that matters is made too weak in turn (a mutant), which must be caught.

#include <relacy/relacy.hpp>

#include <cstdio>
#include <cstring>

static int mutant;
#define ORDER(n, right, wrong) (mutant == (n) ? (wrong) : (right))

using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

static void fence_light()
{
  if (mutant != 1)
    rl::atomic_thread_fence(mo_seq_cst, $);
}
static void fence_heavy()
{
  if (mutant != 2)
    rl::atomic_thread_fence(mo_seq_cst, $);
}

// src/sync/mutex.c: a barging lock, an unlock by a plain store, and one waiter's announcement.
// Two threads, plain data inside.
struct mutex : rl::test_suite<mutex, 2> {
  rl::atomic<int> state, waiters, signal;
  rl::var<int> data;

  void before()
  {
    state($) = 0;
    waiters($) = 0;
    signal($) = 0;
    data($) = 0;
  }

  bool attempt(int me)
  {
    int free = 0;
    return state.compare_exchange_strong(free, me, ORDER(3, mo_acq_rel, mo_relaxed), $, mo_relaxed,
                                         $);
  }

  void thread(unsigned index)
  {
    int me = (int)index + 1;
    if (!attempt(me)) {
      waiters.fetch_add(1, mo_seq_cst, $);
      fence_heavy();
      while (!attempt(me)) {
        rl::linear_backoff pause;
        while (!signal.load(mo_acquire, $))
          pause.yield($);
        signal.store(0, mo_relaxed, $);
      }
      waiters.fetch_sub(1, mo_seq_cst, $);
    }
    data($) = data($) + 1;
    state.store(0, ORDER(4, mo_release, mo_relaxed), $);
    fence_light();
    if (waiters.load(mo_relaxed, $)) {
      signal.store(1, mo_release, $);
    }
  }

  void after()
  {
    RL_ASSERT(data($) == 2);
  }
};

// src/sync/rwlock.c: a reader publishes, then loads the head; a writer changes the head, then
// loads the record. The reader's reads come before the writer's writes.
struct rwlock : rl::test_suite<rwlock, 2> {
  rl::atomic<int> biased, published;
  rl::var<int> data;

  void before()
  {
    biased($) = 1;
    published($) = 0;
    data($) = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      published.store(1, mo_release, $);
      fence_light();
      if (biased.load(mo_acquire, $))
        RL_ASSERT(data($) == 0);
      published.store(0, ORDER(5, mo_release, mo_relaxed), $);
    } else {
      biased.exchange(0, mo_seq_cst, $);
      fence_heavy();
      rl::linear_backoff pause;
      while (published.load(ORDER(6, mo_seq_cst, mo_relaxed), $))
        pause.yield($);
      data($) = 1;
    }
  }
};

// src/sync/rwlock_read.c, rwlock.c: a writer that sleeps until a published reader leaves, which sees
// that the head is not BIASED: it clears its record, then checks for a parked writer (1 in the head).
struct rwlock_drain : rl::test_suite<rwlock_drain, 2> {
  rl::atomic<int> head, published, sequence;

  void before()
  {
    head($) = 0;
    published($) = 1;
    sequence($) = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      published.store(0, ORDER(19, mo_seq_cst, mo_release), $);
      if (head.load(ORDER(20, mo_seq_cst, mo_acquire), $))
        sequence.fetch_add(1, mo_seq_cst, $);
    } else {
      head.fetch_or(1, mo_seq_cst, $);
      for (;;) {
        int t = sequence.load(mo_seq_cst, $);
        if (!published.load(ORDER(21, mo_seq_cst, mo_relaxed), $))
          break;
        rl::linear_backoff pause;
        while (sequence.load(mo_seq_cst, $) == t)
          pause.yield($);
      }
    }
  }
};

// src/sync/rwlock*.c: counted readers (1 each) and writers (100) in one word.
struct rwlock_count : rl::test_suite<rwlock_count, 3> {
  rl::atomic<int> head;
  rl::var<int> data;

  void before()
  {
    head($) = 0;
    data($) = 0;
  }

  void thread(unsigned index)
  {
    rl::linear_backoff pause;
    if (index == 0) {
      for (int seen = 0; !head.compare_exchange_strong(seen, 1, ORDER(22, mo_acquire, mo_relaxed),
                                                       $, mo_relaxed, $);
           seen = 0)
        pause.yield($);
      RL_ASSERT(data($) >= 0);
      head.fetch_sub(1, ORDER(23, mo_seq_cst, mo_relaxed), $);
    } else {
      for (int seen = 0; !head.compare_exchange_strong(seen, 100, ORDER(24, mo_seq_cst, mo_relaxed),
                                                       $, mo_relaxed, $);
           seen = 0)
        pause.yield($);
      data($) = data($) + 1;
      head.fetch_sub(100, ORDER(25, mo_release, mo_relaxed), $);
    }
  }
};

// src/core/handle_close.c: a call pins, then loads the tag; a free changes the tag, then loads
// the pins, and then makes the memory another object's.
struct handle : rl::test_suite<handle, 2> {
  rl::atomic<int> tag, pin;
  rl::var<int> object;

  void before()
  {
    tag($) = 1;
    pin($) = 0;
    object($) = 1;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      pin.store(1, mo_release, $);
      fence_light();
      if (tag.load(mo_acquire, $) == 1)
        RL_ASSERT(object($) == 1);
      pin.store(0, ORDER(7, mo_release, mo_relaxed), $);
    } else {
      tag.exchange(0, mo_seq_cst, $);
      fence_heavy();
      rl::linear_backoff pause;
      while (pin.load(ORDER(8, mo_seq_cst, mo_relaxed), $))
        pause.yield($);
      object($) = 2;
    }
  }
};

// src/core/block.h: the event count. Two waiters, for a value that a third thread raises twice.
struct event_count : rl::test_suite<event_count, 3> {
  rl::atomic<int> value, waiters, sequence;
  rl::var<int> data[2];

  void before()
  {
    value($) = 0;
    waiters($) = 0;
    sequence($) = 0;
    data[0]($) = 0;
    data[1]($) = 0;
  }

  bool take(int &seen)
  {
    seen = value.load(ORDER(9, mo_seq_cst, mo_relaxed), $);
    while (seen > 0)
      if (value.compare_exchange_strong(seen, seen - 1, mo_acquire, $, mo_relaxed, $))
        return true;
    return false;
  }

  void thread(unsigned index)
  {
    if (index == 2) {
      data[0]($) = 1;
      for (int i = 0; i < 2; i++) {
        value.fetch_add(1, ORDER(10, mo_seq_cst, mo_release), $);
        if (waiters.load(ORDER(11, mo_seq_cst, mo_relaxed), $)) {
          sequence.fetch_add(1, mo_seq_cst, $);
        }
      }
      return;
    }
    int seen;
    if (!take(seen)) {
      waiters.fetch_add(1, ORDER(12, mo_seq_cst, mo_relaxed), $);
      for (;;) {
        int t = sequence.load(mo_seq_cst, $);
        if (take(seen))
          break;
        rl::linear_backoff pause;
        while (sequence.load(mo_seq_cst, $) == t)
          pause.yield($);
      }
      waiters.fetch_sub(1, mo_seq_cst, $);
    }
    RL_ASSERT(data[0]($) == 1);
  }
};

// src/sync/queue_ring.h and src/sync/queue.c: a ring of one place. A put's claim, then its step; a get that
// finds it empty registers as a waiter, and sleeps on the word that the put changes if it sees a waiter.
struct queue : rl::test_suite<queue, 2> {
  rl::atomic<int> tail, head, slot, waiters, sequence;
  rl::var<int> item;

  void before()
  {
    tail($) = 0;
    head($) = 0;
    slot($) = 0;
    waiters($) = 0;
    sequence($) = 0;
    item($) = 0;
  }

  bool get()
  {
    rl::linear_backoff pause;
    for (;;) {
      int seen = 0;
      if (slot.load(ORDER(13, mo_acquire, mo_relaxed), $) == 1) {
        RL_ASSERT(head.compare_exchange_strong(seen, 1, mo_seq_cst, $));
        RL_ASSERT(item($) == 7);
        return true;
      }
      if (tail.load(ORDER(14, mo_seq_cst, mo_acquire), $) == head.load(mo_seq_cst, $))
        return false;
      pause.yield($); // claimed, and about to be filled
    }
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int seen = 0;
      RL_ASSERT(tail.compare_exchange_strong(seen, 1, ORDER(15, mo_seq_cst, mo_acq_rel), $));
      item($) = 7;
      slot.store(1, ORDER(16, mo_release, mo_relaxed), $);
      if (waiters.load(ORDER(17, mo_seq_cst, mo_acquire), $))
        sequence.fetch_add(1, mo_seq_cst, $);
    } else if (!get()) {
      waiters.fetch_add(1, ORDER(18, mo_seq_cst, mo_acq_rel), $);
      for (;;) {
        int t = sequence.load(mo_seq_cst, $);
        if (get())
          break;
        rl::linear_backoff pause;
        while (sequence.load(mo_seq_cst, $) == t)
          pause.yield($);
      }
      waiters.fetch_sub(1, mo_seq_cst, $);
    }
  }
};

// The same ring: a put overwrites an item only after the get of it. The first put loads the head; the second
// knows it from the first.
struct queue_capacity : rl::test_suite<queue_capacity, 3> {
  rl::atomic<int> head, head_known;
  rl::var<int> item;

  void before()
  {
    head($) = 0;
    head_known($) = 0;
    item($) = 7;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      int seen = 0;
      RL_ASSERT(item($) == 7);
      RL_ASSERT(head.compare_exchange_strong(seen, 1, ORDER(26, mo_seq_cst, mo_acquire), $));
    } else if (index == 1) {
      int h = head.load(mo_seq_cst, $);
      head_known.store(h, ORDER(27, mo_release, mo_relaxed), $);
    } else if (head_known.load(ORDER(28, mo_acquire, mo_relaxed), $) == 1) {
      item($) = 8;
    }
  }
};

// src/core/thread_record.c, thread_find(): a thread makes its record, then stores its id in a lock.
// One that loads the id there finds the record; else it would take the thread for a dead one.
// Nothing else orders the two: the holder takes the lock with acquire alone, and pins nothing.
struct holder : rl::test_suite<holder, 2> {
  rl::atomic<int> record, held;

  void before()
  {
    record($) = 0;
    held($) = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      record.store(1, mo_relaxed, $);
      held.store(1, ORDER(29, mo_release, mo_relaxed), $);
    } else if (held.load(ORDER(30, mo_acquire, mo_relaxed), $)) {
      RL_ASSERT(record.load(mo_relaxed, $));
    }
  }
};

// src/sync/rwlock.c, a lock's unlock by mistake, while it is freed and its slot is used again: the
// next object may have the thread's id in the place of the writer, but then the tag is another.
struct slot_reused : rl::test_suite<slot_reused, 2> {
  rl::atomic<int> tag, writer;

  void before()
  {
    tag($) = 1;
    writer($) = 0;
  }

  void thread(unsigned index)
  {
    if (index == 0) {
      tag.store(2, mo_release, $);
      writer.store(7, mo_seq_cst, $); // a counter's value
    } else if (writer.load(ORDER(31, mo_acquire, mo_relaxed), $) == 7) {
      RL_ASSERT(tag.load(mo_relaxed, $) == 2);
    }
  }
};

template <class Test> static bool holds()
{
  rl::test_params params;
  std::ostream quiet(nullptr);
  params.output_stream = &quiet;
  params.progress_stream = &quiet;
  params.iteration_count = 30000;
  return rl::simulate<Test>(params);
}

static int passed, failed;

static void verdict(const char *name, bool right)
{
  printf("  %s  %s\n", right ? "ok   " : "FAIL ", name);
  (right ? passed : failed)++;
}

template <class Test> static void caught(const char *name, int number)
{
  mutant = number;
  verdict(name, !holds<Test>());
  mutant = 0;
}

int main()
{
  verdict("orders of the mutex hold", holds<mutex>());
  verdict("orders of the rwlock hold", holds<rwlock>());
  verdict("orders of the rwlock's drain hold", holds<rwlock_drain>());
  verdict("orders of the rwlock's count hold", holds<rwlock_count>());
  verdict("orders of the handle hold", holds<handle>());
  verdict("orders of the event count hold", holds<event_count>());
  verdict("orders of the queue hold", holds<queue>());
  verdict("orders of the queue's room hold", holds<queue_capacity>());
  verdict("orders of a holder's id hold", holds<holder>());
  verdict("orders of a slot that is used again hold", holds<slot_reused>());
  caught<mutex>("mutex without the light fence is caught", 1);
  caught<mutex>("mutex without the heavy fence is caught", 2);
  caught<rwlock>("rwlock without the light fence is caught", 1);
  caught<rwlock>("rwlock without the heavy fence is caught", 2);
  caught<handle>("handle without the light fence is caught", 1);
  caught<handle>("handle without the heavy fence is caught", 2);
  caught<mutex>("lock that does not acquire is caught", 3);
  caught<mutex>("unlock that does not release is caught", 4);
  caught<rwlock>("reader that leaves without release is caught", 5);
  caught<rwlock>("writer that looks without acquire is caught", 6);
  caught<handle>("pin that ends without release is caught", 7);
  caught<handle>("free that looks without acquire is caught", 8);
  caught<event_count>("waiter's look that is not seq_cst is caught", 9);
  caught<event_count>("change that is not seq_cst is caught", 10);
  caught<event_count>("waker's look that is not seq_cst is caught", 11);
  caught<event_count>("announcement that is not seq_cst is caught", 12);
  caught<queue>("get that looks at its place without acquire is caught", 13);
  caught<queue>("get's look for empty that is not seq_cst is caught", 14);
  caught<queue>("put's claim that is not seq_cst is caught", 15);
  caught<queue>("put's step that does not release is caught", 16);
  caught<queue>("put's look at waiters that is not seq_cst is caught", 17);
  caught<queue>("get's announcement that is not seq_cst is caught", 18);
  caught<queue_capacity>("get that takes without release is caught", 26);
  caught<queue_capacity>("put that tells the head without release is caught", 27);
  caught<queue_capacity>("put that knows the head without acquire is caught", 28);
  caught<rwlock_drain>("withdrawal that is not seq_cst is caught", 19);
  caught<rwlock_drain>("look for ASLEEP that is not seq_cst is caught", 20);
  caught<rwlock_drain>("drainer's look that is not seq_cst is caught", 21);
  caught<rwlock_count>("reader that is counted without acquire is caught", 22);
  caught<rwlock_count>("reader that is counted out without release is caught", 23);
  caught<rwlock_count>("writer that takes it without acquire is caught", 24);
  caught<rwlock_count>("write unlock without release is caught", 25);
  caught<holder>("holder's id that is stored without release is caught", 29);
  caught<holder>("holder's id that is loaded without acquire is caught", 30);
  caught<slot_reused>("writer that is loaded without acquire is caught", 31);
  printf("orders: %d passed, %d failed\n", passed, failed);
  return failed != 0;
}
