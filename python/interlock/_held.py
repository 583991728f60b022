"""`held`: a lock for the length of a `with` block, in Python and in kernels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import starmap
from typing import Any

from ._calls import in_c, install
from ._handle import Handle


@lru_cache(maxsize=256)
def _are_taken(cls: type, suffix: str, n: int) -> bool:
    """Return whether both methods take `n` arguments, none of them `blocking` or `timeout`; True if that is not known."""
    for name in ("acquire" + suffix, "release" + suffix):
        try:
            parameters = [*inspect.signature(getattr(cls, name)).parameters.values()]
        except AttributeError:  # methods of the object itself: those of a Condition are of its lock
            return not issubclass(cls, Handle)
        except (TypeError, ValueError):  # in C, without a signature
            continue
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            continue
        positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.kind is not p.VAR_KEYWORD]
        first = positional[1 : n + 1]  # after self
        if len(first) < n or "blocking" in first or "timeout" in first:
            return False
    return True


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
        `blocking` and `timeout` cannot be among them: the block needs the lock.

    Raises
    ------
    AttributeError
        The lock has no such methods.
    TypeError
        One of the methods does not take the arguments.

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
        release: Callable[..., object] = getattr(lock, "release" + suffix)
        cls: Any = type(lock)
        if arguments and not _are_taken(cls, suffix, len(arguments)):
            what = f"`acquire{suffix}` and `release{suffix}` of {cls.__name__}"
            raise TypeError(f"held: {what} do not both take these arguments: {', '.join(map(repr, arguments))}")
        self._arguments = arguments
        self._release = partial(release, *arguments) if arguments else release

    def __enter__(self) -> None:
        acquired: list[object] = []
        try:
            acquired.extend(starmap(self._acquire, (self._arguments,)))  # see _wait.py
        except BaseException:
            if acquired:
                self._release()
            raise

    @in_c("held_exit")
    def __exit__(self, *exception: object) -> None:
        self._release()


install(held)
