/* queue_ring.c and queue.c: puts that other threads have begun, and that stand still between their two
   steps. */
#include "queue_ring.h"

#include "claims.h"
#include "handle.h"
#include "support.h"

/* Claims a position, as a put does, and stops there. */
static void claim(struct ring *r)
{
  store_relaxed(&r->slots->tail, ring_next(r, load_relaxed(&r->slots->tail)));
}

/* Puts the numbers of the string, one by one; a '.' is a put that is not completed. */
static void put_all(struct ring *r, const char *items)
{
  for (; *items; items++)
    if (*items == '.')
      claim(r);
    else
      expect(ring_put(r, *items), ILK_OK);
}

static void get_all(struct ring *r, const char *items)
{
  int64_t item;
  for (; *items; items++) {
    expect(ring_get(r, &item), ILK_OK);
    expect(item, *items);
  }
}

static const struct {
  const char *before, *items, *after; /* put and got before; then put; and what is left */
} holes[] = {
  {"", "123", "123"}, {"", ".12", "12"},   {"", "1.2", "12"},      {"", "12.", "12"},
  {"", "...", ""},    {"", ".1.2.", "12"}, {"12", "1..23", "123"}, {"1234", ".12.3", "123"},
};

START_TEST(puts_that_were_not_completed)
{
  struct ring r;
  must(ring_new(&r, 5));
  for (int lap = 0; lap < 3; lap++) {
    put_all(&r, holes[_i].before);
    get_all(&r, holes[_i].before);
    put_all(&r, holes[_i].items);
    if (lap == 1)
      ring_close(&r);
    ring_after_fork(&r);
    expect(ring_is_closed(&r), lap == 1);
    and_seq_cst(&r.slots->tail, ~RING_CLOSED);
    expect(ring_size(&r), (int64_t)strlen(holes[_i].after));
    get_all(&r, holes[_i].after);
    int64_t item;
    expect(ring_get(&r, &item), ILK_EBUSY);
    put_all(&r, "98765");
    expect(ring_put(&r, 4), ILK_EBUSY);
    get_all(&r, "98765");
  }
  ring_free(&r);
}
END_TEST

/* A queue's object, as in queue.c. */
struct queue {
  struct object object;
  struct claims waiting[2]; /* of puts, of gets */
  struct ring ring;
};

static int call_get(void *q, int64_t timeout_ns)
{
  int64_t item = 0;
  int result = ilk_queue_timedget(q, &item, timeout_ns);
  return result == ILK_OK ? (int)item : result;
}

/* Three gets sleep, the first with a time-out. The put of the first item stands still, and the
   second item's put wakes the get with the time-out, which ends without an item. The other two must
   get both. */
START_TEST(a_get_that_abandoned_its_polling_took_the_wake_of_another)
{
  void *q = ilk_queue_new(8);
  must(q != NULL);
  struct queue *queue = (struct queue *)handle_object(q);
  must(queue->ring.capacity == 8);
  struct waiter w[3];
  for (int i = 0; i < LENGTH(w); i++)
    waiter_sleep(&w[i], call_get, q, i ? -1 : 300 * MS);
  claim(&queue->ring);
  expect(ilk_queue_put(q, 200), ILK_OK);
  expect(waiter_end(&w[0]), ILK_ETIMEDOUT);
  /* The first put goes on. */
  store_relaxed(&queue->ring.slots->slot[0].item, 100);
  store_release(&queue->ring.slots->slot[0].sequence, 1);
  claims_wake(&queue->waiting[1]);
  expect(waiter_end(&w[1]) + waiter_end(&w[2]), 300);
  expect(ilk_queue_free(q), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("queue_ring");
  TCase *forks = test_case(suite, "forks", 10);
  tcase_add_loop_test(forks, puts_that_were_not_completed, 0, LENGTH(holes));
  TCase *waits = test_case(suite, "waits", 30);
  tcase_add_test(waits, a_get_that_abandoned_its_polling_took_the_wake_of_another);
  return run_suite(suite);
}
