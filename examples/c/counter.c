/* Three readers take the next page from a counter; the main thread waits until all are read. */
#include <interlock.h>
#include <stdio.h>

enum { READERS = 3, PAGES = 1000 };

static void *next, *done;
static int times_read[PAGES];

static void reader(void *unused)
{
  (void)unused;
  int64_t page;
  while ((page = ilk_counter_fetch_add(next, 1)) < PAGES) {
    times_read[page]++;
    ilk_counter_fetch_add(done, 1);
  }
}

int main(void)
{
  void *readers[READERS];
  next = ilk_counter_new(0);
  done = ilk_counter_new(0);
  for (int i = 0; i < READERS; i++)
    readers[i] = ilk_thread_start((void *)(uintptr_t)reader, NULL);
  if (ilk_counter_timedwait(done, PAGES, 10000000000) != ILK_OK)
    return 1;
  int once = 0;
  for (int i = 0; i < PAGES; i++)
    once += times_read[i] == 1;
  for (int i = 0; i < READERS; i++)
    ilk_thread_join(readers[i]);
  printf("%d of %d pages read exactly once\n", once, PAGES);
  return once != PAGES;
}
