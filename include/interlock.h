/* interlock: locks, semaphores and atomic counters that any thread may use. Signatures use only
   int, int64_t and void *, so every language that can call C can call them: ctypes, a Numba kernel,
   cffi, C.

   SPDX-License-Identifier: BSD-2-Clause

   Handles. A constructor (ilk_KIND_new) returns a handle: an opaque void *, or NULL on failure. Any
   pointer-sized value may be passed where a handle is expected. If it is NULL, freed, of another
   kind, or random, the call returns ILK_EHANDLE. This also holds while another thread frees the
   handle: the call completes, or returns ILK_EHANDLE. ilk_KIND_free() returns ILK_EBUSY and changes
   nothing while the object is held (where its kind can tell) or while a thread waits for it.

   Results. An int result >= 0 is success; a result < 0 is one of the codes below. Functions that
   return a value return ILK_NO_VALUE on failure. After a failure, ilk_last_error() on the same
   thread returns the code; a success does not change it. Any function may fail with ILK_ENOMEM on a
   thread's first call, if there is no memory for the thread's record or if 65,536 threads already
   use the library.

   Time. timeout_ns is relative, in nanoseconds, on the monotonic clock: < 0 waits forever, 0 only
   tries, and no value overflows. A wait never times out early. For every operation X that may wait,
   X() is timedX() with a timeout of -1, and tryX() is timedX() with a timeout of 0 that returns
   ILK_EBUSY instead of ILK_ETIMEDOUT. Any wait may end with ILK_ECANCELED (ilk_cancel).

   Memory. What a thread did before a release is visible to the thread that acquires next, as with a
   pthread mutex. Atomic operations are sequentially consistent.

   Threads. Any thread may call. No function calls Python or needs its GIL; a wait releases the GIL
   (ilk_gil_hooks). No call is a cancellation point. Once a call has returned, it touches no memory
   of the caller's again. Destructors of thread-specific data and of C++ thread_local objects may
   call. A lock that such a destructor still holds when the thread ends is a dead thread's. After a
   call in the last round of destructors (PTHREAD_DESTRUCTOR_ITERATIONS), waiters detect that within
   a tenth of a second on Linux (for the main thread: where /proc is mounted), macOS and Windows,
   and not at all elsewhere; if it was the thread's first call, within as long again as they have
   waited, and not for a read lock. A call must not be left by asynchronous cancellation
   (PTHREAD_CANCEL_ASYNCHRONOUS), nor by longjmp() from a signal handler that has interrupted it.

   Signal handlers. Where ilk_backend() returns "futex", these functions are async-signal-safe, like
   sem_post(): ilk_semaphore_release(), ilk_event_set(), and ilk_counter_store(), _exchange(),
   _fetch_add() and _compare_exchange(). A handler may call them whatever it has interrupted, even
   as its thread's first call, and they preserve errno. No other function is async-signal-safe.

   fork(). In the child every handle stays valid. An owned lock whose holder did not survive the
   fork is acquired with ILK_OWNER_DIED. An unowned lock keeps its state until ilk_mutex_reset().
   Handlers installed with pthread_atfork() may call, before the fork and after it. fork() is
   not async-signal-safe: in a signal handler that has interrupted a call of this library it may
   deadlock. Use posix_spawn() there, or _Fork() and exec.

   Sandboxes. Where futex(2) is denied, a wait returns ILK_ENOTSUP. But glibc ends the process ("The
   futex facility returned an unexpected error code") as soon as two threads need one of its own
   locks at the same time; the library's short internal locks are such locks, as those of malloc()
   are. Threads that sleep when a sandbox begins to deny it are not woken any more.

   Windows. There is no fork. ILK_SHARED and robust locks return ILK_ENOTSUP. A timeout is rounded
   up to the system's timer, which may tick every 16 ms; it is never early. What a thread holds that
   TerminateThread() kills stays locked. The DLL is never unloaded.

   macOS. Robust locks return ILK_ENOTSUP, and ILK_SHARED does before 14.4. With ILK_SHARED the
   result of ilk_word_wake() is not exact; it is 1 for any number of threads if n is more than 1000.
   The clock stops while the machine sleeps, so a timeout lasts that much longer.

   dlopen(). Each thread uses up to 32 bytes of static thread-local storage. The C library reserves
   a little of it for libraries that are loaded late. When other libraries have used up that
   reserve, dlopen() fails with "cannot allocate memory in static TLS block". Then load this library
   earlier (link with it, or use LD_PRELOAD), or enlarge the reserve:
   GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1024. */
#ifndef INTERLOCK_H
#define INTERLOCK_H

#include <stdint.h>

#define ILK_VERSION_MAJOR 0
#define ILK_VERSION_MINOR 1
#define ILK_VERSION_PATCH 0
#define ILK_VERSION (ILK_VERSION_MAJOR * 10000 + ILK_VERSION_MINOR * 100 + ILK_VERSION_PATCH)

#if defined(_WIN32) && defined(ILK_BUILDS_LIBRARY)
#define ILK_API __declspec(dllexport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define ILK_API __attribute__((visibility("default")))
#else
#define ILK_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- result codes -------------------------------------------------------------- */

#define ILK_OK 0
#define ILK_OWNER_DIED 1   /* acquired, but the thread that held it is gone: check the data */
#define ILK_ETIMEDOUT (-1) /* the deadline passed */
#define ILK_EBUSY (-2)   /* a try found it taken; or it cannot be freed while held or waited for */
#define ILK_EHANDLE (-3) /* not a live handle of this kind */
#define ILK_EINVAL (-4)  /* an argument is out of range, NULL or misaligned */
#define ILK_EPERM (-5)   /* the caller does not hold it */
#define ILK_EDEADLK (-6) /* the wait would never end: the caller holds it, or a deadlock cycle */
#define ILK_EOVERFLOW (-7)  /* a count would pass its limit */
#define ILK_ENOMEM (-8)     /* no memory, or no free handle */
#define ILK_EBROKEN (-9)    /* the barrier is broken */
#define ILK_ECLOSED (-10)   /* the queue is closed */
#define ILK_ECANCELED (-11) /* waits are being cancelled */
#define ILK_ENOTSUP (-12)   /* not on this platform; or a sandbox denies waits (futex) */

/* What a function that returns a value returns on failure. */
#define ILK_NO_VALUE INT64_MIN

/* --- flags ---------------------------------------------------------------------- */

#define ILK_RECURSIVE 1 /* the holder may lock again; it must unlock as often */
#define ILK_FAIR 2      /* first come, first served */
#define ILK_UNOWNED 4   /* no thread owns it: any thread may unlock */
#define ILK_SHARED 8    /* the memory is shared between processes */
#define ILK_PADDED 16   /* one cache line per lock */

#define ILK_ROBUST_SIZE 64 /* size of a robust lock, in bytes */

/* --- mutex ----------------------------------------------------------------------

   Mutual exclusion. By default the thread that locked a mutex owns it: only that thread may unlock
   it, and a second lock by that thread returns ILK_EDEADLK. With ILK_RECURSIVE the owner may lock
   again, up to 2^32 - 1 times in all. With ILK_UNOWNED any thread may unlock, as with
   threading.Lock or a binary semaphore; a second lock by the same thread then waits like any other.

   A default mutex allows barging, for throughput: a running thread may acquire it before threads
   that sleep for it. No thread starves: if a woken waiter fails to acquire the mutex and has waited
   for more than a millisecond, the next unlock hands the mutex to the thread that has waited
   longest. With ILK_FAIR every unlock does that; each hand-off costs a thread switch.

   A waiting thread may spend a long time in a signal handler. Meanwhile a wake of a mutex or
   readers-writer lock goes to the next waiter in the queue, and the thread continues to wait when
   the handler returns. There are three exceptions. With ILK_FAIR, and in the hand-off to a thread
   that has waited too long, that thread receives the mutex, handler or not. If the handler begins
   after the wake and before the thread has locked, it delays the lock, as with other locks. The
   "macos" and "pthread" backends (ilk_backend()) cannot detect a running handler: all sleeping
   threads would have to wake up now and then. */

/* flags: any of ILK_RECURSIVE, ILK_FAIR and ILK_UNOWNED, but not RECURSIVE with UNOWNED.
   NULL: ILK_EINVAL (flags), ILK_ENOMEM. */
ILK_API void *ilk_mutex_new(int flags);

/* ILK_EBUSY: it is locked, or a thread waits for it. A mutex whose holder has died may be freed. */
ILK_API int ilk_mutex_free(void *mutex);

/* ILK_OK: locked. ILK_OWNER_DIED: locked, and the previous holder exited, or was left behind by a
   fork, without unlocking (owned mutexes only). ILK_EDEADLK: the caller holds it already, or the
   wait is part of a deadlock cycle: threads that all wait without a deadline, each for a lock that
   the next one holds. Within a second one of them returns ILK_EDEADLK and does not hold what it
   waited for. The others continue to wait, and acquire their locks once that thread has released
   its own. A cycle may include owned mutexes, readers and writers of readers-writer locks, lock
   arrays, word locks without ILK_SHARED, onces, and joined threads. If thousands of threads begin
   to wait at once, detection may take longer. ILK_EOVERFLOW: locked too often. trylock: ILK_EBUSY
   while it is held, also by the caller. */
ILK_API int ilk_mutex_lock(void *mutex);
ILK_API int ilk_mutex_trylock(void *mutex);
ILK_API int ilk_mutex_timedlock(void *mutex, int64_t timeout_ns);

/* ILK_EPERM: it is not held; or it is owned, and another thread holds it. (If two unlocks of one
   lock of an unowned mutex run at the same time, the mutex cannot distinguish them.) */
ILK_API int ilk_mutex_unlock(void *mutex);

/* 1: a thread holds it; 0: no thread holds it. The result may be out of date at once. */
ILK_API int ilk_mutex_is_locked(void *mutex);

/* How many times the caller holds it; 0: it does not. An unowned mutex: 1 while any thread holds
   it. */
ILK_API int ilk_mutex_depth(void *mutex);

/* Forces it unlocked, whichever thread holds it, and wakes a waiter. For a fork's child and for
   tests: the data that it protected may be in any state. The thread that holds it must not be in a
   lock or an unlock of it meanwhile. Otherwise that unlock may end later: it then unlocks the mutex
   also for another thread that has locked it since, and a handle freed since works again. */
ILK_API int ilk_mutex_reset(void *mutex);

/* --- readers-writer lock -----------------------------------------------------------

   Many readers or one writer. A waiting writer stops new readers, and readers that wait together
   are admitted together. A running thread may acquire a free lock before threads that sleep for it,
   until the first of these has waited for a millisecond; so neither readers nor writers starve. A
   thread that already reads may read again, also while a writer waits, and must unlock as often. It
   may hold up to 64 locks for reading at a time (beyond that, ILK_EOVERFLOW). A thread's read locks
   end with the thread.

   ILK_EDEADLK: the caller already holds it for writing; or it reads and asks to write; or a
   deadlock cycle, as with a mutex. ILK_OWNER_DIED: a writer exited while it held the lock. */

/* flags: 0, or ILK_FAIR: first come, first served, except that readers between two writers are
   admitted together. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_rwlock_new(int flags);

/* ILK_EBUSY: it is held, or a thread waits for it. */
ILK_API int ilk_rwlock_free(void *rwlock);

ILK_API int ilk_rwlock_read_lock(void *rwlock);
ILK_API int ilk_rwlock_read_trylock(void *rwlock);
ILK_API int ilk_rwlock_read_timedlock(void *rwlock, int64_t timeout_ns);

/* ILK_EPERM: the caller does not hold it for reading. */
ILK_API int ilk_rwlock_read_unlock(void *rwlock);

ILK_API int ilk_rwlock_write_lock(void *rwlock);
ILK_API int ilk_rwlock_write_trylock(void *rwlock);
ILK_API int ilk_rwlock_write_timedlock(void *rwlock, int64_t timeout_ns);

/* ILK_EPERM: the caller does not hold it for writing. */
ILK_API int ilk_rwlock_write_unlock(void *rwlock);

/* The writer becomes a reader; no other writer comes in between. ILK_EPERM: the caller does not
   hold it for writing. */
ILK_API int ilk_rwlock_downgrade(void *rwlock);

/* --- counting semaphore ------------------------------------------------------------

   A value that acquire decreases and release increases; acquire waits while it is 0. */

/* initial: 0..maximum. maximum <= 0 means INT32_MAX. NULL: ILK_EINVAL (another initial value, or a
   maximum above INT32_MAX), ILK_ENOMEM. */
ILK_API void *ilk_semaphore_new(int64_t initial, int64_t maximum);

/* ILK_EBUSY: a thread waits for it. */
ILK_API int ilk_semaphore_free(void *semaphore);

/* Waits until the value is above 0, and subtracts 1. Waiters are woken in the order in which they
   fell asleep; a running thread may acquire before a woken one does. */
ILK_API int ilk_semaphore_acquire(void *semaphore);
ILK_API int ilk_semaphore_tryacquire(void *semaphore);
ILK_API int ilk_semaphore_timedacquire(void *semaphore, int64_t timeout_ns);

/* Adds n >= 0 to the value and lets up to n waiters proceed. ILK_EINVAL: n < 0. ILK_EOVERFLOW: the
   value would exceed the maximum; nothing is released. */
ILK_API int ilk_semaphore_release(void *semaphore, int64_t n);

/* The value, >= 0; ILK_NO_VALUE: ILK_EHANDLE. */
ILK_API int64_t ilk_semaphore_value(void *semaphore);

/* --- condition ------------------------------------------------------------------------

   A thread waits for a state that a mutex protects. The mutex must be locked and may have any
   flags; a recursive one is released completely and reacquired to the same depth. Waiters are woken
   in the order in which they began to wait. A wait may end without a notify: recheck the state in a
   loop. */

/* flags: 0. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_condition_new(int flags);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_condition_free(void *condition);

/* Releases the mutex and waits, in one step as seen by a notify, and then reacquires the mutex,
   whatever ended the wait: a call that returns ILK_ETIMEDOUT or ILK_ECANCELED holds it, too.
   ILK_OWNER_DIED: the mutex was reacquired from a thread that is gone. ILK_EPERM: the caller does
   not hold the mutex. ILK_EHANDLE: either handle; if the mutex was freed during the wait, the
   caller does not hold it. */
ILK_API int ilk_condition_wait(void *condition, void *mutex);
ILK_API int ilk_condition_timedwait(void *condition, void *mutex, int64_t timeout_ns);

/* A resumable wait, for a caller that must interrupt its wait now and then; an interpreter, for
   example, runs signal handlers. With the mutex held, one thread calls begin, and then part again
   and again. From begin to the end of the wait the thread keeps its place among the waiters. A part
   that returns ILK_ETIMEDOUT or ILK_ECANCELED does not end the wait: a notify whose turn it is for
   this thread before the next part belongs to it, whichever threads begin to wait meanwhile, and
   ends the next part at once. Every other result ends the wait. end abandons the wait, after begin
   or after one of those two results, and returns 1 if a notify had come, which the caller may want
   to pass on, else 0. A thread that exits passes it on. Resumable waits may nest: if a thread has
   two on the same condition, calls belong to the one that began last. begin, part: ILK_EOVERFLOW:
   the thread already has 7 resumable waits. ilk_condition_free() returns ILK_EBUSY from begin to
   the end of the wait. */
ILK_API int ilk_condition_wait_begin(void *condition);
ILK_API int ilk_condition_wait_part(void *condition, void *mutex, int64_t timeout_ns);
ILK_API int ilk_condition_wait_end(void *condition);

/* Wakes up to n >= 0 waiters, or all of them. The mutex need not be held. ILK_EINVAL: n < 0. */
ILK_API int ilk_condition_notify(void *condition, int n);
ILK_API int ilk_condition_notify_all(void *condition);

/* --- resumable waits ------------------------------------------------------------------------

   For a thread that must interrupt its wait now and then (an interpreter, for example, runs signal
   handlers) and therefore makes a series of short timed waits. Between begin and end, a wait of the
   calling thread for that mutex or readers-writer lock that ends with ILK_ETIMEDOUT or
   ILK_ECANCELED keeps its place in the object's queue, and the next wait resumes there. Without
   begin, each wait would queue behind all others. Between two waits the thread is given nothing, so
   no thread waits for one that does not return; a release goes to the next waiter in the queue. (A
   writer that has waited for readers still stops new ones until those have left.)

   Between begin and end, a wait of the calling thread for that semaphore keeps its place, too: while
   it sleeps, it is woken before those that began to wait later. And a wait for that event also
   succeeds if the event was set at any moment since the begin, even if it was cleared at once;
   without begin, a set between two waits would be lost. (With a timeout of 0 only the flag counts.)

   Every begin needs an end, whatever the wait returned; a thread's exit ends all of its own.
   Resumable waits may nest: if a thread has two on the same object, calls belong to the one that
   began last. For other kinds both calls do nothing. A condition has its own calls, which also keep
   a notify.

   begin: ILK_EOVERFLOW: the thread already has 7 resumable waits. Both: ILK_EINVAL: the object is a
   condition; ILK_EHANDLE. end returns ILK_OK where none has begun. The free of a mutex or
   readers-writer lock returns ILK_EBUSY while a place is kept; a semaphore or event may be freed
   between two waits.

       ilk_wait_begin(m);
       while ((code = ilk_mutex_timedlock(m, 50000000)) == ILK_ETIMEDOUT)
         run_handlers();
       ilk_wait_end(m); */
ILK_API int ilk_wait_begin(void *object);
ILK_API int ilk_wait_end(void *object);

/* --- event ----------------------------------------------------------------------------

   A flag to wait for. A set releases every thread that waits at that moment, even if the flag is
   cleared at once. */

/* flags: 0. The event is not set at first. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_event_new(int flags);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_event_free(void *event);

ILK_API int ilk_event_set(void *event);
ILK_API int ilk_event_clear(void *event);
ILK_API int ilk_event_is_set(void *event); /* 1, 0 */
ILK_API int ilk_event_wait(void *event);
ILK_API int ilk_event_timedwait(void *event, int64_t timeout_ns);

/* --- barrier ---------------------------------------------------------------------------

   Like threading.Barrier: the first `parties` threads to wait are released together, then the next
   `parties`. A wait that times out or is cancelled breaks the barrier for all: every wait in
   progress, and every later one until ilk_barrier_reset(), returns ILK_EBROKEN. */

/* NULL: ILK_EINVAL (parties < 1), ILK_ENOMEM. */
ILK_API void *ilk_barrier_new(int parties);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_barrier_free(void *barrier);

/* Returns the caller's index in its round, 0..parties - 1, in order of arrival. The thread whose
   own wait ended early gets ILK_ETIMEDOUT or ILK_ECANCELED; all others get ILK_EBROKEN. A timeout
   of 0 also breaks the barrier, unless the caller is the last to arrive. */
ILK_API int ilk_barrier_wait(void *barrier);
ILK_API int ilk_barrier_timedwait(void *barrier, int64_t timeout_ns);

/* A resumable wait, for a caller that must interrupt its wait now and then, or that acts for its
   round.

   arrive: returns the caller's index, and stores at the aligned address `ticket` an int64_t for the
   calls below. ILK_ETIMEDOUT: a reset or an action was in progress the whole time. ILK_EINVAL: the
   address. After an error the caller has not arrived, and nothing is broken. With act != 0, the
   last thread to arrive acts for all: its round ends only when it calls complete, and no thread of
   the next round arrives before that.

   await: ILK_OK: the round is complete. No other result breaks anything: after it the caller may
   await again, or leave. ILK_EINVAL: ticket < 0. ILK_EPERM: no thread has arrived with that ticket.
   The thread that acts counts as not arrived; so do, in a fork's child, threads that arrived before
   the fork.

   leave: abandons the wait. ILK_OK: the round is complete. ILK_ETIMEDOUT: it was not, and the
   barrier is now broken. ILK_EBROKEN: it was broken before. ILK_EPERM: as above, or every thread
   has left.

   complete: only for the thread that acts. succeeded == 0 breaks the barrier. ILK_OK: the round is
   complete. ILK_EBROKEN: the barrier is broken. ILK_EPERM: no thread acts for that round.

   A thread that has arrived must get ILK_OK from await or complete, or call leave, or fail to
   complete: a reset waits for it. ilk_barrier_free() does not detect such a thread between two
   calls. */
ILK_API int ilk_barrier_arrive(void *barrier, int act, void *ticket, int64_t timeout_ns);
ILK_API int ilk_barrier_await(void *barrier, int64_t ticket, int64_t timeout_ns);
ILK_API int ilk_barrier_leave(void *barrier, int64_t ticket);
ILK_API int ilk_barrier_complete(void *barrier, int64_t ticket, int succeeded);

ILK_API int ilk_barrier_abort(void *barrier); /* breaks it */

/* Restores the initial state. Threads that wait inside get ILK_EBROKEN. */
ILK_API int ilk_barrier_reset(void *barrier);

ILK_API int ilk_barrier_is_broken(void *barrier); /* 1, 0 */
/* The number of waiting threads, 0..parties - 1. */
ILK_API int ilk_barrier_waiting(void *barrier);

/* --- latch -----------------------------------------------------------------------------

   A wait until a count is zero, for example until a set of tasks is done. The count may rise again;
   a waiter may miss a zero if the count rises again before the waiter checks it. */

/* NULL: ILK_EINVAL (count < 0), ILK_ENOMEM. */
ILK_API void *ilk_latch_new(int64_t count);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_latch_free(void *latch);

/* n >= 0, else ILK_EINVAL. add: ILK_EOVERFLOW: the count would exceed INT64_MAX. count_down:
   ILK_EINVAL: it would fall below zero. After an error nothing has changed. */
ILK_API int ilk_latch_add(void *latch, int64_t n);
ILK_API int ilk_latch_count_down(void *latch, int64_t n);

ILK_API int ilk_latch_wait(void *latch);
ILK_API int ilk_latch_trywait(void *latch);
ILK_API int ilk_latch_timedwait(void *latch, int64_t timeout_ns);

/* The count, >= 0; ILK_NO_VALUE: ILK_EHANDLE. */
ILK_API int64_t ilk_latch_value(void *latch);

/* --- once --------------------------------------------------------------------------------

   An action that one thread performs, once:
       if (ilk_once_begin(o) == 1) ilk_once_end(o, do_it()); */

/* flags: 0. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_once_new(int flags);

/* ILK_EBUSY: a thread has begun and not ended, or waits. */
ILK_API int ilk_once_free(void *once);

/* 1: the caller must act now, and then call end. 0: the action is done (waits while another thread
   acts). If the acting thread exits without end, a begin of another thread returns 1. ILK_EDEADLK:
   the caller itself has begun, or a deadlock cycle. trybegin: ILK_EBUSY: a thread is acting. */
ILK_API int ilk_once_begin(void *once);
ILK_API int ilk_once_trybegin(void *once);
ILK_API int ilk_once_timedbegin(void *once, int64_t timeout_ns);

/* succeeded == 0: the action counts as not done, and the next begin returns 1. ILK_EPERM: the
   caller did not begin it. */
ILK_API int ilk_once_end(void *once, int succeeded);

/* --- atomic counter ------------------------------------------------------------------

   A 64-bit integer that many threads change and wait for. All operations are sequentially
   consistent. */

ILK_API void *ilk_counter_new(int64_t initial);

/* ILK_EBUSY: a thread waits for it. */
ILK_API int ilk_counter_free(void *counter);

/* These return a value. ILK_NO_VALUE is a failure if ilk_last_error() says so; it may also be the
   counter's value. */
ILK_API int64_t ilk_counter_load(void *counter);
ILK_API int64_t ilk_counter_exchange(void *counter, int64_t value);  /* the previous value */
ILK_API int64_t ilk_counter_fetch_add(void *counter, int64_t delta); /* the previous value; wraps */

/* Stores `desired` if the value is `expected`. Returns the value seen, `expected` if it stored. */
ILK_API int64_t ilk_counter_compare_exchange(void *counter, int64_t expected, int64_t desired);

ILK_API int ilk_counter_store(void *counter, int64_t value);

/* Waits until the value is >= at_least. A waiter may miss a value that changes again before the
   waiter checks it. */
ILK_API int ilk_counter_wait(void *counter, int64_t at_least);
ILK_API int ilk_counter_timedwait(void *counter, int64_t at_least, int64_t timeout_ns);

/* --- tally -----------------------------------------------------------------------------

   A counter for many writers and few readers: each thread adds to its own cell. The sum wraps. It
   is exact once no thread adds; while threads add, a sum includes each concurrent add once or not
   at all. */

ILK_API void *ilk_tally_new(void);
ILK_API int ilk_tally_free(void *tally);
ILK_API int ilk_tally_add(void *tally, int64_t delta);

/* The sum. ILK_NO_VALUE is a failure if ilk_last_error() says so; it may also be the sum. */
ILK_API int64_t ilk_tally_sum(void *tally);

/* Sets the sum to 0. Concurrent adds may be counted or not. */
ILK_API int ilk_tally_reset(void *tally);

/* --- lock array --------------------------------------------------------------------------

   n small owned mutexes behind one handle: a lock for each bin, tile or row; 4 bytes each, or 64
   with ILK_PADDED. Results are as for a mutex. So is the bound on starvation, except that trylock
   may overtake. ILK_EINVAL: an index outside 0..n-1. */

/* NULL: ILK_EINVAL (n < 1, flags other than ILK_PADDED), ILK_ENOMEM. */
ILK_API void *ilk_lockarray_new(int64_t n, int flags);

/* ILK_EBUSY: a lock is held, or a thread waits for one. */
ILK_API int ilk_lockarray_free(void *array);

ILK_API int ilk_lockarray_lock(void *array, int64_t i);
ILK_API int ilk_lockarray_trylock(void *array, int64_t i);
ILK_API int ilk_lockarray_timedlock(void *array, int64_t i, int64_t timeout_ns);
ILK_API int ilk_lockarray_unlock(void *array, int64_t i);

/* Two locks, or one if i == j. Pairs and ranges do not deadlock against each other in any order, as
   long as the caller holds no other lock of the array. After an error this call holds none of them
   (if a range meets several dead holders and then fails, later calls may return ILK_OWNER_DIED
   again for locks between them). unlock: ILK_EPERM: the caller does not hold all of them; none is
   released. */
ILK_API int ilk_lockarray_lock_pair(void *array, int64_t i, int64_t j);
ILK_API int ilk_lockarray_trylock_pair(void *array, int64_t i, int64_t j);
ILK_API int ilk_lockarray_timedlock_pair(void *array, int64_t i, int64_t j, int64_t timeout_ns);
ILK_API int ilk_lockarray_unlock_pair(void *array, int64_t i, int64_t j);

/* The locks begin..end-1, 0 <= begin <= end <= n. */
ILK_API int ilk_lockarray_lock_range(void *array, int64_t begin, int64_t end);
ILK_API int ilk_lockarray_trylock_range(void *array, int64_t begin, int64_t end);
ILK_API int ilk_lockarray_timedlock_range(void *array, int64_t begin, int64_t end,
                                          int64_t timeout_ns);
ILK_API int ilk_lockarray_unlock_range(void *array, int64_t begin, int64_t end);

/* --- locks and waiting in the caller's own memory ---------------------------------------

   A word is 4 aligned bytes of any memory, all zero = unlocked: np.zeros(n, np.uint32). flags: 0,
   or ILK_SHARED for memory that several processes share (ILK_ENOTSUP where the system cannot wait
   between processes; for a lock, where it refuses to tell the thread's id). Every call for a word
   must pass the same flags. ILK_EINVAL: NULL, misaligned, or unknown flags.

   A word lock is owned. Without ILK_SHARED, the death of its holder is reported as for a mutex
   (ILK_OWNER_DIED). With ILK_SHARED it is not: the lock stays locked (ilk_robust_lock() reports
   it). A process that is killed while it waits delays the others by at most a tenth of a second.
   The processes must share one namespace of process ids. */

/* ILK_EDEADLK: the caller holds it; or a deadlock cycle, as with a mutex (not with ILK_SHARED; nor,
   on Linux, where a sandbox denies process_vm_readv(2)). */
ILK_API int ilk_word_lock(void *address, int flags);
ILK_API int ilk_word_trylock(void *address, int flags);
ILK_API int ilk_word_timedlock(void *address, int flags, int64_t timeout_ns);
ILK_API int ilk_word_unlock(void *address, int flags); /* ILK_EPERM: the caller does not hold it */

/* For compilers that inline the lock with flags 0. Returns the number, 1..2^30 - 1, that a word
   contains while the calling thread holds it and no thread waits; it never changes for a thread. To
   lock, compare-and-swap 0 to it (acquire); to unlock, compare-and-swap it to 0 (release). If
   either finds another value, call ilk_word_lock() or ilk_word_unlock(). Each thread asks for its
   own number. < 0: no memory, or a version of the library in which every lock and unlock must be a
   call. */
ILK_API int ilk_word_id(void);

/* Sleeps while the word is `expected` (its 32 bits as an int). ILK_OK: the thread was woken, the
   word is not `expected`, or the wake was spurious: recheck. */
ILK_API int ilk_word_wait(void *address, int expected, int flags, int64_t timeout_ns);

/* Wakes up to n >= 0 threads that wait for the word; returns how many. ILK_EINVAL: n < 0. */
ILK_API int ilk_word_wake(void *address, int n, int flags);

/* --- robust locks between processes ------------------------------------------------------------

   Mutual exclusion between the threads of processes that share memory, where any process may be
   killed at any moment. A lock is ILK_ROBUST_SIZE bytes of that memory, aligned to 8, all zero =
   unlocked; np.zeros((n, 8), np.int64) holds n of them, one per row. A lock needs no free. The
   thread that locked it owns it. If that thread ends without an unlock, however its process ends,
   the next thread to lock it gets ILK_OWNER_DIED and holds it: the data may be partly changed.
   After that thread's unlock the lock is as before; if that thread dies first, the next one gets
   ILK_OWNER_DIED again. No call makes the lock consistent, and no lock is ever lost.

   The lock is the system's robust mutex (PTHREAD_MUTEX_ROBUST of POSIX). The kernel keeps track of
   its holder: no process id is compared, so id namespaces and reused ids do not matter. Nothing
   else may write to the bytes, and the holder must keep them mapped. All processes must use the
   same C library, for the same processor. ILK_EINVAL: NULL, misaligned, or the bytes are not such a
   lock. ILK_ENOTSUP: the system has no robust mutexes. Deadlock cycles are not detected here.

       void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
       int code = ilk_robust_lock(table);
       if (code == ILK_OWNER_DIED)
         repair(table);
       if (code >= 0) {
         change(table);
         ilk_robust_unlock(table);
       } */

/* ILK_OK, ILK_OWNER_DIED: locked. ILK_EDEADLK: the caller holds it. trylock: ILK_EBUSY while it is
   held, also by the caller. */
ILK_API int ilk_robust_lock(void *address);
ILK_API int ilk_robust_trylock(void *address);
ILK_API int ilk_robust_timedlock(void *address, int64_t timeout_ns);

/* ILK_EPERM: the caller does not hold it. */
ILK_API int ilk_robust_unlock(void *address);

/* --- atomics on the elements of arrays ----------------------------------------------------

   All are sequentially consistent. The address is that of one aligned element. On failure
   (ILK_EINVAL: NULL or misaligned) the 64-bit functions return ILK_NO_VALUE and the 32-bit
   functions INT32_MIN. Either may also be the value; ilk_last_error() is set only by a failure. u32
   values are passed in the bits of an int, u64 values in those of an int64_t. A minimum or maximum
   that changes nothing writes nothing. */

ILK_API int ilk_atomic_load_i32(void *address);
ILK_API int ilk_atomic_store_i32(void *address, int value);
ILK_API int ilk_atomic_exchange_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_add_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_sub_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_and_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_or_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_xor_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_min_i32(void *address, int value);
ILK_API int ilk_atomic_fetch_max_i32(void *address, int value);
/* The value seen. */
ILK_API int ilk_atomic_compare_exchange_i32(void *address, int expected, int desired);

ILK_API int ilk_atomic_load_u32(void *address);
ILK_API int ilk_atomic_store_u32(void *address, int value);
ILK_API int ilk_atomic_exchange_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_add_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_sub_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_and_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_or_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_xor_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_min_u32(void *address, int value);
ILK_API int ilk_atomic_fetch_max_u32(void *address, int value);
/* The value seen. */
ILK_API int ilk_atomic_compare_exchange_u32(void *address, int expected, int desired);

ILK_API int64_t ilk_atomic_load_i64(void *address);
ILK_API int ilk_atomic_store_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_exchange_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_add_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_sub_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_and_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_or_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_xor_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_min_i64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_max_i64(void *address, int64_t value);
/* The value seen. */
ILK_API int64_t ilk_atomic_compare_exchange_i64(void *address, int64_t expected, int64_t desired);

ILK_API int64_t ilk_atomic_load_u64(void *address);
ILK_API int ilk_atomic_store_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_exchange_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_add_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_sub_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_and_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_or_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_xor_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_min_u64(void *address, int64_t value);
ILK_API int64_t ilk_atomic_fetch_max_u64(void *address, int64_t value);
/* The value seen. */
ILK_API int64_t ilk_atomic_compare_exchange_u64(void *address, int64_t expected, int64_t desired);

/* Whole slices: destination[k] = destination[k] OP source[k] for k = 0..n-1, in this order. Each
   element is updated atomically, the slice is not. Both slices must be aligned, n >= 0. They may
   overlap: each source element is read when its index is reached. Floats are added in their own
   type's arithmetic (32-bit x86 without SSE2 may round an f64 sum twice). Minimum and maximum are
   NaN where either operand is, as in numpy.minimum (the destination's NaN if both are). -0 and +0
   are equal, so the destination stays. ILK_EINVAL: NULL (with n > 0), misaligned, or n < 0. */
ILK_API int ilk_atomic_add_f32(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_min_f32(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_max_f32(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_add_f64(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_min_f64(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_max_f64(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_add_i32(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_min_i32(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_max_i32(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_add_i64(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_min_i64(void *destination, void *source, int64_t n);
ILK_API int ilk_atomic_max_i64(void *destination, void *source, int64_t n);

/* One operation on one element, for callers that learn type and operation at run time. Does
   *address = *address OPERATION *operand atomically, and stores the old value at *previous;
   previous may be NULL. type: the letter of Python's struct module, 'b' 'B' 'h' 'H' (8 and 16 bits)
   'i' 'I' 'q' 'Q' (32 and 64) 'f' 'd', and 'e', IEEE's binary16, whose sums are rounded to nearest.
   operand and previous need not be aligned. ILK_EINVAL: the address, the type, the operation, or
   the type has no such operation; or operand is NULL and the operation is not a load. */
ILK_API int ilk_atomic_apply(void *address, int type, int operation, void *operand, void *previous);

#define ILK_ATOMIC_LOAD 0
#define ILK_ATOMIC_STORE 1
#define ILK_ATOMIC_EXCHANGE 2
/* Operand: expected, then desired. Floats are compared as numbers. */
#define ILK_ATOMIC_COMPARE_EXCHANGE 3
#define ILK_ATOMIC_ADD 4 /* integers wrap */
#define ILK_ATOMIC_SUB 5
#define ILK_ATOMIC_AND 6 /* integers only, like the next two */
#define ILK_ATOMIC_OR 7
#define ILK_ATOMIC_XOR 8
#define ILK_ATOMIC_MIN 9 /* a NaN as above */
#define ILK_ATOMIC_MAX 10
/* A NaN is a missing number: any number replaces it, and it replaces none. */
#define ILK_ATOMIC_NANMIN 11
#define ILK_ATOMIC_NANMAX 12
#define ILK_ATOMIC_INC 13 /* integers: 0 if the value is >= operand, else value + 1 */
#define ILK_ATOMIC_DEC 14 /* integers: operand if the value is 0 or > operand, else value - 1 */

/* A sequentially consistent fence. */
ILK_API int ilk_atomic_fence(void);

/* --- queue ---------------------------------------------------------------------------------

   A bounded queue of int64_t, for many producers and many consumers. The items of one producer
   leave in the order in which they came. */

/* NULL: ILK_EINVAL (capacity < 1), ILK_ENOMEM. */
ILK_API void *ilk_queue_new(int64_t capacity);

/* ILK_EBUSY: a thread waits. Items that are still inside are dropped. */
ILK_API int ilk_queue_free(void *queue);

/* Waits while the queue is full. ILK_ECLOSED: it is closed. tryput: ILK_EBUSY: it is full. */
ILK_API int ilk_queue_put(void *queue, int64_t item);
ILK_API int ilk_queue_tryput(void *queue, int64_t item);
ILK_API int ilk_queue_timedput(void *queue, int64_t item, int64_t timeout_ns);

/* Waits while the queue is empty; stores the item as an int64_t at the aligned address `item`.
   ILK_ECLOSED: the queue is closed and empty. tryget: ILK_EBUSY: it is empty. ILK_EINVAL: the
   address. The put of the oldest item may not have returned, because its thread was preempted. Then
   tryget does not wait for that thread: it returns ILK_EBUSY, although puts of later items may have
   returned. */
ILK_API int ilk_queue_get(void *queue, void *item);
ILK_API int ilk_queue_tryget(void *queue, void *item);
ILK_API int ilk_queue_timedget(void *queue, void *item, int64_t timeout_ns);

/* After it no put succeeds; gets succeed until the queue is empty. Closing twice is not an
   error. */
ILK_API int ilk_queue_close(void *queue);
ILK_API int ilk_queue_is_closed(void *queue); /* 1, 0 */

/* The number of items at some moment during the call. */
ILK_API int64_t ilk_queue_size(void *queue);

/* A queue of records of `size` bytes, made of two queues of the same capacity. `slots` has room for
   `capacity` records. At first `unused` holds the numbers 0..capacity - 1 of all slots, and `used`
   is empty. putrecord copies the record at the address `record` into the queue; getrecord copies
   the oldest record to that address. Otherwise they behave like timedput and timedget. To close,
   close `used` first and then `unused`. No other call may put into these queues or get from them. A
   fork's child has lost the slots that other threads' calls were copying at that moment.
   ILK_EINVAL: size < 0, or beyond the address space; NULL (with size > 0). */
ILK_API int ilk_queue_putrecord(void *used, void *unused, void *slots, int64_t size, void *record,
                                int64_t timeout_ns);
ILK_API int ilk_queue_getrecord(void *used, void *unused, void *slots, int64_t size, void *record,
                                int64_t timeout_ns);

/* --- threads and time ------------------------------------------------------------------ */

/* Starts a thread that runs void function(void *argument), for example the address of a Numba
   cfunc. NULL: ILK_EINVAL (function is NULL), ILK_ENOMEM. A thread that is never joined leaves only
   its handle behind. */
ILK_API void *ilk_thread_start(void *function, void *argument);

/* Waits until the thread is gone: its function has returned or it has left by pthread_exit(), and
   locks that it still held can be acquired (ILK_OWNER_DIED). Success frees the handle; if several
   threads join, one succeeds, once the others have woken; a join whose deadline passes before that
   returns ILK_ETIMEDOUT. ILK_EDEADLK: the caller is that thread, or a deadlock cycle. In a
   fork's child, threads that were left behind are gone. */
ILK_API int ilk_thread_join(void *thread);
ILK_API int ilk_thread_timedjoin(void *thread, int64_t timeout_ns);

/* Frees the handle; the thread itself continues. ILK_EBUSY: a thread waits for it. */
ILK_API int ilk_thread_free(void *thread);

/* Thread-local values: one void * per thread, NULL at first. The values are not freed; their
   storage is, with the local and with the thread. */
ILK_API void *ilk_local_new(void);
ILK_API int ilk_local_free(void *local);
ILK_API int ilk_local_set(void *local, void *value);
ILK_API void *ilk_local_get(void *local); /* NULL: not set, or a failure */

/* Slices: memory per thread, for counting without sharing; the slices are merged when the threads
   are done. A thread gets the same slice at every call. When it exits, its slice stays with its
   contents, and a later thread continues with it; so there are never more slices than there were
   threads at the same time.

   `bytes` >= 1 is the size of a slice, which begins on its own cache line. `initial` is the address
   of `bytes` bytes that each new slice starts with, or NULL for zeros. NULL: ILK_EINVAL (bytes),
   ILK_ENOMEM. */
ILK_API void *ilk_slices_new(int64_t bytes, void *initial);

/* Frees the slices, except those whose companion has not called ilk_slices_drop(). */
ILK_API int ilk_slices_free(void *slices);

/* Returns the calling thread's slice, which its first call makes. NULL: ILK_ENOMEM, ILK_EHANDLE. */
ILK_API void *ilk_slices_get(void *slices);

/* Iterates over all slices: returns the first for NULL; NULL after the last, or on failure
   (ILK_EINVAL: misaligned). A slice may be read once the adds to it happen before the read. */
ILK_API void *ilk_slices_next(void *slices, void *slice);

/* Resets every slice to its initial contents. No thread may use its slice meanwhile. */
ILK_API int ilk_slices_clear(void *slices);

/* For compilers that count references. A slice's own thread attaches a companion, once. The
   companion is stored in the word before the slice, ((void **)slice)[-1] (NULL: none yet). The
   slice then stays until ilk_slices_drop(), whose argument is the address of a word that contains
   the slice's address. When the slices are freed, `release`, void release(void *companion), is
   called. ILK_EINVAL: NULL or misaligned. */
ILK_API int ilk_slices_attach(void *slice, void *companion, void *release);
ILK_API int ilk_slices_drop(void *place);

/* The calling thread's number, 1..2^30 - 1; no other thread has it while this thread lives. */
ILK_API int64_t ilk_thread_id(void);

/* The operating system's number for the calling thread (Linux: gettid). 0: a sandbox denies it. */
ILK_API int64_t ilk_thread_native_id(void);

/* Yields the processor to other threads. */
ILK_API int ilk_thread_yield(void);

/* The number of CPUs that this process may run on; >= 1. */
ILK_API int ilk_cpu_count(void);

/* Sleeps for at least ns nanoseconds. ILK_EINVAL: ns < 0. ILK_ECANCELED. */
ILK_API int ilk_sleep(int64_t ns);

/* The monotonic clock, in nanoseconds since a fixed moment. */
ILK_API int64_t ilk_clock(void);

/* --- diagnosis --------------------------------------------------------------------------- */

/* The code of this thread's last failed call; ILK_OK if none has failed. */
ILK_API int ilk_last_error(void);

/* A code's name, "ILK_EBUSY"; "ILK_UNKNOWN" for other numbers. A constant string, never NULL. */
ILK_API void *ilk_error_name(int code);

/* The version of the loaded library, in the form of ILK_VERSION: major * 10000 + minor * 100 +
   patch. */
ILK_API int ilk_version(void);

/* How threads sleep: "futex", "macos", "pthread" or "windows". A constant string. */
ILK_API void *ilk_backend(void);

/* How unlock orders its store: "asymmetric" (a plain store, and membarrier(2) where a thread waits)
   or "symmetric" (an exchange). If a sandbox denies membarrier after the library was loaded, it is
   "symmetric" from then on. A constant string. ilk_fence() is the older name; the memory fence is
   ilk_atomic_fence(). */
ILK_API void *ilk_fence_kind(void);
ILK_API void *ilk_fence(void);

/* The number of live handles, of all kinds. The second is the older name. */
ILK_API int64_t ilk_live_handles(void);
ILK_API int64_t ilk_live(void);

/* A report for a person whose program hangs: each live handle with its kind, id, state, holder and
   waiters, and how long these have waited. Writes up to `size` bytes at `buffer`, including a
   terminating NUL. Returns the number of bytes that the whole text needs, including its NUL. buffer
   may be NULL if size is 0. ILK_NO_VALUE: ILK_EINVAL, ILK_ENOMEM. */
ILK_API int64_t ilk_report(void *buffer, int64_t size);

/* The number of threads that sleep in a wait, including ilk_sleep(), at some moment during the
   call. */
ILK_API int ilk_waiting(void);

/* on != 0: every wait in this process, now and later, ends with ILK_ECANCELED until a call with on
   == 0. Returns once every thread that slept has been woken. A fork's child inherits the
   setting. */
ILK_API int ilk_cancel(int on);

/* 1: waits are being cancelled; 0: they are not. One load, for a loop that computes without waiting
   and ends itself when waits are cancelled. */
ILK_API int ilk_cancelled(void);

/* Python's GIL. If a thread holds the GIL and begins to sleep in a wait, in a join or in
   ilk_sleep(), it releases the GIL first and reacquires it at the end of the call, provided the
   library has these four functions. So a kernel that was compiled without nogil=True cannot wait
   for a thread that waits for the GIL. The Python package sets them when it is imported. A call
   that does not sleep calls none of them.

     current   void *(void): returns the Python thread state with which the calling thread is
               attached to its interpreter (holds the GIL), or NULL: PyThreadState_GetUnchecked
     own       NULL. Before Python 3.12 `current` is _PyThreadState_UncheckedGet, which returns the
               state of whichever thread holds the GIL; then `own` is void *(void) and returns the
               calling thread's state: PyGILState_GetThisThreadState. The thread holds the GIL if
               both return the same state and it is not NULL.
     save      void *(void): releases the GIL, and returns what restore needs: PyEval_SaveThread
     restore   void (void *): reacquires it: PyEval_RestoreThread

   `restore` is the last step of a call, after it has acquired what it waited for. So a call with a
   deadline may return later than that, while another thread keeps the GIL. If the interpreter has
   finalized meanwhile, Python may end the thread there, or make it sleep forever: then a lock that
   it has just acquired is a dead thread's, or stays locked. save and restore run with cancellation
   disabled.

   All NULL: no hooks, the initial state; sleeping calls that released the GIL still reacquire it.
   The functions must stay callable as long as any thread may wait. Those named above do, even after
   Py_Finalize(); call this with NULL before libpython is unmapped. ILK_EINVAL: one of current, save
   and restore is NULL, but not all four arguments. ILK_ENOMEM. */
ILK_API int ilk_gil_hooks(void *current, void *own, void *save, void *restore);

/* Allows one message on stderr about waits that begin with the GIL held. With hooks (ilk_gil_hooks)
   it is a hint about speed: the GIL is held until the wait begins and again from its end. Without
   hooks it warns of a likely deadlock: no other Python thread can run to end the wait. Both name
   the thread, what it waits for, and the holder of that.

   `function` is int (void) and returns whether the calling thread holds the GIL (PyGILState_Check).
   With hooks it is not called: they show it. NULL: no message, the initial state. It must stay
   callable as long as any thread may wait. A thread that has slept in a wait for a second without a
   break, with a deadline or without (not in ilk_sleep()), checks. The first thread that holds the
   GIL, or has released it, prints the message, and then continues to wait. Each call of this
   function allows one more message. The Python package calls it when it is imported. */
ILK_API int ilk_gil_probe(void *function);

/* Methods in C for the Python package, whose calls from Python code then need no ctypes. The
   library is built without Python.h: the package hands over the addresses of the functions of
   Python's stable ABI that the methods call. Nothing else of the library calls them, and programs
   without that package have no use for these three.

   ilk_python_symbol: the name of the address that belongs at index `i`, a string, or NULL after the
   last.

   ilk_python_methods: `addresses` are these addresses, in that order; `header` is the size of a
   Python object's header, object.__basicsize__. Returns an array of PyMethodDef that ends with a
   NULL name, and stays valid. Their documentation is NULL. An object with one of these methods
   begins, after its header, with a handle (void *) and 64 bits; while these are not 0, the method
   leaves everything to Python code. The method reports what it cannot do at once, an error or a
   wait, by calling the Python method `_python_` and its own name. NULL and ILK_EINVAL: the header
   has an impossible size. NULL and ILK_EBUSY: the process has set other addresses already.

   ilk_python_numpy: `api` is the array of addresses in numpy's capsule `_ARRAY_API`, which the
   method for atomics on arrays needs. ILK_ENOTSUP: this version of numpy's ABI is not known;
   ILK_EINVAL: NULL. */
ILK_API void *ilk_python_symbol(int i);
ILK_API void *ilk_python_methods(void *addresses, int64_t header);
ILK_API int ilk_python_numpy(void *api);

#ifdef __cplusplus
}
#endif

#endif
