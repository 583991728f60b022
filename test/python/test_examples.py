"""The examples, the demo, and the code in README and docs."""

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from interlock._library import LIBRARY

EXAMPLES = sorted((ROOT / "examples/python").glob("*.py"))
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


# Compiled, and with kernels as plain Python, for a debugger or to measure coverage: both must work.
JIT = pytest.mark.parametrize("disable_jit", ["0", "1"], ids=["jit", "nojit"])


def blocks(language):
    """Each block of code in that language, named by its file and line."""
    for path in TEXTS:
        text = path.read_text()
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S):
            yield pytest.param(match[1], id=f"{path.name}:{text.count(chr(10), 0, match.start()) + 1}")


@JIT
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, disable_jit, python):
    assert python(path, NUMBA_DISABLE_JIT=disable_jit).stdout


def test_all_are_there():
    names = {path.stem for path in EXAMPLES}
    assert names >= {"call_c_in_a_loop", "shared_array", "jitclass_lock", "array_to_c", "spin_flag", "append"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_in_the_readme(path):
    assert len(path.read_text().splitlines()) <= 45
    assert f"](examples/python/{path.name})" in TEXTS[0].read_text()


def test_demo(python, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    plot = tmp_path / "plot.png"
    output = python(ROOT / "examples/python/demo", plot, timeout=300).stdout
    assert output.rstrip().endswith("exact in every bin")
    assert plot.read_bytes().startswith(b"\x89PNG")


@JIT
@pytest.mark.parametrize("block", [*blocks("python")])
def test_python_block(block, disable_jit, python):
    if sys.platform == "win32" and "robust_lock" in block:
        pytest.skip("Windows has no robust locks")
    python(block, NUMBA_DISABLE_JIT=disable_jit)


@pytest.mark.parametrize("block", [*blocks("c")])
def test_c_block(block, tmp_path):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    (tmp_path / "prog.c").write_text(block)
    library = Path(LIBRARY._name)
    command = ["cc", "prog.c", "-o", "prog", f"-I{ROOT / 'include'}", library, f"-Wl,-rpath,{library.parent}"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "prog"], check=True, timeout=60)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_table_names_every_function_and_no_other():
    declared = set(re.findall(r"\b(ilk_\w+)\(", (ROOT / "include/interlock.h").read_text()))
    table = TEXTS[0].read_text().partition("## Everything in one table")[2].partition("\n## ")[0]
    named = set()
    for row in re.findall(r"^\|.*\|$", table, re.M):
        functions = row.split("|")[2]
        for braces in re.findall(r"`([a-z][\w{},]*)`", functions):
            parts = [part.split(",") for part in re.split(r"[{}]", braces)]
            named |= {"ilk_" + "".join(choice) for choice in itertools.product(*parts)}
    # The page's text describes these forms: new and free, try and timed, _pair and _range.
    plain = {re.sub(r"(?<=_)(try|timed)(?=\w)|_(pair|range)$", "", name) for name in declared}
    plain = {name for name in plain if not name.endswith(("_new", "_free"))}
    assert sorted(plain - named) == []
    assert sorted(named - declared) == []


def test_the_plot_of_the_ratios_is_of_these_tables():
    tables, plot = (ROOT / "docs" / name for name in ("speed.md", "speed.svg"))
    drawn = subprocess.run(
        [sys.executable, ROOT / "bench/ratios"], input=tables.read_bytes(), stdout=subprocess.PIPE, check=True
    )
    assert drawn.stdout.decode().splitlines() == plot.read_text(encoding="utf-8").splitlines()
