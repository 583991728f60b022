"""The library's functions behind the methods of a jitclass, whose one field is the handle."""

import sys
import threading

import numpy as np
from numba import njit
from numpy.typing import NDArray

from interlock.jitclasses import Mutex

THREADS, ROUNDS = 4, 50_000


@njit(nogil=True)
def add(mutex: Mutex, total: NDArray[np.int64], rounds: int) -> None:
    for _ in range(rounds):
        mutex.acquire()
        total[0] += 1
        mutex.release()


def main() -> int:
    mutex = Mutex()
    total = np.zeros(1, np.int64)
    add(mutex, total, 0)  # compiled here, once
    threads = [threading.Thread(target=add, args=(mutex, total, ROUNDS)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{THREADS} threads counted to {total[0]}, handle {mutex.ptr:#x}, locked: {mutex.locked()}")
    mutex.close()
    return 0 if total[0] == THREADS * ROUNDS else 1


if __name__ == "__main__":
    sys.exit(main())
