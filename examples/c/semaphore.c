/* Eight workers share three licences: never are more than three at work. */
#include <interlock.h>
#include <stdio.h>

enum { WORKERS = 8, LICENCES = 3, JOBS = 200 };

static void *licences, *at_work, *most;

static void worker(void *unused)
{
  (void)unused;
  for (int i = 0; i < JOBS; i++) {
    ilk_semaphore_acquire(licences);
    int64_t now = ilk_counter_fetch_add(at_work, 1) + 1, seen = ilk_counter_load(most);
    while (now > seen && ilk_counter_compare_exchange(most, seen, now) != seen)
      seen = ilk_counter_load(most);
    ilk_thread_yield();
    ilk_counter_fetch_add(at_work, -1);
    ilk_semaphore_release(licences, 1);
  }
}

int main(void)
{
  void *workers[WORKERS];
  licences = ilk_semaphore_new(LICENCES, LICENCES);
  at_work = ilk_counter_new(0);
  most = ilk_counter_new(0);
  for (int i = 0; i < WORKERS; i++)
    workers[i] = ilk_thread_start((void *)(uintptr_t)worker, NULL);
  for (int i = 0; i < WORKERS; i++)
    ilk_thread_join(workers[i]);
  int64_t peak = ilk_counter_load(most);
  printf("%d jobs, at most %lld at a time\n", WORKERS * JOBS, (long long)peak);
  return peak < 1 || peak > LICENCES || ilk_semaphore_value(licences) != LICENCES;
}
