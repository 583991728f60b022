"""Many small locks behind one handle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat, starmap
from time import perf_counter_ns

from ._calls import in_c
from ._constants import ILK_EBUSY, ILK_EINVAL, ILK_EPERM, ILK_ETIMEDOUT, ILK_OK, ILK_OWNER_DIED, ILK_PADDED
from ._errors import check, lock_index_text, lock_range_text, warn_owner_died
from ._handle import Closing, int64
from ._held import held as _held
from ._library import BLOCKING, QUICK
from ._wait import SLICED, is_sliced, time_left, timeout_ns, wait

_new = QUICK["ilk_lockarray_new"]
_trylock = QUICK["ilk_lockarray_trylock"]
_timedlock = BLOCKING["ilk_lockarray_timedlock"]
_unlock = QUICK["ilk_lockarray_unlock"]
_timedlock_pair = BLOCKING["ilk_lockarray_timedlock_pair"]
_unlock_pair = QUICK["ilk_lockarray_unlock_pair"]
_timedlock_range = BLOCKING["ilk_lockarray_timedlock_range"]
_unlock_range = BLOCKING["ilk_lockarray_unlock_range"]


def _check(code: int, text: Callable[..., str], n: int, *indices: int) -> int:
    if code == ILK_EINVAL:
        raise ValueError(text(n, *indices))
    return check(code)


def _released(code: int, text: Callable[..., str], n: int, *indices: int) -> None:
    if code == ILK_EPERM:
        raise RuntimeError("cannot release a lock that the caller does not hold")
    _check(code, text, n, *indices)


class LockArray(Closing):
    """`n` locks, each owned by the thread that acquired it: one for each bin, tile or row of an array.

    Pairs and ranges do not deadlock with each other, in whatever order they are given, as long as the caller holds no
    other lock of the array. `DeadlockError` and `OwnerDiedWarning` are as for a `Mutex`.

    Parameters
    ----------
    n : int
        The number of locks, at least 1.
    padded : bool
        Whether each lock takes a cache line, so that neighbours do not slow each other down. Otherwise it takes 4 bytes.

    Raises
    ------
    ValueError
        `n` is less than 1.
    MemoryError
        There is no memory.

    Examples
    --------
    >>> with interlock.LockArray(100).held(7):
    ...     pass
    """

    _free = QUICK["ilk_lockarray_free"]
    _n = -1  # the jitclass, where Numba is switched off, has no length

    def __init__(self, n: int, padded: bool = False) -> None:
        n = int64(n)
        super().__init__(_new(n, ILK_PADDED if padded else 0))
        self._n = n

    def __len__(self) -> int:
        return self._n

    def acquire(self, i: int, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire lock `i`.

        Parameters
        ----------
        i : int
            The index of the lock, 0..n - 1.
        blocking : bool
            Whether to wait while another thread holds the lock.
        timeout : float
            The longest wait, in seconds; -1 waits forever.

        Returns
        -------
        bool
            False if the lock is held and `blocking` is false, or `timeout` seconds have passed.

        Raises
        ------
        ValueError
            The index is out of range.
        DeadlockError
            The caller holds the lock, or the wait is part of a deadlock cycle.
        HandleError
            The array is closed.
        """
        i = int64(i)
        (code,) = map(_trylock, (self._handle,), (i,)) if timeout == -1 and not SLICED else (ILK_EBUSY,)  # see _wait.py
        if code == ILK_OK:
            return True
        if code == ILK_EBUSY:
            ns = timeout_ns(blocking, timeout)
            code = wait(_timedlock, self._handle, i, timeout_ns=ns, undo=partial(self._undo, i))
        if code == ILK_OWNER_DIED:
            warn_owner_died(partial(self._undo, i))
        return code == ILK_OK or (code != ILK_ETIMEDOUT and _check(code, lock_index_text, self._n, i) >= 0)

    @in_c("lockarray_release")
    def release(self, i: int) -> None:
        """Release lock `i`.

        Parameters
        ----------
        i : int
            The index of the lock, 0..n - 1.

        Raises
        ------
        RuntimeError
            The caller does not hold it.
        ValueError
            The index is out of range.
        """
        i = int64(i)
        _released(_unlock(self._handle, i), lock_index_text, self._n, i)

    def acquire_pair(self, i: int, j: int, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the locks `i` and `j`; one lock, if they are equal.

        Parameters
        ----------
        i, j : int
            The indices of the locks, 0..n - 1, in any order.
        blocking : bool
            Whether to wait while another thread holds one of them.
        timeout : float
            The longest wait, in seconds; -1 waits forever.

        Returns
        -------
        bool
            False if neither was acquired, for the reasons of `acquire()`.

        Raises
        ------
        ValueError, DeadlockError, HandleError
            As `acquire()` does.
        """
        i, j = int64(i), int64(j)
        ns = timeout_ns(blocking, timeout)
        code = self._wait(_timedlock_pair, i, j, ns, sorted({i, j}))
        if code == ILK_OWNER_DIED:
            warn_owner_died(lambda _code: _unlock_pair(self._handle, i, j))
        return code == ILK_OK or (code != ILK_ETIMEDOUT and _check(code, lock_index_text, self._n, i, j) >= 0)

    @in_c("lockarray_release_pair")
    def release_pair(self, i: int, j: int) -> None:
        """Release the locks `i` and `j`; one lock, if they are equal.

        Parameters
        ----------
        i, j : int
            The indices of the locks, 0..n - 1, in any order.

        Raises
        ------
        RuntimeError
            The caller does not hold both; neither is released.
        ValueError
            An index is out of range.
        """
        i, j = int64(i), int64(j)
        _released(_unlock_pair(self._handle, i, j), lock_index_text, self._n, i, j)

    def acquire_range(self, begin: int, end: int, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the locks `begin`..`end` - 1.

        Parameters
        ----------
        begin, end : int
            The range of indices, with 0 <= begin <= end <= n.
        blocking : bool
            Whether to wait while another thread holds one of them.
        timeout : float
            The longest wait, in seconds; -1 waits forever.

        Returns
        -------
        bool
            False if none was acquired, for the reasons of `acquire()`.

        Raises
        ------
        ValueError, DeadlockError, HandleError
            As `acquire()` does.
        """
        begin, end = int64(begin), int64(end)
        ns = timeout_ns(blocking, timeout)
        code = self._wait(_timedlock_range, begin, end, ns, range(begin, end))
        if code == ILK_OWNER_DIED:
            warn_owner_died(lambda _code: _unlock_range(self._handle, begin, end))
        return code == ILK_OK or (code != ILK_ETIMEDOUT and _check(code, lock_range_text, self._n, begin, end) >= 0)

    @in_c("lockarray_release_range")
    def release_range(self, begin: int, end: int) -> None:
        """Release the locks `begin`..`end` - 1.

        Parameters
        ----------
        begin, end : int
            The range of indices, with 0 <= begin <= end <= n.

        Raises
        ------
        RuntimeError
            The caller does not hold all; none is released.
        ValueError
            The range is not within the array.
        """
        begin, end = int64(begin), int64(end)
        _released(_unlock_range(self._handle, begin, end), lock_range_text, self._n, begin, end)

    def held(self, i: int) -> _held:
        """Return a context manager that holds lock `i`, in a kernel as well. `holding` is another name for it.

        Examples
        --------
        >>> locks = interlock.LockArray(4)
        >>> with locks.held(2):
        ...     pass
        """
        return _held(self, i)

    holding = held

    def held_pair(self, i: int, j: int) -> _held:
        """Return a context manager that holds the locks `i` and `j`, in a kernel as well."""
        return _held(self, "pair", i, j)

    def held_range(self, begin: int, end: int) -> _held:
        """Return a context manager that holds the locks `begin`..`end` - 1, in a kernel as well."""
        return _held(self, "range", begin, end)

    def _wait(self, timed: Callable[..., int], a: int, b: int, ns: int, indices: Iterable[int]) -> int:
        """Acquire the locks of all `indices`, in ascending order as the library does."""
        sliced = is_sliced(ns)
        # All at once if they are free, else one after the other. If each slice released what it has acquired, it might
        # never find all of them free.
        (code,) = starmap(timed, ((self._handle, a, b, 0 if sliced else ns),))  # see _wait.py
        if code != ILK_ETIMEDOUT or not sliced:
            return code
        deadline = perf_counter_ns() + ns
        held: list[int] = []
        releases = map(_unlock, repeat(self._handle), held)  # made now: see _wait.py
        try:
            for i in indices:
                left = ns if ns < 0 else time_left(deadline, ns)
                code = wait(_timedlock, self._handle, i, timeout_ns=left, undo=partial(self._undo, i))
                if code < 0:
                    break
                held.append(i)
                if code == ILK_OWNER_DIED:
                    warn_owner_died(lambda _code: None, stacklevel=4)
            else:
                return ILK_OK
        except BaseException:
            deque(releases, 0)
            raise
        deque(releases, 0)
        return code

    def _undo(self, i: int, _code: int) -> None:
        _unlock(self._handle, i)
