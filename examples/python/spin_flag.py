"""Two kernels pass a ball by a flag in an array. With a plain `flag[0]`, such loops never end (Numba issue 1351)."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from interlock import atomic
from interlock.nb import ilk_thread_yield

ROUNDS = 1_000


@njit(nogil=True, cache=True)
def play(flag: NDArray[np.int64], ball: NDArray[np.int64], me: int, rounds: int) -> None:
    for _ in range(rounds):
        while atomic.load(flag, 0) != me:  # read anew each time: a plain read is moved out of the loop
            ilk_thread_yield()
        ball[0] += 1  # no lock: the flag says whose turn it is
        atomic.store(flag, 0, 1 - me)


def main() -> int:
    flag, ball = np.zeros(1, np.int64), np.zeros(1, np.int64)
    play(flag, ball, 0, 0)  # compiled here, once
    with ThreadPoolExecutor(2) as pool:
        for me in range(2):
            pool.submit(play, flag, ball, me, ROUNDS)
    print(f"the ball was hit {ball[0]} times by two kernels in turn")
    return 0 if ball[0] == 2 * ROUNDS else 1


if __name__ == "__main__":
    sys.exit(main())
