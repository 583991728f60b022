"""The private parts of Numba that the package relies on. If a test fails, Numba has changed one."""

import inspect

import pytest
from numba import njit, objmode
from numba.core import byteflow, callconv, interpreter, ir
from numba.core.compiler import run_frontend
from numba.core.unsafe import eh

from interlock import Mutex
from interlock._numba import frame, withs


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
