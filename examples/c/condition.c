/* A cook and a hungry customer: pizzas go on a counter with room for three, the cook waits
   while it is full, the customer while it is empty. */
#include <interlock.h>
#include <stdio.h>

enum { ROOM = 3, PIZZAS = 900 };
static void *kitchen, *changed;
static int on_counter, most, eaten;

static void cook(void *unused)
{
  (void)unused;
  for (int i = 0; i < PIZZAS; i++) {
    ilk_mutex_lock(kitchen);
    while (on_counter == ROOM)
      ilk_condition_wait(changed, kitchen);
    most = ++on_counter > most ? on_counter : most;
    ilk_condition_notify_all(changed);
    ilk_mutex_unlock(kitchen);
  }
}

int main(void)
{
  kitchen = ilk_mutex_new(0);
  changed = ilk_condition_new(0);
  void *thread = ilk_thread_start((void *)(uintptr_t)cook, NULL);
  ilk_mutex_lock(kitchen);
  while (eaten < PIZZAS) {
    while (on_counter == 0)
      ilk_condition_wait(changed, kitchen);
    eaten += on_counter;
    on_counter = 0;
    ilk_condition_notify_all(changed);
  }
  ilk_mutex_unlock(kitchen);
  ilk_thread_join(thread);
  printf("%d pizzas eaten, never more than %d waiting\n", eaten, most);
  return eaten != PIZZAS || most > ROOM;
}
