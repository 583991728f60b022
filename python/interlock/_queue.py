"""The bounded queue."""

from __future__ import annotations

import ctypes
from collections import deque
from queue import Empty, Full
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._calls import in_c
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
    """A bounded queue of 64-bit integers, or of numpy scalars and records. Both sides may be kernels or Python code.

    It has the methods of `queue.Queue`, but no `join()` and `task_done()`. Close it when no more items will come. Then every
    put raises `interlock.ShutDown`, and so does every get once the queue is empty. (`interlock.ShutDown` is `queue.ShutDown`
    since Python 3.13.) The handle is freed when the object is collected.

    Parameters
    ----------
    capacity : int
        The most items that the queue holds, at least 1.
    dtype : dtype, optional
        The type of the items: int64 by default, another number, a boolean, or a structured dtype. With a dtype, `get()`
        returns numpy scalars; a kernel takes records with ``queue.get_into(array, i)``.

    Raises
    ------
    ValueError
        The capacity is less than 1.
    TypeError
        The dtype has Python objects, or is not in the machine's byte order.

    Examples
    --------
    >>> results = interlock.Queue(64, np.float64)
    >>> results.put(1.5)
    >>> float(results.get())
    1.5
    >>> points = interlock.Queue(64, np.dtype([("x", np.float64), ("n", np.int32)]))
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
        if dtype is not None:
            self._check_dtype(dtype)
        capacity = int64(capacity)
        super().__init__(_new(capacity))
        self._capacity = capacity
        self._returned: deque[int] = deque()

    def _check_dtype(self, dtype: DTypeLike) -> None:
        import numpy as np

        if np.dtype(dtype) != np.int64:  # of a subclass: __new__() has chosen another class for a Queue
            raise TypeError(f"a {type(self).__name__} holds int64: only Queue itself takes another dtype")

    @in_c("queue_put")
    def put(self, item: int, block: bool = True, timeout: float | None = None) -> None:
        """Add an item, and wait while the queue is full.

        Parameters
        ----------
        item : int
            The item, -2**63..2**63 - 1.
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
            The item does not fit in 64 bits.
        """
        item = int64(item)
        ns = _ns(block, timeout)
        code = _tryput(self._handle, item)
        if code == ILK_EBUSY:
            code = wait(_timedput, self._handle, item, timeout_ns=ns)
        if code == ILK_ETIMEDOUT:
            raise Full
        check(code)

    @in_c("queue_get")
    def get(self, block: bool = True, timeout: float | None = None) -> int:
        """Remove and return the oldest item, and wait while the queue is empty.

        An item that was removed when a Ctrl-C interrupted the call is put back, as the newest.

        Parameters
        ----------
        block : bool
            Whether to wait.
        timeout : float, optional
            The longest wait, in seconds; None waits forever.

        Returns
        -------
        int
            The item.

        Raises
        ------
        queue.Empty
            The queue is empty and `block` is false, or `timeout` seconds have passed.
        ShutDown
            The queue is closed and empty.
        """
        item = ctypes.c_int64()
        ns = _ns(block, timeout)
        while True:
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
            # Another thread took it. Not self.get(), which in a subclass is another method.

    @in_c("queue_put_nowait")
    def put_nowait(self, item: int) -> None:
        """Add an item if there is space: the same as ``put(item, block=False)``.

        Parameters
        ----------
        item : int
            As for `put()`.

        Raises
        ------
        queue.Full
            The queue is full.
        ShutDown
            The queue is closed.
        """
        self.put(item, block=False)

    @in_c("queue_get_nowait")
    def get_nowait(self) -> int:
        """Remove and return the oldest item, if there is one: the same as ``get(block=False)``.

        Raises
        ------
        queue.Empty
            The queue is empty.
        ShutDown
            The queue is closed and empty.
        """
        return self.get(block=False)

    def close(self) -> None:
        """Close the queue: puts fail from now on, gets once it is empty. Wakes all waiters. Closing again does nothing."""
        check(_close(self._handle))

    def __enter__(self: _Q) -> _Q:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the queue, so that threads that wait on the other side do not wait forever."""
        self.close()

    @property
    def closed(self) -> bool:
        """Whether Python code or a kernel has closed the queue."""
        return not self._handle or check(_is_closed(self._handle)) == 1

    @property
    def capacity(self) -> int:
        """The most items that the queue holds."""
        return self._capacity

    def qsize(self) -> int:
        """Return the number of items. Another thread may change it at once."""
        size: int = _size(self._handle)
        if size < 0:
            raise error(last_error())
        return size + len(self._returned)

    def empty(self) -> bool:
        """Return whether the queue is empty. Another thread may change that at once."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Return whether the queue is full. Another thread may change that at once."""
        return self.qsize() >= self._capacity

    def _put_back(self, item: int) -> None:
        # If it is full or closed, the next get from Python returns the item.
        if _tryput(self._handle, item) != ILK_OK:
            self._returned.append(item)
            self._only_python = 1  # from now on: whether there are any left, only Python knows

    def _state(self) -> str:
        return f"items={self.qsize()}/{self._capacity}" + (", closed" if self.closed else "")
