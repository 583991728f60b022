"""What a hung program waits for."""

from __future__ import annotations

import ctypes

from ._constants import ILK_NO_VALUE
from ._errors import error, last_error
from ._library import BLOCKING

_report = BLOCKING["ilk_report"]


def report() -> str:
    """A text for a person with a hung program: every live handle, its state, holder and waiters, and every thread that
    waits, for what and for how long.
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
    """An object's state, as the report has it."""
    for line in report().splitlines():
        name, _, state = line.partition("  ")
        if name.endswith(f" {handle:#x}"):
            return state or "no waiters"
        if name.startswith("thread"):
            break
    return "gone"
