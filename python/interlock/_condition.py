"""The condition variable."""

from __future__ import annotations

from collections.abc import Callable
from itertools import starmap
from operator import index
from time import perf_counter
from typing import Any, Protocol, TypeVar, cast

from ._calls import in_c
from ._constants import ILK_EBUSY, ILK_ECANCELED, ILK_EPERM, ILK_ETIMEDOUT, ILK_OK, ILK_OWNER_DIED
from ._errors import check, error, warn_owner_died
from ._handle import Handle
from ._library import BLOCKING, QUICK
from ._mutex import Lock, Mutex, RLock
from ._wait import is_sliced, optional_ns, wait

_new = QUICK["ilk_condition_new"]
_notify = QUICK["ilk_condition_notify"]
_unlock = QUICK["ilk_mutex_unlock"]
_timedwait = BLOCKING["ilk_condition_timedwait"]
_wait_begin = QUICK["ilk_condition_wait_begin"]
_wait_part = BLOCKING["ilk_condition_wait_part"]
_wait_end = QUICK["ilk_condition_wait_end"]

_MOST = 2**31 - 1


class _Lock(Protocol):
    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...
    def release(self) -> None: ...


T = TypeVar("T")


class Condition(Handle):
    """The same as `threading.Condition`: threads wait until something that a lock protects has changed.

    Kernels can wait for the same condition, and notify it.

    Parameters
    ----------
    lock : Lock, RLock or Mutex, optional
        The lock; None makes an RLock. Another object with `acquire` and `release` works for Python code, not for kernels.

    Examples
    --------
    >>> condition = interlock.Condition()
    >>> with condition:
    ...     condition.notify_all()
    """

    _free = QUICK["ilk_condition_free"]

    _made: RLock | Mutex | None = None

    def __init__(self, lock: Lock | RLock | Mutex | _Lock | None = None) -> None:
        super().__init__(_new(0))
        self._made = RLock() if lock is None else None  # here, so closed here
        self._lock = cast(Any, self._made if lock is None else lock)
        # The mutex that the wait in C releases: the lock, if it is an interlock lock. Otherwise a mutex of its own, which a
        # waiter holds from before it releases the lock until its wait has begun. A thread that notifies holds it too.
        self._inner: Mutex | None = None
        if not isinstance(self._lock, (Lock, RLock, Mutex)):
            self._inner = self._made = Mutex()
        self.acquire: Callable[..., bool] = self._lock.acquire
        self.release: Callable[[], None] = self._lock.release

    def close(self) -> None:
        """Free the handle, and the lock if the condition made it. See `Mutex.close`."""
        if self._made is not None and not self._made.closed and self._made.locked():
            raise error(ILK_EBUSY)  # before anything is freed, so that the condition stays open
        super().close()
        if self._made is not None:
            self._made.close()

    @property
    def lock(self) -> Any:
        """The lock."""
        return self._lock

    def __enter__(self) -> bool:
        acquired: list[bool] = []
        try:
            acquired.extend(starmap(self._lock.__enter__, ((),)))  # see _wait.py
        except BaseException:
            if acquired:
                self._lock.__exit__(None, None, None)
            raise
        return acquired[0]

    @in_c("condition_exit")
    def __exit__(self, *exception: Any) -> None:
        self._lock.__exit__(*exception)

    def locked(self) -> bool:
        """Return whether a thread holds the lock."""
        return bool(self._lock.locked())

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait for a notify, and reacquire the lock.

        A notify by a kernel that does not hold the lock, or a cancelled wait, may end the wait early. So recheck the
        condition, or use `wait_for()`.

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
        RuntimeError
            The lock is not held.

        Examples
        --------
        >>> condition = interlock.Condition()
        >>> with condition:
        ...     condition.wait(timeout=0.01)
        False
        """
        handle, ns = self.handle, optional_ns(timeout)
        if self._inner is None:
            return self._wait(handle, self._lock, ns)
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        # The lock's own methods, called by nothing that a Ctrl-C could interrupt before or after: see _wait.py.
        saves = hasattr(self._lock, "_release_save")
        release, acquire = (
            (self._lock._release_save, self._lock._acquire_restore) if saves else (self._lock.release, self._lock.acquire)
        )
        held: list[bool] = []
        released: list[Any] = []
        try:
            try:
                held.extend(starmap(self._inner.acquire, ((),)))
                released.extend(starmap(release, ((),)))
                return self._wait(handle, self._inner, ns)
            finally:
                if held:
                    _unlock(self._inner._handle)
        finally:  # without the inner mutex: a thread that notifies acquires the lock first, then this
            for state in released:
                acquire(state) if saves else acquire()

    def wait_for(self, predicate: Callable[..., T], timeout: float | None = None, args: tuple[Any, ...] = ()) -> T:
        """Wait until `predicate(*args)`, called with the lock held, is true.

        A kernel's predicate is a compiled function. It cannot capture variables of the kernel: pass them as `args`.

        Parameters
        ----------
        predicate : callable
            What to wait for.
        timeout : float, optional
            The longest wait, in seconds; None waits forever.
        args : tuple
            The predicate's arguments.

        Returns
        -------
        object
            The last value of the predicate: false if `timeout` seconds have passed.

        Raises
        ------
        RuntimeError
            The lock is not held.
        """
        left = None if timeout is None else optional_ns(timeout) / 1e9
        result = predicate(*args)
        deadline = perf_counter() + (left or 0)
        while not result:
            self.wait(left)  # once at least, as in `threading`: others get the lock, and can make the predicate true
            result = predicate(*args)
            if left is not None:
                left = deadline - perf_counter()
                if left <= 0:
                    break
        return result

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters, those that have waited longest.

        Parameters
        ----------
        n : int
            How many; none if it is less than 1.

        Raises
        ------
        RuntimeError
            The lock is not held.
        """
        handle = self.handle
        if not self._is_owned():
            raise RuntimeError("cannot notify on un-acquired lock")
        n = max(0, min(index(n), _MOST))
        if self._inner is None:
            check(_notify(handle, n))
        else:
            with self._inner:
                check(_notify(handle, n))

    def notify_all(self) -> None:
        """Wake all waiters.

        Raises
        ------
        RuntimeError
            The lock is not held.
        """
        self.notify(_MOST)

    notifyAll = notify_all

    def _wait(self, handle: int, mutex: Lock | RLock | Mutex, ns: int) -> bool:
        """Wait with the mutex held. It is held again afterwards."""
        if is_sliced(ns):
            code = self._wait_in_parts(handle, mutex._handle, ns)
        else:
            (code,) = map(_timedwait, (handle,), (mutex._handle,), (ns,))  # see _wait.py
        if code == ILK_EPERM:
            raise RuntimeError("cannot wait on un-acquired lock")
        if code == ILK_OWNER_DIED:
            warn_owner_died(lambda _code: None, stacklevel=4)  # held, as after any wait
        return code == ILK_OK or (code != ILK_ETIMEDOUT and check(code) >= 0)

    def _wait_in_parts(self, handle: int, mutex: int, ns: int) -> int:
        # The wait keeps its place in the queue between two slices, and a notify in between reaches it.
        begun: list[int] = []
        ended: list[int] = []
        notified = False

        def undo(_code: int) -> None:
            nonlocal notified
            notified = True

        try:
            begun.extend(map(_wait_begin, (handle,)))  # stored before a signal handler can raise
            check(begun[0])
            code = wait(_wait_part, handle, mutex, timeout_ns=ns, undo=undo)
            if code == ILK_ETIMEDOUT or code == ILK_ECANCELED:
                ended.extend(map(_wait_end, (handle,)))
                if ended[0] == 1:
                    return ILK_OK
            return code
        except BaseException:
            if begun and begun[0] == ILK_OK and (notified or (ended or [_wait_end(handle)])[0] == 1):
                _notify(handle, 1)  # another waiter may need it
            raise

    # `threading.Condition` calls these methods of a lock.

    def _is_owned(self) -> bool:
        if hasattr(self._lock, "_is_owned"):
            return bool(self._lock._is_owned())
        if self._lock.acquire(False):
            self._lock.release()
            return False
        return True

    def _release_save(self) -> Any:
        if hasattr(self._lock, "_release_save"):
            return self._lock._release_save()
        self._lock.release()
        return None

    def _acquire_restore(self, state: Any) -> None:
        if hasattr(self._lock, "_acquire_restore"):
            self._lock._acquire_restore(state)
        else:
            self._lock.acquire()

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._lock!r}, {self._state()}"
        return f"<interlock.{type(self).__name__} at {id(self):#x}: {state}>"
