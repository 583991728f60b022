#!/usr/bin/env python3
"""`with held(lock):` and `with lock:` against acquire() and release(), and against try/finally: the time of one pass
through a body with two `if`, and the time to compile the kernel.

    python bench/numba/held.py

The forms take turns. A ratio is the median of the rounds' ratios, a time the least (to run) or the median (to compile)."""
import statistics
import time

import numpy as np
from interlock import Mutex, held
from numba import njit

PASSES = 1_000_000
BODY = ["if i & 1:", "    a[0] += 1", "if i & 2:", "    a[1] += i"]
FORMS = {
    "acquire": (["m.acquire()"], "", ["m.release()"]),
    "held": (["with held(m):"], "    ", []),
    "with": (["with m:"], "    ", []),
    "finally": (["m.acquire()", "try:"], "    ", ["finally:", "    m.release()"]),
}


def source(form):
    before, indent, after = FORMS[form]
    lines = before + [indent + line for line in BODY] + after
    return "def kernel(m, a, n):\n    for i in range(n):\n" + "".join(f"        {line}\n" for line in lines)


def make(form):
    scope = {"held": held}
    exec(source(form), scope)
    return njit(nogil=True)(scope["kernel"])


def timed(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def ratio(times, form, other):
    return statistics.median(x / y for x, y in zip(times[form], times[other]))


def main():
    arguments = Mutex(), np.zeros(2, np.int64)
    for form in FORMS:
        make(form)(*arguments, 1)
    compiling, running, kernels = {form: [] for form in FORMS}, {form: [] for form in FORMS}, {}
    for _ in range(9):
        for form in FORMS:
            kernels[form] = make(form)
            compiling[form].append(timed(kernels[form], *arguments, 1))
    for _ in range(25):
        for form in FORMS:
            running[form].append(timed(kernels[form], *arguments, PASSES))
    for form in FORMS:
        print(
            f"{form:8} {min(running[form]) / PASSES * 1e9:6.2f} ns a pass, {ratio(running, form, 'acquire'):.3f} of acquire;  "
            f"compiled in {statistics.median(compiling[form]) * 1e3:6.1f} ms, {ratio(compiling, form, 'finally'):.2f} of finally"
        )


if __name__ == "__main__":
    main()
