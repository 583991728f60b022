"""Ending the waits of kernels that nobody will end otherwise."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Container
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Literal, overload

from ._errors import check
from ._library import BLOCKING, QUICK

_cancel = BLOCKING["ilk_cancel"]
_cancelled = QUICK["ilk_cancelled"]
_waiting = QUICK["ilk_waiting"]

_QUIET = 0.1
_LIMIT = 1.0


class _Cancelling(AbstractContextManager[None]):
    def __enter__(self) -> None:
        self._before = {thread.ident for thread in threading.enumerate()}
        self._at_work = _at_work()
        self._began = False
        self._handler: Any = None
        self._is_inside = True
        # An executor in the body waits for its workers before the body is left. So Ctrl-C begins here, not in __exit__.
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                try:
                    signal.signal(signal.SIGINT, self._interrupted)
                except ValueError:  # a subinterpreter, which handles no signals
                    self._handler = None
                except BaseException:  # Ctrl-C already: there will be no __exit__
                    self._is_inside = False
                    _cancel(0)
                    signal.signal(signal.SIGINT, handler)
                    raise

    def _interrupted(self, number: int, frame: FrameType | None) -> Any:
        if self._is_inside:
            self._began = True
            _cancel(1)
        return self._handler(number, frame)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> Literal[False]:
        try:
            self._is_inside = False  # from here on, Ctrl-C begins nothing that would not be ended
            if kind is not None or self._began:
                # Work that an executor had before the body began may be another part's of the program, and never end. Only
                # Ctrl-C waits for it, because the user can press it once more.
                interrupted = self._began or (kind is not None and issubclass(kind, KeyboardInterrupt))
                self._cancel_until_quiet(set() if interrupted else self._at_work)
        finally:
            if self._handler is not None and signal.getsignal(signal.SIGINT) == self._interrupted:
                signal.signal(signal.SIGINT, self._handler)
        return False

    def _cancel_until_quiet(self, unrelated: Container[int]) -> None:
        goes_on = False
        try:
            check(_cancel(1))
            _until_quiet(self._before, unrelated)
        except BaseException:
            # Ctrl-C once more. An executor outside of us will still wait for its workers, so they must still end.
            goes_on = _is_working(self._before, unrelated, {})
            if goes_on:
                threading.Thread(target=_end_when_quiet, args=(self._before, unrelated), daemon=True).start()
            raise
        finally:
            if not goes_on:
                _cancel(0)


def _end_when_quiet(before: Container[int | None], unrelated: Container[int]) -> None:
    try:
        _until_quiet(before, unrelated)
    finally:
        _cancel(0)


def _until_quiet(before: Container[int | None], unrelated: Container[int]) -> None:
    now = time.monotonic()
    end, seen = now + _LIMIT, now
    used: dict[int, float] = {}
    while now < seen + _QUIET:
        time.sleep(0.002)
        now = time.monotonic()
        working = _is_working(before, unrelated, used)
        if working or (check(_waiting()) and now < end):
            seen = now


def _is_working(before: Container[int | None], unrelated: Container[int], used: dict[int, float]) -> bool:
    """Whether the work of an executor's thread goes on, or a thread that began in the body computes."""
    frames = sys._current_frames()
    mine = threading.get_ident()
    working = False
    for thread in threading.enumerate():
        ident = thread.ident
        frame = None if ident is None else frames.get(ident)
        if ident is None or frame is None or ident == mine or ident in unrelated:
            continue
        if _is_of_an_executor(frame):
            working = working or frame.f_code.co_name != "_worker"  # else it waits for work
        elif ident not in before:
            runs, spent = _processor(thread.native_id)
            working = working or runs or spent > used.get(ident, -1.0)
            used[ident] = spent
    return working


def _at_work() -> set[int]:
    """The executors' threads that have work."""
    frames = sys._current_frames().items()
    return {ident for ident, frame in frames if frame.f_code.co_name != "_worker" and _is_of_an_executor(frame)}


def _is_of_an_executor(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == "concurrent.futures.thread":
            return True
        frame = frame.f_back
    return False


def _processor(native_id: int | None) -> tuple[bool, float]:
    """Whether a thread runs, or would if it had a processor; and how long it has.

    Not by its pthread_t, which may be another's once it has ended. Nothing where the system has no /proc.
    """
    try:
        with open(f"/proc/self/task/{native_id}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0] == "R", float(fields[11]) + float(fields[12])  # state, utime, stime
    except (OSError, IndexError, ValueError):
        return False, 0.0


def cancelled() -> bool:
    """Whether waits are being cancelled. For loops that compute and do not wait, in Python and in kernels: one load.

    while not interlock.cancelled(): ...
    """
    return bool(_cancelled())


@overload
def cancel(on: bool) -> None: ...
@overload
def cancel() -> AbstractContextManager[None]: ...


def cancel(on: bool | None = None) -> AbstractContextManager[None] | None:
    """``cancel(True)``: every wait in this process, now and later, ends at once, until ``cancel(False)``.

    In kernels it ends with ILK_ECANCELED (a method raises RuntimeError), in Python with RuntimeError.

    ``with cancel(): ...`` is for code that waits for kernels in other threads, which Ctrl-C does not reach. Ctrl-C in
    the main thread cancels all waits at once, before the body is left; so does any other exception that leaves it. They
    stay cancelled until the work of all executors' threads (`concurrent.futures`) has ended, the threads that began in
    the body no longer compute, and no wait has been seen for a tenth of a second (or for a second other threads, which
    this cannot judge, have gone on waiting). Then the exception goes on. With a second Ctrl-C it goes on at once, and
    waits stay cancelled only as long as such work goes on. Work that an executor's thread had before the body began
    counts only for Ctrl-C, for it may be another part's of the program. An executor may be outside or inside:
    ``with cancel(), ThreadPoolExecutor() as pool:`` or the reverse. A kernel that computes and does not wait asks
    `cancelled()`.
    """
    if on is None:
        return _Cancelling()
    check(_cancel(1 if on else 0))
    return None
