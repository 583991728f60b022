"""Many small locks behind one handle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic_ns

from ._constants import ILK_EBUSY, ILK_EINVAL, ILK_EPERM, ILK_ETIMEDOUT, ILK_OK, ILK_OWNER_DIED, ILK_PADDED
from ._errors import check, lock_index_text, lock_range_text, warn_owner_died
from ._handle import Closing, int64
from ._held import held as _held
from ._library import BLOCKING, QUICK
from ._wait import is_sliced, timeout_ns, wait

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
    """`n` locks, each owned by the thread that acquired it: for each bin, tile or row of an array.

    A lock takes 4 bytes; `padded`, a cache line, so that neighbours do not slow each other down. An index outside
    0..n-1 is a ValueError. Pairs and ranges do not deadlock against each other, whatever their order, as long as the
    caller holds no other lock of the array. DeadlockError and OwnerDiedWarning are as for a Mutex.
    """

    _free = QUICK["ilk_lockarray_free"]
    _n = -1  # the jitclass, where Numba is switched off, does not know it

    def __init__(self, n: int, padded: bool = False) -> None:
        super().__init__(_new(int64(n), ILK_PADDED if padded else 0))
        self._n = n

    def __len__(self) -> int:
        return self._n

    def acquire(self, i: int, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquires lock `i`. False: it is taken, or `timeout` seconds have passed; -1 waits for ever."""
        i = int64(i)
        code = _trylock(self._handle, i) if timeout == -1 else ILK_EBUSY
        if code == ILK_OK:
            return True
        if code == ILK_EBUSY:
            ns = timeout_ns(blocking, timeout)
            code = wait(_timedlock, self._handle, i, timeout_ns=ns, undo=partial(self._undo, i))
        if code == ILK_OWNER_DIED:
            warn_owner_died(partial(self._undo, i))
        return code != ILK_ETIMEDOUT and _check(code, lock_index_text, self._n, i) >= 0

    def release(self, i: int) -> None:
        """Releases lock `i`. RuntimeError: the caller does not hold it."""
        i = int64(i)
        _released(_unlock(self._handle, i), lock_index_text, self._n, i)

    def acquire_pair(self, i: int, j: int, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquires the locks `i` and `j`, or the one if they are equal. False: none was acquired, as in `acquire()`."""
        i, j = int64(i), int64(j)
        ns = timeout_ns(blocking, timeout)
        code = self._wait(_timedlock_pair, i, j, ns, sorted({i, j}))
        if code == ILK_OWNER_DIED:
            warn_owner_died(lambda _code: _unlock_pair(self._handle, i, j))
        return code != ILK_ETIMEDOUT and _check(code, lock_index_text, self._n, i, j) >= 0

    def release_pair(self, i: int, j: int) -> None:
        """Releases both. RuntimeError: the caller does not hold both; then none is released."""
        i, j = int64(i), int64(j)
        _released(_unlock_pair(self._handle, i, j), lock_index_text, self._n, i, j)

    def acquire_range(self, begin: int, end: int, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquires the locks `begin`..`end` - 1. False: none was acquired, as in `acquire()`."""
        begin, end = int64(begin), int64(end)
        ns = timeout_ns(blocking, timeout)
        code = self._wait(_timedlock_range, begin, end, ns, range(begin, end))
        if code == ILK_OWNER_DIED:
            warn_owner_died(lambda _code: _unlock_range(self._handle, begin, end))
        return code != ILK_ETIMEDOUT and _check(code, lock_range_text, self._n, begin, end) >= 0

    def release_range(self, begin: int, end: int) -> None:
        """Releases them all. RuntimeError: the caller does not hold all; then none is released."""
        begin, end = int64(begin), int64(end)
        _released(_unlock_range(self._handle, begin, end), lock_range_text, self._n, begin, end)

    def held(self, i: int) -> _held:
        """``with locks.held(i): ...`` holds lock `i`, in a kernel as well. `holding` is another name for it."""
        return _held(self, i)

    holding = held

    def held_pair(self, i: int, j: int) -> _held:
        """``with locks.held_pair(i, j): ...`` holds the locks `i` and `j`, in a kernel as well."""
        return _held(self, "pair", i, j)

    def held_range(self, begin: int, end: int) -> _held:
        """``with locks.held_range(begin, end): ...`` holds the locks `begin`..`end` - 1, in a kernel as well."""
        return _held(self, "range", begin, end)

    def _wait(self, timed: Callable[..., int], a: int, b: int, ns: int, indices: Iterable[int]) -> int:
        """Acquires all of `indices`, in their order, which is the library's."""
        if not is_sliced(ns):
            return timed(self._handle, a, b, ns)
        # All at once if they are free. If not, one after the other: a slice that gave up what it has might never see
        # them all free.
        code = timed(self._handle, a, b, 0)
        if code != ILK_ETIMEDOUT:
            return code
        deadline = monotonic_ns() + ns
        held: list[int] = []
        try:
            for i in indices:
                left = ns if ns < 0 else max(0, deadline - monotonic_ns())
                code = wait(_timedlock, self._handle, i, timeout_ns=left, undo=partial(self._undo, i))
                if code < 0:
                    break
                held.append(i)
                if code == ILK_OWNER_DIED:
                    warn_owner_died(lambda _code: None, stacklevel=4)
            else:
                return ILK_OK
        except BaseException:
            self._release_all(held)
            raise
        self._release_all(held)
        return code

    def _undo(self, i: int, _code: int) -> None:
        _unlock(self._handle, i)

    def _release_all(self, held: list[int]) -> None:
        for i in held:
            _unlock(self._handle, i)
