"""Locks in the elements of a numpy array: each `uint32` is an owned lock, and 0 is unlocked.

``locks = np.zeros(n, np.uint32)`` makes `n` locks; they need no free. They may be in memory that processes share: then pass
``shared=True`` to every call. The functions work in kernels compiled by Numba too, where `lock` needs ``nogil=True``.
Nothing else may write to the elements while they are used as locks. The C functions are `ilk_word_timedlock` and the like.

If the owner exits without an unlock, the next lock succeeds and, from Python, issues an `OwnerDiedWarning`. With `shared`
the lock stays locked.

Parameters
----------
array : ndarray of uint32
    The locks, in an array of any shape. It must be writable and aligned.
index : int or tuple of int
    The element: an integer, or a tuple of one for each dimension. Negative ones count from the end.
timeout : float
    The longest wait, in seconds; -1 waits forever.
shared : bool
    Whether several processes use the lock.

Raises
------
IndexError
    The index is out of range, in kernels too.
TypeError
    The array's type is not uint32.
ValueError
    The array is read-only or misaligned.
DeadlockError
    The caller holds the lock already, or the wait is part of a deadlock cycle.
RuntimeError
    An `unlock` by a thread that does not hold the lock.

Examples
--------
>>> locks = np.zeros(8, np.uint32)
>>> words.lock(locks, 3)
True
>>> words.unlock(locks, 3)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._constants import ILK_EBUSY, ILK_ETIMEDOUT, ILK_OK, ILK_OWNER_DIED, ILK_SHARED
from ._errors import check, warn_owner_died
from ._library import BLOCKING, QUICK
from ._wait import SLICED, timeout_ns, wait
from .atomic import Index, element_address

__all__ = ["lock", "trylock", "unlock"]

_trylock = QUICK["ilk_word_trylock"]
_timedlock = BLOCKING["ilk_word_timedlock"]
_unlock = QUICK["ilk_word_unlock"]


def lock(array: NDArray[np.uint32], index: Index, timeout: float = -1, shared: bool = False) -> bool:
    """Lock ``array[index]``, and wait while another thread holds it. See `interlock.words` for parameters and errors.

    Returns
    -------
    bool
        False if `timeout` seconds have passed.

    Examples
    --------
    >>> words.lock(np.zeros(1, np.uint32), 0, timeout=0.5)
    True
    """
    address, flags, ns = _address(array, index), ILK_SHARED if shared else 0, timeout_ns(True, timeout)
    (code,) = map(_trylock, (address,), (flags,)) if not SLICED else (ILK_EBUSY,)  # see _wait.py
    if code == ILK_EBUSY:
        code = wait(_timedlock, address, flags, timeout_ns=ns, undo=lambda _: _unlock(address, flags))
    if code == ILK_OWNER_DIED:
        warn_owner_died(lambda _: _unlock(address, flags))
    return code == ILK_OK or (code != ILK_ETIMEDOUT and check(code) >= 0)


def trylock(array: NDArray[np.uint32], index: Index, shared: bool = False) -> bool:
    """Lock ``array[index]`` if it is unlocked. See `interlock.words` for parameters and errors.

    Returns
    -------
    bool
        False if it is locked.

    Examples
    --------
    >>> words.trylock(np.zeros(1, np.uint32), 0)
    True
    """
    address, flags = _address(array, index), ILK_SHARED if shared else 0
    (code,) = map(_trylock, (address,), (flags,))  # see _wait.py
    if code == ILK_OWNER_DIED:
        warn_owner_died(lambda _: _unlock(address, flags))
    return code == ILK_OK or (code != ILK_EBUSY and check(code) >= 0)


def unlock(array: NDArray[np.uint32], index: Index, shared: bool = False) -> None:
    """Unlock ``array[index]``, which the caller holds. See `interlock.words` for parameters and errors.

    Examples
    --------
    >>> locks = np.zeros(1, np.uint32)
    >>> words.lock(locks, 0), words.unlock(locks, 0)
    (True, None)
    """
    check(_unlock(_address(array, index), ILK_SHARED if shared else 0))


def _address(array: NDArray[Any], index: Index) -> int:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint32:
        raise TypeError("locks are the elements of an array of uint32")
    if not array.flags.writeable or not array.flags.aligned:
        raise ValueError("the array is read-only or misaligned")
    return element_address(array, index)
