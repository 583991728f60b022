"""Step 1: a hundred threads add to one array, with a millisecond between the read and the write."""

import threading
import time
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

import pythread
from interlock import Lock
from interlock.nb import ilk_sleep

THREADS = 100
MILLISECOND = 1_000_000

LOCK_ACQUIRE = pythread.acquire_lock
LOCK_RELEASE = pythread.release_lock


@njit(nogil=True, cache=True)
def add_one(result: NDArray[np.int64]) -> None:
    index = int(np.random.rand() * len(result))
    existing = result[index]
    ilk_sleep(MILLISECOND)
    result[index] = existing + 1


@njit("void(none, int64[::1])", nogil=True, cache=True)
def without_lock(lock: None, result: NDArray[np.int64]) -> None:
    add_one(result)


@njit("void(intp, int64[::1])", nogil=True)
def with_pythread(lock: int, result: NDArray[np.int64]) -> None:
    LOCK_ACQUIRE(lock, 1)
    add_one(result)
    LOCK_RELEASE(lock)


@njit(nogil=True, cache=True)
def with_interlock(lock: Lock, result: NDArray[np.int64]) -> None:
    lock.acquire()
    add_one(result)
    lock.release()


def add(kernel: Any, lock: object) -> tuple[int, float]:
    """The sum, and the seconds it took."""
    result = np.zeros(THREADS, np.int64)
    threads = [threading.Thread(target=kernel, args=(lock, result)) for _ in range(THREADS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return int(result.sum()), time.perf_counter() - start


def step() -> bool:
    """Prints the table; whether both locks kept every addition."""
    print(f"1. {THREADS} threads each add 1 to an element of one array; a millisecond passes between read and write\n")
    with_interlock(Lock(), np.zeros(1, np.int64))  # compiled here, once
    theirs = pythread.allocate_lock()
    ways = {
        "no lock": (without_lock, None),
        "PyThread's lock, by ctypes": (with_pythread, theirs),
        "interlock.Lock": (with_interlock, Lock()),
    }
    print(f"   {'':<28} {'sum':>7} {'time':>10}")
    sums = []
    for name, way in ways.items():
        total, took = add(*way)
        sums.append(total)
        print(f"   {name:<28} {total:>7} {took * 1e3:>7.0f} ms" + ("" if total == THREADS else "   additions lost"))
    pythread.free_lock(theirs)
    return sums[1:] == [THREADS, THREADS]
