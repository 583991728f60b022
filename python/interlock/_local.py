"""A value for each thread."""

from __future__ import annotations

import ctypes
from operator import index

from ._errors import check
from ._handle import Closing
from ._library import QUICK

_new = QUICK["ilk_local_new"]
_set = QUICK["ilk_local_set"]
_get = QUICK["ilk_local_get"]

_BOUND = 1 << (8 * ctypes.sizeof(ctypes.c_void_p) - 1)


class Local(Closing):
    """An integer for each thread, 0 until the thread sets it: the size of a pointer, signed, as Numba's `intp`.

    So it holds a number, or an address or handle; Python's objects are for `threading.local`.
    """

    _free = QUICK["ilk_local_free"]

    def __init__(self) -> None:
        super().__init__(_new())

    def set(self, value: int) -> None:
        """Sets the calling thread's value. OverflowError: it does not fit."""
        value = index(value)
        if not -_BOUND <= value < _BOUND:
            raise OverflowError("the value must fit in a pointer")
        check(_set(self._handle, value))

    def get(self) -> int:
        """The calling thread's value; 0 if it has set none."""
        value = _get(self._handle)
        if value is None:
            check(_set(self._handle, None))  # an error, or 0, which this does not change
            return 0
        return int(value) - 2 * _BOUND if value >= _BOUND else int(value)

    def _state(self) -> str:
        return f"here {self.get()}"
