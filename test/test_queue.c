/* queue.c. */
#include "stop.h"

static void *new_queue(int64_t capacity)
{
  void *q = ilk_queue_new(capacity);
  must(q != NULL);
  return q;
}

static void free_queue(void *q)
{
  expect(ilk_queue_free(q), ILK_OK);
}

static int64_t got(void *q)
{
  int64_t item = -99;
  expect(ilk_queue_tryget(q, &item), ILK_OK);
  return item;
}

static const int64_t capacities[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 4096};

/* Exactly as many items as fit, first in first out, over many laps. */
START_TEST(holds_its_capacity)
{
  int64_t n = capacities[_i], in = 0, out = 0, item;
  void *q = new_queue(n);
  expect(ilk_queue_size(q), 0);
  for (int lap = 0; lap < 5; lap++) {
    for (; in - out < n; in++) {
      expect(ilk_queue_size(q), in - out);
      expect(ilk_queue_put(q, in), ILK_OK);
    }
    expect(ilk_queue_tryput(q, -1), ILK_EBUSY);
    expect(ilk_queue_timedput(q, -1, 0), ILK_ETIMEDOUT);
    expect(ilk_queue_timedput(q, -1, 10 * US), ILK_ETIMEDOUT);
    expect(ilk_queue_size(q), n);
    for (int64_t left = lap % 2 ? 0 : n / 2; in - out > left; out++)
      expect(got(q), out);
  }
  for (; out < in; out++) {
    expect(ilk_queue_timedget(q, &item, -1), ILK_OK);
    expect(item, out);
  }
  item = 77;
  expect(ilk_queue_tryget(q, &item), ILK_EBUSY);
  expect(ilk_queue_timedget(q, &item, 0), ILK_ETIMEDOUT);
  expect(ilk_queue_timedget(q, &item, 10 * US), ILK_ETIMEDOUT);
  expect(item, 77);
  expect(ilk_queue_size(q), 0);
  free_queue(q);
}
END_TEST

START_TEST(any_item)
{
  const int64_t items[] = {0, -1, INT64_MIN, INT64_MAX, ILK_NO_VALUE, 1};
  void *q = new_queue(LENGTH(items));
  for (int i = 0; i < LENGTH(items); i++)
    expect(ilk_queue_tryput(q, items[i]), ILK_OK);
  for (int i = 0; i < LENGTH(items); i++)
    expect(got(q), items[i]);
  free_queue(q);
}
END_TEST

START_TEST(bad_arguments)
{
  expect_null(ilk_queue_new(0), ILK_EINVAL);
  expect_null(ilk_queue_new(-1), ILK_EINVAL);
  expect_null(ilk_queue_new(INT64_MIN), ILK_EINVAL);
  expect_null(ilk_queue_new(INT64_MAX), ILK_ENOMEM);
  expect_null(ilk_queue_new(INT64_MAX / 16), ILK_ENOMEM);
  void *q = new_queue(2);
  int64_t room[2] = {0};
  expect(ilk_queue_put(q, 5), ILK_OK);
  for (int offset = 0; offset < 8; offset++) {
    void *item = offset ? (char *)room + offset : NULL;
    expect(ilk_queue_get(q, item), ILK_EINVAL);
    expect(ilk_queue_tryget(q, item), ILK_EINVAL);
    expect(ilk_queue_timedget(q, item, 5), ILK_EINVAL);
  }
  expect(ilk_last_error(), ILK_EINVAL);
  expect(got(q), 5);
  free_queue(q);
}
END_TEST

START_TEST(no_such_handle)
{
  void *queue = new_queue(1), *counter = ilk_counter_new(0);
  void *bad[] = {NULL, queue, counter, (void *)1, (void *)UINTPTR_MAX, &queue};
  int64_t item;
  free_queue(queue);
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_queue_put(bad[i], 1), ILK_EHANDLE);
    expect(ilk_queue_tryput(bad[i], 1), ILK_EHANDLE);
    expect(ilk_queue_timedput(bad[i], 1, 5), ILK_EHANDLE);
    expect(ilk_queue_get(bad[i], &item), ILK_EHANDLE);
    expect(ilk_queue_tryget(bad[i], &item), ILK_EHANDLE);
    expect(ilk_queue_timedget(bad[i], &item, 5), ILK_EHANDLE);
    expect(ilk_queue_close(bad[i]), ILK_EHANDLE);
    expect_no_value(ilk_queue_size(bad[i]), ILK_EHANDLE);
    expect(ilk_queue_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_counter_free(counter), ILK_OK);
}
END_TEST

START_TEST(time_and_overflow)
{
  void *q = new_queue(1);
  int64_t before = now(), item;
  expect(ilk_queue_timedget(q, &item, 20 * MS), ILK_ETIMEDOUT);
  must(now() - before >= 20 * MS);
  expect(ilk_queue_timedput(q, 1, INT64_MAX), ILK_OK);
  before = now();
  expect(ilk_queue_timedput(q, 1, 20 * MS), ILK_ETIMEDOUT);
  must(now() - before >= 20 * MS);
  expect(ilk_queue_timedget(q, &item, INT64_MAX), ILK_OK);
  free_queue(q);
}
END_TEST

/* --- waiting, and close ----------------------------------------------------------------- */

START_TEST(is_closed)
{
  void *q = new_queue(1);
  expect(ilk_queue_is_closed(q), 0);
  expect(ilk_queue_put(q, 7), ILK_OK);
  expect(ilk_queue_close(q), ILK_OK);
  expect(ilk_queue_is_closed(q), 1);
  expect(got(q), 7);
  expect(ilk_queue_is_closed(q), 1);
  free_queue(q);
  expect(ilk_queue_is_closed(q), ILK_EHANDLE);
}
END_TEST

static int call_put_5(void *q, int64_t timeout_ns)
{
  return timeout_ns == -1 ? ilk_queue_put(q, 5) : ilk_queue_timedput(q, 5, timeout_ns);
}

static int call_get(void *q, int64_t timeout_ns)
{
  int64_t item = 0;
  int result =
    timeout_ns == -1 ? ilk_queue_get(q, &item) : ilk_queue_timedget(q, &item, timeout_ns);
  return result == ILK_OK ? (int)item : result;
}

START_TEST(put_wakes_get_and_get_wakes_put)
{
  void *q = new_queue(1);
  struct waiter w;
  for (int i = 0; i < 3; i++) {
    waiter_sleep(&w, call_get, q, i ? -1 : INT64_MAX);
    expect(ilk_queue_free(q), ILK_EBUSY);
    expect(ilk_queue_tryput(q, 7 + i), ILK_OK);
    expect(waiter_end(&w), 7 + i);
    expect(ilk_queue_tryput(q, 6), ILK_OK);
    waiter_sleep(&w, call_put_5, q, i ? -1 : INT64_MAX);
    expect(ilk_queue_free(q), ILK_EBUSY);
    expect(got(q), 6);
    expect(waiter_end(&w), ILK_OK);
    expect(got(q), 5);
  }
  free_queue(q);
}
END_TEST

static _Atomic int timeouts;

static int get_twice_after_a_timeout(void *q, int64_t timeout_ns)
{
  for (int i = 0; i < 2; i++) {
    expect(call_get(q, MS), ILK_ETIMEDOUT);
    timeouts++;
    expect(call_get(q, timeout_ns), 5);
  }
  return ILK_OK;
}

static void until_repeated(struct waiter *w, int wanted)
{
  while (timeouts < wanted)
    nap(50 * US);
  waiter_until_asleep(w);
}

/* A get that repeats one that timed out is woken before the others, but not twice in a row. Several
   times, because the woken get may end before the put that has woken it, or after. */
START_TEST(repeated_gets_locked_out_the_others)
{
  void *q = new_queue(2);
  struct waiter plain, repeated;
  waiter_sleep(&plain, call_get, q, -1);
  waiter_start(&repeated, get_twice_after_a_timeout, q, 3600 * SECOND);
  until_repeated(&repeated, 1);
  expect(ilk_queue_put(q, 5), ILK_OK);
  until_repeated(&repeated, 2);
  expect(plain.result, PENDING);
  expect(ilk_queue_put(q, 5), ILK_OK);
  expect(waiter_end(&plain), 5);
  expect(repeated.result, PENDING);
  expect(ilk_queue_put(q, 5), ILK_OK);
  expect(waiter_end(&repeated), ILK_OK);
  free_queue(q);
}
END_TEST

/* Each put lets exactly one get succeed. */
START_TEST(each_item_wakes_one)
{
  void *q = new_queue(8);
  struct waiter w[4];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_sleep(&w[i], call_get, q, -1);
  for (int n = 1; n <= LENGTH(w); n++) {
    expect(ilk_queue_put(q, 100), ILK_OK);
    int through = 0;
    for (int64_t end = now() + PATIENCE; now() < end && through < n; sched_yield()) {
      through = 0;
      for (int i = 0; i < LENGTH(w); i++)
        through += w[i].result != PENDING;
    }
    expect(through, n);
  }
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), 100);
  free_queue(q);
}
END_TEST

START_TEST(close_wakes_all)
{
  void *empty = new_queue(3), *full = new_queue(2);
  expect(ilk_queue_put(full, 1), ILK_OK);
  expect(ilk_queue_put(full, 2), ILK_OK);
  struct waiter getters[3], putters[3];
  for (int i = 0; i < 3; i++) {
    waiter_sleep(&getters[i], call_get, empty, i ? -1 : 100 * SECOND);
    waiter_sleep(&putters[i], call_put_5, full, i ? -1 : 100 * SECOND);
  }
  expect(ilk_queue_close(empty), ILK_OK);
  expect(ilk_queue_close(full), ILK_OK);
  for (int i = 0; i < 3; i++) {
    expect(waiter_end(&getters[i]), ILK_ECLOSED);
    expect(waiter_end(&putters[i]), ILK_ECLOSED);
  }
  expect(ilk_last_error(), ILK_OK);
  int64_t item;
  for (int i = 0; i < 2; i++) {
    expect(ilk_queue_close(full), ILK_OK); /* twice is no error */
    expect(ilk_queue_put(full, 9), ILK_ECLOSED);
    expect(ilk_queue_tryput(full, 9), ILK_ECLOSED);
    expect(ilk_queue_timedput(full, 9, 5), ILK_ECLOSED);
    expect(ilk_queue_size(full), 2 - i);
    expect(got(full), 1 + i);
  }
  expect(ilk_queue_get(full, &item), ILK_ECLOSED);
  expect(ilk_queue_tryget(full, &item), ILK_ECLOSED);
  expect(ilk_queue_timedget(full, &item, 5), ILK_ECLOSED);
  expect(ilk_queue_size(full), 0);
  free_queue(empty);
  free_queue(full);
}
END_TEST

START_TEST(stale_waiter_count_after_timeout_musl_159d1f6c)
{
  void *q = new_queue(1);
  struct waiter w[4];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_start(&w[i], call_get, q, (i + 1) * MS);
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  expect(ilk_queue_put(q, 1), ILK_OK);
  for (int i = 0; i < LENGTH(w); i++)
    waiter_start(&w[i], call_put_5, q, (i + 1) * MS);
  for (int i = 0; i < LENGTH(w); i++)
    expect(waiter_end(&w[i]), ILK_ETIMEDOUT);
  free_queue(q); /* with an item inside */
}
END_TEST

START_TEST(cancelled_waits)
{
  void *q = new_queue(1);
  struct waiter w;
  waiter_sleep(&w, call_get, q, -1);
  expect(ilk_cancel(1), ILK_OK);
  expect(waiter_end(&w), ILK_ECANCELED);
  expect(call_get(q, -1), ILK_ECANCELED);
  expect(ilk_queue_put(q, 3), ILK_OK); /* no wait */
  expect(ilk_queue_put(q, 3), ILK_ECANCELED);
  expect(call_get(q, -1), 3);
  expect(ilk_cancel(0), ILK_OK);
  free_queue(q);
}
END_TEST

START_TEST(storm_of_signals_cpython_148820)
{
  void *empty = new_queue(1), *full = new_queue(1);
  expect(ilk_queue_put(full, 1), ILK_OK);
  struct waiter w[3];
  waiter_sleep(&w[0], call_get, empty, -1);
  waiter_sleep(&w[1], call_put_5, full, -1);
  waiter_sleep(&w[2], call_get, empty, 40 * MS);
  pthread_t targets[] = {w[0].thread, w[1].thread, w[2].thread};
  struct storm storm;
  storm_start(&storm, targets, 3);
  nap(60 * MS);
  storm_end(&storm);
  expect(w[0].result, PENDING);
  expect(w[1].result, PENDING);
  expect(waiter_end(&w[2]), ILK_ETIMEDOUT);
  expect(got(full), 1);
  expect(ilk_queue_put(empty, 8), ILK_OK);
  expect(waiter_end(&w[0]), 8);
  expect(waiter_end(&w[1]), ILK_OK);
  free_queue(empty);
  free_queue(full);
}
END_TEST

/* --- all at once ----------------------------------------------------------------------------- */

enum { PRODUCERS = 8, CONSUMERS = 8, MOST = 20000 };

static struct {
  void *queue;
  int items; /* of each producer, at the most */
  int64_t end;
  bool shaken;
  _Atomic int producers, consumers;
  _Atomic int64_t put, taken;
  char seen[PRODUCERS][MOST];       /* plain: each item is one consumer's */
  int64_t letters[PRODUCERS][MOST]; /* plain memory that the queue orders */
} mill;

static int put_somehow(void *q, int64_t item)
{
  int result;
  switch (below(3)) {
  case 0: return ilk_queue_put(q, item);
  case 1:
    while ((result = ilk_queue_tryput(q, item)) == ILK_EBUSY)
      sched_yield();
    return result;
  default:
    while ((result = ilk_queue_timedput(q, item, below(100) * US)) == ILK_ETIMEDOUT)
      ;
    return result;
  }
}

static int get_somehow(void *q, int64_t *item)
{
  int result;
  switch (below(3)) {
  case 0: return ilk_queue_get(q, item);
  case 1:
    while ((result = ilk_queue_tryget(q, item)) == ILK_EBUSY)
      sched_yield();
    return result;
  default:
    while ((result = ilk_queue_timedget(q, item, below(100) * US)) == ILK_ETIMEDOUT)
      ;
    return result;
  }
}

static void *produce(void *unused)
{
  (void)unused;
  int64_t self = mill.producers++, i = 0;
  for (; i < mill.items && now() < mill.end; i++) {
    mill.letters[self][i] = self ^ i ^ 12345;
    expect(mill.shaken ? put_somehow(mill.queue, self << 32 | i)
                       : ilk_queue_put(mill.queue, self << 32 | i),
           ILK_OK);
    if (mill.shaken)
      jitter();
  }
  mill.put += i;
  return NULL;
}

static void *consume(void *unused)
{
  (void)unused;
  int64_t last[PRODUCERS], item, n = 0;
  memset(last, -1, sizeof last);
  int result;
  while ((result = mill.shaken ? get_somehow(mill.queue, &item)
                               : ilk_queue_get(mill.queue, &item)) == ILK_OK) {
    int64_t producer = item >> 32, i = (int32_t)item;
    must(0 <= producer && producer < PRODUCERS && 0 <= i && i < mill.items);
    must(last[producer] < i);      /* in each producer's order */
    must(!mill.seen[producer][i]); /* once */
    must(mill.letters[producer][i] == (producer ^ i ^ 12345));
    mill.seen[producer][i] = 1;
    last[producer] = i;
    n++;
    if (mill.shaken)
      jitter();
  }
  expect(result, ILK_ECLOSED);
  mill.taken += n;
  return NULL;
}

static void run_mill(int64_t capacity, bool shaken)
{
  memset(&mill, 0, sizeof mill);
  mill.queue = new_queue(capacity);
  mill.items = MOST;
  mill.end = stress_end(200);
  mill.shaken = shaken;
  pthread_t producers[PRODUCERS], consumers[CONSUMERS];
  for (int i = 0; i < CONSUMERS; i++)
    consumers[i] = start(consume, NULL);
  for (int i = 0; i < PRODUCERS; i++)
    producers[i] = start(produce, NULL);
  for (int i = 0; i < PRODUCERS; i++)
    join(producers[i]);
  expect(ilk_queue_close(mill.queue), ILK_OK);
  for (int i = 0; i < CONSUMERS; i++)
    join(consumers[i]);
  expect(mill.taken, mill.put);
  free_queue(mill.queue);
}

static const int64_t mill_capacities[] = {1, 2, 3, 64};

START_TEST(nothing_lost_or_doubled)
{
  run_mill(mill_capacities[_i], false);
  run_mill(mill_capacities[_i], true);
}
END_TEST

/* --- a put that is between two steps -------------------------------------------------------- */

static void *take_and_put_back(void *unused)
{
  (void)unused;
  int64_t item;
  for (int i = 0; i < mill.items; i++)
    if (ilk_queue_tryget(mill.queue, &item) == ILK_OK)
      /* There is room: what we took, or another. */
      expect(ilk_queue_tryput(mill.queue, item), ILK_OK);
  return NULL;
}

static void *put_and_take(void *unused)
{
  (void)unused;
  int64_t item;
  for (int i = 0; i < mill.items; i++) {
    expect(ilk_queue_tryput(mill.queue, i), ILK_OK);
    /* Ours, or another's whose owner takes ours. */
    expect(ilk_queue_get(mill.queue, &item), ILK_OK);
  }
  return NULL;
}

static void *stop_queue;

static void *put_and_get_until_over(void *unused)
{
  (void)unused;
  int64_t item;
  while (!stop_over) {
    ilk_queue_tryput(stop_queue, 1);
    ilk_queue_tryget(stop_queue, &item);
    stop_laps++;
  }
  return NULL;
}

/* Another thread is stopped, now and then in the middle of a put. A try returns all the same, a
   wait ends at its deadline, and a put finds room if there is any. */
START_TEST(a_try_waited_for_a_thread_that_did_not_run)
{
  stop_queue = new_queue(2);
  pthread_t thread = stop_start(put_and_get_until_over, NULL);
  for (int i = 0; i < (JITTERED ? 200 : 500); i++) {
    int64_t item;
    stop_thread(thread);
    ilk_queue_tryget(stop_queue, &item);
    int64_t size = ilk_queue_size(stop_queue);
    expect(ilk_queue_tryput(stop_queue, 2), size < 2 ? ILK_OK : ILK_EBUSY);
    ilk_queue_timedget(stop_queue, &item, US);
    stop_let_go();
  }
  stop_end(thread);
  while (ilk_queue_size(stop_queue)) /* the puts have returned: tries are exact */
    got(stop_queue);
  free_queue(stop_queue);
}
END_TEST

START_TEST(full_and_empty_are_exact)
{
  mill.items = TSAN ? 3000 : JITTERED ? 4000 : 20000;
  mill.queue = new_queue(4);
  in_threads(4, put_and_take, NULL);
  expect(ilk_queue_size(mill.queue), 0);
  for (int i = 0; i < 4; i++)
    expect(ilk_queue_tryput(mill.queue, i), ILK_OK);
  in_threads(4, take_and_put_back, NULL);
  expect(ilk_queue_size(mill.queue), 4);
  free_queue(mill.queue);
}
END_TEST

static struct {
  void *_Atomic queue;
  pthread_barrier_t begin, end;
  _Atomic bool over;
  _Atomic int put, got;
} shop;

static void *trade(void *puts_it)
{
  int64_t item;
  while (pthread_barrier_wait(&shop.begin), !shop.over) {
    int result;
    if (puts_it)
      while ((result = ilk_queue_put(shop.queue, 1)) == ILK_OK)
        shop.put++;
    else
      while ((result = ilk_queue_get(shop.queue, &item)) == ILK_OK)
        shop.got++;
    expect(result, ILK_ECLOSED);
    pthread_barrier_wait(&shop.end);
  }
  return NULL;
}

/* An item put before the close is returned by a get before any get returns that it is closed. */
START_TEST(close_while_they_put)
{
  pthread_t threads[4];
  pthread_barrier_init(&shop.begin, NULL, 5);
  pthread_barrier_init(&shop.end, NULL, 5);
  for (int i = 0; i < 4; i++)
    threads[i] = start(trade, i < 2 ? &shop : NULL);
  for (int64_t end = stress_end(250); now() < end;) {
    shop.queue = new_queue(1 + below(4));
    pthread_barrier_wait(&shop.begin);
    spin(below(5000));
    expect(ilk_queue_close(shop.queue), ILK_OK);
    pthread_barrier_wait(&shop.end);
    expect(ilk_queue_size(shop.queue), 0);
    expect(shop.got, shop.put);
    free_queue(shop.queue);
  }
  shop.over = true;
  pthread_barrier_wait(&shop.begin);
  for (int i = 0; i < 4; i++)
    join(threads[i]);
}
END_TEST

/* --- no thread sleeps while there is an item or space
   ---------------------------------------------- */

static struct {
  void *there, *back;
  _Atomic int64_t total;
} ring;

static void *pass_on(void *unused)
{
  (void)unused;
  int64_t item, sum = 0;
  while (ilk_queue_get(ring.there, &item) == ILK_OK) {
    sum += item;
    if (ilk_queue_put(ring.back, item) != ILK_OK)
      break;
  }
  ring.total += sum;
  return NULL;
}

/* Few items go round between many threads: one wake lost, and all stop. */
START_TEST(wake_swallowed_by_a_timeout_llvm_201937)
{
  ring.there = new_queue(2);
  ring.back = new_queue(2);
  pthread_t threads[4];
  struct waiter w[2] = {0};
  for (int i = 0; i < 4; i++)
    threads[i] = start(pass_on, NULL);
  int64_t sum = 0, item;
  int64_t end = stress_end(400);
  for (int i = 1; now() < end; i++) {
    if (i % 8 == 0) /* one more thread, which times out soon, or takes an item */
      for (int k = 0; k < 2; k++)
        waiter_start(&w[k], call_get, ring.there, below(60) * US);
    expect(ilk_queue_put(ring.there, 1), ILK_OK);
    expect(ilk_queue_put(ring.there, 1), ILK_OK);
    int back = 2;
    if (i % 8 == 0)
      for (int k = 0; k < 2; k++) {
        int result = waiter_end(&w[k]);
        must(result == 1 || result == ILK_ETIMEDOUT);
        back -= result == 1;
      }
    sum += back;
    for (; back > 0; back--)
      expect(ilk_queue_timedget(ring.back, &item, PATIENCE), ILK_OK);
  }
  expect(ilk_queue_close(ring.there), ILK_OK);
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  expect(ring.total, sum);
  free_queue(ring.there);
  free_queue(ring.back);
}
END_TEST

/* --- freed while it is used
   -------------------------------------------------------------------- */

static void *_Atomic current;
static _Atomic bool over;
static _Atomic int64_t put_count, get_count;

static void *use_whatever(void *argument)
{
  bool puts_too = argument;
  int64_t item;
  while (!over) {
    void *q = current;
    int result =
      puts_too && below(2) ? ilk_queue_tryput(q, (intptr_t)q) : ilk_queue_tryget(q, &item);
    must(result == ILK_OK || result == ILK_EBUSY || result == ILK_EHANDLE || result == ILK_ECLOSED);
    if (below(64) == 0)
      ilk_queue_close(q);
    result = ilk_queue_timedget(q, &item, below(20) * US);
    if (result == ILK_OK)
      must((void *)(intptr_t)item != NULL);
    must(ilk_queue_size(q) <= 3);
  }
  return NULL;
}

START_TEST(free_while_it_is_hammered)
{
  pthread_t threads[4];
  current = new_queue(3);
  for (int i = 0; i < LENGTH(threads); i++)
    threads[i] = start(use_whatever, i ? &over : NULL);
  for (int64_t end = stress_end(250); now() < end;) {
    void *old = current;
    spin(below(2000));
    int result = ilk_queue_free(old);
    must(result == ILK_OK || result == ILK_EBUSY);
    if (result == ILK_OK)
      current = new_queue(1 + below(3));
    else
      sched_yield();
  }
  over = true;
  for (int i = 0; i < LENGTH(threads); i++)
    join(threads[i]);
  free_queue(current);
}
END_TEST

static void *put_to_each(void *unused)
{
  (void)unused;
  void *last = NULL;
  while (!over) {
    void *q = current;
    if (q == last)
      continue;
    last = q;
    expect(ilk_queue_put(q, 5), ILK_OK);
  }
  return NULL;
}

/* The thread that gets the item frees the queue at once. */
START_TEST(touch_after_release_glibc_12674)
{
  int64_t item;
  current = new_queue(1);
  pthread_t putter = start(put_to_each, NULL);
  for (int64_t end = stress_end(150); now() < end;) {
    expect(ilk_queue_get(current, &item), ILK_OK);
    expect(item, 5);
    free_queue(current);
    void *successors[2] = {new_queue(2), ilk_semaphore_new(3, 3)};
    spin(below(300));
    expect(ilk_queue_size(successors[0]), 0);
    expect(ilk_semaphore_value(successors[1]), 3);
    free_queue(successors[0]);
    expect(ilk_semaphore_free(successors[1]), ILK_OK);
    current = new_queue(1);
  }
  expect(ilk_queue_get(current, &item), ILK_OK);
  over = true;
  join(putter);
  free_queue(current);
}
END_TEST

/* --- fork
   ---------------------------------------------------------------------------------------- */

static void *churn(void *argument)
{
  int64_t item, n = 0;
  while (!over)
    if (argument)
      put_count += ilk_queue_timedput(current, ++n, 50 * US) == ILK_OK;
    else
      get_count += ilk_queue_timedget(current, &item, 50 * US) == ILK_OK;
  return NULL;
}

/* In the child, whatever the others were inside of: what is in is in order and can be had,
   and it holds its capacity. One producer, so its items show their order. */
static void use_in_the_child(void *capacity)
{
  void *q = current;
  int64_t item, last = 0, n = *(int64_t *)capacity;
  for (int64_t left = ilk_queue_size(q); left > 0; left--) {
    expect(ilk_queue_tryget(q, &item), ILK_OK);
    must(item > last);
    last = item;
  }
  expect(ilk_queue_tryget(q, &item), ILK_EBUSY);
  for (int lap = 0; lap < 3; lap++) {
    for (int64_t i = 0; i < n; i++)
      expect(ilk_queue_put(q, i), ILK_OK);
    expect(ilk_queue_tryput(q, 1), ILK_EBUSY);
    for (int64_t i = 0; i < n; i++) {
      expect(ilk_queue_get(q, &item), ILK_OK);
      expect(item, i);
    }
  }
  expect(ilk_queue_close(q), ILK_OK);
  expect(ilk_queue_tryget(q, &item), ILK_ECLOSED);
  free_queue(q);
}

START_TEST(fork_while_another_thread_is_inside_cpython_112275)
{
  int64_t capacity = capacities[_i];
  current = new_queue(capacity);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = start(churn, i == 0 ? &over : NULL);
  for (int i = 0; i < (TSAN ? 3 : 40); i++)
    in_child(use_in_the_child, &capacity);
  over = true;
  for (int i = 0; i < 4; i++)
    join(threads[i]);
  expect(ilk_queue_size(current), put_count - get_count);
  free_queue(current);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("queue");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_loop_test(calls, holds_its_capacity, 0, LENGTH(capacities));
  tcase_add_test(calls, any_item);
  tcase_add_test(calls, bad_arguments);
  tcase_add_test(calls, no_such_handle);
  tcase_add_test(calls, time_and_overflow);
  tcase_add_test(calls, is_closed);

  TCase *waiting = test_case(s, "wait", 20);
  tcase_add_test(waiting, put_wakes_get_and_get_wakes_put);
  tcase_add_loop_test(calls, repeated_gets_locked_out_the_others, 0, 20);
  tcase_add_test(waiting, each_item_wakes_one);
  tcase_add_test(waiting, close_wakes_all);
  tcase_add_test(waiting, stale_waiter_count_after_timeout_musl_159d1f6c);
  tcase_add_test(waiting, cancelled_waits);
  tcase_add_test(waiting, storm_of_signals_cpython_148820);

  TCase *load = test_case(s, "load", 40);
  tcase_add_loop_test(load, nothing_lost_or_doubled, 0, LENGTH(mill_capacities));
  tcase_add_test(load, full_and_empty_are_exact);
  tcase_add_test(load, a_try_waited_for_a_thread_that_did_not_run);
  tcase_add_test(load, close_while_they_put);
  tcase_add_test(load, wake_swallowed_by_a_timeout_llvm_201937);
  tcase_add_test(load, free_while_it_is_hammered);
  tcase_add_test(load, touch_after_release_glibc_12674);
  tcase_add_loop_test(load, fork_while_another_thread_is_inside_cpython_112275, 0, 4);
  return run_suite(s);
}
