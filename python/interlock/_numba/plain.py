"""The jitclasses without Numba: with ``NUMBA_DISABLE_JIT=1`` they and the kernels are plain Python."""

from collections import deque

import interlock

from .. import nb
from .._errors import check, error, last_error

# Attributes that the methods of a class need besides the handle.
_FIELDS = {
    # More parties than possible, so no thread takes itself for the last; the last one finds the round complete.
    "Barrier": lambda: {"_parties": 2**31, "_action": None, "_timeout_ns": -1},
    "Condition": lambda: {"_inner": None},
    "Queue": lambda: {"_returned": deque()},
}


class _View:
    """An object of `interlock` that does not own its handle."""

    _fields = staticmethod(dict)

    def __init__(self, handle, **fields):
        self._handle = handle or 0
        self.__dict__.update(self._fields(), **fields)

    def __del__(self):
        pass

    @property
    def _created(self):
        if not self._handle:
            raise error(last_error())
        return self._handle

    def _free(self):
        check(super()._free(self._handle))

    # For a condition, which has no lock here.

    def _notify(self, n):
        check(nb.ilk_condition_notify(self._handle, max(0, min(n, 2**31 - 1))))

    def _notify_all(self):
        check(nb.ilk_condition_notify_all(self._handle))


def view(kind, field=None):
    """Replaces `kernels.view`: returns a function that makes a view from a handle and `field`."""
    made = type(kind, (_View, getattr(interlock, kind)), {"_fields": staticmethod(_FIELDS.get(kind, dict))})

    def view(handle, word=None):
        return made(handle, **{} if field is None else {f"_{field}": _mutex(word) if field == "lock" else word})

    return view


_mutex = view("Mutex")
