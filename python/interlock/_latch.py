"""The latch: wait until a count is zero."""

from __future__ import annotations

from ._constants import ILK_EINVAL, ILK_ETIMEDOUT
from ._errors import check, error, last_error
from ._handle import Closing, int64
from ._library import BLOCKING, QUICK
from ._wait import optional_ns, wait

_new = QUICK["ilk_latch_new"]
_add = QUICK["ilk_latch_add"]
_count_down = QUICK["ilk_latch_count_down"]
_value = QUICK["ilk_latch_value"]
_timedwait = BLOCKING["ilk_latch_timedwait"]


class Latch(Closing):
    """A count of tasks that threads wait for. More tasks may be added while some are not done.

    Parameters
    ----------
    count : int
        The number of tasks, 0..2**63 - 1.

    Raises
    ------
    ValueError
        The count is negative.

    Examples
    --------
    >>> latch = interlock.Latch(2)
    >>> latch.count_down(2), latch.wait()
    (None, True)
    """

    _free = QUICK["ilk_latch_free"]

    def __init__(self, count: int) -> None:
        super().__init__(_new(int64(count)))

    def add(self, n: int = 1) -> None:
        """Add to the count.

        Parameters
        ----------
        n : int
            How many tasks more, 0..2**63 - 1.

        Raises
        ------
        ValueError
            `n` is negative.
        OverflowError
            The count would exceed 2**63 - 1; it does not change.
        """
        check(_add(self._handle, int64(n)))

    def count_down(self, n: int = 1) -> None:
        """Subtract from the count. A count of zero wakes all waiters.

        Parameters
        ----------
        n : int
            How many tasks are done, 0..2**63 - 1.

        Raises
        ------
        ValueError
            `n` is negative, or the count is less than `n`. The count does not change.
        """
        n = int64(n)
        code = _count_down(self._handle, n)
        if code == ILK_EINVAL and n >= 0:
            raise ValueError("latch counted down too many times")
        check(code)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the count is zero.

        Parameters
        ----------
        timeout : float, optional
            The longest wait, in seconds; None waits forever.

        Returns
        -------
        bool
            False if `timeout` seconds have passed.

        Raises
        ------
        HandleError
            The latch is closed.

        Examples
        --------
        >>> interlock.Latch(0).wait()
        True
        """
        code = wait(_timedwait, self._handle, timeout_ns=optional_ns(timeout))
        return code != ILK_ETIMEDOUT and check(code) >= 0

    @property
    def value(self) -> int:
        """How many tasks are not done."""
        value: int = _value(self._handle)
        if value < 0:
            raise error(last_error())
        return value

    def _state(self) -> str:
        return f"value={self.value}"
