// Runs the library's own sources (compiled with shim.h) under Relacy: threads are fibers, and each
// atomic operation is Relacy's, so a load may see every value that the C standard allows.
//
// - An atomic of the library is its address: the first operation on it makes a cell, which begins
//   with what the memory holds then, for all threads. The memory itself is not written any more.
// - The library's variables are copied when the program begins, and are put back before each execution.
// - The asymmetric fence is taken at its word: the light side is a store and a load, with nothing
//   between them, and the system's barrier (fence_heavy()) is a seq_cst fence run on behalf of
// every thread.
// - A sleep is a real one: a lost wake is a deadlock, which Relacy reports. Deadlines come at any moment.
// - A plain access of the library to memory that threads share is checked, too: the compiler reports
//   it as it would to ThreadSanitizer, whose runtime the functions at the end stand for.
#ifndef MODEL_ENGINE_HPP
#define MODEL_ENGINE_HPP

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <bitset>
#include <deque>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#define private public // no thread stores a cell's first value
#include <relacy/relacy.hpp>
#undef private
#undef new
#undef delete
#undef malloc
#undef free
#undef assert
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

#include "scenario.hpp"

extern "C" {
extern __thread struct thread *thread_pinnable __attribute__((tls_model("initial-exec")));
extern __thread bool handle_table_mine __attribute__((tls_model("initial-exec")));
struct thread *thread_reserve(void);
int model_spins = 1; // a scenario's constructor may set it to 0
extern char __start_model_data[], __stop_model_data[], __start_model_bss[], __stop_model_bss[];
}

namespace engine {

#define AT(s, function) rl::debug_info(function, engine::base_name((s)->file), (s)->line)

inline bool in_execution; // else operations are on the memory itself: when the program begins

// A change of threads is a change of fibers, within some operation: what is a thread's own stays
// so.
struct keep_self {
  struct thread *mine = thread_current, *pinnable = thread_pinnable;
  bool table_mine = handle_table_mine;
  ~keep_self()
  {
    thread_current = mine, thread_pinnable = pinnable, handle_table_mine = table_mine;
  }
};

// --- mutants -------------------------------------------------------------------------------------

enum { SITES = 4096 };
inline site *reached[SITES];
inline int reached_count;

struct mutant {
  std::string file, function, name; // an empty one fits all
  int line = 0, order = -1;         // -1: dropped
};
inline std::vector<mutant> mutants;

inline const char *base_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

typedef std::bitset<256> scenario_set;
inline scenario_set reached_by[SITES];
inline int scenario_now; // the one that runs

inline bool is_known(const site *s)
{
  return s->scenario == scenario_now + 1;
}

// At a scenario's first operation there.
inline void learn(site *s, const char *function)
{
  s->scenario = scenario_now + 1;
  if (s->function) {
    reached_by[s->number].set(scenario_now);
    return;
  }
  s->function = function;
  if (reached_count == SITES)
    abort();
  s->number = reached_count++;
  reached[s->number] = s;
  reached_by[s->number].set(scenario_now);
  for (const mutant &m : mutants) {
    if (m.file != base_name(s->file) || (!m.function.empty() && m.function != function) ||
        m.name != s->name || (m.line && m.line != s->line))
      continue;
    s->is_mutant = true;
    if (m.order < 0)
      s->is_dropped = true;
    else
      s->order = m.order;
  }
}

// FILE:FUNCTION-OR-LINE:OPERATION=ORDER, as in "mutex.c:unlock_held:store_release=relaxed" or
// "handle.c:140:or_seq_cst=dropped".
inline mutant parse(const std::string &text)
{
  static const std::map<std::string, int> orders = {{"relaxed", ORDER_RELAXED},
                                                    {"acquire", ORDER_ACQUIRE},
                                                    {"release", ORDER_RELEASE},
                                                    {"acq_rel", ORDER_ACQ_REL},
                                                    {"dropped", -1}};
  mutant m;
  size_t a = text.find(':'), b = text.find(':', a + 1), c = text.find('=');
  if (a == std::string::npos || b == std::string::npos || c == std::string::npos ||
      !orders.count(text.substr(c + 1))) {
    fprintf(stderr, "not a mutant: %s\n", text.c_str());
    exit(2);
  }
  m.file = text.substr(0, a);
  std::string place = text.substr(a + 1, b - a - 1);
  if (!place.empty() && isdigit((unsigned char)place[0]))
    m.line = atoi(place.c_str());
  else
    m.function = place;
  m.name = text.substr(b + 1, c - b - 1);
  m.order = orders.at(text.substr(c + 1));
  return m;
}

// --- cells ---------------------------------------------------------------------------------------

struct cell {
  uintptr_t address;
  int size;
  union {
    rl::generic_atomic<uint32_t, true> *narrow;
    rl::generic_atomic<uint64_t, true> *wide;
  };
};

enum { CELLS = 4096, TABLE = 2 * CELLS, GUARDS = 256 };
inline cell cells[CELLS];
inline int cell_count;
inline cell *table[TABLE];
alignas(16) inline unsigned char bodies[CELLS][sizeof(rl::generic_atomic<uint64_t, true>)];

inline struct guard {
  void *address;
  rl::generic_mutex_data *mutex;
} guards[GUARDS];
inline int guard_count;

// Plain memory: 32 bits each, or less where it is accessed so.
enum { PLAINS = 8192, PLAIN_TABLE = 4 * PLAINS };
inline struct plain {
  uintptr_t key;
  rl::var_data *data;
} plain_table[PLAIN_TABLE];
inline int plains_used[PLAINS];
inline int plain_count;

inline void (*mark_unseen)(rl::atomic_data *);
inline void (*barrier_on_all)();

inline cell **place(uintptr_t address)
{
  size_t i = (address >> 2) * 0x9e3779b1u % TABLE;
  while (table[i] && table[i]->address != address)
    i = (i + 1) % TABLE;
  return &table[i];
}

inline uint64_t raw(uintptr_t address, int size)
{
  uint64_t value = 0;
  memcpy(&value, (void *)address, size);
  return value;
}

template <class T> rl::generic_atomic<T, true> *make(void *body, T first)
{
  auto *made = ::new (body) rl::generic_atomic<T, true>();
  made->history_[made->last_index_] = made->value_ = first;
  mark_unseen(made->impl_);
  return made;
}

inline cell *find(uintptr_t address, int size)
{
  cell **p = place(address);
  if (*p)
    return *p;
  if (cell_count == CELLS)
    abort();
  cell *c = &cells[cell_count];
  c->address = address;
  c->size = size;
  if (size == 8)
    c->wide = make<uint64_t>(bodies[cell_count], raw(address, 8));
  else
    c->narrow = make<uint32_t>(bodies[cell_count], (uint32_t)raw(address, size));
  cell_count++;
  return *p = c;
}

inline rl::var_data *plain_at(uintptr_t key)
{
  unsigned i = (unsigned)((key * 0x9e3779b97f4a7c15u) >> 40) % PLAIN_TABLE;
  while (plain_table[i].data && plain_table[i].key != key)
    i = (i + 1) % PLAIN_TABLE;
  if (!plain_table[i].data) {
    if (plain_count == PLAINS)
      abort();
    plains_used[plain_count++] = (int)i;
    plain_table[i] = {key, rl::ctx().var_ctor()};
  }
  return plain_table[i].data;
}

inline void forget_cells(bool destroy)
{
  for (int i = 0; i < plain_count; i++) {
    plain &p = plain_table[plains_used[i]];
    if (destroy)
      rl::ctx().var_dtor(p.data);
    p = {};
  }
  plain_count = 0;
  for (int i = 0; destroy && i < cell_count; i++)
    if (cells[i].size == 8)
      cells[i].wide->~generic_atomic();
    else
      cells[i].narrow->~generic_atomic();
  for (int i = 0; destroy && i < guard_count; i++)
    rl::ctx().mutex_dtor(guards[i].mutex);
  cell_count = guard_count = 0;
  memset(table, 0, sizeof table);
}

template <class T>
inline uint64_t rmw(rl::generic_atomic<T, true> *a, T operand, const site *s,
                    rl::debug_info_param at)
{
  rl::memory_order mo = (rl::memory_order)s->order;
  switch (s->operation) {
  case SITE_EXCHANGE: return a->exchange(operand, mo, at);
  case SITE_ADD: return a->fetch_add(operand, mo, at);
  case SITE_SUB: return a->fetch_sub(operand, mo, at);
  case SITE_OR: return a->fetch_or(operand, mo, at);
  case SITE_AND: return a->fetch_and(operand, mo, at);
  default: return a->fetch_xor(operand, mo, at);
  }
}

// A failure orders as src/base/atomic.h says: as a load of that name, or not at all.
template <class T>
inline bool cas(rl::generic_atomic<T, true> *a, T *expected, T desired, int order,
                rl::debug_info_param at)
{
  switch (order) {
  case ORDER_RELAXED:
    return a->compare_exchange(rl::bool_t<false>(), *expected, desired, rl::mo_relaxed,
                               rl::mo_relaxed, at);
  case ORDER_ACQUIRE:
    return a->compare_exchange(rl::bool_t<false>(), *expected, desired, rl::mo_acquire,
                               rl::mo_relaxed, at);
  case ORDER_RELEASE:
    return a->compare_exchange(rl::bool_t<false>(), *expected, desired, rl::mo_release,
                               rl::mo_relaxed, at);
  case ORDER_ACQ_REL:
    return a->compare_exchange(rl::bool_t<false>(), *expected, desired, rl::mo_acq_rel,
                               rl::mo_acquire, at);
  default:
    return a->compare_exchange(rl::bool_t<false>(), *expected, desired, rl::mo_seq_cst,
                               rl::mo_seq_cst, at);
  }
}

// A place that is 32-bit in one kind of object is half of a 64-bit one in the next that has the
// slot.
inline cell *half_of(uintptr_t address, int size)
{
  if (size == 8 || address % 8 == 0)
    return nullptr;
  cell *c = *place(address - 4);
  return c && c->size == 8 ? c : nullptr;
}

// --- an execution --------------------------------------------------------------------------------

inline int64_t now;
inline rl::thread_info_base *threads[8];
inline std::vector<char> data_first,
  bss_first; // the library's variables, as when the program began

template <int N> void unseen(rl::atomic_data *data)
{
  auto *d = static_cast<rl::atomic_data_impl<N> *>(data);
  for (int i = 0; i < N; i++)
    d->history_[d->current_index_ % rl::atomic_history_size].first_seen_order_[i] =
      (rl::timestamp_t)-1;
}

// membarrier(2): a full barrier on every thread of the process between the call's begin and its
// end.
template <int N> void barrier()
{
  rl::context &c = rl::ctx();
  auto *me = static_cast<rl::thread_info<N> *>(c.threadx_);
  me->atomic_thread_fence_seq_cst(c.seq_cst_fence_order_);
  for (auto *t : threads)
    if (t && t != me)
      static_cast<rl::thread_info<N> *>(t)->atomic_thread_fence_seq_cst(c.seq_cst_fence_order_);
  me->atomic_thread_fence_seq_cst(c.seq_cst_fence_order_);
}

template <int N> void begin()
{
  in_execution = false;
  forget_cells(false);
  std::copy(data_first.begin(), data_first.end(), __start_model_data);
  std::copy(bss_first.begin(), bss_first.end(), __start_model_bss);
  seams_reset();
  now = 0;
  std::fill(std::begin(threads), std::end(threads), nullptr);
  std::fill(std::begin(records), std::end(records), nullptr);
  std::fill(std::begin(handlers), std::end(handlers), handler());
  for (; idle_records; idle_records--)
    thread_reserve();
  handle_table_mine = false;
  mark_unseen = unseen<N>;
  barrier_on_all = barrier<N>;
  in_execution = true;
  far_deadlines_come = rl::ctx().rand(2, rl::sched_type_user);
  for (int i = 0; i < N; i++)
    records[i] = thread_reserve();
  thread_current = thread_pinnable = records[0];
}

inline void may_interrupt()
{
  if (!in_execution)
    return;
  int index = (int)rl::ctx().threadx_->index_;
  handler h = index >= 0 && index < 8 ? handlers[index] : handler();
  if (!h.run || rl::ctx().rand(4, rl::sched_type_user))
    return;
  handlers[index] = handler();
  h.run(h.context);
}

template <int N> void begin_thread(unsigned index)
{
  handle_table_mine = false;
  thread_current = thread_pinnable = records[index];
  threads[index] = rl::ctx().threadx_;
  // A thread that did not run has executed a full barrier before it does (see fence.h).
  static_cast<rl::thread_info<N> *>(rl::ctx().threadx_)
    ->atomic_thread_fence_seq_cst(rl::ctx().seq_cst_fence_order_);
}

inline void end()
{
  in_execution = false;
  forget_cells(true);
}

// Relacy's random scheduler changes threads at half of all operations. Some faults need that one
// stands still while another does much, so here executions differ in how long a thread goes on.
template <int N> struct scheduler : rl::scheduler<scheduler<N>, rl::scheduler_thread_info, N> {
  typedef rl::scheduler<scheduler<N>, rl::scheduler_thread_info, N> base;
  struct task_t {};
  rl::random_generator random;
  unsigned steps = 1; // a thread goes on for so many, about

  using base::base;

  rl::thread_id_t iteration_begin_impl()
  {
    random.seed(this->iter_);
    steps = 1u << this->iter_ % 4 * 2;
    rl::unpark_reason reason;
    return schedule_impl(reason, 1);
  }

  bool iteration_end_impl()
  {
    return this->iter_ == this->params_.iteration_count;
  }
  rl::iteration_t iteration_count_impl()
  {
    return this->params_.iteration_count;
  }

  rl::thread_id_t schedule_impl(rl::unpark_reason &reason, unsigned yield)
  {
    unsigned running = this->running_threads_count, timed = this->timed_thread_count_;
    reason = rl::unpark_reason_normal;
    if (!yield && this->thread_ && this->thread_->state_ == rl::thread_state_running &&
        random.rand() % steps)
      return this->thread_->index_;
    if (stands_still)
      steps = 1u << random.rand() % 12;
    unsigned chosen = timed ? random.rand() % (running ? 4 * timed : timed) : timed;
    if (chosen < timed) {
      rl::thread_id_t id = this->timed_threads_[chosen]->index_;
      this->unpark_thread(id);
      reason = rl::unpark_reason_timeout;
      return id;
    }
    return this->running_threads[random.rand() % running];
  }

  unsigned rand_impl(unsigned limit, rl::sched_type)
  {
    return random.rand() % limit;
  }
  void get_state_impl(std::ostream &)
  {
  }
  void set_state_impl(std::istream &)
  {
  }
  void on_thread_block(rl::thread_id_t, bool)
  {
  }
  void thread_finished_impl()
  {
  }
  void purge_blocked_threads()
  {
  }
};

// Relacy is compiled once for each number of threads, and not for each scenario, which would take a
// minute.
inline const scenario *running;

template <int THREADS> struct suite : rl::test_suite<suite<THREADS>, THREADS> {
  alignas(64) char body[1024];

  suite()
  {
    running->construct(body);
  }
  ~suite()
  {
    running->destroy(body);
  }

  void before()
  {
    begin<THREADS>();
    running->before(body);
  }

  void thread(unsigned index)
  {
    begin_thread<THREADS>(index);
    running->thread(body, index);
  }

  void after()
  {
    running->after(body);
    end();
  }
};

inline bool with_history; // prints the execution that fails, operation by operation

template <int N> rl::test_result_e explore(rl::test_params &params)
{
  std::ostringstream state;
  return rl::run_test<suite<N>, scheduler<N>>(params, state, false);
}

// Does it hold in that many executions? If not, says why in `*why`, if there is a place for it.
inline bool holds(const scenario &s, unsigned long executions, std::string *why)
{
  if (s.size > sizeof(suite<2>::body) || s.threads < 2 || s.threads > 4)
    abort(); // more than the engine has
  if (data_first.empty()) {
    data_first.assign(__start_model_data, __stop_model_data);
    bss_first.assign(__start_model_bss, __stop_model_bss);
  }
  running = &s;
  stands_still = false;
  model_spins = 1;
  rl::test_params params;
  std::ostream quiet(nullptr);
  params.output_stream = params.progress_stream = &quiet;
  params.iteration_count = executions;
  params.execution_depth_limit = 20000;
  if (with_history) {
    params.collect_history = true;
    params.output_stream = &std::cout;
  }
  rl::test_result_e result = s.threads == 2   ? explore<2>(params)
                             : s.threads == 3 ? explore<3>(params)
                                              : explore<4>(params);
  in_execution = false;
  if (result != rl::test_result_success && why)
    *why = std::string(rl::test_result_str(result)) + ", execution " +
           std::to_string(params.stop_iteration);
  return result == rl::test_result_success;
}

// Is it memory that threads share, and not a thread's stack?
inline bool is_shared(uintptr_t a)
{
  return (a >= (uintptr_t)seams_shared_begin && a < (uintptr_t)seams_shared_end) ||
         (a >= (uintptr_t)__start_model_data && a < (uintptr_t)__stop_model_data) ||
         (a >= (uintptr_t)__start_model_bss && a < (uintptr_t)__stop_model_bss);
}

// Two accesses that nothing orders are reported. where: in the library; else it is a scenario's.
inline void check_access(uintptr_t a, size_t size, bool writes, void *where)
{
  rl::thread_info_base &me = *rl::ctx().threadx_;
  for (uintptr_t at = a & ~(uintptr_t)3; at < a + size; at += 4) {
    rl::var_data *data = plain_at(size < 4 ? 2 * a + 1 : 2 * at);
    if (!(writes ? data->store(me) : data->load(me))) {
      static char text[64];
      snprintf(text, sizeof text, where ? "in the library, at %p" : "in the scenario", where);
      rl::ctx().fail_test(text, rl::test_result_data_race, $);
    }
  }
}

inline void access_plainly(void *address, size_t size, bool writes, void *where)
{
  if (in_execution && is_shared((uintptr_t)address))
    check_access((uintptr_t)address, size, writes, where);
}

void expect(bool condition, const char *what)
{
  if (!condition)
    rl::ctx().fail_test(what, rl::test_result_user_assert_failed, $);
}

void pass(int64_t ns)
{
  now += ns;
}

} // namespace engine

int get(const shared_int &data)
{
  engine::check_access((uintptr_t)&data.value, sizeof data.value, false, nullptr);
  RL_HIST_IMPL(rl::ctx(), $, rl::var_event<int>){$, (const rl::var<int> *)&data, data.value,
                                                 true} RL_HIST_END();
  return data.value;
}

void set(shared_int &data, int value)
{
  engine::check_access((uintptr_t)&data.value, sizeof data.value, true, nullptr);
  RL_HIST_IMPL(rl::ctx(), $, rl::var_event<int>){$, (const rl::var<int> *)&data, value,
                                                 false} RL_HIST_END();
  data.value = value;
}

// --- what shim.h and seams.c call ----------------------------------------------------------------

extern "C" {

uint64_t model_load(void *address, int size, site *s, const char *function)
{
  using namespace engine;
  uintptr_t a = (uintptr_t)address;
  if (!in_execution)
    return raw(a, size);
  if (!is_known(s))
    learn(s, function);
  keep_self keep;
  rl::memory_order mo = (rl::memory_order)s->order;
  if (cell *whole = half_of(a, size))
    return whole->wide->load(mo, AT(s, function)) >> 32;
  cell *c = find(a, size);
  if (c->size == 8 && size != 8)
    return (uint32_t)c->wide->load(mo, AT(s, function));
  if (c->size == 8)
    return c->wide->load(mo, AT(s, function));
  uint64_t low = c->narrow->load(mo, AT(s, function));
  return size == 8 ? low | (uint64_t)find(a + 4, 4)->narrow->load(mo, AT(s, function)) << 32 : low;
}

void model_store(void *address, int size, uint64_t value, site *s, const char *function)
{
  using namespace engine;
  uintptr_t a = (uintptr_t)address;
  if (!in_execution) {
    memcpy(address, &value, size);
    return;
  }
  if (!is_known(s))
    learn(s, function);
  if (s->is_dropped)
    return;
  keep_self keep;
  rl::memory_order mo = (rl::memory_order)s->order;
  if (cell *whole = half_of(a, size)) {
    whole->wide->fetch_and(0xffffffffu, mo, AT(s, function));
    whole->wide->fetch_or(value << 32, mo, AT(s, function));
    return;
  }
  // A new object's slot is made zero in words, whatever its fields will be.
  bool clears = size == 8 && !strcmp(function, "handle_reserve");
  if (clears) {
    memcpy(address, &value, size);
    cell *low = *place(a), *high = *place(a + 4);
    if (!low)
      access_plainly(address, 4, true, __builtin_return_address(0));
    if (!high && (!low || low->size != 8))
      access_plainly((char *)address + 4, 4, true, __builtin_return_address(0));
    if (low && low->size != 8)
      low->narrow->store(0, mo, AT(s, function));
    if (high)
      high->narrow->store(0, mo, AT(s, function));
    if (!low || low->size != 8)
      return;
  }
  cell *c = find(a, size);
  if (c->size == 8 && size != 8) {
    c->wide->fetch_and(~(uint64_t)0xffffffffu, mo, AT(s, function));
    c->wide->fetch_or(value, mo, AT(s, function));
  } else if (c->size == 8) {
    c->wide->store(value, mo, AT(s, function));
  } else {
    c->narrow->store((uint32_t)value, mo, AT(s, function));
    if (size == 8)
      find(a + 4, 4)->narrow->store((uint32_t)(value >> 32), mo, AT(s, function));
  }
}

uint64_t model_rmw(void *address, int size, uint64_t operand, site *s, const char *function)
{
  using namespace engine;
  uintptr_t a = (uintptr_t)address;
  if (!in_execution) {
    uint64_t old = raw(a, size), value = operand;
    switch (s->operation) {
    case SITE_ADD: value = old + operand; break;
    case SITE_SUB: value = old - operand; break;
    case SITE_OR: value = old | operand; break;
    case SITE_AND: value = old & operand; break;
    case SITE_XOR: value = old ^ operand; break;
    }
    memcpy(address, &value, size);
    return old;
  }
  if (!is_known(s))
    learn(s, function);
  keep_self keep;
  cell *c = find(a, size);
  if ((c->size == 8) != (size == 8))
    abort(); // no such thing in the library
  if (s->is_dropped)
    return c->size == 8 ? c->wide->value_ : c->narrow->value_;
  return c->size == 8 ? rmw<uint64_t>(c->wide, operand, s, AT(s, function))
                      : rmw<uint32_t>(c->narrow, (uint32_t)operand, s, AT(s, function));
}

bool model_cas(void *address, int size, void *expected, uint64_t desired, site *s,
               const char *function)
{
  using namespace engine;
  uintptr_t a = (uintptr_t)address;
  if (!in_execution) {
    bool same = !memcmp(address, expected, size);
    memcpy(same ? address : expected, same ? (void *)&desired : address, size);
    return same;
  }
  if (!is_known(s))
    learn(s, function);
  keep_self keep;
  cell *c = find(a, size);
  if ((c->size == 8) != (size == 8))
    abort();
  if (s->is_dropped)
    return true;
  return size == 8
           ? cas<uint64_t>(c->wide, (uint64_t *)expected, desired, s->order, AT(s, function))
           : cas<uint32_t>(c->narrow, (uint32_t *)expected, (uint32_t)desired, s->order,
                           AT(s, function));
}

void model_fence(site *s, const char *function)
{
  using namespace engine;
  if (!in_execution)
    return;
  if (!is_known(s))
    learn(s, function);
  keep_self keep;
  if (s->is_dropped)
    return;
  if (s->order == ORDER_SEQ_CST)
    rl::atomic_thread_fence(rl::mo_seq_cst, $);
  else
    rl::atomic_thread_fence(rl::mo_acq_rel, $);
}

void model_yield(void)
{
  engine::may_interrupt();
  engine::keep_self keep;
  if (engine::in_execution)
    rl::yield(1, $);
}

bool model_barrier(site *s, const char *function)
{
  engine::may_interrupt();
  engine::keep_self keep;
  if (engine::in_execution && !engine::is_known(s))
    engine::learn(s, function);
  if (engine::in_execution && !s->is_dropped) {
    rl::ctx().sched();
    engine::barrier_on_all();
  }
  return true;
}

// Now and then a moment is as long as it takes to starve, or to pause before the next request.
int64_t model_clock(void)
{
  unsigned moment = engine::in_execution ? rl::ctx().rand(8, rl::sched_type_user) : 2;
  engine::now += moment == 0 ? 2000000 : moment == 1 ? 200000 : 0;
  return engine::now;
}

int model_wait(void *word, uint32_t expected, int64_t deadline)
{
  using namespace engine;
  if (!in_execution)
    return MODEL_TIMEDOUT;
  may_interrupt();
  keep_self keep;
  cell *c = find((uintptr_t)word, 4);
  rl::context &context = rl::ctx();
  context.sched();
  // The comparison and the falling asleep are one step.
  uint64_t value = c->size == 8 ? c->wide->value_ : c->narrow->value_;
  if ((uint32_t)value != expected)
    return MODEL_WOKEN;
  bool far = deadline != INT64_MAX && deadline - now >= 50000000;
  bool timed = far ? far_deadlines_come : deadline != INT64_MAX;
  rl::unpark_reason why = c->size == 8 ? c->wide->wait(context, timed, false, $)
                                       : c->narrow->wait(context, timed, false, $);
  if (why != rl::unpark_reason_timeout)
    return MODEL_WOKEN;
  now = std::max(now, deadline);
  if (far)
    barrier_on_all(); // every store becomes visible in finite time
  return MODEL_TIMEDOUT;
}

int model_wake(void *word, int n)
{
  using namespace engine;
  if (!in_execution || n <= 0)
    return 0;
  keep_self keep;
  cell *c = *place((uintptr_t)word);
  if (!c)
    return 0;
  rl::context &context = rl::ctx();
  context.sched();
  return c->size == 8 ? c->wide->wake(context, n, $) : c->narrow->wake(context, n, $);
}

static rl::generic_mutex_data *guard_of(void *address)
{
  using namespace engine;
  for (int i = 0; i < guard_count; i++)
    if (guards[i].address == address)
      return guards[i].mutex;
  if (guard_count == GUARDS)
    abort();
  guards[guard_count] = {address, rl::ctx().mutex_ctor(false, false, false, false)};
  return guards[guard_count++].mutex;
}

void model_guard_lock(void *guard)
{
  engine::may_interrupt();
  engine::keep_self keep;
  if (engine::in_execution)
    guard_of(guard)->lock_exclusive(false, $);
}

void model_guard_unlock(void *guard)
{
  {
    engine::keep_self keep;
    if (engine::in_execution)
      guard_of(guard)->unlock_exclusive($);
  }
  engine::may_interrupt();
}

// What a compiler calls with -fsanitize=thread (gcc, clang).
#define PLAIN(size)                                                                                \
  void __tsan_read##size(void *a)                                                                  \
  {                                                                                                \
    engine::access_plainly(a, size, false, __builtin_return_address(0));                           \
  }                                                                                                \
  void __tsan_write##size(void *a)                                                                 \
  {                                                                                                \
    engine::access_plainly(a, size, true, __builtin_return_address(0));                            \
  }                                                                                                \
  void __tsan_unaligned_read##size(void *a)                                                        \
  {                                                                                                \
    engine::access_plainly(a, size, false, __builtin_return_address(0));                           \
  }                                                                                                \
  void __tsan_unaligned_write##size(void *a)                                                       \
  {                                                                                                \
    engine::access_plainly(a, size, true, __builtin_return_address(0));                            \
  }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)
void __tsan_read_range(void *a, long size)
{
  engine::access_plainly(a, size, false, __builtin_return_address(0));
}
void __tsan_write_range(void *a, long size)
{
  engine::access_plainly(a, size, true, __builtin_return_address(0));
}
void __tsan_init(void)
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit(void)
{
}
void __tsan_atomic_signal_fence(int)
{
}
}

#endif
