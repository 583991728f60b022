"""The base of all objects: each owns one handle."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any, ClassVar, NoReturn, SupportsIndex, TypeVar

from ._calls import Base, in_c, install
from ._constants import ILK_EBUSY, ILK_EHANDLE
from ._errors import HandleError, check, error, last_error


def int64(value: SupportsIndex) -> int:
    """Return the value if it fits in 64 bits. ctypes would silently truncate it."""
    number = index(value)
    if not -(2**63) <= number < 2**63:
        raise OverflowError("the value must fit in 64 bits")
    return number


_H = TypeVar("_H", bound="Closing")


class Handle(Base):
    """An object of the C library, freed by `close()` or when it is collected.

    Its `_handle` is 0 once it is closed, which the library refuses like any other value that is no handle.
    """

    _free: ClassVar[Callable[[int], int]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        install(cls)

    def __init__(self, handle: int | None) -> None:
        if not handle:
            raise error(last_error())
        if self._handle:
            type(self)._free(handle)
            self._check_is_new()
        self._handle = handle

    def _check_is_new(self) -> None:
        # A second __init__() would take the handle away from threads and kernels that use it, and leak it. Where __init__()
        # changes the object before it has a handle, it calls this first.
        if self._handle:
            raise RuntimeError(f"this {type(self).__name__} has been initialized already")

    @property
    def handle(self) -> int:
        """The C handle, for kernels and the functions of `interlock.capi`. Keep this object while they use it."""
        if not self._handle:
            raise HandleError(f"this {type(self).__name__} is closed")
        return self._handle

    @property
    def closed(self) -> bool:
        """Whether `close()` has freed the handle."""
        return not self._handle

    def close(self) -> None:
        """Free the handle. Later uses raise HandleError, in kernels too. Closing again does nothing.

        Raises
        ------
        RuntimeError
            A thread holds the object or waits for it; it stays open.
        """
        handle = self._handle
        if handle:
            code = type(self)._free(handle)
            if code == ILK_EBUSY:
                raise error(code)  # other threads have used it all the time
            self._handle = 0
            if code != ILK_EHANDLE:  # else another call has freed it
                check(code)

    @in_c("handle_finalize")
    def __del__(self) -> None:
        # This uses no global of the module, because at shutdown those may be gone. An object that a thread holds or waits
        # for cannot be freed; threads that have its handle can still use it.
        if self._handle:
            type(self)._free(self._handle)

    @property
    def _numba_type_(self) -> Any:
        # Numba gets this attribute while it has not yet imported our extension. The extension then replaces it.
        from ._numba.types import type_of

        return type_of(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: its handle is valid only in this process")

    def _state(self) -> str:
        """Return what `repr` shows of an object that is not closed: by default, its state in the report."""
        from ._report import state_of

        return state_of(self._handle)

    def __repr__(self) -> str:
        state = self._state() if self._handle else "closed"
        return f"<interlock.{type(self).__name__} at {id(self):#x}: {state}>"


install(Handle)  # of its subclasses __init_subclass__ does it


class Closing(Handle):
    """An object that a ``with`` block closes at its end."""

    def __enter__(self: _H) -> _H:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self.close()
        except RuntimeError:
            if kind is None:  # else the exception that leaves the body matters more than a thread that still waits
                raise
