"""A C function called in a loop from compiled code: no Python between two calls."""

import sys

from numba import njit

from interlock import capi

clock = capi.ilk_clock
sleep = capi.ilk_sleep


@njit
def nap(times: int, nanoseconds: int) -> int:
    start = clock()
    for _ in range(times):
        sleep(nanoseconds)
    return clock() - start


def main() -> int:
    times, milliseconds = 20, 1
    took = nap(times, milliseconds * 1_000_000) / 1e6
    print(f"{times} naps of {milliseconds} ms took {took:.1f} ms")
    return 0 if took >= times * milliseconds else 1


if __name__ == "__main__":
    sys.exit(main())
