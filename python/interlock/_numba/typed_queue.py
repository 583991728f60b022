"""`interlock.Queue` of other types than int64, in kernels: a type for each dtype, with its own methods.

To Numba a record is a reference to memory of an array, so a kernel has no memory for one that `get` returned. Kernels
remove records with `get_into`.
"""

from functools import cache

import numpy as np
from llvmlite import ir
from numba.core import cgutils, errors, types
from numba.core.datamodel import register_default
from numba.extending import overload_method
from numba.np import numpy_support

from .._constants import ILK_EOVERFLOW
from . import kernels
from .methods import METHODS, Method, _empty, _full, _queue_ns, does
from .types import FIELDS, Object, ObjectModel

_INT64 = ir.IntType(64)
_NUMBERS = (types.Integer, types.Float, types.Boolean, types.Complex)


class _Typed(Method):
    """A method whose argument `item` has the type of the queue's items."""

    def __init__(self, element, *rest):
        super().__init__(*rest)
        self.element = element

    def cast(self, name, given):
        if name != "item":
            return kernels.parameter_type(name, given)
        given = types.unliteral(given)
        if given == self.element:
            return given
        if isinstance(self.element, types.Integer) and isinstance(given, types.Integer):
            if self.element == types.uint64 and not given.signed:
                return self.element
            if types.uint64 not in (self.element, given):
                return types.int64  # `put` checks the value
            raise errors.TypingError(f"a queue of {self.element} may not hold a {given}: convert the item first")
        safe = isinstance(self.element, _NUMBERS) and isinstance(given, _NUMBERS)
        if safe and not (isinstance(given, types.Complex) and not isinstance(self.element, types.Complex)):
            whole = isinstance(self.element, (types.Integer, types.Boolean))
            if not (isinstance(given, types.Float) and whole) and given != types.uint64:
                return self.element
        raise errors.TypingError(f"a queue of {self.element} cannot hold {given}: convert the item first")


class _Refused(Method):
    """`get` of a record."""

    def __init__(self, parameters):
        super().__init__(parameters, None, None)

    @property
    def result(self):
        raise errors.TypingError(
            "a kernel has no memory of its own for a record that a queue returns: write queue.get_into(array, i)"
        )

    @result.setter
    def result(self, _none):
        pass


def _address(e, pointer):
    return e.builder.ptrtoint(pointer, cgutils.intp_t)


def _record(e, name, size, pointer, a):
    words = (e.view.unused, e.view.slots, _INT64(size), _address(e, pointer), _queue_ns(e, a))
    e.check(e.call(name, *words))


def _record_at(e, size, a):
    words = (e.view.unused, e.view.slots, _INT64(size), a.address, _queue_ns(e, a))
    e.check(e.call("ilk_queue_getrecord", *words))


def _methods(element, dtype):
    size = dtype.itemsize
    is_record = isinstance(element, types.Record)
    is_wide = is_record or size > 8

    def memory(e):
        """Return memory for one item. Bits that the item does not fill are 0."""
        data = e.context.get_data_type(element)
        if is_wide:
            return cgutils.alloca_once(e.builder, data)
        word = cgutils.alloca_once(e.builder, _INT64)
        e.builder.store(_INT64(0), word)
        return e.builder.bitcast(word, data.as_pointer())

    def fitting(e, item):
        """Convert an int64 to the element's type, or raise if it does not fit."""
        narrow = e.builder.trunc(item, e.context.get_value_type(element))
        back = (e.builder.sext if element.signed else e.builder.zext)(narrow, _INT64)
        e.raise_if(e.builder.icmp_signed("!=", back, item), ir.IntType(32)(ILK_EOVERFLOW))
        return narrow

    def put(e, a):
        if is_record:
            _record(e, "ilk_queue_putrecord", size, a.item, a)
            return
        pointer = memory(e)
        if isinstance(element, types.Integer) and size < 8 and a.item.type == _INT64:
            a.item = fitting(e, a.item)
        e.builder.store(e.context.data_model_manager[element].as_data(e.builder, a.item), pointer)
        if is_wide:
            _record(e, "ilk_queue_putrecord", size, pointer, a)
        else:
            word = e.builder.load(e.builder.bitcast(pointer, _INT64.as_pointer()))
            e.check(e.call("ilk_queue_timedput", word, _queue_ns(e, a)))

    def get(e, a):
        pointer = memory(e)
        if is_wide:
            _record(e, "ilk_queue_getrecord", size, pointer, a)
        else:
            e.check(e.call("ilk_queue_timedget", _address(e, pointer), _queue_ns(e, a)))
        return e.context.data_model_manager[element].from_data(e.builder, e.builder.load(pointer))

    errors_of_put = {**_full, ILK_EOVERFLOW: (OverflowError, f"the item does not fit into a queue of {element}")}
    waits = "block=True, timeout=None"

    def get_at(e, a):
        _record_at(e, size, a)

    table = {name: method for name, method in METHODS["Queue"].items() if "get" not in name and "put" not in name}
    table.update(
        put=_Typed(element, f"item, {waits}", types.none, put, errors_of_put),
        put_nowait=_Typed(element, "item", types.none, put, errors_of_put),
        get=_Refused(waits) if is_record else Method(waits, element, get, _empty),
        get_nowait=_Refused("") if is_record else Method("", element, get, _empty),
        _get_at=Method(f"address, {waits}", types.none, get_at, _empty),
    )
    if is_wide:

        def close(e, a):
            e.check(e.call("ilk_queue_close"))
            e.check(e.call("ilk_queue_close", handle=e.view.unused))

        table["close"] = Method("", types.none, close)
    else:
        table["close"] = does("ilk_queue_close")
    return table


@cache
def type_of(dtype):
    """Return the Numba type of a queue of that dtype."""
    element = numpy_support.from_dtype(dtype)
    kind = f"Queue({element})"
    FIELDS[kind] = {"capacity": "_capacity", "unused": "_unused_handle", "slots": "_slots_address"}
    kernels.add_kind(kind, "Queue", _methods(element, np.dtype(dtype)))
    return QueueObject(kind, element, dtype.itemsize > 8 or isinstance(element, types.Record))


class QueueObject(Object):
    def __init__(self, kind, element, is_wide):
        super().__init__(kind)
        self.element, self.is_wide = element, is_wide


register_default(QueueObject)(ObjectModel)


@overload_method(QueueObject, "get_into")
def _get_into(queue, out, i, block=True, timeout=None):
    fits = isinstance(out, types.Array) and out.ndim == 1 and out.dtype == queue.element and out.mutable
    if not fits:
        raise errors.TypingError(f"get_into needs an array of one dimension of {queue.element}, not {out}")

    if queue.is_wide:

        def get_into(queue, out, i, block=True, timeout=None):
            n = len(out)
            if not -n <= i < n:
                raise IndexError("get_into: the index is out of bounds")
            place = i + n if i < 0 else i
            queue._get_at(out.ctypes.data + place * out.strides[0], block, timeout)

    else:

        def get_into(queue, out, i, block=True, timeout=None):
            n = len(out)
            if not -n <= i < n:
                raise IndexError("get_into: the index is out of bounds")
            out[i] = queue.get(block, timeout)

    return get_into
