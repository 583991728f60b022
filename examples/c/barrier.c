/* Heat spreads along a rod. Each thread computes its part of the next state from all of
   the last one, so no thread may begin a step before all have ended the one before. */
#include <interlock.h>
#include <stdio.h>

enum { THREADS = 4, CELLS = 64, STEPS = 500 };
static void *step_done;
static double rod[2][CELLS + 2];

static void spread(void *number)
{
  int part = (int)(intptr_t)number, share = CELLS / THREADS;
  for (int step = 0; step < STEPS; step++) {
    const double *old = rod[step % 2];
    double *new = rod[1 - step % 2];
    for (int i = 1 + part * share; i <= (part + 1) * share; i++)
      new[i] = (old[i - 1] + 2 * old[i] + old[i + 1]) / 4;
    ilk_barrier_wait(step_done);
  }
}

int main(void)
{
  double alone[2][CELLS + 2] = {{0}};
  void *threads[THREADS];
  step_done = ilk_barrier_new(THREADS);
  rod[0][CELLS / 2] = alone[0][CELLS / 2] = 1000;
  for (int i = 0; i < THREADS; i++)
    threads[i] = ilk_thread_start((void *)(uintptr_t)spread, (void *)(intptr_t)i);
  for (int i = 0; i < THREADS; i++)
    ilk_thread_join(threads[i]);
  for (int step = 0; step < STEPS; step++)
    for (int i = 1; i <= CELLS; i++)
      alone[1 - step % 2][i] =
        (alone[step % 2][i - 1] + 2 * alone[step % 2][i] + alone[step % 2][i + 1]) / 4;
  int wrong = 0;
  for (int i = 1; i <= CELLS; i++)
    wrong += rod[STEPS % 2][i] != alone[STEPS % 2][i];
  printf("after %d steps the middle has %.3f degrees; %d cells differ\n", STEPS,
         rod[STEPS % 2][CELLS / 2], wrong);
  return wrong;
}
