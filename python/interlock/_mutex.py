"""The locks: three ways to use the library's mutex."""

from __future__ import annotations

import re

from ._constants import (
    ILK_EBUSY,
    ILK_EPERM,
    ILK_ETIMEDOUT,
    ILK_FAIR,
    ILK_OK,
    ILK_OWNER_DIED,
    ILK_RECURSIVE,
    ILK_UNOWNED,
)
from ._errors import check, warn_owner_died
from ._handle import Handle
from ._library import BLOCKING, QUICK
from ._wait import timeout_ns, wait_in_place

_new = QUICK["ilk_mutex_new"]
_trylock = QUICK["ilk_mutex_trylock"]
_timedlock = BLOCKING["ilk_mutex_timedlock"]
_unlock = QUICK["ilk_mutex_unlock"]
_is_locked = QUICK["ilk_mutex_is_locked"]
_depth = QUICK["ilk_mutex_depth"]
_reset = QUICK["ilk_mutex_reset"]


class _Mutex(Handle):
    """What the three have in common: the methods of `threading.Lock`."""

    _free = QUICK["ilk_mutex_free"]

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquires it. False: it is taken, or `timeout` seconds have passed; -1 waits for ever."""
        code = _trylock(self._handle) if timeout == -1 else ILK_EBUSY
        if code == ILK_OK:
            return True
        if code == ILK_EBUSY:
            ns = timeout_ns(blocking, timeout)
            code = wait_in_place(_timedlock, self._handle, timeout_ns=ns, undo=self._undo)
        if code == ILK_OWNER_DIED:
            warn_owner_died(self._undo)
        return code != ILK_ETIMEDOUT and check(code) >= 0

    __enter__ = acquire

    def release(self) -> None:
        """Releases it. RuntimeError: it is not held, or another thread is its owner."""
        code = _unlock(self._handle)
        if code == ILK_EPERM:
            raise RuntimeError("cannot release a lock that is not held, or that another thread owns")
        check(code)

    def __exit__(self, *exception: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Whether a thread holds it."""
        return check(_is_locked(self._handle)) == 1

    def _undo(self, _code: int) -> None:
        _unlock(self._handle)

    # The standard library asks locks for these: `threading.Condition`, and the first in a fork's child.

    def _at_fork_reinit(self) -> None:
        check(_reset(self._handle))

    def _is_owned(self) -> bool:
        return self._recursion_count() > 0

    def _recursion_count(self) -> int:
        # Whoever locked it, Python or a kernel. A Lock has no owner: held by anybody is held.
        return check(_depth(self._handle))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "locked" if self.locked() else "unlocked"
        return f"<{state} interlock.{type(self).__name__} object{self._details()} at {id(self):#x}>"

    def _details(self) -> str:
        return ""


class Lock(_Mutex):
    """As `threading.Lock`: nobody owns it, so any thread may release it."""

    def __init__(self) -> None:
        super().__init__(_new(ILK_UNOWNED))


class _Recursive(_Mutex):
    """Locks that are to be given up whole."""

    def _release_save(self) -> int:
        count = self._recursion_count()
        if not count:
            raise RuntimeError("cannot release a lock that is not held")
        for _ in range(count):
            self.release()
        return count

    def _acquire_restore(self, count: int) -> None:
        for _ in range(count):
            self.acquire()


class Mutex(_Recursive):
    """Owned by the thread that acquired it, which alone may release it.

    Acquiring it twice raises DeadlockError, unless it is `recursive`. A `fair` one is acquired first come, first
    served. If its owner ended without a release, the next acquire succeeds and gives an OwnerDiedWarning.
    """

    def __init__(self, fair: bool = False, recursive: bool = False) -> None:
        super().__init__(_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0)))


class RLock(_Recursive):
    """As `threading.RLock`: its owner may acquire it again, and releases it as often."""

    def __init__(self) -> None:
        super().__init__(_new(ILK_RECURSIVE))

    def _details(self) -> str:
        # As threading.RLock: how often its owner holds it, whichever thread asks.
        from ._report import state_of

        if self.closed:
            return ""
        state = state_of(self._handle)
        count = re.search(r", count (\d+)", state)
        return f" count={count[1] if count else int(state.startswith('locked'))}"
