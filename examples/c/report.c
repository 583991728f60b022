/* A program that hangs says why: a watchdog sees no progress, prints the report, and
   cancels the waits, so that the workers end in order instead of being killed. */
#include <interlock.h>
#include <stdio.h>
#include <string.h>

static void *printer, *orders;

static void clerk(void *unused)
{
  (void)unused;
  ilk_mutex_lock(printer);
  int result = ilk_semaphore_acquire(orders); /* with the printer in hand: the mistake */
  printf("clerk: %s\n", (char *)ilk_error_name(result));
  ilk_mutex_unlock(printer);
}

static void customer(void *unused)
{
  (void)unused;
  int result = ilk_mutex_lock(printer);
  printf("customer: %s\n", (char *)ilk_error_name(result));
  if (result == ILK_OK)
    ilk_mutex_unlock(printer);
}

int main(void)
{
  char text[4096];
  printer = ilk_mutex_new(0), orders = ilk_semaphore_new(0, 0);
  void *c[] = {ilk_thread_start((void *)(uintptr_t)clerk, NULL),
               ilk_thread_start((void *)(uintptr_t)customer, NULL)};
  int64_t needed;
  do { /* until the clerk makes no progress */
    ilk_thread_timedjoin(c[0], 100000000);
    needed = ilk_report(text, sizeof text);
  } while (needed >= 0 && !strstr(text, "waits for semaphore"));
  fputs(text, stdout);
  ilk_cancel(1); /* once it returns, all threads that slept have been woken */
  ilk_cancel(0);
  int ended = ilk_thread_join(c[0]) == ILK_OK && ilk_thread_join(c[1]) == ILK_OK;
  return !ended || needed < 0 || !strstr(text, "locked by thread");
}
