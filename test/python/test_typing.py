"""Checks of types and style: of the package, of a program that uses it, and of the examples."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import interlock
from conftest import ROOT

CONFIG = ROOT / "pyproject.toml"
PACKAGE = Path(interlock.__file__).parent
EXAMPLES = sorted((ROOT / "examples/python").glob("*.py"))

PROGRAM = """
from interlock import BoundedSemaphore, Counter, Lock, Mutex, RLock, Semaphore, capi, nb, version

words: tuple[str, bool, int] = (version.upper(), Lock().acquire(timeout=1), Counter().load())
handle: int = Mutex(fair=True).handle
with RLock() as locked, Semaphore(2), BoundedSemaphore():
    taken: bool = locked
code: int = capi.ilk_mutex_lock(Mutex().handle) + nb.ilk_mutex_unlock(0) + nb.ILK_EBUSY
"""

# Each is a mistake that a checker must find.
MISTAKES = {
    "Counter().wait('x')": ("arg-type", "reportArgumentType"),
    "capi.ilk_no_such()": ("attr-defined", "reportAttributeAccessIssue"),
    "capi.ilk_mutex_lock()": ("call-arg", "reportCallIssue"),
    "capi.ilk_mutex_new('x')": ("arg-type", "reportArgumentType"),
    "number: str = Counter().load()": ("assignment", "reportAssignmentType"),
}


def checker(module):
    """Runs a checker as a module; returns (status, output)."""
    if not importlib.util.find_spec(module):
        pytest.skip(f"{module} is not installed here")

    def run(*arguments, cwd=ROOT):
        command = [sys.executable, "-m", module, *map(str, arguments)]
        result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
        return result.returncode, result.stdout + result.stderr

    return run


@pytest.fixture
def mypy(tmp_path):
    run = checker("mypy")
    if sys.version_info < (3, 10):
        pytest.skip("the newest mypy is asked for")
    # Bases are given, so that no folder above is taken for a package.
    options = ["--strict", "--cache-dir", tmp_path / "cache", "--explicit-package-bases", "--config-file"]
    return lambda *arguments, config=CONFIG, cwd=ROOT: run(*options, config, *arguments, cwd=cwd)


@pytest.fixture
def pyright():
    """basedpyright is pyright, with all that it needs in one package; in strict mode by pyproject.toml."""
    run = checker("basedpyright")
    return lambda *paths: run("--project", CONFIG, "--pythonpath", sys.executable, *paths)


def test_package_by_mypy(mypy):
    status, output = mypy("-p", "interlock")
    assert status == 0, output
    assert "no issues found" in output


def test_package_by_pyright(pyright):
    status, output = pyright(PACKAGE)
    assert status == 0, output
    assert "0 errors, 0 warnings" in output


def test_program_by_mypy(mypy, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM + "".join(f"{mistake}  # type: ignore[{code}]\n" for mistake, (code, _) in MISTAKES.items()))
    status, output = mypy(path.name, config="", cwd=tmp_path)
    assert status == 0, output


def test_program_by_pyright(pyright, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    status, output = pyright(path)
    assert status == 0, output
    path.write_text(PROGRAM + "\n".join(MISTAKES) + "\n")
    _, output = pyright(path, "--outputjson")
    told = {(found["range"]["start"]["line"], found["rule"]) for found in json.loads(output)["generalDiagnostics"]}
    assert told >= {(line, rule) for line, (_, rule) in enumerate(MISTAKES.values(), PROGRAM.count("\n"))}
    assert min(line for line, _ in told) >= PROGRAM.count("\n")


def test_examples_by_mypy(mypy):
    # Numba declares only a part of what it documents.
    allowed = ["--implicit-reexport", "--allow-untyped-calls"]
    status, output = mypy(*allowed, *[path.name for path in EXAMPLES], config="", cwd=EXAMPLES[0].parent)
    assert status == 0, output


def test_examples_by_pyright(pyright):
    status, output = pyright(*EXAMPLES)
    assert status == 0, output


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_style(command):
    status, output = checker("ruff")(*command, "--no-cache", "python", "test/python", "examples/python")
    assert status == 0, output
