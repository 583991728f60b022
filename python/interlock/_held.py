"""`held`: a lock for the length of a `with` block, in Python and in kernels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import starmap
from typing import Any


class held:
    """Holds `lock` for the length of a ``with`` block, in Python and in nopython code alike.

    It calls ``lock.acquire(*arguments)`` at the start and ``lock.release(*arguments)`` on every way out:

        with held(lock): ...                 a Lock, Mutex, RLock, Semaphore, Condition or jitclass
        with held(locks, i): ...             the lock of a LockArray for element i
        with held(locks, "pair", i, j): ...  acquire_pair(i, j), release_pair(i, j); likewise "range"
        with held(rw, "read"): ...           acquire_read(), release_read() of an RWLock; likewise "write"

    docs/held.md describes what a kernel may do in the block. Anything else is an error when the kernel is compiled.

    Parameters
    ----------
    lock : object
        A lock of this package, or an object with methods `acquire` and `release`.
    *arguments
        The arguments of both methods. If the first is a string, the methods are ``acquire_STRING`` and ``release_STRING``.

    Raises
    ------
    AttributeError
        The lock has no such methods.

    Examples
    --------
    >>> with interlock.held(interlock.Mutex()):
    ...     pass
    """

    __slots__ = ("_acquire", "_arguments", "_release")

    def __init__(self, lock: Any, *arguments: Any) -> None:
        suffix = ""
        if arguments and isinstance(arguments[0], str):
            suffix, arguments = "_" + arguments[0], arguments[1:]
        self._acquire: Callable[..., object] = getattr(lock, "acquire" + suffix)
        self._release: Callable[..., object] = getattr(lock, "release" + suffix)
        self._arguments = arguments

    def __enter__(self) -> None:
        acquired: list[object] = []
        try:
            acquired.extend(starmap(self._acquire, (self._arguments,)))  # see _wait.py
        except BaseException:
            if acquired:
                self._release(*self._arguments)
            raise

    def __exit__(self, *exception: object) -> None:
        self._release(*self._arguments)
