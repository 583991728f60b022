"""The counting semaphores."""

from __future__ import annotations

from operator import index

from ._calls import in_c
from ._constants import ILK_ETIMEDOUT, ILK_OK
from ._errors import check, error, last_error
from ._handle import Handle
from ._library import BLOCKING, QUICK
from ._wait import optional_ns, wait_in_place

_new = QUICK["ilk_semaphore_new"]
_tryacquire = QUICK["ilk_semaphore_tryacquire"]
_timedacquire = BLOCKING["ilk_semaphore_timedacquire"]
_release = QUICK["ilk_semaphore_release"]
_value = QUICK["ilk_semaphore_value"]

# The largest value that the library supports.
_LIMIT = 2**31 - 1


class Semaphore(Handle):
    """The same as `threading.Semaphore`: at most `value` acquires more than releases.

    Parameters
    ----------
    value : int
        The initial value, 0..2**31 - 1.

    Raises
    ------
    ValueError
        `value` is negative.
    OverflowError
        `value` is too large.

    Examples
    --------
    >>> with interlock.Semaphore(4):  # at most four threads at once
    ...     pass
    """

    _free = QUICK["ilk_semaphore_free"]
    _maximum = 0

    def __init__(self, value: int = 1) -> None:
        value = index(value)
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        if value > _LIMIT:
            raise OverflowError(f"semaphore initial value must be <= {_LIMIT}")
        super().__init__(_new(value, self._maximum))

    @in_c("semaphore_acquire")
    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Subtract one from the value, and wait while it is zero.

        Parameters
        ----------
        blocking : bool
            Whether to wait.
        timeout : float, optional
            The longest wait, in seconds; None waits forever.

        Returns
        -------
        bool
            False if the value is zero and `blocking` is false, or `timeout` seconds have passed.

        Raises
        ------
        ValueError
            A timeout is given although `blocking` is false.

        Examples
        --------
        >>> interlock.Semaphore(1).acquire()
        True
        """
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        ns = optional_ns(timeout) if blocking else 0  # first, because a bad timeout must acquire nothing
        (code,) = map(_tryacquire, (self._handle,))  # see _wait.py
        if code != ILK_OK:
            code = wait_in_place(_timedacquire, self._handle, timeout_ns=ns, undo=self._undo)
        return code == ILK_OK or (code != ILK_ETIMEDOUT and check(code) >= 0)

    __enter__ = acquire

    @in_c("semaphore_release")
    def release(self, n: int = 1) -> None:
        """Add `n` to the value at once, and wake as many waiters.

        Parameters
        ----------
        n : int
            1..2**31 - 1.

        Raises
        ------
        ValueError
            `n` is less than one.
        OverflowError
            The value would pass its limit; it does not change.
        """
        self._release(n)

    def _release(self, n: int) -> None:
        n = index(n)
        if n < 1:
            raise ValueError("n must be one or more")
        if n > _LIMIT:
            raise OverflowError("semaphore released too many times")
        check(_release(self._handle, n))

    @in_c("semaphore_exit")
    def __exit__(self, *exception: object) -> None:
        self.release()

    @property
    def value(self) -> int:
        """How many acquires would succeed without a wait."""
        value: int = _value(self._handle)
        if value < 0:
            raise error(last_error())
        return value

    def _undo(self, _code: int) -> None:
        _release(self._handle, 1)

    def _state(self) -> str:
        return f"value={self.value}"


class BoundedSemaphore(Semaphore):
    """The same as `threading.BoundedSemaphore`: a release above the initial value raises ValueError.

    Parameters
    ----------
    value : int
        The initial value and the bound, 0..2**31 - 1.

    Examples
    --------
    >>> with interlock.BoundedSemaphore(4):
    ...     pass
    """

    def __init__(self, value: int = 1) -> None:
        self._check_is_new()
        self._maximum = value = index(value)
        super().__init__(value)
        self._only_python = value == 0  # see release()

    @in_c("semaphore_release")
    def release(self, n: int = 1) -> None:
        """Add `n` to the value at once, and wake as many waiters.

        Parameters
        ----------
        n : int
            1..2**31 - 1.

        Raises
        ------
        ValueError
            `n` is less than one, or the value would pass the initial one; it does not change.
        """
        n = index(n)
        # To the library a bound of zero means none.
        if n > self._maximum or (self._maximum == 0 and n > 0):
            _ = self.value  # raises if it is closed
            raise ValueError("semaphore released too many times")
        try:
            self._release(n)
        except OverflowError:
            raise ValueError("semaphore released too many times") from None

    def _state(self) -> str:
        return f"{super()._state()}/{self._maximum}"
