#!/usr/bin/env python3
"""Locks as seen from Numba kernels: a lock and unlock alone, and a histogram that several threads share.

kernels.py [--full] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import statistics
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
from numba import njit, objmode

from interlock import capi, nb

try:
    from interlock import atomic
except ImportError:
    atomic = None

python_lock = threading.Lock()  # objmode knows module globals only


def log(*text: object) -> None:
    print(*text, file=sys.stderr, flush=True)


@functools.cache
def skip(name: str, why: str) -> None:
    log(f"skipped: {name} ({why})")


# --- the locks: for each, how a kernel takes and releases it -------------------------------------------


def libpython() -> ctypes.CDLL | None:
    """The interpreter itself, or where it is not linked to export its symbols, its library."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    for candidate in (None, name, str(Path(sysconfig.get_config_var("LIBDIR") or "") / name)):
        try:
            library = ctypes.CDLL(candidate)
            library.PyThread_allocate_lock  # noqa: B018
            return library
        except (OSError, AttributeError):
            pass
    return None


def pythread() -> tuple[int, Callable[..., None], Callable[..., None]] | None:
    library = libpython()
    if not library:
        skip("PyThread by ctypes", "no libpython")
        return None
    create, acquire, release = library.PyThread_allocate_lock, library.PyThread_acquire_lock, library.PyThread_release_lock
    create.argtypes, create.restype = [], ctypes.c_void_p
    acquire.argtypes, acquire.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int
    release.argtypes, release.restype = [ctypes.c_void_p], None

    @njit
    def lock(h):  # type: ignore[no-untyped-def]
        acquire(h, 1)

    @njit
    def unlock(h):  # type: ignore[no-untyped-def]
        release(h)

    return create(), lock, unlock


def ours_by_ctypes() -> tuple[int, Callable[..., None], Callable[..., None]]:
    acquire, release = capi.ilk_mutex_lock, capi.ilk_mutex_unlock

    @njit
    def lock(h):  # type: ignore[no-untyped-def]
        acquire(h)

    @njit
    def unlock(h):  # type: ignore[no-untyped-def]
        release(h)

    return capi.ilk_mutex_new(0), lock, unlock


def ours_by_symbol() -> tuple[int, Callable[..., None], Callable[..., None]]:
    acquire, release = nb.ilk_mutex_lock, nb.ilk_mutex_unlock

    @njit
    def lock(h):  # type: ignore[no-untyped-def]
        acquire(h)

    @njit
    def unlock(h):  # type: ignore[no-untyped-def]
        release(h)

    return capi.ilk_mutex_new(0), lock, unlock


def ours_by_object() -> tuple[Any, Callable[..., None], Callable[..., None]]:
    import interlock

    @njit
    def lock(h):  # type: ignore[no-untyped-def]
        h.acquire()

    @njit
    def unlock(h):  # type: ignore[no-untyped-def]
        h.release()

    return interlock.Mutex(), lock, unlock


def through_objmode() -> tuple[int, Callable[..., None], Callable[..., None]]:
    @njit
    def lock(h):  # type: ignore[no-untyped-def]
        with objmode():
            python_lock.acquire()

    @njit
    def unlock(h):  # type: ignore[no-untyped-def]
        with objmode():
            python_lock.release()

    return 0, lock, unlock


LOCKS = {
    "PyThread by ctypes": pythread,
    "interlock by ctypes": ours_by_ctypes,
    "interlock by symbol": ours_by_symbol,
    "interlock by object": ours_by_object,
    "threading.Lock by objmode": through_objmode,
}
SLOW = {"threading.Lock by objmode": 200}  # so many times fewer operations


# --- kernels: each adds n items from `first` on ---------------------------------------------------------


@njit(inline="always")
def bin_of(i, bins):  # type: ignore[no-untyped-def]
    """A cheap hash, the same for all: the items themselves would be a second array to read."""
    x = np.uint64(i) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((x >> np.uint64(20)) % np.uint64(bins))


def pair_kernel(lock: Any, unlock: Any) -> Any:
    @njit(nogil=True)
    def kernel(h, n):  # type: ignore[no-untyped-def]
        for _ in range(n):
            lock(h)
            unlock(h)

    return kernel


def one_lock_kernel(lock: Any, unlock: Any) -> Any:
    @njit(nogil=True)
    def kernel(h, out, first, n):  # type: ignore[no-untyped-def]
        for i in range(first, first + n):
            k = bin_of(i, out.shape[0])
            lock(h)
            out[k] += 1
            unlock(h)

    return kernel


def lock_array_kernel() -> Any:
    lock, unlock = nb.ilk_lockarray_lock, nb.ilk_lockarray_unlock

    @njit(nogil=True)
    def kernel(h, out, first, n):  # type: ignore[no-untyped-def]
        for i in range(first, first + n):
            k = bin_of(i, out.shape[0])
            lock(h, k)
            out[k] += 1
            unlock(h, k)

    return kernel


def atomic_kernel() -> Any:
    add = atomic.add

    @njit(nogil=True)
    def kernel(h, out, first, n):  # type: ignore[no-untyped-def]
        for i in range(first, first + n):
            add(out, bin_of(i, out.shape[0]), 1)

    return kernel


@njit(nogil=True)
def plain_kernel(h, out, first, n):  # type: ignore[no-untyped-def]
    for i in range(first, first + n):
        out[bin_of(i, out.shape[0])] += 1


# --- measuring ------------------------------------------------------------------------------------------


def in_threads(function: Callable[[int], None], threads: int) -> float:
    """Seconds from the moment when all are ready to the moment when all are done."""
    gate = threading.Barrier(threads + 1)

    def run(t: int) -> None:
        gate.wait()
        function(t)

    pool = [threading.Thread(target=run, args=(t,)) for t in range(threads)]
    for thread in pool:
        thread.start()
    gate.wait()
    since = time.perf_counter()
    for thread in pool:
        thread.join()
    return time.perf_counter() - since


def pairs(rounds: int) -> dict[str, list[float]]:
    """ns for a lock and unlock; the main thread is the second one, asleep meanwhile."""
    prepared = {}
    for name, make in LOCKS.items():
        if made := make():
            h, lock, unlock = made
            kernel = pair_kernel(lock, unlock)
            kernel(h, 1)
            prepared[name] = kernel, h, 1_000_000 // SLOW.get(name, 1)
    times: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(rounds):
        for name, (kernel, h, n) in prepared.items():
            times[name].append(in_threads(lambda t: kernel(h, n), 1) / n * 1e9)  # noqa: B023
    for name, t in times.items():
        log(f"  {name:28} {statistics.median(t):10.1f} ns a pair")
    return times


Method = Callable[[int, int, int], tuple[float, np.ndarray]]


def methods(bins: int) -> dict[str, Method]:
    """Each counts `items` items into `bins` bins with `threads` threads: the time, and the histogram."""
    found: dict[str, Method] = {}

    def shared(kernel: Any, h: int) -> Method:
        def run(threads: int, items: int, bins: int) -> tuple[float, np.ndarray]:
            out, each = np.zeros(bins, np.int64), items // threads
            return in_threads(lambda t: kernel(h, out, t * each, each), threads), out

        return run

    for name, make in LOCKS.items():
        if name in KERNELS:
            found[name] = shared(*KERNELS[name])
        elif made := make():
            h, lock, unlock = made
            KERNELS[name] = one_lock_kernel(lock, unlock), h
            found[name] = shared(*KERNELS[name])

    new_array = getattr(capi, "ilk_lockarray_new", None)
    handle = new_array and new_array(bins, 0)
    if handle:
        KERNELS.setdefault("lock array", (lock_array_kernel(), 0))
        found["interlock, a lock for each bin"] = shared(KERNELS["lock array"][0], handle)
    else:
        skip("interlock, a lock for each bin", "not to be had here")
    if atomic:
        KERNELS.setdefault("atomic", (atomic_kernel(), 0))
        found["interlock.atomic.add"] = shared(*KERNELS["atomic"])
    else:
        skip("interlock.atomic.add", "not to be had here")

    def private(threads: int, items: int, bins: int) -> tuple[float, np.ndarray]:
        since = time.perf_counter()
        copies, each = np.zeros((threads, bins), np.int64), items // threads
        in_threads(lambda t: plain_kernel(0, copies[t], t * each, each), threads)
        out = copies.sum(axis=0)
        return time.perf_counter() - since, out

    found["a copy for each thread, then sum"] = private
    if handle:
        arrays.append(handle)
    return found


KERNELS: dict[str, tuple[Any, int]] = {}
arrays: list[int] = []  # lock arrays, to be freed when their size is done


def histograms(full: bool, rounds: int) -> list[dict[str, Any]]:
    sizes = [16, 256, 4096, 65536, 10**6, 10**7] if full else [16, 4096, 10**6, 10**7]
    counts = [1, 2, 4, 8, 16] if full else [2, 4]
    rows: list[dict[str, Any]] = []
    for bins in sizes:
        found = methods(bins)
        for threads in counts:
            items = 2_000_000 if full else 600_000
            times: dict[str, list[float]] = {name: [] for name in found}
            for round_ in range(rounds + 1):  # the first compiles
                for name, run in found.items():
                    n = max(threads, items // SLOW.get(name, 1)) // threads * threads
                    seconds, out = run(threads, n, bins)
                    if out.sum() != n:
                        raise SystemExit(f"{name}: {n - out.sum()} of {n} items lost")
                    if round_:
                        times[name].append(seconds / n * 1e9)
            rows += [{"bins": bins, "threads": threads, "name": name, "ns": t} for name, t in times.items()]
            log(f"  {bins:>8} bins, {threads:>2} threads: "
                + ", ".join(f"{name} {statistics.median(t):.1f}" for name, t in times.items()))
        while arrays:
            capi.ilk_lockarray_free(arrays.pop())
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", action="store_true", help="the lock and unlock alone")
    options = parser.parse_args()
    log("A lock and unlock in a kernel:")
    data: dict[str, Any] = {"cpus": os.cpu_count(), "pair": pairs(31 if options.full else 11), "histogram": []}
    if not options.pairs:
        log("A histogram that threads share, ns an item:")
        data["histogram"] = histograms(options.full, 9 if options.full else 3)
    if options.out:
        options.out.write_text(json.dumps(data))


if __name__ == "__main__":
    main()
