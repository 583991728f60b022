"""Step 1: a hundred threads add to one array, with a millisecond between the read and the write."""

import threading
import time

import numpy as np
from numba import njit

from interlock.nb import ilk_sleep
from locks import INTERLOCK, NONE, PYTHREAD

THREADS = 100
MILLISECOND = 1_000_000
PAIRS = 1_000_000


def adding_kernel(kind):
    acquire, release = kind.acquire, kind.release

    @njit("void(intp, int64[::1])", nogil=True)
    def add_one(lock, result):
        index = int(np.random.rand() * result.shape[0])
        acquire(lock)
        existing = result[index]
        ilk_sleep(MILLISECOND)
        result[index] = existing + 1
        release(lock)

    return add_one


def pairs_kernel(kind):
    acquire, release = kind.acquire, kind.release

    @njit("void(intp, int64)", nogil=True)
    def pairs(lock, n):
        for _ in range(n):
            acquire(lock)
            release(lock)

    return pairs


def add(kind):
    """The sum, and the seconds it took."""
    kernel = adding_kernel(kind)
    result = np.zeros(THREADS, np.int64)
    lock = kind.new()
    start = time.perf_counter()
    threads = [threading.Thread(target=kernel, args=(lock, result)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    kind.free(lock)
    return int(result.sum()), took


def pair_ns(kinds, rounds=7):
    """What an acquire and a release cost when nobody else wants the lock: nanoseconds, the median of some rounds."""
    kernels = [pairs_kernel(kind) for kind in kinds]
    locks = [kind.new() for kind in kinds]
    times = np.empty((rounds, len(kinds)))
    for times_of_round in times:
        for i, (kernel, lock) in enumerate(zip(kernels, locks)):
            start = time.perf_counter()
            kernel(lock, PAIRS)
            times_of_round[i] = time.perf_counter() - start
    for kind, lock in zip(kinds, locks):
        kind.free(lock)
    return np.median(times, axis=0) / PAIRS * 1e9


def step():
    """Prints the table; True if both locks kept every addition."""
    print(f"1. {THREADS} threads add 1 to an element of one array; 1 ms passes between the read and the write")
    kinds = (NONE, PYTHREAD, INTERLOCK)
    costs = [None, *pair_ns(kinds[1:])]
    sums = []
    print(f"   {'':<16} {'sum':>5} {'time':>9}   uncontended pair in a kernel")
    for kind, cost in zip(kinds, costs):
        total, took = add(kind)
        sums.append(total)
        print(f"   {kind.name:<16} {total:>5} {took * 1e3:>6.0f} ms" + (f"   {cost:.1f} ns" if cost else ""))
    return sums[1:] == [THREADS, THREADS]
