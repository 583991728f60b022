"""The tally: a counter for many writers and few readers."""

from __future__ import annotations

from ._constants import ILK_NO_VALUE
from ._errors import check
from ._handle import Closing, int64
from ._library import QUICK

_new = QUICK["ilk_tally_new"]
_add = QUICK["ilk_tally_add"]
_sum = QUICK["ilk_tally_sum"]
_reset = QUICK["ilk_tally_reset"]


class Tally(Closing):
    """A 64-bit sum for many writers and few readers: each thread adds to a cell of its own. It wraps round.

    Examples
    --------
    >>> tally = interlock.Tally()
    >>> tally.add(3)
    >>> tally.sum()
    3
    """

    _free = QUICK["ilk_tally_free"]

    def __init__(self) -> None:
        super().__init__(_new())

    def add(self, delta: int = 1) -> None:
        """Add to the sum.

        Parameters
        ----------
        delta : int
            What is added, -2**63..2**63 - 1.

        Raises
        ------
        OverflowError
            `delta` does not fit in 64 bits.
        HandleError
            The tally is closed.
        """
        check(_add(self._handle, int64(delta)))

    def sum(self) -> int:
        """Return the sum. An add that runs at the same time is counted once or not at all.

        Raises
        ------
        HandleError
            The tally is closed.
        """
        value: int = _sum(self._handle)
        if value == ILK_NO_VALUE:
            check(_add(self._handle, 0))  # an error, or the sum
        return value

    def reset(self) -> None:
        """Set the sum to 0. An add that runs at the same time may be counted or not.

        Raises
        ------
        HandleError
            The tally is closed.
        """
        check(_reset(self._handle))

    def _state(self) -> str:
        return f"sum={self.sum()}"
