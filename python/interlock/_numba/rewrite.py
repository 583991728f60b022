"""Replaces a ``with`` in Numba's IR by calls of `enter`, `leave` and `unwind` (see `held`), and corrects the count of `try`.

It works on the IR that Numba has just made from the bytecode, before any other pass (see `withs`).
"""

import itertools

from numba.core import byteflow, errors, ir
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.ir_utils import build_definitions, find_outer_value, get_definition, guard
from numba.core.unsafe import eh

from .._held import held
from .held import begin_at_depth, enter, leave, try_depth, unwind
from .variables import new_variable

_sites = itertools.count()


class _With:
    """A ``with`` in Numba's IR, and the calls that it becomes."""

    def __init__(self, label, stmt):
        self.label, self.manager, self.loc = label, stmt.contextmanager, stmt.loc
        self.site = next(_sites)
        self.is_caught = False  # by a handler of this function, outside the body
        self.exits = []  # the labels of blocks with a normal way out
        self.owners = []  # the variable of the object of whose lock the manager is a view

    def operands(self, block, code, loc):
        """Return the site's number, whether an exception in it is caught, and the manager, which the call keeps alive."""
        return [_constant(block, code, self.site, loc), _constant(block, code, int(self.is_caught), loc), self.manager]


def _constant(block, code, value, loc):
    variable = new_variable(block, "const", loc)
    code.append(ir.Assign(ir.Const(value, loc), variable, loc))
    return variable


def _call(block, code, function, arguments, loc, target=None):
    name = new_variable(block, function.__name__, loc)
    code.append(ir.Assign(ir.Global(function.__name__, function, loc), name, loc))
    target = target or new_variable(block, "result", loc)
    code.append(ir.Assign(ir.Expr.call(name, arguments, (), loc), target, loc))


def rewrite(func_ir, offsets):
    """Replace each ``with`` that begins at one of the `offsets` by calls."""
    blocks = func_ir.blocks
    withs, others, exit_of = [], [], {}
    for label in sorted(blocks):
        body = blocks[label].body
        for enter_with, exit_function in zip(body, body[1:]):
            if isinstance(enter_with, ir.EnterWith):
                this = _With(label, enter_with)
                this.manager = _source(func_ir, this.manager)
                this.owners = _owners(func_ir, this.manager)
                (withs if enter_with.begin in offsets else others).append(this)
                exit_of[exit_function.target.name] = this
    _follow_copies(blocks, exit_of)
    for label, block in blocks.items():
        for stmt in block.body:
            if _callee(stmt) in exit_of:
                exit_of[_callee(stmt)].exits.append(label)
    nest = _Nest(blocks, withs + others)
    _check(blocks, nest, withs, others, exit_of)

    handlers = {}
    for label, sources in _handlers(blocks).items():
        caught = [w for w in withs if not nest.is_inside(label, w) and any(nest.is_inside(source, w) for source in sources)]
        for this in caught:
            this.is_caught = True
        handlers[label] = caught
    for label, block in blocks.items():
        code = []
        for stmt in block.body:
            left = exit_of.get(_callee(stmt))
            if isinstance(stmt, ir.EnterWith) and stmt.begin in offsets:
                entered = exit_of[block.body[block.body.index(stmt) + 1].target.name]
                _call(block, code, enter, entered.operands(block, code, stmt.loc), stmt.loc)
            elif left in withs:
                _call(block, code, leave, [*left.operands(block, code, stmt.loc), *left.owners], stmt.loc, stmt.target)
            elif not (isinstance(stmt, ir.PopBlock) and nest.innermost(label) not in others):
                code.append(stmt)
        block.body = code
    for label, caught in handlers.items():
        _unwind_at(blocks[label], caught)
    func_ir._definitions = build_definitions(blocks)


def _source(func_ir, variable):
    """Return the variable of which this is a copy, or a copy of a copy; or this one, if one of them is assigned twice.

    The calls use that variable itself, because each copy of an object would count a reference.
    """
    source = variable
    while True:
        definitions = func_ir._definitions.get(source.name, ())
        if len(definitions) != 1:
            return variable
        (definition,) = definitions
        if not isinstance(definition, ir.Var):
            # `literal_unroll` replaces the copies of a loop's variable, one for each type, and not the variable itself.
            return variable if isinstance(definition, ir.Expr) and definition.op == "pair_first" else source
        source = definition


def _owners(func_ir, manager):
    """Return a list: the variable of the object if the manager is ``held(object, ...)`` or ``object.method(...)``.

    Such a manager has no reference to the object, so `leave` gets the object to keep it alive.
    """
    call = guard(get_definition, func_ir, manager)
    if not (isinstance(call, ir.Expr) and call.op == "call"):
        return []
    callee, method = guard(find_outer_value, func_ir, call.func), guard(get_definition, func_ir, call.func)
    if callee is held:
        found = call.args[:1]
    else:
        found = [method.value] if callee is None and isinstance(method, ir.Expr) and method.op == "getattr" else []
    deleted = {stmt.value for block in func_ir.blocks.values() for stmt in block.find_insts(ir.Del)}
    return [var for var in found if len(func_ir._definitions[var.name]) == 1 and var.name not in deleted]


def _callee(stmt):
    """Return the name of the variable that a statement calls, or None."""
    if isinstance(stmt, ir.Assign) and isinstance(stmt.value, ir.Expr) and stmt.value.op == "call":
        return stmt.value.func.name
    return None


def _follow_copies(blocks, exit_of):
    """Add the variables into which an exit function is copied at the ends of blocks."""
    copies = [
        (stmt.target.name, stmt.value.name)
        for block in blocks.values()
        for stmt in block.find_insts(ir.Assign)
        if isinstance(stmt.value, ir.Var)
    ]
    found = True
    while found:
        found = [(target, source) for target, source in copies if source in exit_of and target not in exit_of]
        for target, source in found:
            exit_of[target] = exit_of[source]


class _Nest:
    """Which blocks are in the body of which ``with``.

    A block is in a body if the body's entry dominates it, and no block with a normal way out does.
    """

    def __init__(self, blocks, withs):
        self._dominators = compute_cfg_from_blocks(blocks).dominators()
        self._entry = {this: blocks[this.label].terminator.get_targets()[-1] for this in withs}
        self._withs = withs

    def is_inside(self, label, this):
        before = self._dominators.get(label, ())
        return self._entry[this] in before and not any(out in before and out != label for out in this.exits)

    def innermost(self, label):
        inside = [this for this in self._withs if self.is_inside(label, this)]
        return max(inside, key=lambda this: len(self._dominators[self._entry[this]]), default=None)


def _check(blocks, nest, withs, others, exit_of):
    """Reject what is not supported."""
    for other in others:
        if len(blocks[other.label].terminator.get_targets()) != 1:
            raise errors.CompilerError(
                "Numba cannot have `with objmode` or another of its contexts inside a `try`: give it a function of its own",
                loc=other.loc,
            )
    for this in withs:
        for other in others:
            if nest.is_inside(this.label, other):
                raise errors.CompilerError(
                    "a `with` of a lock cannot stand inside `with objmode` or another of Numba's contexts: call a "
                    "function there that has the `with`, or put `with held(lock):` around it",
                    loc=this.loc,
                )
        for label, block in blocks.items():
            if not nest.is_inside(label, this):
                continue
            for stmt in block.find_insts(ir.Assign):
                if exit_of.get(_callee(stmt)) is this:
                    break
                if isinstance(stmt.value, ir.Yield):
                    raise errors.CompilerError(
                        "a generator cannot yield inside `with held(lock):` or `with lock:`, for it may never be resumed: "
                        "leave the `with` before the yield",
                        loc=stmt.loc,
                    )


def _handlers(blocks):
    """Return the label of each block that handles exceptions, with the labels of the blocks that raise them."""
    sources = {}
    for label, block in blocks.items():
        if _is_check(block.terminator):
            sources.setdefault(block.terminator.truebr, []).append(label)
        elif any(isinstance(stmt, (ir.TryRaise, ir.StaticTryRaise)) for stmt in block.body):
            for target in block.terminator.get_targets():
                sources.setdefault(target, []).append(label)
    return sources


def _drop_idle_checks(blocks, infos):
    """Remove the check for an exception from a block that raises none according to Numba's analysis.

    Numba inserts it all the same where an operation begins a new block, as a ``with`` does. The variables of the handler's
    stack would have no value on that path.
    """
    for label, block in blocks.items():
        branch = block.terminator
        if _is_check(branch) and branch.truebr not in infos[label].outgoing_edgepushed:
            block.body[-1] = ir.Jump(branch.falsebr, branch.loc)


def _is_check(terminator):
    return isinstance(terminator, ir.Branch) and terminator.cond.name.startswith("$exception_check")


def settle_tries(blocks, infos):
    """Replace the marks by which Numba counts, up and down, how many `try` blocks the code is in.

    The count is wrong where a loop in a `try` continues after a part outside it, such as a `return` or the handler of a
    ``with``: then an exception after the `try` is lost. Numba's analysis of the bytecode has the right number for each
    block, and `begin_at_depth` sets the count to it where it changes. If the function is inlined into another one, the
    `try` blocks around its call are added: `try_depth` loads their number at its start.
    """
    _drop_idle_checks(blocks, infos)
    handlers = _handlers(blocks)
    if not handlers:
        return
    kind = byteflow.BlockKind("TRY")
    depths = {label: sum(block["kind"] == kind for block in infos[label].blockstack) for label in blocks}
    before = {label: [] for label in blocks}
    for label, block in blocks.items():
        for target in block.terminator.get_targets():
            before[target].append(label)
    start, code = blocks[min(blocks)], []
    base = new_variable(start, "base", start.loc)
    _call(start, code, try_depth, (), start.loc, base)
    start.body[-1:-1] = code
    for label, block in blocks.items():
        code = []
        if label in handlers or any(depths[other] != depths[label] for other in before[label]):
            depth = _constant(block, code, depths[label], block.loc)
            is_handler = _constant(block, code, int(label in handlers), block.loc)
            _call(block, code, begin_at_depth, [depth, is_handler, base], block.loc)
        block.body = code + [stmt for stmt in block.body if not _is_mark(stmt)]


def _is_mark(stmt):
    if not isinstance(stmt, ir.Assign):
        return False
    if isinstance(stmt.value, ir.Global):
        return stmt.value.value in (eh.mark_try_block, eh.end_try_block)
    return stmt.target.name.startswith(("$callres_mark_try_block", "$callres_end_try_block"))


_AFTER_DEPTH = 4  # `settle_tries` has put so many statements at the start of a handler: the call of `begin_at_depth`


def _unwind_at(block, withs):
    """At the start of a handler, release the locks that the exception left held.

    This is in a `try` of its own, so that the handler also gets an exception that a release raises.
    """
    if not withs:
        return
    code, loc = [], block.loc
    _call(block, code, eh.mark_try_block, (), loc)
    for this in reversed(withs):
        _call(block, code, unwind, [_constant(block, code, this.site, loc)], loc)
    _call(block, code, eh.end_try_block, (), loc)
    block.body[_AFTER_DEPTH:_AFTER_DEPTH] = code
