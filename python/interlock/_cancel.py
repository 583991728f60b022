"""Ends waits that no other thread will end, such as those of kernels after a Ctrl-C."""

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

# What cancels waits now: blocks, and True for cancel(True). Waits are cancelled as long as there is one.
_cancelling: set[object] = set()


def _begin(canceller: object) -> None:
    _cancelling.add(canceller)
    _update()


def _end(canceller: object) -> None:
    _cancelling.discard(canceller)
    _update()


def _update() -> None:
    # Without a lock, which a handler of Ctrl-C could not acquire if its thread held it.
    done = None
    while done != bool(_cancelling):  # another thread, or a handler, may have changed it meanwhile
        done = bool(_cancelling)
        check(_cancel(done))


class _Cancelling(AbstractContextManager[None]):
    _is_inside = False
    _is_ending = False

    def __enter__(self) -> None:
        # It would take its own handler for the program's.
        if self._is_inside or signal.getsignal(signal.SIGINT) == self._interrupted:
            raise RuntimeError("this block has begun already: call cancel() once for each block")
        self._before = {thread.ident for thread in threading.enumerate()}
        self._at_work = _at_work()
        self._began = False
        self._handler: Any = None
        self._late: tuple[int, FrameType | None] | None = None
        self._is_ending = False
        self._is_inside = True
        # An executor in the body waits for its workers before control leaves the body. So the handler of Ctrl-C cancels,
        # and not only __exit__.
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                try:
                    signal.signal(signal.SIGINT, self._interrupted)
                except ValueError:  # a subinterpreter, which handles no signals
                    self._handler = None
                except BaseException:  # a Ctrl-C came already: __exit__ will not run
                    self._is_inside = False
                    _end(self)
                    signal.signal(signal.SIGINT, handler)
                    raise

    def _interrupted(self, number: int, frame: FrameType | None) -> Any:
        if self._is_inside:
            self._began = True
            _begin(self)
            if frame is not None and frame.f_code is _Cancelling.__exit__.__code__:
                self._late = number, frame  # nothing of __exit__ has run: it must, and handles the signal at its end
                return None
        if self._is_ending:
            self._late = number, frame
            return None
        return self._handler(number, frame)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> Literal[False]:
        try:
            self._is_inside = False  # from here on, a Ctrl-C must not cancel: no code would end that
            if kind is not None or self._began:
                # Work that an executor had before the body began may belong to another part of the program, and may never
                # end. Only Ctrl-C waits for it, because the user can press it once more.
                interrupted = self._began or (kind is not None and issubclass(kind, KeyboardInterrupt))
                self._cancel_until_quiet(set() if interrupted else self._at_work)
        finally:
            if self._handler is not None and signal.getsignal(signal.SIGINT) == self._interrupted:
                signal.signal(signal.SIGINT, self._handler)
        if self._late is not None:
            self._handler(*self._late)
        return False

    def _cancel_until_quiet(self, unrelated: Container[int]) -> None:
        try:
            _begin(self)
            _until_quiet(self._before, unrelated)
        except BaseException:
            # A second Ctrl-C. An executor around this block still waits for its workers, so they must still end.
            if _is_working(self._before, unrelated, {}):
                work = object()  # the block may begin anew meanwhile
                _begin(work)
                threading.Thread(target=_end_when_quiet, args=(work, self._before, unrelated), daemon=True).start()
            raise
        finally:
            self._is_ending = True  # a Ctrl-C that came before _end() has ended would leave waits cancelled
            _end(self)


def _end_when_quiet(work: object, before: Container[int | None], unrelated: Container[int]) -> None:
    try:
        _until_quiet(before, unrelated)
    finally:
        _end(work)


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
    """Return whether an executor's thread still has work, or a thread that began in the body computes."""
    frames = sys._current_frames()
    mine = threading.get_ident()
    working = False
    for thread in threading.enumerate():
        ident = thread.ident
        frame = None if ident is None else frames.get(ident)
        if ident is None or frame is None or ident == mine or ident in unrelated:
            continue
        if _is_of_an_executor(frame):
            working = working or frame.f_code.co_name != "_worker"  # in _worker itself, it waits for work
        elif ident not in before:
            runs, spent = _processor(thread.native_id)
            working = working or runs or spent > used.get(ident, -1.0)
            used[ident] = spent
    return working


def _at_work() -> set[int]:
    """Return the threads of executors that have work."""
    frames = sys._current_frames().items()
    return {ident for ident, frame in frames if frame.f_code.co_name != "_worker" and _is_of_an_executor(frame)}


def _is_of_an_executor(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == "concurrent.futures.thread":
            return True
        frame = frame.f_back
    return False


def _processor(native_id: int | None) -> tuple[bool, float]:
    """Return whether a thread is running or ready to run, and the processor time that it has used, in clock ticks.

    It is found by its system id, because a pthread_t may name another thread once its own has ended. On Windows the state is
    not known, and the time alone counts. On other systems without /proc, the thread counts as idle.
    """
    if sys.platform == "win32":
        return False, _processor_time(native_id)
    try:
        with open(f"/proc/self/task/{native_id}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0] == "R", float(fields[11]) + float(fields[12])  # state, utime, stime
    except (OSError, IndexError, ValueError):
        return False, 0.0


def _processor_time(native_id: int | None) -> float:
    """Return the processor time of a thread on Windows, in units of 100 ns. It advances about every 16 ms."""
    if sys.platform != "win32" or native_id is None:
        return 0.0
    import ctypes

    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.OpenThread.restype = ctypes.c_void_p
    handle = kernel32.OpenThread(0x0800, False, native_id)  # THREAD_QUERY_LIMITED_INFORMATION
    if not handle:
        return 0.0
    times = (ctypes.c_uint64 * 4)()  # creation, exit, kernel, user
    at = [ctypes.byref(times, 8 * i) for i in range(4)]
    known = kernel32.GetThreadTimes(ctypes.c_void_p(handle), *at)
    kernel32.CloseHandle(ctypes.c_void_p(handle))
    return float(times[2] + times[3]) if known else 0.0


def cancelled() -> bool:
    """Return whether waits are being cancelled.

    It is for loops that compute and do not wait, in Python and in kernels. It costs one load.

    Returns
    -------
    bool
        True between ``cancel(True)`` and ``cancel(False)``.

    Examples
    --------
    >>> while not interlock.cancelled():
    ...     break  # or the next step of the computation
    """
    return bool(_cancelled())


@overload
def cancel(on: bool) -> None: ...
@overload
def cancel() -> AbstractContextManager[None]: ...


def cancel(on: bool | None = None) -> AbstractContextManager[None] | None:
    """End all waits in this process, or make a ``with`` block that does so on Ctrl-C.

    ``cancel(True)`` ends every wait at once, and those that begin later, until ``cancel(False)``. A cancelled wait raises
    RuntimeError; a C function returns ILK_ECANCELED. Blocks may overlap, in several threads too: waits stay cancelled as
    long as one of them, or ``cancel(True)``, cancels them.

    ``with cancel(): ...`` is for code that waits for kernels in other threads, which Ctrl-C does not reach. A Ctrl-C in the
    main thread cancels all waits at once, while the body still runs. Any other exception cancels them when it leaves the
    body. Waits stay cancelled until

    - all threads of executors (`concurrent.futures`) have finished their work,
    - the threads that began in the body no longer compute, and
    - no thread has waited for a tenth of a second. Threads of other kinds may go on waiting; they are ignored after a
      second.

    Then the exception propagates. After a second Ctrl-C it propagates at once, and waits stay cancelled only while such
    work goes on. Work that an executor had before the body began counts only after a Ctrl-C, because it may belong to
    another part of the program. The executor may be outside or inside: ``with cancel(), ThreadPoolExecutor() as pool:`` or
    the reverse. A kernel that computes and does not wait checks `cancelled()`.

    Parameters
    ----------
    on : bool, optional
        True begins to cancel waits, False ends that.

    Returns
    -------
    context manager or None
        The context manager if `on` is not given.

    Examples
    --------
    >>> with interlock.cancel():
    ...     pass  # kernels in other threads
    """
    if on is None:
        return _Cancelling()
    _begin(True) if on else _end(True)
    return None
