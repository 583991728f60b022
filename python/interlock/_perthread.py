"""An array for each thread, merged afterwards."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any

from ._errors import check, error, last_error
from ._handle import Handle
from ._library import QUICK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

_new = QUICK["ilk_slices_new"]
_free = QUICK["ilk_slices_free"]
_get = QUICK["ilk_slices_get"]
_next = QUICK["ilk_slices_next"]
_clear = QUICK["ilk_slices_clear"]


class PerThread(Handle):
    """An array for each thread, as fast as private copies made by hand.

    `local()` returns the calling thread's slice: an ordinary numpy array that no other thread writes to, so no lock and no
    atomic is needed. When the threads have finished, `sum()`, `max()`, `min()` or `merge()` combine the slices into one
    array. Threads of Python and of every threading layer of Numba may take part together. When a thread exits, its slice
    and the contents go to a later thread.

    Call `local()` in each iteration of a `prange`, not before the loop: an array from before the loop belongs to one
    thread, and all threads would write to it. Likewise, do not pass a slice to another thread.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of each slice, and of the merged array.
    dtype : dtype, optional
        The type of the elements: numbers, booleans or records, but not Python objects. The default is float64.
    initial : scalar, optional
        The value of each element at first, 0 by default. For `max()` give the least value possible, for `min()` the
        greatest.

    Raises
    ------
    TypeError
        The dtype has Python objects, or is not in the machine's byte order.
    ValueError
        The shape is negative, or `initial` is not a scalar or has no exact value in an integer dtype.
    MemoryError
        There is no memory.

    Examples
    --------
    >>> counts = interlock.PerThread(4, np.int64)
    >>> counts.local()[2] += 1  # in a kernel's prange: counts.local()[samples[i]] += 1
    >>> counts.sum().tolist()
    [0, 0, 1, 0]
    """

    _free = _free
    _kept = 0

    def __init__(self, shape: int | tuple[int, ...], dtype: DTypeLike = float, initial: Any = 0) -> None:
        import numpy as np

        self._check_is_new()
        self._dtype = np.dtype(dtype)
        if self._dtype.hasobject or self._dtype.subdtype or not self._dtype.isnative:
            raise TypeError(f"PerThread cannot have elements of {self._dtype}: numbers or records in native byte order")
        self._initial = np.full(shape, self._element(initial), self._dtype)
        self._shape = np.array(self._initial.shape or (0,), np.int64)
        # For kernels, which use only integers.
        self._shape_address: int = self._shape.ctypes.data
        self._initial_address: int = self._initial.ctypes.data
        self._size = self._initial.size
        self._has_initial = int(any(self._initial.tobytes()[: self._dtype.itemsize]))
        size = max(self._initial.nbytes, 1)
        super().__init__(_new(size, self._initial.ctypes.data if self._initial.nbytes else None))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of each slice."""
        shape: tuple[int, ...] = self._initial.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self._dtype

    def local(self) -> np.ndarray[Any, Any]:
        """Return the calling thread's slice, the same at each call.

        Returns
        -------
        ndarray
            An array of `shape` and `dtype`, C-contiguous, that shares no cache line with other slices. It keeps the memory
            alive.

        Raises
        ------
        HandleError
            The object is closed.
        MemoryError
            There is no memory for another slice.
        """
        address = _get(self._handle)
        if not address:
            raise error(last_error())
        return self._array(address)

    def sum(self) -> np.ndarray[Any, Any]:
        """Add all slices, element by element. No thread may use its slice meanwhile.

        Returns
        -------
        ndarray
            A new array of `shape`, with the dtype of `numpy.sum`: small integers become int64.

        Raises
        ------
        ValueError
            `initial` is not 0, so the sum would depend on the number of threads.
        """
        import numpy as np

        if self._has_initial:
            raise ValueError("sum() needs initial=0: the sum would depend on the number of threads")
        return np.asarray(np.sum([self._initial, *self._slices()], axis=0))

    def max(self) -> np.ndarray[Any, Any]:
        """Return the maximum of all slices and `initial`, element by element. No thread may use its slice meanwhile.

        Returns
        -------
        ndarray
            A new array of `shape` and `dtype`.
        """
        import numpy as np

        return np.asarray(reduce(np.maximum, self._slices(), self._initial.copy()))

    def min(self) -> np.ndarray[Any, Any]:
        """Return the minimum of all slices and `initial`, element by element. No thread may use its slice meanwhile.

        Returns
        -------
        ndarray
            A new array of `shape` and `dtype`.
        """
        import numpy as np

        return np.asarray(reduce(np.minimum, self._slices(), self._initial.copy()))

    def merge(self, function: Callable[[Any, Any], Any]) -> np.ndarray[Any, Any]:
        """Merge all slices by a function of two arrays. Kernels cannot call it. No thread may use its slice meanwhile.

        Parameters
        ----------
        function : callable
            ``function(a, b)`` returns the merged array. The order of the calls must not matter, and it must not change `a`
            or `b`.

        Returns
        -------
        ndarray
            A new array, filled with `initial` if no thread has a slice.

        Examples
        --------
        >>> interlock.PerThread(2).merge(np.add).tolist()
        [0.0, 0.0]
        """
        import numpy as np

        slices = list(self._slices())
        return np.asarray(reduce(function, slices[1:], slices[0].copy()) if slices else self._initial.copy())

    def clear(self) -> None:
        """Fill all slices with `initial` again. No thread may use its slice meanwhile."""
        check(_clear(self._handle))

    def close(self) -> None:
        """End the use of the object. Later uses raise HandleError, from Python and in kernels that begin later.

        The memory is freed when the object is collected, because running kernels may still write to it.
        """
        handle = self._handle
        if handle:
            self._kept = handle  # first, and not read again: another thread may close it too
            self._handle = 0

    def __del__(self) -> None:
        handle = self._handle or self._kept
        if handle:
            type(self)._free(handle)

    @property
    def _numba_type_(self) -> Any:
        from ._numba.per_thread import type_of

        return type_of(self._dtype, self._initial.ndim)

    def _element(self, initial: Any) -> np.ndarray[Any, Any]:
        """Return the initial value as an array of no dimension."""
        import numpy as np

        element = np.zeros((), self._dtype)
        if np.ndim(initial) and not isinstance(initial, tuple):
            raise ValueError("initial must be a scalar: all elements have the same value at first")
        if isinstance(initial, (tuple, np.ndarray, np.void)) or initial != 0:
            element[...] = initial
        if self._dtype.kind in "iu" and element != initial:
            raise ValueError(f"{self._dtype} cannot hold {initial!r}")
        return element

    def _array(self, address: int) -> np.ndarray[Any, Any]:
        import numpy as np

        memory: Any = (ctypes.c_char * max(self._initial.nbytes, 1)).from_address(address)
        memory._owner = self  # the array refers to the memory, and the memory to this object
        return np.ndarray(self._initial.shape, self._dtype, memory)

    def _slices(self) -> Iterator[np.ndarray[Any, Any]]:
        handle = self.handle  # read once: a close() by another thread would end this early
        address = _next(handle, None)
        while address:
            yield self._array(address)
            address = _next(handle, address)

    def _state(self) -> str:
        return f"shape={self.shape}, dtype={self._dtype}, slices={sum(1 for _ in self._slices())}"
