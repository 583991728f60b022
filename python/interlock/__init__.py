"""Locks, semaphores and atomic counters that Python and Numba kernels share.

The classes are those of `threading`, on top of a C library that needs no GIL. `interlock.nb` and `interlock.capi` have
the C functions themselves, for kernels compiled with ``nogil=True``; pass them an object's ``handle``.
"""

from . import _build
from ._counter import Counter
from ._errors import DeadlockError, HandleError, OwnerDiedWarning
from ._mutex import Lock, Mutex, RLock
from ._semaphore import BoundedSemaphore, Semaphore

__all__ = [
    "BoundedSemaphore",
    "Counter",
    "DeadlockError",
    "HandleError",
    "Lock",
    "Mutex",
    "OwnerDiedWarning",
    "RLock",
    "Semaphore",
    "version",
]

version = __version__ = _build.VERSION

for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__  # where users find it, for tracebacks and help()
