"""Blocking calls from Python: their timeouts, and how Ctrl-C gets through."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Any

from ._constants import ILK_ETIMEDOUT

FOREVER = -1

# Python runs signal handlers between two bytecodes of the main thread, so there a wait returns now and then. What that
# costs: each slice queues anew for a fair lock, and the library takes a slice for a wait that will end, so it sees no
# circle that goes through the main thread.
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


def to_ns(seconds: float) -> int:
    if seconds > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    # Up, because a timeout must not be early.
    return math.ceil(seconds * 1e9)


def wait(timed: Callable[..., int], *args: int, timeout_ns: int, undo: Callable[[], Any] | None = None) -> int:
    """Calls `timed(*args, timeout_ns)`, in slices where a signal handler may have to run.

    When a handler raises although the wait has succeeded, `undo` gives back what it acquired.
    """
    if timeout_ns == 0 or threading.get_ident() != threading.main_thread().ident:
        return timed(*args, timeout_ns)
    call = partial(timed, *args)
    deadline = monotonic_ns() + timeout_ns
    while True:
        left = _SLICE_NS if timeout_ns < 0 else deadline - monotonic_ns()
        results: list[int] = []
        try:
            # Not `code = call(...)`: Python runs handlers between the call and the assignment, and the code would be
            # lost. Here it is stored before the call into C returns.
            results.extend(map(call, (max(0, min(left, _SLICE_NS)),)))
            code = results[0]
        except BaseException:
            if undo and results and results[0] >= 0:
                undo()
            raise
        if code != ILK_ETIMEDOUT or (left <= _SLICE_NS and timeout_ns > 0):
            return code
