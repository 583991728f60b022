"""Atomic operations on the elements of numpy arrays, named and shaped as `numba.cuda.atomic`, on the CPU.

In a kernel compiled by Numba each is inlined, mostly to one instruction; called from Python it does the same through
the C library. Both are atomic towards each other. Arrays may have any dimension and strides; their elements are integers
or floats of up to 64 bits, or, for all that is not arithmetic, bools. (No float16 in a kernel: Numba has none on the CPU.)
`index` is an integer, or a tuple of one for each dimension; negative ones count from the end. Each operation answers the
old value, as a scalar of the array's type.

`order` is the memory order, that of C11: ``"relaxed"``, ``"acquire"``, ``"release"``, ``"acq_rel"`` or, as by default,
``"seq_cst"``; in a kernel a literal. From Python every operation is sequentially consistent, whatever is asked.

Raises IndexError for an index out of range (in a kernel: with ``boundscheck=True``, as for any other access there),
TypeError for types that do not go, ValueError for an order that the operation cannot have, an array that is misaligned or,
but for `load`, read-only, and OverflowError for a value that the type cannot hold. A kernel finds all these when it is
compiled, and raises a TypingError, but for the index and the alignment; it casts values as in an assignment.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from . import _constants as c
from ._errors import check
from ._library import QUICK

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
    """Adds `value`; integers wrap."""
    return _apply("add", array, index, order, value)


def sub(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Subtracts `value`; integers wrap."""
    return _apply("sub", array, index, order, value)


def and_(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """``array[index] &= value``, for integers and bools."""
    return _apply("and_", array, index, order, value)


def or_(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """``array[index] |= value``, for integers and bools."""
    return _apply("or_", array, index, order, value)


def xor(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """``array[index] ^= value``, for integers and bools."""
    return _apply("xor", array, index, order, value)


def min(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """The lesser of the two stays, and a NaN wins, as in `numpy.minimum`. If the element stays, nothing is written."""
    return _apply("min", array, index, order, value)


def max(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """The greater of the two stays, and a NaN wins, as in `numpy.maximum`. If the element stays, nothing is written."""
    return _apply("max", array, index, order, value)


def nanmin(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """As `min`, but a NaN is a number missing, as in `numpy.fmin`: the other stays."""
    return _apply("nanmin", array, index, order, value)


def nanmax(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """As `max`, but a NaN is a number missing, as in `numpy.fmax`: the other stays."""
    return _apply("nanmax", array, index, order, value)


def inc(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Counts up to `value` and then from 0: ``0 if old >= value else old + 1``; for integers."""
    return _apply("inc", array, index, order, value)


def dec(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Counts down to 0 and then from `value`: ``value if old == 0 or old > value else old - 1``; for integers."""
    return _apply("dec", array, index, order, value)


def exch(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> Element:
    """Stores `value`."""
    return _apply("exch", array, index, order, value)


def cas(array: NDArray[Element], index: Index, old: Value, value: Value, order: Order = "seq_cst") -> Element:
    """Stores `value` if the element equals `old`; it was stored if and only if the answer equals `old`.

    So -0.0 matches 0.0, and a NaN nothing. Where they are not equal, this is a load, of the order without its release.
    """
    return _apply("cas", array, index, order, old, value)


def load(array: NDArray[Element], index: Index, order: Order = "seq_cst") -> Element:
    """The element, read anew each time: what a loop that waits for a change needs. Order: relaxed, acquire, seq_cst."""
    return _apply("load", array, index, order)


def store(array: NDArray[Element], index: Index, value: Value, order: Order = "seq_cst") -> None:
    """Stores `value`. Order: relaxed, release, seq_cst."""
    _apply("store", array, index, order, value)


def fence(order: Order = "seq_cst") -> None:
    """Orders what comes before it against what comes after it. Order: acquire, release, acq_rel, seq_cst."""
    check_order("fence", order)
    check(_fence())


class Operation(NamedTuple):
    """What one of the functions above works on."""

    code: int
    kinds: str = "biuf"  # kinds of numpy's types
    orders: tuple[str, ...] = ("relaxed", "acquire", "release", "acq_rel", "seq_cst")


OPERATIONS = {
    "add": Operation(c.ILK_ATOMIC_ADD, "iuf"),
    "sub": Operation(c.ILK_ATOMIC_SUB, "iuf"),
    "and_": Operation(c.ILK_ATOMIC_AND, "biu"),
    "or_": Operation(c.ILK_ATOMIC_OR, "biu"),
    "xor": Operation(c.ILK_ATOMIC_XOR, "biu"),
    "min": Operation(c.ILK_ATOMIC_MIN, "iuf"),
    "max": Operation(c.ILK_ATOMIC_MAX, "iuf"),
    "nanmin": Operation(c.ILK_ATOMIC_NANMIN, "iuf"),
    "nanmax": Operation(c.ILK_ATOMIC_NANMAX, "iuf"),
    "inc": Operation(c.ILK_ATOMIC_INC, "iu"),
    "dec": Operation(c.ILK_ATOMIC_DEC, "iu"),
    "exch": Operation(c.ILK_ATOMIC_EXCHANGE),
    "cas": Operation(c.ILK_ATOMIC_COMPARE_EXCHANGE),
    "load": Operation(c.ILK_ATOMIC_LOAD, orders=("relaxed", "acquire", "seq_cst")),
    "store": Operation(c.ILK_ATOMIC_STORE, orders=("relaxed", "release", "seq_cst")),
    "fence": Operation(-1, "", orders=("acquire", "release", "acq_rel", "seq_cst")),
}

# numpy's kind and size -> the struct module's letter, which the C function knows
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
    """ValueError, if the operation cannot have that order."""
    if order not in OPERATIONS[name].orders:
        raise ValueError(f"atomic.{name}: order must be one of {', '.join(OPERATIONS[name].orders)}, not {order!r}")


def check_type(name: str, dtype: np.dtype[Any]) -> None:
    """TypeError, if the operation does not go on elements of that type."""
    kinds = OPERATIONS[name].kinds
    if dtype.str[1:] not in _LETTERS or dtype.kind not in kinds or not dtype.isnative:
        raise TypeError(
            f"atomic.{name} does not work on arrays of {dtype}: "
            f"it does on {_KINDS[kinds]} of up to 64 bits in the machine's byte order"
        )


def _apply(name: str, array: NDArray[Element], index: Index, order: str, *values: Value) -> Element:
    check_order(name, order)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"atomic.{name} takes a numpy array, not {type(array).__name__}")
    check_type(name, array.dtype)
    if not array.flags.writeable and name != "load":
        raise ValueError(f"atomic.{name}: the array is read-only")
    address = element_address(array, index)
    if not array.flags.aligned or address % array.itemsize:
        raise ValueError(f"atomic.{name}: the array is misaligned")
    operand = np.array([_convert(array.dtype, value) for value in values], array.dtype)
    old = np.empty(1, array.dtype)
    letter = _LETTERS[array.dtype.str[1:]]
    check(_c_apply(address, ord(letter), OPERATIONS[name].code, _address(operand), _address(old)))
    result: Element = old[0]
    return result


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def element_address(array: NDArray[Any], index: Index) -> int:
    """Where an element is; or the errors that numpy has for an index, of which each must be an integer."""
    indices = index if isinstance(index, tuple) else (index,)
    if len(indices) != array.ndim:
        raise IndexError(f"the array has {array.ndim} dimensions, but {len(indices)} indices were given")
    address = _address(array)
    for axis, (i, size, stride) in enumerate(zip(map(operator.index, indices), array.shape, array.strides)):
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
    if isinstance(value, (str, bytes)):
        raise TypeError(f"a number is required, not {type(value).__name__}")
    with np.errstate(over="ignore"):  # to an infinity
        return dtype.type(float(value))


_CONVERT: dict[str, Callable[[np.dtype[Any], Any], Any]] = {
    "b": lambda dtype, value: bool(value) if isinstance(value, np.bool_) else operator.index(value) != 0,
    "i": _integer,
    "u": _integer,
    "f": _float,
}


def _convert(dtype: np.dtype[Any], value: Any) -> Any:
    return _CONVERT[dtype.kind](dtype, value)
