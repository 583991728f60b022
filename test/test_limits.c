/* Limits that the interface cannot reach in a test's time, set from within: hence the
   sources themselves, in place of the library's objects. */
#define _GNU_SOURCE
#include "mutex_state.h"
#undef FREE
#include "handle.c"

#include "support.h"

static void *make_mutex(int flags)
{
  void *m = ilk_mutex_new(flags);
  must(m != NULL);
  return m;
}

START_TEST(recursion_overflows)
{
  void *m = make_mutex(ILK_RECURSIVE);
  struct mutex *inside = (struct mutex *)handle_object(m);
  expect(ilk_mutex_lock(m), ILK_OK);
  uint32_t almost = UINT32_MAX - 2 - inside->depth;
  inside->depth += almost;
  or_relaxed(&inside->object.tag_flags, SPECIAL_NESTED);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_lock(m), ILK_EOVERFLOW);
  expect(ilk_mutex_trylock(m), ILK_EOVERFLOW);
  expect(ilk_mutex_timedlock(m, -1), ILK_EOVERFLOW);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  inside->depth -= almost;
  and_relaxed(&inside->object.tag_flags, ~SPECIAL_NESTED);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_is_locked(m), 0);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

/* The slot of a handle, as if it had been used that often. */
static void age(void *freed, uint32_t uses)
{
  slot_at(handle_index(freed))->uses = uses;
}

START_TEST(generations_run_out)
{
  const uint32_t last = (UINT32_C(1) << HANDLE_GENERATION_BITS) - 1;
  void *m = make_mutex(0);
  uint32_t index = handle_index(m);
  expect(ilk_mutex_free(m), ILK_OK);
  must(handle_retired_recycle(false));
  age(m, last - 1);
  m = make_mutex(0);
  expect(handle_index(m), index);
  expect((handle_tag(m) - generation_first) & last, last);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
  must(handle_retired_recycle(false));
  expect(ilk_mutex_lock(m), ILK_EHANDLE);
  void *next = make_mutex(0);
  if (HANDLE_GENERATIONS_WRAP)
    expect(handle_index(next), index);
  else
    must(handle_index(next) != index); /* or an old handle would come alive again */
  expect(ilk_mutex_free(next), ILK_OK);
}
END_TEST

/* Every bit of a tag is compared: heads that differ in one are different objects. */
START_TEST(handle_and_head_agree)
{
  void *m = make_mutex(0);
  uint64_t head = load_relaxed(&handle_object(m)->head);
  must(head_is(head, m));
  must(handle_kind(m) == KIND_MUTEX && handle_is(m, KIND_MUTEX) && !handle_is(m, KIND_COUNTER));
  for (int bit = 32; bit < 64; bit++)
    must(!head_is(head ^ UINT64_C(1) << bit, m));
  expect(ilk_mutex_free(m), ILK_OK);
  must(!head_is(load_relaxed(&handle_object(m)->head), m));
}
END_TEST

/* A slot that is put back is in the free list, behind the others: none is lost. */
START_TEST(all_freed_slots_are_used_again)
{
  enum { N = 100 };
  void *handles[N];
  uint32_t used = 0;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < N; i++)
      handles[i] = make_mutex(0);
    if (round == 0)
      used = slots_used;
    expect(slots_used, used);
    for (int i = 0; i < N; i++)
      expect(ilk_mutex_free(handles[i]), ILK_OK);
    must(handle_retired_recycle(false));
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("limits");
  TCase *limits = test_case(s, "limits", 10);
  tcase_add_test(limits, recursion_overflows);
  tcase_add_test(limits, generations_run_out);
  tcase_add_test(limits, handle_and_head_agree);
  tcase_add_test(limits, all_freed_slots_are_used_again);
  return run_suite(s);
}
