/* Four threads read shares of a log and merge what they counted into one table: how many
   requests in each second, and the slowest of each. No lock, one call for a whole slice. */
#include <interlock.h>
#include <pthread.h>
#include <stdio.h>

enum { READERS = 4, SECONDS = 60, LINES = 30000 };
static int32_t requests[SECONDS];
static double slowest[SECONDS];

static void *read_share(void *share)
{
  int32_t own_requests[SECONDS] = {0};
  double own_slowest[SECONDS] = {0};
  for (int line = *(int *)share; line < LINES; line += READERS) {
    int second = line % SECONDS;
    double latency = line * 7919 % 10007 / 16384.0; /* exact, so the check below is too */
    own_requests[second]++;
    own_slowest[second] = latency > own_slowest[second] ? latency : own_slowest[second];
  }
  ilk_atomic_add_i32(requests, own_requests, SECONDS);
  return ilk_atomic_max_f64(slowest, own_slowest, SECONDS) == ILK_OK ? share : NULL;
}

int main(void)
{
  pthread_t readers[READERS];
  int shares[READERS] = {0, 1, 2, 3}, wrong = 0;
  for (int i = 0; i < READERS; i++)
    pthread_create(&readers[i], NULL, read_share, &shares[i]);
  for (int i = 0; i < READERS; i++)
    pthread_join(readers[i], NULL);
  for (int line = 0; line < LINES; line++)
    wrong += slowest[line % SECONDS] < line * 7919 % 10007 / 16384.0;
  for (int second = 0; second < SECONDS; second++)
    wrong += requests[second] != LINES / SECONDS;
  printf("second 7: %d requests, the slowest took %.4f s\n", requests[7], slowest[7]);
  return wrong;
}
