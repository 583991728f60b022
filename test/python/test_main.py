"""``python -m interlock``: facts, self-test, benchmark."""

import re
import subprocess
import sys
import threading
import types

import pytest

import interlock
from conftest import PATIENCE
from interlock import __main__ as program


def run(*arguments, prelude=""):
    code = f"{prelude}import runpy, sys\nsys.argv[1:] = {list(arguments)}\n"
    code += "runpy.run_module('interlock', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=3 * PATIENCE)


def test_all_of_it():
    result = run("--report")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    out = result.stdout
    assert re.search(rf"^interlock +{re.escape(interlock.version)}$", out, re.M)
    assert re.search(r"^waits by +(futex|pthread|windows)$", out, re.M)
    assert re.search(r"^calls by +(C|ctypes)$", out, re.M)
    assert re.search(r"^fence +(a?symmetric)$", out, re.M)
    assert re.search(r"^library +\S*libinterlock\S*$", out, re.M)
    assert re.search(r"^Numba +\d", out, re.M)
    assert re.search(r"^CPUs +[1-9]", out, re.M)
    assert "FAILED" not in out
    assert out.count("  ok  ") == len(program.CHECKS)
    ours, pythons, ratio = map(float, re.search(r"interlock (\S+) ns, PyThread (\S+) ns: (\S+) of it", out).groups())
    assert ours > 0 and pythons > 0 and ratio >= 0
    assert re.search(r"^thread \d+ .*waits for mutex 0x\w+, held by thread \d+", out, re.M)
    assert out.endswith("all ok\n")


def test_without_benchmark():
    result = run("--no-benchmark")
    assert result.returncode == 0
    assert "PyThread" not in result.stdout and "waits for" not in result.stdout


def test_without_numba():
    result = run(prelude="import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None\n")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^Numba +not installed$", result.stdout, re.M)
    assert result.stdout.count("left out: no Numba") == 2


def test_unknown_option():
    result = run("--no-such")
    assert result.returncode == 2
    assert "usage: python -m interlock" in result.stderr


@pytest.mark.parametrize("name", program.CHECKS)
def test_a_failure_is_told(name, monkeypatch, capsys):
    def fails():
        raise RuntimeError("on purpose")

    others = {other: lambda: "fine" for other in program.CHECKS}
    monkeypatch.setattr(program, "CHECKS", {**others, name: fails})
    assert program.main(["--no-benchmark"]) == 1
    out = capsys.readouterr().out
    assert re.search(rf"^  {name} +FAILED  on purpose$", out, re.M)
    assert out.count("  ok  ") == len(others) - 1
    assert out.endswith("\nFAILED\n")


# The checks find the faults that they are for.


def test_a_lock_that_excludes_nobody_is_found(monkeypatch):
    all_meet = threading.Barrier(8)

    class NoLock(interlock.Mutex):
        def __enter__(self):
            return all_meet.wait(PATIENCE)

        def __exit__(self, *exception):
            pass

    monkeypatch.setattr(program, "Mutex", NoLock)
    with pytest.raises(RuntimeError, match=r"NoLock: \d+ of 800"):
        program.exclusion()


def test_an_addition_lost_in_a_kernel_is_found(monkeypatch):
    pytest.importorskip("numba")

    def lossy(mutex, total, n):
        total[0] += n - (n > 0)

    monkeypatch.setattr(program, "numba", lambda: types.SimpleNamespace(njit=lambda nogil: lambda function: lossy))
    with pytest.raises(RuntimeError, match=r"\d+ of 2000000"):
        program.exclusion_in_kernels()


def test_a_time_out_too_early_is_found(monkeypatch):
    class Hasty(interlock.Lock):
        def acquire(self, blocking=True, timeout=-1):
            return super().acquire(blocking, timeout / 10 if timeout > 0 else timeout)

    monkeypatch.setattr(program, "Lock", Hasty)
    with pytest.raises(RuntimeError, match="instead of 50"):
        for _ in range(50):  # a busy machine may hide it now and then
            program.timeout()


def test_threads_that_hang_are_found(monkeypatch):
    monkeypatch.setattr(program, "PATIENCE", 0.1)
    held = interlock.Lock()
    held.acquire()
    with pytest.raises(RuntimeError, match="threads hang:\ninterlock "):
        program.in_threads(2, held.acquire)
    held.release()
