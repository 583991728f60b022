"""A prange that appends what it finds to one array: a counter hands out the places (Numba issues 2408 and 4720)."""

import sys

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from interlock import Counter


@njit(nogil=True, parallel=True, cache=True)
def primes(found: NDArray[np.int64], size: Counter, below: int) -> None:
    for n in prange(2, below):
        divisor = 2
        while divisor * divisor <= n and n % divisor:
            divisor += 1
        if divisor * divisor > n:
            found[size.fetch_add(1)] = n  # fetch_add returns the value before: an index that no other thread gets


def main() -> int:
    found, size, below = np.empty(10_000, np.int64), Counter(), 100_000
    primes(found, size, below)
    result = np.sort(found[: size.load()])
    sieve = np.ones(below, np.bool_)
    sieve[:2] = False
    for n in range(2, int(below**0.5) + 1):
        sieve[n * n :: n] &= not sieve[n]
    print(f"{len(result)} primes below {below}, the last {result[-1]}")
    return 0 if np.array_equal(result, np.flatnonzero(sieve)) else 1


if __name__ == "__main__":
    sys.exit(main())
