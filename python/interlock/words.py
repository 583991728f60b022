"""Locks in the elements of a numpy array: each `uint32` is an owned lock, and 0 is unlocked.

``locks = np.zeros(n, np.uint32)`` makes n of them, and nothing is to be freed. They may stand in memory that processes
share: then every call for them says `shared`. The functions work in kernels compiled by Numba too, where `lock` needs
``nogil=True``. They are `ilk_word_timedlock` and its kin; other words are not to be written while they are locks.

Raises IndexError for an index out of range, in kernels too; TypeError for another type than uint32; ValueError for an array
that is read-only or misaligned; DeadlockError if the caller holds it already; RuntimeError from an `unlock` by another
thread than the owner. If the owner ended without an unlock, the next lock succeeds and, from Python, gives an
OwnerDiedWarning; with `shared`, it stays locked.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._constants import ILK_EBUSY, ILK_ETIMEDOUT, ILK_OWNER_DIED, ILK_SHARED
from ._errors import OwnerDiedWarning, check
from ._library import BLOCKING, QUICK
from ._wait import timeout_ns, wait
from .atomic import Index, element_address

__all__ = ["lock", "trylock", "unlock"]

_trylock = QUICK["ilk_word_trylock"]
_timedlock = BLOCKING["ilk_word_timedlock"]
_unlock = QUICK["ilk_word_unlock"]


def lock(array: NDArray[np.uint32], index: Index, timeout: float = -1, shared: bool = False) -> bool:
    """Locks ``array[index]``. False: `timeout` seconds have passed; -1 waits for ever."""
    address, flags, ns = _address(array, index), ILK_SHARED if shared else 0, timeout_ns(True, timeout)
    code = _trylock(address, flags)
    if code == ILK_EBUSY:

        def undo(_: int) -> None:
            _unlock(address, flags)

        code = wait(_timedlock, address, flags, timeout_ns=ns, undo=undo)
    return _locked(code, address, flags)


def trylock(array: NDArray[np.uint32], index: Index, shared: bool = False) -> bool:
    """Locks ``array[index]``, unless it is locked: then False."""
    address, flags = _address(array, index), ILK_SHARED if shared else 0
    return _locked(_trylock(address, flags), address, flags)


def unlock(array: NDArray[np.uint32], index: Index, shared: bool = False) -> None:
    """Unlocks ``array[index]``, which the caller must have locked."""
    check(_unlock(_address(array, index), ILK_SHARED if shared else 0))


def _address(array: NDArray[Any], index: Index) -> int:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint32:
        raise TypeError("locks are the elements of an array of uint32")
    if not array.flags.writeable or not array.flags.aligned:
        raise ValueError("the array is read-only or misaligned")
    return element_address(array, index)


def _locked(code: int, address: int, flags: int) -> bool:
    if code == ILK_OWNER_DIED:
        try:
            warnings.warn("the thread that held it is gone: check the data", OwnerDiedWarning, stacklevel=3)
        except BaseException:  # warnings may be errors, and a lock that raises must not hold
            _unlock(address, flags)
            raise
    return code not in (ILK_EBUSY, ILK_ETIMEDOUT) and check(code) >= 0
