"""Kernels hand their results to Python one by one, while they work: a bounded queue (Numba issues 2408 and 4720)."""

import sys
import threading

from numba import njit

from interlock import Counter, Queue, ShutDown


@njit(nogil=True, cache=True)
def squares(first: int, step: int, below: int, results: Queue, working: Counter) -> None:
    for n in range(first, below, step):
        results.put(n * n)  # waits while the queue is full
    if working.fetch_add(-1) == 1:  # the last to end
        results.close()


def main() -> int:
    below, workers = 10_000, 3
    results, working = Queue(64), Counter(workers)
    for k in range(workers):
        threading.Thread(target=squares, args=(k, workers, below, results, working)).start()
    total = 0
    try:
        while True:
            total += results.get()
    except ShutDown:
        print(f"the squares below {below}^2 sum to {total}")
    return 0 if total == sum(n * n for n in range(below)) else 1


if __name__ == "__main__":
    sys.exit(main())
