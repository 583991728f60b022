"""What the library's error codes are in Python."""

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
    """The handle is closed, or was never one of this kind."""


class DeadlockError(RuntimeError):
    """The wait could never end: the caller waits for itself, directly or in a deadlock cycle."""


if sys.version_info >= (3, 13):
    from queue import ShutDown
else:

    class ShutDown(Exception):
        """The queue is closed: `queue.ShutDown`, which Python has since 3.13."""


class OwnerDiedWarning(RuntimeWarning):
    """Acquired, but the thread that held it is gone: check the data it protected."""


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
    """The exception for an error code."""
    kind, text = EXCEPTIONS.get(code, (RuntimeError, "unknown error"))
    return kind(f"{text} ({error_name(code)})")


def error_name(code: int) -> str:
    return ctypes.string_at(QUICK["ilk_error_name"](code)).decode()


def check(code: int) -> int:
    """The code, if it is not an error."""
    if code < 0:
        raise error(code)
    return code


def element_index_text(index: int, axis: int, size: int) -> str:
    """What is wrong with the index of an array's element."""
    return f"index {index} is out of bounds for axis {axis} with size {size}"


def lock_index_text(n: int, *indices: int) -> str:
    """What is wrong with indices of a LockArray of `n` locks, or of as many as nobody knows: -1."""
    bad = next((i for i in indices if n < 0 or not 0 <= i < n), indices[0])
    if n < 0:
        return f"lock index {' or '.join(map(str, indices))} is out of range"
    return f"lock index {bad} is out of range for a LockArray of length {n}"


def lock_range_text(n: int, begin: int, end: int) -> str:
    """The same for the range `begin`..`end` - 1."""
    return f"lock range {begin} to {end} is not within a LockArray" + (f" of length {n}" if n >= 0 else "")


def warn_owner_died(undo: Callable[[int], Any], stacklevel: int = 3) -> None:
    """For an acquire that calls this: the warning points to the line that called the acquire."""
    try:
        warnings.warn("the thread that held it is gone: check the data", OwnerDiedWarning, stacklevel)
    except BaseException:  # warnings may be errors, and an acquire that raises must not hold
        undo(c.ILK_OWNER_DIED)
        raise
