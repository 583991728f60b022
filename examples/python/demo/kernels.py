"""The kernels of step 2: each counts colours into one histogram that all threads share.

The threads take the rows from a counter, which also tells how far they are. `guard` is what keeps the histogram right.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

import pythread
from interlock import Counter, Lock, LockArray, atomic, held

BINS = 32  # for each of red, green and blue

Image = NDArray[np.uint8]
Histogram = NDArray[np.int64]

LOCK_ACQUIRE = pythread.acquire_lock
LOCK_RELEASE = pythread.release_lock


@njit(cache=True)
def bin_of(image: Image, y: int, x: int) -> int:
    r, g, b = image[y, x]
    return int(((r * BINS // 256) * BINS + g * BINS // 256) * BINS + b * BINS // 256)


@njit(nogil=True, cache=True)
def unguarded(image: Image, histogram: Histogram, guard: None, rows: Counter) -> None:
    y = rows.fetch_add(1)
    while y < len(image):
        for x in range(image.shape[1]):
            histogram[bin_of(image, y, x)] += 1
        y = rows.fetch_add(1)


@njit(nogil=True)
def pythread_lock(image: Image, histogram: Histogram, guard: int, rows: Counter) -> None:
    y = rows.fetch_add(1)
    while y < len(image):
        for x in range(image.shape[1]):
            i = bin_of(image, y, x)
            LOCK_ACQUIRE(guard, 1)
            histogram[i] += 1
            LOCK_RELEASE(guard)
        y = rows.fetch_add(1)


@njit(nogil=True, cache=True)
def one_lock(image: Image, histogram: Histogram, guard: Lock, rows: Counter) -> None:
    y = rows.fetch_add(1)
    while y < len(image):
        for x in range(image.shape[1]):
            i = bin_of(image, y, x)
            guard.acquire()
            histogram[i] += 1
            guard.release()
        y = rows.fetch_add(1)


@njit(nogil=True, cache=True)
def with_held(image: Image, histogram: Histogram, guard: Lock, rows: Counter) -> None:
    y = rows.fetch_add(1)
    while y < len(image):
        for x in range(image.shape[1]):
            i = bin_of(image, y, x)
            with held(guard):
                histogram[i] += 1
        y = rows.fetch_add(1)


@njit(nogil=True, cache=True)
def lock_per_bin(image: Image, histogram: Histogram, guard: LockArray, rows: Counter) -> None:
    y = rows.fetch_add(1)
    while y < len(image):
        for x in range(image.shape[1]):
            i = bin_of(image, y, x)
            guard.acquire(i)
            histogram[i] += 1
            guard.release(i)
        y = rows.fetch_add(1)


@njit(nogil=True, cache=True)
def atomic_add(image: Image, histogram: Histogram, guard: None, rows: Counter) -> None:
    y = rows.fetch_add(1)
    while y < len(image):
        for x in range(image.shape[1]):
            atomic.add(histogram, bin_of(image, y, x), 1)
        y = rows.fetch_add(1)
