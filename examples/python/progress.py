"""The progress of a prange, shown by Python while it runs: a counter that both know (Numba issue 4267)."""

import sys
import threading

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from interlock import Counter
from interlock.nb import ilk_sleep


@njit(nogil=True, parallel=True, cache=True)
def work(result: NDArray[np.int64], done: Counter) -> None:
    for i in prange(len(result)):
        ilk_sleep(2_000_000)
        result[i] = i * i
        done.fetch_add(1)


def main() -> int:
    n, done = 200, Counter()
    result = np.zeros(n, np.int64)
    thread = threading.Thread(target=work, args=(result, done))
    thread.start()
    while not done.wait(n, timeout=0.05):
        print(f"\r{done.load():4} of {n}", end="", flush=True)
    thread.join()
    print(f"\r{done.load():4} of {n}: done")
    return 0 if np.array_equal(result, np.arange(n) ** 2) and done.load() == n else 1


if __name__ == "__main__":
    sys.exit(main())
