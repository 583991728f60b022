"""Locks, semaphores and atomic counters that Python and Numba kernels share.

The classes have the methods of those in `threading`, and more, on top of a C library that needs no GIL. Kernels compiled
with ``nogil=True`` call the same methods, also in parallel loops. `interlock.atomic` has atomic operations on numpy arrays,
`interlock.words` locks in their elements. `interlock.nb` and `interlock.capi` have the C functions themselves, for kernels
and for Python; pass them an object's ``handle``.

Examples
--------
>>> mutex = interlock.Mutex()
>>> with mutex:  # in Python and in kernels
...     pass
"""

from . import _build, _gil
from ._barrier import Barrier
from ._cancel import cancel, cancelled
from ._condition import Condition
from ._counter import Counter
from ._errors import DeadlockError, HandleError, OwnerDiedWarning, ShutDown
from ._errorslot import ErrorSlot, KernelError
from ._event import Event
from ._foreign import get_declarations, get_library
from ._held import held
from ._latch import Latch
from ._local import Local
from ._lockarray import LockArray
from ._mutex import Lock, Mutex, RLock
from ._once import Once
from ._perthread import PerThread
from ._queue import Queue
from ._report import report
from ._rwlock import RWLock
from ._semaphore import BoundedSemaphore, Semaphore
from ._tally import Tally

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Counter",
    "DeadlockError",
    "ErrorSlot",
    "Event",
    "HandleError",
    "KernelError",
    "Latch",
    "Local",
    "Lock",
    "LockArray",
    "Mutex",
    "Once",
    "OwnerDiedWarning",
    "PerThread",
    "Queue",
    "RLock",
    "RWLock",
    "Semaphore",
    "ShutDown",
    "Tally",
    "cancel",
    "cancelled",
    "get_declarations",
    "get_library",
    "held",
    "report",
    "version",
]

_gil.install()

version = __version__ = _build.VERSION

for _name in __all__:
    _thing = globals()[_name]
    if getattr(_thing, "__module__", "").startswith(f"{__name__}."):
        _thing.__module__ = __name__  # its public place, for tracebacks and help()
