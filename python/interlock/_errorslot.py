"""The first error of several workers."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from types import TracebackType
from typing import Union

from ._constants import ILK_NO_VALUE
from ._errors import check
from ._handle import Handle
from ._library import QUICK

_new = QUICK["ilk_counter_new"]
_load = QUICK["ilk_counter_load"]
_store = QUICK["ilk_counter_store"]
_compare_exchange = QUICK["ilk_counter_compare_exchange"]
_timedwait = QUICK["ilk_counter_timedwait"]

# One word, so that one compare-and-swap records all of an error: where << CODE_BITS | code. No error is 0.
CODE_BITS = 15
CODE_MAX = 2**CODE_BITS - 1  # also stands for every code out of range
WHERE_MAX = 2 ** (62 - CODE_BITS) - 1
WHERE_UNKNOWN = -WHERE_MAX - 1  # stands for every place out of range

Raised = Union[type[Exception], tuple[type[Exception], str]]


def _can_be_raised(what: object) -> bool:
    if isinstance(what, tuple):
        return len(what) == 2 and not isinstance(what[0], tuple) and _can_be_raised(what[0]) and isinstance(what[1], str)
    return isinstance(what, type) and issubclass(what, Exception)


class KernelError(RuntimeError):
    """An error that a kernel recorded in an `ErrorSlot`.

    Attributes
    ----------
    code : int
        The code that was recorded, 1..32767.
    where : int or None
        The place that was recorded; None if it was outside -2**47 + 1..2**47 - 1.
    """

    code: int = 0
    where: int | None = None


class ErrorSlot(Handle):
    """The first error of several workers, which Python raises afterwards.

    An exception cannot leave a `prange`, so its body records an error instead. The first `set()` records its error; later
    ones change nothing. A ``with`` block raises the error at its end.

    Parameters
    ----------
    errors : mapping of int to exception class or (exception class, str), optional
        What `raise_if_set()` raises for each code. ``{where}`` and ``{code}`` in the text are replaced. An exception class
        alone gets the text "code CODE at WHERE". Codes that are not in the mapping raise `KernelError`.

    Raises
    ------
    ValueError
        A code of the mapping is not in 1..32766.
    TypeError
        The mapping has anything else than exception classes and texts.

    Examples
    --------
    >>> errors = interlock.ErrorSlot({1: (ValueError, "sample {where} is negative")})
    >>> errors.set(1, 7)  # in a kernel's prange: if samples[i] < 0: errors.set(1, i)
    True
    >>> errors.raise_if_set()
    Traceback (most recent call last):
    ValueError: sample 7 is negative
    """

    _free = QUICK["ilk_counter_free"]

    def __init__(self, errors: Mapping[int, Raised] | None = None) -> None:
        self._check_is_new()
        self._errors = {index(code): what for code, what in dict(errors or {}).items()}
        for code, what in self._errors.items():
            if not 0 < code < CODE_MAX:
                raise ValueError(f"the code {code} is not in 1..{CODE_MAX - 1}")
            if not _can_be_raised(what):  # now, because a worker's error would be lost behind that of the mapping
                raise TypeError(f"the code {code} needs an exception class, or one and a text, not {what!r}")
            try:
                self._exception(code, 0)
            except Exception as e:
                raise TypeError(f"the code {code} needs an exception class that takes one text, not {what!r}") from e
        super().__init__(_new(0))

    def set(self, code: int, where: int = 0) -> bool:
        """Record an error, unless one is recorded already.

        Parameters
        ----------
        code : int
            1..32766. Others are recorded as 32767, so no worker's error is lost.
        where : int, optional
            An index or another number for the place, -2**47 + 1..2**47 - 1. Others are recorded as unknown.

        Returns
        -------
        bool
            Whether this call recorded its error.

        Raises
        ------
        HandleError
            The slot is closed.
        """
        code, where = index(code), index(where)
        if not 0 < code <= CODE_MAX:
            code = CODE_MAX
        if not -WHERE_MAX <= where <= WHERE_MAX:
            where = WHERE_UNKNOWN
        return bool(self._checked(_compare_exchange(self._handle, 0, where << CODE_BITS | code)) == 0)

    def is_set(self) -> bool:
        """Return whether an error is recorded. It costs a few nanoseconds, so workers can check it and stop early."""
        return self._word() != 0

    def code(self) -> int:
        """Return the code of the error, 1..32767; 0 if there is none."""
        code: int = self._word() & CODE_MAX
        return code

    def where(self) -> int:
        """Return the place of the error; 0 if there is none, and -2**47 if it was out of range."""
        where: int = self._word() >> CODE_BITS
        return where

    def clear(self) -> None:
        """Remove the error, so that the slot can be used again."""
        check(_store(self._handle, 0))

    def raise_if_set(self) -> None:
        """Raise the error, if there is one.

        A kernel cannot use the exceptions of this object, so there it raises RuntimeError; ``with`` replaces that.

        Raises
        ------
        Exception
            The exception that the constructor's mapping has for the code, else `KernelError`.
        """
        word = self._word()
        if word:
            raise self._exception(word & CODE_MAX, word >> CODE_BITS)

    def __enter__(self) -> ErrorSlot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # An exception that leaves a prange becomes a SystemError, and raise_if_set() in a kernel raises RuntimeError. Any
        # other exception stays as it is.
        if kind in (None, SystemError, RuntimeError) and self._handle:
            word = self._word()
            if word:
                raise self._exception(word & CODE_MAX, word >> CODE_BITS) from exception

    def _exception(self, code: int, where: int) -> Exception:
        place = "an unknown place" if where == WHERE_UNKNOWN else str(where)
        what = self._errors.get(code)
        if what is None:
            error = KernelError(f"a worker recorded the error code {code} at {place}")
            error.code, error.where = code, None if where == WHERE_UNKNOWN else where
            return error
        if isinstance(what, tuple):
            return what[0](what[1].replace("{where}", place).replace("{code}", str(code)))
        return what(f"code {code} at {place}")

    def _word(self) -> int:
        return self._checked(_load(self._handle))

    def _checked(self, value: int) -> int:
        if value == ILK_NO_VALUE:  # no recorded error has this value
            check(_timedwait(self._handle, ILK_NO_VALUE, 0))
        return value

    def _state(self) -> str:
        word = self._word()
        return f"code={word & CODE_MAX}, where={word >> CODE_BITS}" if word else "not set"
