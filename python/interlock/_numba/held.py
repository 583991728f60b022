"""``with held(lock):`` in nopython code.

Numba lets a library define contexts, but an exception leaves their body without a word to them. So the body becomes a
function of its own, called in a way that hands its error back instead of passing it on at once:

    lock.acquire()
    code, exception, (way, *outputs) = body(*inputs)
    lock.release()
    if code: raise exception
    jump to where the body left, by its `way` out
"""

import copy
import operator
from functools import partial
from types import FunctionType
from typing import Any

from numba import pndindex, prange
from numba.core import bytecode, cgutils, compiler, ir, types
from numba.core.analysis import compute_cfg_from_blocks, compute_live_map, compute_use_defs
from numba.core.callconv import excinfo_ptr_t
from numba.core.errors import CompilerError, TypingError
from numba.core.ir_utils import build_definitions, find_const, find_outer_value, guard
from numba.core.transforms import find_setupwiths
from numba.extending import intrinsic

from interlock._held import held


def lift(func_ir: Any, blocks: Any, head: Any, end: Any, _body: Any, dispatcher_factory: Any, _extra: Any) -> object:
    """The `mutate_with_body` of Numba's contexts: makes the block `head` of `blocks` do all that the ``with`` does."""
    line = blocks[head].loc.line
    code = bytecode.ByteCode(func_ir.func_id)
    if not hasattr(code, "exception_entries"):  # before Python 3.11 Numba knows where it ends
        _lift(func_ir, blocks, head, dispatcher_factory, lambda *_: {end})
        func_ir._definitions = build_definitions(blocks)
        return _Lifted(line)

    if not hasattr(func_ir, "held_calls"):
        func_ir.held_calls = _lift_all(func_ir, blocks, head, dispatcher_factory, code)
    target = func_ir.held_calls.pop(head)
    if target is None:
        del blocks[head]
    else:
        blocks[head].body = [ir.Jump(target, blocks[head].loc)]
    if not func_ir.held_calls:
        func_ir._definitions = build_definitions(blocks)
    return _Lifted(line)


def _lift_all(func_ir, blocks, head, dispatcher_factory, code):
    """Lifts all bodies at once; tells where each block leads for which Numba calls `lift`, None if it is out of use.

    From Python 3.11 on, Numba finds one way out of each body, its end. If another leads to the end of another ``with``,
    Numba takes that for an end of the first, joins the two, and forgets the other.
    """
    function, source = func_ir.func_id.func, func_ir
    called, _ = find_setupwiths(compiler.run_frontend(function))
    enters = {label: next(blocks[label].find_insts(ir.EnterWith)) for label, _ in called}
    others = [enter for enter in enters.values() if not _call(func_ir, enter)]
    if any(stmt.target.name == "$cp" for block in blocks.values() for stmt in block.find_insts(ir.Assign)):
        if others:
            raise CompilerError("Numba mixes these `with`; put this one in a function of its own", loc=others[0].loc)
        source = compiler.run_frontend(function)
        blocks.clear()
        blocks.update(source.blocks)

    firsts = {label: blocks[label].terminator.get_targets()[0] for label in enters}
    _lift_within(source, blocks, dispatcher_factory, partial(_ends, code))
    # Numba looks for its statement where it was; what replaces it moves to the place of the body, which is free now.
    targets = {}
    for label, enter in enters.items():
        if enter not in others:
            target = None
            if label in blocks:
                target = firsts[label]
                blocks[target] = blocks[label]
            blocks[label] = ir.Block(blocks[min(blocks)].scope, enter.loc)
            blocks[label].body = [enter, ir.Jump(target or label, enter.loc)]
            targets[label] = target
    return targets


def _call(source, enter):
    """The call of `held` by which a ``with`` begins, or None."""
    call = guard(source.get_definition, enter.contextmanager)
    if isinstance(call, ir.Expr) and call.op == "call" and guard(find_outer_value, source, call.func) is held:
        return call
    return None


def _lift_within(source, blocks, dispatcher_factory, find_ends):
    """Lifts the bodies of every ``with held`` in `blocks`, outer ones first, which take care of the inner."""
    for label in sorted(blocks):
        if label in blocks and any(_call(source, enter) for enter in blocks[label].find_insts(ir.EnterWith)):
            _lift(source, blocks, label, dispatcher_factory, find_ends)


def _lift(source, blocks, head, dispatcher_factory, find_ends):
    """Lifts the body after the block `head`, with all that are in it."""
    scope, loc = blocks[head].scope, blocks[head].loc
    lock, arguments, suffix = _take_call(source, blocks, head)
    [first] = blocks[head].terminator.get_targets()
    region, exits = _region(blocks, head, first, find_ends(blocks, first, loc))
    inputs, outputs = _crossing(blocks, region, first, exits)
    in_prange = _in_prange(source, blocks, head)

    inside = _body_blocks({label: blocks.pop(label) for label in region}, first, exits, inputs, outputs, scope, loc)
    _lift_within(source, inside, dispatcher_factory, find_ends)
    body_ir = _body_ir(source, inside, inputs)
    # The factory knows Numba's context and options; its dispatcher would compile every body twice.
    factory = dispatcher_factory(body_ir)
    flags = factory.flags.copy()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    if in_prange:
        flags.auto_parallel = type(flags.auto_parallel)(False)  # parallel code inside parallel code may end the process
    attempt = _attempt(factory, body_ir, flags)

    emit = _Emitter(ir.Block(scope, loc))
    emit.method(lock, "acquire" + suffix, arguments)
    result = emit.call(attempt, [emit.tuple(scope.get_exact(name) for name in inputs)])
    emit.method(lock, "release" + suffix, arguments)
    emit.call(_propagate, [emit.item(result, 0), emit.item(result, 1)])
    values = emit.item(result, 2)
    way = emit.item(values, 0)
    for i, name in enumerate(outputs):
        emit.item(values, i + 1, scope.get_exact(name))
    blocks[head] = emit.block
    for i, label in enumerate(exits[:-1]):
        other = max(blocks) + 1
        blocks[other] = ir.Block(scope, loc)
        taken = emit.assign(ir.Expr.binop(operator.eq, way, emit.const(i), loc))
        emit.block.append(ir.Branch(taken, label, other, loc))
        emit.block = blocks[other]
    emit.block.append(ir.Jump(exits[-1], loc))


class _Lifted:
    """What Numba keeps of a lifted body, in its cache too. The code itself is linked to the caller's."""

    can_cache = True

    def __init__(self, line):
        self.line = line
        self.overloads = {}  # to print

    def get_source_location(self):
        return self.line


class _Emitter:
    """Appends statements to a block."""

    def __init__(self, block):
        self.block = block

    def assign(self, value, target=None):
        target = target or self.block.scope.redefine("$held", self.block.loc)
        self.block.append(ir.Assign(value, target, self.block.loc))
        return target

    def const(self, value, target=None):
        return self.assign(ir.Const(value, self.block.loc), target)

    def call(self, function, arguments):
        if not isinstance(function, ir.Var):
            function = self.assign(ir.Global("held", function, self.block.loc))
        return self.assign(ir.Expr.call(function, arguments, (), self.block.loc))

    def method(self, value, name, arguments):
        self.call(self.assign(ir.Expr.getattr(value, name, self.block.loc)), arguments)

    def tuple(self, values):
        return self.assign(ir.Expr.build_tuple(list(values), self.block.loc))

    def item(self, value, index, target=None):
        return self.assign(ir.Expr.static_getitem(value, index, None, self.block.loc), target)


def _take_call(source, blocks, head):
    """Takes the call of `held` out of the blocks: its lock, its other arguments, and the suffix of the methods."""
    [enter] = blocks[head].find_insts(ir.EnterWith)
    assigns = {id(s.value): s for block in blocks.values() for s in block.find_insts(ir.Assign)}
    call = _call(source, enter)
    # Under a name of the user's, the lock could be another by now.
    if call is None or id(call) not in assigns or not assigns[id(call)].target.name.startswith("$"):
        raise CompilerError("write the call in the `with` itself: `with held(lock):`", loc=enter.loc)
    if not call.args or call.kws or call.vararg is not None:
        raise CompilerError("held takes a lock and other arguments by position", loc=enter.loc)
    # `held` has no Numba type, so that any call of it that stays is an error.
    for value in (call, source.get_definition(call.func)):
        if id(value) in assigns:
            assigns[id(value)].value = ir.Const(None, enter.loc)
    lock, *arguments = call.args
    mode = guard(find_const, source, arguments[0]) if arguments else None
    if isinstance(mode, str):
        return lock, arguments[1:], "_" + mode
    return lock, arguments, ""


def _region(blocks, head, first, ends):
    """The labels of the body's blocks, and of those of the `ends` to which they lead."""
    region, exits, todo = set(), set(), [first]
    while todo:
        label = todo.pop()
        if label in ends:
            exits.add(label)
        elif label not in region:
            region.add(label)
            todo += blocks[label].terminator.get_targets()
    for label in region:
        block = blocks[label]
        if label == head or isinstance(block.terminator, ir.Return):
            raise _unclear(blocks[head].loc)
        if any(isinstance(stmt.value, ir.Yield) for stmt in block.find_insts(ir.Assign)):
            raise CompilerError("a generator cannot yield inside `with held`: it may never come back", loc=block.loc)
        # A left mark of the end would pass for that of another context.
        if exits.intersection(block.terminator.get_targets()):
            block.body = [stmt for stmt in block.body if not isinstance(stmt, ir.PopBlock)]
    return region, sorted(exits)


def _unclear(loc):
    return CompilerError("cannot tell where this `with held` ends; put it in a function of its own", loc=loc)


# From Python 3.11 on, Numba sees the end of a body, but neither a `return`, `break` or `continue` in it nor a `try`.
# The bytecode has them: an instruction is in the body if an exception in it comes to the handler of the `with`.


_NEVER_RAISE = ("END_FOR", "JUMP_", "NOP", "POP_ITER", "POP_TOP", "PUSH_NULL", "SWAP")  # the table may leave them out
_NO_NEXT = ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "RETURN_", "RAISE_", "RERAISE")


def _ends(code, blocks, first, loc):
    """The labels of blocks to which control leaves the body that begins at the offset `first`."""

    def handlers(offset):
        # Not by Numba's own search: that of 0.56 takes an entry's end for its last instruction.
        while entries := [entry for entry in code.exception_entries if entry.start <= offset < entry.end]:
            offset = max(entries, key=lambda entry: entry.depth).target
            yield offset

    def is_with(handler):
        return code[handler].opname == "PUSH_EXC_INFO" and code[code[handler].next].opname == "WITH_EXCEPT_START"

    end = next(filter(is_with, handlers(first)), None)
    if end is None:
        raise _unclear(loc)
    ends, seen, todo = set(), set(), [first]
    while todo:
        offset = todo.pop()
        if offset in seen:
            continue
        seen.add(offset)
        inst = code[offset]
        inner = list(handlers(offset))
        if end in inner:
            for handler in inner[: inner.index(end)]:
                if code[handler].opname == "PUSH_EXC_INFO" and not is_with(handler):
                    raise CompilerError(
                        "Numba ignores a `try` inside a `with`; put it in a function and call that",
                        loc=loc.with_lineno(inst.lineno),
                    )
        elif inst.opname == "LOAD_CONST":
            ends.add(_split(blocks, offset, loc))
            continue
        elif not inst.opname.startswith(_NEVER_RAISE):
            raise _unclear(loc)
        if inst.is_jump:
            todo.append(inst.get_jump_target())
        if not inst.opname.startswith(_NO_NEXT):
            todo.append(inst.next)
    return ends


def _split(blocks, offset, loc):
    """Splits the block in which a body's end at `offset` is; the label of the later part.

    There the bytecode calls __exit__(None, None, None), and Numba names the first None by its offset.
    """
    for label, block in blocks.items():
        for i, stmt in enumerate(block.body):
            if isinstance(stmt, ir.Assign) and stmt.target.name.startswith(f"$const{offset}."):
                if i == 0:
                    return label
                new = max(blocks) + 1
                blocks[new] = ir.Block(block.scope, stmt.loc)
                blocks[new].body = block.body[i:]
                block.body[i:] = [ir.Jump(new, stmt.loc)]
                return new
    raise _unclear(loc)


def _crossing(blocks, region, first, exits):
    """The names of the variables that the body takes from outside, and of those that it gives back."""
    uses = compute_use_defs(blocks)
    live = compute_live_map(compute_cfg_from_blocks(blocks), blocks, uses.usemap, uses.defmap)
    defined = set().union(*(uses.defmap[label] for label in region))
    used = set().union(*(uses.usemap[label] for label in region))
    outside = set().union(*(live[label] for label in exits))
    return sorted(live[first] & (used | defined)), sorted(outside & defined)


def _body_blocks(blocks, first, exits, inputs, outputs, scope, loc):
    """Makes the blocks of a body a function's: from `inputs` to a tuple of the way out and `outputs`."""
    emit = _Emitter(ir.Block(scope, loc))
    for i, name in enumerate(inputs):
        emit.assign(ir.Arg(name, i, loc), scope.get_exact(name))
    emit.block.append(ir.Jump(first, loc))
    labels = [*blocks, *exits]
    blocks[min(labels) - 1] = emit.block  # Numba begins with the lowest label
    last = max(labels) + 1
    way = scope.redefine("$held_way", loc)
    for i, label in enumerate(exits):
        emit.block = blocks[label] = ir.Block(scope, loc)
        emit.const(i, way)
        emit.block.append(ir.Jump(last, loc))
    emit.block = blocks[last] = ir.Block(scope, loc)
    values = emit.tuple([way, *(scope.get_exact(name) for name in outputs)])
    emit.block.append(ir.Return(emit.assign(ir.Expr.cast(values, loc)), loc))
    return blocks


def _body_ir(source, blocks, inputs):
    body = source.derive(blocks, arg_count=len(inputs), arg_names=tuple(inputs), force_non_generator=True)
    body._definitions = build_definitions(blocks)
    # Another function to Numba: else a call from the body to the function around it could be taken for one of the body.
    f = source.func_id.func
    body.func_id = type(source.func_id).from_function(
        FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    )
    return body


def _in_prange(source, blocks, label):
    def is_prange(iterable):
        call = guard(source.get_definition, iterable)
        function = isinstance(call, ir.Expr) and call.op == "call" and guard(find_outer_value, source, call.func)
        return function in (prange, pndindex)

    return any(
        is_prange(expr.value)
        for loop in compute_cfg_from_blocks(blocks).loops().values()
        if label in loop.body
        for entry in loop.entries
        for expr in blocks[entry].find_exprs(op="getiter")
    )


def _attempt(factory, body, flags):
    """A function that calls the body: its status code, the address of its exception's data, and its result."""
    compiled, compiling = {}, set()

    def compile_body(inputs):
        if inputs in compiling:
            raise TypingError("a function cannot call itself inside its own `with held`")
        if inputs not in compiled:
            fresh = body.copy()
            fresh.blocks = copy.deepcopy(body.blocks)  # compiling changes them
            fresh._definitions = build_definitions(fresh.blocks)
            compiling.add(inputs)
            try:
                compiled[inputs] = compiler.compile_ir(
                    factory.typingctx, factory.targetctx, fresh, tuple(inputs), None, flags, factory.locals
                )
            finally:
                compiling.remove(inputs)
        return compiled[inputs]

    @intrinsic
    def attempt(typingctx, inputs):
        result = compile_body(inputs)
        answer = types.Tuple((types.int32, types.intp, result.signature.return_type))

        def codegen(context, builder, signature, arguments):
            context.active_code_library.add_linking_library(result.library)
            values = cgutils.unpack_tuple(builder, arguments[0])
            status, value = context.call_internal_no_propagate(builder, result.fndesc, result.signature, values)
            exception = builder.ptrtoint(status.excinfoptr, context.get_value_type(types.intp))
            return context.make_tuple(builder, answer, (status.code, exception, value))

        return answer(inputs), codegen

    return attempt


@intrinsic
def _propagate(typingctx, code, exception):
    """Raises what an attempt has handed back, if it failed."""

    def codegen(context, builder, signature, arguments):
        code, exception = arguments
        status = context.call_conv._get_return_status(builder, code, builder.inttoptr(exception, excinfo_ptr_t))
        with builder.if_then(status.is_error, likely=False):
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.none(types.int32, types.intp), codegen
