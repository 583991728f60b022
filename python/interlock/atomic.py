"""Atomic operations on the elements of numpy arrays, with the names and parameters of `numba.cuda.atomic`, on the CPU.

In a kernel compiled by Numba each operation is inlined, mostly to one instruction. Called from Python it does the same
through the C library. Operations of kernels and of Python on the same element are atomic with respect to each other.

Parameters
----------
array : ndarray
    An array of any shape and strides. Its elements are integers or floats of up to 64 bits, or bools where the operation is
    not arithmetic. (A kernel has no float16: Numba does not support it on the CPU.)
index : int or tuple of int
    The element: an integer, or a tuple of one for each dimension. Negative ones count from the end.
value : scalar
    The operand. A kernel casts it as in an assignment.
order : str
    The memory order of C11: ``"relaxed"``, ``"acquire"``, ``"release"``, ``"acq_rel"`` or ``"seq_cst"``, the default. In a
    kernel it must be a literal. From Python every operation is sequentially consistent, whatever the order.

Returns
-------
scalar
    The element before the operation, of the array's type.

Raises
------
IndexError
    The index is out of range. In a kernel only with ``boundscheck=True``, as for any other access there.
TypeError
    The operation does not support the array's type or the value's.
ValueError
    The operation does not support the order; or the array is misaligned or, except for `load`, read-only.
OverflowError
    The array's type cannot hold the value.
numba.TypingError
    In a kernel, instead of these, when it is compiled; except for the index and the alignment.

Examples
--------
>>> counts = np.zeros(4, np.int64)
>>> int(atomic.add(counts, 2, 5)), counts.tolist()
(0, [0, 0, 5, 0])
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from . import _constants as c
from ._calls import function_in_c, knows_numpy
from ._errors import check
from ._library import QUICK
from ._wait import real

__all__ = [
    "add",
    "and_",
    "cas",
    "dec",
    "exch",
    "fence",
    "inc",
    "load",
    "max",
    "min",
    "nanmax",
    "nanmin",
    "or_",
    "store",
    "sub",
    "xor",
]

Order = Literal["relaxed", "acquire", "release", "acq_rel", "seq_cst"]
Index = Union[SupportsIndex, "tuple[SupportsIndex, ...]"]
Value = Union[float, "np.bool_", "np.integer[Any]", "np.floating[Any]"]
Element = TypeVar("Element", bound=np.generic)


def add(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Add `value`; integers wrap.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([1], np.int64)
    >>> int(atomic.add(array, 0, 5)), array.tolist()
    (1, [6])
    """
    return _apply(_ADD, array, index, order, value)


def sub(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Subtract `value`; integers wrap.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.sub(array, 0, 5)), array.tolist()
    (6, [1])
    """
    return _apply(_SUB, array, index, order, value)


def and_(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Do ``array[index] &= value``, for integers and bools.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.and_(array, 0, 3)), array.tolist()
    (6, [2])
    """
    return _apply(_AND, array, index, order, value)


def or_(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Do ``array[index] |= value``, for integers and bools.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.or_(array, 0, 3)), array.tolist()
    (6, [7])
    """
    return _apply(_OR, array, index, order, value)


def xor(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Do ``array[index] ^= value``, for integers and bools.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.xor(array, 0, 3)), array.tolist()
    (6, [5])
    """
    return _apply(_XOR, array, index, order, value)


def min(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Store the lesser of the element and `value`; a NaN if either is one, as `numpy.minimum` does.

    Nothing is written if the element does not change.
    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.min(array, 0, 3)), array.tolist()
    (6, [3])
    """
    return _apply(_MIN, array, index, order, value)


def max(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Store the greater of the element and `value`; a NaN if either is one, as `numpy.maximum` does.

    Nothing is written if the element does not change.
    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.max(array, 0, 9)), array.tolist()
    (6, [9])
    """
    return _apply(_MAX, array, index, order, value)


def nanmin(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Store the lesser of the element and `value`; if one is a NaN, the other, as `numpy.fmin` does.

    Nothing is written if the element does not change.
    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.float64)
    >>> float(atomic.nanmin(array, 0, np.nan)), array.tolist()
    (6.0, [6.0])
    """
    return _apply(_NANMIN, array, index, order, value)


def nanmax(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Store the greater of the element and `value`; if one is a NaN, the other, as `numpy.fmax` does.

    Nothing is written if the element does not change.
    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.float64)
    >>> float(atomic.nanmax(array, 0, np.nan)), array.tolist()
    (6.0, [6.0])
    """
    return _apply(_NANMAX, array, index, order, value)


def inc(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Count up to `value`, then from 0 again: store ``0 if old >= value else old + 1``; for integers.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([6], np.int64)
    >>> int(atomic.inc(array, 0, 6)), array.tolist()
    (6, [0])
    """
    return _apply(_INC, array, index, order, value)


def dec(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Count down to 0, then from `value`: store ``value if old == 0 or old > value else old - 1``; for integers.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([0], np.int64)
    >>> int(atomic.dec(array, 0, 6)), array.tolist()
    (0, [6])
    """
    return _apply(_DEC, array, index, order, value)


def exch(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Store `value`, and return the element before.

    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before, of the array's type.

    Examples
    --------
    >>> array = np.array([1], np.int64)
    >>> int(atomic.exch(array, 0, 5)), array.tolist()
    (1, [5])
    """
    return _apply(_EXCHANGE, array, index, order, value)


def cas(array: NDArray[Element], index: Index, old: Value, value: Value, order: Order = "seq_cst") -> Element:
    """Store `value` if the element equals `old`.

    -0.0 equals 0.0, and a NaN equals nothing. If they are not equal, this is a load, with `order` but without its release.
    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element before. It equals `old` if and only if `value` was stored.

    Examples
    --------
    >>> array = np.array([1], np.int64)
    >>> int(atomic.cas(array, 0, 1, 5)), array.tolist()
    (1, [5])
    """
    return _apply(_COMPARE_EXCHANGE, array, index, order, old, value)


def load(array: NDArray[Element], index: Index, order: Order = "seq_cst") -> Element:
    """Load the element. A loop that waits for a change needs this: the compiler does not hoist it.

    The order is relaxed, acquire or seq_cst.
    See `interlock.atomic` for the parameters and errors.

    Returns
    -------
    scalar
        The element.

    Examples
    --------
    >>> int(atomic.load(np.array([6]), 0, "acquire"))
    6
    """
    return _apply(_LOAD, array, index, order)


def store(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> None:
    """Store `value`.

    The order is relaxed, release or seq_cst.
    See `interlock.atomic` for the parameters and errors.

    Examples
    --------
    >>> array = np.zeros(1)
    >>> atomic.store(array, 0, 1.5, "release")
    """
    _apply(_STORE, array, index, order, value)


def fence(order: Order = "seq_cst") -> None:
    """Order the caller's memory accesses before the fence and those after it, as C11's `atomic_thread_fence` does.

    Parameters
    ----------
    order : str
        acquire, release, acq_rel or seq_cst.

    Raises
    ------
    ValueError
        The order is another.

    Examples
    --------
    >>> atomic.fence("release")
    """
    check_order("fence", order)
    check(_fence())


# Constants of this module: found faster than those of another.
_LOAD, _STORE, _EXCHANGE, _COMPARE_EXCHANGE = (
    c.ILK_ATOMIC_LOAD,
    c.ILK_ATOMIC_STORE,
    c.ILK_ATOMIC_EXCHANGE,
    c.ILK_ATOMIC_COMPARE_EXCHANGE,
)
_ADD, _SUB, _AND, _OR, _XOR = c.ILK_ATOMIC_ADD, c.ILK_ATOMIC_SUB, c.ILK_ATOMIC_AND, c.ILK_ATOMIC_OR, c.ILK_ATOMIC_XOR
_MIN, _MAX, _NANMIN, _NANMAX = c.ILK_ATOMIC_MIN, c.ILK_ATOMIC_MAX, c.ILK_ATOMIC_NANMIN, c.ILK_ATOMIC_NANMAX
_INC, _DEC = c.ILK_ATOMIC_INC, c.ILK_ATOMIC_DEC


class Operation(NamedTuple):
    """What one of the functions above supports."""

    code: int
    kinds: str = "biuf"  # kinds of numpy types
    orders: tuple[str, ...] = ("relaxed", "acquire", "release", "acq_rel", "seq_cst")


OPERATIONS = {
    "add": Operation(_ADD, "iuf"),
    "sub": Operation(_SUB, "iuf"),
    "and_": Operation(_AND, "biu"),
    "or_": Operation(_OR, "biu"),
    "xor": Operation(_XOR, "biu"),
    "min": Operation(_MIN, "iuf"),
    "max": Operation(_MAX, "iuf"),
    "nanmin": Operation(_NANMIN, "iuf"),
    "nanmax": Operation(_NANMAX, "iuf"),
    "inc": Operation(_INC, "iu"),
    "dec": Operation(_DEC, "iu"),
    "exch": Operation(_EXCHANGE),
    "cas": Operation(_COMPARE_EXCHANGE),
    "load": Operation(_LOAD, orders=("relaxed", "acquire", "seq_cst")),
    "store": Operation(_STORE, orders=("relaxed", "release", "seq_cst")),
    "fence": Operation(-1, "", orders=("acquire", "release", "acq_rel", "seq_cst")),
}

_NAMES = {operation.code: name for name, operation in OPERATIONS.items()}

# numpy's kind and size -> the struct module's letter, which the C function takes
_LETTERS = {"b1": "B", **{f"{k}{2**n}": letters[n] for k, letters in (("i", "bhiq"), ("u", "BHIQ")) for n in range(4)}}
_LETTERS |= {"f2": "e", "f4": "f", "f8": "d"}

# Operation.kinds in words
_KINDS = {
    "biu": "integers and bools",
    "biuf": "integers, floats and bools",
    "iu": "integers",
    "iuf": "integers and floats",
}

_c_apply = QUICK["ilk_atomic_apply"]
_fence = QUICK["ilk_atomic_fence"]


def check_order(name: str, order: object) -> None:
    """Raise ValueError if the operation does not support that order."""
    if order not in OPERATIONS[name].orders:
        raise ValueError(f"atomic.{name}: order must be one of {', '.join(OPERATIONS[name].orders)}, not {order!r}")


def check_type(name: str, dtype: np.dtype[Any]) -> None:
    """Raise TypeError if the operation does not support elements of that type."""
    kinds = OPERATIONS[name].kinds
    if dtype.str[1:] not in _LETTERS or dtype.kind not in kinds or not dtype.isnative:
        raise TypeError(
            f"atomic.{name} does not work on arrays of {dtype}: "
            f"it does on {_KINDS[kinds]} of up to 64 bits in the machine's byte order"
        )


def _apply(operation: int, array: NDArray[Element], index: Index, order: str, *values: Value) -> Element:
    name = _NAMES[operation]
    check_order(name, order)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"atomic.{name} takes a numpy array, not {type(array).__name__}")
    dtype = array.dtype
    check_type(name, dtype)
    if not array.flags.writeable and name != "load":
        raise ValueError(f"atomic.{name}: the array is read-only")
    indices = _integers(array, index)
    _address_of(array, indices)  # an IndexError comes before the operands' errors
    cells = np.array([0, *[_convert(dtype, value) for value in values]], dtype)  # the old value, the operands
    # Only now, because the methods of a user's numbers may have changed the array.
    address = _address_of(array, indices)
    if array.dtype is not dtype:
        raise ValueError(f"atomic.{name}: the array's type has changed meanwhile")
    if not array.flags.aligned or address % dtype.itemsize:
        raise ValueError(f"atomic.{name}: the array is misaligned")
    old = _address(cells)
    letter = _LETTERS[dtype.str[1:]]
    check(_c_apply(address, ord(letter), operation, old + dtype.itemsize, old))
    result: Element = cells[0]
    return result


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def element_address(array: NDArray[Any], index: Index) -> int:
    """Return the address of an element, or raise as numpy does. Each index must be an integer."""
    return _address_of(array, _integers(array, index))  # in this order: the first may run code that changes the array


def _integers(array: NDArray[Any], index: Index) -> tuple[int, ...]:
    indices = index if isinstance(index, tuple) else (index,)
    _check_length(array, indices)
    return tuple(map(operator.index, indices))


def _check_length(array: NDArray[Any], indices: tuple[Any, ...]) -> None:
    if len(indices) != array.ndim:
        raise IndexError(f"the array has {array.ndim} dimensions, but {len(indices)} indices were given")


def _address_of(array: NDArray[Any], indices: tuple[int, ...]) -> int:
    _check_length(array, indices)
    address = _address(array)
    for axis, (i, size, stride) in enumerate(zip(indices, array.shape, array.strides)):
        if not -size <= i < size:
            raise IndexError(f"index {i} is out of bounds for axis {axis} with size {size}")
        address += (i + size if i < 0 else i) * stride
    return address


def _integer(dtype: np.dtype[Any], value: Any) -> int:
    value = int(value) if isinstance(value, np.bool_) else operator.index(value)
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise OverflowError(f"{value} is out of bounds for {dtype}")
    return int(value)


def _float(dtype: np.dtype[Any], value: Any) -> Any:
    with np.errstate(over="ignore"):  # to an infinity
        return dtype.type(real(value))


_CONVERT: dict[str, Callable[[np.dtype[Any], Any], Any]] = {
    "b": lambda dtype, value: bool(value) if isinstance(value, np.bool_) else operator.index(value) != 0,
    "i": _integer,
    "u": _integer,
    "f": _float,
}


def _convert(dtype: np.dtype[Any], value: Any) -> Any:
    return _CONVERT[dtype.kind](dtype, value)


# In C for arrays that are exactly ndarrays, but those of half floats; and from there _apply() above for all else.
if knows_numpy():
    _apply = function_in_c("atomic_apply", _apply)
