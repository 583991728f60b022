"""How Numba translates ``with lock:``.

Numba has no extension point for a context manager that is identified only by its type, such as a lock among the arguments,
and drops a ``try`` inside any ``with`` from Python 3.11 on. So this file, and no other, changes Numba's translation of
bytecode, for functions with a ``with`` that is not one of Numba's own:

1. The body of such a ``with`` is not a separate region. A ``try`` in it or around it is translated as anywhere else
   (`_find_exception_entry`).
2. Numba's IR then shows where the body begins (EnterWith) and where control leaves it normally: a call of the manager's
   exit function. These become calls of `enter` and `leave`. At the start of an exception handler, `unwind` releases the
   locks that the exception left held (`rewrite`). `held` describes these three, `frame` an exception that leaves the
   function.
3. The number of `try` blocks around the code is set where it changes (`rewrite.settle_tries`).

In all functions, a call in a `try` keeps the names of its keyword arguments. With Python 3.11 and 3.12 Numba forgets them:
to it `queue.get(timeout=1)` was `queue.get(1)`, which waits forever.

Relied upon, and checked by test_numba_private.py: `Interpreter.interpret` and `post_process`, and its `dfa`;
`State.is_in_exception`, `get_exception` and `pop_kw_names`; `TraceRunner`'s operations that push a block for a ``with``, and
`_adjust_except_stack`; the IR's EnterWith and PopBlock; the names `$setup_with_exitfn` and `$exception_check`; the calls
of `eh.mark_try_block` and `eh.end_try_block`. Of the bytecode itself: WITH_EXCEPT_START opens the handler of a ``with``;
KW_NAMES, in Python 3.11 and 3.12, comes right before the call.
"""

import threading
from functools import wraps

from numba.core import byteflow, errors, interpreter, ir
from numba.core.ir_utils import find_outer_value, get_definition, guard

from .rewrite import rewrite, settle_tries

UnsupportedBytecodeError = getattr(errors, "UnsupportedBytecodeError", errors.UnsupportedError)  # since Numba 0.57

# From Python 3.11 on a table lists the instructions in a `try` or `with`. Before, blocks are pushed and popped.
_HAS_TABLE = hasattr(byteflow.State, "is_in_exception")

_BEGINS = ("SETUP_WITH", "BEFORE_WITH", "LOAD_SPECIAL")


class _Translated(threading.local):
    """The offsets of our ``with`` statements in the function that this thread translates."""

    withs = frozenset()


_translated = _Translated()


def is_ours(func_ir, enter_with):
    """Return whether this manager is not Numba's: Numba supports only globals with `mutate_with_body`."""
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
        try:
            _find_ours(self, original, bytecode)
            return original(self, bytecode)
        finally:
            _translated.withs = frozenset()

    return interpret


def _find_ours(self, original, bytecode):
    """Find the offsets at which our ``with`` statements begin.

    This repeats until nothing new is found: Numba reaches a ``with`` in the handler of a `try` in the body of one of ours
    only after that one has been found.
    """
    number = sum(inst.opname == "WITH_EXCEPT_START" for inst in bytecode)
    known, enters = None, ()
    while len(enters) < number and known != _translated.withs:
        known = _translated.withs
        func_ir = _translate(self, original, bytecode)
        enters = [stmt for block in func_ir.blocks.values() for stmt in block.find_insts(ir.EnterWith)]
        _translated.withs = frozenset(stmt.begin for stmt in enters if is_ours(func_ir, stmt))


def _translate(self, original, bytecode):
    """Return the IR as Numba makes it, with EnterWith."""
    first = type(self)(self.func_id)
    first.post_process = lambda peepholes, func_ir: func_ir
    try:
        return original(first, bytecode)
    except UnsupportedBytecodeError as error:
        if "as (variable)" in str(error):
            raise _with_as(self, bytecode) from None
        raise


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
            settle_tries(func_ir.blocks, self.dfa.infos)
            rewrite(func_ir, _translated.withs)
        return original(self, peepholes, func_ir)

    return post_process


# --- flow: the body of one of our `with` is not a separate region -------------------------------------------------------


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
        # Numba omits this edge because its own managers do not raise. But an acquire may raise.
        if state.has_active_try():
            _fork_to_handler(self, state)

    return begin


def _fork_to_handler(runner, state):
    if _HAS_TABLE:
        runner._adjust_except_stack(state)
        return
    # The same as in Flow._run_handle_exception.
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
    """Return the entry of the exception table for an instruction; for the handler of a ``with``, the next outer entry.

    It covers the same instructions as the table's own entry.
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
        # An exception in that handler goes to its cleanup, and from there to the code around the `with`.
        cleanup = _innermost_entry(bytecode, handler.offset)
        entry = cleanup and _innermost_entry(bytecode, cleanup.target)
    return entry and entry._replace(start=innermost.start, end=innermost.end)


def _innermost_entry(bytecode, offset):
    # Numba 0.56's `find_exception_entry` includes the end of an entry, so that a cleanup would lead to itself.
    entries = [entry for entry in bytecode.exception_entries if entry.start <= offset < entry.end]
    return max(entries, key=lambda entry: entry.depth, default=None)


def _keep_names(original):
    """A call in a `try` finds the names of its keyword arguments.

    There Numba's trace begins anew, with another State, at each instruction that may raise, and some are between the one
    that names them and the call.
    """

    @wraps(original)
    def pop_kw_names(self):
        names = original(self)
        for offset in range(self._pc - 2, 0, -2) if names is None else ():
            inst = self._bytecode[offset] if offset in self._bytecode else None  # else a part of the next one
            if inst is not None and inst.opname not in ("PRECALL", "CACHE"):
                return inst.arg if inst.opname == "KW_NAMES" else None
        return names

    return pop_kw_names


def install():
    """Replace the functions in Numba. To be called once."""
    cls = interpreter.Interpreter
    cls.interpret = _interpret(cls.interpret)
    cls.post_process = _post_process(cls.post_process)
    for name in _BEGINS:
        operation = getattr(byteflow.TraceRunner, "op_" + name, None)
        if operation:
            setattr(byteflow.TraceRunner, "op_" + name, _begin_with(operation))
    if hasattr(byteflow.State, "pop_kw_names"):
        byteflow.State.pop_kw_names = _keep_names(byteflow.State.pop_kw_names)
    if _HAS_TABLE:
        state = byteflow.State
        state.is_in_exception = lambda self: _find_exception_entry(self._bytecode, self._pc) is not None
        state.get_exception = lambda self: _find_exception_entry(self._bytecode, self._pc)
