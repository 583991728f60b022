"""The readers-writer lock."""

from __future__ import annotations

from ._calls import in_c
from ._constants import ILK_EBUSY, ILK_EPERM, ILK_ETIMEDOUT, ILK_OK, ILK_OWNER_DIED
from ._errors import check, warn_owner_died
from ._handle import Handle
from ._held import held
from ._library import BLOCKING, QUICK
from ._wait import timeout_ns, wait_in_place

_new = QUICK["ilk_rwlock_new"]
_read_trylock = QUICK["ilk_rwlock_read_trylock"]
_read_timedlock = BLOCKING["ilk_rwlock_read_timedlock"]
_read_unlock = QUICK["ilk_rwlock_read_unlock"]
_write_trylock = QUICK["ilk_rwlock_write_trylock"]
_write_timedlock = BLOCKING["ilk_rwlock_write_timedlock"]
_write_unlock = QUICK["ilk_rwlock_write_unlock"]
_downgrade = QUICK["ilk_rwlock_downgrade"]


def _checked(code: int, what: str) -> None:
    if code == ILK_EPERM:
        raise RuntimeError(f"the caller does not hold the lock for {what}")
    check(code)


class RWLock(Handle):
    """A readers-writer lock: many readers or one writer. A writer that waits stops new readers.

    A reader may acquire it for reading again, and then releases it as often. A reader that wants to write, or a writer that
    acquires it again, raises `DeadlockError`. If a writer has exited without a release, the next acquire succeeds and issues
    an `OwnerDiedWarning`.

    Examples
    --------
    >>> with interlock.RWLock().reading():
    ...     pass
    """

    _free = QUICK["ilk_rwlock_free"]

    def __init__(self) -> None:
        super().__init__(_new(0))

    @in_c("read_acquire")
    def acquire_read(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock for reading.

        Parameters
        ----------
        blocking : bool
            Whether to wait.
        timeout : float
            The longest wait, in seconds; -1 waits forever.

        Returns
        -------
        bool
            False if a writer holds or awaits the lock and `blocking` is false, or `timeout` seconds have passed.

        Raises
        ------
        DeadlockError
            The wait could never end: the caller writes, or is part of a deadlock cycle.
        HandleError
            The lock is closed.
        """
        (code,) = map(_read_trylock, (self._handle,)) if timeout == -1 else (ILK_EBUSY,)  # see _wait.py
        if code == ILK_OK:
            return True
        if code == ILK_EBUSY:
            ns = timeout_ns(blocking, timeout)
            code = wait_in_place(_read_timedlock, self._handle, timeout_ns=ns, undo=self._undo_read)
        if code == ILK_OWNER_DIED:
            warn_owner_died(self._undo_read)
        return code == ILK_OK or (code != ILK_ETIMEDOUT and check(code) >= 0)

    @in_c("read_release")
    def release_read(self) -> None:
        """Release a read lock.

        Raises
        ------
        RuntimeError
            The caller does not hold the lock for reading.
        HandleError
            The lock is closed.
        """
        _checked(_read_unlock(self._handle), "reading")

    @in_c("write_acquire")
    def acquire_write(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock for writing.

        Parameters
        ----------
        blocking : bool
            Whether to wait.
        timeout : float
            The longest wait, in seconds; -1 waits forever.

        Returns
        -------
        bool
            False if another thread holds the lock and `blocking` is false, or `timeout` seconds have passed.

        Raises
        ------
        DeadlockError
            The wait could never end: the caller holds the lock, or is part of a deadlock cycle.
        HandleError
            The lock is closed.
        """
        (code,) = map(_write_trylock, (self._handle,)) if timeout == -1 else (ILK_EBUSY,)  # see _wait.py
        if code == ILK_OK:
            return True
        if code == ILK_EBUSY:
            ns = timeout_ns(blocking, timeout)
            code = wait_in_place(_write_timedlock, self._handle, timeout_ns=ns, undo=self._undo_write)
        if code == ILK_OWNER_DIED:
            warn_owner_died(self._undo_write)
        return code == ILK_OK or (code != ILK_ETIMEDOUT and check(code) >= 0)

    @in_c("write_release")
    def release_write(self) -> None:
        """Release the write lock.

        Raises
        ------
        RuntimeError
            The caller does not hold the lock for writing.
        HandleError
            The lock is closed.
        """
        _checked(_write_unlock(self._handle), "writing")

    def downgrade(self) -> None:
        """Turn the caller's write lock into a read lock; no other writer acquires the lock in between.

        Raises
        ------
        RuntimeError
            The caller does not hold the write lock.
        """
        _checked(_downgrade(self._handle), "writing")

    def reading(self) -> held:
        """Return a context manager that holds the lock for reading.

        Examples
        --------
        >>> lock = interlock.RWLock()
        >>> with lock.reading():
        ...     pass
        """
        return held(self, "read")

    def writing(self) -> held:
        """Return a context manager that holds the lock for writing. The body may `downgrade()`: the end releases either.

        Examples
        --------
        >>> lock = interlock.RWLock()
        >>> with lock.writing():
        ...     lock.downgrade()
        """
        block = held(self, "write")
        block._release = self._release_writing
        return block

    @in_c("writing_release")
    def _release_writing(self) -> None:
        try:
            self.release_write()
        except RuntimeError:  # the body has downgraded
            self.release_read()

    def _undo_read(self, _code: int) -> None:
        _read_unlock(self._handle)

    def _undo_write(self, _code: int) -> None:
        _write_unlock(self._handle)

    # For the acquires in C, when they have acquired the lock of a dead owner.

    def _read_owner_died(self) -> bool:
        warn_owner_died(self._undo_read)
        return True

    def _write_owner_died(self) -> bool:
        warn_owner_died(self._undo_write)
        return True
