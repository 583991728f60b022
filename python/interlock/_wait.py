"""Blocking calls from Python: their timeouts, and how Ctrl-C interrupts them.

Python runs a signal handler after any call, before its result is stored. If the handler raises, the result is lost, and what
the call has acquired would stay held. So where a call may acquire, this package writes ``(code,) = map(function, (h,))``:
between that call and its assignment no handler runs, since Python 3.11. Or it stores the result in a list, as _guarded()
does. After that it calls nothing before it returns. The same holds in other threads, for exceptions that one thread sends to
another (PyThreadState_SetAsyncExc).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from itertools import starmap
from time import perf_counter_ns  # monotonic_ns() stands still for 16 ms on Windows before Python 3.13
from typing import Any

from ._constants import ILK_ETIMEDOUT, ILK_OK
from ._library import QUICK

_wait_begin = QUICK["ilk_wait_begin"]
_wait_end = QUICK["ilk_wait_end"]

FOREVER = -1

# Python runs signal handlers between two bytecodes of the main thread. So a wait of the main thread is made in slices. It
# keeps its place in the lock's queue between two slices, and misses no set of an event there. The cost: a slice has a
# deadline, so the library searches for no deadlock cycle through the main thread.
_SLICE_NS = 50_000_000

# An item for each such wait. Meanwhile other threads do not try word locks and locks of an array before they wait: a try
# also succeeds for a lock that its release has reserved for a thread that waits.
SLICED: list[None] = []


def timeout_ns(blocking: bool, timeout: float) -> int:
    """Convert the arguments of an acquire to nanoseconds, with the exceptions of `threading.Lock`."""
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0
    if timeout == -1:
        return FOREVER
    ns = to_ns(timeout)
    if ns < 0:
        raise ValueError("timeout value must be a non-negative number")
    return ns


def optional_ns(timeout: float | None) -> int:
    """Convert a wait's timeout to nanoseconds. None waits forever; a negative timeout has passed, as in `threading`."""
    return FOREVER if timeout is None else max(to_ns(timeout), 0)


def real(value: Any) -> float:
    """Return a number as a float. float() would also take text, and numpy's durations, whatever their unit."""
    check_number(value, "biufO")
    return math.ldexp(value, 0)


def check_number(value: Any, kinds: str) -> None:
    """Raise TypeError for a scalar or array of numpy's that is not of these kinds."""
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "f") not in kinds:
        raise TypeError(f"a number is required, not {type(value).__name__} of {dtype}")


def to_ns(seconds: float) -> int:
    """Convert seconds to nanoseconds, all that are negative to -1."""
    number = real(seconds)  # first: a product of numpy's float16 and 1e9 overflows
    if number > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    if math.isnan(number):
        raise ValueError("timeout value must be a number, not NaN")
    # Rounded up, because a wait must not end early.
    return -1 if number < 0 else math.ceil(number * 1e9)


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def is_sliced(timeout_ns: int) -> bool:
    """Return whether a wait with this timeout is made in slices."""
    return timeout_ns != 0 and _in_main_thread()


def _guarded(function: Callable[..., int], args: tuple[Any, ...], undo: Callable[[int], Any] | None) -> int:
    # Not `code = function(*args)`: Python may run a signal handler between the call and the assignment, and if it raises,
    # the code is lost. Here the code is stored before the call into C returns.
    results: list[int] = []
    try:
        results.extend(starmap(function, (args,)))
        return results[0]
    except BaseException:
        if undo and results and results[0] >= 0:
            undo(results[0])
        raise


def wait(timed: Callable[..., int], *args: Any, timeout_ns: int, undo: Callable[[int], Any] | None = None) -> int:
    """Call `timed(*args, timeout_ns)`, in slices where a signal handler may have to run.

    If a handler raises although the wait has succeeded, `undo(result)` releases what it acquired.
    """
    if not _in_main_thread():
        (code,) = starmap(timed, ((*args, timeout_ns),))
        return code
    return _in_slices(timed, args, timeout_ns, undo)


def wait_in_place(
    timed: Callable[..., int], handle: int, *, timeout_ns: int, undo: Callable[[int], Any] | None = None
) -> int:
    """The same for a resumable wait: it keeps its place in a lock's queue, and misses no set of an event between slices."""
    if not _in_main_thread():
        (code,) = map(timed, (handle,), (timeout_ns,))
        return code
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
        if begun[0] == ILK_OK:  # else seven nested handlers wait, and no place was kept
            _wait_end(handle)
    except BaseException:
        if undo and code >= 0:
            undo(code)
        raise
    return code


def time_left(deadline: int, timeout_ns: int) -> int:
    """Return what is left of `timeout_ns`, which is not negative: at least 1 ns of a timeout that is not 0.

    A timeout of 0 is a try, which does not report that the caller holds the lock. A timed acquire reports it however late
    it comes to run.
    """
    return max(min(timeout_ns, 1), deadline - perf_counter_ns())


def _in_slices(timed: Callable[..., int], args: tuple[Any, ...], timeout_ns: int, undo: Callable[[int], Any] | None) -> int:
    deadline = perf_counter_ns() + timeout_ns
    code = ILK_ETIMEDOUT
    try:
        SLICED.append(None)
        try:
            while True:
                left = _SLICE_NS if timeout_ns < 0 else time_left(deadline, timeout_ns)
                code = _guarded(timed, (*args, min(left, _SLICE_NS)), undo)
                if code != ILK_ETIMEDOUT or (left <= _SLICE_NS and timeout_ns >= 0):
                    break
        finally:
            del SLICED[-1:]
    except BaseException:
        if undo and code >= 0:
            undo(code)
        raise
    return code
