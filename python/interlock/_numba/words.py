"""`interlock.words` in kernels."""

# mypy: ignore-errors

from numba import njit
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing import signature
from numba.extending import intrinsic, overload

from .. import nb, words
from .._constants import ILK_EBUSY, ILK_SHARED
from .atomic import element_pointer, index_type
from .emit import Emit, mutex_ns


@intrinsic
def address_of(context, array, index):
    """Where an element is. IndexError, whether the caller checks bounds or not: a lock there is nobody's."""
    if not isinstance(array, types.Array) or array.dtype != types.uint32:
        raise TypingError("locks are the elements of an array of uint32")
    if not array.mutable:
        raise TypingError("the array is read-only")

    def lower(context, builder, sig, args):
        pointer = element_pointer(context, builder, sig, args, boundscheck=True)
        return builder.ptrtoint(pointer, cgutils.intp_t)

    return signature(types.intp, array, index_type("words", array, index)), lower


@intrinsic
def checked(context, code):
    """The code, or the exception of an error."""

    def lower(context, builder, sig, args):
        return Emit(context, builder, None, {}).check(*args)

    return signature(types.intc, types.intc), lower


@intrinsic
def in_time(context, code):
    """Whether it was locked before the timeout; other errors are raised."""

    def lower(context, builder, sig, args):
        return Emit(context, builder, None, {}).check_in_time(*args)

    return signature(types.boolean, types.intc), lower


timeout_ns = njit(mutex_ns)


@overload(words.lock)
def lock(array, index, timeout=-1, shared=False):
    def lock(array, index, timeout=-1, shared=False):
        flags = ILK_SHARED if shared else 0
        return in_time(nb.ilk_word_timedlock(address_of(array, index), flags, timeout_ns(True, timeout)))

    return lock


@overload(words.trylock)
def trylock(array, index, shared=False):
    def trylock(array, index, shared=False):
        code = nb.ilk_word_trylock(address_of(array, index), ILK_SHARED if shared else 0)
        return code != ILK_EBUSY and checked(code) >= 0

    return trylock


@overload(words.unlock)
def unlock(array, index, shared=False):
    def unlock(array, index, shared=False):
        checked(nb.ilk_word_unlock(address_of(array, index), ILK_SHARED if shared else 0))

    return unlock
