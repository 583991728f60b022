"""Step 2: the joint colours of a photograph, counted by several threads into one shared histogram."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.cbook
import matplotlib.image
import numpy as np
from numba import njit
from tqdm import tqdm

from interlock import Counter
from interlock.nb import ilk_counter_fetch_add
from locks import INTERLOCK, NONE, PYTHREAD

BINS = 32  # for each of red, green and blue
THREADS = 4
PASSES = 20  # over the photograph: one alone is over too soon to be timed
ROUNDS = 5

# Who counts: a name, the lock, the number of threads
WAYS = [
    ("one thread, no lock", NONE, 1),
    (f"{THREADS} threads, {INTERLOCK.name}", INTERLOCK, THREADS),
    (f"{THREADS} threads, {PYTHREAD.name}", PYTHREAD, THREADS),
    (f"{THREADS} threads, no lock", NONE, THREADS),
]


def photograph():
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return np.array(matplotlib.image.imread(file, format="jpg"))


def counting_kernel(kind):
    acquire, release = kind.acquire, kind.release
    width_of_bin = 256 // BINS

    @njit("void(uint8[:,:,::1], int64[:,:,::1], int64, intp, intp, intp)", nogil=True)
    def count(image, histogram, total, lock, taken, done):
        height, width, _ = image.shape
        while True:
            row = ilk_counter_fetch_add(taken, 1)  # the next row is this thread's
            if row >= total:
                break
            for x in range(width):
                r, g, b = image[row % height, x]
                acquire(lock)
                histogram[r // width_of_bin, g // width_of_bin, b // width_of_bin] += 1
                release(lock)
            ilk_counter_fetch_add(done, 1)

    return count


def count_once(kernel, kind, threads, image, bar):
    """The histogram, and the seconds it took."""
    total = image.shape[0] * PASSES
    histogram = np.zeros((BINS,) * 3, np.int64)
    taken, done, lock = Counter(), Counter(), kind.new()
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        arguments = (image, histogram, total, lock, taken.handle, done.handle)
        workers = [pool.submit(kernel, *arguments) for _ in range(threads)]
        shown = 0
        while shown < total and not any(worker.done() and worker.exception() for worker in workers):
            done.wait(total, timeout=0.05)
            rows = done.load()
            bar.update(rows - shown)
            shown = rows
        for worker in workers:
            worker.result()  # raises what the worker raised
    took = time.perf_counter() - start
    kind.free(lock)
    return histogram, took


def by_numpy(image):
    """The same histogram, counted by numpy in one go."""
    r, g, b = (image.reshape(-1, 3) // (256 // BINS)).astype(np.intp).T
    return np.bincount((r * BINS + g) * BINS + b, minlength=BINS**3).reshape((BINS,) * 3) * PASSES


def measure(image, expected):
    """For each round and way the seconds, and how many counts differ from what was expected; and our histogram."""
    kernels = [counting_kernel(kind) for _, kind, _ in WAYS]
    times = np.empty((ROUNDS, len(WAYS)))
    wrong = np.empty(times.shape, np.int64)
    interval = 0.1 if sys.stderr.isatty() else 1  # a log keeps every state of the bar
    with tqdm(
        total=times.size * image.shape[0] * PASSES, unit=" rows", unit_scale=True, ncols=90, mininterval=interval
    ) as bar:
        for i in range(ROUNDS):  # all ways in turn, so that whatever else the machine does hits them alike
            for j, (name, kind, threads) in enumerate(WAYS):
                bar.set_description(f"   {name:<26}", refresh=False)
                histogram, times[i, j] = count_once(kernels[j], kind, threads, image, bar)
                wrong[i, j] = np.abs(histogram - expected).sum()
                if kind is INTERLOCK:
                    counted = histogram
    return times, wrong, counted


def step(plot):
    """Prints the table and saves the plot; the closing line, and whether the counts are exact."""
    image = photograph()
    pixels = image.shape[0] * image.shape[1]
    print(f"\n2. The colours of a photograph of {pixels:,} pixels, {PASSES} times, into one histogram of {BINS}^3 bins")
    expected = by_numpy(image)
    times, wrong, counted = measure(image, expected)
    medians, wrong = np.median(times, axis=0), wrong.max(axis=0)
    print(f"   {'':<28} {'median':>9} {'per pixel':>10}   against numpy, bin by bin")
    for (name, _, _), seconds, errors in zip(WAYS, medians, wrong):
        verdict = f"{errors:,} wrong" if errors else "exact"
        print(f"   {name:<28} {seconds * 1e3:>6.0f} ms {seconds / pixels / PASSES * 1e9:>7.1f} ns   {verdict}")
    print("   (A lock for every single pixel shows what a lock costs, not how to count fast.)")
    exact = not wrong[:3].any()
    plot(image, counted // PASSES, [name for name, _, _ in WAYS], medians, wrong)
    line = (
        f"counted {counted.sum():,} pixels in {np.count_nonzero(counted):,} colours with {THREADS} threads "
        f"under one interlock.Mutex, {ROUNDS} times: {'exact in every bin' if exact else 'NOT exact'}"
    )
    return line, exact
