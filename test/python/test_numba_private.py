"""The private parts of Numba that the package relies on. If a test fails, Numba has changed one."""

import inspect

import pytest
from numba import guvectorize, njit, objmode, stencil, types, vectorize
from numba.core import base, byteflow, caching, callconv, interpreter, ir, ir_utils, untyped_passes
from numba.core.compiler import run_frontend
from numba.core.unsafe import eh
from numba.np.ufunc import array_exprs

from interlock import Mutex
from interlock._numba import frame, reads, uses, withs


def parameters(function):
    return list(inspect.signature(inspect.unwrap(function)).parameters)


def test_withs_changes_what_is_there():
    assert parameters(interpreter.Interpreter.interpret) == ["self", "bytecode"]
    assert parameters(interpreter.Interpreter.post_process) == ["self", "peepholes", "func_ir"]
    operations = [name for name in withs._BEGINS if hasattr(byteflow.TraceRunner, "op_" + name)]
    assert operations
    for name in operations:
        assert parameters(getattr(byteflow.TraceRunner, "op_" + name)) == ["self", "state", "inst"]
    if withs._HAS_TABLE:
        assert parameters(byteflow.TraceRunner._adjust_except_stack) == ["self", "state"]
        assert callable(byteflow.State.get_exception)
        assert callable(byteflow.State.pop_kw_names)
    else:
        assert {"_EXCEPT_STACK_OFFSET", "_FINALLY_POP"} <= vars(byteflow).keys()


def raw_ir(function, monkeypatch):
    """Numba's IR before its last passes, and without our changes."""
    monkeypatch.setattr(interpreter.Interpreter, "post_process", lambda self, peepholes, func_ir: func_ir)
    return run_frontend(function)


def test_a_with_in_numbas_ir(monkeypatch):
    def kernel(lock, x):
        with lock:
            if x:
                return 1
        return 2

    body = [stmt for block in raw_ir(kernel, monkeypatch).blocks.values() for stmt in block.body]
    [i] = [i for i, stmt in enumerate(body) if isinstance(stmt, ir.EnterWith)]
    assert body[i].begin >= 0 and isinstance(body[i].contextmanager, ir.Var)
    assert isinstance(body[i + 1], ir.Assign) and body[i + 1].target.name.startswith("$setup_with_exitfn")
    names = {body[i + 1].target.name}
    assigns = [stmt for stmt in body if isinstance(stmt, ir.Assign)]
    names |= {stmt.target.name for stmt in assigns if isinstance(stmt.value, ir.Var) and stmt.value.name in names}
    calls = [stmt.value for stmt in assigns if isinstance(stmt.value, ir.Expr) and stmt.value.op == "call"]
    exits = [call for call in calls if call.func.name in names]
    assert len(exits) == 2


def test_a_try_in_numbas_ir(monkeypatch):
    def kernel(f, x):
        try:
            f(x)
        except Exception:
            x = 1
        return x

    blocks = raw_ir(kernel, monkeypatch).blocks
    handlers = {
        block.terminator.truebr
        for block in blocks.values()
        if isinstance(block.terminator, ir.Branch) and block.terminator.cond.name.startswith("$exception_check")
    }
    assert handlers
    if withs._HAS_TABLE:
        assert all(blocks[label].body[0].value.value is eh.end_try_block for label in handlers)


def test_numbas_own_contexts_are_left_alone():
    @njit
    def kernel(x):
        with objmode(y="int64"):
            y = len(str(x))
        return y

    assert kernel(12345) == 5


def test_an_error_is_returned_by_the_builder():
    source = inspect.getsource(callconv.CPUCallConv._return_errcode_raw)
    assert "builder.ret(code)" in source
    assert callconv.RETCODE_OK in frame._NORMAL


def test_interpret_forgets_the_function_it_has_translated():
    @njit
    def kernel(lock):
        with lock:
            return 1

    assert kernel(Mutex()) == 1
    assert not withs._translated.withs

    def bad(lock):
        with lock as x:
            return x

    with pytest.raises(Exception, match="as x"):
        njit(bad)(Mutex())
    assert not withs._translated.withs


def test_dead_code_elimination_asks_for_each_assignment(monkeypatch):
    assert ir_utils.remove_dead_extensions[ir.Assign] is reads._keep
    asked = []

    def keep(stmt, lives, lives_n_aliases, arg_aliases, alias_map, func_ir, typemap):
        assert isinstance(lives, set) and typemap is None
        asked.append(stmt.target.name)
        if stmt.target.name == "v":
            lives.add("v")
        return stmt

    def kernel(x):
        v = x.value  # noqa: F841
        w = x.value  # noqa: F841
        return 1

    monkeypatch.setitem(ir_utils.remove_dead_extensions, ir.Assign, keep)
    func_ir = run_frontend(kernel)
    ir_utils.dead_code_elimination(func_ir)
    left = [stmt.target.name for block in func_ir.blocks.values() for stmt in block.find_insts(ir.Assign)]
    assert {"v", "w"} <= set(asked) and "v" in left and "w" not in left


def test_closures_are_inlined_with_the_types_of_the_arguments(monkeypatch):
    seen = []
    before = untyped_passes.InlineClosureLikes.run_pass
    assert parameters(before) == ["self", "state"]
    monkeypatch.setattr(
        untyped_passes.InlineClosureLikes,
        "run_pass",
        lambda self, state: (seen.append((state.func_ir.func_id.func, state.args)), before(self, state))[1],
    )

    def kernel(x):
        return x

    njit(kernel)(1)
    assert seen == [(kernel, (types.int64,))]


def test_the_key_of_a_cached_kernel():
    assert parameters(caching.Cache._index_key) == ["self", "sig", "codegen"]
    source = inspect.getsource(inspect.unwrap(caching.Cache._index_key))
    assert "self._py_func" in source and "return (sig, codegen.magic_tuple()" in source


def test_the_python_functions_behind_what_numba_makes():
    def code(a):
        return a[0]

    made = [stencil(code), vectorize(code), guvectorize(["void(f8[:],f8[:])"], "(n)->(n)")(lambda a, out: None), njit(code)]
    assert [uses.python_function(thing) is code for thing in made] == [True, True, False, True]
    assert uses.python_function(made[2]) is not None

    @njit
    def kernel(x):
        with objmode(y="int64"):
            y = len(str(x))
        return y

    kernel(1)
    [cres] = kernel.overloads.values()
    [lifted] = cres.lifted
    assert uses.python_function(lifted) is kernel.py_func


def test_array_expressions_are_joined_as_noted():
    cls = array_exprs.RewriteArrayExprs
    assert parameters(cls.match) == ["self", "func_ir", "block", "typemap", "calltypes"]
    assert "operand_name in self.array_assigns" in inspect.getsource(cls._handle_matches)
    assert parameters(cls._get_operands) == ["self", "ir_expr"]


def test_what_raises_in_a_try_asks_for_its_state():
    """What frame.py and emit.py rely on, and with them all of test_try.py."""
    assert parameters(callconv.CPUCallConv.check_try_status) == ["self", "builder"]
    assert callconv.TryStatus._fields == ("in_try", "excinfo")
    assert parameters(base.BaseContext.compile_subroutine)[:4] == ["self", "builder", "impl", "sig"]
    assert parameters(base.BaseContext.call_internal_no_propagate) == ["self", "builder", "fndesc", "sig", "args"]
    assert {"is_error", "is_ok", "code"} <= set(callconv.Status._fields)
