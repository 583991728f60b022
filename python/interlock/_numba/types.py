"""The Numba types of the objects, and how objects enter and leave kernels.

A kernel gets an object's handle, the other integers that its methods need (FIELDS), and a counted reference to the Python
object, which stays alive as long as a jitclass, list or tuple of compiled code holds it. Methods get a `View`, without the
reference, so that a call in a loop counts no references.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, errors, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_cast, lower_constant
from numba.core.pythonapi import NativeValue, box, unbox
from numba.core.runtime import _nrt_python
from numba.extending import as_numba_type

import interlock

from .._handle import Handle

# Class -> field -> the integer of the Python object that it holds.
FIELDS = {
    "Barrier": {"parties": "_parties", "timeout_ns": "_timeout_ns", "wait_address": "_wait_address"},
    "BoundedSemaphore": {"maximum": "_maximum"},
    "Condition": {"lock": "_lock._handle"},
    "LockArray": {"length": "_n"},
    "Queue": {"capacity": "_capacity"},
    # The fields of typed queues and PerThread are added with their types.
}


def _words(kind):
    return {"handle": "_handle", **FIELDS.get(kind, {})}


class View(types.Type):
    """An object's handle and fields. It keeps nothing alive."""

    def __init__(self, kind):
        self.kind = kind
        super().__init__(f"interlock.{kind}.view")


class Object(types.Type):
    """An object of the class `kind` of `interlock`, kept alive."""

    def __init__(self, kind):
        self.kind = kind
        self.view = View(kind)
        super().__init__(f"interlock.{kind}")


@register_default(View)
class _ViewModel(models.StructModel):
    def __init__(self, manager, typ):
        super().__init__(manager, typ, [(field, types.intp) for field in _words(typ.kind)])


@register_default(Object)
class ObjectModel(models.StructModel):
    def __init__(self, manager, typ):
        words = [(field, types.intp) for field in _words(typ.kind)]
        super().__init__(manager, typ, [*words, ("meminfo", types.MemInfoPointer(types.voidptr))])


@lower_cast(Object, View)
def _view(context, builder, object_type, view_type, value):
    source = cgutils.create_struct_proxy(object_type)(context, builder, value)
    view = cgutils.create_struct_proxy(view_type)(context, builder)
    for field in _words(view_type.kind):
        setattr(view, field, getattr(source, field))
    return view._getvalue()


def _read(c, owner, path):
    """Return the integer `owner.path`. On failure it is 0, and a Python exception is set."""
    name, _, rest = path.partition(".")
    found = c.pyapi.object_getattr_string(owner, name)
    word = cgutils.alloca_once_value(c.builder, ir.Constant(cgutils.intp_t, 0))
    with cgutils.if_likely(c.builder, cgutils.is_not_null(c.builder, found)):
        if rest:
            number = _read(c, found, rest)
        else:
            # Read as a pointer: a handle may use all bits, and is negative here then.
            number = c.builder.ptrtoint(c.pyapi.long_as_voidptr(found), cgutils.intp_t)
        c.builder.store(number, word)
        c.pyapi.decref(found)
    return c.builder.load(word)


@unbox(Object)
def _unbox(typ, obj, c):
    value = cgutils.create_struct_proxy(typ)(c.context, c.builder)
    for field, path in _words(typ.kind).items():
        setattr(value, field, _read(c, obj, path))
    # The meminfo's data is the Python object as well, where boxing finds it.
    value.meminfo = c.pyapi.nrt_meminfo_new_from_pyobject(c.builder.bitcast(obj, cgutils.voidptr_t), obj)
    return NativeValue(value._getvalue(), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@box(Object)
def _box(typ, val, c):
    value = cgutils.create_struct_proxy(typ)(c.context, c.builder, val)
    result = cgutils.alloca_once_value(c.builder, c.pyapi.borrow_none())
    # A jitclass attribute that was never set has no meminfo. It becomes None.
    with cgutils.if_likely(c.builder, cgutils.is_not_null(c.builder, value.meminfo)):
        data = c.context.nrt.meminfo_data(c.builder, value.meminfo)
        c.builder.store(c.builder.bitcast(data, c.pyapi.pyobj), result)
    c.pyapi.incref(c.builder.load(result))
    c.context.nrt.decref(c.builder, typ, val)
    return c.builder.load(result)


_held = {}


@lower_constant(Object)
def _constant(context, builder, typ, obj):
    """A global object, which its kernel keeps alive forever.

    Its handle and fields are valid only in this process. So each is a dynamic address to Numba, which does not cache a
    kernel that uses one.
    """
    if id(obj) not in _held:
        _held[id(obj)] = _nrt_python.meminfo_new(id(obj), obj)
    value = cgutils.create_struct_proxy(typ)(context, builder)
    for field, path in _words(typ.kind).items():
        word = obj
        for name in path.split("."):
            word = getattr(word, name)
        word = context.add_dynamic_addr(builder, word, info=f"interlock.{typ.kind}")
        setattr(value, field, builder.ptrtoint(word, cgutils.intp_t))
    value.meminfo = context.add_dynamic_addr(builder, _held[id(obj)], info=f"interlock.{typ.kind}")
    return value._getvalue()


# The types of these depend on the dtype: see per_thread.
PER_DTYPE = {"PerThread"}

CLASSES = {
    name: thing
    for name in interlock.__all__
    for thing in [getattr(interlock, name)]
    if isinstance(thing, type) and issubclass(thing, Handle) and name not in PER_DTYPE
}
TYPES = {name: Object(name) for name in CLASSES}


def type_of(obj: Any) -> Any:
    """Return the Numba type of an object. An instance of a user's subclass has that of our class."""
    if isinstance(obj, interlock.Condition) and obj._inner is not None:
        raise errors.TypingError(
            "a Condition whose lock is none of interlock's is for Python code alone: "
            "make it of an interlock.Lock, RLock or Mutex to use it in a kernel"
        )
    return next(TYPES[base.__name__] for base in type(obj).__mro__ if CLASSES.get(base.__name__) is base)


for _name, _class in CLASSES.items():
    as_numba_type.register(_class, TYPES[_name])
    if _class is not interlock.Condition:  # whose type depends on its lock
        _class._numba_type_ = TYPES[_name]
