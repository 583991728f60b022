"""The first error of several workers."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Union

from ._constants import ILK_NO_VALUE
from ._errors import check
from ._handle import Handle, int64
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


class KernelError(RuntimeError):
    """An error that a kernel recorded in an `ErrorSlot`.

    Attributes
    ----------
    code : int
        What was recorded.
    where : int or None
        The place that was recorded; None if it was outside -2**47..2**47 - 1.
    """

    code: int = 0
    where: int | None = None


class ErrorSlot(Handle):
    """Keeps the first error of several workers, for Python to raise afterwards.

    An exception does not leave a `prange`, so the body records an error instead. Exactly one of those that call
    `set()` wins; the others change nothing.

    Parameters
    ----------
    errors : mapping of int to exception class or (exception class, str), optional
        What `raise_if_set()` raises for each code. ``{where}`` and ``{code}`` in the text are replaced. An exception class
        alone gets the text "code CODE at WHERE". Codes that are not in the mapping raise `KernelError`.

    Raises
    ------
    ValueError
        A code of the mapping is not in 1..32766.

    Examples
    --------
    >>> with ErrorSlot({1: (ValueError, "sample {where} is negative")}) as errors:
    ...     kernel(samples, errors)  # in its prange: if samples[i] < 0: errors.set(1, i)
    """

    _free = QUICK["ilk_counter_free"]

    def __init__(self, errors: Mapping[int, Raised] | None = None) -> None:
        self._errors = dict(errors or {})
        for code in self._errors:
            if not 0 < code < CODE_MAX:
                raise ValueError(f"the code {code} is not in 1..{CODE_MAX - 1}")
        super().__init__(_new(0))

    def set(self, code: int, where: int = 0) -> bool:
        """Records an error, unless there is one already.

        Parameters
        ----------
        code : int
            1..32766. Others are recorded too, as the code 32767: a worker's error is never lost.
        where : int, optional
            An index or another number that tells where, -2**47 + 1..2**47 - 1. Others are recorded as unknown.

        Returns
        -------
        bool
            Whether this error is the one that is kept.
        """
        code, where = int64(code), int64(where)
        if not 0 < code <= CODE_MAX:
            code = CODE_MAX
        if not -WHERE_MAX <= where <= WHERE_MAX:
            where = WHERE_UNKNOWN
        return bool(self._checked(_compare_exchange(self._handle, 0, where << CODE_BITS | code)) == 0)

    def is_set(self) -> bool:
        """Whether there is an error. It costs a worker a few nanoseconds, so that it can stop early."""
        return self._word() != 0

    def code(self) -> int:
        """The code of the error; 0 if there is none."""
        code: int = self._word() & CODE_MAX
        return code

    def where(self) -> int:
        """The place of the error; 0 if there is none, and -2**47 if it was out of range."""
        where: int = self._word() >> CODE_BITS
        return where

    def clear(self) -> None:
        """Forgets the error. The slot can be used again."""
        check(_store(self._handle, 0))

    def raise_if_set(self) -> None:
        """Raises the error, if there is one.

        In a kernel, which does not know the exceptions of this object, it raises RuntimeError; ``with`` replaces that.

        Raises
        ------
        Exception
            The one that the constructor was given for the code, else `KernelError`.
        """
        word = self._word()
        if word:
            raise self._exception(word & CODE_MAX, word >> CODE_BITS)

    def __enter__(self) -> ErrorSlot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # SystemError: what becomes of an exception that leaves a prange. RuntimeError: raise_if_set() in a kernel. Any
        # other exception is not ours to replace.
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
        if value == ILK_NO_VALUE:  # no error that is recorded is this
            check(_timedwait(self._handle, ILK_NO_VALUE, 0))
        return value

    def _state(self) -> str:
        word = self._word()
        return f"code={word & CODE_MAX}, where={word >> CODE_BITS}" if word else "not set"
