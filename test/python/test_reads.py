"""A property that a kernel reads is read, used or not, and where the kernel reads it."""

import numpy as np
import pytest
from numba import njit, prange

from interlock import Barrier, HandleError, Latch, Queue, Semaphore, jitclasses
from interlock._handle import Handle

THINGS = {
    "Barrier.broken": lambda: Barrier(2),
    "Barrier.n_waiting": lambda: Barrier(2),
    "Latch.value": lambda: Latch(1),
    "Queue.closed": lambda: Queue(1),
    "Queue.handle": lambda: Queue(1, np.uint8),
    "Semaphore.value": lambda: Semaphore(1),
}

# Statements that read a property `thing.name` and do not use its value.
READS = ["v = {}", "v = (1, {})", "v = int({}) + 1", "v = max(int({}), 1)", "{}"]

# What makes Numba eliminate dead code.
REASONS = {
    "a closure": "    f = lambda x: x + 0\n    n = f(n)\n",
    "a list comprehension": "    n = len([i for i in range(n)])\n",
    "an array comprehension": "    n = len(np.array([i for i in range(n)]))\n",
    "a prange": "    for i in prange(n):\n        out[i] = i\n",
    "nothing": "",
}


def compiled(statements, reason, **options):
    scope = {"prange": prange, "np": np}
    exec(f"def kernel(thing, n, out):\n    {statements}\n{REASONS[reason]}    return n\n", scope)
    return njit(**options)(scope["kernel"])


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("read", READS)
def test_an_unused_read_is_not_left_out(read, reason, parallel):
    semaphore = Semaphore(1)
    kernel = compiled(read.format("thing.value"), reason, parallel=parallel)
    assert kernel(semaphore, 3, np.zeros(3)) == 3
    semaphore.close()
    with pytest.raises(HandleError):
        kernel(semaphore, 3, np.zeros(3))


@pytest.mark.parametrize("name", THINGS)
def test_an_unused_read_of_each_property_is_not_left_out(name):
    thing = THINGS[name]()
    kernel = compiled(f"v = thing.{name.partition('.')[2]}", "a closure")
    assert kernel(thing, 3, np.zeros(3)) == 3
    Handle.close(thing)
    with pytest.raises(HandleError):
        kernel(thing, 3, np.zeros(3))


def test_an_unused_read_of_a_jitclass_is_not_left_out():
    semaphore = jitclasses.Semaphore(1, 0)
    kernel = compiled("v = thing.value", "a closure", parallel=True)
    assert kernel(semaphore, 3, np.zeros(3)) == 3
    semaphore.close()
    with pytest.raises(HandleError):
        kernel(semaphore, 3, np.zeros(3))


def test_an_unused_read_in_a_loop_and_in_a_closure_is_not_left_out():
    @njit(parallel=True)
    def in_loop(semaphore, failed):
        for i in prange(len(failed)):
            v = semaphore.value  # noqa: F841
            failed[i] = 0

    @njit
    def in_closure(semaphore):
        def read():
            v = semaphore.value  # noqa: F841
            return 1

        return read()

    semaphore = Semaphore(1)
    in_loop(semaphore, np.ones(4))
    assert in_closure(semaphore) == 1
    semaphore.close()
    with pytest.raises(HandleError):
        in_closure(semaphore)
    failed = np.ones(4)
    try:
        in_loop(semaphore, failed)
    except SystemError as error:
        assert isinstance(error.__cause__, HandleError)
    assert failed.all()


def test_a_read_between_two_loops_is_not_moved():
    @njit(parallel=True)
    def kernel(semaphore, a):
        b = a + 1
        v = semaphore.value
        return v, b * 2

    v, c = kernel(Semaphore(1), np.zeros(4))
    assert v == 1 and (c == 2).all()
    (compiled,) = kernel.overloads.values()
    assert compiled.metadata["parfor_diagnostics"].count_parfors() == 2  # the read moved, they would be fused
