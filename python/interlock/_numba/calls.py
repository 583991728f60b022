"""Types of what a kernel can call. Their errors are single sentences, which Numba shows first.

Numba's own types for functions and methods would put each error under a list of candidates, twice. Relied upon besides the
documented interface: a callable type (`types.Callable`) types its own calls.
"""

import difflib

from numba.core import types
from numba.core.datamodel import models, register_default
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant


class Operation(types.Callable, types.Opaque):
    """The type of a function. ``function.type_call(context, args, kws)`` returns the signature of a call, or raises."""

    def __init__(self, function):
        self.function = function
        super().__init__(f"interlock.{function.__name__}")

    @property
    def key(self):
        return self.function

    def get_call_type(self, context, args, kws):
        return self.function.type_call(context, args, kws)

    def get_call_signatures(self):
        return [], False

    def get_impl_key(self, sig):
        return self.function


register_default(Operation)(models.OpaqueModel)


@lower_constant(Operation)
def _constant(context, builder, typ, function):
    return context.get_dummy_value()


class Bound(types.BoundFunction):
    """The type of a method."""

    def get_call_type(self, context, args, kws):
        return self.template(context).apply(args, kws)


@register_default(Bound)
def _bound_model(manager, typ):
    return manager[typ.this]  # as of Numba's BoundFunction


class Refused:
    """A function or class of the package that a kernel cannot call, and what to write instead."""

    def __init__(self, name, instead):
        self.__name__, self._instead = name, instead

    def type_call(self, context, args, kws):
        raise TypingError(self._instead)


def check_arguments(name, parameters, args, kws):
    """Raise TypingError if a call does not fit the parameters, a Python signature."""
    try:
        parameters.bind(*args, **kws)
    except TypeError as error:
        given = [str(types.unliteral(typ)) for typ in args]
        given += [f"{key}={types.unliteral(typ)}" for key, typ in kws.items()]
        raise TypingError(f"{name}{_plain(parameters)} cannot take ({', '.join(given)}): {error}") from None


def _plain(parameters):
    """Return a signature without its annotations."""
    plain = [p.replace(annotation=p.empty) for p in parameters.parameters.values()]
    return parameters.replace(parameters=plain, return_annotation=parameters.empty)


class CFunction(types.ExternalFunction):
    """A function of `interlock.nb`. Numba would cast a float to an integer, without a word."""

    def get_call_type(self, context, args, kws):
        if kws:
            raise TypingError(f"{self.symbol} takes its arguments by position")
        if len(args) != len(self.sig.args):
            raise TypingError(f"{self.symbol} takes {len(self.sig.args)} arguments, not {len(args)}")
        for number, typ in enumerate(args, 1):
            typ = types.unliteral(typ)
            instead = "an integer"
            if isinstance(typ, types.Array):
                instead = "the array's address: write `array.ctypes.data`"
            elif getattr(typ, "view", None):
                instead = "the object's handle: write `.handle`"
            elif isinstance(typ, types.ClassInstanceType) and "ptr" in typ.struct:
                instead = "the object's handle: write `.ptr`"
            elif not isinstance(typ, (types.Float, types.Complex, types.UnicodeType)):
                continue
            raise TypingError(f"{self.symbol}: argument {number} is {typ}, but must be {instead}")
        return super().get_call_type(context, args, kws)


register_default(CFunction)(models.OpaqueModel)


def no_attribute(kind, name, known, python_class):
    """Raise TypingError for an attribute that Python code has, or that is a known name misspelt."""
    if name in ("close", "call"):
        instead = "a kernel cannot close an object" if name == "close" else "use `begin` and `end`"
        raise TypingError(f"{kind}.{name} is for Python code alone: {instead}")
    if hasattr(python_class, name) and not name.startswith("_"):
        raise TypingError(f"{kind}.{name} is for Python code alone: call it outside the kernel")
    public = [other for other in known if not other.startswith("_")]
    near = [other for other in public if other.startswith(f"{name}_")] or difflib.get_close_matches(name, public, 1, 0.8)
    if near:
        raise TypingError(f"{kind} has no `{name}`: did you mean `{'` or `'.join(near)}`?")
