"""Registers the methods and properties with Numba.

`overload_method` does not serve: Numba compiles each such method as a function, and the two of a lock pair would double the
time that its kernel takes to compile.
"""

from numba import typeof
from numba.core import cgutils, errors, types
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
from numba.core.typing import fold_arguments, signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global
from numba.extending import intrinsic, overload, overload_method, register_jitable

import interlock

from .. import nb
from .._cancel import cancelled
from .._handle import Handle
from .calls import Bound, Operation, Refused, check_arguments, no_attribute
from .live import live_predicate
from .methods import METHODS, Property, of_all
from .types import TYPES, Object, View

# Parameters whose default selects a way to wait: it must differ from any argument.
_WAITS = {"blocking", "block", "timeout"}
_BOOLEANS = {"blocking", "block", "succeeded", "shared"}


def parameter_type(name, given):
    """Return the type that an argument of the type `given` is cast to."""
    if isinstance(given, types.Omitted):
        return given
    given = types.unliteral(given)
    is_whole = isinstance(given, (types.Integer, types.Boolean))
    if name == "timeout" and (is_whole or isinstance(given, types.Float)):
        return types.float64
    if name in _BOOLEANS and is_whole:
        return types.boolean
    if name not in _BOOLEANS and name != "timeout" and is_whole:
        return types.int64
    wanted = "a number of seconds" if name == "timeout" else "a bool" if name in _BOOLEANS else "an integer"
    raise errors.TypingError(f"the argument `{name}` must be {wanted}, not {given}")


def argument(context, builder, parameter, typ, value):
    """Return the native value, or None for None and for the default of a wait."""
    if not isinstance(typ, types.Omitted):
        return None if typ is types.none else value
    default = typ.value
    if default is None or (parameter.name in _WAITS and default == parameter.default):
        return None
    return context.get_constant(parameter_type(parameter.name, typeof(default)), default)


def method_template(kind, name, method):
    class MethodTemplate(AbstractTemplate):
        key = f"interlock.{kind}.{name}"

        def generic(self, args, kws):
            cast = getattr(method, "cast", parameter_type)
            check_arguments(f"{kind}.{name}", method.pysig, args, kws)

            def given(index, parameter, typ):
                if typ is types.none or getattr(typ, "value", typ) is None:  # None is an argument where it is the default
                    typ = types.none
                    if parameter.default is None:
                        return typ
                try:
                    return cast(parameter.name, typ)
                except errors.TypingError as error:
                    raise errors.TypingError(f"{kind}.{name}{method.pysig}: {error}") from None

            def omitted(index, parameter, default):
                return types.Omitted(default)

            folded = fold_arguments(method.pysig, args, kws, given, omitted, None)
            return signature(method.result, *folded, recvr=self.this).replace(pysig=method.pysig)

    def lower(context, builder, sig, args):
        arguments = {
            parameter.name: argument(context, builder, parameter, typ, value)
            for parameter, typ, value in zip(method.pysig.parameters.values(), sig.args[1:], args[1:])
        }
        return method.lower(context, builder, sig.args[0], args[0], arguments)

    lower_builtin(MethodTemplate.key, View, types.VarArg(types.Any))(lower)
    return MethodTemplate


_TABLE = {kind: {**of_all(kind), **methods} for kind, methods in METHODS.items()}
_TEMPLATES = {
    (kind, name): method_template(kind, name, method)
    for kind, methods in _TABLE.items()
    for name, method in methods.items()
    if not isinstance(method, Property)
}


def add_kind(kind, base, methods):
    """Add the methods of a type that depends on a dtype. Its C functions are those of the kind `base`."""
    _TABLE[kind] = {**of_all(base), **methods}
    for name, method in _TABLE[kind].items():
        if not isinstance(method, Property):
            _TEMPLATES[kind, name] = method_template(kind, name, method)


def is_property(name):
    """Return whether a class has a property of that name."""
    return any(isinstance(methods.get(name), Property) for methods in _TABLE.values())


def _view(typ):
    return typ.view if isinstance(typ, Object) else typ


class _Attributes(AttributeTemplate):
    def generic_resolve(self, typ, name):
        method = _TABLE[typ.kind].get(name)
        if isinstance(method, Property):
            return method.result
        if method:
            return Bound(_TEMPLATES[typ.kind, name], _view(typ))
        others = (t for t in self.context._get_attribute_templates(typ) if not isinstance(t, _Attributes))
        if not any(template.resolve(typ, name) for template in others):
            no_attribute(typ.kind, name, _TABLE[typ.kind], getattr(interlock, typ.kind.partition("(")[0]))
        return None


def _property(context, builder, typ, value, name):
    value = context.cast(builder, value, typ, _view(typ))
    return _TABLE[typ.kind][name].lower(context, builder, _view(typ), value, {})


for _key in (Object, View):
    infer_getattr(type("_Attributes", (_Attributes,), {"key": _key}))
    lower_getattr_generic(_key)(_property)


@lower_setattr_generic(Object)
def _set_attribute(context, builder, sig, args, name):
    raise errors.TypingError(f"a kernel cannot assign to {sig.args[0].kind}.{name}: it is read-only")


# --- what kernels cannot call -----------------------------------------------------------------------------------------

_IN_JITCLASSES = {name for name in METHODS if name not in ("ErrorSlot", "PerThread")}

for _name in interlock.__all__:
    _thing = getattr(interlock, _name)
    if isinstance(_thing, type) and issubclass(_thing, Handle):
        _or = f", or use interlock.jitclasses.{_name}" if _name in _IN_JITCLASSES else ""
        _text = f"a kernel cannot make a {_name}: make it in Python and pass it as an argument{_or}"
    elif _name in ("cancel", "report", "get_declarations", "get_library"):
        _text = f"interlock.{_name} is for Python code alone: call it outside the kernel"
    else:
        continue
    infer_global(_thing, typ=Operation(Refused(_name, _text)))


@infer_global(len)
class _Len(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 1 and isinstance(args[0], Object) and "__len__" in _TABLE[args[0].kind]:
            return signature(types.intp, *args)


@lower_builtin(len, Object)
def _len(context, builder, sig, args):
    return _property(context, builder, sig.args[0], args[0], "__len__")


@overload(cancelled)
def _cancelled():
    return lambda: nb.ilk_cancelled() == 1


@overload_method(Object, "wait_for")
def _wait_for(condition, predicate, timeout=None, args=()):
    if condition.kind != "Condition":
        return None
    if isinstance(predicate, types.Dispatcher):
        check = live_predicate(predicate.dispatcher)

        @register_jitable
        def holds(predicate, args):
            return check(*args)
    else:

        @register_jitable
        def holds(predicate, args):
            return predicate(*args)

    if timeout in (None, types.none) or isinstance(timeout, types.Omitted):

        def wait_for(condition, predicate, timeout=None, args=()):
            result = holds(predicate, args)
            while not result:
                condition.wait()
                result = holds(predicate, args)
            return result

    else:

        def wait_for(condition, predicate, timeout=None, args=()):
            result = holds(predicate, args)
            left = float(timeout)
            deadline = nb.ilk_clock() / 1e9 + left
            while not result:
                condition.wait(left)
                result = holds(predicate, args)
                left = deadline - nb.ilk_clock() / 1e9
                if left <= 0:
                    break
            return result

    return wait_for


def view(kind, field=None):
    """Return a function for compiled code that makes a view, on which methods are called, from a handle and `field`."""
    typ = TYPES[kind].view

    def make(names):
        def codegen(context, builder, sig, args):
            value = cgutils.create_struct_proxy(typ)(context, builder)
            for name, word in zip(names, args):
                setattr(value, name, word)
            return value._getvalue()

        return typ(*[types.intp] * len(names)), codegen

    if field is None:

        @intrinsic
        def view(context, handle):
            return make(["handle"])

    else:

        @intrinsic
        def view(context, handle, word):
            return make(["handle", field])

    return view
