"""The fuzzer of kernels: a short run, the programs that it once found, and that it does find faults.

`script/fuzz-kernels --minutes N` is the long one.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from numba import njit

import fuzz_kernels
from conftest import PATIENCE
from fuzz import generate, oracle, pool
from fuzz.control import control
from fuzz.report import Report
from fuzz.shrink import shrink

SEEDS = sorted((Path(__file__).parent / "fuzz" / "seeds").glob("*.txt"))
PARTS, PROGRAMS = 12, 20  # each part is a test of its own


@pytest.fixture(scope="module")
def workers():
    with pool.Pool() as workers:
        yield workers


@pytest.fixture(scope="module")
def forms(workers):
    return fuzz_kernels.supported_forms(workers.judge)


def fault(report):
    return "\n".join([*report.text(), *report.summary()])


@pytest.mark.parametrize("part", range(PARTS))
def test_random_kernels_do_what_python_does_or_are_refused(workers, forms, part):
    numbers = range(part * PROGRAMS, (part + 1) * PROGRAMS)
    programs = (generate.generate("test", number, forms, size=generate.SMALL) for number in numbers)
    report = fuzz_kernels.fuzz(workers, programs, 2, Report(), shrinks=1)
    assert sum(report.classes.values()) == PROGRAMS
    assert not report.findings, fault(report)
    # Otherwise the other programs would show little.
    assert report.classes["right"] >= PROGRAMS // 2, fault(report)
    assert not report.classes["invalid"], fault(report)


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_what_was_found_once(workers, path):
    program = oracle.Program.read(path.read_text())
    verdict = workers.judge(program)
    assert verdict["class"] in ("right", "refused"), verdict


# --- the fuzzer itself --------------------------------------------------------------------------------------------

PROGRAM = """
@kernel_options
def kernel(x, a, lock):
    y = 0
    for i in range(3):
        with held(lock):
            y = y + 1
            bump(a, x, 2)
        if y > 5:
            return (x, twice(y))
    y = twice(y)
    return (x, fail_if(y % 3))
"""


@njit
def not_twice(v):
    return 2 * v + 1


@njit
def bump_elsewhere(array, i, v):
    array[-1] = 77
    return v


@njit
def bump_before(array, i, v):
    array[-len(array) - 1] = 77
    return v


@njit
def fail_otherwise(v):
    raise ValueError("failed", 4)


def judged(**compiled):
    return oracle.judge(oracle.Program(PROGRAM, extras={"compiled": compiled}))


def test_a_right_program_is_right():
    assert judged() == {"class": "right", "runs": oracle.RUNS}


@pytest.mark.parametrize(
    ("planted", "text"),
    [
        ({"twice": not_twice}, "result"),
        ({"bump": bump_elsewhere}, "state of a"),
        ({"bump": bump_before}, "writes outside a"),
        ({"fail_if": fail_otherwise}, "exception"),
    ],
)
def test_a_planted_fault_is_found(planted, text):
    verdict = judged(**planted)
    assert verdict["class"] == "wrong"
    assert f": {text}" in verdict["detail"]


def test_a_lock_that_stays_is_found():
    @njit
    def take(lock):
        lock.acquire()

    program = oracle.Program(
        "@kernel_options\ndef kernel(mutex, x):\n    twice(mutex)\n",
        extras={"python": {"twice": lambda lock: None}, "compiled": {"twice": take}},
    )
    verdict = oracle.judge(program)
    assert "state of mutex" in verdict["detail"]


def test_a_refusal_must_be_a_sentence():
    verdict = judged(twice=object())
    assert verdict["class"] == "unclear"
    assert "Untyped global name" in verdict["detail"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a[x + 100] = 1", "index out of range"),
        ("a[0] = 2**62; a[0] += 2**62", "overflow"),
        ("while True: pass", "does not end"),
        ("lock.acquire(); lock.acquire()", "does not end"),
        ("y = z9", "NameError"),
    ],
)
def test_what_python_cannot_run_is_no_program(monkeypatch, line, what):
    monkeypatch.setattr(oracle, "PYTHON_SECONDS", 1)
    verdict = oracle.judge(oracle.Program(f"@kernel_options\ndef kernel(x, a, lock):\n    {line}\n"))
    assert verdict["class"] == "invalid"
    assert what in verdict["detail"]


def test_what_numba_cannot_do_is_not_ours():
    source = "@kernel_options\ndef kernel(x, lock):\n    with held(lock):\n        return {x: {x}}\n"
    verdict = oracle.judge(oracle.Program(source))
    assert verdict["class"] == "numba"


def test_a_control_has_nothing_of_interlock():
    source = """
def kernel(lock, counter, a, rw, locks, sem):
    with held(lock), rw.reading(), locks.held(1):
        lock.acquire()
        x = counter.fetch_add(atomic.add(a, 0, sem.value))
    with lock:
        words.lock(a, 0)
"""
    assert control(source).split("\n")[1:] == [
        "    if True:",
        "        Lock_acquire(lock)",
        "        x = Counter_fetch_add(counter, atomic_add(a, 0, Semaphore_value(sem)))",
        "    if True:",
        "        words_lock(a, 0)",
    ]


def test_a_program_is_read_as_it_was_written():
    program = generate.generate("here", 3)
    assert oracle.Program.read(program.text()).text() == program.text()


def test_a_seed_gives_the_same_programs_everywhere():
    command = [sys.executable, fuzz_kernels.__file__, "--print", "--programs", "20", "--seed", "5"]
    one, other = (subprocess.check_output(command, env={**os.environ, "PYTHONHASHSEED": seed}, text=True) for seed in "12")
    assert one == other
    assert one.count("def kernel(") == 20


def test_shrinking_leaves_what_matters():
    def judge(program):
        ok = "held(mutex)" in program.source and "atomic." in program.source
        return {"class": "wrong" if ok else "right", "detail": "result"}

    programs = (generate.generate("shrink", number) for number in range(1000))
    program = next(program for program in programs if judge(program)["class"] == "wrong")
    small, _ = shrink(replace(program, parallel=True, boundscheck=True), judge, tries=10_000)
    assert not small.parallel
    assert not small.boundscheck
    assert len(small.source.splitlines()) <= 9
    compile(small.source, "small", "exec")


# A worker that replies, and then ends or waits forever.
FAKE = """
import json, os, signal, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"stage": request["how"] == "control" and "control" or "run"}), flush=True)
    if request["how"] == "control":
        print(json.dumps({"verdict": {"class": "right"}}), flush=True)
        continue
    source = request["program"]["source"]
    if source == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if source == "sleep":
        time.sleep(1000)
    while source == "spin":
        pass
    print(json.dumps({"verdict": {"class": "right"}}), flush=True)
"""


@pytest.mark.parametrize(("source", "kind"), [("crash", "crash"), ("sleep", "hang"), ("spin", "hang"), ("", "right")])
def test_crashes_and_hangs_are_verdicts(monkeypatch, tmp_path, source, kind):
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(pool, "WORKER", tmp_path / "fake.py")
    monkeypatch.setattr(pool, "ASLEEP_SECONDS", 5)
    monkeypatch.setitem(pool.CPU_SECONDS, "run", 2)
    monkeypatch.setattr(pool, "WALL_SECONDS", PATIENCE // 2)
    with pool.Pool() as workers:
        assert workers.judge(oracle.Program(source))["class"] == kind
        assert workers.judge(oracle.Program(""))["class"] == "right"
