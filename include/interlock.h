/* interlock: locks, semaphores and atomic counters that any thread may use, with
   signatures of int, int64_t and void * alone, so that every language that can
   call C at all can call them: ctypes, a Numba kernel, cffi, C.

   SPDX-License-Identifier: BSD-2-Clause

   Handles. A constructor (ilk_KIND_new) answers a handle: an opaque void *, NULL on
   failure. Any pointer-sized value may be passed where a handle is expected: one
   that is NULL, freed, of another kind, or random answers ILK_EHANDLE. That holds
   too while another thread frees the handle: a call completes, or answers
   ILK_EHANDLE. ilk_KIND_free() answers ILK_EBUSY while the object is held (where
   its kind can tell) or a thread waits for it, and then nothing has changed.

   Results. An int >= 0 is success, < 0 one of the codes below. Functions that answer
   a value answer ILK_NO_VALUE on failure. After a failure, ilk_last_error() of the
   same thread tells the code; a success does not change it. Every function may
   answer ILK_ENOMEM, at a thread's first call, when there is no memory for the
   thread's record, or when 65,536 threads use the library already.

   Time. timeout_ns is relative, in nanoseconds, on the monotonic clock: < 0 waits for
   ever, 0 only tries, and no value overflows. A wait never times out early. For every
   operation X that may wait, X() is timedX(-1), and tryX() is timedX(0) with ILK_EBUSY
   in place of ILK_ETIMEDOUT. Every wait may end with ILK_ECANCELED (ilk_cancel).

   Memory. What a thread did before it released is seen by who acquires next, as with
   a pthread mutex. Atomic operations are sequentially consistent.

   Threads. Nothing here calls Python or needs its GIL, which a wait releases
   (ilk_gil_hooks); any thread may call. No call is a cancellation point. Once a call has returned, it touches no memory of the caller's
   again. Destructors of thread-specific data and of C++'s thread_local may call. What
   such a destructor holds as the thread ends is a dead thread's; after a call in the
   last round of them (PTHREAD_DESTRUCTOR_ITERATIONS), those who wait for it learn that
   within a tenth of a second on Linux, and not at all elsewhere.

   Signal handlers. Where ilk_backend() is "futex", these are async-signal-safe, as sem_post() is: ilk_semaphore_release(),
   ilk_event_set(), and ilk_counter_store(), _exchange(), _fetch_add() and _compare_exchange(). A handler may
   call them whatever it has interrupted, also as its thread's first call, and they leave errno as it was. No other call is.

   fork(). In the child every handle stays valid. An owned lock whose holder did not
   survive is acquired with ILK_OWNER_DIED; an unowned one stays as it was until
   ilk_mutex_reset(). Handlers of pthread_atfork() may call, before the fork and after.

   dlopen(). Each thread has up to 32 bytes of static thread-local storage, of which the C library keeps
   a little for libraries that are loaded late. When others have used that up, dlopen() fails with
   "cannot allocate memory in static TLS block". Then load this library earlier (link with it,
   LD_PRELOAD), or ask for more: GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1024. */
#ifndef INTERLOCK_H
#define INTERLOCK_H

#include <stdint.h>

#define ILK_VERSION_MAJOR 0
#define ILK_VERSION_MINOR 1
#define ILK_VERSION_PATCH 0
#define ILK_VERSION (ILK_VERSION_MAJOR * 10000 + ILK_VERSION_MINOR * 100 + ILK_VERSION_PATCH)

#if defined(__GNUC__) && !defined(_WIN32)
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
#define ILK_EBUSY (-2)     /* a try found it taken; or it cannot be freed while held or waited on */
#define ILK_EHANDLE (-3)   /* not a live handle of this kind */
#define ILK_EINVAL (-4)    /* an argument is out of range, NULL or misaligned */
#define ILK_EPERM (-5)     /* the caller does not hold it */
#define ILK_EDEADLK (-6)   /* the wait could never end: for itself, directly or in a deadlock cycle */
#define ILK_EOVERFLOW (-7) /* a count would pass its limit */
#define ILK_ENOMEM (-8)    /* no memory, or no free handle */
#define ILK_EBROKEN (-9)   /* the barrier is broken */
#define ILK_ECLOSED (-10)  /* the queue is closed */
#define ILK_ECANCELED (-11) /* waits are being cancelled */
#define ILK_ENOTSUP (-12)  /* not on this platform; a wait: a sandbox denies the system call (futex) with which threads sleep */

/* What a function that answers a value answers on failure. */
#define ILK_NO_VALUE INT64_MIN

/* --- flags ---------------------------------------------------------------------- */

#define ILK_RECURSIVE 1 /* the holder may lock again, and unlocks as often */
#define ILK_FAIR 2      /* first come, first served */
#define ILK_UNOWNED 4   /* belongs to no thread: any may unlock */
#define ILK_SHARED 8    /* the memory is shared between processes */
#define ILK_PADDED 16   /* one cache line for each lock */

#define ILK_ROBUST_SIZE 64 /* bytes of a robust lock */

/* --- mutex ----------------------------------------------------------------------

   Mutual exclusion. By default a mutex is owned by the thread that locked it: only
   that thread may unlock, and locking it again answers ILK_EDEADLK. With
   ILK_RECURSIVE the owner may lock again, up to 2^32 times. With ILK_UNOWNED any
   thread may unlock, as with threading.Lock or a binary semaphore; a second lock by
   the same thread then waits like any other.

   A default mutex lets a running thread overtake sleeping ones, for throughput, but
   none starves: once a waiter that was awake has waited for a millisecond in vain,
   the next unlock hands the mutex to the thread that has waited longest. ILK_FAIR
   always does that; each hand-over then costs a switch of threads.

   A thread that waits may run a signal handler for long. A wake meanwhile goes to the next in the
   queue, of a mutex as of a readers-writer lock, and the thread goes on waiting when the handler returns. Not so:
   with ILK_FAIR, and in a hand-over to one that has starved, which give the mutex to that thread, handler or
   not; if the handler begins after the wake and before the thread has locked, as with other locks; and with
   the "pthread" backend (ilk_backend()), which cannot tell: all sleepers would have to get up now and then. */

/* flags: any of ILK_RECURSIVE, ILK_FAIR, ILK_UNOWNED, but not RECURSIVE with UNOWNED.
   NULL: ILK_EINVAL (flags), ILK_ENOMEM. */
ILK_API void *ilk_mutex_new(int flags);

/* ILK_EBUSY: locked, or waited for. One whose holder has died may be freed. */
ILK_API int ilk_mutex_free(void *mutex);

/* ILK_OK: locked. ILK_OWNER_DIED: locked, and the thread that held it exited, or was
   left behind by a fork, without unlocking (owned mutexes only).
   ILK_EDEADLK: the caller holds it already; or the wait is part of a deadlock cycle: threads that wait, all
   without a deadline, each for a lock that the next one holds. Within a second one of them returns
   ILK_EDEADLK and does not hold what it waited for; the others wait on, and get theirs once that one has
   released what it holds. A cycle may go through owned mutexes, readers and writers of readers-writer
   locks, lock arrays, word locks without ILK_SHARED, onces, and threads that are joined. If thousands of
   threads begin to wait at once, it may take longer.
   ILK_EOVERFLOW: locked too often. trylock: ILK_EBUSY while held, by the caller too. */
ILK_API int ilk_mutex_lock(void *mutex);
ILK_API int ilk_mutex_trylock(void *mutex);
ILK_API int ilk_mutex_timedlock(void *mutex, int64_t timeout_ns);

/* ILK_EPERM: it is not held; or, owned, held by another thread. (An unowned mutex
   cannot tell two unlocks of one lock apart when they run at the same time.) */
ILK_API int ilk_mutex_unlock(void *mutex);

/* 1: somebody holds it, 0: nobody does; a moment later that may have changed. */
ILK_API int ilk_mutex_is_locked(void *mutex);

/* How many times the caller holds it: 0: it does not. An unowned mutex: 1 while anybody does. */
ILK_API int ilk_mutex_depth(void *mutex);

/* Forces it unlocked, whoever holds it, and lets a waiter on. For a fork's child and
   for tests: the data it protected is in whatever state it is. */
ILK_API int ilk_mutex_reset(void *mutex);

/* --- readers-writer lock -----------------------------------------------------------

   Many readers or one writer. A waiting writer stops new readers, and readers that wait
   together are let in together. Who runs may take a free lock before those who sleep for
   it; once the first of these has waited for a millisecond, nobody may, so neither
   readers nor writers starve. A thread that reads already may read again, also
   while a writer waits, and unlocks as often; it may hold up to 64 locks for reading at
   a time (then ILK_EOVERFLOW). A thread's read locks end with the thread.

   ILK_EDEADLK: the caller holds it for writing already; or it reads and wants to write;
   or a deadlock cycle, as with a mutex. ILK_OWNER_DIED: a writer exited while it held the lock. */

/* flags: 0, or ILK_FAIR: first come, first served, but that readers between two writers go
   together. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_rwlock_new(int flags);

/* ILK_EBUSY: held, or waited for. */
ILK_API int ilk_rwlock_free(void *rwlock);

ILK_API int ilk_rwlock_read_lock(void *rwlock);
ILK_API int ilk_rwlock_read_trylock(void *rwlock);
ILK_API int ilk_rwlock_read_timedlock(void *rwlock, int64_t timeout_ns);

/* ILK_EPERM: the caller does not read. */
ILK_API int ilk_rwlock_read_unlock(void *rwlock);

ILK_API int ilk_rwlock_write_lock(void *rwlock);
ILK_API int ilk_rwlock_write_trylock(void *rwlock);
ILK_API int ilk_rwlock_write_timedlock(void *rwlock, int64_t timeout_ns);

/* ILK_EPERM: the caller does not write. */
ILK_API int ilk_rwlock_write_unlock(void *rwlock);

/* The writer becomes a reader; no writer in between. ILK_EPERM: the caller does not write. */
ILK_API int ilk_rwlock_downgrade(void *rwlock);

/* --- counting semaphore ------------------------------------------------------------ */

/* initial: 0..maximum, else NULL with ILK_EINVAL. maximum <= 0: no bound but INT32_MAX;
   above INT32_MAX: ILK_EINVAL. */
ILK_API void *ilk_semaphore_new(int64_t initial, int64_t maximum);

/* ILK_EBUSY: a thread waits for it. */
ILK_API int ilk_semaphore_free(void *semaphore);

/* Waits until the value is above 0, and takes 1 from it. */
ILK_API int ilk_semaphore_acquire(void *semaphore);
ILK_API int ilk_semaphore_tryacquire(void *semaphore);
ILK_API int ilk_semaphore_timedacquire(void *semaphore, int64_t timeout_ns);

/* Adds n >= 0 to the value and lets as many waiters on. ILK_EINVAL: n < 0.
   ILK_EOVERFLOW: it would pass the maximum; then nothing is released. */
ILK_API int ilk_semaphore_release(void *semaphore, int64_t n);

/* The value, >= 0; ILK_NO_VALUE: ILK_EHANDLE. */
ILK_API int64_t ilk_semaphore_value(void *semaphore);

/* --- condition ------------------------------------------------------------------------

   Waiting for something that a mutex protects. Used with a locked mutex of any flags; a
   recursive one is given up whole and taken back to the same depth. Waiters are woken
   in the order in which they came. A wait may end without a notify: look again. */

/* flags: 0. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_condition_new(int flags);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_condition_free(void *condition);

/* Gives up the mutex and waits, in one step as seen by a notify; then takes the mutex
   back, whatever ended the wait: ILK_ETIMEDOUT and ILK_ECANCELED too are answered with
   the mutex held. ILK_OWNER_DIED: taken back from a thread that is gone. ILK_EPERM: the
   caller does not hold the mutex. ILK_EHANDLE: of either handle; if the mutex was freed
   during the wait, it is not held. */
ILK_API int ilk_condition_wait(void *condition, void *mutex);
ILK_API int ilk_condition_timedwait(void *condition, void *mutex, int64_t timeout_ns);

/* A wait in parts, for a caller that must look up now and then, as an interpreter that has
   signal handlers to run. With the mutex held: begin, then a part after the other, in one thread.
   From begin to the end of the wait the thread has its place among the waiters. A part that returns
   ILK_ETIMEDOUT or ILK_ECANCELED leaves it there: a notify that is for it, in its turn, before the next
   part is its own, whoever begins to wait meanwhile, and ends that part at once. Every other result
   ends the wait. end: gives up, after one of those two or after begin; 1: a notify had come, which the
   caller may want to pass on; 0: none. A thread that exits passes it on. Waits may nest: where two of
   one thread are for the same condition, calls belong to the one that began last. begin, part:
   ILK_EOVERFLOW: the thread is in 7 waits in parts already. ilk_condition_free() returns ILK_EBUSY from
   begin to the end of the wait. */
ILK_API int ilk_condition_wait_begin(void *condition);
ILK_API int ilk_condition_wait_part(void *condition, void *mutex, int64_t timeout_ns);
ILK_API int ilk_condition_wait_end(void *condition);

/* Wakes up to n >= 0 waiters, or all. The mutex need not be held. ILK_EINVAL: n < 0. */
ILK_API int ilk_condition_notify(void *condition, int n);
ILK_API int ilk_condition_notify_all(void *condition);

/* --- waits in parts ------------------------------------------------------------------------

   For a thread that must look up now and then, as an interpreter that has signal handlers to run,
   and so waits in a row of short timed waits. Between begin and end, a wait of the calling thread
   for that mutex or readers-writer lock that ends with ILK_ETIMEDOUT or ILK_ECANCELED keeps its
   place in the object's queue, and the next one goes on from there. Without that each would queue
   up anew, behind all others. Between two parts nothing is given to the thread, so nobody waits for
   one that does not come back; a release meanwhile goes to the next in the queue.

   Every begin needs an end, whatever came of the wait; a thread's exit ends all of its own. Waits may
   nest: where two of one thread are for the same object, calls belong to the one that began last. Kinds
   that have no such queue (a semaphore, an event) lose nothing at a time-out: for them both calls
   do nothing. A condition has calls of its own, which also keep a notify.

   begin: ILK_EOVERFLOW: the thread is in 7 waits in parts already. Both: ILK_EINVAL: it is a condition;
   ILK_EHANDLE. end, where none has begun: ILK_OK. The object's free returns ILK_EBUSY while a place is
   kept.

       ilk_wait_begin(m);
       while ((code = ilk_mutex_timedlock(m, 50000000)) == ILK_ETIMEDOUT)
         run_handlers();
       ilk_wait_end(m); */
ILK_API int ilk_wait_begin(void *object);
ILK_API int ilk_wait_end(void *object);

/* --- event ----------------------------------------------------------------------------

   A flag to wait for. A set lets all go that wait at that moment, even if it is cleared
   at once. */

/* flags: 0; not set at first. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_event_new(int flags);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_event_free(void *event);

ILK_API int ilk_event_set(void *event);
ILK_API int ilk_event_clear(void *event);
ILK_API int ilk_event_is_set(void *event); /* 1, 0 */
ILK_API int ilk_event_wait(void *event);
ILK_API int ilk_event_timedwait(void *event, int64_t timeout_ns);

/* --- barrier ---------------------------------------------------------------------------

   As threading.Barrier: the first `parties` threads to wait go on together, then the
   next. A wait that times out or is cancelled breaks the barrier for all: every wait
   inside, and until ilk_barrier_reset() every later one, answers ILK_EBROKEN. */

/* NULL: ILK_EINVAL (parties < 1), ILK_ENOMEM. */
ILK_API void *ilk_barrier_new(int parties);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_barrier_free(void *barrier);

/* The caller's place in its round, 0..parties - 1, in the order of arrival. The thread
   whose own wait ended early gets ILK_ETIMEDOUT or ILK_ECANCELED, all others
   ILK_EBROKEN. A timeout of 0 breaks it too, unless the caller is the last to arrive. */
ILK_API int ilk_barrier_wait(void *barrier);
ILK_API int ilk_barrier_timedwait(void *barrier, int64_t timeout_ns);

/* A wait in parts, for a caller that must look up now and then, or that acts for its round.

   arrive: the caller's place, and at the aligned address `ticket` an int64_t for the calls
   below. ILK_ETIMEDOUT: a reset or an action went on all the time; ILK_EINVAL: the address.
   After an error it has not arrived, and nothing is broken.
   With act != 0, the last to arrive acts for all: its round goes on only when it
   says complete, and until then nobody else arrives.

   await: ILK_OK: the round is complete. After any other answer the caller may await again,
   as nothing is broken by it, or leave. ILK_EINVAL: ticket < 0. ILK_EPERM: nobody has arrived with
   that ticket: who acts has not, nor have those in a fork's child that arrived before the fork.

   leave: gives up. ILK_OK: the round is complete; ILK_ETIMEDOUT: it was not, and the barrier is
   broken now; ILK_EBROKEN: it was before; ILK_EPERM: as above, or all have left.

   complete, by who acts: with succeeded == 0 it breaks the barrier. ILK_OK: the round is
   complete; ILK_EBROKEN: broken; ILK_EPERM: nobody acts for that round.

   Who arrived must get ILK_OK from await or complete, or leave, or fail to complete: a reset
   waits for it. ilk_barrier_free() does not see it between two calls. */
ILK_API int ilk_barrier_arrive(void *barrier, int act, void *ticket, int64_t timeout_ns);
ILK_API int ilk_barrier_await(void *barrier, int64_t ticket, int64_t timeout_ns);
ILK_API int ilk_barrier_leave(void *barrier, int64_t ticket);
ILK_API int ilk_barrier_complete(void *barrier, int64_t ticket, int succeeded);

ILK_API int ilk_barrier_abort(void *barrier); /* breaks it */

/* Makes it as new. Threads that wait inside get ILK_EBROKEN. */
ILK_API int ilk_barrier_reset(void *barrier);

ILK_API int ilk_barrier_is_broken(void *barrier); /* 1, 0 */
ILK_API int ilk_barrier_waiting(void *barrier);   /* how many wait, 0..parties - 1 */

/* --- latch -----------------------------------------------------------------------------

   Wait until a count is zero: for a set of tasks to be done. The count may rise again; a
   zero that is left again before a waiter looks may be missed. */

/* NULL: ILK_EINVAL (count < 0), ILK_ENOMEM. */
ILK_API void *ilk_latch_new(int64_t count);

/* ILK_EBUSY: a thread waits. */
ILK_API int ilk_latch_free(void *latch);

/* n >= 0, else ILK_EINVAL. add: ILK_EOVERFLOW past INT64_MAX. count_down: ILK_EINVAL
   below zero. After an error nothing has changed. */
ILK_API int ilk_latch_add(void *latch, int64_t n);
ILK_API int ilk_latch_count_down(void *latch, int64_t n);

ILK_API int ilk_latch_wait(void *latch);
ILK_API int ilk_latch_trywait(void *latch);
ILK_API int ilk_latch_timedwait(void *latch, int64_t timeout_ns);

/* The count, >= 0; ILK_NO_VALUE: ILK_EHANDLE. */
ILK_API int64_t ilk_latch_value(void *latch);

/* --- once --------------------------------------------------------------------------------

   Something that is done by one thread, once:
       if (ilk_once_begin(o) == 1) ilk_once_end(o, do_it()); */

/* flags: 0. NULL: ILK_EINVAL, ILK_ENOMEM. */
ILK_API void *ilk_once_new(int flags);

/* ILK_EBUSY: a thread has begun and not ended, or waits. */
ILK_API int ilk_once_free(void *once);

/* 1: do it now, then call end. 0: it is done (waits while another thread does it). If
   the thread that does it exits without an end, another is told 1. ILK_EDEADLK: the
   caller itself has begun it, or a deadlock cycle. trybegin: ILK_EBUSY: somebody does it. */
ILK_API int ilk_once_begin(void *once);
ILK_API int ilk_once_trybegin(void *once);
ILK_API int ilk_once_timedbegin(void *once, int64_t timeout_ns);

/* succeeded == 0: it is not done after all, and the next begin is told 1. ILK_EPERM: the
   caller did not begin it. */
ILK_API int ilk_once_end(void *once, int succeeded);

/* --- atomic counter ------------------------------------------------------------------

   A 64-bit integer that many threads change, and wait for. All operations are
   sequentially consistent. */

ILK_API void *ilk_counter_new(int64_t initial);

/* ILK_EBUSY: a thread waits for it. */
ILK_API int ilk_counter_free(void *counter);

/* These answer a value: ILK_NO_VALUE is a failure if ilk_last_error() says so, but
   may also be the counter's value. */
ILK_API int64_t ilk_counter_load(void *counter);
ILK_API int64_t ilk_counter_exchange(void *counter, int64_t value);  /* the previous value */
ILK_API int64_t ilk_counter_fetch_add(void *counter, int64_t delta); /* the previous value; wraps */

/* Stores `desired` if the value is `expected`; answers the value seen: `expected` if it was stored. */
ILK_API int64_t ilk_counter_compare_exchange(void *counter, int64_t expected, int64_t desired);

ILK_API int ilk_counter_store(void *counter, int64_t value);

/* Waits until the value is >= at_least. A value that is reached and left again before
   a waiter looks may be missed. */
ILK_API int ilk_counter_wait(void *counter, int64_t at_least);
ILK_API int ilk_counter_timedwait(void *counter, int64_t at_least, int64_t timeout_ns);

/* --- tally -----------------------------------------------------------------------------

   A counter for many writers and few readers: each thread adds to a cell of its own. The
   sum wraps. It is exact once the adders are quiet; while they add, it counts each add
   once, before or after. */

ILK_API void *ilk_tally_new(void);
ILK_API int ilk_tally_free(void *tally);
ILK_API int ilk_tally_add(void *tally, int64_t delta);

/* The sum; ILK_NO_VALUE is a failure if ilk_last_error() says so, but may be the sum. */
ILK_API int64_t ilk_tally_sum(void *tally);

/* Makes the sum 0. Adds that run at the same time may be counted or not. */
ILK_API int ilk_tally_reset(void *tally);

/* --- lock array --------------------------------------------------------------------------

   n small owned mutexes behind one handle: a lock for each bin, tile or row; 4 bytes
   each, or 64 with ILK_PADDED. Results are as for a mutex, and so is the bound on
   starving, but that tries may overtake; ILK_EINVAL: an index outside 0..n-1. */

/* NULL: ILK_EINVAL (n < 1, flags other than ILK_PADDED), ILK_ENOMEM. */
ILK_API void *ilk_lockarray_new(int64_t n, int flags);

/* ILK_EBUSY: one is held, or waited for. */
ILK_API int ilk_lockarray_free(void *array);

ILK_API int ilk_lockarray_lock(void *array, int64_t i);
ILK_API int ilk_lockarray_trylock(void *array, int64_t i);
ILK_API int ilk_lockarray_timedlock(void *array, int64_t i, int64_t timeout_ns);
ILK_API int ilk_lockarray_unlock(void *array, int64_t i);

/* Two locks, or one if i == j. Pairs and ranges do not deadlock against each other,
   whatever the order, as long as the caller holds no other lock of the array. After an
   error none is held by this call (a range that met several dead holders before it failed
   may tell ILK_OWNER_DIED again for locks between them). unlock: ILK_EPERM if the caller does not hold all,
   and then none is released. */
ILK_API int ilk_lockarray_lock_pair(void *array, int64_t i, int64_t j);
ILK_API int ilk_lockarray_trylock_pair(void *array, int64_t i, int64_t j);
ILK_API int ilk_lockarray_timedlock_pair(void *array, int64_t i, int64_t j, int64_t timeout_ns);
ILK_API int ilk_lockarray_unlock_pair(void *array, int64_t i, int64_t j);

/* The locks begin..end-1, 0 <= begin <= end <= n. */
ILK_API int ilk_lockarray_lock_range(void *array, int64_t begin, int64_t end);
ILK_API int ilk_lockarray_trylock_range(void *array, int64_t begin, int64_t end);
ILK_API int ilk_lockarray_timedlock_range(void *array, int64_t begin, int64_t end, int64_t timeout_ns);
ILK_API int ilk_lockarray_unlock_range(void *array, int64_t begin, int64_t end);

/* --- locks and waiting in the caller's own memory ---------------------------------------

   4 aligned bytes of any memory, all zero = unlocked: np.zeros(n, np.uint32). flags: 0 or
   ILK_SHARED, for memory that several processes share (ILK_ENOTSUP where the system has no
   such waiting); every call for a word must give the same flags. ILK_EINVAL: NULL,
   misaligned, unknown flags.

   A word lock is owned. Without ILK_SHARED, the death of its holder is told as for a
   mutex (ILK_OWNER_DIED); with it, it is not: the lock stays locked (ilk_robust_lock() reports it). A process that is killed while it waits
   holds up the others for a tenth of a second at most. The processes must share one namespace of process ids. */

/* ILK_EDEADLK: the caller holds it; or a deadlock cycle, as with a mutex (not with ILK_SHARED; nor, on Linux, where
   a sandbox refuses process_vm_readv(2)). */
ILK_API int ilk_word_lock(void *address, int flags);
ILK_API int ilk_word_trylock(void *address, int flags);
ILK_API int ilk_word_timedlock(void *address, int flags, int64_t timeout_ns);
ILK_API int ilk_word_unlock(void *address, int flags); /* ILK_EPERM: the caller does not hold it */

/* For compilers, which can write the lock of flags 0 into their code: the number, 1..2^30 - 1,
   that a word contains while the calling thread holds it and nobody waits; always the same for
   one thread. To lock, compare-and-swap 0 to it (acquire); to unlock, it to 0 (release); where
   that finds another value, call ilk_word_lock() or ilk_word_unlock(). Each thread asks for
   its own. < 0: no memory, or a version of the library in which all must call. */
ILK_API int ilk_word_id(void);

/* Sleeps while the word is `expected` (its 32 bits as an int). ILK_OK: woken, or the word
   is not `expected`, or for no reason: look again. */
ILK_API int ilk_word_wait(void *address, int expected, int flags, int64_t timeout_ns);

/* Wakes up to n >= 0 threads that wait for the word; answers how many. ILK_EINVAL: n < 0. */
ILK_API int ilk_word_wake(void *address, int n, int flags);

/* --- robust locks between processes ------------------------------------------------------------

   Mutual exclusion between the threads of processes that share memory, where any of them may be killed at
   any moment. A lock is ILK_ROBUST_SIZE bytes of that memory, aligned to 8, all zero = unlocked, so
   np.zeros((n, 8), np.int64) has n of them, one a row; nothing is to be freed. It is owned by the thread that locked
   it. If that thread ends without an unlock, in whatever way its process ends, the next to lock it is told
   ILK_OWNER_DIED and holds it: the data may be half changed. Once it has unlocked it, all is as before;
   if it dies first, the next is told again. Nothing need be made consistent, and no lock is ever lost.

   It is the system's robust mutex (PTHREAD_MUTEX_ROBUST of POSIX), whose holders the kernel knows: no number of a
   process is compared, so namespaces and numbers that are used again do not matter. Others may not write to the
   bytes, and whoever holds the lock keeps them mapped. All processes must use the same C library, for the
   same processor. ILK_EINVAL: NULL, misaligned, or bytes that are no such lock; ILK_ENOTSUP: the system has no
   robust mutexes. Deadlock cycles are not searched for here.

       void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
       int code = ilk_robust_lock(table);
       if (code == ILK_OWNER_DIED)
         repair(table);
       if (code >= 0) {
         change(table);
         ilk_robust_unlock(table);
       } */

/* ILK_OK, ILK_OWNER_DIED: locked. ILK_EDEADLK: the caller holds it. trylock: ILK_EBUSY while held, by the
   caller too. */
ILK_API int ilk_robust_lock(void *address);
ILK_API int ilk_robust_trylock(void *address);
ILK_API int ilk_robust_timedlock(void *address, int64_t timeout_ns);

/* ILK_EPERM: the caller does not hold it. */
ILK_API int ilk_robust_unlock(void *address);

/* --- atomics on the elements of arrays ----------------------------------------------------

   Sequentially consistent. The address is that of one aligned element. On failure
   (ILK_EINVAL: NULL or misaligned) the 64-bit kinds answer ILK_NO_VALUE, the 32-bit
   kinds INT32_MIN; either may also be the value: ilk_last_error() was set iff it failed.
   u32 values travel in the bits of an int, u64 values in those of an int64_t. A minimum
   or maximum that changes nothing writes nothing. */

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
ILK_API int ilk_atomic_compare_exchange_i32(void *address, int expected, int desired); /* the value seen */

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
ILK_API int ilk_atomic_compare_exchange_u32(void *address, int expected, int desired); /* the value seen */

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
ILK_API int64_t ilk_atomic_compare_exchange_i64(void *address, int64_t expected, int64_t desired); /* the value seen */

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
ILK_API int64_t ilk_atomic_compare_exchange_u64(void *address, int64_t expected, int64_t desired); /* the value seen */

/* Whole slices: destination[k] = destination[k] OP source[k] for k = 0..n-1, in this
   order, each element atomically, the slice not. Both aligned; they may overlap: each
   source element is read when its turn comes. n >= 0. Floats add in the
   type's own arithmetic; minimum and maximum are NaN where either is, as in numpy.minimum
   (the destination's, if both are); -0 and +0 are equal, so the destination stays.
   ILK_EINVAL: NULL (with n > 0), misaligned, n < 0. */
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

/* One operation on one element of any type, for callers that know them only when they run:
   *address = *address OPERATION *operand, all at once; what was there goes to *previous,
   which may be NULL. type: the letter that Python's struct module has for it, 'b' 'B' 'h'
   'H' (8 and 16 bits) 'i' 'I' 'q' 'Q' (32 and 64) 'f' 'd', and 'e', IEEE's binary16, whose
   sums are rounded to nearest. operand and previous need not be aligned. ILK_EINVAL: the
   address, the type, the operation, or that type has not that operation; operand is NULL,
   but for a load. */
ILK_API int ilk_atomic_apply(void *address, int type, int operation, void *operand, void *previous);

#define ILK_ATOMIC_LOAD 0
#define ILK_ATOMIC_STORE 1
#define ILK_ATOMIC_EXCHANGE 2
#define ILK_ATOMIC_COMPARE_EXCHANGE 3 /* operand: two, expected and desired; floats are compared as numbers */
#define ILK_ATOMIC_ADD 4              /* integers wrap */
#define ILK_ATOMIC_SUB 5
#define ILK_ATOMIC_AND 6 /* integers only, as the next two */
#define ILK_ATOMIC_OR 7
#define ILK_ATOMIC_XOR 8
#define ILK_ATOMIC_MIN 9 /* with NaN as above */
#define ILK_ATOMIC_MAX 10
#define ILK_ATOMIC_NANMIN 11 /* a NaN is a number missing: any number replaces it, it replaces none */
#define ILK_ATOMIC_NANMAX 12
#define ILK_ATOMIC_INC 13 /* integers: 0 if it is >= operand, else + 1 */
#define ILK_ATOMIC_DEC 14 /* integers: operand if it is 0 or > operand, else - 1 */

/* A sequentially consistent fence. */
ILK_API int ilk_atomic_fence(void);

/* --- queue ---------------------------------------------------------------------------------

   A bounded queue of int64_t, for many producers and many consumers; the items of one
   producer leave in the order in which they came. */

/* NULL: ILK_EINVAL (capacity < 1), ILK_ENOMEM. */
ILK_API void *ilk_queue_new(int64_t capacity);

/* ILK_EBUSY: a thread waits. What is still inside is dropped. */
ILK_API int ilk_queue_free(void *queue);

/* Waits while the queue is full. ILK_ECLOSED: it is closed. tryput: ILK_EBUSY: full. */
ILK_API int ilk_queue_put(void *queue, int64_t item);
ILK_API int ilk_queue_tryput(void *queue, int64_t item);
ILK_API int ilk_queue_timedput(void *queue, int64_t item, int64_t timeout_ns);

/* Waits while the queue is empty; stores the item as an int64_t at the aligned address
   `item`. ILK_ECLOSED: closed, and empty. tryget: ILK_EBUSY: empty. ILK_EINVAL: the address.
   The oldest item may be one whose put has not returned, because its thread was preempted. Then tryget
   does not wait for that thread, but returns ILK_EBUSY, although puts of later items may have returned. */
ILK_API int ilk_queue_get(void *queue, void *item);
ILK_API int ilk_queue_tryget(void *queue, void *item);
ILK_API int ilk_queue_timedget(void *queue, void *item, int64_t timeout_ns);

/* No put succeeds any more; gets go on until it is empty. Closing twice is no error. */
ILK_API int ilk_queue_close(void *queue);
ILK_API int ilk_queue_is_closed(void *queue); /* 1, 0 */

ILK_API int64_t ilk_queue_size(void *queue); /* items inside, at a moment ago */

/* A queue of records of `size` bytes: `slots` has room for as many as the capacity of two
   queues of the same capacity. `unused` holds at first the numbers 0..capacity - 1 of all
   slots, `used` nothing. putrecord copies the record at the address `record` into the queue, getrecord
   copies the oldest to there; else as timedput and timedget. To close, close `used` first and then
   `unused`. Nothing else may put into these queues or get from them. */
ILK_API int ilk_queue_putrecord(void *used, void *unused, void *slots, int64_t size, void *record, int64_t timeout_ns);
ILK_API int ilk_queue_getrecord(void *used, void *unused, void *slots, int64_t size, void *record, int64_t timeout_ns);

/* --- threads and time ------------------------------------------------------------------ */

/* Starts a thread that runs void function(void *argument), e.g. a Numba cfunc's address.
   NULL: ILK_EINVAL (function is NULL), ILK_ENOMEM. A thread that is never joined leaves
   nothing behind but its handle. */
ILK_API void *ilk_thread_start(void *function, void *argument);

/* Waits until it is gone: its function has returned, or it has left by pthread_exit(), and
   locks that it still held can be had (ILK_OWNER_DIED). Success frees the handle: of
   several that join, one succeeds. ILK_EDEADLK: the caller is that thread, or a deadlock cycle. In
   a fork's child, the threads that stayed behind are gone. */
ILK_API int ilk_thread_join(void *thread);
ILK_API int ilk_thread_timedjoin(void *thread, int64_t timeout_ns);

/* Gives up the handle; the thread itself goes on. ILK_EBUSY: a thread waits for it. */
ILK_API int ilk_thread_free(void *thread);

/* Thread-local values: one void * for each thread, NULL at first. The values are not
   freed; the room for them is, with the local and with the thread. */
ILK_API void *ilk_local_new(void);
ILK_API int ilk_local_free(void *local);
ILK_API int ilk_local_set(void *local, void *value);
ILK_API void *ilk_local_get(void *local); /* NULL: not set, or a failure */

/* Slices: memory for each thread, to count without sharing, and to merge when the threads
   are done. A thread has the same slice at every call. When it exits, the slice stays, with
   what is in it, and a later thread continues with it; so there are never more slices than
   there were threads at the same time.

   `bytes` >= 1 is the size of a slice, which begins on a cache line of its own; `initial` is
   the address of `bytes` bytes that each new slice begins with, or NULL for zeros.
   NULL: ILK_EINVAL (bytes), ILK_ENOMEM. */
ILK_API void *ilk_slices_new(int64_t bytes, void *initial);

/* Frees the slices, except those with a companion that has not dropped them. */
ILK_API int ilk_slices_free(void *slices);

/* The calling thread's slice, made at its first call. NULL: ILK_ENOMEM, ILK_EHANDLE. */
ILK_API void *ilk_slices_get(void *slices);

/* All slices, one after another: the first for NULL; NULL after the last, or a failure. A
   slice may be read once the adds to it happen before the read. */
ILK_API void *ilk_slices_next(void *slices, void *slice);

/* Every slice is again as at first. No thread may use its slice meanwhile. */
ILK_API int ilk_slices_clear(void *slices);

/* For compilers that count references. A slice's own thread gives it a companion, once, which
   is then the word before the slice, ((void **)slice)[-1] (NULL: none yet). The slice stays until
   ilk_slices_drop(), whose argument is the address of a word with the slice's address. When
   the slices are freed, `release`, void release(void *companion), is called. EINVAL: NULL or misaligned. */
ILK_API int ilk_slices_attach(void *slice, void *companion, void *release);
ILK_API int ilk_slices_drop(void *place);

/* A number, 1..2^30 - 1, that is this thread's alone while it lives. */
ILK_API int64_t ilk_thread_id(void);

/* The operating system's number for this thread (Linux: gettid). */
ILK_API int64_t ilk_thread_native_id(void);

/* Lets other threads run. */
ILK_API int ilk_thread_yield(void);

/* The CPUs that this process may run on; >= 1. */
ILK_API int ilk_cpu_count(void);

/* Sleeps for at least ns nanoseconds. ILK_EINVAL: ns < 0. ILK_ECANCELED. */
ILK_API int ilk_sleep(int64_t ns);

/* The monotonic clock, in nanoseconds since some fixed moment. */
ILK_API int64_t ilk_clock(void);

/* --- diagnosis --------------------------------------------------------------------------- */

/* The code of this thread's last call that failed; ILK_OK if none did. */
ILK_API int ilk_last_error(void);

/* A code's name, "ILK_EBUSY"; "ILK_UNKNOWN" for other numbers. A constant string, never NULL. */
ILK_API void *ilk_error_name(int code);

/* The version of the library in use, as ILK_VERSION: major * 10000 + minor * 100 + patch. */
ILK_API int ilk_version(void);

/* How it sleeps: "futex" or "pthread". A constant string. */
ILK_API void *ilk_backend(void);

/* How unlock orders its store: "asymmetric" (a plain store, and membarrier(2) where somebody waits)
   or "symmetric" (an exchange). It is "symmetric" from then on where a sandbox denies membarrier
   after the library was loaded. A constant string. (ilk_atomic_fence() is a fence; this is the older name.) */
ILK_API void *ilk_fence_kind(void);
ILK_API void *ilk_fence(void);

/* The number of live handles, of all kinds. The second is the older name. */
ILK_API int64_t ilk_live_handles(void);
ILK_API int64_t ilk_live(void);

/* A text for a person with a hung program: each live handle with its kind, id, state,
   holder and waiters, and how long these have waited. Writes up to `size` bytes at
   `buffer`, ending with a NUL; answers the bytes that the whole text needs, its NUL
   included. buffer may be NULL if size is 0. ILK_NO_VALUE: ILK_EINVAL, ILK_ENOMEM. */
ILK_API int64_t ilk_report(void *buffer, int64_t size);

/* How many threads sleep in a wait, ilk_sleep() included, at a moment ago. */
ILK_API int ilk_waiting(void);

/* on != 0: every wait, now and later, in this process ends with ILK_ECANCELED, until
   on == 0. Returns once those that were asleep have been told. A fork's child inherits it. */
ILK_API int ilk_cancel(int on);

/* 1: waits are being cancelled, 0: they are not. One load: for a loop that computes and does not wait,
   and ends itself then. */
ILK_API int ilk_cancelled(void);

/* Python's GIL. A thread that holds the GIL and begins to sleep in a wait, in a join or in
   ilk_sleep() releases it first, and reacquires it at the end of the call, if the library
   knows how: so a kernel that was compiled without nogil=True cannot wait for a thread that
   waits for the GIL. These four functions tell it; the Python package hands them over when
   it is imported. A call that does not sleep calls none of them.

     current   void *(void): the Python thread state with which the calling thread is attached
               to its interpreter (holds the GIL), or NULL: PyThreadState_GetUnchecked
     own       NULL. Before Python 3.12 `current` is _PyThreadState_UncheckedGet, which
               returns the state of whatever thread holds the GIL; then `own` is void *(void)
               and returns the calling thread's state: PyGILState_GetThisThreadState. The
               thread holds the GIL if both return the same, not NULL.
     save      void *(void): releases the GIL, and returns what restore needs: PyEval_SaveThread
     restore   void (void *): reacquires it: PyEval_RestoreThread

   `restore` is the last step of a call, after it has acquired what it waited for. So a call
   with a deadline may return later than that, as long as another thread keeps the GIL; and
   Python may end the thread there, or have it sleep for ever, if the interpreter has
   finalized meanwhile: then a lock that it has just acquired is that of a dead thread, or
   stays locked. Both run with cancellation disabled.

   All NULL: no hooks, as at first; sleeping calls that released the GIL still reacquire it.
   The functions must stay callable as long as any thread may wait. Those named above do,
   after Py_Finalize() too; call this with NULL before libpython is unmapped.
   ILK_EINVAL: one of current, save and restore is NULL, but not all four. ILK_ENOMEM. */
ILK_API int ilk_gil_hooks(void *current, void *own, void *save, void *restore);

/* Has the library say one thing on stderr about waits that begin with the GIL held: with
   hooks (ilk_gil_hooks), a hint about speed, for the GIL is held until the wait and from its
   end; without, a warning of what looks like a deadlock, for no other Python thread can run
   to end the wait. Both name the thread, what it waits for, and who holds that.

   `function` is int (void) and tells whether the calling thread holds the GIL
   (PyGILState_Check); with hooks they tell, and it is not called. NULL: nothing is said, as
   at first. It must be callable as long as any thread may wait. A thread that has slept for
   a second at a stretch in a wait, with a deadline or without (ilk_sleep() is none), checks;
   the first that holds the GIL, or has released it, says so, and then waits on. Each call of
   this allows one more message. The Python package calls it when it is imported. */
ILK_API int ilk_gil_probe(void *function);

#ifdef __cplusplus
}
#endif

#endif
