/* Four threads need a table of squares. The first to come computes it, with a failure at
   the first try; the others wait, and all find it complete. */
#include <interlock.h>
#include <stdio.h>

enum { THREADS = 4, SIZE = 1000 };
static void *table_made, *wrong;
static double table[SIZE];
static int tries;

static int make_table(void)
{
  if (++tries == 1)
    return 0; /* no memory, say */
  for (int i = 0; i < SIZE; i++)
    table[i] += (double)i * i;
  return 1;
}

static void use_table(void *unused)
{
  (void)unused;
  while (ilk_once_begin(table_made) == 1)
    ilk_once_end(table_made, make_table());
  for (int i = 0; i < SIZE; i++)
    ilk_counter_fetch_add(wrong, table[i] != (double)i * i);
}

int main(void)
{
  void *threads[THREADS];
  table_made = ilk_once_new(0);
  wrong = ilk_counter_new(0);
  for (int i = 0; i < THREADS; i++)
    threads[i] = ilk_thread_start((void *)(uintptr_t)use_table, NULL);
  for (int i = 0; i < THREADS; i++)
    ilk_thread_join(threads[i]);
  printf("made at try %d, %d wrong entries seen\n", tries, (int)ilk_counter_load(wrong));
  return tries != 2 || ilk_counter_load(wrong) != 0;
}
