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
    """An integer for each thread, 0 until the thread sets it.

    It has the size of a pointer and is signed, like Numba's `intp`: it holds a number, an address or a handle. For Python
    objects, use `threading.local`.

    Examples
    --------
    >>> local = interlock.Local()
    >>> local.set(5)
    >>> local.get()
    5
    """

    _free = QUICK["ilk_local_free"]

    def __init__(self) -> None:
        super().__init__(_new())

    def set(self, value: int) -> None:
        """Set the calling thread's value.

        Parameters
        ----------
        value : int
            The value, -2**63..2**63 - 1 on a 64-bit machine.

        Raises
        ------
        OverflowError
            The value does not fit in a pointer.
        MemoryError
            There is no memory for the thread's value.
        HandleError
            The object is closed.
        """
        value = index(value)
        if not -_BOUND <= value < _BOUND:
            raise OverflowError("the value must fit in a pointer")
        check(_set(self._handle, value))

    def get(self) -> int:
        """Return the calling thread's value; 0 if it has set none.

        Raises
        ------
        HandleError
            The object is closed.
        """
        value = _get(self._handle)
        if value is None:
            check(_set(self._handle, None))  # an error, or 0, which this does not change
            return 0
        return int(value) - 2 * _BOUND if value >= _BOUND else int(value)

    def _state(self) -> str:
        return f"here {self.get()}"
