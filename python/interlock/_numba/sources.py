"""Finds which arrays of atomic operations are global or captured, also through helpers."""

# mypy: ignore-errors

import inspect

import numpy as np
from numba.core import compiler, ir
from numba.core.dispatcher import Dispatcher
from numba.core.ir_utils import find_outer_value, get_definition, guard

from .. import atomic, words

HOW = (
    "A global or captured array is a constant in a kernel, a copy made when this was compiled: "
    "pass the array as an argument."
)

# The first argument of each is an array.
_OPERATIONS = {f for module in (atomic, words) for f in vars(module).values() if inspect.isfunction(f)} - {atomic.fence}


def _sources(func_ir, var):
    """Iterate over the arguments and outer values of which `var` may be a part: (name, None) and (name, value)."""
    todo, seen = [var], {var.name}
    for var in todo:
        outer = guard(find_outer_value, func_ir, var)
        if isinstance(outer, (np.ndarray, tuple, list)):
            definition = func_ir.get_definition(var)  # a name, or a module's attribute
            yield definition.attr if isinstance(definition, ir.Expr) else definition.name, outer
            continue
        for definition in func_ir._definitions.get(var.name, []):
            if isinstance(definition, ir.Arg):
                yield definition.name, None
            for source in _of(func_ir, definition):
                if source.name not in seen:
                    seen.add(source.name)
                    todo.append(source)


def _of(func_ir, definition):
    """Return the variables of whose value a definition may be a part."""
    if isinstance(definition, ir.Var):
        return [definition]
    if not isinstance(definition, ir.Expr):
        return []
    if definition.op == "phi":
        return [value for value in definition.incoming_values if isinstance(value, ir.Var)]
    if definition.op in ("getattr", "getitem", "static_getitem", "typed_getitem", "cast", "exhaust_iter", "iternext",
                         "getiter", "pair_first"):  # fmt: skip
        return [definition.value]
    if definition.op == "call":  # a method of an array: its reshape() and view()
        method = guard(get_definition, func_ir, definition.func)
        if isinstance(method, ir.Expr) and method.op == "getattr":
            return [method.value]
    return []


def _array_of(call):
    """Return the argument that is the array of an operation."""
    return call.args[0] if call.args else dict(call.kws).get("array")


def _operated_arguments(function, seen):
    """Return the names of the arguments on whose elements a Python function operates, itself or through a helper."""
    if function in seen:
        return set()
    seen.add(function)
    func_ir = compiler.run_frontend(function)
    found = set()
    for block in func_ir.blocks.values():
        for call in block.find_exprs("call"):
            for var in _operands(func_ir, call, seen):
                found.update(name for name, value in _sources(func_ir, var) if value is None)
    return found


def _operands(func_ir, call, seen):
    """Iterate over the arguments of a call on whose elements it operates."""
    callee = guard(find_outer_value, func_ir, call.func)
    if isinstance(callee, Dispatcher):
        names = callee.py_func.__code__.co_varnames
        given = [*zip(names, call.args), *call.kws]
        found = _operated_arguments(callee.py_func, seen) if given else ()
        yield from (var for name, var in given if name in found)
    elif inspect.isfunction(callee) and callee in _OPERATIONS and _array_of(call) is not None:
        yield _array_of(call)


def outer_operands(func_ir):
    """Iterate over the global and captured values on whose elements a function operates, as (call, name, value).

    A value is an array, or a tuple or list that may hold one.
    """
    for block in func_ir.blocks.values():
        for call in block.find_exprs("call"):
            given = [*call.args, *(var for _, var in call.kws)]
            outer = {var.name: [s for s in _sources(func_ir, var) if s[1] is not None] for var in given}
            if any(outer.values()):  # otherwise the called function need not be translated
                for var in _operands(func_ir, call, set()):
                    yield from ((call, name, value) for name, value in outer[var.name])
