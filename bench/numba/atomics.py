#!/usr/bin/env python3
"""What a kernel pays for `interlock.atomic` and for locks in an array, in turn.

In one thread, each of our functions beside the bare LLVM instruction on the same address, without an index or a check; and
a lock and unlock of `interlock.words` beside the C functions that they are without inlining, and the lock array's. The same
around an addition to an element taken at random, also in two threads.

atomics.py [--rounds N] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.typing import signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from interlock import atomic, capi, nb, words


def bare(instruction: str) -> Any:
    """The LLVM instruction on ``array.data + index``, with nothing around it."""

    @intrinsic
    def call(context, array, index, value):  # type: ignore[no-untyped-def]
        def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
            pointer = builder.gep(make_array(sig.args[0])(context, builder, args[0]).data, [args[1]])
            size = pointer.type.pointee.width // 8 if isinstance(pointer.type.pointee, ir.IntType) else 8
            if instruction == "load":
                return builder.load_atomic(pointer, "seq_cst", size)
            return builder.atomic_rmw(instruction, pointer, args[2], "seq_cst")

        return signature(array.dtype, array, types.intp, array.dtype), lower

    return call


def each_element(operation: Any) -> Any:
    """One after the other: no operation meets the store buffer's last."""

    @njit(nogil=True)
    def kernel(array, n):  # type: ignore[no-untyped-def]
        for i in range(n):
            operation(array, i & 1023, 1)

    return kernel


def each_load(operation: Any, *rest: int) -> Any:
    @njit(nogil=True)
    def kernel(array, n):  # type: ignore[no-untyped-def]
        total = 0
        for i in range(n):
            total += operation(array, i & 1023, *rest)
        return total

    return kernel


def each_pair(lock: Any, unlock: Any) -> Any:
    @njit(nogil=True)
    def kernel(locks, n):  # type: ignore[no-untyped-def]
        for i in range(n):
            lock(locks, i & 1023)
            unlock(locks, i & 1023)

    return kernel


def each_addition(lock: Any, unlock: Any) -> Any:
    @njit(nogil=True)
    def kernel(locks, indices, totals, n):  # type: ignore[no-untyped-def]
        for k in range(n):
            i = indices[k & 65535]
            lock(locks, i)
            totals[i] += 1
            unlock(locks, i)

    return kernel


@njit
def word_lock(locks, i):  # type: ignore[no-untyped-def]
    nb.ilk_word_lock(locks.ctypes.data + 4 * i, 0)


@njit
def word_unlock(locks, i):  # type: ignore[no-untyped-def]
    nb.ilk_word_unlock(locks.ctypes.data + 4 * i, 0)


@njit
def array_lock(handle, i):  # type: ignore[no-untyped-def]
    nb.ilk_lockarray_lock(handle[0], i)


@njit
def array_unlock(handle, i):  # type: ignore[no-untyped-def]
    nb.ilk_lockarray_unlock(handle[0], i)


def measure(group: dict[str, tuple[Any, np.ndarray]], rounds: int, n: int = 200_000) -> dict[str, list[float]]:
    """ns an operation; in a thread that is not the only one, as C libraries may skip the lock prefix else."""
    times: dict[str, list[float]] = {name: [] for name in group}

    def run() -> None:
        for kernel, array in group.values():
            kernel(array, n)
        for _ in range(rounds):
            for name, (kernel, array) in group.items():
                since = time.perf_counter()
                kernel(array, n)
                times[name].append((time.perf_counter() - since) / n * 1e9)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return times


def measure_additions(
    locks: dict[str, tuple[Any, np.ndarray]], size: int, threads: int, rounds: int
) -> dict[str, list[float]]:
    """ns an addition in each of the threads."""
    n = 200_000
    random, totals = np.random.default_rng(1), np.zeros(size, np.int64)
    indices = [random.integers(0, size, 65536) for _ in range(threads)]
    times: dict[str, list[float]] = {name: [] for name in locks}
    for kernel, array in locks.values():
        kernel(array, indices[0], totals, 1)
    for _ in range(rounds):
        for name, (kernel, array) in locks.items():
            gate = threading.Barrier(threads + 1)

            def run(t: int) -> None:
                gate.wait()  # noqa: B023
                kernel(array, indices[t], totals, n)  # noqa: B023

            pool = [threading.Thread(target=run, args=(t,)) for t in range(threads)]
            for thread in pool:
                thread.start()
            gate.wait()
            since = time.perf_counter()
            for thread in pool:
                thread.join()
            times[name].append((time.perf_counter() - since) / n * 1e9)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=51)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    integers, floats = np.zeros(1024, np.int64), np.zeros(1024)
    locks, handle = np.zeros(1024, np.uint32), np.array([capi.ilk_lockarray_new(1024, 0)])
    groups = {
        "add int64": {
            "bare": (each_element(bare("add")), integers),
            "atomic.add": (each_element(atomic.add), integers),
        },
        "add float64": {
            "bare": (each_element(bare("fadd")), floats),
            "atomic.add": (each_element(atomic.add), floats),
        },
        "load int64": {
            "bare": (each_load(bare("load"), 0), integers),
            "atomic.load": (each_load(atomic.load), integers),
        },
        "lock and unlock": {
            "C functions": (each_pair(word_lock, word_unlock), locks),
            "words": (each_pair(words.lock, words.unlock), locks),
            "lock array": (each_pair(array_lock, array_unlock), handle),
        },
    }
    results = {title: measure(group, options.rounds) for title, group in groups.items()}
    additions = {
        "C functions": each_addition(word_lock, word_unlock),
        "words": each_addition(words.lock, words.unlock),
        "lock array": each_addition(array_lock, array_unlock),
    }
    for size, threads in itertools.product((1024, 65536), (1, 2)):
        arrays = {"lock array": np.array([capi.ilk_lockarray_new(size, 0)])}
        kernels = {name: (kernel, arrays.get(name, np.zeros(size, np.uint32))) for name, kernel in additions.items()}
        results[f"{size} locks, {threads} thr."] = measure_additions(kernels, size, threads, options.rounds)
        capi.ilk_lockarray_free(int(arrays["lock array"][0]))
    for title, times in results.items():
        base = next(iter(times.values()))
        for name, t in times.items():
            ratio = statistics.median(a / b for a, b in zip(t, base))
            print(f"{title:19} {name:12} {statistics.median(t):7.2f} ns, least {min(t):6.2f}, of the first {ratio:5.2f}")
    capi.ilk_lockarray_free(int(handle[0]))
    if options.out:
        options.out.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
