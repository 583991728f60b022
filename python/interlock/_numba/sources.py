"""Finds which arrays of atomic operations are global or captured, also through helpers."""

# mypy: ignore-errors

import inspect

import numpy as np
from numba.core import compiler, ir, types
from numba.core.dispatcher import Dispatcher
from numba.core.ir_utils import find_outer_value, get_definition, guard

from .. import atomic, words
from .._library import BLOCKING
from .._signatures import SIGNATURES
from .uses import FOREIGN, package_of

HOW = (
    "A global or captured array is a constant in a kernel, a copy made when this was compiled: "
    "pass the array as an argument."
)

# The first argument of each is an array.
_OPERATIONS = {f for module in (atomic, words) for f in vars(module).values() if inspect.isfunction(f)} - {atomic.fence}


class Search:
    """Finds the global and captured arrays on whose elements a function operates, itself or through what it calls.

    A callee that is unknown here, such as a method or an argument, may operate on each array that it gets. `defaults`: the
    arguments of the function that have their default, which Numba compiles as a constant.
    """

    def __init__(self, func_ir, defaults):
        self._func_ir, self._defaults = func_ir, defaults
        self._operated, self._returned = {}, {}  # function -> names of its arguments, and also values that it returns

    def outer_operands(self):
        """Iterate over them as (call, name, value, can be live).

        A value is an array, or a tuple or list that may hold one.
        """
        for block in self._func_ir.blocks.values():
            for call in block.find_exprs("call"):
                given = _given(call)
                outer = {var.name: [s for s in self._sources(self._func_ir, var) if s[1] is not None] for var in given}
                if any(outer.values()):  # otherwise the called function need not be translated
                    for var, whole in self._operands(self._func_ir, call):
                        for name, value, is_item, is_returned in outer[var.name]:
                            if not (whole and is_item):
                                yield call, name, value, not is_returned

    def _sources(self, func_ir, var):
        """Iterate over the arguments and outer values of which `var` may be a part.

        They are (name, None or the outer value, whether it is an element, whether a function returned it).
        """
        todo, seen = [(var, False)], {var.name}
        for var, is_item in todo:
            outer = guard(find_outer_value, func_ir, var)
            if isinstance(outer, (np.ndarray, tuple, list)):
                definition = func_ir.get_definition(var)  # a name, or a module's attribute
                name = definition.attr if isinstance(definition, ir.Expr) else definition.name
                yield name, outer, is_item and getattr(outer, "ndim", 0) == 1, False
                continue
            for definition in func_ir._definitions.get(var.name, []):
                if isinstance(definition, ir.Arg):
                    value = self._defaults.get(definition.name) if func_ir is self._func_ir else None
                    yield definition.name, value, is_item, False
                elif isinstance(definition, ir.Expr):
                    for name, value in self._returned_by(func_ir, definition):
                        yield name, value, is_item, True
                for source in _of(func_ir, definition):
                    if source.name not in seen:
                        seen.add(source.name)
                        todo.append((source, is_item or _is_element(func_ir, definition)))

    def _returned_by(self, func_ir, call):
        """Return the outer values that a compiled function may return, as (name, value)."""
        callee = call.op == "call" and guard(find_outer_value, func_ir, call.func)
        if not isinstance(callee, Dispatcher):
            return []
        function = callee.py_func
        if function not in self._returned:
            self._returned[function] = []
            callee_ir = compiler.run_frontend(function)
            self._returned[function] = [
                (name, value)
                for block in callee_ir.blocks.values()
                for statement in block.body
                if isinstance(statement, ir.Return)
                for name, value, _, _ in self._sources(callee_ir, statement.value)
                if value is not None
            ]
        return self._returned[function]

    def _operated_arguments(self, function):
        """Return the names of the arguments on whose elements a Python function operates, itself or through others."""
        if function not in self._operated:
            self._operated[function] = found = set()
            func_ir = compiler.run_frontend(function)
            for block in func_ir.blocks.values():
                for call in block.find_exprs("call"):
                    for var, _ in self._operands(func_ir, call):
                        found.update(name for name, value, _, _ in self._sources(func_ir, var) if value is None)
        return self._operated[function]

    def _operands(self, func_ir, call):
        """Iterate over the arguments of a call on whose elements it operates: (argument, whether only on a whole array)."""
        callee = guard(find_outer_value, func_ir, call.func)
        if isinstance(callee, Dispatcher):
            found = self._operated_arguments(callee.py_func) if _given(call) else ()
            yield from ((var, False) for name, var in _bound(callee.py_func, call) if name in found)
        elif inspect.isfunction(callee) and callee in _OPERATIONS:
            yield from ((var, False) for var in _array_of(call))
        elif _is_c_function(callee) or not _is_foreign(callee):  # each argument may be an array or its address
            yield from ((var, True) for var in _given(call))


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
    if definition.op in ("build_tuple", "build_list", "build_set"):
        return list(definition.items)
    if definition.op == "call":
        method = guard(get_definition, func_ir, definition.func)
        if isinstance(method, ir.Expr) and method.op == "getattr":  # of an array: its reshape() and view(); or np.ravel()
            return [method.value, *_given(definition)]
        return _given(definition)
    return []


def _is_element(func_ir, definition):
    """Return whether a definition is an element, and not a slice: of an array of one dimension it is no array then."""
    if getattr(definition, "op", "") == "static_getitem":
        return not isinstance(definition.index, (slice, tuple))
    if getattr(definition, "op", "") in ("getitem", "typed_getitem"):
        index = guard(get_definition, func_ir, definition.index)
        return not (isinstance(index, ir.Expr) and index.op in ("call", "build_tuple"))
    return False


def _is_c_function(callee):
    if isinstance(callee, types.ExternalFunction):
        return callee.symbol in SIGNATURES
    return any(callee is function for function in BLOCKING.values())


def _is_foreign(callee):
    return package_of(callee) in FOREIGN or isinstance(callee, np.ufunc)


def _given(call):
    """Return all arguments of a call."""
    return [*call.args, *(var for _, var in call.kws), *([call.vararg] if call.vararg else [])]


def _array_of(call):
    """Return the argument that is the array of an operation, in a list."""
    return list(call.args[:1]) or [var for name, var in call.kws if name == "array"] or [call.vararg]


def _bound(function, call):
    """Iterate over the arguments of a call as (name of the parameter, argument)."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount :][: bool(code.co_flags & inspect.CO_VARARGS)]
    yield from zip([*names, *list(rest) * len(call.args)], call.args)
    yield from call.kws
    if call.vararg:
        yield from ((name, call.vararg) for name in [*names[len(call.args) :], *rest])
