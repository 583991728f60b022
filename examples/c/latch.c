/* Four threads render the tiles of an image; a thread that is free takes the next. The picture is
   shown when the last tile is ready. */
#include <interlock.h>
#include <stdio.h>

enum { THREADS = 4, TILES = 96 };
static void *next, *missing;
static int pixel[TILES];

static void render(void *unused)
{
  (void)unused;
  int64_t tile;
  while ((tile = ilk_counter_fetch_add(next, 1)) < TILES) {
    pixel[tile] = (int)(tile * tile % 251);
    ilk_latch_count_down(missing, 1);
  }
}

int main(void)
{
  void *threads[THREADS];
  int64_t sum = 0, wanted = 0;
  next = ilk_counter_new(0);
  missing = ilk_latch_new(TILES);
  for (int i = 0; i < THREADS; i++)
    threads[i] = ilk_thread_start((void *)(uintptr_t)render, NULL);
  if (ilk_latch_timedwait(missing, 10000000000) != ILK_OK)
    return 1;
  for (int i = 0; i < TILES; i++) {
    sum += pixel[i];
    wanted += i * i % 251;
  }
  for (int i = 0; i < THREADS; i++)
    ilk_thread_join(threads[i]);
  printf("%d tiles, checksum %d\n", TILES, (int)sum);
  return sum != wanted;
}
