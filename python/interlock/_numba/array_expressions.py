"""A part of an array expression is computed where it stands, before a call further right in the expression.

Numba joins the operators of an expression such as ``a * 2 + count(a)`` to one loop, at the place of the last operator. That
is after the call, so that `a * 2` would see what the call wrote. In a kernel that uses interlock, an operator is not joined
with an operand from before a statement that may lock, wait or write. Numba then makes two loops.

Relied upon, and checked by test_numba_private.py: `RewriteArrayExprs`, whose `match` notes in `array_assigns` the
assignments that it will join, by the names of their targets; it is called again until it finds nothing; `_get_operands`.
"""

# mypy: ignore-errors

from functools import wraps

from numba.core import ir
from numba.np.ufunc.array_exprs import RewriteArrayExprs

from .reads import may_run_code
from .uses import uses_interlock

_WRITES = (ir.SetItem, ir.StaticSetItem, ir.SetAttr, ir.DelItem, ir.StoreMap)


def _parts(block, typemap):
    """Return assignment -> the number of statements before it that may lock, wait or write."""
    number, parts = 0, {}
    for stmt in block.body:
        if isinstance(stmt, ir.Assign):
            parts[stmt] = number
        number += isinstance(stmt, _WRITES) or (isinstance(stmt, ir.Assign) and may_run_code(stmt, typemap))
    return parts


def _match(original):
    @wraps(original)
    def match(self, func_ir, block, typemap, calltypes):
        if not original(self, func_ir, block, typemap, calltypes):
            return False
        assigns = self.array_assigns
        joined = [
            (assigns[operand.name], stmt)
            for stmt in assigns.values()
            for operand in self._get_operands(stmt.value)
            if operand.name in assigns
        ]
        if joined and uses_interlock(typemap):
            parts = _parts(block, typemap)
            for operand, stmt in joined:
                if parts[operand] != parts[stmt]:
                    assigns.pop(operand.target.name, None)  # it is matched again, alone
        return True

    return match


RewriteArrayExprs.match = _match(RewriteArrayExprs.match)
