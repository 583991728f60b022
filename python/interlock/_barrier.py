"""The barrier."""

from __future__ import annotations

import ctypes
import sys
import weakref
from _thread import interrupt_main
from collections.abc import Callable
from operator import index
from threading import BrokenBarrierError
from time import perf_counter_ns

from ._constants import ILK_EBROKEN, ILK_EHANDLE, ILK_ETIMEDOUT, ILK_OK
from ._errors import check
from ._handle import Closing
from ._library import BLOCKING, QUICK
from ._wait import is_sliced, optional_ns, time_left, wait

_new = QUICK["ilk_barrier_new"]
_timedwait = BLOCKING["ilk_barrier_timedwait"]
_arrive = BLOCKING["ilk_barrier_arrive"]
_complete = QUICK["ilk_barrier_complete"]
_await = BLOCKING["ilk_barrier_await"]
_leave = QUICK["ilk_barrier_leave"]
_abort = QUICK["ilk_barrier_abort"]
_reset = QUICK["ilk_barrier_reset"]
_is_broken = QUICK["ilk_barrier_is_broken"]
_waiting = QUICK["ilk_barrier_waiting"]


class Barrier(Closing):
    """The same as `threading.Barrier`: `parties` threads wait for each other, round after round.

    The barrier breaks when the action raises, when a wait times out, is interrupted or is cancelled, and by `abort()`.
    Then every wait raises `threading.BrokenBarrierError`, until a `reset()`.

    A kernel that waits at a barrier with an action needs the GIL, except while it sleeps. If the action raises in a kernel,
    the exception is printed, and the kernel raises BrokenBarrierError.

    Parameters
    ----------
    parties : int
        How many threads take part, 1..2**31 - 1.
    action : callable, optional
        The last thread to arrive calls it before any thread proceeds.
    timeout : float, optional
        The timeout of waits that have none of their own, in seconds; None waits forever.

    Raises
    ------
    ValueError
        `parties` is less than 1.
    OverflowError
        `parties` does not fit in 31 bits.

    Examples
    --------
    >>> interlock.Barrier(1).wait()
    0
    """

    _free = QUICK["ilk_barrier_free"]

    def __init__(self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None) -> None:
        parties = index(parties)
        if parties < 1:
            raise ValueError("parties must be > 0")
        if parties >= 2**31:
            raise OverflowError("parties must fit in 31 bits")
        super().__init__(_new(parties))
        self._parties = parties
        self._action = action
        self._timeout_ns = optional_ns(timeout)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have arrived.

        Parameters
        ----------
        timeout : float, optional
            The longest wait, in seconds; None means the barrier's own timeout.

        Returns
        -------
        int
            The caller's position in the order of arrival, 0..parties - 1.

        Raises
        ------
        threading.BrokenBarrierError
            The barrier is broken, or breaks during the wait: `timeout` seconds have passed, for example.
        HandleError
            The barrier is closed.
        """
        ns = self._timeout_ns if timeout is None else optional_ns(timeout)
        if self._action is None and not is_sliced(ns):
            code = _timedwait(self._handle, ns)
        else:
            code = self._wait_in_parts(ns)
        if code == ILK_ETIMEDOUT:  # as in threading, the thread that broke it raises too
            raise BrokenBarrierError
        return check(code)

    def _wait_in_parts(self, ns: int) -> int:
        handle, last = self._handle, self._parties - 1
        act = self._action is not None
        deadline = perf_counter_ns() + ns

        ticket = ctypes.c_int64()

        def give_up(place: int) -> None:
            if act and place == last:
                _complete(handle, ticket, 0)
            else:
                _leave(handle, ticket)

        place = wait(_arrive, handle, act, ctypes.addressof(ticket), timeout_ns=ns, undo=give_up)
        if place == ILK_ETIMEDOUT:
            _abort(handle)
        if place < 0:
            return place
        if place < last:
            try:
                left = ns if ns < 0 else time_left(deadline, ns)
                code = wait(_await, handle, ticket, timeout_ns=left)
            finally:
                ended = _leave(handle, ticket)  # breaks the barrier, unless the round is complete
        elif self._action is not None:
            try:
                self._action()
            except BaseException:
                _complete(handle, ticket, 0)
                raise
            ended = _complete(handle, ticket, 1)
        else:
            ended = ILK_OK
        if ended == ILK_OK:
            return place
        return code if ended == ILK_ETIMEDOUT else ended

    @property
    def _wait_address(self) -> int:
        """The address of a C function by which kernels wait where there is an action, else 0."""
        if self._action is None:
            return 0
        made = self.__dict__.get("_wait_for_kernels")
        if made is None:
            this = weakref.ref(self)  # kernels keep the barrier alive; this must not

            def wait_for_kernels(ns: int) -> int:
                barrier = this()
                try:
                    return barrier._wait_in_parts(ns) if barrier is not None else ILK_EHANDLE
                except KeyboardInterrupt:
                    interrupt_main()  # raised there once the kernel has returned
                except BaseException as error:
                    sys.excepthook(type(error), error, error.__traceback__)
                return ILK_EBROKEN

            made = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(wait_for_kernels)
            # Never replaced: other threads may begin their kernels now, and use the address of the first.
            made = self.__dict__.setdefault("_wait_for_kernels", made)
        return ctypes.cast(made, ctypes.c_void_p).value or 0

    def abort(self) -> None:
        """Break the barrier. All its waits raise BrokenBarrierError, now and until a `reset()`.

        Raises
        ------
        HandleError
            The barrier is closed.
        """
        check(_abort(self._handle))

    def reset(self) -> None:
        """Start anew with an empty round. Threads that wait in the old one raise BrokenBarrierError.

        Raises
        ------
        HandleError
            The barrier is closed.
        """
        check(_reset(self._handle))

    @property
    def parties(self) -> int:
        """How many threads take part."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many threads wait in the current round, 0..parties - 1."""
        return check(_waiting(self._handle))

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return check(_is_broken(self._handle)) == 1

    def _state(self) -> str:
        return "broken" if self.broken else f"waiters={self.n_waiting}/{self._parties}"
