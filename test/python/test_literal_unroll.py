"""`literal_unroll` over a tuple of locks of different classes: Numba copies the loop's body, and renames its variables."""

import numpy as np
import pytest
from numba import literal_unroll, njit

from interlock import Counter, Lock, LockArray, Mutex, RLock, Semaphore, atomic, held

GLOBAL = np.zeros(2, np.int64)


def one_loop(locks, a):
    for lock in literal_unroll(locks):
        with lock:
            a[0] += 1


def two_loops(locks, a):
    for lock in literal_unroll(locks):
        with lock:
            a[0] += 1
            if a[0] == 2:
                continue
            a[1] += 1
    for lock in literal_unroll(locks):
        for i in range(3):
            with held(lock):
                if i == 1:
                    break
                a[2] += 1


def in_a_try(locks, a):
    for lock in literal_unroll(locks):
        try:
            with lock:
                a[0] += 1
                if a[0] == 2:
                    raise ValueError
        except Exception:
            a[1] += 1


def nested(locks, a):
    for lock in literal_unroll(locks):
        with held(locks[0]), lock:
            a[0] += 1


@pytest.mark.parametrize("kernel", [one_loop, two_loops, in_a_try])
@pytest.mark.parametrize("classes", [(Mutex, RLock), (Lock, Mutex), (Mutex, RLock, Semaphore)])
def test_each_lock_is_held_and_released(kernel, classes):
    njit(lambda lock: held(lock) and 0)  # the numbers of the sites of the kernels below are not 0
    for function in (kernel, njit(kernel)):
        locks, a = tuple(new() for new in classes), np.zeros(3, np.int64)
        function(locks, a)
        if function is kernel:
            expected = a
        assert a.tolist() == expected.tolist()
        for lock in locks:
            assert lock.acquire(blocking=False)


def test_two_locks_in_a_body():
    locks, a = (RLock(), Mutex()), np.zeros(1, np.int64)
    njit(nested)(locks, a)
    assert a[0] == 2 and not any(lock.locked() for lock in locks)


def test_objects_and_a_global_array():
    @njit
    def kernel(things):
        for _thing in literal_unroll(things):
            with things[2].held(1):
                atomic.add(GLOBAL, 0, 1)
                atomic.add(GLOBAL, 1, 2)
        return things[0].load()

    assert kernel((Counter(5), Semaphore(1), LockArray(4))) == 5
    assert GLOBAL.tolist() == [3, 6]
