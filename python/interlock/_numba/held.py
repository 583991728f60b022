"""``with lock:`` and ``with held(lock):`` in nopython code.

`withs` translates a ``with`` into three calls, with a number for its place in the code, its site:

    enter(site, is_caught, manager)
    ...                                the body
    leave(site, is_caught, manager)    on each normal way out
    unwind(site)                       at the start of a handler outside the body: there is one if `is_caught`

`frame` describes what they do. If the manager is a view of an object, as ``held(x, i)`` and ``rw.reading()`` are, the object
is another argument of `leave`, which keeps it alive.
"""

import inspect

from numba.core import cgutils, errors, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global
from numba.extending import typeof_impl

from .._held import held
from .calls import Bound, Operation
from .frame import Frame
from .kernels import method_template
from .methods import METHODS, RELEASE_WRITING
from .types import Object, View

# What to write for an object that has no `acquire` of its own.
_INSTEAD = {
    "RWLock": "write `with rw.reading():` or `with rw.writing():`",
    "LockArray": "write `with locks.held(i):` or `with held(locks, i):`",
}


# The end of `rw.writing()` releases the lock also if the body has downgraded it.
_NAMES = {"acquire_writing": "acquire_write", "release_writing": "_release_writing"}


class Held(types.Type):
    """A lock, the suffix of the methods that acquire and release it, and their arguments."""

    def __init__(self, lock, suffix="", arguments=()):
        self.lock, self.suffix, self.arguments = lock, suffix, tuple(arguments)
        super().__init__(f"held{suffix}({', '.join(map(str, (lock, *self.arguments)))})")

    def fields(self):
        return [("lock", self.lock), *((f"argument{i}", typ) for i, typ in enumerate(self.arguments))]

    def method(self, context, name):
        """The method "acquire" or "release": its type, and the signature of its call."""
        try:
            function = context.resolve_getattr(self.lock, _NAMES.get(name + self.suffix, name + self.suffix))
        except errors.NumbaError:
            function = None
        if function is None:
            return None
        return function, function.get_call_type(context, self.arguments, {})

    def check(self, context):
        """Return this type; or raise, if the lock has no such methods or they do not take the arguments."""
        if isinstance(self.lock, View) and not self.suffix and not self.arguments and self.lock.kind in _INSTEAD:
            raise errors.TypingError(_no_lock(self.lock))
        names = _parameters(self.lock, "acquire" + self.suffix)[: len(self.arguments)]
        if "blocking" in names or "timeout" in names:  # the block needs the lock; and a release may take a number there
            raise self._untaken("acquire")
        for name in ("acquire", "release"):
            try:
                found = self.method(context, name)
            except errors.NumbaError:
                raise self._untaken(name) from None
            if found is None:
                raise errors.TypingError(_no_lock(self.lock, self.suffix))
        return self

    def _untaken(self, name):
        what = f"`{name}{self.suffix}` of {getattr(self.lock, 'kind', self.lock)}"
        given = ", ".join(map(str, self.arguments)) or "none"
        return errors.TypingError(f"held: {what} does not take these arguments: {given}")


def _parameters(lock, method):
    """Return the names of a method's parameters, of a lock of ours or a jitclass; else none."""
    if isinstance(lock, View):
        found = METHODS.get(lock.kind, {}).get(method)
        return list(found.pysig.parameters) if found else []
    if isinstance(lock, types.ClassInstanceType) and method in lock.jit_methods:
        return list(inspect.signature(lock.jit_methods[method].py_func).parameters)[1:]
    return []


@register_default(Held)
class _HeldModel(models.StructModel):
    def __init__(self, manager, typ):
        super().__init__(manager, typ, typ.fields())


def _no_lock(typ, suffix=""):
    if isinstance(typ, View):
        kind = typ.kind
        if not suffix and kind in _INSTEAD:
            return f"`held` and `with` need to know what of the {kind}: {_INSTEAD[kind]}"
        return f"`held` and `with` cannot hold this: {kind} has no method `acquire{suffix}`"
    if isinstance(typ, Operation):
        return f"`with {typ.function.__name__}:` lacks the call: write `with held(lock):`"
    if isinstance(typ, Bound):
        return f"`with` of the method {typ.typing_key} lacks the call: write `()` after its name"
    return (
        f"`with` and `held` in a kernel take a lock of interlock, or what has the methods `acquire{suffix}` and "
        f"`release{suffix}`, not {typ}: write `with lock:` or `with held(lock):`"
    )


def _held_type(context, manager):
    """Return the type of the lock that ``with manager:`` holds."""
    if isinstance(manager, Held):
        return manager
    return Held(manager.view if isinstance(manager, Object) else manager).check(context)


# --- the calls, as Numba types them --------------------------------------------------------------------------------------


class _Function:
    """A function whose calls `withs` puts into compiled code."""

    def __init__(self, name, type_call):
        self.__name__, self.type_call = name, type_call

    def __call__(self, *arguments):
        raise RuntimeError("a `with` of a lock cannot stand in object mode: call a Python function that has it")

    def __reduce__(self):
        return self.__name__


def _type_call(context, args, kws):
    if len(args) >= 3:
        _held_type(context, args[2])
    return signature(types.none, *args)


enter, leave, unwind = (_Function(name, _type_call) for name in ("enter", "leave", "unwind"))
begin_at_depth = _Function("begin_at_depth", lambda context, args, kws: signature(types.none, *args))
try_depth = _Function("try_depth", lambda context, args, kws: signature(types.intp))


@typeof_impl.register(_Function)
def _typeof(function, c):
    return Operation(function)


class _HeldCall:
    """``held(lock, ...)`` as a call in a kernel."""

    __name__ = "held"

    def type_call(self, context, args, kws):
        if kws:
            raise errors.TypingError("held takes a lock and other arguments by position: `with held(lock):`")
        if not args:
            raise errors.TypingError("held takes a lock: write `with held(lock):`")
        lock, *arguments = args
        suffix = ""
        if arguments and isinstance(arguments[0], types.StringLiteral):
            suffix = "_" + arguments.pop(0).literal_value
        elif arguments and isinstance(types.unliteral(arguments[0]), (types.UnicodeType, types.Optional)):
            raise errors.TypingError(
                'held: the mode must be a constant string in a kernel, as in `with held(rw, "read"):`; choose by an `if`'
            )
        if isinstance(lock, (Held, Operation)) or lock is types.none:
            raise errors.TypingError(_no_lock(lock))
        arguments = [types.unliteral(typ) for typ in arguments]
        lock_view = lock.view if isinstance(lock, Object) else lock
        typ = Held(lock_view, suffix, arguments).check(context)
        return signature(typ, *args)


_held_call = _HeldCall()
infer_global(held, typ=Operation(_held_call))


@lower_builtin(_held_call, types.VarArg(types.Any))
def _lower_held(context, builder, sig, args):
    typ = sig.return_type
    skipped = 1 if typ.suffix else 0
    given = [0, *range(1 + skipped, len(args))]
    values = [context.cast(builder, args[i], sig.args[i], to) for i, (_, to) in zip(given, typ.fields())]
    return _made(context, builder, typ, values)


def _made(context, builder, typ, values):
    held = cgutils.create_struct_proxy(typ)(context, builder)
    for (name, field), value in zip(typ.fields(), values):
        context.nrt.incref(builder, field, value)
        setattr(held, name, value)
    return held._getvalue()


def _method(kind, name, suffix):
    """``rw.reading()`` and the like: a method of `kind` that is ``held(self, mode, ...)``."""

    class Template(AbstractTemplate):
        key = f"interlock.{kind}.{name}"

        def generic(self, args, kws):
            if kws:
                raise errors.TypingError(f"{kind}.{name} takes its arguments by position in a kernel")
            typ = Held(self.this, suffix, map(types.unliteral, args)).check(self.context)
            return signature(typ, *args, recvr=self.this)

    @lower_builtin(Template.key, View, types.VarArg(types.Any))
    def lower(context, builder, sig, args):
        fields = sig.return_type.fields()
        values = [context.cast(builder, value, typ, to) for value, typ, (_, to) in zip(args, sig.args, fields)]
        return _made(context, builder, sig.return_type, values)

    return Template


_METHODS = {
    (kind, name): _method(kind, name, suffix)
    for kind, name, suffix in [
        ("RWLock", "reading", "_read"),
        ("RWLock", "writing", "_writing"),
        ("LockArray", "held", ""),
        ("LockArray", "holding", ""),
        ("LockArray", "held_pair", "_pair"),
        ("LockArray", "held_range", "_range"),
    ]
}
_METHODS["RWLock", "_release_writing"] = method_template("RWLock", "_release_writing", RELEASE_WRITING)


class _Attributes(AttributeTemplate):
    def generic_resolve(self, typ, name):
        template = _METHODS.get((typ.kind, name))
        return template and Bound(template, typ.view if isinstance(typ, Object) else typ)


for _key in (Object, View):
    infer_getattr(type("_Attributes", (_Attributes,), {"key": _key}))


# --- the calls, as LLVM gets them ------------------------------------------------------------------------------------------


def _site(context, builder, number, is_caught, manager):
    typ = _held_type(context.typing_context, manager)
    return Frame.of(context, builder).site(number.literal_value, typ, bool(is_caught.literal_value))


@lower_builtin(enter, types.VarArg(types.Any))
def _lower_enter(context, builder, sig, args):
    manager, value = sig.args[2], args[2]
    if not isinstance(manager, Held):
        typ = _held_type(context.typing_context, manager)
        held = cgutils.create_struct_proxy(typ)(context, builder)
        held.lock = context.cast(builder, value, manager, typ.lock)
        value = held._getvalue()
    _site(context, builder, *sig.args).acquire(value)
    return context.get_dummy_value()


@lower_builtin(leave, types.VarArg(types.Any))
def _lower_leave(context, builder, sig, args):
    _site(context, builder, *sig.args[:3]).release()
    return context.get_dummy_value()


@lower_builtin(unwind, types.VarArg(types.Any))
def _lower_unwind(context, builder, sig, args):
    Frame.of(context, builder).unwind(sig.args[0].literal_value)
    return context.get_dummy_value()


@lower_builtin(begin_at_depth, types.VarArg(types.Any))
def _lower_begin_at_depth(context, builder, sig, args):
    """Set how many `try` blocks the code is in, besides the outermost ones. In a handler, also end the exception."""
    depth, is_handler = (typ.literal_value for typ in sig.args[:2])
    if is_handler:
        context.nrt.eh_end_try(builder)
    state = context.call_conv._get_try_state(builder)
    builder.store(builder.add(args[2], state.type.pointee(depth)), state)
    return context.get_dummy_value()


@lower_builtin(try_depth)
def _lower_try_depth(context, builder, sig, args):
    """Return how many `try` blocks the code is in."""
    return builder.load(context.call_conv._get_try_state(builder))
