/* Four tellers move money between accounts; the sum of all never changes. */
#include <interlock.h>
#include <stdio.h>

enum { ACCOUNTS = 10, TELLERS = 4, TRANSFERS = 20000 };

static void *books;
static int64_t balance[ACCOUNTS];

static void teller(void *number)
{
  unsigned seed = 7u + (unsigned)(intptr_t)number;
  for (int i = 0; i < TRANSFERS; i++) {
    seed = seed * 1103515245u + 12345u;
    int from = (int)(seed >> 16) % ACCOUNTS, to = (int)(seed >> 8 & 0xff) % ACCOUNTS;
    ilk_mutex_lock(books);
    balance[from] -= 1;
    balance[to] += 1;
    ilk_mutex_unlock(books);
  }
}

int main(void)
{
  void *tellers[TELLERS];
  int64_t sum = 0;
  books = ilk_mutex_new(0);
  for (int i = 0; i < ACCOUNTS; i++)
    balance[i] = 1000;
  for (int i = 0; i < TELLERS; i++)
    tellers[i] = ilk_thread_start((void *)(uintptr_t)teller, (void *)(intptr_t)i);
  for (int i = 0; i < TELLERS; i++)
    ilk_thread_join(tellers[i]);
  for (int i = 0; i < ACCOUNTS; i++)
    sum += balance[i];
  printf("%d transfers, %lld in all accounts\n", TELLERS * TRANSFERS, (long long)sum);
  return ilk_mutex_free(books) != ILK_OK || sum != 1000 * ACCOUNTS;
}
