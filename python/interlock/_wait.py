"""Blocking calls from Python: their timeouts, and how Ctrl-C gets through."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from ._constants import ILK_ETIMEDOUT, ILK_OK
from ._library import QUICK

_wait_begin = QUICK["ilk_wait_begin"]
_wait_end = QUICK["ilk_wait_end"]

FOREVER = -1

# Python runs signal handlers between two bytecodes of the main thread, so there a wait returns now and then. Between two
# slices it keeps its place in the lock's queue. What slices cost: the library takes one for a wait that will end, so it
# sees no deadlock cycle that goes through the main thread.
_SLICE_NS = 50_000_000


def timeout_ns(blocking: bool, timeout: float) -> int:
    """The arguments of an acquire as nanoseconds, or the exception that `threading.Lock` has for them."""
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0
    if timeout == -1:
        return FOREVER
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    return to_ns(timeout)


def optional_ns(timeout: float | None) -> int:
    """A wait's timeout as nanoseconds. None and -1 wait for ever; others below 0 have passed, as in `threading`."""
    return FOREVER if timeout is None or timeout == -1 else to_ns(max(timeout, 0))


def to_ns(seconds: float) -> int:
    if seconds > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    # Up, because a timeout must not be early.
    return math.ceil(seconds * 1e9)


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def is_sliced(timeout_ns: int) -> bool:
    """Whether such a wait returns now and then."""
    return timeout_ns != 0 and _in_main_thread()


def _guarded(function: Callable[..., int], args: tuple[Any, ...], undo: Callable[[int], Any] | None) -> int:
    # Not `code = function(*args)`: Python runs signal handlers between the call and the assignment, and if one raises,
    # the code is lost. Here it is stored before the call into C returns.
    results: list[int] = []
    try:
        results.extend(map(function, *zip(args)))
        return results[0]
    except BaseException:
        if undo and results and results[0] >= 0:
            undo(results[0])
        raise


def wait(timed: Callable[..., int], *args: Any, timeout_ns: int, undo: Callable[[int], Any] | None = None) -> int:
    """Calls `timed(*args, timeout_ns)`, in slices where a signal handler may have to run.

    When a handler raises although the wait has succeeded, `undo(result)` gives back what it acquired.
    """
    if not _in_main_thread():
        return timed(*args, timeout_ns)
    return _in_slices(timed, args, timeout_ns, undo)


def wait_in_place(timed: Callable[..., int], handle: int, *, timeout_ns: int, undo: Callable[[int], Any]) -> int:
    """The same for a lock with a queue: the slices keep their place in it."""
    if not _in_main_thread():
        return timed(handle, timeout_ns)
    code = _guarded(timed, (handle, 0), undo)
    if code != ILK_ETIMEDOUT or timeout_ns == 0:
        return code  # most often
    begun: list[int] = []
    try:
        begun.extend(map(_wait_begin, (handle,)))  # stored before a handler can raise, as in _guarded()
        code = _in_slices(timed, (handle,), timeout_ns, undo)
    except BaseException:
        if begun and begun[0] == ILK_OK:
            _wait_end(handle)
        raise
    try:
        if begun[0] == ILK_OK:  # else seven handlers wait within each other, and no place was kept
            _wait_end(handle)
    except BaseException:
        if code >= 0:
            undo(code)
        raise
    return code


def _in_slices(timed: Callable[..., int], args: tuple[Any, ...], timeout_ns: int, undo: Callable[[int], Any] | None) -> int:
    deadline = monotonic_ns() + timeout_ns
    while True:
        left = _SLICE_NS if timeout_ns < 0 else deadline - monotonic_ns()
        code = _guarded(timed, (*args, max(0, min(left, _SLICE_NS))), undo)
        if code != ILK_ETIMEDOUT or (left <= _SLICE_NS and timeout_ns >= 0):
            return code
