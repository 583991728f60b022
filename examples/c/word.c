/* Two processes fill one table in shared memory: the lock is 4 bytes of it, and 4 more tell
   the parent that the child is ready. */
#include <interlock.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20000 };
struct table {
  uint32_t lock, ready, sales, revenue; /* all zero: unlocked */
};

static void sell(struct table *t, int price)
{
  for (int i = 0; i < ROUNDS; i++) {
    ilk_word_lock(&t->lock, ILK_SHARED);
    t->sales++, t->revenue += price;
    ilk_word_unlock(&t->lock, ILK_SHARED);
  }
}

int main(void)
{
  struct table *t =
    mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (ilk_word_trylock(&t->lock, ILK_SHARED) == ILK_ENOTSUP ||
      ilk_word_unlock(&t->lock, ILK_SHARED))
    return puts("no words shared between processes here") < 0;
  if (fork() == 0) {
    ilk_atomic_store_u32(&t->ready, 1);
    ilk_word_wake(&t->ready, 1, ILK_SHARED);
    sell(t, 3);
    _exit(0);
  }
  while (!ilk_atomic_load_u32(&t->ready))
    ilk_word_wait(&t->ready, 0, ILK_SHARED, -1);
  sell(t, 5);
  wait(NULL);
  printf("%u sales, %u earned\n", t->sales, t->revenue);
  return t->sales != 2 * ROUNDS || t->revenue != 8 * ROUNDS;
}
