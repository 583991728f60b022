"""parallel=True: Numba must not move, fuse or hoist code across calls that lock, count or wait."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple
from functools import reduce
from queue import Empty

import numba
import numpy as np
import pytest
from llvmlite import ir as llvm
from numba import njit, objmode, prange, stencil, typed, types, vectorize
from numba.core import cgutils
from numba.core.errors import NumbaParallelSafetyWarning, TypingError
from numba.experimental import jitclass, structref
from numba.extending import intrinsic, overload, overload_method

from interlock import (
    Counter,
    Event,
    Latch,
    Lock,
    LockArray,
    Mutex,
    Queue,
    Semaphore,
    atomic,
    get_library,
    held,
    nb,
    words,
)
from interlock import jitclasses as jc
from interlock._numba import parallel

N = 1000


@pytest.fixture(params=[1, 2], autouse=True)
def workers(request):
    before = numba.get_num_threads()
    numba.set_num_threads(min(request.param, numba.config.NUMBA_NUM_THREADS))
    yield request.param
    numba.set_num_threads(before)


@njit
def bump(array, i):
    array[i] += 1


@njit
def count_atomically(array, i):
    atomic.add(array, i, 1)


@njit
def count_two_levels_deep(array, i):
    count_atomically(array, i)


@njit
def lock_it(lock):
    lock.acquire()


@njit
def unlock_it(lock):
    lock.release()


@njit
def add_under_lock(lock, array):
    lock_it(lock)
    array[0] += 1
    unlock_it(lock)


def test_this_numba_has_what_the_passes_rely_on():
    # If this fails, Numba changed what interlock/_numba/parallel.py replaces: see there.
    assert parallel.unknown_parts() == []


def test_a_numba_that_has_changed_is_refused():
    source = textwrap.dedent(
        """
        import numpy as np
        from numba import njit, prange
        from numba.parfors import parfor
        original = parfor.try_fuse
        parfor.try_fuse = lambda a, b: original(a, b)
        from interlock import Counter

        def kernel(counter, n):
            for i in prange(n):
                counter.fetch_add(1)

        counter = Counter()
        njit(kernel)(counter, 3)
        assert counter.load() == 3
        try:
            njit(parallel=True)(kernel)(counter, 3)
        except Exception as error:
            assert "try_fuse" in str(error) and "nogil=True" in str(error), error
        else:
            raise AssertionError
        """
    )
    subprocess.run([sys.executable, "-c", source], check=True)


# --- statements that Numba moves across a loop --------------------------------------------------------------------------


def test_a_read_after_a_loop_of_atomics_stays_there():
    @njit(parallel=True)
    def histogram(index):
        counts = np.zeros(4, np.int64)
        for i in prange(len(index)):
            atomic.add(counts, index[i], 1)
        return counts[0]

    @njit(parallel=True)
    def normalize(x, top):
        for i in prange(len(x)):
            atomic.max(top, 0, x[i])
        return x / top[0]

    assert histogram(np.array([0, 0, 3, 0])) == 3
    x = np.array([1.0, 2.0, 5.0, 4.0])
    assert np.array_equal(normalize(x, np.zeros(1)), x / 5)


def test_a_read_after_a_loop_of_helpers_stays_there():
    @njit(parallel=True)
    def kernel(n):
        counts = np.zeros(n, np.int64)
        for _i in prange(n):
            count_two_levels_deep(counts, 0)
        return counts[0]

    assert kernel(N) == N


def test_a_read_after_a_loop_through_aliases_stays_there():
    @njit(parallel=True)
    def of_a_slice(n):
        a = np.zeros(n, np.int64)
        b = a[2:]
        for _i in prange(n):
            atomic.add(b, 0, 1)
        return a[2]

    @njit(parallel=True)
    def of_a_tuple(n):
        pair = (np.zeros(n, np.int64), np.zeros(n, np.int64))
        for i in prange(n):
            atomic.add(pair[i % 2], 0, 1)
        return pair[0][0] + pair[1][0]

    @njit(parallel=True)
    def of_rows(n):
        a = np.zeros((n, 2), np.int64)
        for _i in prange(n):
            row = a[0]
            atomic.add(row, 1, 1)
        return a[0, 1]

    assert [f(N) for f in (of_a_slice, of_a_tuple, of_rows)] == [N, N, N]


def test_fields_of_records():
    record = np.dtype([("hits", np.int64), ("misses", np.int64)])

    @njit(parallel=True)
    def kernel(table, n):
        out = np.zeros(n, np.int64)
        for _i in prange(n):
            atomic.add(table["hits"], 0, 1)
        return table[0]["hits"] + out.sum()

    assert kernel(np.zeros(3, record), N) == N


def test_arrays_of_a_jitclass():
    @jitclass([("counts", types.int64[::1])])
    class Holder:
        def __init__(self, n):
            self.counts = np.zeros(n, np.int64)

        def count(self, i):
            atomic.add(self.counts, i, 1)

    @njit(parallel=True)
    def by_attribute(holder, n):
        out = np.zeros(n, np.int64)
        for _i in prange(n):
            atomic.add(holder.counts, 0, 1)
        return holder.counts[0] + out.sum()

    @njit(parallel=True)
    def by_method(holder, n):
        out = np.zeros(n, np.int64)
        for _i in prange(n):
            holder.count(0)
        return holder.counts[0] + out.sum()

    assert by_attribute(Holder(3), N) == N
    assert by_method(Holder(3), N) == N


def test_words_are_writes():
    @njit(parallel=True, nogil=True)
    def kernel(n):
        locks = np.zeros(n, np.uint32)
        for i in prange(n):
            words.lock(locks, i)
        return locks[0] != 0

    assert kernel(4)


# --- fusion -------------------------------------------------------------------------------------------------------------


def test_loops_about_one_object_are_not_fused():
    @njit(parallel=True, nogil=True)
    def kernel(done, out):
        for _i in prange(len(out)):
            done.fetch_add(1)
        for i in prange(len(out)):
            out[i] = done.load()

    out = np.zeros(N, np.int64)
    kernel(Counter(), out)
    assert (out == N).all()


def test_loops_about_different_objects_are_not_fused():
    @njit(parallel=True, nogil=True)
    def kernel(latch, event, seen):
        for _i in prange(len(seen)):
            latch.count_down()
            if latch.value == 0:
                event.set()
        for i in prange(len(seen)):
            seen[i] = event.is_set()

    seen = np.zeros(N, np.int64)
    kernel(Latch(N), Event(), seen)
    assert seen.all()


def test_loops_that_call_c_functions_or_helpers_are_not_fused():
    @njit(parallel=True, nogil=True)
    def by_nb(counter, out):
        for _i in prange(len(out)):
            nb.ilk_counter_fetch_add(counter, 1)
        for i in prange(len(out)):
            out[i] = nb.ilk_counter_load(counter)

    @njit(parallel=True, nogil=True)
    def by_helper(counts, out):
        for _i in prange(len(out)):
            count_two_levels_deep(counts, 0)
        for i in prange(len(out)):
            out[i] = atomic.load(counts, 0)

    for kernel, shared in ((by_nb, Counter()), (by_helper, np.zeros(1, np.int64))):
        out = np.zeros(N, np.int64)
        kernel(shared.handle if isinstance(shared, Counter) else shared, out)
        assert (out == N).all()


def test_loops_about_jitclasses_are_not_fused():
    @njit(parallel=True, nogil=True)
    def kernel(counter, out):
        for _i in prange(len(out)):
            counter.fetch_add(1)
        for i in prange(len(out)):
            out[i] = counter.load()

    out, counter = np.zeros(N, np.int64), jc.Counter(0)
    kernel(counter, out)
    counter.close()
    assert (out == N).all()


def test_a_locked_loop_is_not_fused_with_the_making_of_its_array():
    @njit(parallel=True, nogil=True)
    def kernel(index, lock):
        counts = np.zeros(len(index), np.int64)
        for i in prange(len(index)):
            lock.acquire()
            counts[index[i]] += 1
            lock.release()
        return counts + 0

    index = np.arange(N) % 10 * (N // 10)
    assert kernel(index, Lock()).sum() == N


def test_loops_within_a_loop_are_not_fused():
    @njit(parallel=True, nogil=True)
    def kernel(counters, out):
        for k in prange(len(counters)):
            for _i in prange(out.shape[1]):
                atomic.add(counters, k, 1)
            for i in prange(out.shape[1]):
                out[k, i] = counters[k]

    out = np.zeros((3, 50), np.int64)
    kernel(np.zeros(3, np.int64), out)
    assert (out == 50).all()


def test_other_loops_are_fused_as_ever():
    """Also with a condition: Numba calls `bool` for it, of which we have an overload for our objects."""

    @njit(parallel=True)
    def kernel(x, counts):
        a = np.empty_like(x)
        b = np.empty_like(x)
        for i in prange(len(x)):
            if x[i] > 0:
                a[i] = x[i] + 1
        for i in prange(len(x)):
            b[i] = x[i] + 2
        for _i in prange(len(x)):
            atomic.add(counts, 0, 1)
        return a, b

    kernel(np.zeros(N), np.zeros(1, np.int64))
    (result,) = kernel.overloads.values()
    assert sum(map(len, result.metadata["parfor_diagnostics"].fusion_info.values())) == 1


def test_fusion_off_is_right_too():
    @njit(parallel={"fusion": False}, nogil=True)
    def kernel(counter, out):
        for _i in prange(len(out)):
            counter.fetch_add(1)
        for i in prange(len(out)):
            out[i] = counter.load()

    out = np.zeros(N, np.int64)
    kernel(Counter(), out)
    assert (out == N).all()


# --- hoisting -----------------------------------------------------------------------------------------------------------


def test_properties_are_read_each_time():
    @njit(nogil=True, parallel=True)
    def kernel(semaphore, queue, latch, out):
        for i in prange(len(out)):
            semaphore.release()
            queue.close()
            before = latch.value
            latch.count_down()
            out[i] = semaphore.value >= 1 and queue.closed and latch.value < before + 1 and latch.value < len(out)

    out = np.zeros(8, np.int64)
    kernel(Semaphore(0), Queue(2), Latch(8), out)
    assert out.all()


GLOBAL_SEMAPHORE = Semaphore(0)


def test_properties_of_a_global_object_are_read_each_time():
    @njit(nogil=True, parallel=True)
    def kernel(out):
        for i in prange(len(out)):
            GLOBAL_SEMAPHORE.release()
            out[i] = GLOBAL_SEMAPHORE.value

    out = np.zeros(8, np.int64)
    kernel(out)
    assert (out >= 1).all()


def test_reads_under_a_lock_stay_in_the_loop():
    @njit(nogil=True, parallel=True)
    def by_helper(total, lock, seen):
        for _i in prange(len(seen)):
            lock.acquire()
            before = total[0]
            bump(total, 0)
            seen[before] += 1
            lock.release()

    @njit(nogil=True, parallel=True)
    def by_deep_helpers(total, lock, seen):
        for _i in prange(len(seen)):
            lock_it(lock)
            before = total[0]
            count_two_levels_deep(total, 0)
            seen[before] += 1
            unlock_it(lock)

    @njit(nogil=True, parallel=True)
    def by_atomic_alone(total, lock, seen):
        for _i in prange(len(seen)):
            words.lock(lock, 0)
            before = total[0]
            atomic.add(total, 0, 1)
            seen[before] += 1
            words.unlock(lock, 0)

    for kernel, lock in ((by_helper, Mutex()), (by_deep_helpers, Mutex()), (by_atomic_alone, np.zeros(1, np.uint32))):
        seen = np.zeros(N, np.int64)
        kernel(np.zeros(1, np.int64), lock, seen)
        assert (seen == 1).all()


def test_other_reads_stay_beside_calls():
    """Of arrays that are read by getitem, by arithmetic, and in tuples."""

    @njit(nogil=True, parallel=True)
    def kernel(total, table, lock, out):
        pair = (total, table)
        for i in prange(len(out)):
            lock.acquire()
            bump(pair[0], 0)
            bump(pair[1], (0, 1))
            out[i] = pair[0][0] == pair[1][0, 1] and table.sum() == pair[0][0] and max(total) == total[0]
            lock.release()

    out = np.zeros(100, np.int64)
    kernel(np.zeros(1, np.int64), np.zeros((2, 2), np.int64), Mutex(), out)
    assert out.all()


def test_fields_of_a_jitclass_are_read_each_time():
    @jitclass([("total", types.int64), ("lock", types.intp)])
    class Account:
        def __init__(self):
            self.total = 0

        def deposit(self):
            self.total += 1

    @njit(nogil=True, parallel=True)
    def kernel(account, lock, seen):
        for _i in prange(len(seen)):
            lock.acquire()
            seen[account.total] += 1
            account.deposit()
            lock.release()

    seen = np.zeros(N, np.int64)
    kernel(Account(), Mutex(), seen)
    assert (seen == 1).all()


def test_no_element_stays_in_a_register_during_a_call():
    """With two threads: each must see what the other wrote, and LLVM must not take the array for the loop's alone."""

    @njit(nogil=True, parallel=True)
    def kernel(total, lock, workers, n):
        for _w in prange(workers):
            for _ in range(n):
                lock.acquire()
                total[0] += 1
                lock.release()

    @njit(nogil=True, parallel=True)
    def by_helper(total, lock, workers, n):
        for _w in prange(workers):
            for _ in range(n):
                add_under_lock(lock, total)

    for f in (kernel, by_helper):
        total = np.zeros(1, np.int64)
        f(total, Mutex(), 4, 20_000)
        assert total[0] == 80_000


def test_a_plain_read_sees_what_another_thread_wrote_before_an_acquire():
    @njit(nogil=True, parallel=True)
    def kernel(flag, lock, workers):
        for _ in prange(workers):
            seen = 0
            while seen == 0:
                lock.acquire()
                seen = flag[0]
                lock.release()

    flag, lock = np.ones(1, np.int64), Mutex()
    kernel(flag, lock, 1)  # compiles
    flag[0] = 0
    thread = threading.Thread(target=kernel, args=(flag, lock, 1))
    thread.start()
    lock.acquire()
    flag[0] = 1
    lock.release()
    thread.join()


def test_reductions_beside_atomics():
    @njit(parallel=True, nogil=True)
    def kernel(x):
        counts = np.zeros(2, np.int64)
        total = 0.0
        for i in prange(len(x)):
            total += x[i]
            atomic.add(counts, i % 2, 1)
        return total, counts[0], counts[1], x.sum()

    assert kernel(np.ones(N)) == (N, N // 2, N // 2, N)


def count_by_overload(counts, i):
    raise NotImplementedError


@overload(count_by_overload)
def _count_by_overload(counts, i):
    def add(counts, i):
        atomic.add(counts, i, 1)

    return add


@njit
def call_overload(counts, i):
    count_by_overload(counts, i)


@structref.register
class BinsType(types.StructRef):
    pass


class Bins(structref.StructRefProxy):
    pass


structref.define_proxy(Bins, BinsType, ["counts"])


@overload_method(BinsType, "count")
def _count(bins, i):
    def add(bins, i):
        atomic.add(bins.counts, i, 1)

    return add


@njit
def call_method(bins, i):
    bins.count(i)


def test_an_overload_that_a_helper_calls_is_seen():
    index = np.array([0, 0, 3, 0])

    @njit(parallel=True)
    def largest(index):
        counts = np.zeros(4, np.int64)
        for i in prange(len(index)):
            call_overload(counts, index[i])
        return counts[0]

    @njit(parallel=True)
    def largest_of_bins(index):
        bins = Bins(np.zeros(4, np.int64))
        counts = bins.counts
        for i in prange(len(index)):
            call_method(bins, index[i])
        return counts[0]

    assert largest(index) == largest_of_bins(index) == 3


def test_loop_in_a_helper_that_is_inlined():
    @njit(inline="always")
    def fill(counts, n):
        for _i in prange(n):
            atomic.add(counts, 0, 1)

    @njit(parallel=True)
    def kernel(n):
        counts = np.zeros(n, np.int64)
        fill(counts, n)
        return counts[0]

    assert kernel(N) == N


def test_reads_of_a_local_array_through_another_object():
    @jitclass([("part", types.int64[::1])])
    class Holder:
        def __init__(self, part):
            self.part = part

    @njit(parallel=True, nogil=True)
    def kernel(out):
        a = np.zeros(len(out), np.int64)
        holder = Holder(a)
        for i in prange(len(out)):
            a[i] = 1
            atomic.add(holder.part, i, 1)
            out[i] = a[i]

    out = np.zeros(8, np.int64)
    kernel(out)
    assert (out == 2).all()


# --- indices --------------------------------------------------------------------------------------------------------------


def test_negative_indices_of_a_loop_count_from_the_end():
    @njit(parallel=True)
    def atomics(a, b):
        for i in prange(len(a)):
            atomic.add(a, -i, 1)
            atomic.add(b, (-i, -i), 1)

    @njit(parallel=True, nogil=True)
    def locks(a):
        for i in prange(len(a)):
            words.lock(a, -i)
            words.unlock(a, -i)

    memory, square = np.zeros(30, np.int64), np.zeros((10, 10), np.int64)
    atomics(memory[10:20], square)
    assert memory.tolist() == [0] * 10 + [1] * 10 + [0] * 10
    assert square.sum() == 10 and square[0, 0] == square[1, 1] == 1

    memory = np.zeros(30, np.uint32)
    memory[:10] = memory[20:] = 0xFFFFFFFF
    locks(memory[10:20])
    assert memory.tolist() == [0xFFFFFFFF] * 10 + [0] * 10 + [0xFFFFFFFF] * 10


def test_unsigned_indices_outside_of_a_loop():
    @njit
    def add(a, i):
        return atomic.add(a, i, 1)

    memory = np.zeros(30, np.int64)
    add(memory[10:20], np.uint64(2**64 - 1))
    assert memory[19] == 1 and memory.sum() == 1
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        add(memory[10:20], dtype(3))
    assert memory[13] == 4

    checked = njit(boundscheck=True)(add.py_func)
    for index in (np.uint64(10), np.uint64(2**63), np.int64(-11), np.uint64(2**64 - 11)):
        with pytest.raises(IndexError):
            checked(memory[10:20], index)
    assert memory.sum() == 5


def test_a_lock_array_takes_no_negative_index_of_a_loop():
    @njit
    def acquire(locks, i):
        try:
            locks.acquire(i)
        except Exception:
            return 0
        return 1

    @njit(parallel=True, nogil=True)
    def kernel(locks, done):
        for i in prange(4):
            done[i] = acquire(locks, -i)

    done = np.zeros(4, np.int64)
    kernel(LockArray(4), done)
    assert done.tolist() == [1, 0, 0, 0]


# --- kernels without interlock --------------------------------------------------------------------------------------------


def test_other_kernels_are_compiled_as_without():
    source = textwrap.dedent(
        """
        import sys
        import numpy as np
        from numba import njit, prange
        if sys.argv[1] == "with":
            import interlock._numba
        @njit
        def bump(a, i):
            a[i] += 1
        @njit(parallel=True)
        def kernel(x, y):
            a = np.zeros(len(x))
            for i in prange(len(x)):
                bump(a, i)
                a[i] += y[0]
            for i in prange(len(x)):
                x[i] = y[1] + 1
            return a
        kernel(np.ones(4), np.ones(4))
        (result,) = kernel.overloads.values()
        d = result.metadata["parfor_diagnostics"]
        print(d.fusion_info, {k: len(v["hoisted"]) for k, v in d.hoist_info.items()})
        """
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", source, way], check=True, capture_output=True, text=True,
            env={**os.environ, "NUMBA_DISABLE_ENTRY_POINTS": "1"},
        ).stdout
        for way in ("with", "without")
    ]  # fmt: skip
    assert texts[0] == texts[1] != ""


def test_a_guard_made_outside_the_loop():
    @njit(nogil=True, parallel=True)
    def kernel(lock, total, seen):
        guard = held(lock)
        for i in prange(len(seen)):
            with guard:
                before = total[0]
                add_one(total)
                seen[before] += 1
            seen[i] += total[0] > 0
        return total[0]

    @njit
    def add_one(total):
        total[0] += 1

    total, seen = np.zeros(1, np.int64), np.zeros(100, np.int64)
    assert kernel(Mutex(), total, seen) == 100
    assert (seen == 2).all()


def test_an_array_whose_view_a_loop_keeps_is_made_in_each_iteration():
    """Numba hoists `np.empty` out of a loop: all iterations of a thread would append views of one array."""

    @njit(nogil=True, parallel=True)
    def slices(rows, lock, n):
        for i in prange(n):
            row = np.empty(4)
            row[2] = i
            part = row[2:]
            with lock:
                rows.append(part)

    @njit(nogil=True, parallel=True)
    def reshaped(rows, lock, n):
        for i in prange(n):
            row = np.zeros((2, 2))
            row[0, 0] = i
            lock.acquire()
            rows.append(row.reshape(4))
            lock.release()

    @njit(nogil=True, parallel=True)
    def chosen(rows, lock, n):
        for i in prange(n):
            one, other = np.empty(2), np.empty(2)
            one[0] = other[0] = i
            kept = one if i % 2 else other
            lock.acquire()
            rows.append(kept)
            lock.release()

    for kernel in (slices, reshaped, chosen):
        rows = typed.List.empty_list(types.float64[::1])
        kernel(rows, Mutex(), 20)
        assert sorted(row[0] for row in rows) == list(range(20)), kernel


def test_an_array_whose_elements_alone_a_loop_uses_is_made_once():
    @njit(nogil=True, parallel=True)
    def kernel(out, lock):
        for i in prange(len(out)):
            pair = np.empty(2)
            pair[0], pair[1] = i, 1
            with lock:
                out[i] = pair[0] + pair[1] + pair.shape[0]

    out = np.zeros(10)
    kernel(out, Mutex())
    assert list(out) == [i + 3 for i in range(10)]
    [hoisted] = kernel.get_metadata(kernel.signatures[0])["parfor_diagnostics"].hoist_info.values()
    assert any(".empty" in str(stmt) or "empty" in str(stmt) for stmt in hoisted["hoisted"])


@njit
def itself(array):
    return array


@njit(parallel=True)
def set_what_a_helper_returned(arrays, lock):
    with lock:
        array = itself(arrays[0])
        array[:] = 7


@njit(parallel=True)
def add_to_each_of_a_list(arrays, lock):
    for array in arrays:
        with lock:
            array += 7


@njit(parallel=True)
def set_by_a_loop_and_read(arrays, lock):
    array = itself(arrays[0])
    other = np.zeros(len(array))
    for i in prange(len(array)):
        array[i] = 7
    first = arrays[0][0]
    for i in prange(len(array)):
        other[i] = first
    with lock:
        arrays[0][1] = first + other[0] - 7


@pytest.mark.parametrize("kernel", [set_what_a_helper_returned, add_to_each_of_a_list, set_by_a_loop_and_read])
def test_writes_to_an_array_that_a_helper_or_a_list_returned_are_made(kernel):
    """Numba removes them as writes to a new array that no code reads, also in kernels without locks."""
    arrays = typed.List([np.zeros(3)])
    kernel(arrays, Mutex())
    assert arrays[0].tolist() == [7, 7, 7]


Shared = namedtuple("Shared", "array lock")


def add_by_an_argument(shared, i):
    for j in prange(6):
        with shared.lock:
            shared.array[(i + j) % 3] += 2
            shared.array[:2] += j


def add_by_a_namedtuple(shared, i):
    local = Shared(shared.array, shared.lock)
    for _j in prange(3):
        with local.lock:
            local.array[i % 3] += 2
            local.array[i % 3 :] += 1


def add_by_lists(shared, i):
    arrays = [shared.array, shared.array[1:]]
    arrays.append(shared.array)
    for _j in prange(3):
        with shared.lock:
            arrays[i % 2][i % 3] += 2
            arrays[i % 2][i % 3 :] += 1
    with shared.lock:
        arrays.pop()[i % 3] += 1


def add_by_dicts(shared, i):
    arrays = {1: shared.array}
    others = typed.List()
    others.append(shared.array)
    for k, array in enumerate(arrays.values()):
        with shared.lock:
            array[i % 3 + k] += 2
    with shared.lock:
        arrays[1][:2] = 7
        others[0][i % 3] += 2


def add_by_tuples(shared, i):
    both = (shared.array, shared.array)
    for array, step in zip([shared.array], [3]):
        with shared.lock:
            array[i % 3] += step
    with shared.lock:
        both[i % 2][i % 3] += 1


def set_by_views(shared, i):
    rows, bits = np.expand_dims(shared.array, 0), shared.array.view(np.int64)
    halves, same = np.split(shared.array, 2), np.asarray(shared.array)
    for _j in prange(3):
        with shared.lock:
            rows[0, i % 3] += 2
            rows[0, 3:] = 7
            bits[i % 2] = 5
            halves[1][i % 3] += 2
            same[i % 3] += 2
            np.flip(same)[i % 3] += 1


def set_a_local_array(shared, i):
    local = np.zeros(6, np.complex128)
    imaginary, one = local.imag, Shared(local.real, shared.lock)
    with shared.lock:
        imaginary[i % 3] += 2
        before = local[i % 3].imag
        imaginary[i % 3 :] += 2
    with one.lock:
        one.array[:2] = 3
    return before, local.imag.sum(), local.real.sum()


@pytest.mark.parametrize(
    "kernel",
    [
        *[add_by_an_argument, add_by_a_namedtuple, add_by_lists, add_by_dicts, add_by_tuples],
        *[set_by_views, set_a_local_array],
    ],
)
def test_writes_to_an_array_by_another_name_are_made(kernel):
    """Numba left them out: to it a field of a namedtuple, an element of a list and most views are new arrays."""
    shared, expected = (Shared(np.arange(6.0), Mutex()) for _ in range(2))
    result = njit(parallel=True, nogil=True)(kernel)(shared, 4)
    assert result == kernel(expected, 4)
    assert (shared.array == expected.array).all()


def test_a_loop_that_gets_an_array_of_0_dimensions_is_refused():
    """Numba gives the loop the number that it holds, which never changes there."""

    @njit(nogil=True, parallel=True)
    def read(total, element, seen):
        for i in prange(len(seen)):
            atomic.add(total, 0, 1)
            seen[i] = element.item()

    @njit(nogil=True, parallel=True)
    def add(element, n):
        for _i in prange(n):
            atomic.add(element, (), 1)

    total = np.zeros(1, np.int64)
    with pytest.raises(TypingError, match="array of 0 dimensions"):
        read(total, total.reshape(()), np.zeros(5, np.int64))
    with pytest.raises(TypingError, match="array of 0 dimensions"):
        add(np.zeros((), np.int64), 5)


def largest_under_a_condition(lock, values):
    largest = 0
    for i in prange(len(values)):
        with lock:
            if values[i] > largest:
                largest = values[i]
    return largest


def place_of_the_largest(lock, values):
    largest, largest_at = -1, -1
    for i in prange(len(values)):
        lock.acquire()
        if values[i] > largest:
            largest, largest_at = values[i], i
        lock.release()
    return largest_at


def found(lock, values):
    is_found = False
    for i in prange(len(values)):
        with held(lock):
            if values[i] == 7:
                is_found = True
    return is_found


@pytest.mark.parametrize("kernel", [largest_under_a_condition, place_of_the_largest, found])
def test_a_variable_that_a_locked_loop_assigns_is_refused(kernel):
    """Numba loses the value, without a word: it returned what the variable was before the loop."""
    with pytest.raises(TypingError, match=r"assigns `(largest|largest_at|is_found)`, which .* one element, as in `\1\[0\]"):
        njit(nogil=True, parallel=True)(kernel)(Mutex(), np.arange(10))


def append(lock, out):
    n = 0
    for i in prange(len(out)):
        with lock:
            out[n] = i
            n += 1
    return n


def count_the_late_ones(lock, out):
    n, late = 0, 0
    for _i in prange(len(out)):
        lock.acquire()
        n += 1
        if n > len(out) // 2:
            late += 1
        lock.release()
    return late


@pytest.mark.parametrize("kernel", [append, count_the_late_ones])
def test_a_locked_loop_that_reads_a_reduction_gets_a_warning(kernel):
    """Each thread has its own `n`: with two threads, `append` filled half of the array."""
    with pytest.warns(NumbaParallelSafetyWarning, match=r"reads `n`, a reduction: .*, as in `n\[0\] \+= "):
        njit(nogil=True, parallel=True)(kernel)(Mutex(), np.zeros(10))


def test_reductions_and_an_iterations_own_variables_are_accepted(recwarn):
    @njit(nogil=True, parallel=True)
    def kernel(lock, values):
        total, product, least, some, j = 0, 1, 100, 0, 7
        for i in prange(len(values)):
            with lock:
                total += values[i]
                if values[i] > 3:
                    some += 1
                elif values[i] > 1:
                    some += 10
            product *= 2
            least = min(least, values[i])
            j = 0
            while j < 3:
                j += 1
                lock.acquire()
                lock.release()
            for j in range(2):
                values[i] += j
        for _i in prange(3):
            for _k in prange(3):
                with lock:
                    total += 1
        j = 1
        return total, product, least, some, j

    assert kernel(Mutex(), np.arange(6)) == (15 + 9, 64, 0, 22, 1)
    assert not [warning for warning in recwarn if issubclass(warning.category, NumbaParallelSafetyWarning)]


@njit
def double(x):
    return 2 * x


def test_an_array_comprehension_that_uses_interlock_is_refused():
    """It had any order of calls, and an `Empty` was lost, although the kernel has no prange."""

    def tickets(counter):
        return np.array([counter.fetch_add(1) for _i in range(100)])

    def items(queue):
        return np.array([queue.get(False) for _i in range(100)])

    def by_helper(array):
        return np.array([count_two_levels_deep(array, 0) is None for _i in range(100)])

    def others(counter):
        counter.fetch_add(1)
        return np.array([double(i) for i in range(100)]) + np.zeros(100, np.int64)

    for kernel, argument in ((tickets, Counter()), (items, Queue(1)), (by_helper, np.zeros(1, np.int64))):
        with pytest.raises(TypingError, match="with parallel=True this array comprehension is a parallel loop"):
            njit(nogil=True, parallel=True)(kernel)(argument)
    assert (njit(parallel={"comprehension": False})(tickets)(Counter()) == np.arange(100)).all()
    with pytest.raises(Empty):
        njit(parallel={"comprehension": False})(items)(Queue(1))
    assert (njit(nogil=True, parallel=True)(others)(Counter()) == 2 * np.arange(100)).all()


COUNTER = Counter()


@vectorize
def ticket(x):
    return COUNTER.fetch_add(1) + x


@stencil
def ticket_beside(a):
    return a[0] + COUNTER.fetch_add(1)


@njit
def add_and_count(x, y):
    COUNTER.fetch_add(1)
    return x + y


def test_array_expressions_and_the_like_that_use_interlock_are_refused():
    """As array comprehensions. Two calls of a ufunc were fused, too: a kernel with a ufunc did not count as a user."""

    def ufunc(a):
        return ticket(a), ticket(a)

    def by_stencil(a):
        return ticket_beside(a)

    def by_reduce(a):
        return reduce(add_and_count, a, 0)

    a = np.zeros(50, np.int64)
    for kernel, what, option, counted in (
        (ufunc, "array expression", "numpy", 100),
        (by_stencil, "stencil", "stencil", 50),
        (by_reduce, "`reduce`", "reduction", 50),
    ):
        with pytest.raises(TypingError, match=f"with parallel=True this {what} is .*parallel={{'{option}': False}}"):
            njit(nogil=True, parallel=True)(kernel)(a)
        COUNTER.store(0)
        result = njit(nogil=True, parallel={option: False})(kernel)(a)
        assert COUNTER.load() == counted, kernel
        if kernel is ufunc:
            assert [*result[0], *result[1]] == list(range(100))


def count_in_python():
    COUNTER.fetch_add(1)


def test_blocks_of_objmode_that_use_interlock_are_seen():
    @njit(parallel=True, nogil=True)
    def kernel(a, n):
        for _i in prange(n):
            with objmode():
                count_in_python()
        for i in prange(n):
            a[i] = COUNTER.load()

    COUNTER.store(0)
    a = np.zeros(20, np.int64)
    kernel(a, 20)
    assert (a == 20).all()


@intrinsic
def count_by_symbol(context, handle):
    def codegen(context, builder, sig, args):
        word = llvm.IntType(64)
        function_type = llvm.FunctionType(word, [word, word])
        function = cgutils.get_or_insert_function(builder.module, function_type, "ilk_counter_fetch_add")
        return builder.call(function, [args[0], word(1)])

    return types.int64(types.intp), codegen


count_by_address = ctypes.CDLL(get_library()).ilk_counter_fetch_add
count_by_address.argtypes, count_by_address.restype = [ctypes.c_ssize_t, ctypes.c_int64], ctypes.c_int64


@njit
def count_by_symbol_in_a_helper(handle):
    return count_by_symbol(handle)


@njit
def count_by_address_in_a_helper(handle):
    return count_by_address(handle, 1)


@pytest.mark.parametrize("count", [count_by_symbol_in_a_helper, count_by_address_in_a_helper])
def test_c_functions_that_a_helper_calls_are_seen(count):
    @njit(parallel=True, nogil=True)
    def kernel(handle, n):
        first, second = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for i in prange(n):
            first[i] = count(handle)
        for i in prange(n):
            second[i] = count(handle)
        return first.max() < second.min()

    counter = Counter()
    assert kernel(counter.handle, 20)
