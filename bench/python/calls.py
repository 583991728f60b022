"""Calls from Python code beside those of the standard library, interleaved in one process.

    python bench/python/calls.py [--rounds N] [--calls N]

Prints nanoseconds, the least of the rounds, and the median of the rounds' ratios: below 1, interlock is faster. Run it with
INTERLOCK_PYTHON_CALLS=ctypes for the calls by ctypes.
"""

import argparse
import platform
import queue
import statistics
import threading
import time
import timeit

import numpy as np

import interlock
from interlock import _calls, atomic

# Ours, and the standard library's, with `x` for the object.
PAIRS = [
    ("Lock, acquire and release", interlock.Lock, threading.Lock, "x.acquire(); x.release()"),
    ("Lock, with", interlock.Lock, threading.Lock, "with x: pass"),
    ("Lock, acquire(False)", interlock.Lock, threading.Lock, "x.acquire(False); x.release()"),
    ("Lock, acquire(timeout=1)", interlock.Lock, threading.Lock, "x.acquire(timeout=1); x.release()"),
    ("Mutex beside Lock, with", interlock.Mutex, threading.Lock, "with x: pass"),
    ("RLock, acquire and release", interlock.RLock, threading.RLock, "x.acquire(); x.release()"),
    ("RLock, with", interlock.RLock, threading.RLock, "with x: pass"),
    ("Semaphore, with", interlock.Semaphore, threading.Semaphore, "with x: pass"),
    (
        "atomic.add beside x[1] += 1",
        lambda: np.zeros(8, np.int64),
        lambda: np.zeros(8, np.int64),
        ("add(x, 1, 1)", "x[1] += 1"),
    ),
    ("Lock(), made and freed", lambda: interlock.Lock, lambda: threading.Lock, "x()"),
    ("Queue, put and get", lambda: interlock.Queue(4), lambda: queue.Queue(4), "x.put(1); x.get()"),
    ("Queue beside SimpleQueue", lambda: interlock.Queue(4), queue.SimpleQueue, "x.put(1); x.get()"),
]


def measure(statement: str, x: object, calls: int) -> float:
    # The thread's own time: the machine may be busy with much else.
    return timeit.timeit(statement, timer=time.thread_time, globals={"x": x, "add": atomic.add}, number=calls) / calls * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=20_000)
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, calls by {_calls.WAY}, {arguments.rounds} rounds of {arguments.calls}")
    print(f"{'':28} {'interlock':>10} {'other':>10} {'ratio':>6}")
    for name, make, make_other, statement in PAIRS:
        both = list(zip([statement, statement] if isinstance(statement, str) else statement, (make(), make_other())))
        times = [[measure(*one, arguments.calls) for one in both] for _ in range(arguments.rounds)]
        ratio = statistics.median(a / b for a, b in times)
        print(f"{name:28} {min(a for a, _ in times):8.1f}ns {min(b for _, b in times):8.1f}ns {ratio:6.2f}")


if __name__ == "__main__":
    main()
