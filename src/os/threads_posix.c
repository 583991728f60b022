#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "os.h"

void os_yield(void)
{
  sched_yield();
}

/* --- started threads ----------------------------------------------------------------- */

static void *run(void *start)
{
  ((struct os_start *)start)->function(start);
  return NULL;
}

/* Detached: the system frees the stack when the thread exits. */
bool os_thread_start(struct os_start *start)
{
  pthread_t thread;
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  int result = pthread_create(&thread, &detached, run, start);
  pthread_attr_destroy(&detached);
  return result == 0;
}

void os_call_with_cleanup(void (*function)(void *), void *argument, void (*cleanup)(void *),
                          void *cleanup_argument)
{
  pthread_cleanup_push(cleanup, cleanup_argument);
  function(argument);
  pthread_cleanup_pop(1);
}

/* --- thread exit --------------------------------------------------------------------- */

static pthread_key_t exit_key;

bool os_exit_hook_new(void (*hook)(void *record))
{
  return pthread_key_create(&exit_key, hook) == 0;
}

bool os_exit_hook_set(void *record)
{
  return pthread_setspecific(exit_key, record) == 0;
}

/* glibc keeps the values of the first 32 keys in the thread's descriptor and allocates for others;
   musl keeps all there. Other systems' are not known. */
#define KEYS_IN_THREAD 32

void *os_exit_hook_get(void)
{
  return pthread_getspecific(exit_key);
}

bool os_exit_hook_is_safe(void)
{
#ifdef __linux__
  return exit_key < KEYS_IN_THREAD;
#else
  return false;
#endif
}

/* --- cancellation, fork, output ------------------------------------------------------- */

int os_cancel_disable(void)
{
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  return before;
}

void os_cancel_restore(int before)
{
  pthread_setcancelstate(before, NULL);
}

int64_t os_process_id(void)
{
  return getpid();
}

void os_fork_handlers(void (*before)(void), void (*parent)(void), void (*child)(void))
{
  pthread_atfork(before, parent, child);
}

/* One write(2): stdio takes locks and allocates, and the program may be waiting for those. */
void os_write_error(const char *text, size_t length)
{
  ssize_t ignored = write(STDERR_FILENO, text, length);
  (void)ignored;
}
