"""Something that is done by one thread, once."""

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
    """``once.call(f)`` in any number of threads calls `f` once; all return when it has been done."""

    _free = QUICK["ilk_once_free"]

    def __init__(self) -> None:
        super().__init__(_new(0))

    def begin(self) -> bool:
        """True: do it now, and then call `end()`. False: it is done; if another thread does it, after waiting for that.

        Whoever began it and exited without an end is forgotten, and another told True. DeadlockError: the caller itself
        has begun it.
        """
        code = wait(_timedbegin, self._handle, timeout_ns=FOREVER, undo=self._undo)
        return code > 0 or check(code) > 0

    def end(self, succeeded: bool = True) -> None:
        """What the caller began is done, or, not `succeeded`, left to the next. RuntimeError: it has not begun it."""
        check(_end(self._handle, bool(succeeded)))

    def call(self, function: Callable[[], object]) -> bool:
        """Calls `function` unless that is done; whether this call did. If it raises, the next call tries again."""
        if not self.begin():
            return False
        try:
            function()
        except BaseException:
            self.end(False)
            raise
        self.end()
        return True

    def _undo(self, code: int) -> None:
        if code > 0:
            _end(self._handle, 0)
