"""Global arrays that change while kernels run.

To Numba a global array, or one that a closure captures, is a constant: a kernel reads a copy that was made when it was
compiled. An atomic operation on it would change or read that copy, which no other thread uses. So if a kernel calls
`interlock.atomic` or `interlock.words` on such an array, itself or through a helper that refers to the array too, or puts it
into a container or attribute, where an operation may find it, all the kernel's references to its memory are to the array
itself, by its address. Numba does the same for large arrays.

Numba translates a function that is defined in a kernel, and rewrites it, before it inlines it there. So the kernel may
contain references that were made for such a function.

A helper that does not use interlock has a copy all the same, since other kernels call it, too. So a kernel is rejected if it
calls one that reads an array on which the kernel operates.

Such a kernel is not cached. The same holds for all arrays in a predicate of `Condition.wait_for`.
"""

import inspect
from types import CellType, CodeType, FunctionType
from weakref import WeakSet

import numpy as np
from numba import jit, typeof
from numba.core import cgutils, errors, ir, types
from numba.core.datamodel import models, register_default
from numba.core.dispatcher import Dispatcher, LiftedWith
from numba.core.imputils import lower_builtin, lower_constant
from numba.core.ir_utils import find_outer_value, get_definition, guard
from numba.core.rewrites import Rewrite, register_rewrite
from numba.core.types.functions import BoundFunction
from numba.core.typing import signature
from numba.extending import typeof_impl
from numba.np.arrayobj import make_array, populate_array

from .sources import HOW, Search, arguments_of, outer_value, translated
from .uses import (
    FOREIGN,
    default_arrays,
    leads_to_interlock,
    named_arrays,
    overloads,
    package_of,
    python_function,
    references,
    template_functions,
)
from .variables import new_variable

_predicates = WeakSet()  # functions all of whose global arrays are live


_references = {}  # the id of an array -> its reference
_lowered = set()  # the types of references whose call is registered


class _Reference:
    """An array that is never freed, because compiled code has its address. A kernel calls this to get it."""

    def __init__(self, array):
        self.array = array
        _references[id(array)] = self

    @classmethod
    def to(cls, array):
        return _references.get(id(array)) or cls(array)


class _ReferenceType(types.Callable, types.Opaque):
    def __init__(self, reference):
        self.reference = reference
        super().__init__(f"interlock.live({id(reference.array):#x})")

    @property
    def key(self):
        return id(self.reference)

    def get_call_type(self, context, args, kws):
        return signature(typeof(self.reference.array))

    def get_call_signatures(self):
        return [], False

    def get_impl_key(self, sig):
        if self not in _lowered:
            _lowered.add(self)
            lower_builtin(self)(self._lower)
        return self

    def _lower(self, context, builder, sig, args):
        array, typ = self.reference.array, sig.return_type
        view = make_array(typ)(context, builder)
        address = context.add_dynamic_addr(builder, array.ctypes.data, info="numpy.ndarray")
        numbers = [cgutils.pack_array(builder, [context.get_constant(types.intp, n) for n in values], cgutils.intp_t)
                   for values in (array.shape, array.strides)]  # fmt: skip
        populate_array(
            view,
            data=builder.bitcast(address, view.data.type),
            shape=numbers[0],
            strides=numbers[1],
            itemsize=context.get_constant(types.intp, array.itemsize),
            meminfo=None,
        )
        return view._getvalue()


register_default(_ReferenceType)(models.OpaqueModel)


@typeof_impl.register(_Reference)
def _typeof(reference, c):
    return _ReferenceType(reference)


@lower_constant(_ReferenceType)
def _constant(context, builder, typ, reference):
    return context.get_dummy_value()


def _outer_value(func_ir, stmt, defaults):
    """Return the global or captured value that a statement names, or an argument's default; or None."""
    if isinstance(stmt.value, ir.Arg):
        return defaults.get(stmt.value.name)
    if isinstance(stmt.value, ir.Expr) and stmt.value.op == "call":
        reference = getattr(guard(get_definition, func_ir, stmt.value.func), "value", None)
        return reference.array if isinstance(reference, _Reference) else None  # of a closure that was inlined
    return outer_value(func_ir, stmt.value)


def _operands(func_ir, defaults):
    """Iterate over the outer values on which a function operates, as `Search.outer_operands`."""
    yield from Search(func_ir, defaults).outer_operands()
    for block in func_ir.blocks.values():
        for stmt in block.find_insts(ir.Assign):
            if isinstance(stmt.value, ir.Const) and isinstance(stmt.value.value, LiftedWith):
                # A block of objmode: Python code operates on the array itself.
                found = Search(stmt.value.value.func_ir, {}).outer_operands()
                yield from (each for each in found if isinstance(each[2], np.ndarray) and each[3])
            if isinstance(stmt.value, ir.Global) and isinstance(stmt.value.value, _Reference):
                yield stmt, stmt.value.name, stmt.value.value.array, True, True


def _live_arrays(func_ir, defaults):
    """Return the arrays that are not constants because of what this function does: (array, whether that is known)."""
    found = []
    for use, name, value, can_be_live, is_known in _operands(func_ir, defaults):
        if not isinstance(value, np.ndarray):
            raise errors.TypingError(f"{name} holds an array, and is not an argument. {HOW}", loc=use.loc)
        if not can_be_live:
            raise errors.TypingError(f"{name}, which a compiled function returns, is not an argument. {HOW}", loc=use.loc)
        found.append((value, is_known))
    return found


def _live_in_helpers(function, named):
    """Return the same for the functions that this one calls. `named`: the arrays that each function refers to."""
    found = []
    for helper, arrays in named.items():
        elsewhere = [array for other in named if other is not helper for array in named[other]]
        if helper is function or not _share_memory(arrays, elsewhere):  # no other function has it: a copy would do
            continue
        for part in [helper, *_defined_in(helper)]:
            try:
                found += [
                    (value, is_known)
                    for _, _, value, can_be_live, is_known in _operands(translated(part), default_arrays(part))
                    if can_be_live and isinstance(value, np.ndarray)
                ]
            except errors.NumbaError:  # Numba will not compile it either, or it is an overload, which is Python code
                pass
    return found


def _defined_in(function):
    """Return the functions that a function defines, such as what an overload returns. They find its variables to be None."""
    outer = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    return [
        FunctionType(
            code,
            function.__globals__,
            code.co_name,
            None,
            tuple(outer.get(name, CellType(None)) for name in code.co_freevars),
        )
        for code in function.__code__.co_consts
        if isinstance(code, CodeType) and (code.co_name.isidentifier() or code.co_name == "<lambda>")
    ]


def _implementations(function):
    """Return the functions that the Python function of an overload may return: it defines them, or refers to them."""
    return [*_defined_in(function), *(value for value in references(function) if isinstance(value, FunctionType))]


def _share_memory(arrays, others):
    """Return whether one of `arrays` is one of the others, or may be a view of the same memory."""
    return any(array is other or np.may_share_memory(array, other) for array in arrays for other in others)


def _arrays(live):
    return [array for array, _ in live]


def _helpers(func_ir):
    """Iterate over the Python functions that a function calls or passes on, except to `wait_for` (see `live_predicate`)."""
    for block in func_ir.blocks.values():
        for call in block.find_exprs("call"):
            for var in [call.func, *([] if _is_wait_for(func_ir, call) else arguments_of(call))]:
                value = guard(find_outer_value, func_ir, var)
                found = [python_function(value) or _function_made_here(func_ir, var)]
                if isinstance(value, FunctionType):
                    found += [impl for function in overloads(value) for impl in _implementations(function)]
                for helper in found:
                    if helper and package_of(helper) not in (*FOREIGN, "interlock"):
                        yield helper


def _typed_helpers(func_ir, typemap, calltypes):
    """Iterate over the same, by the types of variables: methods, elements of tuples, arguments.

    They are (function, the arrays that are defaults of arguments that the call does not give: name -> array).
    """
    for block in func_ir.blocks.values():
        for stmt in block.body:
            call = stmt.value if isinstance(stmt, ir.Assign) else None
            if isinstance(call, ir.Expr) and call.op == "call":
                given = [] if _is_wait_for(func_ir, call) else arguments_of(call)
                for var in [call.func, *given]:
                    typ = typemap[var.name]
                    for helper in _functions_of(typ):
                        yield helper, _defaults_of(typ, calltypes.get(call)) if var is call.func else {}
            for var in stmt.list_vars():
                if isinstance(typemap.get(var.name), types.ClassInstanceType):
                    for dispatcher in _used_methods(typemap[var.name].class_type, stmt, typemap):
                        yield dispatcher.py_func, {}


def _functions_of(typ):
    """Return the Python functions that run if a value of that type is called, or an element of it."""
    if isinstance(typ, types.BaseTuple):
        return [function for part in typ for function in _functions_of(part)]
    if isinstance(typ, types.Dispatcher):
        found = [python_function(typ.dispatcher)]
    elif isinstance(typ, types.ClassType):
        found = [typ.jit_methods["__init__"].py_func]
    elif isinstance(typ, BoundFunction):
        found = [impl for function in template_functions(typ.template) for impl in _implementations(function)]
    elif isinstance(typ, types.Function):
        used = [function for template in typ.templates for function in template_functions(template)]
        found = [python_function(typ.typing_key), *(impl for function in used for impl in _implementations(function))]
    else:
        found = []
    return [function for function in found if function and package_of(function) not in (*FOREIGN, "interlock")]


def _defaults_of(typ, sig):
    """Return the arrays that a call of a compiled function leaves to their defaults: name -> array."""
    if not isinstance(typ, types.Dispatcher) or not sig:
        return {}
    return {
        name: given.value
        for name, given in zip(typ.dispatcher.py_func.__code__.co_varnames, sig.args)
        if isinstance(given, types.Omitted) and isinstance(given.value, np.ndarray)
    }


_OPERATIONS = ("binop", "getitem", "inplace_binop", "static_getitem", "typed_getitem", "unary")


def _used_methods(class_type, stmt, typemap):
    """Return the methods and properties of a jitclass that a statement with an instance may use."""
    value = stmt.value if isinstance(stmt, ir.Assign) else stmt
    operation = getattr(value, "op", "")
    if isinstance(value, ir.SetAttr) or operation == "getattr":
        method, accessors = class_type.jit_methods.get(value.attr), class_type.jit_props.get(value.attr, {})
        return [*([method] if method else []), *accessors.values()]
    is_function = operation == "call" and isinstance(typemap[value.func.name], types.Function)  # such as `len`
    if is_function or operation in _OPERATIONS or isinstance(value, (ir.SetItem, ir.StaticSetItem)):
        return [method for name, method in class_type.jit_methods.items() if name.startswith("__") and name != "__init__"]
    return []


def _check_helpers(helpers, live, seen):
    """Reject a helper to which one of the `live` arrays is a constant, unless it uses only the array's shape or type.

    `helpers`: each a Python function, and the defaults with which it is called. `seen`: those that have been searched.
    """
    for helper, defaults in helpers:
        key = helper.__code__, *defaults
        if key in seen:
            continue
        seen.add(key)
        named = named_arrays([helper])
        if not any(_share_memory(arrays, live) for arrays in named.values()):
            continue
        try:
            helper_ir = translated(helper)
            own = _arrays(_live_arrays(helper_ir, defaults) + _live_in_helpers(helper, named))
        except errors.NumbaError:  # Numba will not compile it either
            continue
        if any(any(block.find_insts(ir.EnterWith)) for block in helper_ir.blocks.values()):
            continue  # Python code in objmode reads the array itself
        for block in helper_ir.blocks.values():
            for stmt in block.find_insts(ir.Assign):
                array = _outer_value(helper_ir, stmt, defaults)
                is_stale = isinstance(array, np.ndarray) and _share_memory([array], live) and not _share_memory([array], own)
                if is_stale and _uses_elements(helper_ir, stmt.target):
                    raise errors.TypingError(
                        f"{helper.__name__} reads {_name(stmt.value)}, which this function changes or loads. {HOW}",
                        loc=stmt.loc,
                    )
        _check_helpers(((other, {}) for other in _helpers(helper_ir)), live, seen)


def _name(outer):
    return outer.attr if isinstance(outer, ir.Expr) else outer.name


_CONSTANT = ("dtype", "itemsize", "nbytes", "ndim", "shape", "size", "strides")


def _uses_elements(func_ir, array):
    """Return whether a function uses more of an array than its shape and type."""
    for block in func_ir.blocks.values():
        for stmt in block.body:
            value = stmt.value if isinstance(stmt, ir.Assign) else None
            if not any(var.name == array.name for var in stmt.list_vars()) or getattr(stmt, "target", None) == array:
                continue
            if not isinstance(value, ir.Expr):
                return True
            is_constant = value.attr in _CONSTANT if value.op == "getattr" else _calls_len(func_ir, value)
            if not is_constant:
                return True
    return False


def _calls_len(func_ir, value):
    return value.op == "call" and guard(find_outer_value, func_ir, value.func) is len


_KNOWN = "interlock.known"  # in the metadata of a compilation: the arrays on which the function is known to operate


@register_rewrite("before-inference")
class _MakeLive(Rewrite):
    def __init__(self, state=None):
        self._types = list(state.args or ()) if state else []
        self._live, self._variables = None, {}
        self._metadata = getattr(state, "metadata", {})
        function = state and state.func_ir.func_id.func
        self._is_predicate = function in _predicates
        self._uses_interlock = bool(state) and (self._is_predicate or leads_to_interlock([function, *self._types]))

    def match(self, func_ir, block, typemap, calltypes):
        if not self._uses_interlock:
            return False
        defaults = {
            name: typ.value
            for name, typ in zip(func_ir.arg_names, self._types)
            if isinstance(typ, types.Omitted) and isinstance(typ.value, np.ndarray)
        }
        if self._live is None and not self._is_predicate:  # they are the same for all blocks
            function = func_ir.func_id.func
            named = named_arrays([function, *self._types, *_helpers(func_ir)])
            named[function] = [*named.get(function, []), *defaults.values()]
            live = _live_arrays(func_ir, defaults) + _live_in_helpers(function, named)
            self._live = _arrays(live)
            known = [array for array, is_known in live if is_known]
            if known:
                self._metadata[_KNOWN] = known
                _check_helpers(((helper, {}) for helper in _helpers(func_ir)), known, {(function.__code__,)})
        self._func_ir, self._block = func_ir, block
        outer = {stmt: _outer_value(func_ir, stmt, defaults) for stmt in block.find_insts(ir.Assign)}
        own = {variable.name for variable in self._variables.values()}
        self._arrays = {
            stmt: value
            for stmt, value in outer.items()
            if isinstance(value, np.ndarray) and stmt.target.name not in own
            if self._is_predicate or _share_memory([value], self._live)
        }
        return bool(self._arrays)

    def apply(self):
        variables = {stmt: self._variable(array) for stmt, array in self._arrays.items()}
        block = ir.Block(self._block.scope, self._block.loc)
        for stmt in self._block.body:
            if stmt in variables:
                stmt = ir.Assign(variables[stmt], stmt.target, stmt.loc)
                self._func_ir._definitions[stmt.target.name] = [stmt.value]
            block.append(stmt)
        return block

    def _variable(self, array):
        """Return the variable of that array. There is only one: Numba's passes would take two for two arrays."""
        if id(array) not in self._variables:
            entry = self._func_ir.blocks[min(self._func_ir.blocks)]
            reference, variable = (new_variable(entry, name, entry.loc) for name in ("reference", "live"))
            value = ir.Global("live", _Reference.to(array), entry.loc)
            call = ir.Expr.call(reference, (), (), entry.loc)
            entry.body[:0] = [ir.Assign(value, reference, entry.loc), ir.Assign(call, variable, entry.loc)]
            self._func_ir._definitions.update({reference.name: [value], variable.name: [call]})
            self._variables[id(array)] = variable
        return self._variables[id(array)]


@register_rewrite("after-inference")
class _CheckTypedHelpers(Rewrite):
    """Rejects a helper that reads a copy of an array, if only the types tell that the function calls it."""

    def __init__(self, state=None):
        self._known = getattr(state, "metadata", {}).pop(_KNOWN, [])
        self._function = state and state.func_ir.func_id.func

    def match(self, func_ir, block, typemap, calltypes):
        if self._known:  # once for all blocks
            known, self._known = self._known, []
            _check_helpers(_typed_helpers(func_ir, typemap, calltypes), known, {(self._function.__code__,)})
        return False


@register_rewrite("before-inference")
class _CheckPredicates(Rewrite):
    """Rejects a predicate of `Condition.wait_for` that captures variables of the kernel: Numba does not support it."""

    def match(self, func_ir, block, typemap, calltypes):
        for call in block.find_exprs("call"):
            if _is_wait_for(func_ir, call):
                captured = [name for var in arguments_of(call) for name in _captured_variables(func_ir, var)]
                if captured:
                    names = ", ".join(captured)
                    args = names if len(captured) > 1 else f"{names},"
                    raise errors.TypingError(
                        f"the predicate of `wait_for` cannot capture variables of a kernel, as it does {names}: give them "
                        f"as its arguments, `condition.wait_for(lambda {names}: ..., args=({args}))`",
                        loc=call.loc,
                    )
        return False


def _is_wait_for(func_ir, call):
    method = guard(get_definition, func_ir, call.func)
    return isinstance(method, ir.Expr) and method.op == "getattr" and method.attr == "wait_for"


_VALUES = (ir.Const, ir.Global, ir.FreeVar)


def _made_here(func_ir, var):
    """Return the code of a function defined in this one, and name -> definition of what it captures; or None."""
    made = guard(get_definition, func_ir, var)
    if not isinstance(made, ir.Expr) or made.op != "make_function":
        return None
    code = made.code if isinstance(made.code, CodeType) else get_definition(func_ir, made.code).value
    captured = get_definition(func_ir, made.closure).items if made.closure else []
    return code, {name: guard(get_definition, func_ir, item) for name, item in zip(code.co_freevars, captured)}


def _captured_variables(func_ir, var):
    """Return the names of variables, not constants, that a function defined in this kernel captures."""
    _code, captured = _made_here(func_ir, var) or (None, {})
    return [name for name, definition in captured.items() if not isinstance(definition, _VALUES)]


def _function_made_here(func_ir, var):
    """Return a function defined in this one as a Python function, in which variables of this one are None; or None."""
    code, captured = _made_here(func_ir, var) or (None, {})
    if code is None:
        return None
    values = [definition.value if isinstance(definition, _VALUES) else None for definition in captured.values()]
    return FunctionType(code, func_ir.func_id.func.__globals__, code.co_name, None, tuple(map(CellType, values)))


def live_predicate(dispatcher):
    """Return a predicate whose global arrays are live, also those of its helpers; the same one, if it has none."""
    return _live_copy(dispatcher, {}) if _reads_outer_arrays(dispatcher, set()) else dispatcher


def _outer_names(dispatcher):
    names = inspect.getclosurevars(dispatcher.py_func)
    return {**names.globals, **names.nonlocals}


def _reads_outer_arrays(dispatcher, seen):
    seen.add(dispatcher)
    values = _outer_names(dispatcher).values()
    helpers = [value for value in values if isinstance(value, Dispatcher)]
    return any(isinstance(value, np.ndarray) for value in values) or any(
        _reads_outer_arrays(helper, seen) for helper in helpers if helper not in seen
    )


def _live_copy(dispatcher, copies):
    """Return a copy of a compiled function that calls copies of its helpers. `copies`: those that have been made."""
    if dispatcher not in copies:
        f = dispatcher.py_func
        scope, cells = dict(f.__globals__), [CellType() for _ in f.__code__.co_freevars]
        copy = FunctionType(f.__code__, scope, f.__name__, f.__defaults__, tuple(cells))
        copy.__kwdefaults__, copy.__module__, copy.__qualname__ = f.__kwdefaults__, f.__module__, f.__qualname__
        _predicates.add(copy)
        copies[dispatcher] = jit(**dispatcher.targetoptions)(copy)
        for cell, outer in zip(cells, f.__closure__ or ()):
            value = outer.cell_contents
            cell.cell_contents = _live_copy(value, copies) if isinstance(value, Dispatcher) else value
        for name, value in inspect.getclosurevars(f).globals.items():
            if isinstance(value, Dispatcher):
                scope[name] = _live_copy(value, copies)
    return copies[dispatcher]
