#!/usr/bin/env python3
"""How long Numba compiles a kernel with one lock pair: by object, by ctypes and by symbol, and with no lock at all.

Methods raise for an error, and code that can raise takes longer to compile: so there is a ctypes pair that raises too.
Many kernels one after another, in turn, in one process: the first of each is apart, for it also pays for what Numba
does once. compiling.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any, Callable

import numpy as np
from numba import njit

from interlock import Mutex, capi, nb, words


def by_object() -> Any:
    @njit(nogil=True)
    def kernel(h, n):  # type: ignore[no-untyped-def]
        for _ in range(n):
            h.acquire()
            h.release()

    return kernel


def by_call(lock: Any, unlock: Any) -> Any:
    @njit(nogil=True)
    def kernel(h, n):  # type: ignore[no-untyped-def]
        for _ in range(n):
            lock(h)
            unlock(h)

    return kernel


def by_ctypes() -> Any:
    return by_call(capi.ilk_mutex_lock, capi.ilk_mutex_unlock)


def by_symbol() -> Any:
    return by_call(nb.ilk_mutex_lock, nb.ilk_mutex_unlock)


def by_ctypes_and_raise() -> Any:
    lock, unlock = capi.ilk_mutex_lock, capi.ilk_mutex_unlock

    @njit(nogil=True)
    def kernel(h, n):  # type: ignore[no-untyped-def]
        for _ in range(n):
            if lock(h) < 0:
                raise RuntimeError("not locked")
            if unlock(h) < 0:
                raise RuntimeError("not unlocked")

    return kernel


def by_word() -> Any:
    @njit(nogil=True)
    def kernel(h, n):  # type: ignore[no-untyped-def]
        for i in range(n):
            words.lock(h, i)
            words.unlock(h, i)

    return kernel


def no_lock() -> Any:
    @njit(nogil=True)
    def kernel(h, n):  # type: ignore[no-untyped-def]
        for _ in range(n):
            pass

    return kernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    options = parser.parse_args()
    mutex = Mutex()
    njit(lambda n: n)(1)
    ways: dict[str, tuple[Callable[[], Any], Any]] = {
        "ctypes": (by_ctypes, mutex.handle),
        "raising": (by_ctypes_and_raise, mutex.handle),
        "symbol": (by_symbol, mutex.handle),
        "object": (by_object, mutex),
        "words": (by_word, np.zeros(1, np.uint32)),
        "no lock": (no_lock, mutex.handle),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, (make, argument) in ways.items():
            kernel = make()
            since = time.perf_counter()
            kernel(argument, 0)
            times[name].append((time.perf_counter() - since) * 1e3)
    for name, (first, *later) in times.items():
        plain, raising = (statistics.median(a / b for a, b in zip(later, times[base][1:])) for base in ("ctypes", "raising"))
        median = statistics.median(later)
        print(
            f"{name:8} first {first:7.1f} ms, later {median:6.1f}, least {min(later):6.1f}, "
            f"of ctypes {plain:5.2f}, raising {raising:5.2f}"
        )


if __name__ == "__main__":
    main()
