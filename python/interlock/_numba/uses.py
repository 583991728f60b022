"""Finds whether a kernel uses interlock, and which of its variables may lead to code that does.

It follows the types of the kernel's variables, and the names that the Python functions behind them use, at any depth. It
needs no result of a compilation, so helpers that Numba loads from its cache are treated like any other.
"""

# mypy: ignore-errors

import operator
import types as python

import numpy as np
from numba.core import errors, types
from numba.core.registry import cpu_target
from numba.core.types import functions

from .._library import BLOCKING
from .._signatures import SIGNATURES

FOREIGN = ("numba", "numpy", "math", "builtins", "operator", "_operator")  # they do not call us


_OPERATORS = [function for function in vars(operator).values() if isinstance(function, python.BuiltinFunctionType)]


def package_of(thing):
    """Return the top-level package of a module, a function, a class or an object's class."""
    if isinstance(thing, python.ModuleType):
        return thing.__name__.partition(".")[0]
    module = getattr(thing, "__module__", None)
    return module.partition(".")[0] if isinstance(module, str) else ""


def template_functions(template):
    """Return the Python functions of an overload or intrinsic."""
    return [
        vars(owner)[name].__func__
        for owner in template.__mro__
        for name in ("_overload_func", "_definition_func")
        if isinstance(vars(owner).get(name), staticmethod)
    ]


def python_function(thing):
    """Return the Python function of which Numba made `thing`, such as a ufunc, a stencil or a block of objmode; or None."""
    if hasattr(thing, "kernel_ir"):  # of a stencil
        return thing.kernel_ir.func_id.func
    for part in ("_dispatcher", "gufunc_builder"):  # of ufuncs
        thing = getattr(thing, part, thing)
    function = getattr(thing, "py_func", getattr(thing, "__wrapped__", None))
    return function if isinstance(function, python.FunctionType) else None


def _parts(typ):
    """Return the parts of a type, and the functions that it leads to when it is called."""
    if isinstance(typ, functions.BoundFunction):
        return [typ.this, *template_functions(typ.template)]
    if isinstance(typ, types.Function):
        return [typ.typing_key, *(f for template in typ.templates for f in template_functions(template))]
    if isinstance(typ, types.Dispatcher):
        return [typ.dispatcher]
    if isinstance(typ, types.Module):
        return [typ.pymod]
    # A helper may use its methods and attributes.
    templates = cpu_target.typing_context._get_attribute_templates(typ)
    attributes = [f for template in templates for f in template_functions(type(template)) if package_of(f) not in FOREIGN]
    if package_of(type(typ)) not in FOREIGN:  # a user's type, for which Numba's operators may have overloads
        return [*_elements(typ), *attributes, *_OPERATORS]
    if isinstance(typ, types.ClassInstanceType):
        return [typ.class_type]
    if isinstance(typ, types.ClassType):
        methods = [*typ.jit_methods.values(), *typ.jit_static_methods.values()]
        accessors = [function for prop in typ.jit_props.values() for function in prop.values()]
        return [*typ.struct.values(), *methods, *accessors]
    return [*_elements(typ), *attributes]


def _elements(typ):
    if isinstance(typ, types.BaseTuple):
        return list(typ)
    if isinstance(typ, types.StructRef):
        return list(typ.field_dict.values())
    names = ("dtype", "item_type", "key_type", "value_type", "type", "instance_type")
    found = (getattr(typ, name, None) for name in names)
    return [part for part in found if isinstance(part, types.Type) and part is not typ]


def _overloads(function):
    """Return the type of a Python function that has overloads: they are compiled instead of its own code."""
    try:
        return [cpu_target.typing_context.resolve_value_type(function)]
    except (errors.NumbaError, ValueError):  # there are none
        return []


def overloads(function):
    """Return the Python functions of a function's overloads."""
    typs = [typ for typ in _overloads(function) if isinstance(typ, types.Function)]
    return [found for typ in typs for template in typ.templates for found in template_functions(template)]


def _codes(function):
    """Return the code objects of a Python function and of the functions defined in it."""
    codes = [function.__code__]
    for code in codes:
        codes.extend(const for const in code.co_consts if isinstance(const, python.CodeType))
    return codes


def _names_symbols(function):
    """Return whether a Python function contains the name of a C function of ours, as an intrinsic that calls it does."""
    return any(isinstance(const, str) and const in SIGNATURES for code in _codes(function) for const in code.co_consts)


def references(function):
    """Return the values of the names that a Python function, and functions defined in it, refer to."""
    names = {name for code in _codes(function) for name in code.co_names}
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            pass
    modules = [value for value in found if isinstance(value, python.ModuleType)]
    for module in modules:  # and their attributes: numba.prange, package.module.function
        if package_of(module) not in FOREIGN:
            values = [vars(module)[name] for name in names if name in vars(module)]
            found.extend(values)
            modules.extend(value for value in values if isinstance(value, python.ModuleType) and value not in modules)
    return found


def default_arrays(function):
    """Return the arrays that are defaults of a Python function's arguments: name -> array."""
    defaults = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    found = zip(names[len(names) - len(defaults) :], defaults)
    return {name: value for name, value in found if isinstance(value, np.ndarray)}


def _next(thing):
    """Return what to examine after `thing`, a type or a Python value; None if it belongs to interlock."""
    if "interlock" in (package_of(thing), package_of(type(thing))):
        return None
    if isinstance(thing, types.ExternalFunction):
        return None if thing.symbol in SIGNATURES else []
    if isinstance(thing, (types.ExternalFunctionPointer, types.FunctionType)):
        return None  # what it calls is unknown: interlock.capi and cffi are among these
    if isinstance(thing, types.Type):
        return _parts(thing)
    if isinstance(thing, (tuple, list)):
        return list(thing)
    if isinstance(thing, python.BuiltinFunctionType) and package_of(thing) == "_operator":
        return _overloads(thing)
    if isinstance(thing, python.FunctionType):
        if package_of(thing) in FOREIGN:
            return []
        return None if _names_symbols(thing) else [*_overloads(thing), *references(thing)]
    if callable(thing) and thing in BLOCKING.values():
        return None
    class_type = getattr(thing, "class_type", None)  # of a jitclass
    if isinstance(class_type, types.ClassType):
        return [class_type]
    function = python_function(thing)
    if function is not None:
        return [function]
    # A C function: if a kernel itself called it, its type would tell.
    return _overloads(thing) if callable(thing) and not isinstance(thing, type) and package_of(thing) not in FOREIGN else []


_last = None, {}, False  # a kernel's variables, their types by id, and whether one leads to interlock


def uses_interlock(typemap):
    """Return whether a kernel uses interlock, by the types of its variables.

    Numba's passes ask for each statement, and add variables meanwhile. So only types that are new are searched.
    """
    global _last
    last, searched, found = _last
    if last is not typemap:
        searched, found = {}, False
    new = {id(typ): typ for typ in typemap.values() if id(typ) not in searched}
    searched.update(new)
    _last = typemap, searched, found or leads_to_interlock(new.values())
    return _last[2]


def _reached(things):
    """Iterate over all that types or Python values lead to, as (type or value, whether it belongs to interlock)."""
    todo, seen = list(things), {}
    for thing in todo:
        following = _next(thing)
        yield thing, following is None
        for part in following or ():
            if id(part) not in seen:
                seen[id(part)] = part
                todo.append(part)


def leads_to_interlock(things):
    """Return whether types or Python values lead to interlock: functions by what they call, objects by their class."""
    return any(is_ours for _, is_ours in _reached(things))


def named_arrays(things):
    """Return the arrays that the Python functions refer to to which `things` lead: function -> arrays, if it has any.

    Arrays that are defaults of its arguments are among them.
    """
    named = {}
    for thing, _ in _reached(things):
        if isinstance(thing, python.FunctionType):
            arrays = [value for value in references(thing) if isinstance(value, np.ndarray)]
            arrays += default_arrays(thing).values()
            if arrays:
                named[thing] = arrays
    return named


def is_opaque(typ):
    """Return whether the use of a value of that type may run code that is opaque to Numba."""
    if isinstance(typ, functions.BoundFunction):
        return is_opaque(typ.this) or any(package_of(f) not in FOREIGN for f in template_functions(typ.template))
    if isinstance(typ, (types.ExternalFunction, types.ExternalFunctionPointer, types.FunctionType)):
        return True
    if isinstance(typ, types.Function):
        # Our overloads of Numba's functions, such as `bool`, are for our objects, which are opaque themselves.
        known = [f for t in typ.templates for f in template_functions(t) if package_of(f) != "interlock"]
        known = known or [python_function(typ.typing_key) or typ.typing_key]
        return any(package_of(f) not in FOREIGN for f in known)
    if package_of(type(typ)) not in FOREIGN:  # of a user, or of ours: an object, a lock that a `with` holds, `enter`
        return True
    kinds = (types.Dispatcher, types.ClassType, types.ClassInstanceType, types.StructRef)
    return isinstance(typ, kinds) or any(map(is_opaque, _elements(typ)))
