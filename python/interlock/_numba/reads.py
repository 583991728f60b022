"""A kernel that reads a property and does not use the value reads it all the same.

To Numba an attribute has no effect, so its dead code elimination leaves out such a read, and with it the HandleError of a
closed object. Before Numba knows the types, this keeps each read of an attribute that is named like a property of ours;
after that, each read of an attribute of a type that may run code of ours.

Relied upon, and checked by test_numba_private.py: `remove_dead_extensions`, Numba's table of functions that dead code
elimination calls for each statement of a type, with the set of names that are live after the statement.
"""

# mypy: ignore-errors

from numba.core import ir, types
from numba.core.ir_utils import remove_dead_extensions

from .kernels import is_property
from .uses import is_opaque


def may_run_code(stmt, typemap):
    """Return whether an assignment calls or uses what may run code that is opaque to Numba."""
    value = stmt.value
    if not isinstance(value, ir.Expr) or isinstance(typemap.get(stmt.target.name), types.BoundFunction):
        return False
    return any(is_opaque(typemap[var.name]) for var in value.list_vars() if var.name in typemap)


def reads_property(stmt, typemap):
    """Return whether an assignment reads a property, or another attribute that runs code; `typemap` may be None."""
    value = stmt.value
    if not isinstance(value, ir.Expr) or value.op != "getattr":
        return False
    if typemap is None:
        return is_property(value.attr)
    source, result = typemap.get(value.value.name), typemap.get(stmt.target.name)
    return source is not None and is_opaque(source) and not isinstance(result, types.BoundFunction)


_others = remove_dead_extensions.get(ir.Assign)


def _keep(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap):
    if reads_property(stmt, typemap):
        lives.add(stmt.target.name)
        return stmt
    return _others(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap) if _others else stmt


remove_dead_extensions[ir.Assign] = _keep
