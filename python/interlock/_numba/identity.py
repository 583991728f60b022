"""`is`, `==` and truth of the objects in kernels: as in Python, an object equals itself alone.

By default Numba returns False for `is` of types without `==`, also of one object and itself.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.cpython.builtins import generic_is
from numba.extending import overload

from .types import Object


def _address(context, builder, typ, value):
    """Return the address of the Python object; 0 for None and for an attribute of a jitclass that was never set."""
    address = cgutils.alloca_once_value(builder, ir.Constant(cgutils.intp_t, 0))
    is_object = cgutils.true_bit
    if isinstance(typ, types.Optional):
        optional = context.make_helper(builder, typ, value)
        typ, value, is_object = typ.type, optional.data, cgutils.as_bool_bit(builder, optional.valid)
    meminfo = cgutils.create_struct_proxy(typ)(context, builder, value).meminfo
    with builder.if_then(builder.and_(is_object, cgutils.is_not_null(builder, meminfo))):
        data = context.nrt.meminfo_data(builder, meminfo)
        builder.store(builder.ptrtoint(data, cgutils.intp_t), address)
    return builder.load(address)


def _object_type(typ):
    typ = typ.type if isinstance(typ, types.Optional) else typ
    return typ if isinstance(typ, Object) else None


@lower_builtin(operator.is_, Object, Object)
@lower_builtin(operator.is_, Object, types.Optional)
@lower_builtin(operator.is_, types.Optional, Object)
@lower_builtin(operator.is_, types.Optional, types.Optional)
@lower_builtin(operator.eq, Object, Object)
def _is(context, builder, sig, args):
    kinds = [_object_type(typ) for typ in sig.args]
    if None in kinds:
        return generic_is(context, builder, sig, args)
    if kinds[0] != kinds[1]:
        return cgutils.false_bit
    first, second = (_address(context, builder, typ, value) for typ, value in zip(sig.args, args))
    return builder.icmp_unsigned("==", first, second)


@lower_builtin(operator.ne, Object, Object)
def _is_not(context, builder, sig, args):
    return builder.not_(_is(context, builder, sig, args))


@infer_global(operator.eq)
@infer_global(operator.ne)
class _Equality(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 2 and all(isinstance(typ, Object) for typ in args):
            return signature(types.boolean, *args)
        return None


@overload(bool)
def _bool(thing):
    return (lambda thing: True) if isinstance(thing, Object) else None


@overload(operator.not_)
def _not(thing):
    return (lambda thing: False) if isinstance(thing, Object) else None
