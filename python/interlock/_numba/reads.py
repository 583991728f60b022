"""Keeps reads and operators whose value a kernel does not use, but which run code that has an effect.

To Numba, reading an attribute has no effect. So its dead code elimination removes a read whose value is not used, and with
it the HandleError of a closed object. It also removes operators of a user's class, such as `histogram[i]`, which may count.

- Once the types are known, this file keeps each attribute and operator of a type that may run code of a user or of ours.
- Before that, it keeps all attributes, operators and assignments to elements in a function that uses interlock; and in
  other functions each read of an attribute with the name of a property of ours.

Relied upon, and checked by test_numba_private.py: `remove_dead_extensions`, Numba's table of functions that dead code
elimination calls for each statement of a type, with the set of names that are live after the statement; the pass
`InlineClosureLikes`, which eliminates dead code before the types are known, with its `state`; and the `_attr` of an
`overload_attribute`.
"""

# mypy: ignore-errors

import threading
from functools import wraps

from numba.core import ir, types
from numba.core.ir_utils import get_definition, guard, remove_dead_extensions
from numba.core.registry import cpu_target
from numba.core.untyped_passes import InlineClosureLikes

from .kernels import is_property
from .uses import FOREIGN, is_opaque, leads_to_interlock, package_of, template_functions

_OPERATORS = ("getitem", "static_getitem", "typed_getitem", "binop", "inplace_binop", "unary", "getiter", "iternext")
_WRITES = (ir.SetItem, ir.StaticSetItem, ir.SetAttr, ir.DelItem)


def may_run_code(stmt, typemap):
    """Return whether an assignment calls or uses what may run code that is opaque to Numba."""
    value = stmt.value
    if not isinstance(value, ir.Expr) or isinstance(typemap.get(stmt.target.name), types.BoundFunction):
        return False
    operands = [typemap[var.name] for var in value.list_vars() if var.name in typemap]
    return any(map(is_opaque, operands)) or runs_code(stmt, typemap)


def runs_code(stmt, typemap):
    """Return whether a statement runs code that is opaque to Numba by other means than a call of an opaque function.

    Such a statement reads a property or another attribute that is computed; or applies an operator or a function such as
    `int` to a value of a user's type; or assigns to an attribute or element of one.
    """
    if isinstance(stmt, _WRITES):
        return stmt.target.name in typemap and _has_operators(typemap[stmt.target.name])
    value = getattr(stmt, "value", None)
    if not (isinstance(stmt, ir.Assign) and isinstance(value, ir.Expr) and value.op in ("getattr", "call", *_OPERATORS)):
        return False
    if isinstance(typemap.get(stmt.target.name), types.BoundFunction):
        return False
    operands = [typemap[var.name] for var in value.list_vars() if var.name in typemap]
    return any(map(_has_operators, operands)) or (value.op == "getattr" and any(_computes(t, value.attr) for t in operands))


class _Inlining(threading.local):
    """Whether the function whose closures this thread inlines uses interlock."""

    uses_interlock = False


_inlining = _Inlining()


def _note_use(original):
    @wraps(original)
    def run_pass(self, state):
        before = _inlining.uses_interlock
        _inlining.uses_interlock = leads_to_interlock([state.func_ir.func_id.func, *(state.args or ())])
        try:
            return original(self, state)
        finally:
            _inlining.uses_interlock = before

    return run_pass


InlineClosureLikes.run_pass = _note_use(InlineClosureLikes.run_pass)


def _runs_code_untyped(stmt, func_ir):
    """Return whether an assignment may be one that `runs_code`, before the types are known."""
    value = stmt.value
    if not isinstance(value, ir.Expr):
        return False
    if value.op == "getattr" and is_property(value.attr):
        return True
    if not _inlining.uses_interlock:
        return False
    if value.op in ("getattr", "call"):
        source = guard(get_definition, func_ir, value.value if value.op == "getattr" else value.func)
        is_named = isinstance(source, (ir.Global, ir.FreeVar, ir.Const))
        if value.op == "call":
            return is_named and source.value in (int, max)  # which Numba takes to have no effect
        return not is_named and value.attr != "append"  # which Numba leaves where it makes an array of a list comprehension
    return value.op in _OPERATORS and value.op not in ("getiter", "iternext")


def _has_operators(typ):
    """Return whether a type may have operators and attributes that run code of a user or of ours."""
    typ = typ.type if isinstance(typ, types.Optional) else typ
    return isinstance(typ, (types.ClassInstanceType, types.StructRef)) or package_of(type(typ)) not in FOREIGN


def _computes(typ, name):
    """Return whether an attribute is a user's `overload_attribute` for one of Numba's types."""
    return any(
        package_of(function) not in FOREIGN
        for template in cpu_target.typing_context._get_attribute_templates(typ)
        if getattr(template, "_attr", None) == name
        for function in template_functions(type(template))
    )


_others = remove_dead_extensions.get(ir.Assign)


def _keep(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap):
    if _runs_code_untyped(stmt, func_ir) if typemap is None else runs_code(stmt, typemap):
        lives.add(stmt.target.name)
        return stmt
    return _others(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap) if _others else stmt


def _keep_item(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap):
    # Before the types are known, the array may be one that a call returned, such as `local()`: others see its elements.
    if _inlining.uses_interlock if typemap is None else runs_code(stmt, typemap):
        lives_n_aliases.add(stmt.target.name)
    return stmt


remove_dead_extensions[ir.Assign] = _keep
remove_dead_extensions.setdefault(ir.SetItem, _keep_item)
