"""A critical section in a prange: the best of many tries, and where it was found, change as one (Numba issue 7984)."""

import sys

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from interlock import Lock


@njit(nogil=True, parallel=True, cache=True)
def lowest(height: NDArray[np.float64], best: NDArray[np.float64], where: NDArray[np.int64], lock: Lock) -> None:
    for i in prange(height.shape[0]):
        for j in range(height.shape[1]):
            if height[i, j] < 0.01:
                lock.acquire()
                if height[i, j] < best[0]:
                    best[0] = height[i, j]
                    where[0], where[1] = i, j
                lock.release()


def main() -> int:
    height = np.random.default_rng(7).random((1000, 1000))
    best, where = np.ones(1), np.zeros(2, np.int64)
    lowest(height, best, where, Lock())
    print(f"the lowest of {height.size} heights is {best[0]:.2e}, at {where[0]}, {where[1]}")
    return 0 if best[0] == height.min() == height[where[0], where[1]] else 1


if __name__ == "__main__":
    sys.exit(main())
