/* A numerical kernel needs scratch memory deep inside, and has no argument to pass it
   through: each thread makes its own at the first call, and finds it again at the next. */
#include <interlock.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, CALLS = 1000 };
static void *scratch_of_thread, *made;
static int worked;

static int *scratch(void)
{
  if (!ilk_local_get(scratch_of_thread)) {
    ilk_local_set(scratch_of_thread, calloc(1, sizeof(int)));
    ilk_counter_fetch_add(made, 1);
  }
  return ilk_local_get(scratch_of_thread);
}

static void work(void *unused)
{
  (void)unused;
  for (int call = 0; call < CALLS; call++)
    *scratch() += 1; /* no other thread is near it */
  ilk_atomic_fetch_add_i32(&worked, *scratch());
  free(scratch());
}

int main(void)
{
  void *threads[THREADS];
  scratch_of_thread = ilk_local_new();
  made = ilk_counter_new(0);
  for (int i = 0; i < THREADS; i++)
    threads[i] = ilk_thread_start((void *)(uintptr_t)work, NULL);
  for (int i = 0; i < THREADS; i++)
    ilk_thread_join(threads[i]);
  printf("%d buffers for %d calls\n", (int)ilk_counter_load(made), worked);
  return ilk_counter_load(made) != THREADS || worked != THREADS * CALLS;
}
