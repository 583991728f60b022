"""Step 2: the joint colours of a photograph, counted by several threads into one shared histogram."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import matplotlib.image
import numpy as np
from matplotlib.cbook import get_sample_data
from tqdm import tqdm

import kernels
import pythread
from interlock import Counter, Lock, LockArray
from kernels import BINS, Histogram, Image

THREADS = 4
PASSES = 10  # over the photograph: one alone is over too soon to be timed
ROUNDS = 5


class Way(NamedTuple):
    name: str
    kernel: Any
    guard: Callable[[], Any] = lambda: None
    free: Callable[[Any], object] = lambda guard: None
    exact: bool = True  # with several threads
    copies: bool = False  # a histogram for each thread, summed at the end


WAYS = [
    Way("no lock", kernels.unguarded, exact=False),
    Way("PyThread's lock, by ctypes", kernels.pythread_lock, pythread.allocate_lock, pythread.free_lock),
    Way("interlock.Lock", kernels.one_lock, Lock),
    Way("interlock.Lock, by held()", kernels.with_held, Lock),
    Way("LockArray, a lock per bin", kernels.lock_per_bin, lambda: LockArray(BINS**3)),
    Way("atomic.add", kernels.atomic_add),
    Way("a copy per thread, summed", kernels.unguarded, copies=True),
]


class Result(NamedTuple):
    """What was measured of a way: nanoseconds per pixel, medians; and the most counts that were wrong in a run."""

    name: str
    alone: float
    together: float
    wrong: int


def photograph() -> Image:
    return np.array(matplotlib.image.imread(str(get_sample_data("grace_hopper.jpg", asfileobj=False))))


def by_numpy(image: Image) -> Histogram:
    """The histogram, counted by numpy in one go."""
    r, g, b = (image.reshape(-1, 3) // (256 // BINS)).astype(np.intp).T
    return np.bincount((r * BINS + g) * BINS + b, minlength=BINS**3)


def count(way: Way, threads: int, image: Image, bar: Any) -> tuple[Histogram, float]:
    """The histogram, and the seconds it took. The bar shows what the kernels have counted in `rows`."""
    guard, rows = way.guard(), Counter()
    start = time.perf_counter()
    histograms = np.zeros((threads if way.copies else 1, BINS**3), np.int64)
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(way.kernel, image, histograms[k % len(histograms)], guard, rows) for k in range(threads)]
        shown = 0
        while shown < len(image) and not any(future.done() and future.exception() for future in running):
            rows.wait(len(image), timeout=0.05)
            now = min(rows.load(), len(image))
            bar.update(now - shown)
            shown = now
    for future in running:
        future.result()  # raises what the kernel raised
    histogram = histograms.sum(axis=0)
    took = time.perf_counter() - start
    way.free(guard)
    return histogram, took


def measure(image: Image, expected: Histogram) -> list[Result]:
    taken = np.empty((ROUNDS, len(WAYS), 2))
    wrong = np.zeros(taken.shape, np.int64)
    interval = 0.1 if sys.stderr.isatty() else 2  # a log keeps every state of the bar
    with tqdm(total=taken.size * len(image), unit=" rows", unit_scale=True, ncols=90, mininterval=interval) as bar:
        bar.set_description("   compiling".ljust(30))
        for way in WAYS:
            count(way, 1, image[:0], bar)
        for r in range(ROUNDS):  # all ways in turn, so that whatever else the machine does hits them alike
            for w, way in enumerate(WAYS):
                bar.set_description(f"   {way.name:<27}", refresh=False)
                for t, threads in enumerate((1, THREADS)):
                    histogram, taken[r, w, t] = count(way, threads, image, bar)
                    wrong[r, w, t] = np.abs(histogram - expected).sum()
    ns = np.median(taken, axis=0) / (image.size // 3) * 1e9
    worst = wrong.max(axis=(0, 2))
    return [Result(way.name, ns[w, 0], ns[w, 1], worst[w]) for w, way in enumerate(WAYS)]


def step(plot: Callable[[Image, Histogram, list[Result]], None]) -> tuple[str, bool]:
    """Prints the table and saves the plot; the closing line, and whether the counts are exact."""
    image = photograph()
    once = by_numpy(image)
    pixels = image.size // 3
    print(f"\n2. The colours of a photograph, {pixels:,} pixels {PASSES} times, into one histogram of {BINS}^3 bins\n")
    results = measure(np.tile(image, (PASSES, 1, 1)), once * PASSES)
    print(f"\n   {'ns per pixel, medians':<28} {'1 thread':>9} {f'{THREADS} threads':>10}   against numpy, bin by bin")
    for name, alone, together, wrong in results:
        print(f"   {name:<28} {alone:>9.1f} {together:>10.1f}   " + (f"{wrong:,} counts wrong" if wrong else "exact"))
    print("\n   A guard for every single pixel shows what a guard costs, not how to count fast.")
    plot(image, once, results)
    exact = not any(result.wrong for way, result in zip(WAYS, results) if way.exact)
    guarded = sum(way.exact for way in WAYS)
    line = (
        f"{THREADS} threads counted {pixels * PASSES:,} pixels in {np.count_nonzero(once):,} colours, "
        f"in {guarded} ways, {ROUNDS} times each: {'exact in every bin' if exact else 'NOT exact'}"
    )
    return line, exact
