"""The report: live objects, and the threads that wait."""

from __future__ import annotations

import ctypes

from ._constants import ILK_NO_VALUE
from ._errors import error, last_error
from ._library import BLOCKING

_report = BLOCKING["ilk_report"]


def report() -> str:
    """Describe what this process waits for, to find out why a program hangs.

    Returns
    -------
    str
        A line for each live object with its state, holder and waiters, and one for each thread that waits, with the object
        and the time. It is meant for people: the format may change.

    Raises
    ------
    MemoryError
        There is no memory.

    Examples
    --------
    >>> mutex = interlock.Mutex()
    >>> f"mutex {mutex.handle:#x}" in interlock.report()
    True
    """
    size = 0
    while True:
        buffer = ctypes.create_string_buffer(size)
        needed = _report(buffer if size else None, size)
        if needed == ILK_NO_VALUE:
            raise error(last_error())
        if needed <= size:
            return buffer.value.decode("ascii", "replace")
        size = needed + needed // 8  # it may grow meanwhile


def state_of(handle: int) -> str:
    """Return an object's state as the report shows it."""
    for line in report().splitlines():
        name, _, state = line.partition("  ")
        if name.endswith(f" {handle:#x}"):
            return state or "no waiters"
        if name.startswith("thread"):
            break
    return "gone"
