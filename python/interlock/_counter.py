"""The atomic counter."""

from __future__ import annotations

from ._constants import ILK_ETIMEDOUT, ILK_NO_VALUE
from ._errors import check
from ._handle import Closing, int64
from ._library import BLOCKING, QUICK
from ._wait import optional_ns, wait

_new = QUICK["ilk_counter_new"]
_load = QUICK["ilk_counter_load"]
_store = QUICK["ilk_counter_store"]
_exchange = QUICK["ilk_counter_exchange"]
_fetch_add = QUICK["ilk_counter_fetch_add"]
_compare_exchange = QUICK["ilk_counter_compare_exchange"]
_timedwait = BLOCKING["ilk_counter_timedwait"]


class Counter(Closing):
    """A 64-bit integer that threads change atomically and can wait for. It wraps round.

    Every operation is sequentially consistent. All raise OverflowError for an argument that does not fit in 64 bits, and
    HandleError once the counter is closed.

    Parameters
    ----------
    initial : int
        The value at first, -2**63..2**63 - 1.

    Examples
    --------
    >>> counter = interlock.Counter(5)
    >>> counter.compare_exchange(5, 7), counter.load()
    (5, 7)
    """

    _free = QUICK["ilk_counter_free"]

    def __init__(self, initial: int = 0) -> None:
        super().__init__(_new(int64(initial)))

    def load(self) -> int:
        """Return the value, -2**63..2**63 - 1."""
        return self._checked(_load(self._handle))

    def store(self, value: int) -> None:
        """Store a value.

        Parameters
        ----------
        value : int
            The new value, -2**63..2**63 - 1.
        """
        check(_store(self._handle, int64(value)))

    def exchange(self, value: int) -> int:
        """Store a value, and return the one before.

        Parameters
        ----------
        value : int
            The new value, -2**63..2**63 - 1.

        Returns
        -------
        int
            The previous value.
        """
        return self._checked(_exchange(self._handle, int64(value)))

    def fetch_add(self, delta: int = 1) -> int:
        """Add to the value, and return the one before.

        Parameters
        ----------
        delta : int
            What is added, -2**63..2**63 - 1. The sum wraps.

        Returns
        -------
        int
            The previous value.

        Examples
        --------
        >>> interlock.Counter().fetch_add(3)
        0
        """
        return self._checked(_fetch_add(self._handle, int64(delta)))

    def compare_exchange(self, expected: int, desired: int) -> int:
        """Store `desired` if the value is `expected`.

        Parameters
        ----------
        expected, desired : int
            -2**63..2**63 - 1.

        Returns
        -------
        int
            The previous value: `expected` if and only if `desired` was stored.
        """
        return self._checked(_compare_exchange(self._handle, int64(expected), int64(desired)))

    def wait(self, at_least: int, timeout: float | None = None) -> bool:
        """Wait until the value is `at_least` or more.

        Parameters
        ----------
        at_least : int
            The value to wait for, -2**63..2**63 - 1.
        timeout : float, optional
            The longest wait, in seconds; None waits forever.

        Returns
        -------
        bool
            False if `timeout` seconds have passed.
        """
        code = wait(_timedwait, self._handle, int64(at_least), timeout_ns=optional_ns(timeout))
        return code != ILK_ETIMEDOUT and check(code) >= 0

    def _checked(self, value: int) -> int:
        if value == ILK_NO_VALUE:
            # An error, or the counter's value. No value is less than ILK_NO_VALUE, so this wait fails only on an error.
            check(_timedwait(self._handle, ILK_NO_VALUE, 0))
        return value

    def _state(self) -> str:
        return f"value={self.load()}"
