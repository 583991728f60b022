"""The bounded queue."""

from __future__ import annotations

import ctypes
from collections import deque
from queue import Empty, Full
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._constants import ILK_EBUSY, ILK_ETIMEDOUT, ILK_OK
from ._errors import check, error, last_error
from ._handle import Handle, int64
from ._library import BLOCKING, QUICK
from ._wait import optional_ns, wait

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from ._typedqueue import TypedQueue

_new = QUICK["ilk_queue_new"]
_close = QUICK["ilk_queue_close"]
_is_closed = QUICK["ilk_queue_is_closed"]
_size = QUICK["ilk_queue_size"]
_tryput = QUICK["ilk_queue_tryput"]
_timedput = BLOCKING["ilk_queue_timedput"]
_timedget = BLOCKING["ilk_queue_timedget"]


_Q = TypeVar("_Q", bound="Queue")


def _ns(block: bool, timeout: float | None) -> int:
    if not block:
        return 0
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return optional_ns(timeout)


class Queue(Handle):
    """As `queue.Queue`, for at most `capacity` 64-bit integers, with kernels or Python code on either side.

    It is closed when nothing more will come: puts then raise `interlock.ShutDown`, and so do gets once it is empty.
    That is `queue.ShutDown` where Python has it (since 3.13). The handle is freed when the object is collected.

    Parameters
    ----------
    capacity : int
        The most items that it holds, at least 1.
    dtype : dtype, optional
        What the items are: int64 by default; other numbers, booleans, and records of a structured dtype. `get` returns
        numpy scalars then; a kernel takes records by ``queue.get_into(array, i)``.

    Raises
    ------
    TypeError
        The dtype has Python objects, or is not in the machine's byte order.

    Examples
    --------
    >>> results = Queue(64, np.float64)
    >>> points = Queue(64, np.dtype([("x", np.float64), ("n", np.int32)]))
    """

    _free = QUICK["ilk_queue_free"]

    @overload
    def __new__(cls, capacity: int, dtype: None = None) -> Queue: ...

    @overload
    def __new__(cls, capacity: int, dtype: DTypeLike) -> TypedQueue: ...

    def __new__(cls, capacity: int, dtype: Any = None) -> Queue:
        if dtype is not None and cls is Queue:
            import numpy as np

            if np.dtype(dtype) != np.int64:
                from ._typedqueue import TypedQueue

                return object.__new__(TypedQueue)
        return object.__new__(cls)

    def __init__(self, capacity: int, dtype: DTypeLike | None = None) -> None:
        super().__init__(_new(int64(capacity)))
        self._capacity = capacity
        self._returned: deque[int] = deque()

    def put(self, item: int, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item, once there is room. queue.Full: there is none, or `timeout` seconds have passed."""
        item = int64(item)
        code = _tryput(self._handle, item)
        if code == ILK_EBUSY:
            code = wait(_timedput, self._handle, item, timeout_ns=_ns(block, timeout))
        if code == ILK_ETIMEDOUT:
            raise Full
        check(code)

    def get(self, block: bool = True, timeout: float | None = None) -> int:
        """Takes the oldest item, once there is one. queue.Empty: there is none, or `timeout` seconds have passed.

        What was taken at the very moment of a Ctrl-C is put back, as the newest.
        """
        item = ctypes.c_int64()
        ns = _ns(block, timeout)
        code = ILK_OK
        if not self._returned:
            code = wait(
                _timedget,
                self._handle,
                ctypes.addressof(item),
                timeout_ns=ns,
                undo=lambda _code: self._put_back(item.value),
            )
            if code == ILK_OK:
                return item.value
        try:
            return self._returned.popleft()
        except IndexError:
            pass
        if code == ILK_ETIMEDOUT:
            raise Empty
        check(code)
        return self.get(block, timeout)  # another thread had it

    def put_nowait(self, item: int) -> None:
        self.put(item, block=False)

    def get_nowait(self) -> int:
        return self.get(block=False)

    def close(self) -> None:
        """No put succeeds any more; gets go on until it is empty. Those that wait are told. Twice is no error."""
        check(_close(self._handle))

    def __enter__(self: _Q) -> _Q:
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes it: on the way out of a ``with``, those that wait on the other side are told."""
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed, by Python or by a kernel."""
        return not self._handle or check(_is_closed(self._handle)) == 1

    @property
    def capacity(self) -> int:
        return self._capacity

    def qsize(self) -> int:
        """The items inside, a moment ago."""
        size: int = _size(self._handle)
        if size < 0:
            raise error(last_error())
        return size + len(self._returned)

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return self.qsize() >= self._capacity

    def _put_back(self, item: int) -> None:
        # Full or closed: then the next get from Python has it.
        if _tryput(self._handle, item) != ILK_OK:
            self._returned.append(item)

    def _state(self) -> str:
        return f"items={self.qsize()}/{self._capacity}" + (", closed" if self.closed else "")
