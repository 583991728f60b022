"""PerThread: a slice for each thread, and the merged array."""

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit, prange
from numba.core import config
from numba.core.errors import TypingError

import interlock
from conftest import PATIENCE, live
from interlock import HandleError, PerThread, atomic


@njit(parallel=True, nogil=True)
def count(samples, counts):
    for i in prange(len(samples)):
        mine = counts.local()
        mine[samples[i]] += 1


@njit(nogil=True)
def count_alone(samples, counts):
    mine = counts.local()
    for x in samples:
        mine[x] += 1


@njit(parallel=True, nogil=True)
def with_neighbours(samples, counts):
    zeros = np.zeros(len(samples))
    for i in prange(len(samples)):
        mine = counts.local()
        mine[samples[i]] += 1
    ones = np.ones(len(samples))
    return counts.sum(), zeros.sum(), ones.sum()


SAMPLES = np.random.default_rng(1).integers(0, 16, 20_000)
EXPECTED = np.bincount(SAMPLES, minlength=16)


@pytest.mark.parametrize("kernel", [count, count_alone])
def test_counts(kernel):
    counts = PerThread(16, np.int64)
    kernel(SAMPLES, counts)
    kernel(SAMPLES, counts)
    assert (counts.sum() == 2 * EXPECTED).all()
    counts.clear()
    assert not counts.sum().any()
    kernel(SAMPLES, counts)
    assert (counts.sum() == EXPECTED).all()


def test_writes_are_not_removed_nor_moved_by_neighbours():
    """Numba's parallel passes consider an array that a call returns new, and would remove writes that no code reads."""
    total, zeros, ones = with_neighbours(SAMPLES, PerThread(16, np.int64))
    assert (total == EXPECTED).all()
    assert (zeros, ones) == (0, len(SAMPLES))


COUNTS = PerThread(4, np.int64)


@njit
def set_beside_a_closure(counts):
    double = lambda n: 2 * n  # noqa: E731
    mine = counts.local()
    mine[1] = double(1)


@njit
def add_beside_a_list_comprehension(counts):
    ones = [1 for _ in range(2)]
    mine = counts.local()
    mine[1] += len(ones)


@njit(parallel=True)
def add_in_a_prange(counts):
    for _ in prange(1):
        ones = [1 for _ in range(2)]
        mine = counts.local()
        mine[1] += len(ones)


@pytest.mark.parametrize("kernel", [set_beside_a_closure, add_beside_a_list_comprehension, add_in_a_prange])
def test_a_write_is_not_removed_beside_a_closure(kernel):
    """Numba took the slice for an array that the kernel had made, and that nothing read afterwards."""
    counts = PerThread(2, np.int64)
    kernel(counts)
    assert list(counts.sum()) == [0, 2]


def test_of_a_global_and_in_a_tuple():
    @njit(parallel=True, nogil=True)
    def of_a_global(n):
        for i in prange(n):
            COUNTS.local()[i % 4] += 1

    @njit(parallel=True, nogil=True)
    def in_a_tuple(n, both):
        for i in prange(n):
            mine = both[0].local()
            mine[i % 4] += both[1]

    of_a_global(1000)
    in_a_tuple(1000, (COUNTS, 2))
    assert list(COUNTS.sum()) == [750] * 4


FIRST_USE = """
import numpy as np
from numba import njit
from interlock import PerThread, Queue

COUNTS = PerThread(1, np.int64)
POINTS = Queue(2, np.dtype([("x", np.float64)]))

@njit
def count():
    COUNTS.local()[0] += 5
    return COUNTS.sum()[0]

@njit
def take(points):
    POINTS.put(points[0])
    POINTS.get_into(points, 1)
    return points[1]["x"]

assert {call}
"""


@pytest.mark.parametrize("call", ["count() == 5", "take(np.array([(5.0,), (0.0,)], POINTS.dtype)) == 5"])
def test_a_global_one_in_the_first_kernel_of_a_process(call):
    """It had no `local`, and such a queue no `get_into`: they were registered when the type of the object was found."""
    subprocess.run([sys.executable, "-c", FIRST_USE.replace("{call}", call)], check=True, timeout=300)


def test_threads_and_their_exits():
    """Sums outlive their threads, and later threads get those slices, so there are never many."""
    counts, small = PerThread(16, np.int64), SAMPLES[:100]
    count_alone(small, counts)
    for _ in range(40):
        thread = threading.Thread(target=count_alone, args=(small, counts))
        thread.start()
        thread.join()
    assert (counts.sum() == 41 * np.bincount(small, minlength=16)).all()
    assert sum(1 for _ in counts._slices()) < 20


def test_more_threads_than_processors_and_from_python():
    counts, n = PerThread(16, np.int64), 24
    gate = threading.Barrier(n)

    def work():
        gate.wait()
        count_alone(SAMPLES, counts)
        mine = counts.local()
        mine[0] += 1
        gate.wait()
        return mine.ctypes.data

    with ThreadPoolExecutor(n) as pool:
        slices = [future.result() for future in [pool.submit(work) for _ in range(n)]]
    assert len(set(slices)) == n
    assert all(address % 64 == 0 for address in slices)
    expected = n * EXPECTED
    expected[0] += n
    assert (counts.sum() == expected).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.float32, np.float64, np.complex128, np.bool_])
@pytest.mark.parametrize("shape", [(), 3, (2, 3), (0,)])
def test_merges_are_alike_in_kernels(dtype, shape):
    per_thread = PerThread(shape, dtype)

    @njit
    def fill(x, value):
        mine = x.local()
        for index in np.ndindex(mine.shape):
            mine[index] = value

    @njit
    def total(x):
        return x.sum()

    fill(per_thread, 1)
    thread = threading.Thread(target=fill, args=(per_thread, 0))
    thread.start()
    thread.join()
    ours, kernels = per_thread.sum(), total(per_thread)
    assert ours.shape == kernels.shape == per_thread.shape
    assert ours.dtype == kernels.dtype and (ours == kernels).all()
    assert (ours == 1).all()


def test_extremes_begin_with_initial():
    @njit
    def extremes(x):
        return x.max(), x.min()

    greatest = PerThread(2, np.float64, initial=-np.inf)
    assert [list(a) for a in extremes(greatest)] == [[-np.inf] * 2] * 2
    greatest.local()[:] = -5, 7
    assert list(greatest.max()) == list(extremes(greatest)[0]) == [-5, 7]
    assert list(greatest.merge(np.fmax)) == [-5, 7]
    # In Python the initial value was left out once a thread had a slice.
    x = PerThread(2)
    x.local()[:] = -5, 7
    assert [list(x.max()), list(x.min())] == [list(a) for a in extremes(x)] == [[0, 7], [-5, 0]]
    for total in (greatest.sum, lambda: njit(lambda x: x.sum())(greatest)):
        with pytest.raises(ValueError, match="initial=0"):
            total()


def test_a_close_during_a_merge():
    """What was not merged yet was left out."""
    x = PerThread(1, np.int64)
    first, second = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (x.local().fill(2), first.set(), second.wait(PATIENCE)))
    thread.start()
    first.wait()
    x.local()[0] = 1
    slices = x._slices()
    found = [int(next(slices)[0])]
    x.close()
    found += [int(a[0]) for a in slices]
    second.set()
    thread.join()
    assert sorted(found) == [1, 2]


def test_records():
    dtype = np.dtype([("n", np.int64), ("x", np.float64)])

    @njit
    def add(x):
        mine = x.local()
        mine[1]["n"] += 2
        mine[1]["x"] += 0.5

    x = PerThread(2, dtype)
    add(x)
    assert x.local()[1].item() == (2, 0.5)


def test_a_slice_outlives_its_object():
    before = live()
    get = njit(lambda x: x.local())
    x = PerThread(1000, np.int64)
    a, b = get(x), x.local()
    a[:] = 7
    assert (b == 7).all()
    del x, b
    assert (a == 7).all() and live() == before + bool(config.DISABLE_JIT)


def a_slice_of_one_thread(x, n):
    mine = x.local()
    for i in prange(n):
        mine[i % 2] += 1


def a_part_of_it(x, n):
    mine = x.local()[1:]
    for _ in prange(n):
        here = mine
        for j in range(2):
            here[j] += 1


def a_view_of_it(x, n):
    mine = x.local().reshape(2, 2).T
    for i in prange(n):
        mine[i % 2, 1] += 1


def a_view_by_a_call(x, n):
    mine = np.asarray(x.local())
    for i in prange(n):
        mine[i % 2] += 1


def it_in_a_tuple(x, n):
    pair = x.local(), x.local()
    for i in prange(n):
        pair[0][i % 2] += 1


def all_of_it(x, n):
    mine = x.local()
    for _ in prange(n):
        mine[:] += 1


def a_range_of_it(x, n):
    mine = x.local()
    for i in prange(n):
        here = mine[:2]
        here += i % 2


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="asks what is compiled")
@pytest.mark.parametrize(
    "kernel",
    [a_slice_of_one_thread, a_part_of_it, a_view_of_it, a_view_by_a_call, it_in_a_tuple, all_of_it, a_range_of_it],
)
def test_a_slice_from_before_a_parallel_loop_is_refused(kernel):
    """All threads wrote to it, and counts were lost."""
    with pytest.raises(TypingError, match=r"Call `local\(\)` inside the loop"):
        njit(parallel=True)(kernel)(PerThread(4, np.int64), 8)


def test_a_slice_from_before_a_parallel_loop():
    """Reads, a fill element by element, and atomic operations are right."""

    @njit(parallel=True)
    def kernel(x, n):
        mine = x.local()
        for i in prange(4):
            mine[i] = i
        total = 0
        for i in prange(n):
            total += mine[i % 4]
        for _ in prange(n):
            atomic.add(mine, 0, 1)
        return total

    x = PerThread(4, np.int64)
    assert kernel(x, 8) == 12 and x.sum().tolist() == [8, 1, 2, 3]


def test_rows_copies_and_reductions_of_a_slice_from_before_a_parallel_loop():
    @njit(parallel=True)
    def kernel(x, n):
        mine = x.local()
        for i in prange(len(mine)):
            row = mine[i]
            row += 1
        copy = mine.copy()
        for i in prange(2):
            copy[i, 1 - i] += 1
        for _ in prange(n):
            mine += 1  # Numba adds up the copies of the threads
        return copy.sum()

    x = PerThread((2, 2), np.int64)
    assert kernel(x, 8) == 6 and x.sum().tolist() == [[9, 9], [9, 9]]


def test_an_initial_value_that_is_not_one_value_of_the_dtype_is_refused():
    # An array was accepted: sum() added all of it once for each thread, because its first element was 0.
    for initial in ([0, 1, 2], np.array([0, 1, 2]), [5]):
        with pytest.raises(ValueError, match="scalar"):
            PerThread(3, np.int64, initial)
    for initial in (1.5, np.float64(0.5), np.int64(300)):  # became 1, 0 and 44
        with pytest.raises((ValueError, OverflowError)):
            PerThread(3, np.int8, initial)
    with pytest.raises(OverflowError):
        PerThread(3, np.int64, np.inf)  # became the least of all
    for initial in (5, 5.0, np.array(5), np.uint8(5)):
        assert PerThread(2, np.int32, initial).max().tolist() == [5, 5]
    assert PerThread(2, "V3").merge(None).tolist() == [b"\0\0\0"] * 2
    assert PerThread(2, float, -0.0).sum().tolist() == [0, 0]
    assert PerThread(2, np.float32, 0.1).max().tolist() == [np.float32(0.1)] * 2
    assert PerThread(2, [("n", int), ("x", float)], (1, 2)).merge(None).tolist() == [(1, 2)] * 2


def test_misuse():
    for dtype in (object, ">i4", (float, 2)):
        with pytest.raises(TypeError, match="native"):
            PerThread(3, dtype)
    with pytest.raises(ValueError):
        PerThread(-1)
    x = PerThread((2, 3), np.int32)
    assert repr(x).endswith("shape=(2, 3), dtype=int32, slices=0>")
    assert f"slices {x.handle:#x}" in interlock.report()
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(x)
    mine = x.local()
    x.close()
    x.close()
    mine[:] = 1  # the memory stays
    assert x.closed
    for use in (x.local, x.sum, x.max, x.clear, lambda: njit(lambda x: x.local())(x), lambda: njit(lambda x: x.sum())(x)):
        with pytest.raises(HandleError):
            use()
