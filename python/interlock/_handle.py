"""What all objects share: they own one handle."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any, ClassVar, NoReturn, SupportsIndex, TypeVar

from ._constants import ILK_EBUSY
from ._errors import HandleError, error, last_error


def int64(value: SupportsIndex) -> int:
    """The value, if C can hold it: ctypes would cut it off without a word."""
    number = index(value)
    if not -(2**63) <= number < 2**63:
        raise OverflowError("the value must fit in 64 bits")
    return number


_H = TypeVar("_H", bound="Closing")


class Handle:
    """An object of the C library, freed by `close()` or when it is collected."""

    _free: ClassVar[Callable[[int], int]]
    _handle: int = 0  # 0 once closed, which the library refuses like any other value that is no handle

    def __init__(self, handle: int | None) -> None:
        if not handle:
            raise error(last_error())
        self._handle = handle

    @property
    def handle(self) -> int:
        """The C handle, to pass to a kernel or to the functions of `interlock.capi`. Keep this object meanwhile."""
        if not self._handle:
            raise HandleError(f"this {type(self).__name__} is closed")
        return self._handle

    @property
    def closed(self) -> bool:
        return not self._handle

    def close(self) -> None:
        """Frees the handle. Every later use raises HandleError, in kernels too; closing again does nothing."""
        handle, self._handle = self._handle, 0
        if handle:
            code = type(self)._free(handle)
            if code == ILK_EBUSY:
                self._handle = handle
            if code < 0:
                raise error(code)

    def __del__(self) -> None:
        # Nothing is looked up in a module here: at shutdown it may be gone. An object that is still held or waited for
        # cannot be freed, and whoever has its handle goes on using it.
        if self._handle:
            type(self)._free(self._handle)

    @property
    def _numba_type_(self) -> Any:
        # Asked for where Numba has not imported our extension yet, which then puts the types in the place of this.
        from ._numba.types import type_of

        return type_of(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: its handle is valid only in this process")

    def _state(self) -> str:
        """What `repr` says of an object that is not closed: by default, what the report does."""
        from ._report import state_of

        return state_of(self._handle)

    def __repr__(self) -> str:
        state = self._state() if self._handle else "closed"
        return f"<interlock.{type(self).__name__} at {id(self):#x}: {state}>"


class Closing(Handle):
    """One that a ``with`` closes, where it has no other meaning."""

    def __enter__(self: _H) -> _H:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self.close()
        except RuntimeError:
            if kind is None:  # the exception that leaves the body says more than that somebody still waits here
                raise
