/* A turnstile at every gate of a stadium, and one display for all: each gate counts by
   itself, without a word to the others, and the display asks for the sum now and then. */
#include <interlock.h>
#include <pthread.h>
#include <stdio.h>

enum { GATES = 4, VISITORS = 200000 };
static void *inside;

static void *gate(void *unused)
{
  for (int i = 1; i <= VISITORS; i++) {
    ilk_tally_add(inside, 1);
    if (i % 10 == 0)
      ilk_tally_add(inside, -1); /* one forgot the ticket in the car */
  }
  return unused;
}

int main(void)
{
  pthread_t gates[GATES];
  int64_t shown = 0, now = 0;
  inside = ilk_tally_new();
  for (int i = 0; i < GATES; i++)
    pthread_create(&gates[i], NULL, gate, NULL);
  for (int looks = 0; looks < 5; looks++) {
    ilk_sleep(1000000);
    shown = ilk_tally_sum(inside);
    printf("about %d inside\n", (int)shown);
  }
  for (int i = 0; i < GATES; i++)
    pthread_join(gates[i], NULL);
  now = ilk_tally_sum(inside);
  printf("%d inside at kick-off\n", (int)now);
  ilk_tally_free(inside);
  return now != GATES * (VISITORS - VISITORS / 10) || shown > GATES * VISITORS;
}
