"""An operator of an array expression is computed before a call that stands further right."""

import numpy as np
import pytest
from numba import njit

from interlock import Counter, Mutex, Semaphore, atomic, held


@njit
def add_under_lock(lock, array):
    with lock:
        array += 100
    return 1.0


def by_atomic(array, lock, semaphore):
    return array * 2 + atomic.add(array, 0, 5.0)


def by_helper(array, lock, semaphore):
    return array * 2 + add_under_lock(lock, array)


def by_two_helpers(array, lock, semaphore):
    return -(array + 1) * add_under_lock(lock, array) - np.sqrt(array) * add_under_lock(lock, array)


def of_two_arrays(array, lock, semaphore):
    return (array * 2 + 1) * atomic.exch(array, 3, 7.0) + (array - 1)


def by_ufunc(array, lock, semaphore):
    return np.add(np.multiply(array, 3), atomic.add(array, 1, 1.0))


def by_property(array, lock, semaphore):
    return (array * semaphore.value) + atomic.add(array, 0, semaphore.value)


def in_a_block(array, lock, semaphore):
    with held(lock):
        return (array > 1) * atomic.add(array, 1, 5.0) + array


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("kernel", [by_atomic, by_helper, by_two_helpers, of_two_arrays, by_ufunc, by_property, in_a_block])
def test_an_operator_does_not_see_what_a_later_call_wrote(kernel, parallel):
    results = []
    for function in (kernel, njit(nogil=True, parallel=parallel)(kernel)):
        array = np.arange(4.0)
        results.append((list(function(array, Mutex(), Semaphore(3))), list(array)))
    assert results[0] == results[1]


def test_operators_without_a_call_between_are_one_loop():
    @njit(nogil=True, parallel=True)
    def kernel(array, counter):
        counter.fetch_add(1)
        return array * 2 + array / 3 - 1

    array = np.arange(4.0)
    assert list(kernel(array, Counter())) == list(array * 2 + array / 3 - 1)
    assert len(kernel.get_metadata(kernel.signatures[0])["parfor_diagnostics"].initial_parfors) == 1
