"""A kernel that reads a property and does not use the value reads it all the same.

To Numba an attribute has no effect, so its dead code elimination leaves out such a read, and with it the HandleError of a
closed object. The same holds for the operators of a user's class that runs code of ours: `histogram[i]` may count. Before
Numba knows the types, this keeps each read of an attribute that is named like a property of ours; after that, each attribute
and operator of a type that may run code of ours.

Relied upon, and checked by test_numba_private.py: `remove_dead_extensions`, Numba's table of functions that dead code
elimination calls for each statement of a type, with the set of names that are live after the statement; and the `_attr` of
an `overload_attribute`.
"""

# mypy: ignore-errors

from numba.core import ir, types
from numba.core.ir_utils import remove_dead_extensions
from numba.core.registry import cpu_target

from .kernels import is_property
from .uses import FOREIGN, is_opaque, package_of, template_functions

_OPERATORS = ("getitem", "static_getitem", "typed_getitem", "binop", "inplace_binop", "unary", "getiter", "iternext")


def may_run_code(stmt, typemap):
    """Return whether an assignment calls or uses what may run code that is opaque to Numba."""
    value = stmt.value
    if not isinstance(value, ir.Expr) or isinstance(typemap.get(stmt.target.name), types.BoundFunction):
        return False
    operands = [typemap[var.name] for var in value.list_vars() if var.name in typemap]
    return any(map(is_opaque, operands)) or runs_code(stmt, typemap)


def runs_code(stmt, typemap):
    """Return whether an assignment without a call runs code that is opaque to Numba; `typemap` may be None.

    It reads a property or another attribute that is computed, or applies an operator of a user's type.
    """
    value = stmt.value
    if not isinstance(value, ir.Expr) or value.op not in ("getattr", *_OPERATORS):
        return False
    if typemap is None:
        return value.op == "getattr" and is_property(value.attr)
    if isinstance(typemap.get(stmt.target.name), types.BoundFunction):
        return False
    operands = [typemap[var.name] for var in value.list_vars() if var.name in typemap]
    return any(map(_has_operators, operands)) or (value.op == "getattr" and any(_computes(t, value.attr) for t in operands))


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
    if runs_code(stmt, typemap):
        lives.add(stmt.target.name)
        return stmt
    return _others(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap) if _others else stmt


remove_dead_extensions[ir.Assign] = _keep
