/* queue_ring.c: what a fork's child makes of puts that other threads had begun. */
#include "queue_ring.h"

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

int main(void)
{
  Suite *suite = suite_create("queue_ring");
  TCase *forks = test_case(suite, "forks", 10);
  tcase_add_loop_test(forks, puts_that_were_not_completed, 0, LENGTH(holes));
  return run_suite(suite);
}
