"""The first error of a prange, raised by Python: an exception would not leave the loop (Numba issue 9673)."""

import sys

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from interlock import ErrorSlot

NEGATIVE = 1


@njit(nogil=True, parallel=True, cache=True)
def roots(samples: NDArray[np.float64], result: NDArray[np.float64], errors: ErrorSlot) -> None:
    for i in prange(len(samples)):
        if not errors.is_set():  # the others stop early
            if samples[i] < 0:
                errors.set(NEGATIVE, i)
            else:
                result[i] = np.sqrt(samples[i])


def main() -> int:
    samples = np.arange(100_000, dtype=np.float64)
    samples[70_000] = -1
    try:
        with ErrorSlot({NEGATIVE: (ValueError, "sample {where} is negative")}) as errors:
            roots(samples, np.empty_like(samples), errors)
    except ValueError as error:
        print(f"ValueError: {error}")
        return 0 if "70000" in str(error) else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
