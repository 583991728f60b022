"""Ending the waits of kernels that nobody will end otherwise."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Literal, overload

from ._errors import check
from ._library import BLOCKING, QUICK

_cancel = BLOCKING["ilk_cancel"]
_waiting = QUICK["ilk_waiting"]

_QUIET = 0.1
_LIMIT = 1.0


class _Cancelling(AbstractContextManager[None]):
    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> Literal[False]:
        if kind is not None:
            try:
                check(_cancel(1))
                _until_quiet()
            finally:
                check(_cancel(0))
        return False


def _until_quiet() -> None:
    now = time.monotonic()
    end, seen = now + _LIMIT, now
    while now < min(end, seen + _QUIET):
        time.sleep(0.002)
        now = time.monotonic()
        if check(_waiting()):
            seen = now


@overload
def cancel(on: bool) -> None: ...
@overload
def cancel() -> AbstractContextManager[None]: ...


def cancel(on: bool | None = None) -> AbstractContextManager[None] | None:
    """``cancel(True)``: every wait in this process, now and later, ends at once, until ``cancel(False)``.

    In kernels it ends with ILK_ECANCELED (a method raises RuntimeError), in Python with RuntimeError.

    ``with cancel(): ...`` is for code that waits for kernels in other threads, which Ctrl-C does not reach. If the body
    is left by an exception, KeyboardInterrupt or any other, all waits are cancelled until none has been seen for a
    tenth of a second, but for a second at most; then the exception goes on. By then all waits that were under way have
    ended, and those that came meanwhile. A kernel that computes for longer before it waits is not reached: where that
    can be, use ``cancel(True)``.
    """
    if on is None:
        return _Cancelling()
    check(_cancel(1 if on else 0))
    return None
