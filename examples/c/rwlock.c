/* A price list: many threads read it, one changes it now and then, both columns together. */
#include <interlock.h>
#include <stdio.h>

enum { CUSTOMERS = 3, LOOKS = 20000, CHANGES = 200 };

static void *list, *torn;
static int net = 100, gross = 120;

static void customer(void *unused)
{
  (void)unused;
  for (int i = 0; i < LOOKS; i++) {
    ilk_rwlock_read_lock(list);
    if (gross * 100 != net * 120)
      ilk_counter_fetch_add(torn, 1);
    ilk_rwlock_read_unlock(list);
  }
}

int main(void)
{
  void *customers[CUSTOMERS];
  list = ilk_rwlock_new(0);
  torn = ilk_counter_new(0);
  for (int i = 0; i < CUSTOMERS; i++)
    customers[i] = ilk_thread_start((void *)(uintptr_t)customer, NULL);
  for (int i = 0; i < CHANGES; i++) {
    ilk_rwlock_write_lock(list);
    net += 5;
    gross += 6;
    ilk_rwlock_write_unlock(list);
  }
  for (int i = 0; i < CUSTOMERS; i++)
    ilk_thread_join(customers[i]);
  printf("%d looks, %lld at a torn price; now %d net, %d gross\n", CUSTOMERS * LOOKS,
         (long long)ilk_counter_load(torn), net, gross);
  return ilk_counter_load(torn) != 0 || ilk_rwlock_free(list) != ILK_OK;
}
