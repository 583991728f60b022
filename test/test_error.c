/* error.c: codes and their names, the thread's last error, facts about the library. */
#include <limits.h>

#include "support.h"

static const struct {
  int code, value;
  const char *name;
} codes[] = {
  {ILK_OK, 0, "ILK_OK"},
  {ILK_OWNER_DIED, 1, "ILK_OWNER_DIED"},
  {ILK_ETIMEDOUT, -1, "ILK_ETIMEDOUT"},
  {ILK_EBUSY, -2, "ILK_EBUSY"},
  {ILK_EHANDLE, -3, "ILK_EHANDLE"},
  {ILK_EINVAL, -4, "ILK_EINVAL"},
  {ILK_EPERM, -5, "ILK_EPERM"},
  {ILK_EDEADLK, -6, "ILK_EDEADLK"},
  {ILK_EOVERFLOW, -7, "ILK_EOVERFLOW"},
  {ILK_ENOMEM, -8, "ILK_ENOMEM"},
  {ILK_EBROKEN, -9, "ILK_EBROKEN"},
  {ILK_ECLOSED, -10, "ILK_ECLOSED"},
  {ILK_ECANCELED, -11, "ILK_ECANCELED"},
  {ILK_ENOTSUP, -12, "ILK_ENOTSUP"},
};

START_TEST(codes_and_names)
{
  for (int i = 0; i < LENGTH(codes); i++) {
    expect(codes[i].code, codes[i].value);
    ck_assert_str_eq(ilk_error_name(codes[i].code), codes[i].name);
  }
  const int others[] = {2, 3, -13, -14, INT_MAX, INT_MIN};
  for (int i = 0; i < LENGTH(others); i++)
    ck_assert_str_eq(ilk_error_name(others[i]), "ILK_UNKNOWN");
  must(ILK_NO_VALUE == INT64_MIN);
}
END_TEST

START_TEST(flags_are_the_contracts)
{
  expect(ILK_RECURSIVE, 1);
  expect(ILK_FAIR, 2);
  expect(ILK_UNOWNED, 4);
}
END_TEST

static int last_error_of_a_new_thread(void *m, int64_t unused)
{
  (void)unused;
  expect(ilk_last_error(), ILK_OK);
  expect(ilk_mutex_unlock(m), ILK_EPERM);
  return ilk_last_error();
}

START_TEST(last_error)
{
  expect(ilk_last_error(), ILK_OK);
  void *m = ilk_mutex_new(0);
  expect(ilk_mutex_trylock(m), ILK_OK);
  expect(ilk_last_error(), ILK_OK);

  expect(ilk_mutex_trylock(m), ILK_EBUSY); /* an int */
  expect(ilk_last_error(), ILK_EBUSY);
  expect(ilk_mutex_timedlock(m, 0), ILK_ETIMEDOUT);
  expect(ilk_last_error(), ILK_ETIMEDOUT);
  expect_null(ilk_mutex_new(1000), ILK_EINVAL);      /* a handle */
  expect_no_value(ilk_counter_load(m), ILK_EHANDLE); /* a value */
  expect_no_value(ilk_semaphore_value(NULL), ILK_EHANDLE);

  /* Success does not change it, nor do questions, nor another thread's failure. */
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_lock(m), ILK_OK);
  expect(ilk_mutex_is_locked(m), 1);
  ilk_error_name(-5);
  ilk_live();
  expect(ilk_last_error(), ILK_EHANDLE);
  expect(elsewhere(last_error_of_a_new_thread, m, 0), ILK_EPERM);
  expect(ilk_last_error(), ILK_EHANDLE);
  expect(ilk_mutex_unlock(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_OK);
}
END_TEST

START_TEST(facts)
{
  expect(ilk_version(), ILK_VERSION);
  expect(ILK_VERSION, ILK_VERSION_MAJOR * 10000 + ILK_VERSION_MINOR * 100 + ILK_VERSION_PATCH);
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", ILK_VERSION_MAJOR, ILK_VERSION_MINOR,
           ILK_VERSION_PATCH);
  ck_assert_str_eq(version, PROJECT_VERSION);
  ck_assert_str_eq(ilk_backend(), EXPECTED_BACKEND);
  if (EXPECTED_SYMMETRIC)
    ck_assert_str_eq(ilk_fence(), "symmetric");
  else
    must(!strcmp(ilk_fence(), "symmetric") || !strcmp(ilk_fence(), "asymmetric"));
  ck_assert_str_eq(ilk_fence_kind(), ilk_fence());
}
END_TEST

START_TEST(live_counts_every_kind)
{
  int64_t before = ilk_live();
  expect(ilk_live_handles(), before);
  void *m = ilk_mutex_new(0), *s = ilk_semaphore_new(0, 0), *c = ilk_counter_new(0);
  expect(ilk_live(), before + 3);
  expect_null(ilk_mutex_new(-1), ILK_EINVAL);
  expect_null(ilk_semaphore_new(-1, 0), ILK_EINVAL);
  expect(ilk_live(), before + 3);
  expect(ilk_mutex_free(m), ILK_OK);
  expect(ilk_mutex_free(m), ILK_EHANDLE);
  expect(ilk_live(), before + 2);
  expect(ilk_semaphore_free(s), ILK_OK);
  expect(ilk_counter_free(c), ILK_OK);
  expect(ilk_live(), before);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("error");
  TCase *calls = test_case(s, "calls", 10);
  tcase_add_test(calls, codes_and_names);
  tcase_add_test(calls, flags_are_the_contracts);
  tcase_add_test(calls, last_error);
  tcase_add_test(calls, facts);
  tcase_add_test(calls, live_counts_every_kind);
  return run_suite(s);
}
