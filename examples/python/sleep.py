"""A kernel that sleeps between two checks of an event, until Python sets it (Numba issue 7076)."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from numba import njit

from interlock import Event
from interlock.nb import ilk_sleep


@njit(nogil=True, cache=True)
def naps(stop: Event, nanoseconds: int) -> int:
    n = 0
    while not stop.is_set():
        ilk_sleep(nanoseconds)
        n += 1
    return n


def main() -> int:
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        start = time.monotonic()
        kernel = pool.submit(naps, stop, 1_000_000)
        time.sleep(0.2)
        stop.set()
        n = kernel.result()
        took = time.monotonic() - start
    print(f"{n} naps of a millisecond in {took * 1e3:.0f} ms")
    return 0 if n / 1000 <= took else 1


if __name__ == "__main__":
    sys.exit(main())
