"""Code that runs once, in one thread."""

from __future__ import annotations

from collections.abc import Callable

from ._errors import check
from ._handle import Closing
from ._library import BLOCKING, QUICK
from ._wait import FOREVER, wait

_new = QUICK["ilk_once_new"]
_timedbegin = BLOCKING["ilk_once_timedbegin"]
_end = QUICK["ilk_once_end"]


class Once(Closing):
    """Runs a function once, however many threads call it; all return when it has run.

    Examples
    --------
    >>> once = interlock.Once()
    >>> once.call(print), once.call(print)
    <BLANKLINE>
    (True, False)
    """

    _free = QUICK["ilk_once_free"]

    def __init__(self) -> None:
        super().__init__(_new(0))

    def begin(self) -> bool:
        """Begin the work, or wait until another thread has done it.

        If the thread that began the work exits without `end()`, the next caller begins it again.

        Returns
        -------
        bool
            True if the caller must do the work now and then call `end()`; False if it is done.

        Raises
        ------
        DeadlockError
            The caller has already begun the work, or the wait is part of a deadlock cycle.
        HandleError
            The object is closed.
        """
        code = wait(_timedbegin, self._handle, timeout_ns=FOREVER, undo=self._undo)
        return code > 0 or check(code) > 0

    def end(self, succeeded: bool = True) -> None:
        """End the work that the caller began.

        Parameters
        ----------
        succeeded : bool
            Whether the work is done. If not, the next `begin()` returns True.

        Raises
        ------
        RuntimeError
            The caller has not begun the work.
        HandleError
            The object is closed.
        """
        check(_end(self._handle, bool(succeeded)))

    def call(self, function: Callable[[], object]) -> bool:
        """Call `function` if no call has succeeded yet.

        Parameters
        ----------
        function : callable
            Called without arguments. If it raises, so does this call, and the next one tries again.

        Returns
        -------
        bool
            Whether this call ran `function`.

        Raises
        ------
        DeadlockError
            The calling thread already runs `function`, or the wait is part of a deadlock cycle.
        """
        if not self.begin():
            return False
        succeeded = False
        try:
            function()
            succeeded = True
        finally:
            code = _end(self._handle, succeeded)  # not end(): a signal handler that raises there would leave it begun
        check(code)
        return True

    def _undo(self, code: int) -> None:
        if code > 0:
            _end(self._handle, 0)
