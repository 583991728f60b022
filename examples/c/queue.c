/* A print shop: the counter takes orders, three printers work them off. The tray holds
   ten, so the counter waits when the printers fall behind; at closing time each printer
   finishes what lies in the tray and goes home. */
#include <interlock.h>
#include <stdio.h>

enum { PRINTERS = 3, ORDERS = 1000, TRAY = 10 };
static void *tray, *pages;

static void printer(void *unused)
{
  int64_t order;
  (void)unused;
  while (ilk_queue_get(tray, &order) == ILK_OK)
    ilk_tally_add(pages, order % 5 + 1);
}

int main(void)
{
  void *printers[PRINTERS];
  int64_t expected = 0;
  tray = ilk_queue_new(TRAY);
  pages = ilk_tally_new();
  for (int i = 0; i < PRINTERS; i++)
    printers[i] = ilk_thread_start((void *)(uintptr_t)printer, NULL);
  for (int64_t order = 1; order <= ORDERS; order++) {
    ilk_queue_put(tray, order);
    expected += order % 5 + 1;
  }
  ilk_queue_close(tray);
  for (int i = 0; i < PRINTERS; i++)
    ilk_thread_join(printers[i]);
  int64_t printed = ilk_tally_sum(pages);
  printf("%d orders, %d pages\n", ORDERS, (int)printed);
  ilk_queue_free(tray);
  ilk_tally_free(pages);
  return printed != expected;
}
