"""The package as a whole: its wheel, its version, what it needs, and what importing it costs."""

import importlib.metadata
import re
import subprocess
import sys

import interlock
from interlock import capi


def test_one_wheel_for_all_pythons():
    wheel = importlib.metadata.distribution("interlock").read_text("WHEEL")
    assert re.findall(r"^Tag: (.*)", wheel, re.M)[0].startswith("py3-none-")
    assert not wheel.strip().endswith("-any")


def test_version():
    assert interlock.version == interlock.__version__ == importlib.metadata.version("interlock")
    major, minor, patch = map(int, interlock.version.split("."))
    assert capi.ilk_version() == major * 10000 + minor * 100 + patch


def test_numba_is_optional(python):
    # Numba and numpy cannot be imported there.
    python(
        "import sys\n"
        "for name in ('numba', 'llvmlite', 'numpy'): sys.modules[name] = None\n"
        "import interlock, interlock.capi\n"
        "with interlock.Lock(): pass\n"
    )


def test_import_is_quick():
    code = "import time; t = time.perf_counter(); import interlock; print(time.perf_counter() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    assert min(runs) < 0.05
