"""`interlock.atomic` in kernels: each operation is inlined where it is called.

Typing and lowering are registered for the Python functions themselves. `numba.extending.overload` does not serve: an
overload is compiled as a separate function, where it is unknown whether the caller checks bounds.
"""

# mypy: ignore-errors

import inspect

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing import signature
from numba.core.typing.templates import infer_global
from numba.extending import lower_builtin, type_callable
from numba.np import numpy_support
from numba.np.arrayobj import basic_indexing, make_array, normalize_indices

from .. import atomic
from .._constants import ILK_EINVAL
from .calls import Operation, check_arguments
from .emit import Emit
from .exceptions import ElementIndexError
from .sources import HOW

# LLVM's names
ORDERS = {"relaxed": "monotonic", "acquire": "acquire", "release": "release", "acq_rel": "acq_rel", "seq_cst": "seq_cst"}
# The order of an operation that writes nothing.
READ_ORDERS = {**ORDERS, "release": "monotonic", "acq_rel": "acquire"}

_EINVAL = ir.IntType(32)(ILK_EINVAL)

READ_ONLY = f"the array is read-only, or no argument. {HOW}"


# --- typing -------------------------------------------------------------------------------------------------------


def index_type(name, array, index):
    """Return the type of `index` for the lowering, or raise if it does not select an element."""
    index = types.unliteral(index)
    each = tuple(index) if isinstance(index, types.BaseTuple) else (index,)
    if len(each) != array.ndim or not all(isinstance(i, types.Integer) for i in map(types.unliteral, each)):
        raise TypingError(f"atomic.{name}: the index of an array of {array.ndim} dimensions cannot be {index}")
    return types.Tuple([types.unliteral(i) for i in each]) if isinstance(index, types.BaseTuple) else index


def element_type(name, array):
    """Return the type of the array's elements, or raise if the operation does not support it."""
    if not isinstance(array, types.Array):
        raise TypingError(f"atomic.{name} takes a numpy array, not {array}")
    try:
        atomic.check_type(name, numpy_support.as_dtype(array.dtype))
    except TypeError as error:
        raise TypingError(str(error)) from None
    except NotImplementedError:
        raise TypingError(f"atomic.{name} does not work on arrays of {array.dtype}") from None
    if array.dtype is types.float16:
        # Numba has no data model for it. It would raise NotImplementedError without a line, even for the argument.
        raise TypingError(f"atomic.{name} does not work on arrays of float16 in a kernel: Numba has none on the CPU")
    if not array.mutable and name != "load":
        raise TypingError(f"atomic.{name}: {READ_ONLY}")
    return array.dtype


def order_of(name, order):
    """Return the memory order: a literal, or the default of the Python function."""
    if isinstance(order, types.Omitted):
        order = order.value
    elif isinstance(order, types.StringLiteral):
        order = order.literal_value
    if not isinstance(order, str):
        raise TypingError(f"atomic.{name}: the order must be a string literal")
    try:
        atomic.check_order(name, order)
    except ValueError as error:
        raise TypingError(str(error)) from None
    return order


def value_type(name, element, value):
    value = types.unliteral(value)
    if not isinstance(value, (types.Integer, types.Float, types.Boolean)):
        raise TypingError(f"atomic.{name}: the value cannot be {value}")
    return element


def register(name, lower):
    """Register ``atomic.name`` with Numba. ``lower(builder, pointer, element, values, order)`` returns the old value."""
    function = getattr(atomic, name)
    parameters = inspect.signature(function)

    class Call:
        """How Numba types a call."""

        __name__ = f"atomic.{name}"

        def type_call(self, context, args, kws):
            check_arguments(self.__name__, parameters, args, kws)
            bound = parameters.bind(*args, **kws)
            bound.arguments.setdefault("order", types.Omitted("seq_cst"))
            array, index, *values, order = bound.args
            order_of(name, order)
            element = element_type(name, array)
            given = [value_type(name, element, value) for value in values]
            result = types.none if name == "store" else element
            return signature(result, array, index_type(name, array, index), *given, order).replace(pysig=parameters)

    call = Call()
    infer_global(function, typ=Operation(call))

    @lower_builtin(call, types.Array, types.VarArg(types.Any))
    def lower_function(context, builder, sig, args):
        element = sig.args[0].dtype
        order = order_of(name, sig.args[-1])
        emit = Emit(context, builder, None, {})
        pointer = element_pointer(emit, sig, args)
        values = [context.get_value_as_data(builder, element, value) for value in args[2:-1]]
        old = emit.result(lower(builder, pointer, element, values, order))
        return context.get_dummy_value() if old is None else context.data_model_manager[element].from_data(builder, old)


# --- the element ----------------------------------------------------------------------------------------------------


def element_pointer(emit, sig, args, boundscheck=False):
    context, builder = emit.context, emit.builder
    array, index = sig.args[:2]
    if isinstance(index, types.BaseTuple):
        index_types, indices = tuple(index), cgutils.unpack_tuple(builder, args[1], len(index))
    else:
        index_types, indices = (index,), (args[1],)
    # As signed numbers: the index of a prange is unsigned, and so -i would not count from the end.
    indices = [context.cast(builder, i, typ, types.intp) for typ, i in zip(index_types, indices)]
    index_types = (types.intp,) * len(indices)
    boundscheck = boundscheck or context.enable_boundscheck
    view = make_array(array)(context, builder, args[0])
    if boundscheck:
        for axis, (index, size) in enumerate(zip(indices, cgutils.unpack_tuple(builder, view.shape, array.ndim))):
            check_bounds(emit, index, axis, size)
    index_types, indices = normalize_indices(context, builder, index_types, indices)
    pointer, _, _ = basic_indexing(
        context,
        builder,
        array,
        view,
        index_types,
        indices,
        boundscheck=False,
    )
    size = size_of(array.dtype)
    if size > 1:
        # Checked when the kernel runs, because the type does not show it: Numba considers every array aligned, and fields
        # of records without C's padding misaligned.
        address = builder.ptrtoint(pointer, cgutils.intp_t)
        is_misaligned = cgutils.is_not_null(builder, builder.and_(address, address.type(size - 1)))
        emit.raise_if(is_misaligned, _EINVAL, {ILK_EINVAL: (ValueError, "the array is misaligned")})
    return pointer


def check_bounds(emit, index, axis, size):
    """Raise IndexError with the numbers, which Numba's own error lacks."""
    builder = emit.builder
    beyond = builder.icmp_signed(">=", index, size)
    before = builder.icmp_signed("<", index, builder.neg(size))
    emit.note(index, index.type(axis), size)
    emit.raise_if(builder.or_(beyond, before), _EINVAL, {ILK_EINVAL: (ElementIndexError,)})


def size_of(element):
    return numpy_support.as_dtype(element).itemsize


def bits(builder, pointer, element):
    """Return the element's pointer as a pointer to an integer, and that integer's type."""
    integer = ir.IntType(8 * size_of(element))
    return builder.bitcast(pointer, integer.as_pointer()), integer


# --- the operations -------------------------------------------------------------------------------------------------


def instruction(integer_name, float_name=None):
    """One LLVM instruction. If the processor lacks it, LLVM makes a compare-and-swap loop of it, like `loop` here."""

    def lower(builder, pointer, element, values, order):
        name = float_name if isinstance(element, types.Float) else integer_name
        return builder.atomic_rmw(name, pointer, values[0], ORDERS[order])

    return lower


def loop(step):
    """Load the element, then compare and swap until that succeeds or the element need not change.

    ``step(builder, element, old, values)`` returns whether the element changes, and its new value.
    """

    def lower(builder, pointer, element, values, order):
        pointer, integer = bits(builder, pointer, element)
        first = builder.load_atomic(pointer, READ_ORDERS[order], size_of(element))
        before, look = builder.block, builder.append_basic_block("atomic.look")
        change, done = builder.append_basic_block("atomic.change"), builder.append_basic_block("atomic.done")
        builder.branch(look)

        builder.position_at_end(look)
        seen = builder.phi(integer)
        seen.add_incoming(first, before)
        old = builder.bitcast(seen, values[0].type)
        changes, new = step(builder, element, old, values)
        new = builder.bitcast(new, integer)
        builder.cbranch(changes, change, done)

        builder.position_at_end(change)
        swap = builder.cmpxchg(pointer, seen, new, ORDERS[order], READ_ORDERS[order])
        seen.add_incoming(builder.extract_value(swap, 0), change)
        builder.cbranch(builder.extract_value(swap, 1), done, look)

        builder.position_at_end(done)
        return old

    return lower


# With `fastmath` Numba adds its flags to float operations that have none: they say that no operand is a NaN or infinite.
# This flag has no effect on a comparison.
_NO_FASTMATH = ("contract",)


def compare(builder, element, operator, left, right):
    """An ordered comparison: false if either is a NaN."""
    if isinstance(element, types.Float):
        return builder.fcmp_ordered(operator, left, right, flags=_NO_FASTMATH)
    if getattr(element, "signed", False):
        return builder.icmp_signed(operator, left, right)
    return builder.icmp_unsigned(operator, left, right)


def extreme(stays, missing):
    """`stays`: the comparison of old to new that keeps the old value. `missing`: the other operand wins over a NaN."""

    def step(builder, element, old, values):
        changes = builder.not_(compare(builder, element, stays, old, values[0]))
        if isinstance(element, types.Float):
            kept = values[0] if missing else old  # if this is a NaN, the element does not change
            changes = builder.and_(changes, builder.fcmp_ordered("ord", kept, kept, flags=_NO_FASTMATH))
        return changes, values[0]

    return loop(step)


def increment(builder, element, old, values):
    at_end = compare(builder, element, ">=", old, values[0])
    return cgutils.true_bit, builder.select(at_end, old.type(0), builder.add(old, old.type(1)))


def decrement(builder, element, old, values):
    at_end = builder.or_(builder.icmp_unsigned("==", old, old.type(0)), compare(builder, element, ">", old, values[0]))
    return cgutils.true_bit, builder.select(at_end, values[0], builder.sub(old, old.type(1)))


def equal(builder, element, old, values):
    return compare(builder, element, "==", old, values[0]), values[1]


def compare_and_swap(builder, pointer, element, values, order):
    if isinstance(element, types.Float):
        return loop(equal)(builder, pointer, element, values, order)  # equal floats may differ in their bits
    return builder.extract_value(builder.cmpxchg(pointer, *values, ORDERS[order], READ_ORDERS[order]), 0)


def load(builder, pointer, element, values, order):
    return builder.load_atomic(pointer, ORDERS[order], size_of(element))


def store(builder, pointer, element, values, order):
    builder.store_atomic(values[0], pointer, ORDERS[order], size_of(element))


register("add", instruction("add", "fadd"))
register("sub", instruction("sub", "fsub"))
register("and_", instruction("and"))
register("or_", instruction("or"))
register("xor", instruction("xor"))
register("exch", instruction("xchg", "xchg"))
register("min", extreme("<=", missing=False))
register("max", extreme(">=", missing=False))
register("nanmin", extreme("<=", missing=True))
register("nanmax", extreme(">=", missing=True))
register("inc", loop(increment))
register("dec", loop(decrement))
register("cas", compare_and_swap)
register("load", load)
register("store", store)


@type_callable(atomic.fence)
def type_fence(context):
    def typer(order="seq_cst"):
        order_of("fence", order)
        return signature(types.none, *([] if isinstance(order, str) else [order]))

    return typer


@lower_builtin(atomic.fence, types.VarArg(types.Any))
def lower_fence(context, builder, sig, args):
    builder.fence(ORDERS[order_of("fence", sig.args[0]) if sig.args else "seq_cst"])
    return context.get_dummy_value()
