"""`interlock.PerThread` in kernels: a type for each dtype and number of dimensions.

An array that `local()` returns has a counted reference to its slice, so the memory lives as long as the array. Each slice
has its own count, so threads do not contend for it. The count is a meminfo of Numba's runtime, made once for each slice: the
slice's companion (see interlock.h). A thread that makes one needs no GIL.

This relies on private parts of Numba: the runtime's functions NRT_MemInfo_alloc_dtor_safe and
NRT_MemInfo_release, by symbol; and that the first argument of a meminfo's destructor is the address of its memory.
"""

from functools import cache

import numpy as np
from llvmlite import ir
from numba.core import cgutils, errors, types
from numba.core.datamodel import register_default
from numba.core.imputils import impl_ret_borrowed, impl_ret_new_ref
from numba.extending import intrinsic, overload_method
from numba.np import numpy_support
from numba.np.arrayobj import make_array, populate_array

from .. import nb
from .._constants import ILK_ENOMEM
from . import kernels
from .emit import Emit
from .methods import does
from .types import FIELDS, Object, ObjectModel

_FIELDS = {
    "shape": "_shape_address",
    "initial": "_initial_address",
    "size": "_size",
    "has_initial": "_has_initial",
}
_VOID = cgutils.voidptr_t
_WORD = cgutils.intp_t


class PerThreadObject(Object):
    def __init__(self, kind, array):
        super().__init__(kind)
        self.array = array


register_default(PerThreadObject)(ObjectModel)


def _companion(e, slice_):
    """Return the slice's meminfo, which the thread's first call makes."""
    builder = e.builder
    place = builder.inttoptr(builder.sub(slice_, _WORD(e.context.get_abi_sizeof(_WORD))), _WORD.as_pointer())
    found = cgutils.alloca_once_value(builder, builder.load(place))
    with cgutils.if_unlikely(builder, e.compare(builder.load(found), "==", 0)):
        module = builder.module
        alloc_type = ir.FunctionType(_VOID, [_WORD, _VOID])
        alloc = cgutils.get_or_insert_function(module, alloc_type, "NRT_MemInfo_alloc_dtor_safe")
        release_type = ir.FunctionType(ir.VoidType(), [_VOID])
        release = cgutils.get_or_insert_function(module, release_type, "NRT_MemInfo_release")
        drop_type = ir.FunctionType(ir.IntType(32), [e.context.get_value_type(types.intp)])
        drop = cgutils.get_or_insert_function(module, drop_type, "ilk_slices_drop")
        meminfo = builder.call(alloc, [_WORD(e.context.get_abi_sizeof(_WORD)), builder.bitcast(drop, _VOID)])
        e.raise_if(cgutils.is_null(builder, meminfo), ir.IntType(32)(ILK_ENOMEM))
        memory = e.context.nrt.meminfo_data(builder, meminfo)
        builder.store(slice_, builder.bitcast(memory, _WORD.as_pointer()))
        meminfo = builder.ptrtoint(meminfo, _WORD)
        e.call("ilk_slices_attach", meminfo, builder.ptrtoint(release, _WORD), handle=slice_)
        builder.store(meminfo, found)
    return builder.inttoptr(builder.load(found), _VOID)


def _shape(context, builder, address, ndim):
    pointer = builder.inttoptr(address, ir.IntType(64).as_pointer())
    return [builder.load(cgutils.gep(builder, pointer, i)) for i in range(ndim)]


def _array(context, builder, typ, address, shape, meminfo):
    """Return an array at that address."""
    array = make_array(typ)(context, builder)
    itemsize = _WORD(context.get_abi_sizeof(context.get_data_type(typ.dtype)))
    strides, stride = [], itemsize
    for length in reversed(shape):
        strides.insert(0, stride)
        stride = builder.mul(stride, length)
    data = builder.inttoptr(address, context.get_data_type(typ.dtype).as_pointer())
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=meminfo)
    return array._getvalue()


@intrinsic
def _own_slice(typingctx, per_thread):
    array = per_thread.array

    def codegen(context, builder, sig, args):
        e = Emit(context, builder, cgutils.create_struct_proxy(per_thread)(context, builder, args[0]), {})
        slice_ = e.call("ilk_slices_get")
        e.check_value(slice_, e.compare(slice_, "==", 0), lambda: e.call("ilk_last_error"))
        meminfo = _companion(e, slice_)
        value = _array(context, builder, array, slice_, _shape(context, builder, e.view.shape, array.ndim), meminfo)
        return e.result(impl_ret_borrowed(context, builder, array, value))

    return array(per_thread), codegen


@overload_method(PerThreadObject, "local", inline="always")
def _local(per_thread):
    return lambda per_thread: _own_slice(per_thread)


@cache
def type_of(dtype, ndim):
    """The Numba type of a PerThread of that dtype and number of dimensions."""
    array = types.Array(numpy_support.from_dtype(dtype), ndim, "C")
    kind = f"PerThread({array.dtype}, {ndim}d)"
    FIELDS[kind] = _FIELDS
    kernels.add_kind(kind, "PerThread", {"clear": does("ilk_slices_clear")})
    return PerThreadObject(kind, array)


# --- merging --------------------------------------------------------------------------------------------------------


@intrinsic
def _dimensions(typingctx, per_thread):
    """Return the shape as a tuple."""
    ndim = per_thread.array.ndim

    def codegen(context, builder, sig, args):
        value = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0])
        return context.make_tuple(builder, sig.return_type, _shape(context, builder, value.shape, ndim))

    return types.UniTuple(types.intp, ndim)(per_thread), codegen


def _word(field):
    """Return a function that returns a field of the object."""

    @intrinsic
    def word(typingctx, per_thread):
        def codegen(context, builder, sig, args):
            return getattr(cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]), field)

        return types.intp(per_thread), codegen

    return word


_size, _initial, _has_initial = _word("size"), _word("initial"), _word("has_initial")


@intrinsic
def _flat(typingctx, per_thread, address, n):
    """Return an array of the n elements at an address. It keeps nothing alive."""
    array = types.Array(per_thread.array.dtype, 1, "C")

    def codegen(context, builder, sig, args):
        value = _array(context, builder, array, args[1], [args[2]], None)
        return impl_ret_new_ref(context, builder, array, value)

    return array(per_thread, types.intp, types.intp), codegen


def _number(per_thread, name):
    if not isinstance(per_thread.array.dtype, (types.Number, types.Boolean)):
        raise errors.TypingError(f"PerThread.{name} needs numbers, not {per_thread.array.dtype}")


@overload_method(PerThreadObject, "sum")
def _sum(per_thread):
    _number(per_thread, "sum")
    dtype = numpy_support.as_dtype(per_thread.array.dtype)
    result = np.sum(np.zeros(1, dtype)).dtype

    def total(per_thread):
        if _has_initial(per_thread):
            raise ValueError("sum() needs initial=0: the sum would depend on the number of threads")
        handle, n = per_thread.handle, _size(per_thread)
        merged = np.zeros(n, result)
        address = nb.ilk_slices_next(handle, 0)
        while address != 0:
            each = _flat(per_thread, address, n)
            for i in range(n):
                merged[i] += each[i]
            address = nb.ilk_slices_next(handle, address)
        return merged.reshape(_dimensions(per_thread))

    return total


def _extreme(name, function):
    @overload_method(PerThreadObject, name)
    def overload(per_thread):
        _number(per_thread, name)

        def extreme(per_thread):
            handle, n = per_thread.handle, _size(per_thread)
            merged = _flat(per_thread, _initial(per_thread), n).copy()
            address = nb.ilk_slices_next(handle, 0)
            while address != 0:
                each = _flat(per_thread, address, n)
                for i in range(n):
                    merged[i] = function(merged[i], each[i])
                address = nb.ilk_slices_next(handle, address)
            return merged.reshape(_dimensions(per_thread))

        return extreme


_extreme("max", np.maximum)
_extreme("min", np.minimum)
