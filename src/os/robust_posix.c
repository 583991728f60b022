/* POSIX's robust mutexes (pthread_mutexattr_setrobust(3)). */
#define _GNU_SOURCE
#include "robust_mutex.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "atomic.h"
#include "os.h"

#define WORDS (sizeof(pthread_mutex_t) / sizeof(uint32_t))

/* The caller's memory. A lock is never initialized as a whole, because a process might be killed
   half-way through. An unlocked mutex of the C library differs from zeros in exactly one word
   (robust_setup() checks that). So each call sets this word and `layout`, if they are 0; each goes
   from 0 to its value in one atomic step. */
union robust {
  pthread_mutex_t mutex;
  atomic_u32 words[ILK_ROBUST_SIZE / sizeof(uint32_t)]; /* the last is `layout` */
};
#define LAYOUT_AT (ILK_ROBUST_SIZE / sizeof(uint32_t) - 1)
_Static_assert(sizeof(pthread_mutex_t) <= LAYOUT_AT * sizeof(uint32_t), "the system's mutex fits");
_Static_assert(sizeof(union robust) == ILK_ROBUST_SIZE, "as the header says");

static size_t kind_at;  /* the index of the word that is not zero in an unlocked mutex */
static uint32_t kind;   /* the value of that word */
static uint32_t layout; /* identifies this C library's mutex; 0: it has none that serves */

static bool make(pthread_mutex_t *mutex)
{
  pthread_mutexattr_t attributes;
  if (pthread_mutexattr_init(&attributes) != 0)
    return false;
  bool made = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
              pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
              pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK) == 0 &&
              pthread_mutex_init(mutex, &attributes) == 0;
  pthread_mutexattr_destroy(&attributes);
  return made;
}

/* The kernel marks a dead thread's mutexes, which it finds in a list of the thread. glibc does not
   check that the kernel does so. Emulators of other processors (qemu-user) do not: there a dead
   holder's lock would stay locked. */
static bool kernel_has_lists(void)
{
#ifdef SYS_get_robust_list
  int before = errno;
  void *head;
  size_t size;
  bool missing = syscall(SYS_get_robust_list, 0, &head, &size) == -1 && errno == ENOSYS;
  errno = before;
  return !missing;
#else
  return true;
#endif
}

void robust_setup(void)
{
  if (!kernel_has_lists())
    return;
  union {
    pthread_mutex_t mutex;
    uint32_t words[WORDS];
  } made;
  memset(&made, 0, sizeof made);
  if (!make(&made.mutex))
    return;
  int others = 0;
  for (size_t i = 0; i < WORDS; i++)
    if (made.words[i]) {
      kind_at = i;
      kind = made.words[i];
      others++;
    }
  pthread_mutex_destroy(&made.mutex);
  if (others == 1)
    layout = (((uint32_t)sizeof(pthread_mutex_t) * 31 + (uint32_t)kind_at) * 31 + kind) << 1 | 1;
}

/* Sets a word that is 0 to this value. False: it has another value. */
static bool settle(atomic_u32 *word, uint32_t value)
{
  uint32_t seen = 0;
  /* Relaxed: each thread does this with both words before it uses the mutex, whose operations order
     the rest. */
  return likely(load_relaxed(word) == value) || cas_relaxed(word, &seen, value) || seen == value;
}

int robust_check(void *address)
{
  union robust *r = address;
  if (!layout)
    return ILK_ENOTSUP;
  return settle(&r->words[LAYOUT_AT], layout) && settle(&r->words[kind_at], kind) ? ILK_OK
                                                                                  : ILK_EINVAL;
}

static int result_of(union robust *r, int error)
{
  switch (error) {
  case 0: return ILK_OK;
  case EOWNERDEAD:
    /* Keeps the mutex usable for the next owner. If this one dies, too, the next gets EOWNERDEAD
       again. */
    return pthread_mutex_consistent(&r->mutex) == 0 ? ILK_OWNER_DIED : ILK_EINVAL;
  case EBUSY: return ILK_EBUSY;
  case EDEADLK: return ILK_EDEADLK;
  case ETIMEDOUT: return ILK_ETIMEDOUT;
  case EPERM: return ILK_EPERM;
  default: return ILK_EINVAL;
  }
}

int robust_try(void *address)
{
  union robust *r = address;
  return result_of(r, pthread_mutex_trylock(&r->mutex));
}

static int lock_until(pthread_mutex_t *mutex, int64_t until)
{
  struct timespec time;
#ifdef HAVE_CLOCKLOCK
  clockid_t clock = CLOCK_MONOTONIC;
#else /* if the clock is set, this wait is shorter or longer; the caller's waits are short anyway */
  int64_t left = until - os_clock();
  clock_gettime(CLOCK_REALTIME, &time);
  until = (int64_t)time.tv_sec * NS_PER_S + time.tv_nsec + (left > 0 ? left : 0);
#endif
  time =
    (struct timespec){.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
#ifdef HAVE_CLOCKLOCK
  return pthread_mutex_clocklock(mutex, clock, &time);
#else
  return pthread_mutex_timedlock(mutex, &time);
#endif
}

int robust_try_until(void *address, int64_t until)
{
  union robust *r = address;
  return result_of(r, lock_until(&r->mutex, until));
}

int robust_release(void *address)
{
  union robust *r = address;
  return result_of(r, pthread_mutex_unlock(&r->mutex));
}
