"""The locks: three ways to use the library's mutex."""

from __future__ import annotations

import re
from itertools import repeat

from ._calls import in_c
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
from ._wait import FOREVER, timeout_ns, wait_in_place

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

    @in_c("mutex_acquire")
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock.

        Parameters
        ----------
        blocking : bool
            Whether to wait while another thread holds the lock.
        timeout : float
            The longest wait, in seconds; -1 waits forever.

        Returns
        -------
        bool
            False if the lock is held and `blocking` is false, or `timeout` seconds have passed.

        Raises
        ------
        DeadlockError
            An owned lock that is not recursive is held by the caller, or the wait is part of a deadlock cycle.
        ValueError
            The timeout is negative and not -1, or it is given although `blocking` is false.
        OverflowError
            The timeout exceeds `threading.TIMEOUT_MAX`.
        HandleError
            The lock is closed.

        Examples
        --------
        >>> mutex = interlock.Mutex()
        >>> mutex.acquire(timeout=0.5)
        True
        """
        (code,) = map(_trylock, (self._handle,)) if timeout == -1 else (ILK_EBUSY,)  # see _wait.py
        if code == ILK_OK:
            return True
        if code == ILK_EBUSY:
            ns = timeout_ns(blocking, timeout)
            code = wait_in_place(_timedlock, self._handle, timeout_ns=ns, undo=self._undo)
        if code == ILK_OWNER_DIED:
            warn_owner_died(self._undo)
        return code == ILK_OK or (code != ILK_ETIMEDOUT and check(code) >= 0)

    __enter__ = acquire

    @in_c("mutex_release")
    def release(self) -> None:
        """Release the lock.

        Raises
        ------
        RuntimeError
            The lock is not held, or another thread owns it.
        HandleError
            The lock is closed.
        """
        code = _unlock(self._handle)
        if code == ILK_EPERM:
            raise RuntimeError("cannot release a lock that is not held, or that another thread owns")
        check(code)

    @in_c("mutex_exit")
    def __exit__(self, *exception: object) -> None:
        self.release()

    @in_c("mutex_locked")
    def locked(self) -> bool:
        """Return whether a thread holds the lock.

        Raises
        ------
        HandleError
            The lock is closed.
        """
        return check(_is_locked(self._handle)) == 1

    def _undo(self, _code: int) -> None:
        _unlock(self._handle)

    def _owner_died(self) -> bool:
        """For `acquire` in C, when it has acquired the lock of a dead owner."""
        warn_owner_died(self._undo)
        return True

    # The standard library calls these: `threading.Condition` all, and the first also in a fork's child.

    def _at_fork_reinit(self) -> None:
        check(_reset(self._handle))

    def _is_owned(self) -> bool:
        return self._recursion_count() > 0

    def _recursion_count(self) -> int:
        # Python code or a kernel may have locked it. A Lock has no owner: held by any thread, it counts as the caller's.
        return check(_depth(self._handle))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "locked" if self.locked() else "unlocked"
        return f"<{state} interlock.{type(self).__name__} object{self._details()} at {id(self):#x}>"

    def _details(self) -> str:
        return ""


class Lock(_Mutex):
    """The same as `threading.Lock`: no thread owns it, so any thread may release it.

    It detects neither a double acquire nor a deadlock cycle, and nor does `threading.Lock`. `Mutex` detects both.

    Examples
    --------
    >>> with interlock.Lock():
    ...     pass
    """

    @in_c("lock_init")
    def __init__(self) -> None:
        super().__init__(_new(ILK_UNOWNED))


class _Recursive(_Mutex):
    """Locks that a condition releases completely, however often they are held."""

    def _release_save(self) -> int:
        count = self._recursion_count()
        if not count:
            raise RuntimeError("cannot release a lock that is not held")
        for code in list(map(_unlock, repeat(self._handle, count))):  # all at once, as in _acquire_restore()
            check(code)
        return count

    def _acquire_restore(self, count: int) -> None:
        # A Ctrl-C does not end this, as in threading: else the end of `with condition:` would raise a RuntimeError, because
        # the lock is not held.
        codes = list(map(_timedlock, repeat(self._handle, count), repeat(FOREVER)))
        if ILK_OWNER_DIED in codes:
            warn_owner_died(lambda _code: None)  # held, as after any wait
        for code in codes:
            check(code)


class Mutex(_Recursive):
    """A lock owned by the thread that acquired it, which alone may release it.

    A second acquire by its owner raises `DeadlockError`, unless it is `recursive`. So does a deadlock cycle. If the
    owner has exited without a release, the next acquire succeeds and issues an `OwnerDiedWarning`.

    Parameters
    ----------
    fair : bool
        Whether threads acquire it first come, first served.
    recursive : bool
        Whether its owner may acquire it again, and then release it as often.

    Examples
    --------
    >>> with interlock.Mutex() as acquired:
    ...     assert acquired
    """

    @in_c("mutex_init")
    def __init__(self, fair: bool = False, recursive: bool = False) -> None:
        super().__init__(_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0)))


class RLock(_Recursive):
    """The same as `threading.RLock`: its owner may acquire it again, and then releases it as often.

    Examples
    --------
    >>> with interlock.RLock() as lock_is_held:
    ...     assert lock_is_held
    """

    @in_c("rlock_init")
    def __init__(self) -> None:
        super().__init__(_new(ILK_RECURSIVE))

    def _details(self) -> str:
        # Like threading.RLock: how often its owner holds it, whichever thread calls.
        from ._report import state_of

        if self.closed:
            return ""
        state = state_of(self._handle)
        count = re.search(r", count (\d+)", state)
        return f" count={count[1] if count else int(state.startswith('locked'))}"
