"""Queues of other types than int64."""

from __future__ import annotations

from itertools import starmap
from operator import index
from queue import Empty, Full
from typing import TYPE_CHECKING, Any

from ._constants import ILK_ETIMEDOUT, ILK_OK
from ._errors import check
from ._library import BLOCKING, QUICK
from ._queue import Queue, _ns
from ._wait import check_number, real, wait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

_close = QUICK["ilk_queue_close"]
_tryput = QUICK["ilk_queue_tryput"]
_putrecord = BLOCKING["ilk_queue_putrecord"]
_getrecord = BLOCKING["ilk_queue_getrecord"]


class TypedQueue(Queue):
    """A `Queue` of numbers or records of `dtype`, made by ``Queue(capacity, dtype)``.

    A number of at most 8 bytes is stored as its bits in the queue of integers. Larger items and all records are copied
    into one of `capacity` slots. One queue of integers holds the numbers of the full slots, another those of the free ones.
    """

    def __init__(self, capacity: int, dtype: DTypeLike | None = None) -> None:
        import numpy as np

        self._check_is_new()
        self._dtype = np.dtype(dtype)
        if self._dtype.kind not in "biufcV" or self._dtype.hasobject or self._dtype.subdtype or not self._dtype.isnative:
            raise TypeError(f"a Queue cannot hold {self._dtype}: numbers, booleans or records in native byte order")
        super().__init__(capacity)
        self._is_record = self._dtype.names is not None or self._dtype.itemsize > 8 or self._dtype.kind == "V"
        slots = self._capacity if self._is_record else 0
        self._slots = np.zeros(slots, self._dtype)
        self._unused = Queue(max(slots, 1))
        for number in range(len(self._slots)):
            self._unused.put(number)
        # For kernels, which use only integers.
        self._slots_address: int = self._slots.ctypes.data

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the items."""
        return self._dtype

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a number or a record, and wait while the queue is full.

        Parameters
        ----------
        item : scalar or record
            The item, of the queue's dtype or convertible to it.
        block : bool
            Whether to wait.
        timeout : float, optional
            The longest wait, in seconds; None waits forever.

        Raises
        ------
        queue.Full
            The queue is full and `block` is false, or `timeout` seconds have passed.
        ShutDown
            The queue is closed.
        OverflowError
            The number does not fit in the dtype.
        TypeError
            The record has another dtype.
        """
        cell = self._cell(item)
        if not self._is_record:
            super().put(self._bits(cell), block, timeout)
            return
        code = self._put_record(cell, _ns(block, timeout))
        if code == ILK_ETIMEDOUT:
            raise Full
        check(code)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Remove and return the oldest item: a numpy scalar or record of `dtype`. See `Queue.get`."""
        import numpy as np

        if not self._is_record:
            got: list[int] = []
            try:
                got.extend(starmap(super().get, ((block, timeout),)))  # see _wait.py
                bits = np.array(got, np.int64)
                return bits.view(np.uint8)[: self._dtype.itemsize].view(self._dtype)[0]
            except BaseException:
                if got:
                    self._put_back(got[0])
                raise
        ns = _ns(block, timeout)
        cell = np.empty(1, self._dtype)
        while True:
            code = ILK_OK
            if not self._returned:
                code = wait(
                    _getrecord,
                    *self._parts(cell),
                    timeout_ns=ns,
                    undo=lambda _code: self._put_back(cell),
                )
                if code == ILK_OK:
                    return cell[0]
            try:
                return self._returned.popleft()[0]  # type: ignore[index]  # cells here, in a queue of integers bits
            except IndexError:
                pass
            if code == ILK_ETIMEDOUT:
                raise Empty
            check(code)  # else another thread took it

    def get_into(self, out: np.ndarray[Any, Any], i: int, block: bool = True, timeout: float | None = None) -> None:
        """The same as ``out[i] = get(block, timeout)``. Kernels remove records this way.

        Parameters
        ----------
        out : ndarray
            An array of one dimension, of the queue's dtype.
        i : int
            The index of the element that receives the item.
        block : bool
            Whether to wait.
        timeout : float, optional
            The longest wait, in seconds; None waits forever.

        Raises
        ------
        IndexError
            The index is out of range; no item is removed.
        TypeError
            The array has another dtype, or not one dimension.
        ValueError
            The array is read-only; no item is removed.
        queue.Empty, ShutDown
            As `get()` does.
        """
        import numpy as np

        if not isinstance(out, np.ndarray) or out.dtype != self._dtype or out.ndim != 1:
            raise TypeError(f"get_into() needs an array of one dimension of {self._dtype}")
        if not out.flags.writeable:  # before an item is removed
            raise ValueError("get_into() needs an array that is not read-only")
        i = index(i)
        out[i]  # raises IndexError before an item is removed
        out[i] = self.get(block, timeout)

    def close(self) -> None:
        """Close the queue: puts fail from now on, gets once it is empty. Wakes all waiters. Closing again does nothing."""
        super().close()
        if self._is_record:  # the order matters: see interlock.h
            check(_close(self._unused._handle))

    @property
    def _numba_type_(self) -> Any:
        from ._numba.typed_queue import type_of

        return type_of(self._dtype)

    @property
    def _unused_handle(self) -> int:
        return self._unused._handle

    def _cell(self, item: Any) -> np.ndarray[Any, Any]:
        """Return the item as an array of one element. A value that the dtype cannot hold raises an exception."""
        import numpy as np

        cell = np.zeros(1, self._dtype)
        if self._dtype.kind in "iu":
            number, limits = index(item), np.iinfo(self._dtype)
            if not limits.min <= number <= limits.max:
                raise OverflowError(f"the value must fit in {self._dtype}")
            item = number
        elif self._dtype.kind == "b":
            item = item if isinstance(item, np.bool_) else index(item) != 0
        elif self._dtype.kind in "fc":
            if isinstance(item, (str, bytes)):
                raise TypeError(f"a number is required, not {type(item).__name__}")
            # A long double keeps its digits: float() would round it to a double.
            if isinstance(item, (int, np.integer)) and self._dtype.char in "gG":
                item = np.longdouble(item)
            elif not (isinstance(item, np.longdouble) or (isinstance(item, np.clongdouble) and self._dtype.kind == "c")):
                check_number(item, "biufcO")
                item = real(item) if self._dtype.kind == "f" else complex(item)
        elif self._dtype.kind == "V" and isinstance(item, (np.void, np.ndarray)) and item.dtype != self._dtype:
            raise TypeError(f"this queue holds {self._dtype}, not {item.dtype}")
        cell[0] = item
        return cell

    def _bits(self, cell: np.ndarray[Any, Any]) -> int:
        import numpy as np

        bits = np.zeros(1, np.int64)
        bits.view(np.uint8)[: self._dtype.itemsize] = cell.view(np.uint8)
        return int(bits[0])

    def _parts(self, cell: np.ndarray[Any, Any]) -> tuple[int, int, int, int, int]:
        return self._handle, self._unused._handle, self._slots_address, self._dtype.itemsize, cell.ctypes.data

    def _put_record(self, cell: np.ndarray[Any, Any], ns: int) -> int:
        return wait(_putrecord, *self._parts(cell), timeout_ns=ns)

    def _put_back(self, item: Any) -> None:
        # If it is full or closed, the next get from Python returns the item.
        code = self._put_record(item, 0) if self._is_record else _tryput(self._handle, item)
        while code == ILK_ETIMEDOUT and self._unused.qsize():  # another thread is about to return a slot
            code = _putrecord(*self._parts(item), 1_000_000)
        if code != ILK_OK:
            self._returned.append(item)
            self._only_python = 1  # see Queue

    def _state(self) -> str:
        return f"{super()._state()}, dtype={self._dtype}"
