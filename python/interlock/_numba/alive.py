"""An object lives until a method of it that a kernel calls has returned.

A method gets a view, which counts no reference. Numba deletes a variable after its last use, which is the statement that
finds the method, and not the call. So an object that only this variable refers to, such as the result of `pop`, was closed
when it was called. This adds a use after the call, unless something else keeps it alive meanwhile: it is an argument,
a global, an element of a tuple, or an attribute that the call itself names, as in `self.lock.acquire()`.
"""

# mypy: ignore-errors

from numba.core import ir, types
from numba.core.imputils import lower_builtin
from numba.core.ir_utils import get_definition, guard
from numba.core.rewrites import Rewrite, register_rewrite
from numba.core.typing import signature
from numba.extending import typeof_impl

from .calls import Bound, Operation
from .types import Object
from .variables import new_variable


class _Use:
    """A function that does nothing with an object."""

    __name__ = "use"

    def type_call(self, context, args, kws):
        return signature(types.none, *args)


_use = _Use()


@typeof_impl.register(_Use)
def _typeof(function, c):
    return Operation(function)


@lower_builtin(_use, types.Any)
def _lower_use(context, builder, sig, args):
    return context.get_dummy_value()


def _is_alive(func_ir, variable, typemap):
    """Return whether something else keeps the object of a variable alive."""
    made = guard(get_definition, func_ir, variable)
    if isinstance(made, (ir.Arg, ir.Global, ir.FreeVar)):
        return True
    if not isinstance(made, ir.Expr):
        return False
    if made.op in ("static_getitem", "getitem"):
        return isinstance(typemap[made.value.name], types.BaseTuple)
    return made.op == "getattr" and variable.name.startswith("$") and _keeps(typemap[made.value.name], made.attr)


def _keeps(typ, name):
    """Return whether a value of that type contains what its attribute is, and does not compute it as a property does."""
    if isinstance(typ, types.ClassInstanceType):
        return name in typ.struct
    if isinstance(typ, types.StructRef):
        return name in typ.field_dict
    return isinstance(typ, (types.BaseTuple, types.Module))


@register_rewrite("after-inference")
class _KeepAlive(Rewrite):
    def match(self, func_ir, block, typemap, calltypes):
        self._block, self._typemap, self._calltypes, self._owners = block, typemap, calltypes, {}
        used = {stmt.value.args[0].name for stmt in block.find_insts(ir.Assign) if _is_use(stmt, typemap)}
        for stmt in block.find_insts(ir.Assign):
            call = stmt.value
            if not (isinstance(call, ir.Expr) and call.op == "call" and isinstance(typemap[call.func.name], Bound)):
                continue
            method = guard(get_definition, func_ir, call.func)
            if isinstance(method, ir.Expr) and method.op == "getattr" and method.value.name not in used:
                owner = method.value
                if isinstance(typemap[owner.name], Object) and not guard(_is_alive, func_ir, owner, typemap):
                    self._owners[stmt] = owner
        return bool(self._owners)

    def apply(self):
        block = ir.Block(self._block.scope, self._block.loc)
        for stmt in self._block.body:
            block.append(stmt)
            if stmt in self._owners:
                owner = self._owners[stmt]
                function, result = (new_variable(block, name, stmt.loc) for name in ("use", "used"))
                call = ir.Expr.call(function, (owner,), (), stmt.loc)
                self._typemap[function.name], self._typemap[result.name] = Operation(_use), types.none
                self._calltypes[call] = signature(types.none, self._typemap[owner.name])
                block.append(ir.Assign(ir.Global("use", _use, stmt.loc), function, stmt.loc))
                block.append(ir.Assign(call, result, stmt.loc))
        return block


def _is_use(stmt, typemap):
    call = stmt.value
    if not (isinstance(call, ir.Expr) and call.op == "call"):
        return False
    typ = typemap[call.func.name]
    return isinstance(typ, Operation) and typ.function is _use
