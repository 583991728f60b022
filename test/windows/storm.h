/* The storm of support.h on Windows, which has no signals: a thread that stops the targets for a moment wherever they are, as
   a handler of a signal would. */
#ifndef WINDOWS_STORM_H
#define WINDOWS_STORM_H

struct storm {
  const pthread_t *targets;
  int n;
  _Atomic bool over;
  pthread_t thread;
};

static inline void *storm_run(void *argument)
{
  struct storm *s = argument;
  while (!s->over) {
    HANDLE target = pthread_gethandle(s->targets[below(s->n)]);
    CONTEXT context = {.ContextFlags = CONTEXT_CONTROL};
    if (SuspendThread(target) != (DWORD)-1) {
      GetThreadContext(target, &context); /* it stands still from here on */
      spin(below(2000));
      ResumeThread(target);
    }
    if (below(8) == 0)
      nap(10 * US);
  }
  return NULL;
}

static inline void storm_start(struct storm *s, const pthread_t *targets, int n)
{
  *s = (struct storm){.targets = targets, .n = n};
  s->thread = start(storm_run, s);
}

static inline void storm_end(struct storm *s)
{
  s->over = true;
  join(s->thread);
}

#endif
