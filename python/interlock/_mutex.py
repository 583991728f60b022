"""The locks: three ways to use the library's mutex."""

from __future__ import annotations

import warnings
from threading import get_ident

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
from ._errors import OwnerDiedWarning, check
from ._handle import Handle
from ._library import BLOCKING, QUICK
from ._wait import timeout_ns, wait

_new = QUICK["ilk_mutex_new"]
_trylock = QUICK["ilk_mutex_trylock"]
_timedlock = BLOCKING["ilk_mutex_timedlock"]
_unlock = QUICK["ilk_mutex_unlock"]
_is_locked = QUICK["ilk_mutex_is_locked"]
_reset = QUICK["ilk_mutex_reset"]


class _Mutex(Handle):
    """What the three have in common: the methods of `threading.Lock`."""

    _free = QUICK["ilk_mutex_free"]

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquires it. False: it is taken, or `timeout` seconds have passed; -1 waits for ever."""
        code = _trylock(self._handle) if timeout == -1 else ILK_EBUSY
        return code == ILK_OK or self._acquired(code, blocking, timeout)

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

    def _acquired(self, code: int, blocking: bool, timeout: float) -> bool:
        # All but the quick way. `code` is from a first try, ILK_EBUSY if there was none.
        if code == ILK_EBUSY:
            code = wait(_timedlock, self._handle, timeout_ns=timeout_ns(blocking, timeout), undo=self._undo)
        if code == ILK_OWNER_DIED:
            self._forget()
            try:
                warnings.warn("the thread that held it is gone: check the data", OwnerDiedWarning, stacklevel=3)
            except BaseException:  # warnings may be errors, and an acquire that raises must not hold
                self._undo()
                raise
        return code != ILK_ETIMEDOUT and check(code) >= 0

    def _undo(self) -> None:
        _unlock(self._handle)

    def _forget(self) -> None:
        """Called when its owner has died."""

    def _at_fork_reinit(self) -> None:
        # The standard library calls this on its locks in a fork's child.
        check(_reset(self._handle))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "locked" if self.locked() else "unlocked"
        return f"<{state} interlock.{type(self).__name__} object at {id(self):#x}>"


class Lock(_Mutex):
    """As `threading.Lock`: nobody owns it, so any thread may release it."""

    def __init__(self) -> None:
        super().__init__(_new(ILK_UNOWNED))


class Mutex(_Mutex):
    """Owned by the thread that acquired it, which alone may release it.

    Acquiring it twice raises DeadlockError, unless it is `recursive`. A `fair` one is acquired first come, first
    served. If its owner ended without a release, the next acquire succeeds and gives an OwnerDiedWarning.
    """

    def __init__(self, fair: bool = False, recursive: bool = False) -> None:
        super().__init__(_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0)))


class RLock(_Mutex):
    """As `threading.RLock`: its owner may acquire it again, and releases it as often."""

    # The acquires by Python code. Kernels lock and unlock by handle, and are not counted.
    _owner = 0
    _count = 0

    def __init__(self) -> None:
        super().__init__(_new(ILK_RECURSIVE))

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        code = _trylock(self._handle) if timeout == -1 else ILK_EBUSY
        if not (code == ILK_OK or self._acquired(code, blocking, timeout)):
            return False
        # It is ours now, so nobody else changes these.
        me = get_ident()
        if self._owner == me:
            self._count += 1
        else:
            self._owner = me
            self._count = 1
        return True

    __enter__ = acquire

    def release(self) -> None:
        if self._owner == get_ident():
            self._count -= 1
            if not self._count:
                self._owner = 0
        super().release()

    def _forget(self) -> None:
        # A new thread may have the identity of the dead one.
        self._owner = self._count = 0

    # `threading.Condition` asks a recursive lock for these.

    def _is_owned(self) -> bool:
        return self._owner == get_ident()

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

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

    def _at_fork_reinit(self) -> None:
        super()._at_fork_reinit()
        self._owner = self._count = 0
