"""The library's error codes as Python exceptions."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

from . import _constants as c
from ._library import QUICK

last_error = QUICK["ilk_last_error"]


class HandleError(RuntimeError):
    """The handle is closed, or not a handle of this kind."""


class DeadlockError(RuntimeError):
    """The wait could never end: the caller holds the lock already, or the wait is part of a deadlock cycle."""


if sys.version_info >= (3, 13):
    from queue import ShutDown
else:

    class ShutDown(Exception):
        """The queue is closed. Since Python 3.13 this is `queue.ShutDown`."""


class OwnerDiedWarning(RuntimeWarning):
    """The lock is acquired, but its last owner exited without a release: check the data that it protects."""


EXCEPTIONS: dict[int, tuple[type[Exception], str]] = {
    c.ILK_ETIMEDOUT: (TimeoutError, "timed out"),
    c.ILK_EBUSY: (RuntimeError, "still held or waited for"),
    c.ILK_EHANDLE: (HandleError, "the handle is closed or not of this kind"),
    c.ILK_EINVAL: (ValueError, "an argument is out of range"),
    c.ILK_EPERM: (RuntimeError, "not held by the caller"),
    c.ILK_EDEADLK: (DeadlockError, "this wait would never end: the caller holds it already, or is part of a deadlock cycle"),
    c.ILK_EOVERFLOW: (OverflowError, "the count would pass its limit"),
    c.ILK_ENOMEM: (MemoryError, "no memory, or no free handle"),
    c.ILK_EBROKEN: (BrokenBarrierError, "the barrier is broken"),
    c.ILK_ECLOSED: (ShutDown, "the queue is closed"),
    c.ILK_ECANCELED: (RuntimeError, "waits are being cancelled"),
    c.ILK_ENOTSUP: (NotImplementedError, "not on this platform, or denied by a sandbox"),
}


def error(code: int) -> Exception:
    """Return the exception for an error code."""
    kind, text = EXCEPTIONS.get(code, (RuntimeError, "unknown error"))
    return kind(f"{text} ({error_name(code)})")


def error_name(code: int) -> str:
    return ctypes.string_at(QUICK["ilk_error_name"](code)).decode()


def check(code: int) -> int:
    """Return the code, or raise its exception if it is an error."""
    if code < 0:
        raise error(code)
    return code


def element_index_text(index: int, axis: int, size: int) -> str:
    """Return the message for an array index that is out of range."""
    return f"index {index} is out of bounds for axis {axis} with size {size}"


def lock_index_text(n: int, *indices: int) -> str:
    """Return the message for indices of a LockArray of `n` locks; -1 if the length is unknown."""
    bad = next((i for i in indices if n < 0 or not 0 <= i < n), indices[0])
    if n < 0:
        return f"lock index {' or '.join(map(str, indices))} is out of range"
    return f"lock index {bad} is out of range for a LockArray of length {n}"


def lock_range_text(n: int, begin: int, end: int) -> str:
    """Return the message for the range `begin`..`end` - 1."""
    return f"lock range {begin} to {end} is not within a LockArray" + (f" of length {n}" if n >= 0 else "")


def warn_owner_died(undo: Callable[[int], Any], stacklevel: int = 3) -> None:
    """Issue the warning, by default for the line that called the acquire that calls this."""
    try:
        warnings.warn("the thread that held it is gone: check the data", OwnerDiedWarning, stacklevel)
    except BaseException:  # a warning may be an error, and an acquire that raises must not hold the lock
        undo(c.ILK_OWNER_DIED)
        raise
