"""100 threads add to one shared array, each between a read and a write that are far apart, with a lock and without."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from interlock import Barrier, Lock
from interlock.nb import ilk_sleep

THREADS = 100


@njit(nogil=True, cache=True)
def add_one(together: Barrier, lock: Lock, locked: bool, result: NDArray[np.int64]) -> None:
    index = int(np.random.rand() * len(result))
    together.wait()
    if locked:
        lock.acquire()
    existing = result[index]
    ilk_sleep(1_000_000)
    result[index] = existing + 1
    if locked:
        lock.release()


def run(locked: bool, threads: int) -> int:
    together, lock, result = Barrier(threads), Lock(), np.zeros(10, np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(add_one, together, lock, locked, result)
    return int(result.sum())


def main() -> int:
    run(True, 1)  # compiled here, once
    locked, unlocked = run(True, THREADS), run(False, THREADS)
    print(f"with the lock: {locked} of {THREADS}; without: {unlocked}")
    return 0 if locked == THREADS and unlocked < THREADS else 1


if __name__ == "__main__":
    sys.exit(main())
