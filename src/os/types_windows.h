/* os.h's types, with the functions that are inline, on Windows. Without <windows.h>, which defines
   names like `small`. */
#ifndef INTERLOCK_TYPES_WINDOWS_H
#define INTERLOCK_TYPES_WINDOWS_H

typedef struct {
  void *slim; /* an SRWLOCK */
} os_lock;
#define OS_LOCK_INIT {0}

static inline void os_lock_init(os_lock *lock)
{
  *lock = (os_lock)OS_LOCK_INIT;
}

void os_lock_acquire(os_lock *lock);
void os_lock_release(os_lock *lock);

/* A handler of Ctrl-C runs in a thread of its own, so there is nothing to block and no error number
   to keep. */
typedef char os_signals;

static inline void os_signals_block(os_signals *before)
{
  *before = 0;
}

static inline void os_signals_restore(const os_signals *before)
{
  (void)before;
}

static inline int os_error_get(void)
{
  return 0;
}

static inline void os_error_set(int error)
{
  (void)error;
}

#endif
