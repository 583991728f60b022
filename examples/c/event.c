/* Three workers load their data, then wait for the starting gun; the main thread fires it
   once all are on the line. */
#include <interlock.h>
#include <stdio.h>

enum { RUNNERS = 3 };
static void *gun, *on_the_line, *false_starts;
static int fired;

static void runner(void *unused)
{
  (void)unused;
  ilk_counter_fetch_add(on_the_line, 1);
  int result = ilk_event_timedwait(gun, 10000000000);
  if (result != ILK_OK || !fired) /* what was done before the set is seen after the wait */
    ilk_counter_fetch_add(false_starts, 1);
}

int main(void)
{
  void *runners[RUNNERS];
  gun = ilk_event_new(0);
  on_the_line = ilk_counter_new(0);
  false_starts = ilk_counter_new(0);
  for (int i = 0; i < RUNNERS; i++)
    runners[i] = ilk_thread_start((void *)(uintptr_t)runner, NULL);
  ilk_counter_wait(on_the_line, RUNNERS);
  fired = 1;
  ilk_event_set(gun);
  for (int i = 0; i < RUNNERS; i++)
    ilk_thread_join(runners[i]);
  int64_t wrong = ilk_counter_load(false_starts);
  printf("%d runners, %d false starts\n", RUNNERS, (int)wrong);
  return wrong != 0;
}
