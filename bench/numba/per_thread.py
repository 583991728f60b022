#!/usr/bin/env python3
"""What counting into bins costs in a prange, in turn: PerThread beside a private copy made by hand, atomics and locks.

The private copy is what users write: an array of (threads, bins), indexed by `numba.get_thread_id()`, and summed.

per_thread.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numba
import numpy as np
from numba import njit, prange

from interlock import LockArray, PerThread, atomic


@njit(parallel=True, nogil=True)
def by_hand(samples, copies):  # type: ignore[no-untyped-def]
    for i in prange(len(samples)):
        mine = copies[numba.get_thread_id()]
        mine[samples[i]] += 1


@njit(parallel=True, nogil=True)
def per_thread(samples, counts):  # type: ignore[no-untyped-def]
    for i in prange(len(samples)):
        mine = counts.local()
        mine[samples[i]] += 1


@njit(parallel=True, nogil=True)
def per_thread_in_blocks(samples, counts):  # type: ignore[no-untyped-def]
    for block in prange(len(samples) // 1000):
        mine = counts.local()
        for x in samples[1000 * block : 1000 * block + 1000]:
            mine[x] += 1


@njit(parallel=True, nogil=True)
def atomics(samples, total):  # type: ignore[no-untyped-def]
    for i in prange(len(samples)):
        atomic.add(total, samples[i], 1)


@njit(parallel=True, nogil=True)
def locked(samples, total, locks):  # type: ignore[no-untyped-def]
    for i in prange(len(samples)):
        locks.acquire(samples[i])
        total[samples[i]] += 1
        locks.release(samples[i])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    bins, n = 256, 1_000_000
    samples = np.random.default_rng(1).integers(0, bins, n)
    copies = np.zeros((numba.get_num_threads(), bins), np.int64)
    counts, blocks, locks = PerThread(bins, np.int64), PerThread(bins, np.int64), LockArray(bins)
    total, under_locks = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    ways = {
        "copies by hand": lambda: by_hand(samples, copies),
        "PerThread": lambda: per_thread(samples, counts),
        "PerThread, blocks": lambda: per_thread_in_blocks(samples, blocks),
        "atomic.add": lambda: atomics(samples, total),
        "LockArray": lambda: locked(samples, under_locks, locks),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(options.rounds):
        for name, way in ways.items():
            since = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - since) / n * 1e9)
    expected = (options.rounds + 1) * np.bincount(samples, minlength=bins)
    for result in (copies.sum(axis=0), counts.sum(), blocks.sum(), total, under_locks):
        assert (result == expected).all()
    base = times["copies by hand"]
    for name, t in times.items():
        ratio = statistics.median(a / b for a, b in zip(t, base))
        print(f"{name:18} {statistics.median(t):7.2f} ns, least {min(t):6.2f}, of the first {ratio:5.2f}")


if __name__ == "__main__":
    main()
