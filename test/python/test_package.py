"""The package as a whole: its wheel, its version, what it needs, and what importing it costs."""

import importlib.metadata
import re

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
        "import interlock, interlock.capi as c, threading\n"
        "with interlock.Lock(): pass\n"
        "counter = interlock.Counter()\n"
        "threads = [threading.Thread(target=counter.fetch_add) for _ in range(3)]\n"
        "for t in threads: t.start()\n"
        "assert counter.wait(3, timeout=30)\n"
        "mutex = c.ilk_mutex_new(0)\n"
        "assert c.ilk_mutex_lock(mutex) == c.ilk_mutex_unlock(mutex) == c.ilk_mutex_free(mutex) == 0\n"
        "assert c.ilk_mutex_lock(mutex) == c.ILK_EHANDLE\n"
        "try: import interlock.nb\n"
        "except ImportError: pass\n"
        "else: raise SystemExit('without Numba, interlock.nb was imported')\n"
    )


def test_what_importing_brings_in(python):
    # What costs time and is not needed: Numba and all it imports, numpy, and the larger parts of the standard library.
    output = python("import sys, interlock, interlock.capi; print(*sys.modules)").stdout.split()
    heavy = {
        "numba",
        "llvmlite",
        "numpy",
        "asyncio",
        "multiprocessing",
        "concurrent",
        "argparse",
        "logging",
        "unittest",
    }
    assert not heavy & set(output)
