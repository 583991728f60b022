"""The library's objects as Numba jitclasses, each with one field `ptr`, its handle.

They are for nopython code. The methods are those of the classes in `interlock`, with two differences: nothing frees a
jitclass instance's handle but `close()`, and no warning tells that a lock's owner has died. Called from Python, the
methods hold the GIL, even while they wait: there, use the classes in `interlock`. In nopython code, give a constructor
all its arguments: Numba fills in a method's defaults there, but not a constructor's.
"""

import math

from numba import njit, types
from numba.experimental import jitclass

from . import nb
from ._constants import (
    ILK_EBUSY,
    ILK_EDEADLK,
    ILK_EHANDLE,
    ILK_EINVAL,
    ILK_ENOMEM,
    ILK_EOVERFLOW,
    ILK_EPERM,
    ILK_ETIMEDOUT,
    ILK_FAIR,
    ILK_NO_VALUE,
    ILK_RECURSIVE,
)
from ._errors import DeadlockError, HandleError

_SPEC = [("ptr", types.intp)]
_NS_MAX = 2**63 - 1


@njit
def _raise(code):
    # Compiled code raises only what is named here; a test compares the exceptions with those of `_errors`.
    if code == ILK_EHANDLE:
        raise HandleError("the handle is closed or not of this kind")
    if code == ILK_EDEADLK:
        raise DeadlockError("already held by the caller, so the wait would never end")
    if code == ILK_EPERM:
        raise RuntimeError("not held by the caller")
    if code == ILK_EBUSY:
        raise RuntimeError("still held or waited for")
    if code == ILK_EINVAL:
        raise ValueError("an argument is out of range")
    if code == ILK_EOVERFLOW:
        raise OverflowError("the count would pass its limit")
    if code == ILK_ENOMEM:
        raise MemoryError("no memory, or no free handle")
    raise RuntimeError("unexpected error")


@njit
def _checked(code):
    if code < 0:
        _raise(code)
    return code


@njit
def _created(handle):
    if handle == 0:
        _raise(nb.ilk_last_error())
    return handle


@njit
def _timeout_ns(blocking, timeout):
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0
    if timeout == -1:
        return -1
    if not timeout >= 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout >= _NS_MAX / 1e9:
        raise OverflowError("timeout value is too large")
    return math.ceil(timeout * 1e9)


@njit
def _lenient(timeout):
    # As in threading, where a lock refuses a negative timeout, but to others that deadline has passed.
    return timeout if timeout == -1 or timeout > 0 else 0


@njit
def _acquired(code):
    if code == ILK_ETIMEDOUT:
        return False
    _checked(code)
    return True


@jitclass(_SPEC)
class Mutex:
    """A lock owned by the thread that acquired it."""

    def __init__(self, fair=False, recursive=False):
        self.ptr = _created(nb.ilk_mutex_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0)))

    def acquire(self, blocking=True, timeout=-1):
        return _acquired(nb.ilk_mutex_timedlock(self.ptr, _timeout_ns(blocking, timeout)))

    def release(self):
        _checked(nb.ilk_mutex_unlock(self.ptr))

    def locked(self):
        return _checked(nb.ilk_mutex_is_locked(self.ptr)) == 1

    def close(self):
        if self.ptr != 0:
            _checked(nb.ilk_mutex_free(self.ptr))
            self.ptr = 0


@jitclass(_SPEC)
class Semaphore:
    """A counting semaphore; `maximum` 0 sets no bound."""

    def __init__(self, value=1, maximum=0):
        self.ptr = _created(nb.ilk_semaphore_new(value, maximum))

    def acquire(self, blocking=True, timeout=-1):
        return _acquired(nb.ilk_semaphore_timedacquire(self.ptr, _timeout_ns(blocking, _lenient(timeout))))

    def release(self, n=1):
        _checked(nb.ilk_semaphore_release(self.ptr, n))

    @property
    def value(self):
        value = nb.ilk_semaphore_value(self.ptr)
        if value < 0:
            _raise(nb.ilk_last_error())
        return value

    def close(self):
        if self.ptr != 0:
            _checked(nb.ilk_semaphore_free(self.ptr))
            self.ptr = 0


@njit
def _value(counter, value):
    # ILK_NO_VALUE is an error or the counter's own value. Every live counter is at least that: the wait tells.
    if value == ILK_NO_VALUE:
        _checked(nb.ilk_counter_timedwait(counter, ILK_NO_VALUE, 0))
    return value


@jitclass(_SPEC)
class Counter:
    """An atomic 64-bit integer that threads can wait for."""

    def __init__(self, initial=0):
        self.ptr = _created(nb.ilk_counter_new(initial))

    def load(self):
        return _value(self.ptr, nb.ilk_counter_load(self.ptr))

    def store(self, value):
        _checked(nb.ilk_counter_store(self.ptr, value))

    def exchange(self, value):
        return _value(self.ptr, nb.ilk_counter_exchange(self.ptr, value))

    def fetch_add(self, delta=1):
        return _value(self.ptr, nb.ilk_counter_fetch_add(self.ptr, delta))

    def compare_exchange(self, expected, desired):
        return _value(self.ptr, nb.ilk_counter_compare_exchange(self.ptr, expected, desired))

    def wait(self, at_least, timeout=-1):
        return _acquired(nb.ilk_counter_timedwait(self.ptr, at_least, _timeout_ns(True, _lenient(timeout))))

    def close(self):
        if self.ptr != 0:
            _checked(nb.ilk_counter_free(self.ptr))
            self.ptr = 0
