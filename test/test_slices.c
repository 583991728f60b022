/* slices.c, and queue_records.c. */
#include "support.h"

#include <string.h>

static int64_t add(void *slices, int64_t delta)
{
  int64_t *mine = ilk_slices_get(slices);
  must(mine != NULL);
  *mine += delta;
  return 0;
}

static int call_add(void *slices, int64_t delta)
{
  return (int)add(slices, delta);
}

static int64_t total(void *slices, int *n)
{
  int64_t sum = 0;
  *n = 0;
  for (int64_t *slice = ilk_slices_next(slices, NULL); slice;
       slice = ilk_slices_next(slices, slice)) {
    must(((uintptr_t)slice & 63) == 0);
    sum += *slice;
    ++*n;
  }
  return sum;
}

START_TEST(sums_outlive_threads)
{
  int n;
  void *slices = ilk_slices_new(sizeof(int64_t), NULL);
  must(slices != NULL);
  must(total(slices, &n) == 0 && n == 0);
  add(slices, 1);
  for (int i = 0; i < 20; i++)
    expect(elsewhere(call_add, slices, 1), 0);
  must(total(slices, &n) == 21);
  must(n == 2); /* the threads ran one after another, and shared a slice */
  expect(ilk_slices_clear(slices), ILK_OK);
  must(total(slices, &n) == 0 && n == 2);
  expect(ilk_slices_free(slices), ILK_OK);
  expect(ilk_slices_free(slices), ILK_EHANDLE);
  expect_null(ilk_slices_get(slices), ILK_EHANDLE);
  expect_null(ilk_slices_next(slices, NULL), ILK_EHANDLE);
}
END_TEST

/* A thread's first slice of an object may need no new cells: the thread has those of other objects. */
START_TEST(a_first_slice_leaves_the_threads_tallies)
{
  void *tally = ilk_tally_new(), *slices = ilk_slices_new(sizeof(int64_t), NULL);
  must(tally && slices);
  expect(ilk_tally_add(tally, 5), ILK_OK);
  add(slices, 1);
  must(ilk_tally_sum(tally) == 5);
  expect(ilk_tally_add(tally, 1), ILK_OK);
  must(ilk_tally_sum(tally) == 6);
  expect(ilk_slices_free(slices), ILK_OK);
  expect(ilk_tally_free(tally), ILK_OK);
}
END_TEST

static int released;

static void release(void *companion)
{
  must(companion == &released);
  released++;
}

START_TEST(companions_keep_a_slice)
{
  expect_null(ilk_slices_new(0, NULL), ILK_EINVAL);
  int64_t initial[] = {7, 8};
  void *slices = ilk_slices_new(sizeof initial, initial);
  int64_t *mine = ilk_slices_get(slices);
  must(mine == ilk_slices_get(slices));
  must(memcmp(mine, initial, sizeof initial) == 0);
  must(((void **)mine)[-1] == NULL);
  expect(ilk_slices_attach(mine, &released, (void *)(uintptr_t)release), ILK_OK);
  must(((void **)mine)[-1] == &released);
  expect(ilk_slices_free(slices), ILK_OK);
  must(released == 1);
  mine[0] = 1; /* it is still there: a sanitizer would say */
  void *place = mine;
  expect(ilk_slices_drop(&place), ILK_OK);
}
END_TEST

/* The next slice was read from there. */
START_TEST(next_after_a_misaligned_slice)
{
  void *slices = ilk_slices_new(1, NULL);
  char *mine = ilk_slices_get(slices);
  must(mine != NULL);
  for (size_t i = 1; i < sizeof(void *); i++) {
    expect_null(ilk_slices_next(slices, mine + i), ILK_EINVAL);
    expect_null(ilk_slices_next(slices, (void *)i), ILK_EINVAL);
  }
  expect(ilk_slices_free(slices), ILK_OK);
}
END_TEST

START_TEST(records)
{
  struct record {
    char text[24];
  } slots[2], in = {"first"}, out;
  void *used = ilk_queue_new(2), *unused = ilk_queue_new(2);
  for (int64_t i = 0; i < 2; i++)
    expect(ilk_queue_put(unused, i), ILK_OK);
  for (int round = 0; round < 5; round++) {
    expect(ilk_queue_putrecord(used, unused, slots, sizeof in, &in, 0), ILK_OK);
    expect(ilk_queue_putrecord(used, unused, slots, sizeof in, &in, 0), ILK_OK);
    expect(ilk_queue_putrecord(used, unused, slots, sizeof in, &in, 0), ILK_ETIMEDOUT);
    for (int i = 0; i < 2; i++) {
      memset(&out, 0, sizeof out);
      expect(ilk_queue_getrecord(used, unused, slots, sizeof out, &out, -1), ILK_OK);
      must(strcmp(out.text, "first") == 0);
    }
    expect(ilk_queue_getrecord(used, unused, slots, sizeof out, &out, 0), ILK_ETIMEDOUT);
  }
  expect(ilk_queue_putrecord(used, unused, slots, sizeof in, &in, 0), ILK_OK);
  expect(ilk_queue_close(used), ILK_OK);
  expect(ilk_queue_putrecord(used, unused, slots, sizeof in, &in, 0), ILK_ECLOSED);
  expect(ilk_queue_close(unused), ILK_OK);
  expect(ilk_queue_getrecord(used, unused, slots, sizeof out, &out, 0), ILK_OK);
  expect(ilk_queue_getrecord(used, unused, slots, sizeof out, &out, 0), ILK_ECLOSED);
  expect(ilk_queue_free(used), ILK_OK);
  expect(ilk_queue_free(unused), ILK_OK);
}
END_TEST

/* After the close of `unused` a successful get recorded ILK_ECLOSED, of the slot's return to it. */
START_TEST(a_get_of_a_record_leaves_the_last_error)
{
  int64_t slots[1], item = 5;
  void *used = ilk_queue_new(1), *unused = ilk_queue_new(1);
  expect(ilk_queue_put(unused, 0), ILK_OK);
  expect(ilk_queue_putrecord(used, unused, slots, sizeof item, &item, 0), ILK_OK);
  expect(ilk_queue_close(used), ILK_OK);
  expect(ilk_queue_close(unused), ILK_OK);
  expect(ilk_sleep(-1), ILK_EINVAL);
  expect(ilk_queue_getrecord(used, unused, slots, sizeof item, &item, 0), ILK_OK);
  expect(ilk_last_error(), ILK_EINVAL);
  expect(ilk_queue_free(used), ILK_OK);
  expect(ilk_queue_free(unused), ILK_OK);
}
END_TEST

/* A put took a slot from `unused`, which was then lost, and a get returned its record. */
START_TEST(records_where_one_of_the_queues_is_none)
{
  int64_t slots[2], item = 5;
  void *used = ilk_queue_new(2), *unused = ilk_queue_new(2), *other = ilk_mutex_new(0);
  void *const bad[] = {NULL, other, slots};
  for (int64_t i = 0; i < 2; i++)
    expect(ilk_queue_put(unused, i), ILK_OK);
  for (size_t i = 0; i < LENGTH(bad); i++) {
    expect(ilk_queue_putrecord(bad[i], unused, slots, sizeof item, &item, -1), ILK_EHANDLE);
    expect(ilk_queue_size(unused), 2);
    expect(ilk_queue_getrecord(used, bad[i], slots, sizeof item, &item, -1), ILK_EHANDLE);
  }
  expect(ilk_queue_putrecord(used, unused, slots, sizeof item, &item, -1), ILK_OK);
  for (size_t i = 0; i < LENGTH(bad); i++) {
    expect(ilk_queue_getrecord(used, bad[i], slots, sizeof item, &item, -1), ILK_EHANDLE);
    expect(ilk_queue_size(used), 1);
  }
  expect(ilk_queue_free(used), ILK_OK);
  expect(ilk_queue_free(unused), ILK_OK);
  expect(ilk_mutex_free(other), ILK_OK);
}
END_TEST

/* They were copied, or read from NULL. */
START_TEST(records_of_a_wrong_size_or_address)
{
  char slots[16], record[8];
  void *used = ilk_queue_new(2), *unused = ilk_queue_new(2);
  expect(ilk_queue_put(unused, 0), ILK_OK);
  expect(ilk_queue_put(unused, 1), ILK_OK);
  expect(ilk_queue_putrecord(used, unused, slots, -1, record, 0), ILK_EINVAL);
  expect(ilk_queue_putrecord(used, unused, slots, INT64_MIN, record, 0), ILK_EINVAL);
  if (sizeof(size_t) < sizeof(int64_t)) /* the lower 32 bits were taken for the size */
    expect(ilk_queue_putrecord(used, unused, slots, INT64_C(8) << 32 | 8, record, 0), ILK_EINVAL);
  expect(ilk_queue_putrecord(used, unused, NULL, 8, record, 0), ILK_EINVAL);
  expect(ilk_queue_putrecord(used, unused, slots, 8, NULL, 0), ILK_EINVAL);
  expect(ilk_last_error(), ILK_EINVAL);
  expect(ilk_queue_size(unused), 2);
  expect(ilk_queue_putrecord(used, unused, NULL, 0, NULL, 0), ILK_OK);
  expect(ilk_queue_getrecord(used, unused, slots, -1, record, 0), ILK_EINVAL);
  expect(ilk_queue_getrecord(used, unused, NULL, 8, record, 0), ILK_EINVAL);
  expect(ilk_queue_getrecord(used, unused, slots, 8, NULL, 0), ILK_EINVAL);
  expect(ilk_queue_size(used), 1);
  expect(ilk_queue_getrecord(used, unused, NULL, 0, NULL, 0), ILK_OK);
  expect(ilk_queue_free(used), ILK_OK);
  expect(ilk_queue_free(unused), ILK_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("slices");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, sums_outlive_threads);
  tcase_add_test(calls, a_first_slice_leaves_the_threads_tallies);
  tcase_add_test(calls, companions_keep_a_slice);
  tcase_add_test(calls, next_after_a_misaligned_slice);
  tcase_add_test(calls, records);
  tcase_add_test(calls, a_get_of_a_record_leaves_the_last_error);
  tcase_add_test(calls, records_where_one_of_the_queues_is_none);
  tcase_add_test(calls, records_of_a_wrong_size_or_address);
  return run_suite(s);
}
