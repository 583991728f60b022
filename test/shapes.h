/* Situations that every kind with waits must survive, written once for all kinds. */
#ifndef SHAPES_H
#define SHAPES_H

#include "support.h"

struct shape {
  void *(*make)(void);                           /* an object on which a wait has to wait */
  int (*wait)(void *handle, int64_t timeout_ns); /* >= 0: let on */
  int (*let_on)(void *handle);                   /* all that wait; >= 0: done */
  int (*free)(void *handle);
  enum { TIMES_OUT, TIME_OUT_ENDS_ALL, HAS_NO_TIME } time; /* what a wait's time-out does */
};

static inline void let_on_and_end(const struct shape *s, void *handle, struct waiter *w, int n)
{
  must(s->let_on(handle) >= 0);
  for (int i = 0; i < n; i++)
    must(waiter_end(&w[i]) >= 0);
}

/* Nor do they end a wait before its deadline. */
static inline void signals_end_no_wait(const struct shape *s)
{
  void *handle = s->make();
  struct waiter w[2], timed;
  waiter_sleep(&w[0], s->wait, handle, -1);
  waiter_sleep(&w[1], s->wait, handle, 3600 * SECOND);
  pthread_t threads[3] = {w[0].thread, w[1].thread};
  int64_t begin = now();
  if (s->time == TIMES_OUT) {
    waiter_start(&timed, s->wait, handle, 30 * MS);
    threads[2] = timed.thread;
  }
  struct storm storm;
  storm_start(&storm, threads, s->time == TIMES_OUT ? 3 : 2);
  if (s->time == TIMES_OUT) {
    while (timed.result == PENDING)
      sched_yield();
    must(now() - begin >= 30 * MS);
  } else {
    nap(20 * MS);
  }
  storm_end(&storm);
  if (s->time == TIMES_OUT)
    expect(waiter_end(&timed), ILK_ETIMEDOUT);
  for (int i = 0; i < 2; i++)
    expect(w[i].result, PENDING);
  let_on_and_end(s, handle, w, 2);
  expect(s->free(handle), ILK_OK);
}

/* A thread that has timed out is no longer counted as a waiter. */
static inline void time_outs_leave_nobody(const struct shape *s)
{
  void *handle = s->make();
  struct waiter w[4];
  for (int i = 0; i < 4; i++)
    waiter_start(&w[i], s->wait, handle, (i + 1) * MS);
  for (int i = 0; i < 4; i++)
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  expect(s->free(handle), ILK_OK);
}

/* In the child no thread waits, and its own threads can. `body` is called there first. */
static struct {
  const struct shape *shape;
  void (*body)(void *handle);
} forked;

static inline void forked_child(void *handle)
{
  const struct shape *s = forked.shape;
  if (forked.body)
    forked.body(handle);
  if (!TSAN) { /* which knows no thread in such a child */
    struct waiter own;
    waiter_sleep(&own, s->wait, handle, -1);
    let_on_and_end(s, handle, &own, 1);
  }
  expect(s->free(handle), ILK_OK);
}

static inline void fork_with_waiters(const struct shape *s, void (*body)(void *handle))
{
  void *handle = s->make();
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], s->wait, handle, -1);
  forked.shape = s;
  forked.body = body;
  in_child(forked_child, handle);
  let_on_and_end(s, handle, w, 2);
  expect(s->free(handle), ILK_OK);
}

/* Freed by the first thread that gets through, while the others are on their way out, and the
   thread that woke them may not have returned. */
static struct {
  const struct shape *shape;
  void *handle;
  _Atomic int through, ready;
} passage;

static inline void *wait_and_free(void *unused)
{
  (void)unused;
  void *handle = passage.handle;
  passage.ready++;
  if (below(2))
    jitter();
  int result = passage.shape->wait(handle, -1);
  if (passage.through++ == 0)
    expect(passage.shape->free(handle), ILK_OK);
  must(result >= 0 || result == ILK_EHANDLE); /* too late to wait at all */
  return NULL;
}

static inline void freed_by_the_first_through(const struct shape *s)
{
  passage.shape = s;
  for (int64_t end = stress_end(300); now() < end;) {
    passage.handle = s->make();
    passage.through = passage.ready = 0;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
      threads[i] = start(wait_and_free, NULL);
    if (below(2))
      while (passage.ready < 4)
        sched_yield();
    jitter();
    if (below(2))
      nap(100 * US);
    must(s->let_on(passage.handle) >= 0);
    /* Whatever is made in its place, a wake that arrives late does not end its waits. */
    void *successors[2] = {ilk_semaphore_new(0, 0), s->time == HAS_NO_TIME ? NULL : s->make()};
    expect(ilk_semaphore_timedacquire(successors[0], 20 * US), ILK_ETIMEDOUT);
    if (successors[1])
      expect(s->wait(successors[1], 20 * US), ILK_ETIMEDOUT);
    for (int i = 0; i < 4; i++)
      join(threads[i]);
    expect(ilk_semaphore_free(successors[0]), ILK_OK);
    if (successors[1])
      expect(s->free(successors[1]), ILK_OK);
  }
}

/* An object is freed and made anew, again and again, while four threads call with whatever handle
   is current. */
static struct {
  void *_Atomic handle;
  void (*use)(void *handle);
  _Atomic bool over;
} hammered;

static inline void *hammer(void *unused)
{
  (void)unused;
  while (!hammered.over)
    hammered.use(hammered.handle);
  return NULL;
}

static inline void freed_while_used(void *(*make)(void), void (*use)(void *handle),
                                    int (*free)(void *handle))
{
  hammered.handle = make();
  hammered.use = use;
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(hammer, NULL);
  for (int64_t end = stress_end(250); now() < end;) {
    void *old = hammered.handle;
    jitter();
    int result = free(old);
    if (result == ILK_OK) {
      expect(free(old), ILK_EHANDLE);
      hammered.handle = make();
    } else {
      expect(result, ILK_EBUSY);
    }
  }
  hammered.over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  expect(free(hammered.handle), ILK_OK);
}

#endif
