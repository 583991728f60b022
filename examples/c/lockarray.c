/* A bank: transfers between any two of 10,000 accounts run at the same time, for each
   account has a lock of its own; the audit locks all of them, and finds no coin astray. */
#include <interlock.h>
#include <stdio.h>

enum { ACCOUNTS = 10000, CLERKS = 4, TRANSFERS = 50000, COINS = 100 };
static void *locks;
static int balance[ACCOUNTS];

static void clerk(void *number)
{
  uint64_t dice = (uintptr_t)number + 1;
  for (int i = 0; i < TRANSFERS; i++) {
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
    int from = (int)(dice >> 33) % ACCOUNTS, to = (int)(dice >> 20 & 0xffffff) % ACCOUNTS;
    ilk_lockarray_lock_pair(locks, from, to); /* in any order: pairs never deadlock */
    if (balance[from] > 0)
      balance[from]--, balance[to]++;
    ilk_lockarray_unlock_pair(locks, from, to);
  }
}

int main(void)
{
  void *clerks[CLERKS];
  locks = ilk_lockarray_new(ACCOUNTS, 0);
  for (int i = 0; i < ACCOUNTS; i++)
    balance[i] = COINS;
  for (int i = 0; i < CLERKS; i++)
    clerks[i] = ilk_thread_start((void *)(uintptr_t)clerk, (void *)(intptr_t)i);
  int total = 0;
  ilk_lockarray_lock_range(locks, 0, ACCOUNTS); /* while they work */
  for (int i = 0; i < ACCOUNTS; i++)
    total += balance[i];
  ilk_lockarray_unlock_range(locks, 0, ACCOUNTS);
  for (int i = 0; i < CLERKS; i++)
    ilk_thread_join(clerks[i]);
  printf("the audit counts %d coins\n", total);
  return total != ACCOUNTS * COINS || ilk_lockarray_free(locks) != ILK_OK;
}
