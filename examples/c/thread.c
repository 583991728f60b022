/* A backup in the background: the program continues meanwhile, checks now and then whether
   it is done, and waits for the rest of it at the end. */
#include <interlock.h>
#include <stdio.h>

enum { FILES = 20 };
struct backup {
  int files, bytes; /* the thread's alone until it is joined */
};

static void back_up(void *argument)
{
  struct backup *b = argument;
  for (b->files = 0; b->files < FILES; b->files++) {
    ilk_sleep(1000000); /* a slow disk */
    b->bytes += 100 * b->files;
  }
}

int main(void)
{
  struct backup backup = {0, 0};
  int edits = 0, result;
  void *thread = ilk_thread_start((void *)(uintptr_t)back_up, &backup);
  if (!thread) {
    printf("no backup: %s\n", (char *)ilk_error_name(ilk_last_error()));
    return 1;
  }
  while (edits < 5 && (result = ilk_thread_timedjoin(thread, 2000000)) == ILK_ETIMEDOUT)
    edits++;
  if (edits == 5)
    result = ilk_thread_join(thread);
  printf("%d edits meanwhile; %d files and %d bytes saved\n", edits, backup.files, backup.bytes);
  return result != ILK_OK || backup.files != FILES || backup.bytes != 100 * FILES * (FILES - 1) / 2;
}
