"""What the jitclasses call where Numba is switched off: with ``NUMBA_DISABLE_JIT=1`` kernels, and they, are plain Python."""

from collections import deque

import interlock

from .. import nb
from .._errors import check, error, last_error

# What the methods of a class ask for besides the handle.
_FIELDS = {
    # More parties than there can be: nobody takes itself for the last, and the last finds the round complete.
    "Barrier": lambda: {"_parties": 2**31, "_action": None, "_timeout_ns": -1},
    "Condition": lambda: {"_inner": None},
    "Queue": lambda: {"_returned": deque()},
}


class _View:
    """An object of `interlock` that does not own its handle."""

    _fields = staticmethod(dict)

    def __init__(self, handle, **fields):
        self.__dict__.update(self._fields(), _handle=handle, **fields)

    def __del__(self):
        pass

    @property
    def _created(self):
        if not self._handle:
            raise error(last_error())
        return self._handle

    def _free(self):
        check(super()._free(self._handle))

    # Of a condition, which does not know its lock here.

    def _notify(self, n):
        check(nb.ilk_condition_notify(self._handle, max(0, min(n, 2**31 - 1))))

    def _notify_all(self):
        check(nb.ilk_condition_notify_all(self._handle))


def view(kind, *fields):
    """As `kernels.view`: from a handle, and the fields that are asked for, to what the methods are called on."""
    made = type(kind, (_View, getattr(interlock, kind)), {"_fields": staticmethod(_FIELDS.get(kind, dict))})

    def view(handle, *words):
        values = {f"_{field}": _mutex(word) if field == "lock" else word for field, word in zip(fields, words)}
        return made(handle, **values)

    return view


_mutex = view("Mutex")
