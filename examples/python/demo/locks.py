"""The three ways of the demo: no lock, CPython's own lock by way of ctypes, and interlock's mutex.

Each is a pair of compiled functions that kernels call, and a pair of Python functions that make and free the lock.
"""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

from numba import njit

from interlock import capi, nb


class Kind(NamedTuple):
    name: str
    acquire: Any
    release: Any
    new: Callable[[], int]
    free: Callable[[int], object]


def _pythread(name, result, *arguments):
    # The interpreter's own symbols, whether it is linked to libpython or has it inside.
    function = ctypes.CDLL(None)["PyThread_" + name]
    function.restype, function.argtypes = result, arguments
    return function


PyThread_allocate_lock = _pythread("allocate_lock", ctypes.c_void_p)
PyThread_free_lock = _pythread("free_lock", None, ctypes.c_void_p)
PyThread_acquire_lock = _pythread("acquire_lock", ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
PyThread_release_lock = _pythread("release_lock", None, ctypes.c_void_p)


@njit
def nothing(lock):
    pass


@njit
def pythread_acquire(lock):
    PyThread_acquire_lock(lock, 1)


@njit
def pythread_release(lock):
    PyThread_release_lock(lock)


@njit
def interlock_acquire(lock):
    nb.ilk_mutex_lock(lock)


@njit
def interlock_release(lock):
    nb.ilk_mutex_unlock(lock)


NONE = Kind("no lock", nothing, nothing, lambda: 0, lambda lock: None)
PYTHREAD = Kind("PyThread's lock", pythread_acquire, pythread_release, PyThread_allocate_lock, PyThread_free_lock)
INTERLOCK = Kind(
    "interlock.Mutex", interlock_acquire, interlock_release, lambda: capi.ilk_mutex_new(0), capi.ilk_mutex_free
)
