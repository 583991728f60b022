"""The examples, the demo, and the README's Python."""

import re
import sys

import pytest

from conftest import ROOT

EXAMPLES = sorted((ROOT / "examples/python").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, python):
    assert python(path).stdout


def test_all_are_there():
    names = {path.stem for path in EXAMPLES}
    assert names >= {"call_c_in_a_loop", "shared_array", "jitclass_lock", "array_to_c"}


def test_demo(python, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    plot = tmp_path / "plot.png"
    output = python(ROOT / "examples/python/demo", plot, timeout=120).stdout
    assert output.rstrip().endswith("exact in every bin")
    assert plot.read_bytes().startswith(b"\x89PNG")


def readme_blocks():
    readme = ROOT / "README.md"
    return re.findall(r"^```python\n(.*?)^```", readme.read_text(), re.M | re.S) if readme.exists() else []


@pytest.mark.parametrize("block", readme_blocks(), ids=lambda block: block.splitlines()[0])
def test_readme(block, python):
    python(block)


def test_types(tmp_path):
    api = pytest.importorskip("mypy.api")
    if sys.version_info < (3, 10):
        pytest.skip("the newest mypy is asked for")
    program = tmp_path / "typed.py"
    program.write_text(
        "from interlock import BoundedSemaphore, Counter, Lock, Mutex, RLock, Semaphore, capi, nb, version\n"
        "reveal = (version.upper(), Lock().acquire(timeout=1), Counter().load() + 1, Mutex(fair=True).handle + 1)\n"
        "with RLock() as locked, Semaphore(2), BoundedSemaphore():\n"
        "    taken: bool = locked\n"
        "code: int = capi.ilk_mutex_lock(Mutex().handle) + nb.ilk_mutex_unlock(0) + nb.ILK_EBUSY\n"
        "Counter().wait('x')  # type: ignore[arg-type]\n"
        "capi.ilk_no_such()  # type: ignore[attr-defined]\n"
        "capi.ilk_mutex_lock()  # type: ignore[call-arg]\n"
    )
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    for target in (["-p", "interlock"], [str(program)]):
        output, errors, status = api.run([*config, *target])
        assert status == 0, output + errors
