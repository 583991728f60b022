// What every scenario has: its fixtures, its checks, and what it may say to the engine
// (engine.hpp). A scenario is a class with the number of its threads, N, and what the first of them
// does before all begin, what each does, and what holds after they have ended. A new one is made
// for each execution. SCENARIO adds it to those of the program (main.cpp).
#ifndef MODEL_SCENARIO_HPP
#define MODEL_SCENARIO_HPP

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <new>
#include <vector>

#include "interlock.h"
#include "site.h"

struct thread;
extern "C" {
extern __thread struct thread *thread_current __attribute__((tls_model("initial-exec")));
void thread_leave(struct thread *record);
void __tsan_write_range(void *memory, long size);

// In seams.c.
void seams_wait(int which);
int seams_load(struct thread *record);
void seams_cell_set(int level, bool pointers);
int seams_cell_get(struct thread *record, int level);
void seams_interrupted(void *pinned);
void *seams_pinned(void);
uint32_t seams_blocked(struct thread *record);
bool seams_pauses(struct thread *record);
bool seams_is_marked(void *mutex);
bool seams_is_away(struct thread *record);
long seams_blocks(void);
void seams_spin(void);
bool seams_inspects_own(void *handle);
void seams_claims_wait(void);
void seams_claims_wake(void);
uint32_t seams_claims_count(void);
void seams_close_refused(void *handle);
}

namespace engine {

inline struct thread *records[8]; // of the scenario's threads

// Deadlines that are far away (the search for deadlock cycles, a recheck of the holder) come in
// half of the executions, and in all of a scenario that needs them. In the others no such recheck
// hides a lost wake: it is a deadlock.
inline bool far_deadlines_come;

// The clock goes on by so much.
void pass(int64_t ns);

// A thread's signal handler: it runs once, at one of the thread's calls of the system, or not at
// all.
inline struct handler {
  void (*run)(void *context);
  void *context;
} handlers[8];

inline int idle_records;  // see idle
inline bool stands_still; // see stands_still

void expect(bool condition, const char *what);

// The result, which must be one of these.
template <class T> T one_of(T result, std::initializer_list<long long> allowed, const char *what)
{
  expect(std::count(allowed.begin(), allowed.end(), (long long)result) > 0, what);
  return result;
}

struct scenario {
  const char *name;
  int threads;
  size_t size;
  void (*construct)(void *), (*before)(void *), (*thread)(void *, unsigned index), (*after)(void *),
    (*destroy)(void *);
};

inline std::vector<scenario> &scenarios()
{
  static std::vector<scenario> all;
  return all;
}

template <class S> bool add(const char *name)
{
  scenarios().push_back({
    name,
    S::N,
    sizeof(S),
    [](void *s) { ::new (s) S; },
    [](void *s) { static_cast<S *>(s)->before(); },
    [](void *s, unsigned index) { static_cast<S *>(s)->thread(index); },
    [](void *s) { static_cast<S *>(s)->after(); },
    [](void *s) { static_cast<S *>(s)->~S(); },
  });
  return true;
}

} // namespace engine

#define SCENARIO(name) static const bool name##_is_added = engine::add<name>(#name)
#define SCENARIO_AS(name, ...)                                                                     \
  typedef __VA_ARGS__ name;                                                                        \
  SCENARIO(name)

// --- checks --------------------------------------------------------------------------------------

#define EXPECT(condition) engine::expect((condition), #condition)
#define OK(call) engine::expect((call) == ILK_OK, #call)
#define ONE_OF(call, ...) engine::one_of((call), {__VA_ARGS__}, #call)

// Plain data of a scenario, at first 0: two accesses that nothing orders are reported.
struct shared_int {
  int value = 0;
};
int get(const shared_int &data);
void set(shared_int &data, int value);

// --- fixtures ------------------------------------------------------------------------------------

// Nothing before, nothing after.
struct bare {
  void before()
  {
  }
  void after()
  {
  }
};

// With an object, as in with<ilk_mutex_new, ILK_FAIR>.
template <auto NEW, auto... ARGUMENTS> struct with : bare {
  void *object;

  void before()
  {
    object = NEW(ARGUMENTS...);
  }
};

// The same where a thread frees the object, and may make the next, which has the same slot.
template <auto NEW, auto... ARGUMENTS> struct freed : bare {
  void *old, *next = nullptr;

  void before()
  {
    old = NEW(ARGUMENTS...);
  }
};

// With a mutex that the first thread holds.
template <int FLAGS> struct locked_mutex : with<ilk_mutex_new, FLAGS> {
  using with<ilk_mutex_new, FLAGS>::object;

  void before()
  {
    with<ilk_mutex_new, FLAGS>::before();
    OK(ilk_mutex_lock(object));
  }
};

// A thread may stand still at any point for as long as another's call takes.
struct stands_still {
  stands_still()
  {
    engine::stands_still = true;
  }
};

// There are so many more records, of threads that do nothing.
template <int RECORDS> struct idle {
  idle()
  {
    engine::idle_records = RECORDS;
  }
};

// Each thread is new, and makes its record in its first call.
template <class BASE> struct all_new : BASE {
  void thread(unsigned index)
  {
    thread_current = nullptr;
    BASE::thread(index);
    thread_leave(thread_current);
  }
};

// The first thread is new, and makes its record in its first call, or in the one before.
template <class BASE, bool BEFORE = false> struct made_new : BASE {
  void thread(unsigned index)
  {
    if (index == 0) {
      thread_current = nullptr;
      if (BEFORE)
        EXPECT(ilk_mutex_depth(nullptr) == ILK_EHANDLE);
    }
    BASE::thread(index);
    if (index == 0 && thread_current) // a call may have needed no record
      thread_leave(thread_current);
  }
};

#endif
