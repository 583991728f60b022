"""Kernels with cache=True, loaded by other processes; with either import first."""

import shutil
from pathlib import Path

import pytest

import interlock
from interlock._numba import cached

# In a kernel three calls deep (numba #3146, #3621), with each kind of object.
KERNELS = """
from numba import njit

@njit(nogil=True, cache=True)
def third(lock, x):
    lock.acquire()
    return lock.locked()

@njit(nogil=True, cache=True)
def second(lock, x):
    return third(lock, x)

@njit(nogil=True, cache=True)
def first(lock, x):
    held = second(lock, x)
    lock.release()
    return held and not lock.locked()
"""

USES = {
    "Barrier": "x.wait()",
    "BoundedSemaphore": "x.acquire()",
    "Condition": "x.acquire()",
    "Counter": "x.fetch_add()",
    "ErrorSlot": "x.set(1)",
    "Event": "x.set()",
    "Latch": "x.count_down()",
    "Local": "x.set(5)",
    "Lock": "x.acquire()",
    "LockArray": "x.acquire(0)",
    "Mutex": "x.acquire(timeout=5.0)",
    "Once": "x.begin()",
    "PerThread": "x.local()[0] == 0",
    "Queue": "x.put(5)",
    "RLock": "x.acquire()",
    "RWLock": "x.acquire_read()",
    "Semaphore": "x.acquire()",
    "Tally": "x.add()",
}
ARGUMENTS = {"Barrier": "1", "Latch": "2", "LockArray": "3", "PerThread": "3", "Queue": "3"}

EACH = "from numba import njit\n\n" + "\n".join(
    f"@njit(cache=True)\ndef use_{kind}(x):\n    {call}\n    return 1\n" for kind, call in USES.items()
)

# The number of kernels that came from the cache, and of those that were compiled.
COUNT = """
def count(*kernels):
    print(*(sum(sum(stats.values()) for stats in which) for which in zip(
        *((kernel.stats.cache_hits, kernel.stats.cache_misses) for kernel in kernels))))
"""

DEEP = (
    COUNT
    + """
import kernels
import interlock
lock = interlock.Mutex()
assert kernels.first(lock, 1)
try:
    kernels.second(lock, 1)
    kernels.second(lock, 1)
except interlock.DeadlockError:
    count(kernels.first, kernels.second)
"""
)

ALL = (
    COUNT
    + "import each\nimport interlock\n"
    + "".join(f"assert each.use_{kind}(interlock.{kind}({ARGUMENTS.get(kind, '')})) == 1\n" for kind in USES)
    + f"count({', '.join(f'each.use_{kind}' for kind in USES)})\n"
)


def counts(result):
    return [int(word) for word in result.stdout.split()]


def installed_elsewhere(folder):
    """A copy of the package, with its library but without its metadata: no entry point."""
    site = Path(interlock.__file__).parent.parent
    for name in ("interlock", ".interlock.mesonpy.libs"):
        if (site / name).is_dir():
            shutil.copytree(site / name, folder / name)
    return str(folder)


def test_every_kind_is_used_here():
    kinds = {name for name in interlock.__all__ if hasattr(getattr(interlock, name), "_free")}
    assert kinds == set(USES)


def test_cache_of_each_kind(python, tmp_path):
    (tmp_path / "each.py").write_text(EACH)
    assert counts(python(ALL, timeout=300)) == [0, len(USES)]
    assert counts(python(ALL, timeout=300)) == [len(USES), 0]
    elsewhere = installed_elsewhere(tmp_path / "elsewhere")
    assert counts(python(ALL, timeout=300, PYTHONPATH=elsewhere)) == [len(USES), 0]


@pytest.mark.parametrize("way", ["library", "package"])
def test_cache_three_deep_after_a_move_numba_3146_3621(way, python, tmp_path):
    (tmp_path / "kernels.py").write_text(KERNELS)
    assert counts(python(DEEP)) == [0, 2]
    assert counts(python(DEEP)) == [2, 0]
    if way == "package":
        environment = {"PYTHONPATH": installed_elsewhere(tmp_path / "elsewhere")}
    else:
        moved = tmp_path / "moved.so"
        shutil.copy(interlock._library.LIBRARY._name, moved)
        environment = {"INTERLOCK_LIBRARY": str(moved)}
    # With something else at the addresses of before.
    main = "keep = bytearray(100_000_000)\n" + DEEP
    assert counts(python(main, **environment)) == [2, 0]


USE = """
@njit
def use(lock):
    lock.acquire()
    return lock.locked()
assert use(Mutex())
"""


@pytest.mark.parametrize(
    "start",
    [
        "from numba import njit\nfrom interlock import Mutex\n",
        "from interlock import Mutex\nfrom numba import njit\n",
        # Numba has loaded its extensions before interlock is imported.
        "from numba import njit\nnjit(lambda: 1)()\nfrom interlock import Mutex\n",
        "from interlock import Mutex\nfrom numba import njit\nnjit(lambda: 1)()\n",
        "import interlock.nb\nfrom interlock import Mutex\nfrom numba import njit\n",
    ],
    ids=["numba first", "interlock first", "numba has compiled", "both and compiled", "nb first"],
)
@pytest.mark.parametrize("entry_point", [True, False])
def test_who_comes_first(start, entry_point, python, tmp_path):
    environment = {} if entry_point else {"PYTHONPATH": installed_elsewhere(tmp_path / "elsewhere")}
    # A numba without entry points, as where the package lies in a folder of the path.
    without = "" if entry_point else "import numba.core.entrypoints as e; e._already_initialized = True\n"
    if not entry_point and start.startswith("from interlock"):
        start, without = start + without, ""
    python(without + start + USE, **environment)


def test_entry_point_is_installed(python):
    output = python(
        "from numba import njit\nimport sys\nassert 'interlock' not in sys.modules\n"
        "njit(lambda: 1)()\nassert 'interlock._numba' in sys.modules\nprint('yes')\n"
    ).stdout
    assert output == "yes\n"


def test_import_of_interlock_does_not_import_numba(python):
    python("import sys, interlock\nassert not {'numba', 'llvmlite', 'numpy'} & set(sys.modules)\n")


def test_library_that_cannot_be_loaded_is_a_warning_to_other_users_of_numba(python, tmp_path):
    """Numba imports interlock in every program; one that does not use it goes on without."""
    result = python("from numba import njit\nprint(njit(lambda: 5)())\n", INTERLOCK_LIBRARY=str(tmp_path / "none.so"))
    assert result.stdout == "5\n" and "interlock._numba" in result.stderr


OF_ANOTHER_VERSION = """
import sys
import numpy as np
import interlock.nb
from interlock._numba import cached
cached.digest = lambda: sys.argv[1]
import kernels
array = np.zeros(1, np.int64)
for f in kernels.count, kernels.by_helper, kernels.lock, kernels.plain:
    f(interlock.Mutex() if f is kernels.lock else array)
print(*(sum(f.stats.cache_hits.values()) for f in (kernels.count, kernels.by_helper, kernels.lock, kernels.plain)))
"""


def test_a_kernel_that_another_version_of_the_package_compiled_is_not_loaded(python, tmp_path):
    """It would keep what that version emitted. Kernels that do not use interlock are loaded."""
    (tmp_path / "kernels.py").write_text(
        "from numba import njit\nfrom interlock import atomic\n"
        "@njit(cache=True)\ndef count(array):\n    atomic.add(array, 0, 1)\n"
        "@njit(cache=True)\ndef by_helper(array):\n    count(array)\n"
        "@njit(cache=True)\ndef lock(mutex):\n    with mutex:\n        pass\n"
        "@njit(cache=True)\ndef plain(array):\n    array[0] += 1\n"
    )
    loaded = [python(OF_ANOTHER_VERSION, version).stdout.split() for version in ("1", "1", "2", "1", "2")]
    assert loaded == [["0"] * 4, ["1"] * 4, ["0", "0", "0", "1"], ["1"] * 4, ["1"] * 4]


def test_kernels_with_signatures_are_cached(python, tmp_path):
    """However the signature is written, and by each decorator that caches."""
    (tmp_path / "kernels.py").write_text("""
import numpy as np
from numba import cfunc, guvectorize, njit, types, vectorize
from interlock import atomic

shared = np.zeros(1, np.int64)
array, number = types.int64[::1], types.int64

def add(values, n):
    return atomic.add(values, 0, n)

kernels = [
    njit(signature, cache=True)(add)
    for signature in ("int64(int64[::1], int64)", "(int64[::1], int64)", (array, number), number(array, number))
]
kernels.append(njit(["int64(int64[::1], int64)", (array, types.int32)], cache=True)(add))
for kernel in kernels:
    kernel(shared, 1)
assert shared[0] == len(kernels)

@vectorize(["int64(int64)"], cache=True)
def each(n):
    values = np.zeros(1, np.int64)
    atomic.add(values, 0, n)
    return values[0]

assert (each(np.arange(3)) == np.arange(3)).all()

@guvectorize(["(int64[:], int64[:])"], "(n)->()", cache=True)
def total(values, result):
    result[0] = 0
    for value in values:
        atomic.add(result, 0, value)

assert total(np.arange(4)) == 6

@cfunc("int64(int64)", cache=True)
def once(n):
    values = np.zeros(1, np.int64)
    atomic.add(values, 0, n)
    return values[0]

assert once.ctypes(7) == 7
loaded = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels)
print(loaded, once.cache_hits)
""")
    runs = [python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import kernels").stdout.split() for _ in range(2)]
    assert runs[0][1] == "0" and runs[1] == ["6", "1"]


def test_the_digest_is_of_the_packages_files(tmp_path, monkeypatch):
    (tmp_path / "_numba").mkdir()
    for path in (tmp_path / "a.py", tmp_path / "_numba" / "cached.py"):
        path.write_text("1")
    monkeypatch.setattr(cached, "__file__", str(tmp_path / "_numba" / "cached.py"))
    before = cached.digest.__wrapped__()
    assert cached.digest.__wrapped__() == before
    (tmp_path / "a.py").write_text("2")
    assert cached.digest.__wrapped__() != before
