"""The event: a flag to wait for."""

from __future__ import annotations

from functools import cached_property

from ._condition import Condition
from ._constants import ILK_ETIMEDOUT
from ._errors import check
from ._handle import Closing
from ._library import BLOCKING, QUICK
from ._mutex import Lock
from ._wait import optional_ns, wait_in_place

_new = QUICK["ilk_event_new"]
_set = QUICK["ilk_event_set"]
_clear = QUICK["ilk_event_clear"]
_is_set = QUICK["ilk_event_is_set"]
_timedwait = BLOCKING["ilk_event_timedwait"]


class Event(Closing):
    """The same as `threading.Event`: a flag, not set at first. A set wakes all waiters, even if a clear follows at once.

    Examples
    --------
    >>> event = interlock.Event()
    >>> event.set(), event.is_set()
    (None, True)
    """

    _free = QUICK["ilk_event_free"]

    def __init__(self) -> None:
        super().__init__(_new(0))

    def set(self) -> None:
        """Set the flag, and wake all waiters.

        Raises
        ------
        HandleError
            The event is closed.
        """
        check(_set(self._handle))

    def clear(self) -> None:
        """Clear the flag.

        Raises
        ------
        HandleError
            The event is closed.
        """
        check(_clear(self._handle))

    def is_set(self) -> bool:
        """Return whether the flag is set.

        Raises
        ------
        HandleError
            The event is closed.
        """
        return check(_is_set(self._handle)) == 1

    isSet = is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set.

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
            The event is closed.

        Examples
        --------
        >>> interlock.Event().wait(timeout=0.01)
        False
        """
        code = wait_in_place(_timedwait, self._handle, timeout_ns=optional_ns(timeout))
        return code != ILK_ETIMEDOUT and check(code) >= 0

    @cached_property
    def _cond(self) -> Condition:
        # For code that uses the internals of `threading.Event`, such as CPython's own tests.
        return Condition(Lock())

    def _at_fork_reinit(self) -> None:
        # In a fork's child no thread waits any more; the flag stays.
        self._cond._at_fork_reinit()

    def _state(self) -> str:
        return "set" if self.is_set() else "unset"
