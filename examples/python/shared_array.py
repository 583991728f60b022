"""100 threads add to one shared array, each between a read and a write that are far apart, with a lock and without."""

import sys
import threading

import numpy as np
from numba import njit

import interlock
from interlock.nb import ilk_counter_fetch_add, ilk_counter_wait, ilk_mutex_lock, ilk_mutex_unlock, ilk_sleep

THREADS = 100
MILLISECOND = 1_000_000


@njit(nogil=True)
def start_together(gate):
    ilk_counter_fetch_add(gate, 1)
    ilk_counter_wait(gate, THREADS)


@njit(nogil=True)
def add_one(result):
    index = int(np.random.rand() * result.shape[0])
    existing = result[index]
    ilk_sleep(MILLISECOND)
    result[index] = existing + 1


@njit("void(intp, intp, int64[::1])", nogil=True)
def with_lock(gate, lock, result):
    start_together(gate)
    ilk_mutex_lock(lock)
    add_one(result)
    ilk_mutex_unlock(lock)


@njit("void(intp, intp, int64[::1])", nogil=True)
def without_lock(gate, lock, result):
    start_together(gate)
    add_one(result)


def run(kernel):
    gate, lock = interlock.Counter(), interlock.Mutex()
    result = np.zeros(100, np.int64)
    arguments = (gate.handle, lock.handle, result)
    threads = [threading.Thread(target=kernel, args=arguments) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return int(result.sum())


def main():
    locked, unlocked = run(with_lock), run(without_lock)
    print(f"with the lock: {locked} of {THREADS}; without: {unlocked}")
    return 0 if locked == THREADS and unlocked < THREADS else 1


if __name__ == "__main__":
    sys.exit(main())
