"""Locks in the elements of an array, from Python and in kernels."""

import ctypes
import itertools
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from numba import njit, prange
from numba.core.errors import TypingError

import interlock._numba
from conftest import PATIENCE
from interlock import DeadlockError, OwnerDiedWarning, atomic, capi, nb, words

interlock._numba.init()


@njit(nogil=True)
def kernel_lock(array, index, timeout=-1, shared=False):
    return words.lock(array, index, timeout, shared)


@njit(nogil=True)
def kernel_trylock(array, index, shared=False):
    return words.trylock(array, index, shared=shared)


@njit(nogil=True)
def kernel_unlock(array, index, shared=False):
    words.unlock(array, index, shared)


PYTHON = (words.lock, words.trylock, words.unlock)
KERNEL = (kernel_lock, kernel_trylock, kernel_unlock)
each_world = pytest.mark.parametrize("world", [PYTHON, KERNEL], ids=["python", "kernel"])
HAS_SHARED = ctypes.string_at(capi.ilk_backend()) == b"futex"
needs_shared = pytest.mark.skipif(not HAS_SHARED, reason="only futexes wait between processes")


@each_world
@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=needs_shared)])
def test_locked_and_unlocked(world, shared, in_thread):
    lock, trylock, unlock = world
    locks = np.zeros((2, 3), np.uint32)
    assert lock(locks, (1, -1), shared=shared) is True
    assert np.flatnonzero(locks).tolist() == [5]
    assert trylock(locks, (1, 2), shared=shared) is False
    assert trylock(locks, (0, 0), shared=shared) is True
    for other in (PYTHON, KERNEL):  # the worlds agree
        assert in_thread(other[1], locks, (1, 2), shared) is False
        assert in_thread(other[0], locks, (1, 2), 0.01, shared) is False
    unlock(locks, (1, 2), shared)
    unlock(locks, (0, 0), shared)
    assert not (locks & 0x7FFFFFFF).any()
    assert in_thread(lambda: lock(locks, (1, 2), 5, shared) and unlock(locks, (1, 2), shared) is None)


@each_world
@pytest.mark.skipif(HAS_SHARED, reason="futexes wait between processes")
def test_shared_is_refused_where_it_cannot_work(world):
    lock, trylock, unlock = world
    locks = np.zeros(2, np.uint32)
    for refused in (lambda: lock(locks, 0, -1, True), lambda: trylock(locks, 0, True), lambda: unlock(locks, 0, True)):
        with pytest.raises(NotImplementedError, match="not on this platform"):
            refused()
    assert not locks.any()


@each_world
def test_errors(world, in_thread):
    lock, _, unlock = world
    locks = np.zeros(2, np.uint32)
    assert lock(locks, 0)
    with pytest.raises(DeadlockError):
        lock(locks, 0)
    with pytest.raises(RuntimeError):
        unlock(locks, 1)

    def unlock_of_another():
        with pytest.raises(RuntimeError):
            unlock(locks, 0)
        return True

    assert in_thread(unlock_of_another)
    unlock(locks, 0)
    for call, bad in itertools.product(world, (2, -3)):
        with pytest.raises(IndexError):
            call(locks, bad)
    for call, wrong in itertools.product(world, (np.zeros(2, np.int32), np.zeros(2, np.uint64), np.zeros(2), [0])):
        with pytest.raises((TypeError, TypingError)):
            call(wrong, 0)
    misaligned = np.zeros(9, np.uint8)[1:].view(np.uint32)
    locks.flags.writeable = False
    for call in world:
        with pytest.raises(ValueError, match="misaligned"):
            call(misaligned, 0)
        with pytest.raises((ValueError, TypingError), match="read-only"):
            call(locks, 0)
    with pytest.raises(ValueError):
        lock(np.zeros(1, np.uint32), 0, -2)


@each_world
def test_timeout_is_not_early(world, in_thread):
    locks = np.zeros(1, np.uint32)
    words.lock(locks, 0)

    def wait():
        since = time.perf_counter()
        return world[0](locks, 0, 0.05), time.perf_counter() - since

    acquired, took = in_thread(wait)
    assert not acquired and took >= 0.05


@njit(nogil=True)
def count(locks, totals, i, n):
    for _ in range(n):
        words.lock(locks, i)
        totals[i] += 1
        words.unlock(locks, i)


def test_exclusion():
    """Kernels, and Python among them."""
    locks, totals = np.zeros((4, 4), np.uint32)[:, 1], np.zeros(4, np.int64)
    count(locks, totals, 0, 0)

    def from_python():
        for _ in range(300):
            assert words.lock(locks, 2)
            totals[2] += 1
            words.unlock(locks, 2)

    threads = [threading.Thread(target=count, args=(locks, totals, i, 30_000)) for i in (2, 2, 1)]
    threads.append(threading.Thread(target=from_python))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert totals.tolist() == [0, 30_000, 60_300, 0]


@each_world
def test_owner_died(world):
    locks = np.zeros(1, np.uint32)
    thread = threading.Thread(target=lambda: words.lock(locks, 0))
    thread.start()
    thread.join()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert world[0](locks, 0)
    assert [w.category for w in caught] == ([OwnerDiedWarning] if world is PYTHON else [])
    world[2](locks, 0)
    assert world[1](locks, 0)


@njit(nogil=True)
def take_and_yield(locks):
    for i in range(len(locks)):
        words.lock(locks, i)
        yield i


def test_a_generator_resumed_by_another_thread(in_thread):
    """A thread's number lasts as long as a call does, and each `next` is one."""
    locks = np.zeros(2, np.uint32)
    generator = take_and_yield(locks)
    assert next(generator) == 0
    assert in_thread(next, generator) == 1
    words.unlock(locks, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        words.lock(locks, 1)  # that thread is gone
    assert [w.category for w in caught] == [OwnerDiedWarning]


def test_a_kernel_that_dies_with_a_lock_is_noticed_by_who_waits():
    """It has acquired the lock without a call, and the other thread sleeps when it exits."""
    locks, order = np.zeros(1, np.uint32), np.zeros(1, np.int64)

    @njit(nogil=True)
    def hold(locks, order):
        words.lock(locks, 0)
        atomic.store(order, 0, 1)
        while atomic.load(order, 0) == 1:
            pass

    holder = threading.Thread(target=hold, args=(locks, order))
    waiter = threading.Thread(target=kernel_lock, args=(locks, 0))
    holder.start()
    while order[0] == 0:
        time.sleep(0.001)
    waiter.start()
    time.sleep(0.1)
    order[0] = 2
    holder.join(30)
    waiter.join(30)
    assert not waiter.is_alive()


def test_prange_and_what_is_inlined():
    """Threads of one kernel, which locks in a helper and in an array of two dimensions."""
    locks, totals = np.zeros((3, 4), np.uint32), np.zeros((3, 4), np.int64)

    @njit
    def add(locks, totals, i, j):
        words.lock(locks, (i, j), timeout=60)
        totals[i, j] += 1
        words.unlock(locks, (i, j))

    @njit(nogil=True, parallel=True)
    def work(locks, totals, n):
        for k in prange(n):
            add(locks, totals, k % 3, k % 4)
            words.lock(locks, (0, 0))
            totals[0, 0] += 1
            words.unlock(locks, index=(0, 0), shared=False)

    work(locks, totals, 12_000)
    assert totals.sum() == 24_000 and totals[0, 0] == 13_000
    assert not (locks & 0x3FFFFFFF).any()


def test_one_question_for_all_locks_of_a_kernel():
    """The thread's number is loaded outside of the loop; a lock is a compare-and-swap."""
    count(np.zeros(1, np.uint32), np.zeros(1, np.int64), 0, 0)
    [code] = [code for types, code in count.inspect_llvm().items() if types[0].layout == "C"]
    assert code.count("call i32 @ilk_word_id(") == 1
    assert code.count("cmpxchg") >= 2


def test_a_warning_that_is_an_error_leaves_it_unlocked(in_thread):
    locks = np.zeros(1, np.uint32)
    in_thread(words.lock, locks, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (words.lock, words.trylock):
            deadline = time.monotonic() + PATIENCE  # a thread that was joined may still be dying: a try then returns False
            with pytest.raises(OwnerDiedWarning):
                while not call(locks, 0) and time.monotonic() < deadline:
                    time.sleep(0.001)
            assert in_thread(words.lock, locks, 0)  # it is free; and then its owner has exited again


@needs_shared
def test_between_processes(tmp_path):
    path = tmp_path / "shared"
    np.zeros(4, np.uint32).tofile(path)
    code = (
        "import sys, numpy as np\n"
        "from interlock import words\n"
        "a = np.memmap(sys.argv[1], np.uint32)\n"
        "for _ in range(2000):\n"
        "    words.lock(a, 0, shared=True); a[1] += 1; words.unlock(a, 0, shared=True)\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    mapped = np.memmap(path, np.uint32)

    @njit(nogil=True)
    def work(a, n):
        for _ in range(n):
            words.lock(a, 0, shared=True)
            a[1] += 1
            words.unlock(a, 0, shared=True)

    work(mapped, 2000)
    assert [child.wait(PATIENCE) for child in children] == [0, 0]
    assert mapped[1] == 6000


HOLDER = """
import sys, time, numpy as np
from interlock import capi
locks = np.memmap(sys.argv[1], np.int64).reshape(-1, 8)
print(capi.ilk_robust_lock(locks[1].ctypes.data), flush=True)
time.sleep(3600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no robust locks")
def test_a_robust_lock_survives_its_holder(tmp_path):
    path = tmp_path / "locks"
    np.zeros((3, 8), np.int64).tofile(path)
    locks = np.memmap(path, np.int64).reshape(-1, 8)
    address = locks[1].ctypes.data

    @njit(nogil=True)
    def lock_and_unlock(row):
        code = nb.ilk_robust_lock(row.ctypes.data)
        return code, nb.ilk_robust_unlock(row.ctypes.data)

    codes = []
    for world in (lambda row: (capi.ilk_robust_lock(address), capi.ilk_robust_unlock(address)), lock_and_unlock):
        with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout.readline() == b"0\n"
            assert capi.ilk_robust_trylock(address) == nb.ILK_EBUSY
            assert capi.ilk_robust_timedlock(address, 1_000_000) == nb.ILK_ETIMEDOUT
            waiter = threading.Thread(target=lambda world=world: codes.append(world(locks[1])))
            waiter.start()
            child.kill()
            waiter.join(PATIENCE)
    assert codes == [(nb.ILK_OWNER_DIED, 0)] * 2
    assert lock_and_unlock(locks[1]) == (0, 0)
    assert not locks[0].any() and not locks[2].any()


MODULE = """
import interlock._numba
interlock._numba.init()
from numba import njit, prange
from interlock import words

@njit(nogil=True, cache=True)
def work(a):
    words.lock(a, 0, 1.5)
    words.unlock(a, 0)
    return words.trylock(a, 1)
"""

MAIN = """
import numpy as np, kernels
a = np.zeros(2, np.uint32)
assert kernels.work(a) and a[0] == 0 and a[1] != 0
print(sum(kernels.work.stats.cache_hits.values()))
"""


def test_cache_in_another_process(python, tmp_path):
    (tmp_path / "kernels.py").write_text(MODULE)
    assert python(MAIN).stdout.split() == ["0"]
    assert python(MAIN).stdout.split() == ["1"]


def test_without_jit(python):
    python(MODULE + MAIN.replace("kernels.", "").replace(", kernels", "").split("print")[0], NUMBA_DISABLE_JIT="1")
