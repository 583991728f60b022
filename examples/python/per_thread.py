"""A histogram in a prange, counted by each thread for itself and merged (Numba issues 3656, 5588 and 7936)."""

import sys

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from interlock import PerThread


@njit(nogil=True, parallel=True, cache=True)
def count(samples: NDArray[np.int64], counts: PerThread) -> None:
    for i in prange(len(samples)):
        mine = counts.local()  # in the loop: before it, this would be one thread's array
        mine[samples[i]] += 1


def main() -> int:
    samples = np.random.default_rng(1).integers(0, 64, 100_000)
    counts = PerThread(64, np.int64)
    count(samples, counts)
    total = counts.sum()
    print(f"{total.sum()} samples counted, the most in bin {total.argmax()}")
    return 0 if np.array_equal(total, np.bincount(samples, minlength=64)) else 1


if __name__ == "__main__":
    sys.exit(main())
