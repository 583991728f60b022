/* The search for deadlock cycles. A blocked thread has a link to each thread that must act before
   it can continue: the thread that holds its mutex, word lock, once or array lock; the thread that
   it joins; for a readers-writer lock the thread that holds it for writing, for a writer also all
   readers, and for a reader the writers before it in the queue. All of them must act, so a cycle of
   links between threads that are blocked without a deadline never ends by itself.

   Every cycle is found. The last of its threads to block finds the others blocked (episodes are
   seq_cst), and the locks that a blocked thread holds do not change. A thread that has been blocked
   for a while searches along all links, breadth first, and so finds a cycle through itself if there
   is one. But the links that it finds may be of different moments.

   No other cycle is reported. Once the search has found a path, it checks each link of the path
   again, and then that all threads are still in the sleeps in which it reached them
   (`search_episode`; each sleep in block() is an episode). A blocked thread neither acquires nor
   releases; at most, a release hands it the mutex that it waits for, and its link then leads to
   itself, which is no link. So each link that was loaded while both its threads were blocked
   existed for all that time, and all links existed at once. If the check fails, the search is
   repeated, because the path may have hidden a cycle. Only ilk_mutex_reset() breaks this rule: it
   may take a mutex from a blocked thread.

   One thread of a cycle reports it. One search runs at a time, and for the next search a thread
   that is about to report no longer counts as blocked.

   A search takes one step for each thread that it reaches. For each readers-writer lock on which it
   reaches a writer, it also goes through the live threads once, and for a queued reader through its
   queue up to the last writer. It runs in the waiting thread, once in each sleep without a
   deadline, and again if it was inconclusive, or if the thread that must act may have exited
   unnoticed.

   Checked by test/models/cycle.pml. */
#include "cycle.h"

#include "blocked.h"
#include "guard.h"
#include "handle.h"
#include "wait.h"

static atomic_u32 searching; /* not 0: a thread searches */
/* The number of the search that runs. Used by that search alone, like `visited` and the members
   `search...` of the records. */
static uint64_t searches;

/* The locks whose readers this search has visited, indexed by the slot modulo VISITED. The readers
   of a lock that is evicted are visited again. */
#define VISITED 256
static struct visited {
  uint64_t search;
  void *handle;
  bool readers;
} visited[VISITED];

struct search {
  struct cycle_visitor visitor;
  struct thread *me;
  struct thread *from; /* whose links are visited */
  struct thread *last; /* of the list of threads that were reached */
  struct thread *end;  /* of a path that leads back to `me`; NULL: none yet */
};

static bool *readers_visited(void *handle)
{
  struct visited *v = &visited[handle_index(handle) % VISITED];
  if (v->search != searches || v->handle != handle)
    *v = (struct visited){searches, handle, false};
  return &v->readers;
}

/* The episode of a thread that is blocked without a deadline and not about to report a cycle; else
   0. */
static uint32_t stuck_episode(struct thread *record)
{
  /* seq_cst: the last thread of a cycle to block finds the others blocked. Acquire: and what they
     hold. */
  uint32_t episode = load_seq_cst(&record->episode);
  bool stuck = episode & 1 && load_acquire(&record->blocked_deadline) == WAIT_FOREVER &&
               record->search_reported != episode;
  return stuck ? episode : 0;
}

static void visit_id(struct cycle_visitor *visitor, uint32_t id)
{
  struct thread *record = id ? thread_find(id) : NULL;
  if (record)
    visitor->visit(visitor, record);
}

/* The holder's id in a word lock. Acquire: for thread_find(). 0: not locked; or unreadable, because
   another thread's word may be unmapped at any moment. */
static uint32_t holder_in(atomic_u32 *word, bool is_mine)
{
  uint32_t value;
  if (is_mine)
    value = load_acquire(word);
  else if (!wait_read(word, &value))
    return 0;
  return value & ID_MAX;
}

/* The holder of the private word lock for which a thread waits; 0: it waits for something else. The
   waiter has published a holder (b->index), but other threads may have held the lock since. */
static uint32_t word_holder(struct thread *me, struct thread *waiter, const struct blocked *b)
{
  return b->flags & BLOCK_WORD && b->index ? holder_in(b->word, waiter == me) : 0;
}

/* Visits each thread that must act before `waiter` can continue. `once`: the readers of a lock only
   if this search has not visited them yet. */
static void visit_blockers(struct thread *me, struct thread *waiter, struct cycle_visitor *visitor,
                           bool once)
{
  static bool unvisited; /* one search runs at a time */
  struct blocked b;
  if (!block_load(waiter, &b))
    return;
  if (!b.handle) {
    visit_id(visitor, word_holder(me, waiter, &b));
    return;
  }
  const struct kind_operations *operations = kind_operations[handle_kind(b.handle)];
  struct object *object = operations && operations->holder ? block_pin(me, b.handle) : NULL;
  if (!object)
    return;
  unvisited = false;
  visitor->readers_visited = once ? readers_visited(b.handle) : &unvisited;
  if (operations->each_blocker)
    operations->each_blocker(object, waiter, b.index, visitor);
  else
    visit_id(visitor, operations->holder(object, b.index));
  handle_leave(me, PIN_INSPECT);
}

/* --- the search ------------------------------------------------------------------------- */

static void visit_new(struct cycle_visitor *visitor, struct thread *record)
{
  struct search *s = (struct search *)visitor;
  if (s->end)
    return;
  if (record == s->me) {
    s->end = s->from != s->me ? s->from : NULL;
    return;
  }
  uint32_t episode = record->search == searches ? 0 : stuck_episode(record);
  if (!episode)
    return;
  record->search = searches;
  record->search_episode = episode;
  record->search_from = s->from;
  record->search_next = NULL;
  s->last->search_next = record;
  s->last = record;
}

/* The last thread of a path from `me` back to `me`, linked by `search_from`; NULL: there is
   none. */
static struct thread *search(struct thread *me)
{
  searches++;
  struct search s = {.visitor = {.visit = visit_new}, .me = me, .last = me};
  me->search = searches;
  me->search_episode = load_relaxed(&me->episode);
  me->search_from = me->search_next = NULL;
  for (struct thread *r = me; r && !s.end; r = r->search_next) {
    s.from = r;
    visit_blockers(me, r, &s.visitor, true);
  }
  return s.end;
}

/* --- the check -------------------------------------------------------------------------- */

struct match {
  struct cycle_visitor visitor;
  struct thread *target;
  bool found;
};

static void visit_match(struct cycle_visitor *visitor, struct thread *record)
{
  struct match *m = (struct match *)visitor;
  m->found = m->found || record == m->target;
}

static bool is_linked(struct thread *me, struct thread *from, struct thread *to)
{
  struct match m = {.visitor = {.visit = visit_match}, .target = to};
  visit_blockers(me, from, &m.visitor, false);
  return m.found;
}

/* True if all links of the path exist, and after that all its threads are in the episodes in which
   the search reached them. */
static bool is_cycle(struct thread *me, struct thread *end)
{
  struct thread *to = me;
  for (struct thread *r = end; r; to = r, r = r->search_from)
    if (!is_linked(me, r, to))
      return false;
  /* Release: a thread whose episode is unfinished here changes nothing before our loads of the
     links, because the add that ends the episode comes after ours. A plain load would not order
     them. */
  for (struct thread *r = end; r; r = r->search_from)
    if (add_acq_rel(&r->episode, 0) != r->search_episode)
      return false;
  return true;
}

/* A thread of the cycle that can report it. There is one, because not all threads of a cycle can be
   at the end of a condition's wait. */
static struct thread *reporter_of(struct thread *end)
{
  for (struct thread *r = end; r; r = r->search_from)
    if (!(load_acquire(&r->blocked_flags) & BLOCK_ALWAYS))
      return r;
  return NULL;
}

static enum cycle find(struct thread *me, bool always, struct thread **other)
{
  struct thread *end = search(me);
  if (!end)
    return CYCLE_NONE;
  if (!is_cycle(me, end))
    return CYCLE_AGAIN;
  if (always)
    *other = reporter_of(end);
  else
    me->search_reported = me->search_episode;
  return CYCLE_FOUND;
}

enum cycle cycle_find(struct thread *me, bool always, struct thread **other)
{
  *other = NULL;
  /* Acquire and release: hand over what the searches share. */
  if (exchange_acquire(&searching, 1))
    return CYCLE_AGAIN;
  enum cycle result = find(me, always, other);
  store_release(&searching, 0);
  return result;
}

static void repair(void)
{
  store_relaxed(&searching, 0); /* another thread's search */
}

const struct fork_module cycle_fork = {NULL, 0, repair};
