"""A numpy array's own memory handed to a C function: the C library's qsort() sorts it in place, from compiled code."""

import ctypes
import sys
from typing import Any

import numpy as np
from numba import cfunc, njit, types
from numpy.typing import NDArray

qsort = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None).qsort
qsort.restype = None
qsort.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]


@cfunc(types.intc(types.CPointer(types.float64), types.CPointer(types.float64)))
def compare(left: Any, right: Any) -> int:
    if left[0] < right[0]:
        return -1
    return 1 if left[0] > right[0] else 0


@njit
def sort(array: NDArray[np.float64], comparison: int) -> None:
    # C takes any address and length, so what it relies on is checked here; the type is checked by the caller below.
    if array.strides[0] != array.itemsize:
        raise ValueError("the elements must lie side by side")
    qsort(array.ctypes, array.size, array.itemsize, comparison)


def main() -> int:
    array = np.random.default_rng(2).random(1000)
    expected = np.sort(array)
    assert array.dtype == np.float64 and compare.address
    sort(array, compare.address)
    correct = np.array_equal(array, expected)
    print(f"C sorted {array.size} elements of a numpy array in place: {array[0]:.4f} .. {array[-1]:.4f}")
    return 0 if correct else 1


if __name__ == "__main__":
    sys.exit(main())
