"""The library's objects as Numba jitclasses, each with one field `ptr`, its handle.

They are for nopython code, which can make them too. The methods are those of the classes in `interlock`, with these
differences:

- Only `close()` frees the handle of an instance. For a queue that is `free()`, because `close()` closes the queue.
- A condition has no lock of its own: pass it to `wait` and `wait_for`.
- A barrier has no `parties`, a lock array no length, a queue no `capacity`.
- A semaphore's `maximum` sets a bound. A BoundedSemaphore's bound is at least 1.
- No warning is issued when a lock's owner has exited without a release.

Called from Python, the methods hold the GIL except while they sleep. There, use the classes in `interlock`. In nopython
code, give a constructor all its arguments: Numba fills in defaults for methods, but not for constructors. In Python code,
give a method its arguments by position: Numba accepts no keywords there.

With ``NUMBA_DISABLE_JIT=1`` they are plain classes with the same field and methods.
"""

from numba import types
from numba.core import config
from numba.experimental import jitclass

from . import nb
from ._constants import ILK_FAIR, ILK_PADDED, ILK_RECURSIVE, ILK_UNOWNED

if config.DISABLE_JIT:
    from ._numba.plain import view
else:
    from ._numba.kernels import view

# A view is what the methods of a kind are called on: it is made of the handle, and of what else they need.
_barrier, _counter, _event, _latch = view("Barrier"), view("Counter"), view("Event"), view("Latch")
_bounded, _semaphore = view("BoundedSemaphore", "maximum"), view("Semaphore")
_condition, _lock_array, _mutex = view("Condition", "lock"), view("LockArray", "length"), view("Mutex")
_local, _once, _queue, _rwlock, _tally = view("Local"), view("Once"), view("Queue"), view("RWLock"), view("Tally")

_ANY_LENGTH = -1  # of a lock array, for the message of an error
_NO_LOCK = 0

_jitclass = jitclass([("ptr", types.intp)])


class _Mutex:
    """The methods of `Lock`, `RLock` and `Mutex`."""

    def acquire(self, blocking=True, timeout=-1):
        return _mutex(self.ptr).acquire(blocking, timeout)

    def release(self):
        return _mutex(self.ptr).release()

    def locked(self):
        return _mutex(self.ptr).locked()

    def close(self):
        if self.ptr != 0:
            _mutex(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Lock(_Mutex):
    """As `interlock.Lock`."""

    def __init__(self):
        self.ptr = nb.ilk_mutex_new(ILK_UNOWNED)
        self.ptr = _mutex(self.ptr)._created


@_jitclass
class RLock(_Mutex):
    """As `interlock.RLock`."""

    def __init__(self):
        self.ptr = nb.ilk_mutex_new(ILK_RECURSIVE)
        self.ptr = _mutex(self.ptr)._created


@_jitclass
class Mutex(_Mutex):
    """As `interlock.Mutex`."""

    def __init__(self, fair=False, recursive=False):
        self.ptr = nb.ilk_mutex_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0))
        self.ptr = _mutex(self.ptr)._created


@_jitclass
class RWLock:
    """As `interlock.RWLock`."""

    def __init__(self):
        self.ptr = nb.ilk_rwlock_new(0)
        self.ptr = _rwlock(self.ptr)._created

    def acquire_read(self, blocking=True, timeout=-1):
        return _rwlock(self.ptr).acquire_read(blocking, timeout)

    def release_read(self):
        return _rwlock(self.ptr).release_read()

    def acquire_write(self, blocking=True, timeout=-1):
        return _rwlock(self.ptr).acquire_write(blocking, timeout)

    def release_write(self):
        return _rwlock(self.ptr).release_write()

    def downgrade(self):
        return _rwlock(self.ptr).downgrade()

    def close(self):
        if self.ptr != 0:
            _rwlock(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Semaphore:
    """As `interlock.Semaphore`."""

    def __init__(self, value=1, maximum=0):
        self.ptr = nb.ilk_semaphore_new(value, maximum)
        self.ptr = _semaphore(self.ptr)._created

    def acquire(self, blocking=True, timeout=None):
        return _semaphore(self.ptr).acquire(blocking, timeout)

    def release(self, n=1):
        return _semaphore(self.ptr).release(n)

    @property
    def value(self):
        return _semaphore(self.ptr).value

    def close(self):
        if self.ptr != 0:
            _semaphore(self.ptr)._free()
            self.ptr = 0


@_jitclass
class BoundedSemaphore:
    """As `interlock.BoundedSemaphore`."""

    def __init__(self, value=1):
        self.ptr = nb.ilk_semaphore_new(value if value > 0 else -1, value)  # to the library a bound of 0 means none
        self.ptr = _bounded(self.ptr, 2**31 - 1)._created

    def acquire(self, blocking=True, timeout=None):
        return _bounded(self.ptr, 2**31 - 1).acquire(blocking, timeout)

    def release(self, n=1):
        return _bounded(self.ptr, 2**31 - 1).release(n)

    @property
    def value(self):
        return _bounded(self.ptr, 2**31 - 1).value

    def close(self):
        if self.ptr != 0:
            _bounded(self.ptr, 2**31 - 1)._free()
            self.ptr = 0


@_jitclass
class Condition:
    """As `interlock.Condition`."""

    def __init__(self):
        self.ptr = nb.ilk_condition_new(0)
        self.ptr = _condition(self.ptr, _NO_LOCK)._created

    def wait(self, lock, timeout=None):
        return _condition(self.ptr, lock.ptr).wait(timeout)

    def wait_for(self, lock, predicate, timeout=None):
        result = predicate()
        if timeout is None:
            while not result:
                self.wait(lock)
                result = predicate()
        else:
            deadline = nb.ilk_clock() / 1e9 + timeout
            while not result:
                left = deadline - nb.ilk_clock() / 1e9
                if left <= 0:
                    break
                self.wait(lock, left)
                result = predicate()
        return result

    def notify(self, n=1):
        _condition(self.ptr, _NO_LOCK)._notify(n)

    def notify_all(self):
        _condition(self.ptr, _NO_LOCK)._notify_all()

    def close(self):
        if self.ptr != 0:
            _condition(self.ptr, _NO_LOCK)._free()
            self.ptr = 0


@_jitclass
class Event:
    """As `interlock.Event`."""

    def __init__(self):
        self.ptr = nb.ilk_event_new(0)
        self.ptr = _event(self.ptr)._created

    def set(self):
        return _event(self.ptr).set()

    def clear(self):
        return _event(self.ptr).clear()

    def is_set(self):
        return _event(self.ptr).is_set()

    def wait(self, timeout=None):
        return _event(self.ptr).wait(timeout)

    def close(self):
        if self.ptr != 0:
            _event(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Barrier:
    """As `interlock.Barrier`."""

    def __init__(self, parties):
        self.ptr = nb.ilk_barrier_new(parties if 0 < parties < 2**31 else 0)  # an int: others would be truncated
        self.ptr = _barrier(self.ptr)._created

    def wait(self, timeout=None):
        return _barrier(self.ptr).wait(timeout)

    def abort(self):
        return _barrier(self.ptr).abort()

    def reset(self):
        return _barrier(self.ptr).reset()

    @property
    def n_waiting(self):
        return _barrier(self.ptr).n_waiting

    @property
    def broken(self):
        return _barrier(self.ptr).broken

    def close(self):
        if self.ptr != 0:
            _barrier(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Latch:
    """As `interlock.Latch`."""

    def __init__(self, count):
        self.ptr = nb.ilk_latch_new(count)
        self.ptr = _latch(self.ptr)._created

    def add(self, n=1):
        return _latch(self.ptr).add(n)

    def count_down(self, n=1):
        return _latch(self.ptr).count_down(n)

    def wait(self, timeout=None):
        return _latch(self.ptr).wait(timeout)

    @property
    def value(self):
        return _latch(self.ptr).value

    def close(self):
        if self.ptr != 0:
            _latch(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Once:
    """As `interlock.Once`."""

    def __init__(self):
        self.ptr = nb.ilk_once_new(0)
        self.ptr = _once(self.ptr)._created

    def begin(self):
        return _once(self.ptr).begin()

    def end(self, succeeded=True):
        return _once(self.ptr).end(succeeded)

    def close(self):
        if self.ptr != 0:
            _once(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Counter:
    """As `interlock.Counter`."""

    def __init__(self, initial=0):
        self.ptr = nb.ilk_counter_new(initial)
        self.ptr = _counter(self.ptr)._created

    def load(self):
        return _counter(self.ptr).load()

    def store(self, value):
        return _counter(self.ptr).store(value)

    def exchange(self, value):
        return _counter(self.ptr).exchange(value)

    def fetch_add(self, delta=1):
        return _counter(self.ptr).fetch_add(delta)

    def compare_exchange(self, expected, desired):
        return _counter(self.ptr).compare_exchange(expected, desired)

    def wait(self, at_least, timeout=None):
        return _counter(self.ptr).wait(at_least, timeout)

    def close(self):
        if self.ptr != 0:
            _counter(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Tally:
    """As `interlock.Tally`."""

    def __init__(self):
        self.ptr = nb.ilk_tally_new()
        self.ptr = _tally(self.ptr)._created

    def add(self, delta=1):
        return _tally(self.ptr).add(delta)

    def sum(self):
        return _tally(self.ptr).sum()

    def reset(self):
        return _tally(self.ptr).reset()

    def close(self):
        if self.ptr != 0:
            _tally(self.ptr)._free()
            self.ptr = 0


@_jitclass
class LockArray:
    """As `interlock.LockArray`."""

    def __init__(self, n, padded=False):
        self.ptr = nb.ilk_lockarray_new(n, ILK_PADDED if padded else 0)
        self.ptr = _lock_array(self.ptr, _ANY_LENGTH)._created

    def acquire(self, i, blocking=True, timeout=-1):
        return _lock_array(self.ptr, _ANY_LENGTH).acquire(i, blocking, timeout)

    def release(self, i):
        return _lock_array(self.ptr, _ANY_LENGTH).release(i)

    def acquire_pair(self, i, j, blocking=True, timeout=-1):
        return _lock_array(self.ptr, _ANY_LENGTH).acquire_pair(i, j, blocking, timeout)

    def release_pair(self, i, j):
        return _lock_array(self.ptr, _ANY_LENGTH).release_pair(i, j)

    def acquire_range(self, begin, end, blocking=True, timeout=-1):
        return _lock_array(self.ptr, _ANY_LENGTH).acquire_range(begin, end, blocking, timeout)

    def release_range(self, begin, end):
        return _lock_array(self.ptr, _ANY_LENGTH).release_range(begin, end)

    def close(self):
        if self.ptr != 0:
            _lock_array(self.ptr, _ANY_LENGTH)._free()
            self.ptr = 0


@_jitclass
class Queue:
    """As `interlock.Queue`."""

    def __init__(self, capacity):
        self.ptr = nb.ilk_queue_new(capacity)
        self.ptr = _queue(self.ptr)._created

    def put(self, item, block=True, timeout=None):
        return _queue(self.ptr).put(item, block, timeout)

    def put_nowait(self, item):
        return _queue(self.ptr).put_nowait(item)

    def get(self, block=True, timeout=None):
        return _queue(self.ptr).get(block, timeout)

    def get_nowait(self):
        return _queue(self.ptr).get_nowait()

    def close(self):
        return _queue(self.ptr).close()

    @property
    def closed(self):
        return _queue(self.ptr).closed

    def qsize(self):
        return _queue(self.ptr).qsize()

    def empty(self):
        return _queue(self.ptr).empty()

    def free(self):
        if self.ptr != 0:
            _queue(self.ptr)._free()
            self.ptr = 0


@_jitclass
class Local:
    """As `interlock.Local`."""

    def __init__(self):
        self.ptr = nb.ilk_local_new()
        self.ptr = _local(self.ptr)._created

    def set(self, value):
        return _local(self.ptr).set(value)

    def get(self):
        return _local(self.ptr).get()

    def close(self):
        if self.ptr != 0:
            _local(self.ptr)._free()
            self.ptr = 0
