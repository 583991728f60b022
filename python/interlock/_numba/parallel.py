"""parallel=True: calls of interlock keep their order with the reads and writes around them.

Numba's parallel passes consider only assignments and setitems to be writes. They move statements across a parallel loop,
fuse two loops, hoist reads out of a loop, and promise LLVM that no other thread uses the loop's arrays, as if a call that
locks, counts or waits had no effect. So in kernels that use interlock, a parallel loop is a barrier if it runs code that is
opaque to Numba: a method or property of an object, an atomic, a helper. A barrier is not fused, no statement moves across
it, no read of memory is hoisted out of it, and other threads may use its arrays. Other loops and other kernels are compiled
as without interlock.

This relies on parts of Numba that are not public, and have not changed from 0.56 to 0.68: six functions of the modules
`numba.parfors.parfor` and `numba.parfors.parfor_lowering`, with their parameters (`RELIES_ON`), which Numba looks up by name
at each call; `remove_dead_parfor` in the table `remove_dead_extensions`; and the table `alias_analysis_extensions`. Each
function is replaced by one that calls it. If one is missing or has other parameters, none is replaced, and kernels with
parallel=True that use interlock are rejected.
"""

# mypy: ignore-errors

import inspect
import warnings
from functools import wraps

import numba
from numba.core import errors, ir, types
from numba.core.ir_utils import alias_analysis_extensions, find_callname, get_definition, guard, remove_dead_extensions
from numba.core.rewrites import Rewrite, register_rewrite
from numba.core.types import functions
from numba.parfors import parfor as passes
from numba.parfors import parfor_lowering as lowering

from .reads import runs_code
from .uses import is_opaque, leads_to_interlock, uses_interlock

# Function -> its parameters.
RELIES_ON = {
    (passes, "maximize_fusion"): ["func_ir", "blocks", "typemap", "up_direction"],
    (passes, "_can_reorder_stmts"): ["stmt", "next_stmt", "func_ir", "call_table", "alias_map", "arg_aliases"],
    (passes, "try_fuse"): ["equiv_set", "parfor1", "parfor2", "metadata", "func_ir", "typemap"],
    (passes, "remove_dead_parfor"): [
        *["parfor", "lives", "lives_n_aliases", "arg_aliases", "alias_map", "func_ir", "typemap"],
    ],
    (lowering, "hoist"): ["parfor_params", "loop_body", "typemap", "wrapped_blocks"],
    (lowering, "_create_gufunc_for_parfor_body"): [
        *["lowerer", "parfor", "typemap", "typingctx", "targetctx", "flags", "locals", "has_aliases"],
        *["index_var_typ", "races"],
    ],
}


def unknown_parts():
    """Return the functions of `RELIES_ON` that are missing in this Numba, or have other parameters."""
    return [
        f"{module.__name__}.{name}"
        for (module, name), parameters in RELIES_ON.items()
        if not hasattr(module, name) or list(inspect.signature(getattr(module, name)).parameters) != parameters
    ]


# --- barriers ---------------------------------------------------------------------------------------------------------


# Set in the __dict__ of a parallel loop that is a barrier, and of a statement that runs code. Not by `setattr`: an attribute
# of a loop is a part of its expression.
_MARK = "interlock.barrier"


def _statements(blocks):
    """Iterate over all statements, also those of nested loops."""
    for block in blocks:
        for stmt in block.body:
            yield stmt
            if isinstance(stmt, passes.Parfor):
                yield from _statements([stmt.init_block, *stmt.loop_body.values()])


def _is_barrier(blocks, typemap):
    statements = [stmt for stmt in _statements(blocks) if not isinstance(stmt, ir.Del)]
    names = {var.name for stmt in statements for var in stmt.list_vars()}
    return any(is_opaque(typemap[name]) for name in names if name in typemap) or any(
        runs_code(stmt, typemap) for stmt in statements if not isinstance(stmt, passes.Parfor)
    )


def _loop_is_barrier(loop, typemap):
    return _is_barrier([loop.init_block, *loop.loop_body.values()], typemap)


def _marked(stmt):
    return _MARK in vars(stmt)


# --- fusion -----------------------------------------------------------------------------------------------------------


def _maximize_fusion(original, func_ir, blocks, typemap, up_direction=True):
    if uses_interlock(typemap):
        for stmt in _statements(blocks.values()):
            is_loop = isinstance(stmt, passes.Parfor)
            if _loop_is_barrier(stmt, typemap) if is_loop else runs_code(stmt, typemap):
                vars(stmt)[_MARK] = True
    return original(func_ir, blocks, typemap, up_direction)


def _can_reorder_stmts(original, stmt, next_stmt, *rest):
    return not (_marked(stmt) or _marked(next_stmt)) and original(stmt, next_stmt, *rest)


def _try_fuse(original, equiv_set, parfor1, parfor2, *rest):
    if _marked(parfor1) or _marked(parfor2):
        message = f"- fusion failed: loop #{parfor1.id} or #{parfor2.id} runs code that may lock or wait."
        return None, passes.FusionReport(parfor1.id, parfor2.id, message)
    return original(equiv_set, parfor1, parfor2, *rest)


# --- reads that Numba hoists out of a loop ----------------------------------------------------------------------------

# Types of values in registers, or in memory that does not change.
_VALUES = (types.Number, types.Boolean, types.Literal, types.NoneType, types.UnicodeType, types.Bytes, types.DType)
_VALUES += (types.Module, types.NumberClass, types.BaseFunction, types.Dispatcher, types.SliceType, types.Omitted)
_VALUES += (functions.BoundFunction, types.EnumMember, types.NPDatetime, types.NPTimedelta, types.UniTupleIter)

_READS = ("getattr", "getitem", "static_getitem", "typed_getitem")


def _is_value(typ):
    if isinstance(typ, types.BaseTuple):
        return all(map(_is_value, typ))
    return isinstance(typ, _VALUES)


def _reads_memory(stmt, typemap):
    """Return whether an assignment's value depends on memory that may change."""
    value, result = stmt.value, typemap[stmt.target.name]
    if not isinstance(value, ir.Expr) or isinstance(result, functions.BoundFunction):
        return False
    if runs_code(stmt, typemap):
        return True
    if value.op in _READS:
        source = typemap[value.value.name]
        if isinstance(source, types.BaseTuple):
            return False
        if isinstance(source, types.Array):
            # An array's shape, or a view of it, does not depend on its elements; an index by an array makes a copy.
            indices = [var for var in value.list_vars() if var.name != value.value.name]
            is_part = value.op == "getattr" or isinstance(result, types.Array)
            return not (is_part and all(_is_value(typemap[var.name]) for var in indices))
    return not all(_is_value(typemap[var.name]) for var in value.list_vars())


def _uses_elements_only(stmt, name, typemap):
    """Return whether a statement uses an array for no more than its elements and its shape."""
    if isinstance(stmt, (ir.SetItem, ir.StaticSetItem)):
        return stmt.target.name == name and stmt.value.name != name
    if not (isinstance(stmt, ir.Assign) and isinstance(stmt.value, ir.Expr) and stmt.value.op in _READS):
        return False
    result = typemap[stmt.target.name]
    return stmt.value.value.name == name and _is_value(result) and not isinstance(result, functions.BoundFunction)


def _may_be_kept(stmt, statements, typemap):
    """Return whether an assignment makes an array that a loop may put somewhere, itself or a view of it.

    Numba itself keeps an allocation in the loop if the array is an argument, but not if a view of it is.
    """
    name = stmt.target.name
    if not (isinstance(typemap[name], types.Array) and isinstance(stmt.value, ir.Expr) and stmt.value.op == "call"):
        return False
    return any(
        not _uses_elements_only(other, name, typemap)
        for other in statements
        if other is not stmt and not isinstance(other, ir.Del) and any(var.name == name for var in other.list_vars())
    )


def _hoist(original, parfor_params, loop_body, typemap, wrapped_blocks):
    if not (uses_interlock(typemap) and _is_barrier(loop_body.values(), typemap)):
        return original(parfor_params, loop_body, typemap, wrapped_blocks)
    # The blocks from which Numba hoists statements: the loop's, and the init blocks of nested loops.
    blocks = list(loop_body.values())
    blocks += [stmt.init_block for block in loop_body.values() for stmt in block.body if isinstance(stmt, passes.Parfor)]
    before = [list(block.body) for block in blocks]
    statements = [stmt for stmt in _statements(loop_body.values()) if not isinstance(stmt, passes.Parfor)]
    hoisted, not_hoisted = original(parfor_params, loop_body, typemap, wrapped_blocks)
    back, stay = set(), []
    for stmt in hoisted:
        names = {var.name for var in stmt.list_vars()}
        if names & back or _reads_memory(stmt, typemap):
            back.add(stmt.target.name)
            not_hoisted.append((stmt, "it may change under a lock"))
        elif _may_be_kept(stmt, statements, typemap):
            back.add(stmt.target.name)
            not_hoisted.append((stmt, "the array may be kept"))
        else:
            stay.append(stmt)
    gone = set(map(id, stay))
    for block, body in zip(blocks, before):
        block.body = [stmt for stmt in body if id(stmt) not in gone]
    return stay, not_hoisted


def _remove_dead_parfor(original, parfor, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap):
    # An array that the code no longer names may still be read or written by a call that has it. Numba would replace a
    # read by the value that was stored, and remove the store.
    if uses_interlock(typemap) and _loop_is_barrier(parfor, typemap):
        lives_n_aliases = lives_n_aliases | {var.name for var in parfor.list_vars() if var.name in typemap}
    return original(parfor, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap)


# The result of an operator is a new array, and Numba's analysis follows the others.
_FOLLOWED = ("arrayexpr", "binop", "cast", "inplace_binop", "unary")
_COPIES = ("astype", "copy", "empty_like", "full_like", "ones_like", "zeros_like")


def _shares_memory(value, typemap, func_ir):
    """Return the variables whose memory an expression's value may share; None if it is new, or Numba itself knows."""
    operands = [var for var in value.list_vars() if not _is_value(typemap.get(var.name))]
    if value.op in _FOLLOWED:
        return None
    if value.op in ("getitem", "static_getitem") and isinstance(typemap.get(value.value.name), types.Array):
        return None  # a view, of which Numba knows
    if value.op != "call":
        return operands or None
    name, owner = guard(find_callname, func_ir, value, typemap) or (None, None)
    is_of_array = isinstance(owner, ir.Var) and isinstance(typemap.get(owner.name), types.Array)
    if name in _COPIES and (owner == "numpy" or is_of_array):
        return None
    method = guard(get_definition, func_ir, value.func)
    if isinstance(method, ir.Expr) and method.op == "getattr" and not _is_value(typemap.get(method.value.name)):
        operands.append(method.value)
    return operands if operands or is_opaque(typemap.get(value.func.name)) else None


def _note_alias(stmt, _args, typemap, func_ir, *aliases):
    """Mark a value that may share memory with the operands of its expression, and these, as aliases of an argument.

    Numba takes what a call, an iterator, a tuple or another container returns to be new, and also views such as
    ``np.asarray(a)``. It would remove writes to such an array if no code reads it, and move reads across them.
    """
    value = getattr(stmt, "value", None)
    if not isinstance(value, ir.Expr) or typemap is None or _is_value(typemap.get(stmt.target.name)):
        return
    operands = _shares_memory(value, typemap, func_ir)
    if operands is not None and uses_interlock(typemap):
        # `aliases` are a map of aliases and the set of arguments' aliases. Some callers in Numba swap them.
        for known in aliases:
            if isinstance(known, set):
                known.update(var.name for var in [stmt.target, *operands])


def _create_gufunc(original, lowerer, parfor, typemap, *rest):
    _check_slices(lowerer.func_ir, parfor, typemap)
    rest = list(rest)
    if uses_interlock(typemap) and _loop_is_barrier(parfor, typemap):
        _check_implicit(parfor, typemap)
        _check_dimensions(parfor, typemap)
        _check_assigned(parfor, races=rest[_parameter("races")])
        # Without aliases, LLVM may keep an array's element in a register across a call.
        rest[_parameter("has_aliases")] = True
    return original(lowerer, parfor, typemap, *rest)


def _parameter(name):
    """Return the place of a parameter of `_create_gufunc_for_parfor_body` after `typemap`."""
    return RELIES_ON[lowering, "_create_gufunc_for_parfor_body"].index(name) - 3


def _check_assigned(parfor, races):
    """Reject a loop that assigns to a variable from outside of it, and warn of one that reads the variable of a reduction.

    Each thread has its own copy of such a variable. After the loop Numba combines the copies of a reduction, `n += 1`. It
    warns of other variables, the `races`, except those that are assigned under a condition: their copies are lost without a
    word.
    """
    statements = [stmt for stmt in _statements(parfor.loop_body.values()) if not isinstance(stmt, ir.Del)]
    assigns = [stmt for stmt in statements if isinstance(stmt, ir.Assign)]
    lost = sorted({stmt.target.name for stmt in assigns} & set(parfor.params) - set(parfor.redvars) - set(races))
    if lost:
        name = lost[0].partition(".")[0]
        raise errors.TypingError(
            f"this parallel loop assigns `{name}`, which is a variable from outside of the loop: each thread has its own, "
            f"under a lock too, and what it assigns is lost. Use an array of one element, as in `{name}[0] = ...`",
            loc=parfor.loc,
        )
    for reduced in parfor.redvars:
        names, size = {reduced}, None  # also of what is assigned to it
        while size != len(names):
            size = len(names)
            names |= {s.value.name for s in assigns if s.target.name in names and isinstance(s.value, ir.Var)}
        for stmt in statements:
            if isinstance(stmt, passes.Parfor) or (isinstance(stmt, ir.Assign) and stmt.target.name in names):
                continue
            if any(var.name in names for var in stmt.list_vars()):
                name = reduced.partition(".")[0]
                warnings.warn(
                    errors.NumbaParallelSafetyWarning(
                        f"this parallel loop reads `{name}`, a reduction: in the loop each thread has its own, under a lock "
                        f"too. For one that threads share, use an array of one element, as in `{name}[0] += ...`",
                        loc=stmt.loc,
                    ),
                    stacklevel=2,
                )
                break


# What Numba makes a parallel loop of besides prange, by a part of the loop's pattern: its name, and the option to switch it
# off. The others are array expressions.
_IMPLICIT = {
    "prange": ("array comprehension", "comprehension"),
    "stencil": ("stencil", "stencil"),
    "reduction": ("`reduce`", "reduction"),
}


def _check_implicit(parfor, typemap):
    """Reject an array comprehension, an array expression or the like that uses interlock: its calls would have any order."""
    implicit = [pattern for pattern in parfor.patterns if pattern[:2] not in (("prange", "user"), ("prange", "pndindex"))]
    if not implicit:
        return
    names = {var.name for stmt in _statements(parfor.loop_body.values()) for var in stmt.list_vars()}
    if leads_to_interlock([typemap[name] for name in names if name in typemap and is_opaque(typemap[name])]):
        what, option = next((_IMPLICIT[part] for part in _IMPLICIT if part in implicit[0]), ("array expression", "numpy"))
        raise errors.TypingError(
            f"with parallel=True this {what} is a parallel loop: its calls of interlock would have any order, "
            "and their errors would be lost. Write a `for` loop, or `prange` if that is meant, or compile with "
            f"parallel={{'{option}': False}}",
            loc=parfor.loc,
        )


def _check_dimensions(parfor, typemap):
    """Reject an array of 0 dimensions: Numba gives its element, as it is before the loop, to the loop's threads."""
    if any(isinstance(typemap[name], types.Array) and typemap[name].ndim == 0 for name in parfor.params):
        raise errors.TypingError(
            "a parallel loop cannot use an array of 0 dimensions from outside of it: Numba would give the loop a number. "
            "Use an array of one element",
            loc=parfor.loc,
        )


# --- slices of a PerThread --------------------------------------------------------------------------------------------


def _follow(statements, names, sources):
    """Return `names`, with the names of all variables that are assigned from them.

    `sources(value)` returns the variables of which the value of an assignment is a copy or part.
    """
    assigns = [stmt for stmt in statements if isinstance(stmt, ir.Assign)]
    size = None
    while size != len(names):
        size = len(names)
        for stmt in assigns:
            if any(source.name in names for source in sources(stmt.value)):
                names = names | {stmt.target.name}
    return names


def _copied(value):
    """Return the variable, in a list, of which a value is a copy or a part."""
    is_part = isinstance(value, ir.Expr) and value.op in ("getitem", "static_getitem", "cast")
    source = value.value if is_part else value
    return [source] if isinstance(source, ir.Var) else []


def _views(func_ir, statements, names, typemap, own_element=frozenset()):
    """Return `names`, with the names of all copies and views. The part of an iteration, by its `own_element`, is none."""

    def sources(value):
        if not isinstance(value, ir.Expr) or _copied(value):
            is_own = isinstance(value, ir.Expr) and value.op == "getitem" and value.index.name in own_element
            return [] if is_own else _copied(value)
        is_unknown = value.op == "call" and is_opaque(typemap.get(value.func.name))  # a helper may return a new array
        return [] if is_unknown else _shares_memory(value, typemap, func_ir) or []

    return {name for name in _follow(statements, names, sources) if not _is_value(typemap.get(name))}


def _is_own_slice(typ):
    """Return whether the type is of the function that `local()` is inlined to (see `per_thread`)."""
    return isinstance(typ, types.Function) and getattr(typ.typing_key, "__name__", "") == "_own_slice"


def _check_slices(func_ir, parfor, typemap):
    """Reject a loop whose threads all write to one thread's slice, unless each iteration writes to its own element."""
    own = {
        stmt.target.name
        for block in func_ir.blocks.values()
        for stmt in block.find_insts(ir.Assign)
        if isinstance(stmt.value, ir.Expr) and stmt.value.op == "call" and _is_own_slice(typemap[stmt.value.func.name])
    }
    if not own:
        return
    loop = list(_statements(parfor.loop_body.values()))
    own_element = _follow(loop, {nest.index_variable.name for nest in parfor.loop_nests}, _copied)
    outside = [stmt for block in func_ir.blocks.values() for stmt in block.body]
    slices = _views(func_ir, outside, own, typemap)
    slices = _views(func_ir, loop, slices, typemap, own_element)
    reduced = _follow(loop, set(parfor.redvars), _copied)
    for stmt in loop:
        value = getattr(stmt, "value", None)
        if isinstance(stmt, (ir.SetItem, ir.StaticSetItem)):
            is_own = isinstance(stmt.index, ir.Var) and stmt.index.name in own_element
            is_store = stmt.target.name in slices and not is_own
        else:
            is_operator = isinstance(value, ir.Expr) and value.op == "inplace_binop"
            is_store = is_operator and value.lhs.name in slices - reduced
        if is_store:
            raise errors.TypingError(
                "this parallel loop writes to an array that `local()` returned before the loop: it is one thread's, and "
                "all threads would write to it. Call `local()` inside the loop",
                loc=stmt.loc,
            )


# --- installation -----------------------------------------------------------------------------------------------------

_REPLACEMENTS = {
    (passes, "maximize_fusion"): _maximize_fusion,
    (passes, "_can_reorder_stmts"): _can_reorder_stmts,
    (passes, "try_fuse"): _try_fuse,
    (passes, "remove_dead_parfor"): _remove_dead_parfor,
    (lowering, "hoist"): _hoist,
    (lowering, "_create_gufunc_for_parfor_body"): _create_gufunc,
}

_unknown = unknown_parts()


def _replace(module, name, replacement):
    original = getattr(module, name)

    @wraps(original)
    def wrapper(*args, **kwargs):
        return replacement(original, *args, **kwargs)

    setattr(module, name, wrapper)


if _unknown:

    @register_rewrite("after-inference")
    class Refuse(Rewrite):
        """Rewrites nothing: it raises, or does not match."""

        def __init__(self, state=None):
            self._is_parallel = state is not None and state.flags.auto_parallel.enabled

        def match(self, func_ir, block, typemap, calltypes):
            if self._is_parallel and uses_interlock(typemap):
                raise errors.UnsupportedError(
                    f"interlock does not know how Numba {numba.__version__} moves code with parallel=True "
                    f"({', '.join(_unknown)}): use threads with nogil=True, or another version of Numba",
                    loc=func_ir.loc,
                )
            return False

else:
    for (_module, _name), _replacement in _REPLACEMENTS.items():
        _replace(_module, _name, _replacement)
    remove_dead_extensions[passes.Parfor] = passes.remove_dead_parfor
    alias_analysis_extensions[ir.Assign] = _note_alias
