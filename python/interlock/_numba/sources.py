"""Finds which arrays of atomic operations are global or captured, also through helpers."""

# mypy: ignore-errors

import inspect
from types import ModuleType

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

    A callee that is unknown here, such as a method or an argument, may operate on each array that it gets, and so may
    code that finds it in a container or attribute. `defaults`: the arguments of the function that have their default, which
    Numba compiles as a constant.
    """

    def __init__(self, func_ir, defaults):
        self._func_ir, self._defaults = func_ir, defaults
        self._operated, self._returned = {}, {}  # function -> names of its arguments, and also values that it returns

    def outer_operands(self):
        """Iterate over them as (statement or call, name, value, can be live, whether the operation is known).

        A value is an array, or a tuple, list or record that may hold one.
        """
        for block in self._func_ir.blocks.values():
            for call in block.find_exprs("call"):
                given = arguments_of(call)
                outer = {var.name: [s for s in self._sources(self._func_ir, var) if s[1] is not None] for var in given}
                if any(outer.values()):  # otherwise the called function need not be translated
                    for var, whole, is_known in self._operands(self._func_ir, call):
                        for name, value, is_item, is_returned in outer[var.name]:
                            if not (whole and is_item):
                                yield call, name, value, not is_returned, is_known
            for stmt in block.body:
                for var in _stored(self._func_ir, stmt):
                    for name, value, is_item, is_returned in self._sources(self._func_ir, var):
                        if value is not None and not is_item:
                            yield stmt, name, value, not is_returned, False

    def _sources(self, func_ir, var):
        """Iterate over the arguments and outer values of which `var` may be a part.

        They are (name, the outer value or None, whether `var` is only an element, whether a function returned the value).
        """
        todo, seen = [(var, 0)], {(var.name, 0)}
        for var, depth in todo:  # `depth`: the number of indices between this variable and the first one
            for definition in func_ir._definitions.get(var.name, []):
                outer = outer_value(func_ir, definition)
                if isinstance(outer, (tuple, list)) and not holds_array(outer):
                    continue
                if isinstance(outer, (np.ndarray, np.void, tuple, list)):
                    name = definition.attr if isinstance(definition, ir.Expr) else definition.name
                    yield name, outer, depth >= _dimensions(outer), False
                    continue
                if isinstance(definition, ir.Arg):
                    value = self._defaults.get(definition.name) if func_ir is self._func_ir else None
                    yield definition.name, value, value is not None and depth >= _dimensions(value), False
                elif isinstance(definition, ir.Expr):
                    for name, value in self._returned_by(func_ir, definition):
                        yield name, value, False, True
                below = min(_depth(func_ir, definition, depth), _DEEPEST)
                for source in _of(func_ir, definition):
                    if (source.name, below) not in seen:
                        seen.add((source.name, below))
                        todo.append((source, below))

    def _returned_by(self, func_ir, call):
        """Return the outer values that a compiled function may return or yield, as (name, value)."""
        callee = call.op == "call" and guard(find_outer_value, func_ir, call.func)
        if not isinstance(callee, Dispatcher):
            return []
        function = callee.py_func
        if function not in self._returned:
            self._returned[function] = []
            callee_ir = translated(function)
            self._returned[function] = [
                (name, value)
                for block in callee_ir.blocks.values()
                for statement in block.body
                for result in _results(statement)
                for name, value, _, _ in self._sources(callee_ir, result)
                if value is not None
            ]
        return self._returned[function]

    def _operated_arguments(self, function):
        """Return the arguments on whose elements a Python function operates, itself or through others.

        They are a dictionary: name -> whether the operation is known.
        """
        if function not in self._operated:
            self._operated[function] = found = {}
            func_ir = translated(function)
            for block in func_ir.blocks.values():
                for call in block.find_exprs("call"):
                    for var, _, is_known in self._operands(func_ir, call):
                        for name, value, _, _ in self._sources(func_ir, var):
                            if value is None:
                                found[name] = found.get(name) or is_known
        return self._operated[function]

    def _operands(self, func_ir, call):
        """Iterate over the arguments of a call on whose elements it operates.

        They are (argument, whether only if it is an array and not an element, whether the operation is known).
        """
        callee = guard(find_outer_value, func_ir, call.func)
        if isinstance(callee, Dispatcher):
            found = self._operated_arguments(callee.py_func) if arguments_of(call) else {}
            yield from ((var, False, found[name]) for name, var in _bound(callee.py_func, call) if name in found)
        elif inspect.isfunction(callee) and callee in _OPERATIONS:
            yield from ((var, False, True) for var in _array_of(call))
        elif _is_c_function(callee) or not _is_foreign(callee):  # each argument may be an array or its address
            yield from ((var, True, _is_c_function(callee)) for var in arguments_of(call))


def translated(function):
    """Return Numba's IR of a Python function, in which the functions that it defines and calls are inlined."""
    return compiler.run_frontend(function, inline_closures=True)


def outer_value(func_ir, definition):
    """Return the value that a definition names: global, captured, or an attribute of a module or namedtuple; or None.

    Numba's `find_outer_value` finds none for a variable that is assigned more than once. And it takes an attribute of an
    array, such as `T`, for a value of its own, with another id each time.
    """
    if isinstance(definition, (ir.Global, ir.FreeVar)):
        return definition.value
    if isinstance(definition, ir.Expr) and definition.op == "getattr":
        owner = guard(find_outer_value, func_ir, definition.value)
        if isinstance(owner, (ModuleType, tuple)):
            return getattr(owner, definition.attr, None)
    return None


def holds_array(values):
    """Return whether a tuple or list holds an array or a record, itself or in another."""
    return any(
        isinstance(value, (np.ndarray, np.void)) or (isinstance(value, (tuple, list)) and holds_array(value))
        for value in values
    )


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
    if definition.op == "build_map":
        return [var for item in definition.items for var in item]
    if definition.op in ("binop", "inplace_binop"):  # of tuples or lists; of arrays it is a new array
        operands = [definition.lhs, definition.rhs]
        return [var for var in operands if not isinstance(guard(find_outer_value, func_ir, var), np.ndarray)]
    if definition.op == "call":
        method = guard(get_definition, func_ir, definition.func)
        if isinstance(method, ir.Expr) and method.op == "getattr":  # of an array: its reshape() and view(); or np.ravel()
            return [method.value, *arguments_of(definition)]
        return arguments_of(definition)
    return []


_DEEPEST = 32  # the most dimensions of an array


def _dimensions(value):
    """Return how many indices lead to an element that is no array."""
    if isinstance(value, np.ndarray):
        return value.ndim
    return 1 + max(map(_dimensions, value), default=0) if isinstance(value, (tuple, list)) else 0


def _depth(func_ir, definition, depth):
    """Return the depth (see `Search._sources`) of the variables in a definition; `depth`: that of the defined variable."""
    operation = getattr(definition, "op", "")
    if operation == "static_getitem":
        indices = definition.index if isinstance(definition.index, tuple) else [definition.index]
        return depth + sum(not isinstance(index, slice) for index in indices)
    if operation in ("getitem", "typed_getitem"):
        return depth + sum(not _may_be_slice(func_ir, index) for index in _indices(func_ir, definition.index))
    if operation in ("build_tuple", "build_list", "build_set", "build_map"):
        return max(depth - 1, 0)
    if operation == "call":
        # Others than Numba's functions and an array's methods may put the whole array into what they return.
        callee = guard(find_outer_value, func_ir, definition.func)
        method = guard(get_definition, func_ir, definition.func)
        if isinstance(method, ir.Expr) and method.op == "getattr" and callee is None:
            return depth if hasattr(np.ndarray, method.attr) else 0
        return depth if callee is not None and _is_foreign(callee) else 0
    return depth


def _indices(func_ir, index):
    made = guard(get_definition, func_ir, index)
    return made.items if isinstance(made, ir.Expr) and made.op == "build_tuple" else [index]


def _may_be_slice(func_ir, index):
    """Return whether an index is a slice, or made by a call that may return one."""
    made = guard(get_definition, func_ir, index)
    if isinstance(made, ir.Expr) and made.op == "call":
        callee = guard(find_outer_value, func_ir, made.func)
        return callee is slice or not _is_foreign(callee)
    return isinstance(made, ir.Const) and isinstance(made.value, (slice, type(...), type(None)))


def _stored(func_ir, stmt):
    """Return the variables whose values a statement puts into a container or attribute."""
    if isinstance(stmt, ir.SetAttr):
        return [stmt.value]
    if isinstance(stmt, ir.StaticSetItem):
        indices = stmt.index if isinstance(stmt.index, tuple) else [stmt.index]
        is_slice = any(isinstance(index, slice) for index in indices)
    elif isinstance(stmt, ir.SetItem):
        is_slice = any(_may_be_slice(func_ir, index) for index in _indices(func_ir, stmt.index))
    else:
        return []
    if not is_slice:
        return [stmt.value]
    made = guard(get_definition, func_ir, stmt.value)  # a slice gets the elements of the value, not the value itself
    return made.items if isinstance(made, ir.Expr) and made.op == "build_list" else []


def _results(stmt):
    """Return the variables that a statement returns or yields."""
    if isinstance(stmt, ir.Return) or (isinstance(stmt, ir.Assign) and isinstance(stmt.value, ir.Yield)):
        return [stmt.value if isinstance(stmt, ir.Return) else stmt.value.value]
    return []


def _is_c_function(callee):
    if isinstance(callee, types.ExternalFunction):
        return callee.symbol in SIGNATURES
    return any(callee is function for function in BLOCKING.values())


def _is_foreign(callee):
    return package_of(callee) in FOREIGN or isinstance(callee, np.ufunc)


def arguments_of(call):
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
