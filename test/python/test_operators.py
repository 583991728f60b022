"""The operators and attributes of a user's type that runs code of interlock: not left out, moved, fused or hoisted."""

import operator

import numpy as np
import pytest
from numba import njit, prange, types
from numba.experimental import jitclass, structref
from numba.extending import overload, overload_attribute

from interlock import atomic


@jitclass([("counts", types.int64[::1])])
class Histogram:
    def __init__(self, counts):
        self.counts = counts

    def __getitem__(self, i):
        return atomic.add(self.counts, i, 1)

    def __add__(self, n):
        return atomic.add(self.counts, 0, n)

    def __neg__(self):
        return atomic.add(self.counts, 0, 1)

    def __contains__(self, n):
        return atomic.add(self.counts, 0, 1) == n

    def __int__(self):
        return atomic.add(self.counts, 0, 1)

    def __setitem__(self, i, n):
        atomic.add(self.counts, i, n)

    @property
    def ticket(self):
        return atomic.add(self.counts, 0, 1)

    @property
    def first(self):
        return self.counts[0]

    @first.setter
    def first(self, n):
        atomic.store(self.counts, 0, n)


@structref.register
class TallyType(types.StructRef):
    pass


class Tally(structref.StructRefProxy):
    def __new__(cls, counts):
        return structref.StructRefProxy.__new__(cls, counts)


structref.define_proxy(Tally, TallyType, ["counts"])


@overload(operator.getitem)
def _getitem(tally, i):
    return (lambda tally, i: atomic.add(tally.counts, i, 1)) if isinstance(tally, TallyType) else None


@overload(operator.add)
def _add(tally, n):
    return (lambda tally, n: atomic.add(tally.counts, 0, n)) if isinstance(tally, TallyType) else None


@overload(operator.neg)
def _neg(tally):
    return (lambda tally: atomic.add(tally.counts, 0, 1)) if isinstance(tally, TallyType) else None


@overload(operator.contains)
def _contains(tally, n):
    return (lambda tally, n: atomic.add(tally.counts, 0, 1) == n) if isinstance(tally, TallyType) else None


@overload_attribute(types.Array, "next_ticket")
def _next_ticket(array):
    return lambda array: atomic.add(array, 0, 1)


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("new", [Histogram, Tally])
def test_an_unused_operator_is_not_left_out(new, parallel):
    @njit(parallel=parallel)
    def kernel(counter):
        counter[0]
        used = counter[0]  # noqa: F841
        counter + 1
        -counter  # noqa: B018
        3 in counter  # noqa: B015

    counts = np.zeros(2, np.int64)
    kernel(new(counts))
    assert counts[0] == 5


@pytest.mark.parametrize("parallel", [False, True])
def test_an_unused_attribute_of_an_array_that_an_overload_computes_is_not_left_out(parallel):
    @njit(parallel=parallel)
    def kernel(array):
        array.next_ticket  # noqa: B018
        ticket = array.next_ticket  # noqa: F841

    counts = np.zeros(2, np.int64)
    kernel(counts)
    assert counts[0] == 2


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("use", ["counter.ticket", "counter[0]", "counter + 1", "-counter", "3 in counter", "int(counter)"])
def test_an_unused_operator_is_not_left_out_beside_a_closure(use, parallel):
    """Numba eliminates dead code after it has inlined the closure, before it knows the types."""
    scope = {"np": np}
    text = f"    {use}\n    double = lambda x: x + x\n    n = len(np.array([double(i) for i in range(n)]))\n    return n\n"
    exec(f"def kernel(counter, n):\n{text}", scope)
    counts = np.zeros(2, np.int64)
    assert njit(parallel=parallel)(scope["kernel"])(Histogram(counts), 3) == 3
    assert counts[0] == 1


def test_a_number_of_an_object_is_not_left_out():
    @njit(parallel=True)
    def kernel(counter, n):
        int(counter)
        return np.zeros(n).sum()

    counts = np.zeros(2, np.int64)
    kernel(Histogram(counts), 3)
    assert counts[0] == 1


@pytest.mark.parametrize("assign", ["counter.first = 100", "counter[0] = 100"])
def test_a_loop_is_not_moved_across_an_assignment_that_runs_code(assign):
    """To Numba it wrote to `counter` alone, so that `counts + 1` was computed after it, together with `x + y`."""
    scope = {"np": np}
    text = f"    x = np.zeros(len(counts), np.int64)\n    y = counts + 1\n    {assign}\n    return x + y\n"
    exec(f"def kernel(counter, counts):\n{text}", scope)
    counts = np.zeros(4, np.int64)
    assert njit(parallel=True)(scope["kernel"])(Histogram(counts), counts).tolist() == [1, 1, 1, 1]
    assert counts[0] == 100


@pytest.mark.parametrize("new", [Histogram, Tally])
def test_loops_of_operators_are_not_fused(new):
    @njit(parallel=True, nogil=True)
    def kernel(counter, seen):
        for _i in prange(len(seen)):
            counter[0]
        for i in prange(len(seen)):
            seen[i] = counter.counts[0]

    seen = np.zeros(10, np.int64)
    kernel(new(np.zeros(2, np.int64)), seen)
    assert (seen == 10).all()


@pytest.mark.parametrize("new", [Histogram, Tally])
def test_a_read_stays_after_a_loop_of_operators(new):
    @njit(parallel=True, nogil=True)
    def kernel(counter, n):
        counts = counter.counts
        for _i in prange(n):
            counter[0]
        seen = counts[0]
        return seen, np.zeros(n)

    assert kernel(new(np.zeros(2, np.int64)), 10)[0] == 10


def test_an_attribute_of_an_array_that_an_overload_computes_stays_in_its_loop():
    @njit(parallel=True, nogil=True)
    def kernel(array, tickets):
        for i in prange(len(tickets)):
            tickets[i] = array.next_ticket

    tickets = np.zeros(10, np.int64)
    kernel(np.zeros(2, np.int64), tickets)
    assert sorted(tickets) == list(range(10))
