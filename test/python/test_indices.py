"""An index out of range: the message names the index and the length, in Python and in kernels."""

import threading

import numpy as np
import pytest
from numba import njit, prange

from interlock import LockArray, atomic, words
from interlock import jitclasses as jc

CALLS = {
    "acquire": ((7,), "lock index 7 .* length 4"),
    "release": ((-1,), "lock index -1 .* length 4"),
    "acquire_pair": ((2, 7), "lock index 7 .* length 4"),
    "release_pair": ((4, 1), "lock index 4 .* length 4"),
    "acquire_range": ((1, 5), "lock range 1 to 5 .* length 4"),
    "release_range": ((3, 2), "lock range 3 to 2 .* length 4"),
}


def caller(name, n):
    scope, names = {}, ", ".join("ij"[:n])
    exec(f"def call(locks, {names}): locks.{name}({names})", scope)
    return scope["call"]


@pytest.mark.parametrize("name", CALLS)
def test_lock_arrays(name):
    arguments, text = CALLS[name]
    call, locks = caller(name, len(arguments)), LockArray(4)
    for function in (call, njit(call)):
        with pytest.raises(ValueError, match=text):
            function(locks, *arguments)
    locks = jc.LockArray(4, False)
    with pytest.raises(ValueError, match=r"lock (index|range) .*" + str(arguments[-1])):
        njit(call)(locks, *arguments)
    locks.close()


def test_elements():
    def load(array, i):
        return atomic.load(array, i)

    def lock(array, i):
        return words.lock(array, i)

    for function, compiled in ((load, njit(boundscheck=True)(load)), (lock, njit(lock))):
        for f in (function, compiled):
            with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 4"):
                f(np.zeros(4, np.uint32), 7)
            with pytest.raises(IndexError, match="index -4 is out of bounds for axis 1 with size 3"):
                f(np.zeros((2, 3), np.uint32), (1, -4))


def test_each_thread_names_its_own():
    @njit(nogil=True)
    def acquire(locks, i):
        locks.acquire(i)

    locks, texts = LockArray(4), {}
    with pytest.raises(ValueError):
        acquire(locks, 4)

    def run(k):
        for _ in range(100):
            with pytest.raises(ValueError) as caught:
                acquire(locks, k)
            texts.setdefault(k, set()).add(str(caught.value))

    threads = [threading.Thread(target=run, args=(k,)) for k in (10, 11, 12, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {k: {f"lock index {k} is out of range for a LockArray of length 4"} for k in (10, 11, 12, 13)}


@njit
def tries(locks, i):
    try:
        locks.acquire(i)
    except Exception:
        return 1
    return 0


def test_in_a_prange():
    @njit(parallel=True, nogil=True)
    def kernel(locks, failed):
        for i in prange(len(failed)):
            failed[i] = tries(locks, i + 2)

    failed = np.zeros(4, np.int64)
    kernel(LockArray(4), failed)
    assert failed.tolist() == [0, 0, 1, 1]
