"""How Numba translates ``with lock:``.

Numba has no extension point for a context manager that is known only by its type, such as a lock among the arguments, and
drops a ``try`` inside any ``with`` from Python 3.11 on. So this file, and no other, changes Numba's translation of
bytecode, for functions with a ``with`` that is not one of Numba's own:

1. The body of such a ``with`` is no region of its own. A ``try`` in it or around it is translated as anywhere else
   (`_find_exception_entry`).
2. Numba's IR then says where the body begins (EnterWith) and where it is left in the normal way: a call of the manager's
   exit function. These become calls of `enter` and `leave` (`_rewrite`); where an exception handler begins, `unwind`
   releases what the exception left held. What these three are, and what happens to an exception that leaves the function,
   is in `held`.

Relied upon, and checked by test_numba_private.py: `Interpreter.interpret` and `post_process`; `State.is_in_exception` and
`get_exception`; `TraceRunner`'s operations that push a block for a ``with``, and
`_adjust_except_stack`; the IR's EnterWith and PopBlock; the names `$setup_with_exitfn` and `$exception_check`; the calls
of `eh.mark_try_block` and `eh.end_try_block`. Of the bytecode itself: WITH_EXCEPT_START opens the handler of a ``with``.
"""

import itertools
import threading
from functools import wraps

from numba.core import byteflow, errors, interpreter, ir
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.ir_utils import build_definitions, find_outer_value, get_definition, guard
from numba.core.unsafe import eh

from .held import begin_at_depth, enter, leave, unwind

UnsupportedBytecodeError = getattr(errors, "UnsupportedBytecodeError", errors.UnsupportedError)  # since Numba 0.57

# From Python 3.11 on a table says which instructions are in a `try` or `with`; before, blocks are pushed and popped.
_HAS_TABLE = hasattr(byteflow.State, "is_in_exception")

_EXIT = "$setup_with_exitfn"  # the name that Numba gives to a manager's exit function
_BEGINS = ("SETUP_WITH", "BEFORE_WITH", "LOAD_SPECIAL")

_sites = itertools.count()


class _Translated(threading.local):
    """The offsets of the ``with`` of ours in the function that this thread translates."""

    withs = frozenset()


_translated = _Translated()


def is_ours(func_ir, enter_with):
    """Whether Numba does not know what to do with this manager: what it knows is a global with `mutate_with_body`."""
    manager = guard(get_definition, func_ir, enter_with.contextmanager)
    if isinstance(manager, ir.Expr) and manager.op == "call":
        manager = manager.func
    elif isinstance(manager, (ir.Global, ir.FreeVar)):
        return not hasattr(manager.value, "mutate_with_body")
    else:
        return True
    return not hasattr(guard(find_outer_value, func_ir, manager), "mutate_with_body")


# --- translation ------------------------------------------------------------------------------------------------------


def _interpret(original):
    @wraps(original)
    def interpret(self, bytecode):
        if any(inst.opname == "WITH_EXCEPT_START" for inst in bytecode):
            _translated.withs = _find_ours(self, original, bytecode)
        try:
            return original(self, bytecode)
        finally:
            _translated.withs = frozenset()

    return interpret


def _find_ours(self, original, bytecode):
    """The offsets at which a ``with`` of ours begins."""
    first = type(self)(self.func_id)
    first.post_process = lambda peepholes, func_ir: func_ir
    try:
        func_ir = original(first, bytecode)
    except UnsupportedBytecodeError as error:
        if "as (variable)" in str(error):
            raise _with_as(self, bytecode) from None
        raise
    enters = [stmt for block in func_ir.blocks.values() for stmt in block.find_insts(ir.EnterWith)]
    return frozenset(stmt.begin for stmt in enters if is_ours(func_ir, stmt))


def _with_as(interpreter, bytecode):
    lines = [
        inst.lineno
        for inst in bytecode
        if inst.opname in _BEGINS and inst.next in bytecode and bytecode[inst.next].opname.startswith("STORE_")
    ]
    loc = interpreter.loc.with_lineno(min(lines)) if lines else interpreter.loc
    return UnsupportedBytecodeError(
        "a kernel cannot write `with ... as x`: write `with lock:` or `with held(lock):`, and use the lock by its own name",
        loc=loc,
    )


def _post_process(original):
    @wraps(original)
    def post_process(self, peepholes, func_ir):
        if _translated.withs:
            _settle_tries(func_ir.blocks, self.dfa.infos)
            _rewrite(func_ir, _translated.withs)
        return original(self, peepholes, func_ir)

    return post_process


# --- flow: the body of a `with` of ours is no region of its own ---------------------------------------------------------


def _begin_with(original):
    """An operation that pushes a block for a ``with``."""

    @wraps(original)
    def begin(self, state, inst):
        original(self, state, inst)
        if inst.offset not in _translated.withs:
            return
        if _HAS_TABLE:
            state._blockstack.pop()
            state._outedges[:] = [edge._replace(blockstack=edge.blockstack[:-1]) for edge in state._outedges]
        # Numba leaves this out, for it takes no exception from a `with`. But to acquire a lock may raise one.
        if state.has_active_try():
            _fork_to_handler(self, state)

    return begin


def _fork_to_handler(runner, state):
    if _HAS_TABLE:
        runner._adjust_except_stack(state)
        return
    # As in Flow._run_handle_exception.
    block = state.get_top_block("TRY")
    state.pop_block_and_above(block)
    handler = block["handler"]
    is_finally = handler["kind"] == byteflow.BlockKind("FINALLY")
    state.fork(
        pc=block["end"],
        npop=max(state.stack_depth - block["entry_stack"], 0),
        npush=byteflow._FINALLY_POP if is_finally else byteflow._EXCEPT_STACK_OFFSET,
        extra_block=handler,
    )


def _find_exception_entry(bytecode, offset):
    """The entry of the exception table for an instruction; not those of the handlers of ``with``, but the next outer.

    It holds as far as the table's own entry for that instruction.
    """
    if not _translated.withs:
        return bytecode.find_exception_entry(offset)
    entry = innermost = bytecode.find_exception_entry(offset)
    while entry is not None:
        handler = bytecode[entry.target]
        if handler.opname != "WITH_EXCEPT_START" and handler.next in bytecode:
            handler = bytecode[handler.next]  # after PUSH_EXC_INFO
        if handler.opname != "WITH_EXCEPT_START":
            break
        # An exception in that handler leads to its cleanup, and from there to what is around the `with`.
        cleanup = _innermost_entry(bytecode, handler.offset)
        entry = cleanup and _innermost_entry(bytecode, cleanup.target)
    return entry and entry._replace(start=innermost.start, end=innermost.end)


def _innermost_entry(bytecode, offset):
    # To `find_exception_entry` of Numba 0.56, the end of an entry is its last instruction, so a cleanup leads to itself.
    entries = [entry for entry in bytecode.exception_entries if entry.start <= offset < entry.end]
    return max(entries, key=lambda entry: entry.depth, default=None)


def install():
    """Changes Numba, once."""
    cls = interpreter.Interpreter
    cls.interpret = _interpret(cls.interpret)
    cls.post_process = _post_process(cls.post_process)
    for name in _BEGINS:
        operation = getattr(byteflow.TraceRunner, "op_" + name, None)
        if operation:
            setattr(byteflow.TraceRunner, "op_" + name, _begin_with(operation))
    if _HAS_TABLE:
        state = byteflow.State
        state.is_in_exception = lambda self: _find_exception_entry(self._bytecode, self._pc) is not None
        state.get_exception = lambda self: _find_exception_entry(self._bytecode, self._pc)


# --- IR: a `with` becomes calls ----------------------------------------------------------------------------------------


class _With:
    """A ``with`` in Numba's IR, and the calls that it becomes."""

    def __init__(self, label, stmt):
        self.label, self.manager, self.loc = label, stmt.contextmanager, stmt.loc
        self.site = next(_sites)
        self.is_caught = False  # by a handler of this function, outside
        self.exits = []  # the labels of blocks with a normal way out

    def operands(self, block, code, loc):
        """The number of this ``with`` and whether an exception in it is caught; and the manager, which this keeps alive."""
        return [_constant(block, code, self.site, loc), _constant(block, code, int(self.is_caught), loc), self.manager]


def _constant(block, code, value, loc):
    variable = block.scope.redefine("$held_const", loc)
    code.append(ir.Assign(ir.Const(value, loc), variable, loc))
    return variable


def _call(block, code, function, arguments, loc, target=None):
    name = block.scope.redefine(f"$held_{function.__name__}", loc)
    code.append(ir.Assign(ir.Global(function.__name__, function, loc), name, loc))
    target = target or block.scope.redefine("$held", loc)
    code.append(ir.Assign(ir.Expr.call(name, arguments, (), loc), target, loc))


def _rewrite(func_ir, offsets):
    blocks = func_ir.blocks
    withs, others, exit_of = [], [], {}
    for label in sorted(blocks):
        body = blocks[label].body
        for enter_with, exit_function in zip(body, body[1:]):
            if isinstance(enter_with, ir.EnterWith):
                this = _With(label, enter_with)
                this.manager = _source(func_ir, this.manager)
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
                _call(block, code, leave, left.operands(block, code, stmt.loc), stmt.loc, stmt.target)
            elif not (isinstance(stmt, ir.PopBlock) and nest.innermost(label) not in others):
                code.append(stmt)
        block.body = code
    for label, caught in handlers.items():
        _unwind_at(blocks[label], caught)
    func_ir._definitions = build_definitions(blocks)


def _source(func_ir, variable):
    """The variable of which this is a copy, if that is set nowhere else: a copy of an object counts references."""
    while True:
        definitions = func_ir._definitions.get(variable.name, ())
        if len(definitions) != 1 or not isinstance(definitions[0], ir.Var):
            return variable
        source = definitions[0]
        if len(func_ir._definitions.get(source.name, ())) != 1:
            return variable
        variable = source


def _callee(stmt):
    """The name of the variable that a statement calls, or None."""
    if isinstance(stmt, ir.Assign) and isinstance(stmt.value, ir.Expr) and stmt.value.op == "call":
        return stmt.value.func.name
    return None


def _follow_copies(blocks, exit_of):
    """Adds the variables into which an exit function is copied, at the ends of blocks."""
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

    A block is, if it can be reached only by way of the entry, and the block of no normal way out comes before it.
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
    """Refuses what cannot be had."""
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
                    "a `with` of a lock cannot stand inside `with objmode` or another of Numba's contexts: call a Python "
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
    """The label of each block that handles exceptions, with those of the blocks where they come from."""
    sources = {}
    for label, block in blocks.items():
        if isinstance(block.terminator, ir.Branch) and block.terminator.cond.name.startswith("$exception_check"):
            sources.setdefault(block.terminator.truebr, []).append(label)
        elif any(isinstance(stmt, (ir.TryRaise, ir.StaticTryRaise)) for stmt in block.body):
            for target in block.terminator.get_targets():
                sources.setdefault(target, []).append(label)
    return sources


def _settle_tries(blocks, infos):
    """Replaces the marks by which Numba counts up and down how many `try` it is in.

    They do not agree where a loop in a `try` goes on after a part that is not in it, such as a `return` or the handler of
    a ``with``: then an exception after the `try` is lost. Numba's analysis of the bytecode knows the number of each block.
    """
    handlers = _handlers(blocks)
    if not handlers:
        return
    kind = byteflow.BlockKind("TRY")
    depths = {label: sum(block["kind"] == kind for block in infos[label].blockstack) for label in blocks}
    before = {label: [] for label in blocks}
    for label, block in blocks.items():
        for target in block.terminator.get_targets():
            before[target].append(label)
    for label, block in blocks.items():
        code = []
        if label in handlers or any(depths[other] != depths[label] for other in before[label]):
            depth = _constant(block, code, depths[label], block.loc)
            is_handler = _constant(block, code, int(label in handlers), block.loc)
            _call(block, code, begin_at_depth, [depth, is_handler], block.loc)
        block.body = code + [stmt for stmt in block.body if not _is_mark(stmt)]


def _is_mark(stmt):
    if not isinstance(stmt, ir.Assign):
        return False
    if isinstance(stmt.value, ir.Global):
        return stmt.value.value in (eh.mark_try_block, eh.end_try_block)
    return stmt.target.name.startswith(("$callres_mark_try_block", "$callres_end_try_block"))


_AFTER_DEPTH = 4  # the statements by which a handler begins (see `_settle_tries`)


def _unwind_at(block, withs):
    """Releases, where a handler begins, what the exception left held. An exception of that is handled here, too."""
    if not withs:
        return
    code, loc = [], block.loc
    _call(block, code, eh.mark_try_block, (), loc)
    for this in reversed(withs):
        _call(block, code, unwind, [_constant(block, code, this.site, loc)], loc)
    _call(block, code, eh.end_try_block, (), loc)
    block.body[_AFTER_DEPTH:_AFTER_DEPTH] = code
