"""S13: an atomic addition from Python, beside a lock around an addition, and cereggii."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from interlock import Counter, atomic
from rounds import Loop, Point

try:
    import cereggii
except ImportError:
    cereggii = None

LIMIT_NS = 200


def of_element() -> Loop:
    array, add = np.zeros(1, np.int64), atomic.add

    def loop(n: int) -> None:
        for _ in range(n):
            add(array, 0, 1)

    return loop


def of_counter() -> Loop:
    counter = Counter()

    def loop(n: int) -> None:
        for _ in range(n):
            counter.fetch_add(1)

    return loop


def under_lock() -> Loop:
    lock, x = threading.Lock(), 0

    def loop(n: int) -> None:
        nonlocal x
        for _ in range(n):
            with lock:
                x += 1

    return loop


def of_element_under_lock() -> Loop:
    lock, array = threading.Lock(), np.zeros(1, np.int64)

    def loop(n: int) -> None:
        for _ in range(n):
            with lock:
                array[0] += 1

    return loop


def by_cereggii() -> Loop:
    x = cereggii.AtomicInt64(0)

    def loop(n: int) -> None:
        nonlocal x
        for _ in range(n):
            x += 1

    return loop


def points() -> Iterator[Point]:
    ways = {
        "interlock.atomic.add": of_element(),
        "interlock.Counter.fetch_add": of_counter(),
        "with lock: x += 1": under_lock(),
        "with lock: array[0] += 1": of_element_under_lock(),
    }
    if cereggii:
        ways["cereggii.AtomicInt64"] = by_cereggii()
    yield Point("S13", "Python: atomic.add", ways, "interlock.atomic.add", None, LIMIT_NS, "ns")
