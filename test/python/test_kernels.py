"""The functions in compiled code, by capi and by nb."""

import textwrap
import threading

import numpy as np
import pytest
from numba import njit, types
from numba.core.typing import signature
from numba.extending import intrinsic

from conftest import PATIENCE, live
from interlock import Counter, Mutex, Semaphore, capi, nb
from interlock._constants import ILK_EBUSY, ILK_EDEADLK, ILK_EHANDLE, ILK_ENOTSUP, ILK_EPERM, ILK_ETIMEDOUT, ILK_NO_VALUE
from interlock._errors import error
from interlock._numba.emit import Emit
from interlock._signatures import SIGNATURES

each_way = pytest.mark.parametrize("way", [capi, nb], ids=["capi", "nb"])


def adder(way):
    lock, unlock = way.ilk_mutex_lock, way.ilk_mutex_unlock

    @njit(nogil=True)
    def add(mutex, total, n):
        for _ in range(n):
            lock(mutex)
            total[0] += 1
            unlock(mutex)

    return add


@each_way
def test_exclusion(way):
    add, mutex, total = adder(way), Mutex(), np.zeros(1, np.int64)
    add(mutex.handle, total, 0)
    threads = [threading.Thread(target=add, args=(mutex.handle, total, 100_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total[0] == 400_000


@each_way
def test_module_attributes_numba_3146(way):
    @njit
    def work(mutex):
        return way.ilk_mutex_lock(mutex), way.ilk_mutex_is_locked(mutex), way.ilk_mutex_unlock(mutex)

    mutex = Mutex()  # not Mutex().handle, which is freed before the call
    assert work(mutex.handle) == (0, 1, 0)


@each_way
def test_misuse_answers_codes(way):
    @njit
    def misuse(mutex, bad):
        return (
            way.ilk_mutex_unlock(mutex),
            way.ilk_mutex_lock(mutex),
            way.ilk_mutex_lock(mutex),
            way.ilk_mutex_trylock(mutex),
            way.ilk_mutex_unlock(mutex),
            way.ilk_mutex_lock(bad),
            way.ilk_mutex_timedlock(bad, -1),
            way.ilk_counter_load(mutex),
            way.ilk_semaphore_timedacquire(bad, 10),
        )

    expected = (ILK_EPERM, 0, ILK_EDEADLK, ILK_EBUSY, 0, ILK_EHANDLE, ILK_EHANDLE, ILK_NO_VALUE, ILK_EHANDLE)
    mutex, closed = Mutex(), Mutex()
    freed = closed.handle
    closed.close()
    counter = Counter()
    for bad in (0, -1, 1, 12345678, freed, counter.handle, 2**63 - 1, -(2**63)):
        assert misuse(mutex.handle, bad) == expected


@each_way
def test_life_in_a_kernel(way):
    @njit
    def life():
        counter = way.ilk_counter_new(3)
        if counter == 0:
            return -1
        way.ilk_counter_fetch_add(counter, 4)
        value = way.ilk_counter_load(counter)
        return value if way.ilk_counter_free(counter) == 0 else -1

    before = live()
    assert life() == 7
    assert live() == before


@each_way
def test_null_is_zero(way):
    @njit
    def refused():
        return way.ilk_mutex_new(-1) == 0

    assert refused()
    assert capi.ilk_mutex_new(-1) is None


@each_way
def test_wait_without_the_gil(way):
    """A kernel waits while this thread continues in Python."""

    @njit(nogil=True)
    def wait(semaphore, counter):
        code = way.ilk_semaphore_acquire(semaphore)
        way.ilk_counter_fetch_add(counter, 1)
        return code

    semaphore, counter = Semaphore(0), Counter()
    semaphore.release()
    assert wait(semaphore.handle, counter.handle) == 0
    thread = threading.Thread(target=wait, args=(semaphore.handle, counter.handle))
    thread.start()
    assert not counter.wait(2, timeout=0.05)
    semaphore.release()
    assert counter.wait(2, timeout=PATIENCE)
    thread.join()


@each_way
def test_timeouts(way):
    @njit(nogil=True)
    def wait(semaphore, ns):
        start = way.ilk_clock()
        code = way.ilk_semaphore_timedacquire(semaphore, ns)
        return code, way.ilk_clock() - start

    semaphore = Semaphore(0)
    code, took = wait(semaphore.handle, 20_000_000)
    assert code == ILK_ETIMEDOUT and took >= 20_000_000


@each_way
def test_all_functions_have_a_type(way):
    """Each is called in a kernel, with zeros, for which every function returns."""
    for name, (_, arguments) in SIGNATURES.items():
        function = getattr(way, name)
        source = f"def call():\n    return function({', '.join(['0'] * len(arguments))})"
        scope = {"function": function}
        exec(source, scope)
        result = njit(scope["call"])()
        expected = getattr(capi, name)(*[0] * len(arguments))
        if name.endswith("_new") and expected is not None:
            assert result
            kind = name[: -len("_new")]
            assert getattr(capi, kind + "_free")(result) == getattr(capi, kind + "_free")(expected) == 0
        elif name not in ("ilk_clock", "ilk_live", "ilk_live_handles"):
            assert result == (expected or 0)


KERNELS = """
from numba import njit
import outer_setup
from interlock import nb
from interlock.nb import ilk_mutex_lock

@njit(nogil=True, cache=True)
def third(mutex):
    return ilk_mutex_lock(mutex)

@njit(nogil=True, cache=True)
def second(mutex):
    return third(mutex)

@njit(nogil=True, cache=True)
def first(mutex):
    return second(mutex) + nb.ilk_mutex_is_locked(mutex) + nb.ilk_mutex_unlock(mutex)
"""

MAIN = """
import sys
import interlock, kernels
mutex = interlock.Mutex()
assert kernels.first(mutex.handle) == 1
assert not mutex.locked()
print(sum(kernels.first.stats.cache_hits.values()), sum(kernels.first.stats.cache_misses.values()))
"""


def test_cache_in_other_processes_numba_3621(python, tmp_path):
    (tmp_path / "kernels.py").write_text(KERNELS)
    # Shifts the addresses, so that one kept from the first process would show.
    (tmp_path / "outer_setup.py").write_text("import os\nkeep = bytearray(int(os.environ.get('ILK_SHIFT', 0)))\n")
    assert python(MAIN).stdout.split() == ["0", "1"]
    assert python(MAIN, ILK_SHIFT="1").stdout.split() == ["1", "0"]
    assert python(MAIN, ILK_SHIFT="100000000").stdout.split() == ["1", "0"]


def test_cache_after_the_library_moved(python, tmp_path):
    import shutil

    from interlock import _library

    (tmp_path / "kernels.py").write_text(KERNELS.replace("import outer_setup\n", ""))
    assert python(MAIN).stdout.split() == ["0", "1"]
    moved = tmp_path / "elsewhere.so"
    shutil.copy(_library.LIBRARY._name, moved)
    assert python(MAIN, INTERLOCK_LIBRARY=str(moved)).stdout.split() == ["1", "0"]


def test_without_jit(python):
    python(
        textwrap.dedent(
            """
            from numba import njit
            import interlock
            from interlock import nb

            @njit
            def work(mutex):
                return nb.ilk_mutex_lock(mutex), nb.ilk_mutex_unlock(mutex), nb.ilk_mutex_new(-1)

            mutex = interlock.Mutex()
            assert work(mutex.handle) == (0, 0, 0)
            """
        ),
        NUMBA_DISABLE_JIT="1",
    )


def test_parallel():
    from numba import prange

    @njit(parallel=True, nogil=True)
    def count(mutex, total, n):
        for _ in prange(n):
            nb.ilk_mutex_lock(mutex)
            total[0] += 1
            nb.ilk_mutex_unlock(mutex)

    mutex, total = Mutex(), np.zeros(1, np.int64)
    count(mutex.handle, total, 10_000)
    assert total[0] == 10_000
    assert not mutex.locked()


@intrinsic
def raise_code(context, code):
    def lower(context, builder, sig, args):
        emit = Emit(context, builder, None, {ILK_EPERM: (KeyError, "own")})
        emit.check(args[0])
        emit.result()
        return context.get_dummy_value()

    return signature(types.none, types.intc), lower


def test_every_code_has_its_exception():
    @njit
    def kernel(code):
        raise_code(code)

    for code in range(1, ILK_ENOTSUP - 3, -1):
        if code >= 0:
            assert kernel(code) is None
            continue
        expected = KeyError("own") if code == ILK_EPERM else error(code if code >= ILK_ENOTSUP else 0)
        with pytest.raises(type(expected)) as caught:
            kernel(code)
        assert caught.value.args == expected.args
